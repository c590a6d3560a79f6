//! What the journal can be asked.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::{Outcome, Trigger};
use crate::config::Name;
use crate::record::Tally;
use crate::remedy::Remedy;
use crate::store::Error;

/// The columns of a [`RunRow`], in the order it is read in.
const COLUMNS: &str = "run, flow, trigger, slot_at, started_at, ended_at, outcome, pages, records, \
    inserted, updated, unchanged, deleted, restored, bytes, requests, bookmark, error, hint, remedy, resumes_at, notes";

/// One run, or one slot that did not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// Its number.
    pub run: i64,
    /// The flow.
    pub flow: String,
    /// Why it began.
    pub trigger: Trigger,
    /// The slot that was due.
    pub slot_at: Option<Timestamp>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it runs.
    pub ended_at: Option<Timestamp>,
    /// How it ended; `None` while it runs.
    pub outcome: Option<Outcome>,
    /// What it did.
    #[serde(flatten)]
    pub tally: Tally,
    /// Where it started reading.
    pub bookmark: Option<String>,
    /// What failed and why.
    pub error: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Who must act.
    pub remedy: Option<Remedy>,
    /// When a parked run goes on.
    pub resumes_at: Option<Timestamp>,
    /// What else is worth knowing.
    pub notes: Vec<String>,
}

/// What the scheduler must know of a flow after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotState {
    /// The flow.
    pub flow: String,
    /// When the flow was first seen; slots before are none of its business.
    pub first_seen_at: Timestamp,
    /// The latest slot that was started, skipped or caught up.
    pub last_slot_at: Option<Timestamp>,
    /// When its run goes on, if the latest one was parked.
    pub resumes_at: Option<Timestamp>,
}

/// Returns the latest runs, the latest first, of all flows or of one.
///
/// # Errors
/// If the database cannot be read.
pub fn recent(conn: &Connection, flow: Option<&str>, limit: u32) -> Result<Vec<RunRow>, Error> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM _tidegate_runs \
         WHERE ?1 IS NULL OR flow = ?1 ORDER BY run DESC LIMIT ?2",
    ))?;
    let rows = statement.query_map(params![flow, limit], run_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns the latest run of a flow, the one that goes on included; slots without a run are not runs.
///
/// # Errors
/// If the database cannot be read.
pub fn latest(conn: &Connection, flow: &Name) -> Result<Option<RunRow>, Error> {
    let mut statement = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM _tidegate_runs \
         WHERE flow = ?1 AND outcome IS NOT ?2 ORDER BY run DESC LIMIT 1",
    ))?;
    let row = statement.query_row(params![flow.as_str(), Outcome::Skipped.word()], run_row);
    Ok(row.optional()?)
}

/// Returns when each flow last succeeded.
///
/// # Errors
/// If the database cannot be read.
pub fn last_success(conn: &Connection) -> Result<BTreeMap<String, Timestamp>, Error> {
    let mut statement = conn.prepare_cached(
        "SELECT flow, max(ended_at) FROM _tidegate_runs WHERE outcome = ?1 GROUP BY flow",
    )?;
    let rows = statement.query_map([Outcome::Succeeded.word()], |row| {
        Ok((row.get(0)?, time(row, 1)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns what is remembered of every flow, by name.
///
/// # Errors
/// If the database cannot be read.
pub fn slots(conn: &Connection) -> Result<Vec<SlotState>, Error> {
    let mut statement = conn.prepare_cached(
        "SELECT flow, first_seen_at, last_slot_at, \
           (SELECT CASE outcome WHEN ?1 THEN resumes_at END FROM _tidegate_runs AS latest \
            WHERE latest.flow = known.flow AND latest.outcome IS NOT ?2 \
            ORDER BY latest.run DESC LIMIT 1) \
         FROM _tidegate_flows AS known ORDER BY flow",
    )?;
    let rows = statement.query_map([Outcome::Parked.word(), Outcome::Skipped.word()], |row| {
        Ok(SlotState {
            flow: row.get(0)?,
            first_seen_at: time(row, 1)?,
            last_slot_at: optional_time(row, 2)?,
            resumes_at: optional_time(row, 3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let count = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, i64>(column)?.unsigned_abs());
    let tally = Tally {
        pages: count("pages")?,
        records: count("records")?,
        inserted: count("inserted")?,
        updated: count("updated")?,
        unchanged: count("unchanged")?,
        deleted: count("deleted")?,
        restored: count("restored")?,
        bytes: count("bytes")?,
        requests: count("requests")?,
    };
    let trigger: String = row.get(2)?;
    let outcome: Option<String> = row.get(6)?;
    let remedy: Option<String> = row.get(19)?;
    let notes: Option<String> = row.get("notes")?;
    Ok(RunRow {
        run: row.get(0)?,
        flow: row.get(1)?,
        trigger: known(Trigger::ALL, Trigger::word, &trigger, 2)?,
        slot_at: optional_time(row, 3)?,
        started_at: time(row, 4)?,
        ended_at: optional_time(row, 5)?,
        outcome: outcome
            .map(|word| known(Outcome::ALL, Outcome::word, &word, 6))
            .transpose()?,
        tally,
        bookmark: row.get(16)?,
        error: row.get(17)?,
        hint: row.get(18)?,
        remedy: remedy
            .map(|word| known(REMEDIES, remedy_word, &word, 19))
            .transpose()?,
        resumes_at: optional_time(row, 20)?,
        notes: notes
            .iter()
            .flat_map(|notes| notes.lines().map(str::to_owned))
            .collect(),
    })
}

const REMEDIES: [Remedy; 4] = [
    Remedy::Wait,
    Remedy::Login,
    Remedy::EditConfig,
    Remedy::Report,
];

/// Returns the word the journal has for a remedy.
pub(super) fn remedy_word(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Wait => "wait",
        Remedy::Login => "login",
        Remedy::EditConfig => "edit_config",
        Remedy::Report => "report",
    }
}

/// Returns which of `all` a stored word stands for.
fn known<T: Copy, const N: usize>(
    all: [T; N],
    word: fn(T) -> &'static str,
    stored: &str,
    column: usize,
) -> rusqlite::Result<T> {
    all.into_iter()
        .find(|one| word(*one) == stored)
        .ok_or_else(|| {
            let reason = format!("`{stored}` is no word of this version's journal").into();
            rusqlite::Error::FromSqlConversionFailure(column, Type::Text, reason)
        })
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: jiff::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    match row.get_ref(column)?.data_type() {
        Type::Null => Ok(None),
        _ => time(row, column).map(Some),
    }
}
