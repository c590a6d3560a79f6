//! How far this machine's clock is from a server's; pure.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::http::Answer;

/// How far clocks may be apart before that is told: what we sign is refused then.
const SLACK: SignedDuration = SignedDuration::from_secs(60);

/// How far our clock is ahead of a server's, or behind it if negative; never within the slack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Skew(SignedDuration);

impl Skew {
    /// Compares our clock with the server's as its answer tells it (RFC 9110 section 6.6.1), which
    /// came `now` to a request of `sent_at`. `None` if the answer does not tell; else the skew, if
    /// there is one that the time in between does not explain.
    pub(super) fn seen(
        answer: &Answer,
        sent_at: Timestamp,
        now: Timestamp,
    ) -> Option<Option<Self>> {
        let theirs = jiff::fmt::rfc2822::parse(answer.header("date")?.trim()).ok()?;
        let theirs = theirs.timestamp();
        let nearest = theirs.clamp(sent_at.min(now), now);
        let off = nearest.duration_since(theirs);
        Some((off.abs() > SLACK).then_some(Self(off)))
    }

    /// Returns the instant `now` as the server's clock has it.
    pub(super) fn server_time(self, now: Timestamp) -> Timestamp {
        now.checked_sub(self.0).unwrap_or(now)
    }

    /// Returns true if the two are as far apart as clocks may not be.
    pub(super) fn is_other(self, other: Self) -> bool {
        (self.0 - other.0).abs() > SLACK
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.0.is_negative() {
            "behind"
        } else {
            "ahead of"
        };
        write!(
            f,
            "{} s {side} the server's",
            self.0.as_secs().unsigned_abs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeaderMap, HeaderValue};

    fn at(second: i64) -> Timestamp {
        let noon: Timestamp = "2025-03-02T12:00:00Z".parse().unwrap();
        noon + SignedDuration::from_secs(second)
    }

    /// What an answer with this date says of a request from second 0 to second 40.
    fn seen(date: &'static str) -> Option<Option<String>> {
        let mut headers = HeaderMap::new();
        headers.insert("date", HeaderValue::from_static(date));
        let answer = Answer {
            status: 200,
            headers,
            body: Vec::new().into(),
            url: "https://test.local/token".parse().unwrap(),
        };
        let skew = Skew::seen(&answer, at(0), at(40))?;
        Some(skew.map(|skew| {
            let there = skew.server_time(at(0)).duration_since(at(0)).as_secs();
            format!("{skew}, {there}")
        }))
    }

    #[test]
    fn only_what_the_exchange_itself_does_not_explain_is_a_skew() {
        for date in [
            "Sun, 02 Mar 2025 11:59:00 GMT",
            "Sun, 02 Mar 2025 12:00:20 GMT",
            "Sun, 02 Mar 2025 12:01:40 GMT",
        ] {
            assert_eq!(seen(date), Some(None), "{date}");
        }
        let behind = "61 s behind the server's, 61".to_owned();
        assert_eq!(seen("Sun, 02 Mar 2025 12:01:41 GMT"), Some(Some(behind)));
        let ahead = "3600 s ahead of the server's, -3600".to_owned();
        assert_eq!(seen("Sun, 02 Mar 2025 11:00:00 GMT"), Some(Some(ahead)));
        assert_eq!(seen("yesterday"), None);
    }
}
