//! The filters templates have besides minijinja's own: moments, literals and encodings as sources
//! want to be asked with.
//!
//! A *moment* is text: with a zone (`2026-03-29T00:30:00Z`), a wall-clock time without one, or a
//! date. Where a filter needs an instant, what has no zone must be given one: none is guessed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::civil::{Date, DateTime};
use jiff::fmt::rfc2822;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// What RFC 3986 section 2.3 calls unreserved stays; all else is encoded.
const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Gives an environment the filters.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("date", date);
    environment.add_filter("shift", shift);
    environment.add_filter("epoch", |moment: &str, zone: Option<&str>| {
        Ok::<_, Error>(instant(moment, zone)?.as_second())
    });
    environment.add_filter("epoch_ms", |moment: &str, zone: Option<&str>| {
        Ok::<_, Error>(instant(moment, zone)?.as_millisecond())
    });
    environment.add_filter("http_date", http_date);
    environment.add_filter("odata", odata);
    environment.add_filter("odata_datetime", odata_datetime);
    environment.add_filter(
        "odata_datetimeoffset",
        |moment: &str, zone: Option<&str>| {
            Ok::<_, Error>(format!("datetimeoffset'{}'", instant(moment, zone)?))
        },
    );
    environment.add_filter("odata_guid", |guid: &str| format!("guid'{guid}'"));
    environment.add_filter("odata_int64", odata_int64);
    environment.add_filter("odata_v4", odata_v4);
    environment.add_filter("quote", |text: &str| {
        serde_json::Value::from(text).to_string()
    });
    environment.add_filter("sha256", sha256);
    environment.add_filter("base64", |text: &str| BASE64.encode(text));
    environment.add_filter("urlencode", |text: &str| {
        utf8_percent_encode(text, &RESERVED).to_string()
    });
}

/// A moment, as precisely as its text has it.
enum Moment {
    Instant(Timestamp),
    Civil(DateTime),
    Date(Date),
}

fn moment(text: &str) -> Result<Moment, Error> {
    if let Ok(instant) = text.parse() {
        return Ok(Moment::Instant(instant));
    }
    let is_date = text.len() == "YYYY-MM-DD".len();
    match (text.parse(), text.parse::<DateTime>()) {
        (Ok(date), _) if is_date => Ok(Moment::Date(date)),
        (_, Ok(civil)) => Ok(Moment::Civil(civil)),
        _ => Err(unfit(text, "no date or time")),
    }
}

fn zone(name: Option<&str>) -> Result<TimeZone, Error> {
    name.map_or(Ok(TimeZone::UTC), |name| {
        TimeZone::get(name).map_err(|_| unfit(name, "no time zone"))
    })
}

/// Returns the instant of a moment; one without a zone stands on the wall clock of the named zone.
fn instant(text: &str, zone_name: Option<&str>) -> Result<Timestamp, Error> {
    let civil = match moment(text)? {
        Moment::Instant(instant) => return Ok(instant),
        Moment::Civil(civil) => civil,
        Moment::Date(date) => date.into(),
    };
    if zone_name.is_none() {
        let is = "without a zone; name it behind the filter, as in epoch('Europe/Amsterdam')";
        return Err(unfit(text, is));
    }
    let zoned = civil.to_zoned(zone(zone_name)?);
    let zoned = zoned.map_err(|_| unfit(text, "out of range"))?;
    Ok(zoned.timestamp())
}

/// `{{ bookmark | date('%Y%m%d') }}`, or `{{ now | date('%H:%M', 'Europe/Amsterdam') }}`.
///
/// A moment with a zone is shown in UTC unless another is named; one without is shown as it is.
fn date(text: &str, format: &str, zone_name: Option<&str>) -> Result<String, Error> {
    let shown = match moment(text)? {
        Moment::Instant(instant) => {
            let zoned = instant.to_zoned(zone(zone_name)?);
            strtime::format(format, &zoned)
        }
        Moment::Civil(civil) => strtime::format(format, civil),
        Moment::Date(date) => strtime::format(format, DateTime::from(date)),
    };
    shown.map_err(|_| unfit(format, "no format for it"))
}

