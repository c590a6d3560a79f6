//! What ran, why, and how it ended; also the slots that did not run, with the reason.
//!
//! Counts are added in the transaction that merges what they count, so that a run cut short still
//! tells what it did.

mod recall;

use jiff::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};

pub use recall::{RunRow, SlotState, last_success, latest, recent, slots};

use crate::config::Name;
use crate::record::{CursorValue, Tally};
use crate::remedy::Remedy;
use crate::store::{Error, Tx, instant};

/// Why a run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Its slot had come.
    Scheduled,
    /// Slots were missed while nobody ran.
    CatchUp,
    /// A person or another program asked.
    Manual,
    /// A parked run went on.
    Resume,
}

impl Trigger {
    const ALL: [Self; 4] = [Self::Scheduled, Self::CatchUp, Self::Manual, Self::Resume];

    /// Returns the word the journal has for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::CatchUp => "catch_up",
            Self::Manual => "manual",
            Self::Resume => "resume",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was read and merged.
    Succeeded,
    /// Something stopped it; the bookmark stands where it was safe.
    Failed,
    /// The process was told to stop, or ended without being told.
    Interrupted,
    /// The source's budget is spent; it goes on later.
    Parked,
    /// It never began.
    Skipped,
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Succeeded,
        Self::Failed,
        Self::Interrupted,
        Self::Parked,
        Self::Skipped,
    ];

    /// Returns the word the journal has for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Parked => "parked",
            Self::Skipped => "skipped",
        }
    }
}

/// How one run ended, and what a person is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The outcome.
    pub outcome: Outcome,
    /// What failed and why.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Who must act.
    pub remedy: Option<Remedy>,
    /// When a parked run goes on.
    pub resumes_at: Option<Timestamp>,
}

impl Ending {
    /// Makes the ending of a run that had nothing to complain about.
    #[must_use]
    pub fn success() -> Self {
        Self {
            outcome: Outcome::Succeeded,
            error: None,
            hint: None,
            remedy: None,
            resumes_at: None,
        }
    }
}

/// What the journal says of a run whose process ended before it did.
const CUT_SHORT: &str = "the process ended before the run did";

/// Opens a run and returns its number. Its slot, if it has one, is remembered.
///
/// A run of the same flow that is still open is closed as interrupted: the claim on the flow is
/// ours, so whoever opened it is gone.
///
/// # Errors
/// If the database cannot be written.
pub fn open(
    tx: &Tx<'_>,
    flow: &Name,
    trigger: Trigger,
    slot: Option<Timestamp>,
    bookmark: Option<&CursorValue>,
    at: Timestamp,
) -> Result<i64, Error> {
    interrupt(tx, Some(flow), at)?;
    if let Some(slot) = slot {
        remember(tx, flow, slot, at)?;
    }
    tx.execute(
        "INSERT INTO _tidegate_runs (flow, trigger, slot_at, started_at, bookmark) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            flow.as_str(),
            trigger.word(),
            slot.map(instant),
            instant(at),
            bookmark.map(ToString::to_string)
        ],
    )?;
    Ok(tx.last_insert_rowid())
}

/// Closes every run that is still open, or those of one flow, as interrupted; returns how many.
///
/// Only the owner of the state directory may ask this, and only of flows that it is not running.
///
/// # Errors
/// If the database cannot be written.
pub fn interrupt(tx: &Tx<'_>, flow: Option<&Name>, at: Timestamp) -> Result<usize, Error> {
    Ok(tx.execute(
        "UPDATE _tidegate_runs SET ended_at = ?2, outcome = ?3, error = ?4 \
         WHERE ended_at IS NULL AND (?1 IS NULL OR flow = ?1)",
        params![
            flow.map(Name::as_str),
            instant(at),
            Outcome::Interrupted.word(),
            CUT_SHORT
        ],
    )?)
}

