//! Text with `{{ variables }}` in it, as the configuration writes it.
//!
//! Checked when the configuration is loaded, rendered when a request is made. Undefined variables
//! are errors, nothing is escaped here: whoever renders knows what the text becomes (a query value,
//! a header, a body) and encodes it. Only in a URL must the parts that came from outside be told from
//! the text around them, so [`Template::render_url`] encodes each as it is filled in.
//!
//! Besides minijinja's own there are filters for what sources want to be asked with: `date`,
//! `epoch`, `epoch_ms` for moments, `odata` for literals, and `base64` for what a login encodes.

mod tags;

use std::collections::BTreeSet;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};
use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The most work one rendering may do, in minijinja's units (about one per instruction).
const FUEL: u64 = 50_000;
/// What would end the segment or the parameter where it stands, or mean something there. The rest is
/// left as OData writes it, quotes and colons too.
pub const ENDS_A_PART: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'$')
    .remove(b',')
    .remove(b':')
    .remove(b'@')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'!')
    .remove(b'\'');

/// A piece of configuration text that may contain variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    variables: BTreeSet<String>,
}

/// Why a template is wrong, or could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong, without the template's text.
    pub message: String,
    /// Where in the template's source, in bytes, if known.
    pub range: Option<Range<usize>>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// If the text is not a valid template.
    pub fn parse(source: &str) -> Result<Self, Error> {
        tags::check(source)?;
        let environment = environment();
        let template = environment.template_from_str(source).map_err(error)?;
        let variables = template.undeclared_variables(true).into_iter().collect();
        Ok(Self {
            source: source.to_owned(),
            variables,
        })
    }

    /// Returns the text as the configuration has it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the names this template needs, such as `bookmark` or `var.division`.
    #[must_use]
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// Returns true if this template needs `name`, or a part of it.
    #[must_use]
    pub fn uses(&self, name: &str) -> bool {
        self.variables
            .iter()
            .any(|variable| variable.split('.').next() == Some(name))
    }

    /// Returns the text with the variables of `context` filled in.
    ///
    /// # Errors
    /// If a variable is missing or a filter fails.
    pub fn render(&self, context: &Value) -> Result<String, Error> {
        self.filled(context, environment())
    }

    /// Returns the text of a URL with the variables of `context` filled in, each percent-encoded so
    /// that it stays within the segment of the path, or the parameter of the query, where it stands.
    /// What the filter `safe` has marked is filled in as it is.
    ///
    /// # Errors
    /// If a variable is missing, is itself a URL, or leads out of its place in the path; or if a
    /// filter fails.
    pub fn render_url(&self, context: &Value) -> Result<String, Error> {
        let mut environment = environment();
        environment.set_formatter(formatted_for_url);
        let text = self.filled(context, environment)?;
        let path = text.split(['?', '#']).next().unwrap_or_default();
        if !self.variables.is_empty() && path.split(['/', '\\']).any(is_dots) {
            return Err(Error {
                message: "a variable makes a segment of the path `.` or `..`".to_owned(),
                range: None,
            });
        }
        Ok(text)
    }

    fn filled(&self, context: &Value, environment: Environment<'_>) -> Result<String, Error> {
        if self.variables.is_empty() && !self.source.contains("{%") && !self.source.contains("{{") {
            return Ok(self.source.clone());
        }
        environment
            .render_str(&self.source, context.clone())
            .map_err(error)
    }
}

/// Returns true for a segment that means this directory or the one above (WHATWG URL, "single-dot"
/// and "double-dot" segments).
fn is_dots(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(segment.as_str(), "." | "..")
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(formatted);
    environment.add_filter("date", date);
    environment.add_filter("epoch", |moment: &str| Ok(instant(moment)?.as_second()));
    environment.add_filter("epoch_ms", |moment: &str| {
        Ok(instant(moment)?.as_millisecond())
    });
    environment.add_filter("odata", odata);
    environment.add_filter("base64", |text: &str| BASE64.encode(text));
    environment
}

/// Writes a value as JSON and OData do: minijinja itself would write `True`.
fn formatted(
    out: &mut minijinja::Output<'_>,
    state: &mut minijinja::State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    match value.kind() {
        ValueKind::Bool => Ok(out.write_str(word(value.is_true()))?),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Writes a value so that it stays within its segment or parameter.
fn formatted_for_url(
    out: &mut minijinja::Output<'_>,
    state: &mut minijinja::State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    if value.is_safe() || value.kind() != ValueKind::String {
        return formatted(out, state, value);
    }
    let text = value.to_string();
    if text.contains("://") {
        let message = "a variable holds a whole URL; if that is meant, write `| safe` behind it";
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
    }
    Ok(write!(out, "{}", utf8_percent_encode(&text, &ENDS_A_PART))?)
}

fn word(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// `{{ bookmark | date('%Y%m%d') }}`, or `{{ now | date('%H:%M', 'Europe/Amsterdam') }}`.
///
/// A moment with a zone is shown in UTC unless another is named; one without is shown as it is.
fn date(moment: &str, format: &str, zone: Option<&str>) -> Result<String, minijinja::Error> {
    let Ok(instant) = moment.parse::<Timestamp>() else {
        let civil: DateTime = moment
            .parse()
            .map_err(|_| unfit(moment, "no date or time"))?;
        return strtime::format(format, civil).map_err(|_| unfit(format, "no format for it"));
    };
    let zone = match zone {
        Some(name) => TimeZone::get(name).map_err(|_| unfit(name, "no time zone"))?,
        None => TimeZone::UTC,
    };
    strtime::format(format, &instant.to_zoned(zone)).map_err(|_| unfit(format, "no format for it"))
}

fn instant(moment: &str) -> Result<Timestamp, minijinja::Error> {
    moment
        .parse()
        .map_err(|_| unfit(moment, "no moment with a zone"))
}

/// `{{ var.code | odata }}`: a literal as OData spells it, text in quotes and quotes doubled.
fn odata(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => format!("'{}'", value.to_string().replace('\'', "''")),
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => word(value.is_true()).to_owned(),
        _ => value.to_string(),
    }
}

fn unfit(what: &str, is: &str) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, format!("`{what}` is {is}"))
}

