//! Which failure may be tried again, and when.
//!
//! Only reading is done here, so any request may be repeated; what a repeat can gain decides. A
//! source that refuses us is not asked again: some block a client after a handful of refusals.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::clock;
use crate::http::HeaderMap;

/// How often one page is asked for in all. With the waits below this bridges a hiccup of a minute;
/// an outage is left to the next run.
pub(super) const TRIES: u32 = 5;
/// The longest wait before the second try.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// How much longer each wait may be than the one before.
const GROWTH: u32 = 3;
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What an answer's status asks of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Read the body.
    Page,
    /// There is no body, and so no record.
    Empty,
    /// Come back with another access token.
    Unauthorized,
    /// It may work later.
    Later,
    /// It will not work: this access token may not read this.
    Forbidden,
    /// It will not work like this.
    Refused,
    /// It is elsewhere; we do not follow.
    Redirected,
}

/// Sorts an answer by its status.
pub(super) fn verdict(status: u16, headers: &HeaderMap) -> Verdict {
    match status {
        204 | 205 => Verdict::Empty,
        200..=299 => Verdict::Page,
        300..=399 => Verdict::Redirected,
        401 => Verdict::Unauthorized,
        // Some sources say "forbidden" where they mean "too many".
        403 if headers.contains_key("retry-after") || is_spent(headers) => Verdict::Later,
        403 => Verdict::Forbidden,
        408 | 425 | 429 | 500..=599 => Verdict::Later,
        _ => Verdict::Refused,
    }
}

fn is_spent(headers: &HeaderMap) -> bool {
    headers
        .get("x-ratelimit-remaining")
        .is_some_and(|remaining| remaining == "0")
}

/// Returns how long to wait before trying again after `tries` failed ones, or `None` if that was
/// enough.
///
/// Full jitter: anywhere between nothing and a bound that grows, so that flows that failed together
/// do not come back together. `seed` names the request, and the same seed gives the same waits.
pub(super) fn wait(tries: u32, seed: &str) -> Option<Duration> {
    if tries >= TRIES {
        return None;
    }
    let growth = GROWTH.saturating_pow(tries.saturating_sub(1));
    let bound = FIRST_WAIT.saturating_mul(growth).min(LONGEST_WAIT);
    let mut hasher = DefaultHasher::new();
    (seed, tries).hash(&mut hasher);
    let share = (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64;
    Some(bound.mul_f64(share))
}

/// Reads `Retry-After`: seconds, or an HTTP date (RFC 9110 section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        let wait = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
        return Some(clock::after(now, wait));
    }
    rfc2822::parse(text).ok().map(|date| date.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<const N: usize>(pairs: [(&'static str, &str); N]) -> HeaderMap {
        pairs
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_what_may_succeed_later_is_tried_again() {
        let none = headers([]);
        let cases = [
            (200, Verdict::Page),
            (203, Verdict::Page),
            (204, Verdict::Empty),
            (301, Verdict::Redirected),
            (304, Verdict::Redirected),
            (400, Verdict::Refused),
            (401, Verdict::Unauthorized),
            (403, Verdict::Forbidden),
            (404, Verdict::Refused),
            (408, Verdict::Later),
            (410, Verdict::Refused),
            (429, Verdict::Later),
            (500, Verdict::Later),
            (503, Verdict::Later),
            (599, Verdict::Later),
        ];
        for (status, expected) in cases {
            assert_eq!(verdict(status, &none), expected, "{status}");
        }
        assert_eq!(
            verdict(403, &headers([("retry-after", "60")])),
            Verdict::Later
        );
        assert_eq!(
            verdict(403, &headers([("x-ratelimit-remaining", "0")])),
            Verdict::Later
        );
        assert_eq!(
            verdict(403, &headers([("x-ratelimit-remaining", "9")])),
            Verdict::Forbidden
        );
    }

    #[test]
    fn waits_grow_differ_and_end() {
        let seed = "https://api.example.com/items";
        for (tries, bound) in [(1, 2), (2, 6), (3, 18), (4, 54)] {
            let first = wait(tries, seed).unwrap();
            assert!(first <= Duration::from_secs(bound), "{tries}: {first:?}");
            assert_eq!(wait(tries, seed).unwrap(), first);
            assert_ne!(wait(tries, "https://api.example.com/other").unwrap(), first);
        }
        assert_eq!(wait(TRIES, seed), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let cases = [
            ("120", Some("2026-03-01T10:02:00Z")),
            ("1.5", Some("2026-03-01T10:00:01.5Z")),
            ("-3", Some("2026-03-01T10:00:00Z")),
            (
                "Sun, 01 Mar 2026 11:00:00 GMT",
                Some("2026-03-01T11:00:00Z"),
            ),
            (
                "Sun, 01 Mar 2026 09:00:00 GMT",
                Some("2026-03-01T09:00:00Z"),
            ),
            ("soon", None),
            ("inf", None),
        ];
        for (text, at) in cases {
            let at = at.map(|at| at.parse().unwrap());
            assert_eq!(
                retry_after(&headers([("retry-after", text)]), now),
                at,
                "{text}"
            );
        }
    }
}
