//! The hot path: records into rows by prepared statements.
//!
//! Most records of most runs have not changed, so a row is looked up before it is written: that
//! costs less than an upsert that finds nothing to do, and tells which row it was. Where the record
//! before was new, the next one likely is too, and is inserted without looking.

use rusqlite::{CachedStatement, ErrorCode};

use super::error::{self, Error, Place};
use super::list::Listed;
use super::remove::{Mark, Remover, Tombstone};
use super::seen::Seen;
use super::shape::{Column, Shape};
use super::statement::{self, Ours};
use super::value::{self, Value};
use super::walk::{Unknown, Walk};
use super::{Batch, Merged, kind, text};
use crate::config::{Columns, Table, Told};
use crate::record::Tally;
use crate::store::{self, Tx};

/// A record among pages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Position {
    page: usize,
    record: usize,
    /// True once what the page lists as gone has been seen to.
    is_inside: bool,
}

/// Where records go.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) table: &'a Table,
    pub(super) shape: &'a Shape,
}

/// What became of the records so far.
pub(super) struct Progress<'s> {
    pub(super) merged: Merged,
    /// Takes note of the rows they became, if anybody wants to know.
    pub(super) seen: Option<&'s mut Seen>,
}

/// Writes the records of a batch from a position on, and adds what became of them to `progress`.
///
/// Returns the position of the first record that the table cannot hold as it is, if there is one.
pub(super) fn write(
    tx: &Tx<'_>,
    target: Target<'_>,
    batch: &Batch<'_>,
    from: Position,
    progress: &mut Progress<'_>,
) -> Result<Option<Position>, Error> {
    let mut writer = Writer::new(tx, target, batch)?;
    let mut listed = Listed::new(tx, target, batch)?;
    let Progress { merged, seen } = progress;
    for (page_index, page) in batch.pages.iter().enumerate().skip(from.page) {
        let is_first = page_index == from.page;
        let place = |index| Place {
            table: target.table,
            page: page.number,
            index,
        };
        // Before the records: what is both listed and sent is there.
        if let Some(listed) = listed.as_mut().filter(|_| !(is_first && from.is_inside)) {
            for (index, entry) in page.gone.texts().enumerate() {
                Fate::of_removal(listed.remove(entry, &place(index))?).count(&mut merged.tally);
            }
        }
        let done = if is_first { from.record } else { 0 };
        for (index, record) in page.texts().enumerate().skip(done) {
            let (fate, row) = writer.row(record, &place(index))?;
            if fate == Fate::DoesNotFit {
                return Ok(Some(Position {
                    page: page_index,
                    record: index,
                    is_inside: true,
                }));
            }
            fate.count(&mut merged.tally);
            if let (Some(seen), Some(row)) = (seen.as_mut(), row) {
                seen.note(row);
            }
            if let Some(slot) = writer.watched {
                let format = batch.watch.and_then(|(_, format)| format);
                let raw = writer.slots[slot];
                let value = text::cursor_value(raw, format, &mut writer.scratch);
                merged.span.note(value);
            }
        }
    }
    Ok(None)
}

/// What became of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Inserted,
    Updated,
    Unchanged,
    Restored,
    Deleted,
    /// Nothing: the table must be changed first.
    DoesNotFit,
}

impl Fate {
    fn of_removal(is_removed: bool) -> Self {
        match is_removed {
            true => Self::Deleted,
            false => Self::Unchanged,
        }
    }

    fn count(self, tally: &mut Tally) {
        *match self {
            Self::Inserted => &mut tally.inserted,
            Self::Updated => &mut tally.updated,
            Self::Unchanged => &mut tally.unchanged,
            Self::Restored => &mut tally.restored,
            Self::Deleted => &mut tally.deleted,
            Self::DoesNotFit => return,
        } += 1;
        tally.records += 1;
    }
}

/// A row as it is found.
struct Found {
    row: i64,
    is_marked: bool,
    differs: bool,
}

/// Which statement is to be bound.
#[derive(Clone, Copy)]
enum Which {
    LookUp,
    Insert,
    Update,
}

