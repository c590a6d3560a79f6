//! What fields some records have, and what sorts of values are in them.

use super::Batch;
use super::error::{Error, MOST_COLUMNS, Place};
use super::kind::Seen;
use super::remove::Mark;
use super::shape::Column;
use super::walk::{Unknown, Walk};
use crate::config::{Columns, Table, Told, Tombstones};

/// What the records of some pages hold.
pub(super) struct Survey {
    /// The sorts of values seen in each column asked for, then in each fresh field.
    pub(super) seen: Vec<Seen>,
    /// The top-level fields no column was asked for, in the order in which they first came.
    pub(super) fresh: Vec<String>,
}

/// Looks at every record of `batch` but those that say that a row is gone: they have no columns.
pub(super) fn survey(
    table: &Table,
    columns: &[Column],
    batch: &Batch<'_>,
) -> Result<Survey, Error> {
    let mut walk = Walk::new(match table.columns {
        Columns::All => Unknown::Learnt,
        Columns::Listed(_) => Unknown::Ignored,
    });
    let asked: Vec<usize> = columns
        .iter()
        .map(|column| walk.want(&column.field))
        .collect();
    for (field, raw) in batch.given {
        walk.give(field, raw);
    }
    let mut graves = Graves::of(batch.tombstones);
    let mut seen = vec![Seen::NOTHING; walk.slots()];
    let mut slots = Vec::new();
    for page in batch.pages {
        for (index, record) in page.texts().enumerate() {
            let place = Place {
                table,
                page: page.number,
                index,
            };
            if graves.as_mut().is_some_and(|graves| graves.is_one(record)) {
                continue;
            }
            let walked = walk.record(record, &mut slots);
            if walk.is_crowded() || slots.len() > MOST_COLUMNS {
                return Err(Error::TooManyColumns {
                    table: table.name.clone(),
                    columns: slots.len(),
                });
            }
            walked.map_err(|error| place.not_a_record(&error))?;
            seen.resize(slots.len(), Seen::NOTHING);
            for (seen, raw) in seen.iter_mut().zip(&slots) {
                *seen |= Seen::of_value(raw);
            }
        }
    }
    let fresh = walk.learnt().to_vec();
    let first_fresh = seen.len() - fresh.len();
    let asked = asked.into_iter().map(|slot| seen[slot]);
    let seen = asked.chain(seen[first_fresh..].iter().copied()).collect();
    Ok(Survey { seen, fresh })
}

/// Tells the records that only say of a row that it is gone.
struct Graves<'l> {
    walk: Walk<'l>,
    mark: Mark<'l>,
}

impl<'l> Graves<'l> {
    fn of(tombstones: Option<&'l Tombstones>) -> Option<Self> {
        let Told::Field { field, equals } = &tombstones?.told else {
            return None;
        };
        let mut walk = Walk::new(Unknown::Ignored);
        let slot = walk.watch(field);
        let equals = equals.as_ref();
        Some(Self {
            walk,
            mark: Mark { slot, equals },
        })
    }

    fn is_one(&mut self, record: &str) -> bool {
        let mut slots = Vec::new();
        // What cannot be read is reported by whoever reads all of it.
        self.walk.record(record, &mut slots).is_ok() && self.mark.is_set(slots[self.mark.slot])
    }
}
