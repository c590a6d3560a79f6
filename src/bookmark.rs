//! How far each flow has got.
//!
//! A bookmark covers rows, so it moves in the transaction that merges them: whoever calls
//! [`advance`] has just called the merge with the same `tx`. It never moves back by itself.
//!
//! A flow that reads several *parts*, each in an order of its own, has a bookmark for each: one
//! part per account and item. The part of a flow that has only one is called `""`.

mod position;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};

pub use position::{Position, forget, keep, kept};

use crate::config::Name;
use crate::record::CursorValue;
use crate::store::{self, Error, Tx};

/// Returns the bookmark of a flow's part, or `None` if it has none yet.
///
/// # Errors
/// If the database cannot be read, or holds a bookmark this program does not understand.
pub fn read(conn: &Connection, flow: &Name, part: &str) -> Result<Option<CursorValue>, Error> {
    let found = conn
        .prepare_cached(
            "SELECT kind, value FROM _tidegate_bookmarks \
             WHERE flow = ?1 AND part = ?2 AND kind <> 'delta'",
        )?
        .query_one([flow.as_str(), part], |row| {
            let (kind, value): (String, String) = (row.get(0)?, row.get(1)?);
            parse(&kind, value).ok_or_else(|| {
                let reason = format!("`{kind}` is no bookmark of this version").into();
                rusqlite::Error::FromSqlConversionFailure(1, Type::Text, reason)
            })
        })
        .optional()?;
    Ok(found)
}

/// Moves the bookmark of a flow's part to `to`, unless it already is at that value or a later one.
///
/// A value of another kind than before replaces it: the cursor field was changed.
///
/// # Errors
/// If the database cannot be written.
pub fn advance(
    tx: &Tx<'_>,
    flow: &Name,
    part: &str,
    to: &CursorValue,
    run: i64,
    at: Timestamp,
) -> Result<(), Error> {
    if read(tx, flow, part)?.is_some_and(|before| before >= *to) {
        return Ok(());
    }
    tx.prepare_cached(
        "INSERT INTO _tidegate_bookmarks (flow, part, kind, value, updated_at, run) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (flow, part) DO UPDATE SET kind = excluded.kind, value = excluded.value, \
           updated_at = excluded.updated_at, run = excluded.run",
    )?
    .execute(params![
        flow.as_str(),
        part,
        kind(to),
        to.to_string(),
        store::instant(at),
        run
    ])?;
    Ok(())
}

/// What a source gave to be asked with for what changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The link, or the word.
    pub value: String,
    /// When it was given.
    pub at: Timestamp,
    /// True if a whole read gave it, and the rows which that read did not bring are still there.
    pub owes_sweep: bool,
}

/// Returns what the source gave to go on from in a flow's part, if it has.
///
/// # Errors
/// If the database cannot be read.
pub fn kept_delta(conn: &Connection, flow: &Name, part: &str) -> Result<Option<Kept>, Error> {
    let found = conn
        .prepare_cached(
            "SELECT value, updated_at, owes_sweep FROM _tidegate_bookmarks \
             WHERE flow = ?1 AND part = ?2 AND kind = 'delta'",
        )?
        .query_one([flow.as_str(), part], |row| {
            let at: String = row.get(1)?;
            Ok(Kept {
                value: row.get(0)?,
                at: at.parse().unwrap_or(Timestamp::MIN),
                owes_sweep: row.get(2)?,
            })
        })
        .optional()?;
    Ok(found)
}

/// Keeps what the source gave to go on from in a flow's part, in the transaction that merges the page
/// it came with.
///
/// # Errors
/// If the database cannot be written.
pub fn keep_delta(
    tx: &Tx<'_>,
    flow: &Name,
    part: &str,
    kept: &Kept,
    run: i64,
) -> Result<(), Error> {
    tx.prepare_cached(
        "INSERT INTO _tidegate_bookmarks (flow, part, kind, value, updated_at, run, owes_sweep) \
         VALUES (?1, ?2, 'delta', ?3, ?4, ?5, ?6) \
         ON CONFLICT (flow, part) DO UPDATE SET kind = excluded.kind, value = excluded.value, \
           updated_at = excluded.updated_at, run = excluded.run, owes_sweep = excluded.owes_sweep",
    )?
    .execute(params![
        flow.as_str(),
        part,
        kept.value,
        store::instant(kept.at),
        run,
        kept.owes_sweep
    ])?;
    Ok(())
}

/// Notes that the rows which the whole read of a flow's part did not bring are seen to.
///
/// # Errors
/// If the database cannot be written.
pub fn swept(tx: &Tx<'_>, flow: &Name, part: &str) -> Result<(), Error> {
    tx.prepare_cached(
        "UPDATE _tidegate_bookmarks SET owes_sweep = 0 \
         WHERE flow = ?1 AND part = ?2 AND owes_sweep = 1",
    )?
    .execute([flow.as_str(), part])?;
    Ok(())
}

