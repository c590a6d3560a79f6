//! Where a run has been, so that a source cannot send it in circles.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Way;
use crate::fetch::records::{Found, Scalar};

/// Digests of all that was asked and of all that came: 16 bytes a page.
#[derive(Debug, Default)]
pub(super) struct Trail {
    asked: HashSet<u64>,
    came: HashSet<u64>,
    /// The whole of the page before.
    before: Option<u64>,
}

impl Trail {
    /// Takes note of a question; false if it was asked before.
    pub(super) fn ask(&mut self, way: &Way, cursor: Option<&Scalar>) -> bool {
        self.asked.insert(digest(&(way, cursor)))
    }

    /// Takes note of a page; false if it came before.
    ///
    /// A page is taken for another if it has as many records, the same first and the same last
    /// one. Empty pages are all alike and mean nothing.
    pub(super) fn came(&mut self, body: &[u8], found: &Found) -> bool {
        let records = &found.records;
        let ends =
            [records.first(), records.last()].map(|range| range.map(|range| &body[range.clone()]));
        records.is_empty() || self.came.insert(digest(&(records.len(), ends)))
    }

    /// Takes note of a page, letter by letter; true if it is the one before once more.
    pub(super) fn is_same_again(&mut self, body: &[u8], found: &Found) -> bool {
        let mut hasher = DefaultHasher::new();
        for range in &found.records {
            body[range.clone()].hash(&mut hasher);
        }
        let all = (!found.records.is_empty()).then(|| hasher.finish());
        all.is_some() && std::mem::replace(&mut self.before, all) == all
    }
}

fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
