//! How slowly a source is asked that was overloaded.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Spent;
use crate::clock;
use crate::fetch::Reason;

/// The pause between two calls after the first sign of overload.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);
/// After how many good answers the pause is halved.
const CALM: u32 = 10;
/// For how long a pause is kept to when no answer says otherwise.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);

/// A pause between calls: doubled by each sign of overload, halved after some good answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pace {
    between: Duration,
    next_at: Timestamp,
    slowed_at: Timestamp,
    good: u32,
}

impl Pace {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            between: Duration::ZERO,
            next_at: now,
            slowed_at: now,
            good: 0,
        }
    }

    pub(super) fn slow_down(&mut self, now: Timestamp) {
        self.between = (self.between * 2).clamp(FIRST, LONGEST);
        self.next_at = clock::after(now, self.between);
        self.slowed_at = now;
        self.good = 0;
    }

    /// Takes note of a good answer, and returns true if no pause is needed any more.
    pub(super) fn has_recovered(&mut self) -> bool {
        self.good += 1;
        if self.good >= CALM {
            self.good = 0;
            self.between /= 2;
        }
        self.between < FIRST
    }

    /// Takes note of a call that is made.
    pub(super) fn step(&mut self, now: Timestamp) {
        self.next_at = clock::after(now, self.between);
    }

    /// Returns true if this is too long ago to mean anything, or in the future: the clock was set
    /// back.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.slowed_at > now || clock::after(self.slowed_at, REMEMBERED) <= now
    }

    pub(super) fn spent(&self, now: Timestamp) -> Option<Spent> {
        (self.next_at > now).then_some(Spent {
            until: self.next_at,
            reason: Reason::Overloaded,
        })
    }
}
