//! How much the service puts up with: calls a minute and a day, and errors an hour.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock;

use super::settings::Settings;

/// Over how long errors are counted, and how long an endpoint that had too many is blocked.
const ERROR_WINDOW: Duration = Duration::from_secs(60 * 60);

/// Calls of one division, counted in windows of fixed length.
#[derive(Debug, Default)]
pub(super) struct Calls {
    minute: Window,
    day: Window,
}

#[derive(Debug, Default)]
struct Window {
    number: i64,
    used: u32,
}

/// What a call's answer says about the windows it fell into.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Whether the call may go on.
    pub allowed: bool,
    /// Header names and their values.
    pub headers: Vec<(&'static str, i64)>,
}

impl Calls {
    /// Counts a call. A refused one is not counted, and tells of the spent window only.
    pub(super) fn count(&mut self, settings: &Settings, now: Timestamp) -> Counted {
        let minute = self.minute.at(now, 60);
        let day = self.day.at(now, 24 * 60 * 60);
        let minute_left = settings.calls_per_minute.saturating_sub(self.minute.used);
        let day_left = settings.calls_per_day.saturating_sub(self.day.used);
        let allowed = minute_left > 0 && day_left > 0;
        let taken = u32::from(allowed);
        self.minute.used += taken;
        self.day.used += taken;
        let mut headers = Vec::new();
        if allowed || day_left == 0 {
            headers.extend([
                ("x-ratelimit-limit", settings.calls_per_day.into()),
                ("x-ratelimit-remaining", (day_left - taken).into()),
                ("x-ratelimit-reset", day),
            ]);
        }
        if allowed || day_left > 0 {
            headers.extend([
                (
                    "x-ratelimit-minutely-limit",
                    settings.calls_per_minute.into(),
                ),
                (
                    "x-ratelimit-minutely-remaining",
                    (minute_left - taken).into(),
                ),
                ("x-ratelimit-minutely-reset", minute),
            ]);
        }
        Counted { allowed, headers }
    }
}

impl Window {
    /// Moves to the window `now` is in; returns when that ends, in milliseconds of the epoch.
    fn at(&mut self, now: Timestamp, length_s: i64) -> i64 {
        let number = now.as_second().div_euclid(length_s);
        if number != self.number {
            *self = Self { number, used: 0 };
        }
        (number + 1) * length_s * 1000
    }
}

/// Errors of each endpoint of each division.
#[derive(Debug, Default)]
pub(super) struct Errors(HashMap<(i32, &'static str), Strikes>);

#[derive(Debug, Default)]
struct Strikes {
    at: VecDeque<Timestamp>,
    blocked_until: Option<Timestamp>,
}

impl Errors {
    /// Tells whether an endpoint takes no calls now.
    pub(super) fn blocks(&self, division: i32, endpoint: &'static str, now: Timestamp) -> bool {
        let strikes = self.0.get(&(division, endpoint));
        strikes
            .and_then(|strikes| strikes.blocked_until)
            .is_some_and(|until| now < until)
    }

    /// Counts an error, and blocks the endpoint if it was one too many.
    pub(super) fn count(
        &mut self,
        division: i32,
        endpoint: &'static str,
        most: usize,
        now: Timestamp,
    ) {
        let strikes = self.0.entry((division, endpoint)).or_default();
        strikes
            .at
            .retain(|at| now < clock::after(*at, ERROR_WINDOW));
        strikes.at.push_back(now);
        if strikes.at.len() >= most {
            strikes.at.clear();
            strikes.blocked_until = Some(clock::after(now, ERROR_WINDOW));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        clock::after(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds))
    }

    fn names(counted: &Counted) -> Vec<&'static str> {
        counted.headers.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn a_spent_minute_tells_of_the_minute_only() {
        let settings = Settings {
            calls_per_minute: 2,
            calls_per_day: 9,
            ..Settings::default()
        };
        let mut calls = Calls::default();
        let first = calls.count(&settings, at(5));
        assert_eq!(first.headers[1], ("x-ratelimit-remaining", 8));
        assert_eq!(first.headers[4], ("x-ratelimit-minutely-remaining", 1));
        assert_eq!(first.headers[5], ("x-ratelimit-minutely-reset", 60_000));
        assert!(calls.count(&settings, at(59)).allowed);
        let refused = calls.count(&settings, at(59));
        assert!(!refused.allowed);
        assert_eq!(refused.headers[0], ("x-ratelimit-minutely-limit", 2));
        assert_eq!(refused.headers.len(), 3);
        assert!(calls.count(&settings, at(60)).allowed);
    }

    #[test]
    fn a_spent_day_tells_of_the_day_only() {
        let settings = Settings {
            calls_per_minute: 9,
            calls_per_day: 1,
            ..Settings::default()
        };
        let mut calls = Calls::default();
        assert!(calls.count(&settings, at(0)).allowed);
        let refused = calls.count(&settings, at(100));
        let daily = [
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
        ];
        assert_eq!(names(&refused), daily);
        assert_eq!(refused.headers[2].1, 86_400_000);
        assert!(calls.count(&settings, at(86_400)).allowed);
    }

    #[test]
    fn too_many_errors_block_for_an_hour() {
        let mut errors = Errors::default();
        (0..9).for_each(|n| errors.count(1, "Projects", 10, at(n)));
        assert!(!errors.blocks(1, "Projects", at(10)));
        errors.count(1, "Projects", 10, at(10));
        assert!(errors.blocks(1, "Projects", at(3609)));
        assert!(!errors.blocks(1, "Deleted", at(11)));
        assert!(!errors.blocks(1, "Projects", at(3610)));
    }
}
