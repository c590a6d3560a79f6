//! A budget the configuration states, because the source does not tell.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Allowance, LONGEST_WAIT, Spent};
use crate::clock;
use crate::config::{Budget, Reserve, shown};
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

    /// Says until when no call may be made, if none may. Of a long window some calls are left to
    /// others.
    pub(super) fn spent(&self, reserve: Reserve) -> Option<Spent> {
        let kept = match self.per > LONGEST_WAIT {
            true => reserve.of(Some(self.calls)),
            false => 0,
        };
        let reason = Reason::Budget {
            calls: self.calls,
            per: self.per,
        };
        let until = self.reached_until(self.calls - kept)?;
        Some(Spent { until, reason })
    }

    /// Says until when all calls are used, if they are.
    pub(super) fn full_until(&self) -> Option<Timestamp> {
        self.reached_until(self.calls)
    }

    /// Says until when `count` calls count, if that many do.
    fn reached_until(&self, count: u64) -> Option<Timestamp> {
        let (oldest, _) = self.slots.front()?;
        (self.used() >= count).then(|| self.leaves(*oldest))
    }

    fn used(&self) -> u64 {
        self.slots.iter().map(|(_, count)| count).sum()
    }

    /// Returns true if nothing counts.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns about when the latest call was made.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        self.slots.back().map(|(start, _)| *start)
    }

    /// Returns what is left, for people to see.
    pub(super) fn allowance(&self, now: Timestamp) -> Allowance {
        let counts = |(start, _): &&(Timestamp, u64)| self.leaves(*start) > now;
        let used: u64 = self.slots.iter().filter(counts).map(|(_, used)| used).sum();
        Allowance {
            window: format!("{} calls in {}", self.calls, shown(self.per)),
            limit: Some(self.calls),
            remaining: self.calls.saturating_sub(used),
            resets_at: self.latest().map(|latest| self.leaves(latest)),
        }
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