struct Writer<'t, 'l> {
    tx: &'t Tx<'t>,
    shape: &'l Shape,
    walk: Walk<'l>,
    /// The slot of each column.
    targets: Vec<usize>,
    /// The slot of the watched field.
    watched: Option<usize>,
    graves: Option<Graves<'t, 'l>>,
    slots: Vec<&'l str>,
    scratch: String,
    look_up: CachedStatement<'t>,
    insert: CachedStatement<'t>,
    update: CachedStatement<'t>,
    ours: Ours,
    /// True if the record before was new.
    expects_new: bool,
}

/// Records that only say of a row that it is gone.
struct Graves<'t, 'l> {
    mark: Mark<'l>,
    /// The slot of the field that must be greater than the row's own.
    version: Option<usize>,
    remover: Remover<'t>,
}

impl<'t, 'l> Writer<'t, 'l> {
    fn new(tx: &'t Tx<'_>, target: Target<'l>, batch: &Batch<'l>) -> Result<Self, Error> {
        let Target { table, shape } = target;
        let mut walk = Walk::new(match table.columns {
            Columns::All => Unknown::Reported,
            Columns::Listed(_) => Unknown::Ignored,
        });
        let targets = shape
            .columns
            .iter()
            .map(|column| walk.want(&column.field))
            .collect();
        for (field, raw) in batch.given {
            walk.give(field, raw);
        }
        let watched = batch.watch.map(|(field, _)| walk.watch(field));
        let graves = Graves::new(tx, target, batch, &mut walk)?;
        let ours = Ours::of(shape);
        let mut look_up = tx.prepare_cached(&statement::look_up(shape))?;
        let mut insert = tx.prepare_cached(&statement::insert(shape))?;
        let mut update = tx.prepare_cached(&statement::update(shape))?;
        // Our own columns stay bound from row to row.
        let at = store::instant(batch.at);
        insert.raw_bind_parameter(ours.at, &at)?;
        update.raw_bind_parameter(ours.at, &at)?;
        if shape.by_account {
            let account = batch.account.unwrap_or_default();
            look_up.raw_bind_parameter(ours.account, account)?;
            insert.raw_bind_parameter(ours.account, account)?;
        }
        Ok(Self {
            tx,
            shape,
            walk,
            targets,
            watched,
            graves,
            slots: Vec::new(),
            scratch: String::new(),
            look_up,
            insert,
            update,
            ours,
            expects_new: false,
        })
    }

    /// Writes one record; returns what became of it, and which row it is if there is one.
    fn row(&mut self, record: &'l str, place: &Place<'_>) -> Result<(Fate, Option<i64>), Error> {
        let met_unknown = self
            .walk
            .record(record, &mut self.slots)
            .map_err(|error| place.not_a_record(&error))?;
        if let Some(graves) = &mut self.graves
            && graves.mark.is_set(self.slots[graves.mark.slot])
        {
            let columns = self.shape.columns.iter().zip(&self.targets);
            let key = columns.filter(|(column, _)| column.is_key);
            let tombstone = Tombstone {
                key: key.map(|(_, slot)| self.slots[*slot]).collect(),
                version: graves.version.map(|slot| self.slots[slot]),
            };
            let is_removed = graves.remover.remove(&tombstone, record, place)?;
            return Ok((Fate::of_removal(is_removed), None));
        }
        if met_unknown {
            return Ok((Fate::DoesNotFit, None));
        }
        if self.expects_new {
            if !self.bind(Which::Insert, record, place)? {
                return Ok((Fate::DoesNotFit, None));
            }
            if let Some(row) = self.inserted()? {
                return Ok((Fate::Inserted, Some(row)));
            }
        }
        if !self.bind(Which::LookUp, record, place)? {
            return Ok((Fate::DoesNotFit, None));
        }
        let Some(found) = self.found()? else {
            self.bind(Which::Insert, record, place)?;
            let row = self.inserted()?;
            self.expects_new = row.is_some();
            return Ok((Fate::Inserted, row));
        };
        self.expects_new = false;
        let fate = match (found.is_marked, found.differs) {
            (false, false) => return Ok((Fate::Unchanged, Some(found.row))),
            (false, true) => Fate::Updated,
            (true, _) => Fate::Restored,
        };
        self.bind(Which::Update, record, place)?;
        self.update.raw_bind_parameter(self.ours.row, found.row)?;
        let updated = self.update.raw_execute();
        updated.map_err(|error| self.refused(error))?;
        Ok((fate, Some(found.row)))
    }

