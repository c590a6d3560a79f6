//! Which slots a flow has; pure.
//!
//! A cron rule is read by the wall clock of its zone, and twice a year that clock is no guide. Two
//! kinds of rule are told apart by how they are written:
//!
//! - A rule that names its times (`30 2,14 * * *`) means each of them once a day. A time that the
//!   clock skips is taken when the gap ends; one that comes twice is taken the first time.
//! - A rule with `*` among its times (`*/15 * * * *`) means a rhythm, which goes on through a
//!   doubled hour and has nothing in a skipped one.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// The smallest step of time.
const TICK: SignedDuration = SignedDuration::from_nanos(1);

/// The rule that names a flow's slots.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// A cron rule of five fields (minute first) or six (second first), in a time zone.
    Cron {
        /// The rule.
        rule: Box<croner::Cron>,
        /// Its zone.
        zone: TimeZone,
    },
    /// A fixed interval, counted from the Unix epoch so that it names the same slots after a restart.
    Every(Duration),
}

impl Schedule {
    /// Returns the first slot after `after`, or `None` if there is none.
    ///
    /// A slot inside the hour that daylight saving skips moves to the end of the gap;
    /// a slot in the doubled hour is taken once, the first time.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let slot = match self {
            Self::Every(interval) => multiple_after(*interval, after),
            Self::Cron { rule, zone } if is_rhythm(rule) => {
                let after = after.to_zoned(zone.clone());
                rule.find_next_occurrence(&after, false)
                    .ok()
                    .map(|slot| slot.timestamp())
            }
            Self::Cron { rule, zone } => named_time_after(rule, zone, after),
        };
        debug_assert!(
            slot.is_none_or(|slot| slot > after),
            "{slot:?} is not after {after}"
        );
        // Whoever walks from slot to slot counts on getting further.
        slot.filter(|slot| *slot > after)
    }

    /// Returns the last slot in `(after, until]`, or `None` if there is none.
    ///
    /// The cost grows with the logarithm of the time between, not with the number of slots in it.
    #[must_use]
    pub fn last_between(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let in_reach = |from| self.next_after(from).filter(|slot| *slot <= until);
        let mut last = in_reach(after)?;
        // The last slot lies in `[last, end]`, a range that halves each time round.
        let mut end = until;
        while last < end {
            let middle = halfway(last, end);
            match in_reach(middle) {
                Some(later) => last = later,
                None => end = middle,
            }
        }
        Some(last)
    }
}

/// Returns the first multiple of `interval`, counted from the epoch, after `after`.
fn multiple_after(interval: Duration, after: Timestamp) -> Option<Timestamp> {
    let interval = i128::try_from(interval.as_nanos())
        .ok()
        .filter(|nanos| *nanos > 0)?;
    let passed = after.as_nanosecond().div_euclid(interval);
    Timestamp::from_nanosecond((passed + 1).checked_mul(interval)?).ok()
}

/// Returns the instant in the middle, rounded towards `from`.
fn halfway(from: Timestamp, to: Timestamp) -> Timestamp {
    let nanos = (from.as_nanosecond() + to.as_nanosecond()).div_euclid(2);
    Timestamp::from_nanosecond(nanos).unwrap_or(from)
}

/// Tells whether a rule names a rhythm rather than times of day.
fn is_rhythm(rule: &croner::Cron) -> bool {
    /// Day of month, month, day of week.
    const DATE_FIELDS: usize = 3;
    let fields: Vec<&str> = rule.as_str().split_whitespace().collect();
    let times = fields.len().saturating_sub(DATE_FIELDS);
    fields[..times].iter().any(|field| field.contains('*'))
}

/// Searches the wall clock, which knows no gaps and no folds, and only then asks the zone when
/// that time is. [`instant_of`] never goes back while the wall clock goes on, so the first time
/// of the rule that has not passed is the next slot.
fn named_time_after(rule: &croner::Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let passed = wall_clock_passed(zone, after);
    instant_of(rule.find_next_occurrence(&passed, false).ok()?, zone)
}

/// Returns the latest wall clock time that [`instant_of`] does not put after `at`.
fn wall_clock_passed(zone: &TimeZone, at: Timestamp) -> DateTime {
    let wall = zone.to_datetime(at);
    let ambiguous = zone.to_ambiguous_timestamp(wall);
    let AmbiguousOffset::Fold { before, .. } = ambiguous.offset() else {
        return wall;
    };
    if ambiguous.earlier().is_ok_and(|first| at <= first) {
        return wall;
    }
    // The clock has gone back, and what it shows again until the end of the fold is taken already.
    let just_after = at.checked_add(TICK).unwrap_or(at);
    zone.preceding(just_after)
        .next()
        .map(|change| before.to_datetime(change.timestamp()))
        .and_then(|end_of_fold| end_of_fold.checked_sub(TICK).ok())
        .unwrap_or(wall)
}

/// Returns when a wall clock in `zone` shows `wall`: the first time if it does so twice, at the
/// end of the gap if it never does.
fn instant_of(wall: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(wall);
    let AmbiguousOffset::Gap { after, .. } = ambiguous.offset() else {
        return ambiguous.earlier().ok();
    };
    // Read with the offset that holds after the gap, a time within it lies before the change.
    let before_change = after.to_timestamp(wall).ok()?;
    zone.following(before_change)
        .next()
        .map(|change| change.timestamp())
}

#[cfg(test)]
mod tests;
