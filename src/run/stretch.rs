//! Which part of a cursor's line a read covers, and which one comes after it; pure.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::reach::Order;
use crate::config::Cursor;
use crate::record::CursorValue;

/// How far ahead of UTC the furthest place on Earth is: until when something may have changed by a
/// wall clock of an unknown zone.
const FURTHEST_AHEAD: SignedDuration = SignedDuration::from_hours(14);

/// What one read asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stretch {
    /// From where on; everything if nothing is said.
    pub(super) since: Option<CursorValue>,
    /// Up to where.
    pub(super) until: CursorValue,
    /// In which order it comes.
    pub(super) order: Order,
}

/// The stretches of one run, one after the other.
#[derive(Debug)]
pub(super) struct Stretches<'a> {
    cursor: Option<&'a Cursor>,
    before: Option<CursorValue>,
    zone: Option<TimeZone>,
    /// The moment the run began, as the cursor has it. No stretch reaches further.
    until: CursorValue,
}

impl<'a> Stretches<'a> {
    /// Lays out a run that began at `began`, where the bookmark stood at `before`. `zone` is the one
    /// of the source's wall clock.
    pub(super) fn new(
        cursor: Option<&'a Cursor>,
        before: Option<CursorValue>,
        began: Timestamp,
        zone: Option<TimeZone>,
    ) -> Self {
        let model = before
            .as_ref()
            .or(cursor.and_then(|cursor| cursor.start.as_ref()));
        let format = cursor.and_then(|cursor| cursor.format.as_ref());
        let is_wall_clock = match (model, format) {
            (_, Some(format)) => format.is_wall_clock(),
            (Some(model), None) => matches!(model, CursorValue::Civil(_)),
            (None, None) => false,
        };
        // Without its fraction, so that a question "up to now" never reaches into the future.
        let began = Timestamp::from_second(began.as_second()).unwrap_or(began);
        let until = match is_wall_clock {
            true => CursorValue::Civil(wall_clock(began, zone.as_ref())),
            false => CursorValue::Instant(began),
        };
        // A window is measured from the bookmark; one of another kind is about another cursor.
        let has_windows = cursor.is_some_and(|cursor| cursor.window.is_some());
        let before = before.filter(|before| !has_windows || before.partial_cmp(&until).is_some());
        Self {
            cursor,
            before,
            zone,
            until,
        }
    }

    /// Returns what is read first; `None` if that lies in the future.
    pub(super) fn first(&self) -> Option<Stretch> {
        let start = self.cursor.and_then(|cursor| cursor.start.as_ref());
        let start = start.map(|start| self.fitting(start));
        let since = match (self.cursor, &self.before) {
            (Some(cursor), Some(before)) => Some(before.back(cursor.lookback)),
            _ => start.clone(),
        };
        let Some(cursor) = self.cursor else {
            return Some(self.rest(since, Order::Any));
        };
        Some(match cursor.window {
            Some(window) => {
                let from = self.before.clone().or(start);
                if from.as_ref().is_some_and(|from| *from > self.until) {
                    return None;
                }
                self.window(since, from, window)
            }
            None if cursor.newest_first => self.rest(since.clone(), Order::NewestFirst(since)),
            None if cursor.ordered => self.rest(since, Order::Ascending),
            None => self.rest(since, Order::Any),
        })
    }

    /// Returns what is read once `done` was read whole; `None` if that was all.
    pub(super) fn after(&self, done: &Stretch) -> Option<Stretch> {
        let window = self.cursor?.window?;
        let from = Some(done.until.clone());
        (done.until < self.until).then(|| self.window(from.clone(), from, window))
    }

    fn rest(&self, since: Option<CursorValue>, order: Order) -> Stretch {
        Stretch {
            since,
            until: self.until.clone(),
            order,
        }
    }

    /// Returns the window from `from` on, cut off where the run began. The lookback lets it ask for
    /// more than that.
    fn window(
        &self,
        since: Option<CursorValue>,
        from: Option<CursorValue>,
        window: Span,
    ) -> Stretch {
        let end = from.and_then(|from| self.add(&from, window));
        let until = match end {
            Some(end) if end < self.until => end,
            _ => self.until.clone(),
        };
        Stretch {
            since,
            order: Order::Window(until.clone()),
            until,
        }
    }

    /// Adds days and months as the zone's calendar has them.
    fn add(&self, from: &CursorValue, span: Span) -> Option<CursorValue> {
        match from {
            CursorValue::Instant(at) => {
                let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
                let end = at.to_zoned(zone).checked_add(span).ok()?;
                Some(CursorValue::Instant(end.timestamp()))
            }
            CursorValue::Civil(at) => at.checked_add(span).ok().map(CursorValue::Civil),
            CursorValue::Integer(_) | CursorValue::Text(_) => None,
        }
    }

    /// Returns a configured start as the source's own values are, with a zone or without.
    fn fitting(&self, start: &CursorValue) -> CursorValue {
        let zone = || self.zone.clone().unwrap_or(TimeZone::UTC);
        match (start, &self.until) {
            (CursorValue::Instant(at), CursorValue::Civil(_)) => {
                CursorValue::Civil(zone().to_datetime(*at))
            }
            (CursorValue::Civil(at), CursorValue::Instant(_)) => match zone().to_timestamp(*at) {
                Ok(at) => CursorValue::Instant(at),
                Err(_) => start.clone(),
            },
            _ => start.clone(),
        }
    }
}

