//! What a page lists as gone, beside its records.

use super::Batch;
use super::error::{Error, Place};
use super::remove::{Remover, Tombstone};
use super::walk::{Unknown, Walk};
use super::write::Target;
use crate::config::Told;
use crate::record::FieldPath;
use crate::store::Tx;

/// Removes the rows that are listed as gone.
pub(super) struct Listed<'t, 'l> {
    walk: Walk<'l>,
    /// The slot of each column of the key, in the shape's order.
    key: Vec<usize>,
    /// The slot of the only one that the entry itself gives, if there is only one.
    alone: Option<usize>,
    /// The slot of the field that must be greater than the row's own.
    version: Option<usize>,
    remover: Remover<'t>,
}

impl<'t, 'l> Listed<'t, 'l> {
    /// Prepares for the lists of a batch, if its pages have any.
    pub(super) fn new(
        tx: &'t Tx<'_>,
        target: Target<'_>,
        batch: &Batch<'l>,
    ) -> Result<Option<Self>, Error> {
        let Some(tombstones) = batch.tombstones else {
            return Ok(None);
        };
        let Told::List { key, .. } = &tombstones.told else {
            return Ok(None);
        };
        let newer_by = tombstones.newer_by.as_ref();
        let remover = Remover::new(tx, target, batch.whose(), newer_by)?;
        let mut walk = Walk::new(Unknown::Ignored);
        let held_by = |of: &FieldPath| {
            let pair = key.iter().find(|(field, _)| field == of);
            pair.map_or_else(|| of.clone(), |(_, held_by)| held_by.clone())
        };
        let key: Vec<usize> = remover.key().map(|of| walk.want(&held_by(of))).collect();
        for (field, raw) in batch.given {
            walk.give(field, raw);
        }
        let given = |slot: &usize| walk.gives(*slot);
        let alone = key.iter().copied().filter(|slot| !given(slot));
        let alone = alone.collect::<Vec<_>>();
        Ok(Some(Self {
            alone: <[usize; 1]>::try_from(alone).ok().map(|[slot]| slot),
            version: newer_by.map(|field| walk.want(field)),
            walk,
            key,
            remover,
        }))
    }

    /// Removes the row that an entry names: an object with its key, or the key itself. Returns
    /// whether one was removed.
    pub(super) fn remove(&mut self, entry: &str, place: &Place<'_>) -> Result<bool, Error> {
        let mut slots = Vec::new();
        let is_object = entry.starts_with('{');
        let object = if is_object { entry } else { "{}" };
        let walked = self.walk.record(object, &mut slots);
        walked.map_err(|error| place.not_a_record(&error))?;
        if let (Some(slot), false) = (self.alone, is_object) {
            slots[slot] = entry;
        }
        let tombstone = Tombstone {
            key: self.key.iter().map(|slot| slots[*slot]).collect(),
            version: self.version.map(|slot| slots[slot]),
        };
        self.remover.remove(&tombstone, entry, place)
    }
}
