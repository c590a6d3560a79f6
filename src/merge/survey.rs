//! What fields some records have, and what sorts of values are in them.

use super::Batch;
use super::error::{Error, MOST_COLUMNS, Place};
use super::kind::Seen;
use super::shape::Column;
use super::walk::{Unknown, Walk};
use crate::config::{Columns, Table};

/// What the records of some pages hold.
pub(super) struct Survey {
    /// The sorts of values seen in each column asked for, then in each fresh field.
    pub(super) seen: Vec<Seen>,
    /// The top-level fields no column was asked for, in the order in which they first came.
    pub(super) fresh: Vec<String>,
}

/// Looks at every record of `batch`.
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
    let mut seen = vec![Seen::NOTHING; walk.slots()];
    let mut slots = Vec::new();
    for page in batch.pages {
        for (index, record) in page.texts().enumerate() {
            let place = Place {
                table,
                page: page.number,
                index,
            };
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
