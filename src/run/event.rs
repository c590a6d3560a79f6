//! What a run tells whoever listens.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::journal::{Outcome, Trigger};
use crate::record::Tally;
use crate::remedy::Remedy;

/// What a run tells while it goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It began.
    Started {
        /// The flow.
        flow: String,
        /// The run's number in the journal.
        run: i64,
        /// Why it began.
        trigger: Trigger,
    },
    /// It had begun before somebody asked for it.
    Joined {
        /// The flow.
        flow: String,
    },
    /// Pages were merged.
    Merged {
        /// The flow.
        flow: String,
        /// The run.
        run: i64,
        /// The counts so far.
        tally: Tally,
    },
    /// It waits for the source.
    Waiting {
        /// The flow.
        flow: String,
        /// Until when.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// It has something to say that is worth knowing and no failure.
    Noted {
        /// The flow.
        flow: String,
        /// The run.
        run: i64,
        /// What.
        note: String,
    },
    /// It ended.
    Ended(Ended),
}

/// How a run ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ended {
    /// The flow.
    pub flow: String,
    /// The run's number in the journal; 0 if it never got one.
    pub run: i64,
    /// Why it began.
    pub trigger: Trigger,
    /// How it ended.
    pub outcome: Outcome,
    /// What became of the records.
    pub tally: Tally,
    /// How long it took.
    pub elapsed_ms: u64,
    /// What failed, and why.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Who must act.
    pub remedy: Option<Remedy>,
    /// When a parked run goes on.
    pub resumes_at: Option<Timestamp>,
    /// What else is worth knowing.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Ended {
    /// The end of a run that was dropped with everything around it.
    pub(super) fn broken_off() -> Self {
        Self {
            flow: String::new(),
            run: 0,
            trigger: Trigger::Manual,
            outcome: Outcome::Interrupted,
            tally: Tally::default(),
            elapsed_ms: 0,
            error: Some("the program was stopped".to_owned()),
            hint: None,
            remedy: Some(Remedy::Wait),
            resumes_at: None,
            notes: Vec::new(),
        }
    }
}