/// Adds counts to a run.
///
/// # Errors
/// If the database cannot be written.
pub fn progress(tx: &Tx<'_>, run: i64, more: &Tally) -> Result<(), Error> {
    // Counts stay far below 2^63; SQLite knows no larger.
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    tx.prepare_cached(
        "UPDATE _tidegate_runs SET pages = pages + ?2, records = records + ?3, \
           inserted = inserted + ?4, updated = updated + ?5, unchanged = unchanged + ?6, \
           deleted = deleted + ?7, restored = restored + ?8, bytes = bytes + ?9, \
           requests = requests + ?10 \
         WHERE run = ?1",
    )?
    .execute(params![
        run,
        count(more.pages),
        count(more.records),
        count(more.inserted),
        count(more.updated),
        count(more.unchanged),
        count(more.deleted),
        count(more.restored),
        count(more.bytes),
        count(more.requests),
    ])?;
    Ok(())
}

/// Writes down something worth knowing about a run, one line of text.
///
/// # Errors
/// If the database cannot be written.
pub fn note(tx: &Tx<'_>, run: i64, text: &str) -> Result<(), Error> {
    tx.execute(
        "UPDATE _tidegate_runs SET notes = concat(notes || char(10), ?2) WHERE run = ?1",
        params![run, text.replace('\n', " ")],
    )?;
    Ok(())
}

/// Closes a run. One that is closed already stays as it is.
///
/// # Errors
/// If the database cannot be written.
pub fn close(tx: &Tx<'_>, run: i64, ending: &Ending, at: Timestamp) -> Result<(), Error> {
    tx.execute(
        "UPDATE _tidegate_runs SET ended_at = ?2, outcome = ?3, error = ?4, hint = ?5, \
           remedy = ?6, resumes_at = ?7 \
         WHERE run = ?1 AND ended_at IS NULL",
        params![
            run,
            instant(at),
            ending.outcome.word(),
            ending.error,
            ending.hint,
            ending.remedy.map(recall::remedy_word),
            ending.resumes_at.map(instant)
        ],
    )?;
    Ok(())
}

/// Records a slot that was due and did not run, with the reason. The slot is remembered.
///
/// # Errors
/// If the database cannot be written.
pub fn skip(
    tx: &Tx<'_>,
    flow: &Name,
    trigger: Trigger,
    slot: Option<Timestamp>,
    reason: &str,
    at: Timestamp,
) -> Result<(), Error> {
    if let Some(slot) = slot {
        remember(tx, flow, slot, at)?;
    }
    tx.execute(
        "INSERT INTO _tidegate_runs (flow, trigger, slot_at, started_at, ended_at, outcome, error) \
         VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6)",
        params![
            flow.as_str(),
            trigger.word(),
            slot.map(instant),
            instant(at),
            Outcome::Skipped.word(),
            reason
        ],
    )?;
    Ok(())
}

/// Takes note of a flow, so that it is known later when it was first seen.
///
/// # Errors
/// If the database cannot be written.
pub fn notice(tx: &Tx<'_>, flow: &Name, at: Timestamp) -> Result<(), Error> {
    tx.prepare_cached(
        "INSERT INTO _tidegate_flows (flow, first_seen_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    )?
    .execute(params![flow.as_str(), instant(at)])?;
    Ok(())
}

/// Remembers that a slot of a flow has been dealt with. An earlier slot changes nothing.
///
/// # Errors
/// If the database cannot be written.
pub fn remember(tx: &Tx<'_>, flow: &Name, slot: Timestamp, at: Timestamp) -> Result<(), Error> {
    notice(tx, flow, at)?;
    tx.prepare_cached(
        "UPDATE _tidegate_flows SET last_slot_at = ?2 \
         WHERE flow = ?1 AND (last_slot_at IS NULL OR last_slot_at < ?2)",
    )?
    .execute(params![flow.as_str(), instant(slot)])?;
    Ok(())
}

/// Forgets runs that ended before an instant; returns how many.
///
/// Each flow keeps its latest run and its latest success, however old.
///
/// # Errors
/// If the database cannot be written.
pub fn prune(tx: &Tx<'_>, before: Timestamp) -> Result<usize, Error> {
    Ok(tx.execute(
        "DELETE FROM _tidegate_runs WHERE ended_at < ?1 AND run NOT IN ( \
           SELECT max(run) FROM _tidegate_runs WHERE outcome IS NOT ?2 GROUP BY flow \
           UNION ALL \
           SELECT max(run) FROM _tidegate_runs WHERE outcome = ?3 GROUP BY flow)",
        params![
            instant(before),
            Outcome::Skipped.word(),
            Outcome::Succeeded.word()
        ],
    )?)
}

#[cfg(test)]
mod tests;
