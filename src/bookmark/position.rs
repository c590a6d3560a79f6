//! Where a read was broken off, for the next run to go on from.
//!
//! A position is kept in the transaction that merges the page before it, like a bookmark, and is
//! forgotten with the read's end. What it says is its reader's affair; here it is text.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};

use crate::config::Name;
use crate::store::{self, Error, Tx};

/// A kept position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// A digest of what the flow asks for: one that asks for something else does not go on here.
    pub asks: String,
    /// How to go on, as JSON.
    pub state: String,
    /// When it was kept.
    pub kept_at: Timestamp,
}

/// Keeps where the read of a flow's part has got, in place of an earlier position.
///
/// # Errors
/// If the database cannot be written.
pub fn keep(
    tx: &Tx<'_>,
    flow: &Name,
    part: &str,
    position: &Position,
    run: i64,
) -> Result<(), Error> {
    let Position {
        asks,
        state,
        kept_at,
    } = position;
    tx.prepare_cached(
        "INSERT OR REPLACE INTO _tidegate_positions (flow, part, asks, state, kept_at, run) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        flow.as_str(),
        part,
        asks,
        state,
        store::instant(*kept_at),
        run
    ])?;
    Ok(())
}

/// Returns where the read of a flow's part was broken off, if it was.
///
/// # Errors
/// If the database cannot be read.
pub fn kept(conn: &Connection, flow: &Name, part: &str) -> Result<Option<Position>, Error> {
    let found = conn
        .prepare_cached(
            "SELECT asks, state, kept_at FROM _tidegate_positions WHERE flow = ?1 AND part = ?2",
        )?
        .query_one([flow.as_str(), part], |row| {
            let kept_at: String = row.get(2)?;
            Ok(Position {
                asks: row.get(0)?,
                state: row.get(1)?,
                kept_at: kept_at.parse().map_err(|error: jiff::Error| {
                    rusqlite::Error::FromSqlConversionFailure(2, Type::Text, error.into())
                })?,
            })
        })
        .optional()?;
    Ok(found)
}

/// Forgets where the read of a flow's part was broken off.
///
/// # Errors
/// If the database cannot be written.
pub fn forget(tx: &Tx<'_>, flow: &Name, part: &str) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM _tidegate_positions WHERE flow = ?1 AND part = ?2")?
        .execute([flow.as_str(), part])?;
    Ok(())
}

/// Forgets where all reads of a flow were broken off.
pub(super) fn forget_all(tx: &Tx<'_>, flow: &Name) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM _tidegate_positions WHERE flow = ?1",
        [flow.as_str()],
    )?;
    Ok(())
}