fn error(error: minijinja::Error) -> Error {
    let message = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    Error {
        message,
        range: error.range(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_known_before_rendering_and_must_all_be_there() {
        let template = Template::parse("/v1/{{ var.division }}/x?{{ bookmark }}").unwrap();
        assert!(template.uses("bookmark") && template.uses("var") && !template.uses("division"));
        let context = minijinja::context! { var => minijinja::context! { division => 7 } };
        assert!(
            template
                .render(&context)
                .unwrap_err()
                .message
                .contains("undefined")
        );
        let context =
            minijinja::context! { var => minijinja::context! { division => 7 }, bookmark => "b" };
        assert_eq!(template.render(&context).unwrap(), "/v1/7/x?b");
    }

    #[test]
    fn filters_spell_what_sources_ask_for() {
        let context = minijinja::context! {
            instant => "2026-03-29T00:30:00Z",
            civil => "2026-03-29T02:03:04.5",
            code => "O'Brien",
            number => 17,
            yes => true,
        };
        let cases = [
            ("{{ instant | date('%Y%m%d') }}", "20260329"),
            ("{{ instant | date('%H:%M', 'Europe/Amsterdam') }}", "01:30"),
            (
                "{{ civil | date('%Y-%m-%dT%H:%M:%S') }}",
                "2026-03-29T02:03:04",
            ),
            (
                "{{ instant | epoch }} {{ instant | epoch_ms }}",
                "1774744200 1774744200000",
            ),
            ("{{ code | odata }}", "'O''Brien'"),
            ("{{ (code ~ ':' ~ number) | base64 }}", "TydCcmllbjoxNw=="),
            (
                "{{ number | odata }} {{ yes | odata }} {{ yes }}",
                "17 true true",
            ),
        ];
        for (source, text) in cases {
            assert_eq!(
                Template::parse(source).unwrap().render(&context).unwrap(),
                text
            );
        }
        for source in [
            "{{ civil | epoch }}",
            "{{ code | date('%Y') }}",
            "{{ instant | date('%Y', 'X/Y') }}",
        ] {
            assert!(
                Template::parse(source).unwrap().render(&context).is_err(),
                "{source}"
            );
        }
    }

    #[test]
    fn what_is_filled_into_a_url_stays_in_its_place() {
        let url = |source: &str, value: &str| {
            let context = minijinja::context! { v => value, n => 7, yes => true };
            let rendered = Template::parse(source).unwrap().render_url(&context);
            rendered.map_err(|error| error.message)
        };
        let cases = [
            ("/a/{{ v }}/b", "x/y?z#w", "/a/x%2Fy%3Fz%23w/b"),
            ("/a/{{ v }}/b", "..\\c", "/a/..%5Cc/b"),
            (
                "/a/{{ v }}/b",
                "%2F ü+;&=",
                "/a/%252F%20%C3%BC%2B%3B%26%3D/b",
            ),
            ("/Items(guid'{{ v }}')", "1-2:3", "/Items(guid'1-2:3')"),
            ("/Items({{ v | odata }})", "O'B", "/Items('O''B')"),
            (
                "/x?since={{ v }}&b=1",
                "2026-01-01T00:00:00+01:00",
                "/x?since=2026-01-01T00:00:00%2B01:00&b=1",
            ),
            ("/{{ n }}/{{ yes }}", "", "/7/true"),
            (
                "{{ v | safe }}/x",
                "https://a.example/b",
                "https://a.example/b/x",
            ),
            ("/a/../b", "", "/a/../b"),
            ("/a/{{ v }}", "...", "/a/..."),
        ];
        for (source, value, expected) in cases {
            assert_eq!(
                url(source, value).as_deref(),
                Ok(expected),
                "{source} {value}"
            );
        }
        for (source, value) in [
            ("/a/{{ v }}/b", ".."),
            ("/a/{{ v }}", "."),
            ("/a/.{{ v }}/b", "."),
            ("/a/{{ v }}?b", ".."),
            ("/a/{{ v | safe }}/b", "../../x"),
            ("/a/{{ v | safe }}/b", "%2E%2e"),
            ("{{ v }}/x", "https://a.example"),
        ] {
            assert!(url(source, value).is_err(), "{source} {value}");
        }
    }

    #[test]
    fn a_broken_template_is_refused() {
        assert!(Template::parse("{{ bookmark").is_err());
    }
}