    /// Looks for the row whose key is bound.
    fn found(&mut self) -> Result<Option<Found>, Error> {
        let mut rows = self.look_up.raw_query();
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        Ok(Some(Found {
            row: row.get(0)?,
            is_marked: row.get(1)?,
            differs: row.get(2)?,
        }))
    }

    /// Inserts the row that is bound, and returns its number, unless there is one with its key.
    fn inserted(&mut self) -> Result<Option<i64>, Error> {
        let written = self.insert.raw_execute();
        let written = written.map_err(|error| self.refused(error))?;
        Ok((written > 0).then(|| self.tx.last_insert_rowid()))
    }

    /// Binds the values of the record in the slots; returns false if the table cannot hold them.
    fn bind(&mut self, which: Which, record: &'l str, place: &Place<'_>) -> Result<bool, Error> {
        let statement = match which {
            Which::LookUp => &mut self.look_up,
            Which::Insert => &mut self.insert,
            Which::Update => &mut self.update,
        };
        for (index, column) in self.shape.columns.iter().enumerate() {
            let raw = self.slots[self.targets[index]];
            let value = match column.kind {
                Some(kind) if column.is_declared => value::declared(kind, raw, &mut self.scratch),
                kind => value::learnt(kind, raw, &mut self.scratch),
            };
            let Some(value) = value else {
                if column.is_declared {
                    return Err(self.misfit(column, raw));
                }
                return Ok(false);
            };
            if column.is_key {
                if value == Value::Null {
                    return Err(place.key_missing(&column.field, record));
                }
                if text::has_lone_surrogate(raw) {
                    return Err(place.key_broken(&column.field));
                }
                if !column.is_declared && !value::is_distinct_key(column.kind, raw) {
                    return Ok(false);
                }
            }
            statement.raw_bind_parameter(index + 1, value)?;
        }
        Ok(true)
    }

    #[cold]
    fn misfit(&self, column: &Column, raw: &str) -> Error {
        Error::Misfit {
            table: self.shape.table.clone(),
            column: column.name.clone(),
            kind: kind::word(column.kind),
            row: self.row_name(),
            sample: format!("`{}`", error::sample(raw)),
        }
    }

    #[cold]
    fn refused(&self, error: rusqlite::Error) -> Error {
        if error.sqlite_error_code() != Some(ErrorCode::ConstraintViolation) {
            return error.into();
        }
        let (table, row) = (self.shape.table.clone(), self.row_name());
        Error::Refused {
            table,
            row,
            reason: store::plain_words(&error),
        }
    }

    /// Names the row that is being written by its key.
    fn row_name(&self) -> String {
        let columns = self.shape.columns.iter().zip(&self.targets);
        let key = columns.filter(|(column, _)| column.is_key);
        error::row_name(key.map(|(column, slot)| (column.name.as_str(), self.slots[*slot])))
    }
}

impl<'t, 'l> Graves<'t, 'l> {
    /// Prepares for the tombstones of a batch, if its records may be some.
    fn new(
        tx: &'t Tx<'_>,
        target: Target<'l>,
        batch: &Batch<'l>,
        walk: &mut Walk<'l>,
    ) -> Result<Option<Self>, Error> {
        let Some(tombstones) = batch.tombstones else {
            return Ok(None);
        };
        let Told::Field { field, equals } = &tombstones.told else {
            return Ok(None);
        };
        let newer_by = tombstones.newer_by.as_ref();
        Ok(Some(Self {
            mark: Mark {
                slot: walk.watch(field),
                equals: equals.as_ref(),
            },
            version: newer_by.map(|field| walk.watch(field)),
            remover: Remover::new(tx, target, batch.whose(), newer_by)?,
        }))
    }
}
