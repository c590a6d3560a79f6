//! A budget the configuration states, because the source does not tell.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Spent;
use crate::clock;
use crate::config::Budget;
use crate::fetch::Reason;

/// Into how many slots a stated budget's window is divided: its calls return a slot at a time.
const SLOTS: u32 = 60;

/// The calls made within a stated budget, counted in slots of its window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meter {
    calls: u64,
    per: Duration,
    slots: VecDeque<(Timestamp, u64)>,
}

impl Meter {
    /// Starts with nothing used.
    pub(super) fn new(budget: &Budget) -> Self {
        Self {
            calls: budget.calls,
            per: budget.per,
            slots: VecDeque::new(),
        }
    }

    /// Returns true if `other` measures the same budget.
    pub(super) fn measures_as(&self, other: &Self) -> bool {
        self.calls == other.calls && self.per == other.per
    }

    fn slot(&self) -> Duration {
        self.per / SLOTS
    }

    /// Returns when the calls of a slot no longer count: a window after its last one.
    fn leaves(&self, start: Timestamp) -> Timestamp {
        clock::after(start, self.per + self.slot())
    }

    /// Drops the calls that no longer count.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let (per, slot) = (self.per, self.slot());
        // A slot of the future means that the clock was set back.
        self.slots
            .retain(|(start, _)| *start <= now && clock::after(*start, per + slot) > now);
    }

    /// Says until when no call may be made, if none may.
    pub(super) fn spent(&self) -> Option<Spent> {
        let used: u64 = self.slots.iter().map(|(_, count)| count).sum();
        let (oldest, _) = self.slots.front()?;
        let reason = Reason::Budget {
            calls: self.calls,
            per: self.per,
        };
        (used >= self.calls).then(|| Spent {
            until: self.leaves(*oldest),
            reason,
        })
    }

    /// Counts one call.
    pub(super) fn count(&mut self, now: Timestamp) {
        let slot = self.slot();
        match self.slots.back_mut() {
            Some((start, count)) if clock::after(*start, slot) > now => *count += 1,
            _ => self.slots.push_back((now, 1)),
        }
    }

    /// Takes the last call back.
    pub(super) fn uncount(&mut self) {
        if let Some((_, count)) = self.slots.back_mut() {
            *count = count.saturating_sub(1);
        }
    }
}