/// Forgets the bookmark of a flow's part, so that its next run starts at the beginning.
///
/// # Errors
/// If the database cannot be written.
pub fn clear(tx: &Tx<'_>, flow: &Name, part: &str) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM _tidegate_bookmarks WHERE flow = ?1 AND part = ?2",
        [flow.as_str(), part],
    )?;
    Ok(())
}

/// Forgets every bookmark of a flow, and where its reads were broken off.
///
/// # Errors
/// If the database cannot be written.
pub fn clear_all(tx: &Tx<'_>, flow: &Name) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM _tidegate_bookmarks WHERE flow = ?1",
        [flow.as_str()],
    )?;
    position::forget_all(tx, flow)
}

fn kind(value: &CursorValue) -> &'static str {
    match value {
        CursorValue::Integer(_) => "integer",
        CursorValue::Instant(_) => "instant",
        CursorValue::Civil(_) => "civil",
        CursorValue::Text(_) => "text",
    }
}

fn parse(kind: &str, value: String) -> Option<CursorValue> {
    Some(match kind {
        "integer" => CursorValue::Integer(value.parse().ok()?),
        "instant" => CursorValue::Instant(value.parse().ok()?),
        "civil" => CursorValue::Civil(value.parse().ok()?),
        "text" => CursorValue::Text(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn name() -> Name {
        Name::parse("project").unwrap()
    }

    /// Moves a bookmark through `values` and returns where it stands after each.
    async fn stands(values: &[&str]) -> Vec<Option<CursorValue>> {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data.db"), &store::DATA).unwrap();
        let mut stands = Vec::new();
        for value in values {
            let value = CursorValue::read(value);
            let stand: Result<_, Error> = store
                .write(move |tx| {
                    advance(tx, &name(), "", &value, 1, Timestamp::UNIX_EPOCH)?;
                    read(tx, &name(), "")
                })
                .await;
            stands.push(stand.unwrap());
        }
        stands
    }

    #[tokio::test]
    async fn a_bookmark_is_read_as_it_was_written() {
        for value in [
            "493115",
            "2026-03-01T06:00:00.123456Z",
            "2026-03-01T06:00:00",
            "v2",
        ] {
            assert_eq!(
                stands(&[value]).await,
                [Some(CursorValue::read(value))],
                "{value}"
            );
        }
        let text_of_digits = CursorValue::Text("12".to_owned());
        assert_eq!(
            parse(kind(&text_of_digits), "12".to_owned()),
            Some(text_of_digits)
        );
    }

    #[tokio::test]
    async fn promise_1_a_bookmark_never_moves_back() {
        let found = stands(&["7", "5", "9"]).await;
        let numbers = [7, 7, 9].map(|number| Some(CursorValue::Integer(number)));
        assert_eq!(found, numbers);
    }

    #[tokio::test]
    async fn a_bookmark_of_another_kind_replaces_the_one_before() {
        let found = stands(&["7", "2026-03-01T06:00:00Z"]).await;
        assert!(matches!(found[1], Some(CursorValue::Instant(_))));
    }

    #[tokio::test]
    async fn a_position_is_kept_until_it_is_forgotten_or_the_flow_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data.db"), &store::DATA).unwrap();
        let position = |state: &str| Position {
            asks: "digest".to_owned(),
            state: state.to_owned(),
            kept_at: Timestamp::UNIX_EPOCH,
        };
        let (first, second) = (position("1"), position("2"));
        let expected = second.clone();
        let found: Result<_, Error> = store
            .write(move |tx| {
                keep(tx, &name(), "a", &first, 1)?;
                keep(tx, &name(), "a", &second, 2)?;
                keep(tx, &name(), "b", &first, 1)?;
                keep(tx, &name(), "c", &first, 1)?;
                forget(tx, &name(), "b")?;
                let parts = ["a", "b", "c"];
                let there = parts.map(|part| kept(tx, &name(), part).unwrap());
                clear_all(tx, &name())?;
                Ok((there, kept(tx, &name(), "a")?))
            })
            .await;
        let ([a, b, c], none) = found.unwrap();
        assert_eq!(
            (a, b, c.is_some(), none),
            (Some(expected), None, true, None)
        );
    }

    #[tokio::test]
    async fn each_part_has_a_bookmark_of_its_own_that_can_be_cleared() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("data.db"), &store::DATA).unwrap();
        let found: Result<_, Error> = store
            .write(|tx| {
                for (part, value) in [("berlin", 1), ("paris", 2), ("", 3)] {
                    let value = CursorValue::Integer(value);
                    advance(tx, &name(), part, &value, 1, Timestamp::UNIX_EPOCH)?;
                }
                clear(tx, &name(), "berlin")?;
                let parts = ["berlin", "paris", ""];
                let cleared = parts.map(|part| read(tx, &name(), part).unwrap());
                clear_all(tx, &name())?;
                Ok((cleared, parts.map(|part| read(tx, &name(), part).unwrap())))
            })
            .await;
        let (cleared, none) = found.unwrap();
        let there = |value| Some(CursorValue::Integer(value));
        assert_eq!(cleared, [None, there(2), there(3)]);
        assert_eq!(none, [None, None, None]);
    }
}
