//! The claims of a token, as JSON has them (RFC 7519 section 4.1).

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::{IdTokenError, LONGEST_TEXT};

pub(super) struct Claims(pub Map<String, Value>);

impl Claims {
    /// Returns a claim; one that is null is not there.
    pub(super) fn get(&self, claim: &str) -> Option<&Value> {
        self.0.get(claim).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.get(claim)?.as_str()
    }

    /// Returns a claim that is a text or an array of texts.
    pub(super) fn texts(&self, claim: &str) -> Option<Vec<&str>> {
        match self.get(claim)? {
            Value::String(text) => Some(vec![text]),
            Value::Array(texts) => texts.iter().map(Value::as_str).collect(),
            _ => None,
        }
    }

    pub(super) fn required_text(&self, claim: &'static str) -> Result<&str, IdTokenError> {
        self.text(claim).ok_or(IdTokenError::Claim { claim })
    }

    /// Returns a claim that is a `NumericDate`: seconds, perhaps with a fraction, since 1970. What
    /// lies beyond all time, as "never" does for some servers, is held at its end.
    pub(super) fn required_time(&self, claim: &'static str) -> Result<Timestamp, IdTokenError> {
        self.get(claim)
            .and_then(Value::as_f64)
            .map(|seconds| seconds.clamp(end(Timestamp::MIN), end(Timestamp::MAX)))
            .and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
            .and_then(|since| Timestamp::from_duration(since).ok())
            .ok_or(IdTokenError::Claim { claim })
    }
}

fn end(of_time: Timestamp) -> f64 {
    // Exact: it takes fewer bits than a float has.
    of_time.as_second() as f64
}

/// Returns text from outside with nothing in it that moves a cursor, and not endless.
pub(super) fn fit_to_show(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(LONGEST_TEXT)
        .collect::<String>()
        .trim()
        .to_owned()
}