/// Returns the wall-clock time of a moment, in an unknown zone the latest there is anywhere.
fn wall_clock(at: Timestamp, zone: Option<&TimeZone>) -> DateTime {
    match zone {
        Some(zone) => zone.to_datetime(at),
        None => TimeZone::UTC.to_datetime(at).saturating_add(FURTHEST_AHEAD),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::CursorFormat;

    fn cursor(window: Option<&str>, start: Option<&str>) -> Cursor {
        Cursor {
            field: "at".parse().unwrap(),
            filter: None,
            lookback: Duration::from_secs(300),
            start: start.map(CursorValue::read),
            ordered: false,
            newest_first: false,
            format: None,
            window: window.map(|window| window.parse().unwrap()),
        }
    }

    /// Returns the stretches of a run as `since..until`.
    fn laid_out(cursor: &Cursor, before: Option<&str>, began: &str, zone: &str) -> Vec<String> {
        let zone = (!zone.is_empty()).then(|| TimeZone::get(zone).unwrap());
        let before = before.map(CursorValue::read);
        let stretches = Stretches::new(Some(cursor), before, began.parse().unwrap(), zone);
        let mut all = Vec::new();
        let mut next = stretches.first();
        while let Some(stretch) = next {
            let since = stretch.since.as_ref().map(ToString::to_string);
            all.push(format!("{}..{}", since.unwrap_or_default(), stretch.until));
            next = stretches.after(&stretch);
        }
        all
    }

    #[test]
    fn without_windows_there_is_one_stretch_up_to_the_moment_the_run_began() {
        let began = "2026-07-01T12:00:00.5Z";
        let plain = cursor(None, None);
        assert_eq!(
            laid_out(&plain, None, began, ""),
            ["..2026-07-01T12:00:00Z"]
        );
        let after = laid_out(&plain, Some("2026-07-01T11:00:00Z"), began, "");
        assert_eq!(after, ["2026-07-01T10:55:00Z..2026-07-01T12:00:00Z"]);
        // A wall clock: as late as it may be anywhere, or what it is in the source's zone.
        let wall_clock = |zone| laid_out(&plain, Some("2026-07-01T11:00:00"), began, zone);
        assert_eq!(wall_clock(""), ["2026-07-01T10:55:00..2026-07-02T02:00:00"]);
        assert_eq!(
            wall_clock("Europe/Amsterdam"),
            ["2026-07-01T10:55:00..2026-07-01T14:00:00"]
        );
    }

    #[test]
    fn windows_leave_no_gap_and_end_where_the_run_began() {
        let monthly = cursor(Some("1 month"), Some("2026-01-31T00:00:00Z"));
        assert_eq!(
            laid_out(&monthly, None, "2026-04-02T00:00:00Z", ""),
            [
                "2026-01-31T00:00:00Z..2026-02-28T00:00:00Z",
                "2026-02-28T00:00:00Z..2026-03-28T00:00:00Z",
                "2026-03-28T00:00:00Z..2026-04-02T00:00:00Z",
            ]
        );
        let resumed = laid_out(
            &monthly,
            Some("2026-03-28T00:00:00Z"),
            "2026-04-29T00:00:00Z",
            "",
        );
        assert_eq!(
            resumed,
            [
                "2026-03-27T23:55:00Z..2026-04-28T00:00:00Z",
                "2026-04-28T00:00:00Z..2026-04-29T00:00:00Z",
            ]
        );
        let future = cursor(Some("1 day"), Some("2027-01-01T00:00:00Z"));
        assert!(laid_out(&future, None, "2026-04-02T00:00:00Z", "").is_empty());
        // A bookmark that is no time was left by another cursor.
        let other = laid_out(&monthly, Some("4711"), "2026-02-02T00:00:00Z", "");
        assert_eq!(other, ["2026-01-31T00:00:00Z..2026-02-02T00:00:00Z"]);
    }

    #[test]
    fn a_day_is_a_day_of_the_zone_also_when_the_clock_is_set() {
        let daily = cursor(Some("1 day"), Some("2026-10-24T00:00:00+02:00"));
        assert_eq!(
            laid_out(&daily, None, "2026-10-26T12:00:00Z", "Europe/Amsterdam"),
            [
                "2026-10-23T22:00:00Z..2026-10-24T22:00:00Z",
                "2026-10-24T22:00:00Z..2026-10-25T23:00:00Z", // has 25 hours
                "2026-10-25T23:00:00Z..2026-10-26T12:00:00Z",
            ]
        );
    }

    #[test]
    fn a_start_is_written_as_the_source_writes_its_values() {
        let mut cursor = cursor(None, Some("2026-01-01T00:00:00Z"));
        cursor.format = Some("%d-%m-%Y %H:%M".parse().unwrap());
        assert_eq!(
            laid_out(&cursor, None, "2026-07-01T12:00:00Z", "Europe/Amsterdam"),
            ["2026-01-01T01:00:00..2026-07-01T14:00:00"]
        );
        cursor.format = Some(CursorFormat::Epoch);
        cursor.start = Some(CursorValue::read("2026-01-01"));
        assert_eq!(
            laid_out(&cursor, None, "2026-07-01T12:00:00Z", "Europe/Amsterdam"),
            ["2025-12-31T23:00:00Z..2026-07-01T12:00:00Z"]
        );
    }
}