/// `{{ now | shift('-5m') }}`, `{{ bookmark | shift('1 month') }}`: the moment that much later, or
/// earlier, written as it was. Days and months are those of the calendar, in UTC.
fn shift(text: &str, by: &str) -> Result<String, Error> {
    let span: Span = by.parse().map_err(|_| unfit(by, "no span of time"))?;
    let out_of_range = |_| unfit(by, "more than there is time");
    Ok(match moment(text)? {
        Moment::Instant(instant) => {
            let zoned = instant.to_zoned(TimeZone::UTC);
            let shifted = zoned.checked_add(span).map_err(out_of_range)?;
            shifted.timestamp().to_string()
        }
        Moment::Civil(civil) => civil.checked_add(span).map_err(out_of_range)?.to_string(),
        Moment::Date(date) => date.checked_add(span).map_err(out_of_range)?.to_string(),
    })
}

/// `Sun, 29 Mar 2026 00:30:00 GMT`, as `If-Modified-Since` has it (RFC 9110 section 5.6.7).
fn http_date(text: &str, zone_name: Option<&str>) -> Result<String, Error> {
    rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&instant(text, zone_name)?)
        .map_err(|_| unfit(text, "out of range"))
}

/// `{{ var.code | odata }}`: a literal as every version of OData spells it, text in quotes and
/// quotes doubled.
fn odata(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => format!("'{}'", value.to_string().replace('\'', "''")),
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => super::word(value.is_true()).to_owned(),
        _ => value.to_string(),
    }
}

/// `datetime'2026-03-29T00:30:00'`, OData's `Edm.DateTime` up to version 3: a wall-clock time. A
/// moment with a zone is put on the clock of the named zone, or UTC.
fn odata_datetime(text: &str, zone_name: Option<&str>) -> Result<String, Error> {
    let civil = match moment(text)? {
        Moment::Instant(instant) => zone(zone_name)?.to_datetime(instant),
        Moment::Civil(civil) => civil,
        Moment::Date(date) => date.into(),
    };
    Ok(format!("datetime'{civil}'"))
}

/// `493115L`, OData's `Edm.Int64` up to version 3. A bookmark is text, whatever it counts.
fn odata_int64(number: &Value) -> Result<String, Error> {
    let text = number.to_string();
    match text.parse::<i64>() {
        Ok(number) => Ok(format!("{number}L")),
        Err(_) => Err(unfit(&text, "no whole number of 64 bits")),
    }
}

/// A literal of OData version 4, where moments, dates and GUIDs stand without quotes; moments get
/// the zone they must have there.
fn odata_v4(value: &Value, zone_name: Option<&str>) -> Result<String, Error> {
    let Some(text) = value.as_str() else {
        return Ok(odata(value));
    };
    Ok(match moment(text) {
        Ok(Moment::Date(date)) => date.to_string(),
        Ok(Moment::Instant(_) | Moment::Civil(_)) => instant(text, zone_name)?.to_string(),
        Err(_) if is_guid(text) => text.to_owned(),
        Err(_) => odata(value),
    })
}

/// Returns true for `8-4-4-4-12` hexadecimal digits.
fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let is_hex = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(is_hex)
}

/// The SHA-256 of a text, in hexadecimal.
fn sha256(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unfit(what: &str, is: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("`{what}` is {is}"))
}

#[cfg(test)]
mod tests {
    use crate::template::Template;

    fn render(source: &str) -> Result<String, String> {
        let context = minijinja::context! {
            instant => "2026-03-29T00:30:00Z",
            civil => "2026-03-29T02:03:04.5",
            day => "2026-01-31",
            code => "O'Brien \"x\"",
            guid => "0b2c3d4e-0000-4a5b-8c9d-0123456789AB",
            number => 17,
            yes => true,
        };
        let template = Template::parse(source).map_err(|error| error.message)?;
        template.render(&context).map_err(|error| error.message)
    }

