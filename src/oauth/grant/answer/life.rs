//! How long tokens live, in all the ways servers say it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use super::message::Message;
use crate::clock;

/// The longest life we believe.
pub(in crate::oauth) const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// From here on a number is an instant, in seconds since 1970: a life would be 31 years.
const INSTANTS: f64 = 1e9;
/// From here on it is in milliseconds: in seconds it would be the year 5138.
const MILLISECONDS: f64 = 1e11;

/// Returns the life of the access token as the answer states it, if it does.
pub(super) fn of_access_token(message: &Message, now: Timestamp) -> Option<Duration> {
    let life = message.expires_in.as_deref().and_then(seconds);
    let ends = [&message.expires_on, &message.expires_at, &message.expires];
    life.or_else(|| {
        ends.into_iter()
            .find_map(|stated| stated.as_deref().and_then(|stated| until(stated, now)))
    })
}

/// Returns the life of the refresh token as the answer states it, if it does.
pub(super) fn of_refresh_token(message: &Message) -> Option<Duration> {
    [
        &message.refresh_token_expires_in,
        &message.refresh_expires_in,
        &message.x_refresh_token_expires_in,
    ]
    .into_iter()
    .filter_map(|stated| stated.as_deref().and_then(seconds))
    // Zero is how some servers say that it has no end of its own.
    .find(|life| !life.is_zero())
}

/// Reads a number of seconds: a number, or text that holds one; less than zero is zero.
fn seconds(stated: &RawValue) -> Option<Duration> {
    bounded(bare(stated).parse().ok()?)
}

/// Reads the instant at which something ends as the time until then: in seconds or milliseconds
/// since 1970, or as a date, in UTC unless it says otherwise. A number too small for an instant is
/// a life all the same.
fn until(stated: &RawValue, now: Timestamp) -> Option<Duration> {
    let text = bare(stated);
    if let Ok(number) = text.parse::<f64>() {
        let since = now.as_millisecond() as f64 / 1e3;
        return bounded(match number {
            ..INSTANTS => number,
            ..MILLISECONDS => number - since,
            _ => number / 1e3 - since,
        });
    }
    let ends = text.parse::<Timestamp>().ok().or_else(|| {
        let plain: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(plain).ok()
    })?;
    Some(clock::until(now, ends).min(LONGEST_LIFE))
}

/// Returns what stands between the quotes, if there are any.
fn bare(stated: &RawValue) -> &str {
    stated.get().trim_matches('"').trim()
}

fn bounded(seconds: f64) -> Option<Duration> {
    let longest = LONGEST_LIFE.as_secs_f64();
    (!seconds.is_nan()).then(|| Duration::from_secs_f64(seconds.clamp(0.0, longest)))
}
