//! What headers tell about a source's windows.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderName;

use super::window::Window;
use crate::clock;
use crate::config::{Left, LimitHeaders};
use crate::http::HeaderMap;

/// The header of the IETF's draft on rate limits, in its later form: one header for all windows.
const STRUCTURED: &str = "ratelimit";
/// The most windows that are believed of one such header.
const MOST: usize = 8;

/// Returns the headers that are known to everybody, and those of the configuration, which count
/// first.
pub(super) fn families(configured: &[LimitHeaders]) -> Vec<LimitHeaders> {
    let minute = Some(Duration::from_secs(60));
    let known = [
        ("x-ratelimit-minutely-", minute),
        ("x-ratelimit-", None),
        ("ratelimit-", None),
        ("x-rate-limit-", None),
    ];
    let known = known.into_iter().filter_map(|(prefix, per)| {
        let header = |name: &str| HeaderName::try_from(format!("{prefix}{name}")).ok();
        Some(LimitHeaders {
            left: Left::Remaining(header("remaining")?),
            limit: header("limit"),
            reset: header("reset"),
            per,
        })
    });
    let mut families = configured.to_vec();
    let own = |known: &LimitHeaders| {
        let header = known.left.header();
        configured.iter().all(|own| own.left.header() != header)
    };
    families.extend(known.filter(own));
    families
}

/// Returns the windows an answer tells of, each with the name it goes by.
pub(super) fn told(
    families: &[LimitHeaders],
    now: Timestamp,
    headers: &HeaderMap,
) -> Vec<(String, Window)> {
    let by_family = families.iter().filter_map(|family| {
        let window = read(family, now, headers)?;
        Some((family.left.header().to_string(), window))
    });
    by_family.chain(structured(now, headers)).collect()
}

/// Reads what an answer tells of one window, if it tells when the window ends.
fn read(family: &LimitHeaders, now: Timestamp, headers: &HeaderMap) -> Option<Window> {
    let (remaining, limit) = match &family.left {
        Left::Remaining(name) => {
            let limit = family.limit.as_ref().and_then(|name| number(headers, name));
            (
                number(headers, name)? as u64,
                limit.map(|limit| limit as u64),
            )
        }
        Left::Usage(name) => {
            let (used, limit) = usage(headers, name)?;
            (limit.saturating_sub(used), Some(limit))
        }
    };
    let reset = family.reset.as_ref().and_then(|name| number(headers, name));
    let resets_at = match (reset, family.per) {
        (Some(reset), _) => moment(now, reset)?,
        (None, Some(per)) => clock::after(now, per),
        (None, None) => return None,
    };
    Some(Window {
        limit,
        remaining,
        resets_at,
    })
}

/// Reads `RateLimit: "minute";r=58;t=12, "day";r=4000;t=3600` (draft-ietf-httpapi-ratelimit-headers).
fn structured(now: Timestamp, headers: &HeaderMap) -> Vec<(String, Window)> {
    let text = headers.get(STRUCTURED).and_then(|text| text.to_str().ok());
    let items = text.unwrap_or_default().split(',').take(MOST);
    let window = |item: &str| {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next()?.trim_matches('"').to_owned();
        let mut remaining = None;
        let mut seconds = None;
        for part in parts {
            match part.split_once('=')? {
                ("r", value) => remaining = value.parse().ok(),
                ("t", value) => seconds = value.parse().ok(),
                _ => {}
            }
        }
        let window = Window {
            limit: None,
            remaining: remaining?,
            resets_at: clock::after(now, Duration::from_secs(seconds?)),
        };
        Some((format!("{STRUCTURED} {name}"), window))
    };
    items.filter_map(window).collect()
}

/// Reads the number a header begins with; some append parameters or a list.
fn number(headers: &HeaderMap, name: &HeaderName) -> Option<f64> {
    let text = headers.get(name)?.to_str().ok()?;
    let digits = text.trim().split([',', ';', ' ']).next()?;
    digits
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

/// Reads `18/5000`, wherever it stands: Salesforce writes `api-usage=18/5000`.
fn usage(headers: &HeaderMap, name: &HeaderName) -> Option<(u64, u64)> {
    let text = headers.get(name)?.to_str().ok()?;
    let (used, limit) = text.split_once('/')?;
    let is_digit = |letter: char| letter.is_ascii_digit();
    let used = used.trim_end().rsplit(|letter| !is_digit(letter)).next()?;
    let limit = limit
        .trim_start()
        .split(|letter| !is_digit(letter))
        .next()?;
    Some((used.parse().ok()?, limit.parse().ok()?))
}

/// Reads a reset as sources write it: Unix time in milliseconds or seconds, or seconds from now.
fn moment(now: Timestamp, reset: f64) -> Option<Timestamp> {
    /// As milliseconds this is 1973, as seconds the year 5138.
    const MILLISECONDS_FROM: f64 = 1e11;
    /// As Unix time this is 2001, as a delay 31 years.
    const UNIX_TIME_FROM: f64 = 1e9;
    if reset > MILLISECONDS_FROM {
        Timestamp::from_millisecond(reset as i64).ok()
    } else if reset > UNIX_TIME_FROM {
        Timestamp::from_millisecond((reset * 1e3) as i64).ok()
    } else {
        Some(clock::after(now, Duration::try_from_secs_f64(reset).ok()?))
    }
}
