//! A window a source tells about in its headers.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{LONGEST_WAIT, Spent};
use crate::clock;
use crate::fetch::Reason;
use crate::http::HeaderMap;

/// What is left of a window we would have to park for, so that people and other programs that
/// share the quota are not locked out by us.
const RESERVE: u64 = 1;
/// Windows with fewer calls than this have none to spare.
const RESERVED_FROM: u64 = 100;
/// Two ends of a window closer than this are the same end, told with another rounding.
const SAME_END: SignedDuration = SignedDuration::from_secs(2);
/// A family of headers that tells about one window.
pub(super) struct Family {
    /// What its headers begin with.
    pub(super) prefix: &'static str,
    /// The window's length, where the name says it.
    length: Option<Duration>,
}

/// The families we know.
pub(super) const FAMILIES: [Family; 4] = [
    Family {
        prefix: "x-ratelimit-minutely-",
        length: Some(Duration::from_secs(60)),
    },
    Family {
        prefix: "x-ratelimit-",
        length: None,
    },
    Family {
        prefix: "ratelimit-",
        length: None,
    },
    Family {
        prefix: "x-rate-limit-",
        length: None,
    },
];

/// A window the source told us about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) limit: Option<u64>,
    pub(super) remaining: u64,
    pub(super) resets_at: Timestamp,
}

impl Family {
    /// Reads what an answer tells, if it tells when the window ends.
    pub(super) fn read(&self, now: Timestamp, headers: &HeaderMap) -> Option<Window> {
        let header = |name: &str| number(headers, &format!("{}{name}", self.prefix));
        let remaining = header("remaining")? as u64;
        let resets_at = match (header("reset"), self.length) {
            (Some(reset), _) => moment(now, reset)?,
            (None, Some(length)) => clock::after(now, length),
            (None, None) => return None,
        };
        let limit = header("limit").map(|limit| limit as u64);
        Some(Window {
            limit,
            remaining,
            resets_at,
        })
    }
}

/// Reads the number a header begins with; some append parameters or a list.
fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    let text = headers.get(name)?.to_str().ok()?;
    let digits = text.trim().split([',', ';', ' ']).next()?;
    digits
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
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

impl Window {
    /// Returns what is known after `later` told of the same family.
    pub(super) fn updated(&self, mut later: Self) -> Self {
        let apart = later.resets_at.duration_since(self.resets_at);
        // Within a window less is left all the time. A greater number is an answer that was
        // overtaken by another, or leaves out the calls now under way.
        if apart.abs() <= SAME_END {
            later.remaining = later.remaining.min(self.remaining);
        }
        later
    }

    /// Says until when no call may be made, if none may.
    pub(super) fn spent(&self, now: Timestamp) -> Option<Spent> {
        let is_long = clock::until(now, self.resets_at) > LONGEST_WAIT;
        let has_spare = self.limit.is_some_and(|limit| limit >= RESERVED_FROM);
        let reserve = if is_long && has_spare { RESERVE } else { 0 };
        let reason = Reason::Window { calls: self.limit };
        (self.remaining <= reserve).then_some(Spent {
            until: self.resets_at,
            reason,
        })
    }
}
