//! One division's own records: projects that live, and traces of those that are gone.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::{SignedDuration, Timestamp};

use super::cell::{Cell, Row};
use super::dice::Dice;
use super::world;

/// The most projects a division may hold.
pub const MAX_PROJECTS: usize = 200_000;
/// The most traces of deleted records that are kept.
const MAX_DELETED: usize = 200_000;
/// How long the trace of a deleted record can be read: two months.
const DELETED_KEPT: Duration = Duration::from_secs(61 * 24 * 60 * 60);
/// The number by which `sync/Deleted` knows projects.
const PROJECTS: i64 = 21;
/// The row version before the first; the service's are large too.
const FIRST_VERSION: i64 = 493_114;
/// Over how many minutes before the start the first projects were made: two years.
const PAST_MINUTES: usize = 2 * 365 * 24 * 60;

/// What one division keeps.
#[derive(Debug)]
pub(super) struct Source {
    seed: u64,
    division: i32,
    projects: BTreeMap<String, Row>,
    deleted: Vec<(Timestamp, Row)>,
    version: i64,
    made: u64,
    dice: Dice,
}

impl Source {
    /// Makes a division with `count` projects that came about in the two years before `now`.
    pub(super) fn new(seed: u64, division: i32, count: usize, now: DateTime) -> Self {
        let mut source = Self {
            seed,
            division,
            projects: BTreeMap::new(),
            deleted: Vec::new(),
            version: FIRST_VERSION,
            made: 0,
            dice: Dice::new(seed, &[division.unsigned_abs().into()]),
        };
        let count = count.min(MAX_PROJECTS);
        let mut ages: Vec<usize> = (0..count)
            .map(|_| source.dice.below(PAST_MINUTES))
            .collect();
        ages.sort_unstable_by(|a, b| b.cmp(a));
        for age in ages {
            let seconds = i64::try_from(age * 60 + source.dice.below(60)).unwrap_or_default();
            let millis = i64::try_from(source.dice.below(1000)).unwrap_or_default();
            let age = SignedDuration::from_secs(seconds) + SignedDuration::from_millis(millis);
            source.insert(whole_millis(now.saturating_sub(age)));
        }
        source
    }

    /// Adds projects made at `now`; returns their keys.
    pub(super) fn insert_many(&mut self, count: usize, now: DateTime) -> Vec<String> {
        let room = MAX_PROJECTS.saturating_sub(self.projects.len());
        (0..count.min(room))
            .map(|_| self.insert(whole_millis(now)))
            .collect()
    }

    /// Changes that many different projects at `now`; returns their keys.
    pub(super) fn change_many(&mut self, count: usize, now: DateTime) -> Vec<String> {
        let keys = self.some_keys(count);
        for key in &keys {
            self.version += 1;
            let Some(row) = self.projects.get_mut(key) else {
                continue;
            };
            world::change(row, &mut self.dice, self.seed);
            row.set("Modified", Cell::Moment(whole_millis(now)));
            row.set("Timestamp", Cell::Long(self.version));
        }
        keys
    }

    /// Deletes that many projects at `now`; returns the keys they had.
    pub(super) fn delete_many(
        &mut self,
        count: usize,
        now: DateTime,
        at: Timestamp,
    ) -> Vec<String> {
        let keys = self.some_keys(count);
        for key in &keys {
            self.version += 1;
            self.projects.remove(key);
            let trace = Row::new(vec![
                ("Timestamp", Cell::Long(self.version)),
                ("DeletedBy", Cell::Guid(self.dice.guid())),
                ("DeletedDate", Cell::Moment(whole_millis(now))),
                ("Division", Cell::Int(self.division.into())),
                ("EntityKey", Cell::Guid(key.clone())),
                ("EntityType", Cell::Int(PROJECTS)),
                ("ID", Cell::Guid(self.dice.guid())),
            ]);
            self.deleted.push((at, trace));
        }
        let excess = self.deleted.len().saturating_sub(MAX_DELETED);
        self.deleted.drain(..excess);
        keys
    }

    /// Returns the projects in the order of their keys.
    pub(super) fn projects(&self) -> impl Iterator<Item = &Row> {
        self.projects.values()
    }

    /// Returns how many projects there are.
    pub(super) fn count(&self) -> usize {
        self.projects.len()
    }

    /// Returns the traces of deleted projects that can still be read.
    pub(super) fn deleted(&self, now: Timestamp) -> impl Iterator<Item = &Row> {
        let kept = move |at: Timestamp| now.duration_since(at).unsigned_abs() <= DELETED_KEPT;
        self.deleted
            .iter()
            .filter(move |(at, _)| kept(*at))
            .map(|(_, row)| row)
    }

    fn insert(&mut self, created: DateTime) -> String {
        self.version += 1;
        self.made += 1;
        let mut row = world::project(self.seed, self.division, self.made, created);
        row.set("Timestamp", Cell::Long(self.version));
        let key = match row.get("ID") {
            Some(Cell::Guid(key)) => key.clone(),
            _ => unreachable!("every project has an ID"),
        };
        self.projects.insert(key.clone(), row);
        key
    }

    fn some_keys(&mut self, count: usize) -> Vec<String> {
        let mut left: Vec<String> = self.projects.keys().cloned().collect();
        (0..count.min(left.len()))
            .map(|_| left.swap_remove(self.dice.below(left.len())))
            .collect()
    }
}

/// The service keeps no finer time than milliseconds.
fn whole_millis(moment: DateTime) -> DateTime {
    let nanosecond = moment.subsec_nanosecond() / 1_000_000 * 1_000_000;
    moment
        .with()
        .subsec_nanosecond(nanosecond)
        .build()
        .unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source::new(7, 123_456, 50, "2026-11-22T10:00:00.123".parse().unwrap())
    }

    #[test]
    fn the_same_seed_makes_the_same_world() {
        let tell = || source().projects().map(Row::plain).collect::<Vec<_>>();
        assert_eq!(tell(), tell());
        assert_eq!(tell().len(), 50);
    }

    #[test]
    fn edits_move_modified_and_the_row_version() {
        let mut source = source();
        let now: DateTime = "2026-11-22T11:00:00.5".parse().unwrap();
        let before = source.version;
        let changed = source.change_many(3, now);
        for key in &changed {
            let row = &source.projects[key];
            assert_eq!(row.get("Modified"), Some(&Cell::Moment(now)));
            assert!(matches!(row.get("Timestamp"), Some(Cell::Long(v)) if *v > before));
        }
        let gone = source.delete_many(2, now, Timestamp::UNIX_EPOCH);
        let added = source.insert_many(4, now);
        assert_eq!(source.count(), 52);
        assert!(gone.iter().all(|key| !source.projects.contains_key(key)));
        assert!(added.iter().all(|key| source.projects.contains_key(key)));
        assert_eq!(source.deleted(Timestamp::UNIX_EPOCH).count(), 2);
        let later = crate::clock::after(Timestamp::UNIX_EPOCH, DELETED_KEPT * 2);
        assert_eq!(source.deleted(later).count(), 0);
    }
}
