//! Where a flow stands, for whoever asks.

use jiff::Timestamp;
use serde::Serialize;

/// Where a flow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Its next slot, if its schedule has another.
    pub next_slot_at: Option<Timestamp>,
    /// What it does meanwhile.
    #[serde(flatten)]
    pub activity: Activity,
}

impl Standing {
    /// Returns when the flow's next run may start; `None` if nothing but a person will start one.
    #[must_use]
    pub fn next_run_at(&self) -> Option<Timestamp> {
        match self.activity {
            Activity::Waiting { since } => Some(since),
            Activity::Parked { until } => Some(until),
            Activity::Idle | Activity::Running => self.next_slot_at,
        }
    }
}

/// What a flow does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "activity", rename_all = "snake_case")]
pub enum Activity {
    /// It waits for its next slot.
    Idle,
    /// It is due and waits for a free place.
    Waiting {
        /// The slot that was due.
        since: Timestamp,
    },
    /// It runs.
    Running,
    /// Its run goes on later.
    Parked {
        /// When.
        until: Timestamp,
    },
}