    #[test]
    fn moments_are_shown_as_sources_ask_for_them() {
        let cases = [
            ("{{ instant | date('%Y%m%d') }}", "20260329"),
            ("{{ instant | date('%H:%M', 'Europe/Amsterdam') }}", "01:30"),
            (
                "{{ civil | date('%Y-%m-%dT%H:%M:%S') }}",
                "2026-03-29T02:03:04",
            ),
            ("{{ day | date('%d.%m.%y') }}", "31.01.26"),
            (
                "{{ instant | epoch }} {{ instant | epoch_ms }}",
                "1774744200 1774744200000",
            ),
            (
                "{{ '2026-03-29T01:30:00' | epoch('Europe/Amsterdam') }}",
                "1774744200",
            ),
            ("{{ day | epoch('UTC') }}", "1769817600"),
            ("{{ instant | http_date }}", "Sun, 29 Mar 2026 00:30:00 GMT"),
            ("{{ instant | shift('-5m') }}", "2026-03-29T00:25:00Z"),
            ("{{ instant | shift('1 month') }}", "2026-04-29T00:30:00Z"),
            ("{{ civil | shift('-1h 30m') }}", "2026-03-29T00:33:04.5"),
            ("{{ day | shift('1 month') }}", "2026-02-28"),
            ("{{ day | shift('-1d') | date('%Y/%m/%d') }}", "2026/01/30"),
        ];
        for (source, text) in cases {
            assert_eq!(render(source).as_deref(), Ok(text), "{source}");
        }
    }

    #[test]
    fn literals_and_encodings_are_spelled_as_sources_ask_for_them() {
        let cases = [
            ("{{ code | odata }}", "'O''Brien \"x\"'"),
            (
                "{{ number | odata }} {{ yes | odata }} {{ yes }}",
                "17 true true",
            ),
            (
                "{{ civil | odata_datetime }}",
                "datetime'2026-03-29T02:03:04.5'",
            ),
            (
                "{{ instant | odata_datetime('Europe/Amsterdam') }}",
                "datetime'2026-03-29T01:30:00'",
            ),
            (
                "{{ day | odata_datetime }}",
                "datetime'2026-01-31T00:00:00'",
            ),
            (
                "{{ instant | odata_datetimeoffset }}",
                "datetimeoffset'2026-03-29T00:30:00Z'",
            ),
            (
                "{{ guid | odata_guid }}",
                "guid'0b2c3d4e-0000-4a5b-8c9d-0123456789AB'",
            ),
            (
                "{{ number | odata_int64 }} {{ '-18' | odata_int64 }}",
                "17L -18L",
            ),
            ("{{ instant | odata_v4 }}", "2026-03-29T00:30:00Z"),
            (
                "{{ '2026-03-29T01:30:00' | odata_v4('Europe/Amsterdam') }}",
                "2026-03-29T00:30:00Z",
            ),
            ("{{ day | odata_v4 }}", "2026-01-31"),
            (
                "{{ guid | odata_v4 }}",
                "0b2c3d4e-0000-4a5b-8c9d-0123456789AB",
            ),
            (
                "{{ code | odata_v4 }} {{ number | odata_v4 }}",
                "'O''Brien \"x\"' 17",
            ),
            ("{{ code | quote }}", r#""O'Brien \"x\"""#),
            ("{{ code | urlencode }}", "O%27Brien%20%22x%22"),
            (
                "{{ (code ~ ':' ~ number) | base64 }}",
                "TydCcmllbiAieCI6MTc=",
            ),
            (
                "{{ 'abc' | sha256 }}",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            ("{{ number * 2 - 1 }}", "33"),
        ];
        for (source, text) in cases {
            assert_eq!(render(source).as_deref(), Ok(text), "{source}");
        }
    }

    #[test]
    fn what_a_filter_cannot_take_is_told() {
        let cases = [
            ("{{ code | epoch }}", "is no date or time"),
            (
                "{{ civil | epoch }}",
                "`2026-03-29T02:03:04.5` is without a zone",
            ),
            ("{{ day | http_date }}", "is without a zone"),
            ("{{ civil | odata_v4 }}", "is without a zone"),
            ("{{ code | date('%Y') }}", "is no date or time"),
            ("{{ instant | date('%Y', 'X/Y') }}", "`X/Y` is no time zone"),
            ("{{ day | date('%Q') }}", "`%Q` is no format for it"),
            (
                "{{ day | shift('5 parsecs') }}",
                "`5 parsecs` is no span of time",
            ),
            ("{{ day | shift('20000 years') }}", "`20000 years` is"),
        ];
        for (source, told) in cases {
            let error = render(source).unwrap_err();
            assert!(error.contains(told), "{source}: {error}");
        }
    }
}
