//! Which rows a whole read has brought.

use std::collections::HashMap;

/// How many rows one word of bits tells about.
const WORD: i64 = 64;

/// The rows of one table that a read has brought, one bit each: rows are numbered as they are
/// inserted, so that a table of a million costs far less than a megabyte.
///
/// A row's number is SQLite's own (`_rowid_`). It stays what it is through updates and through our
/// rebuilding of a table; nothing is ever remembered by it beyond one run.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    words: HashMap<i64, u64>,
    /// How many there are.
    pub count: u64,
}

impl Seen {
    /// Takes note of a row.
    pub(super) fn note(&mut self, row: i64) {
        let (word, bit) = place(row);
        let word = self.words.entry(word).or_default();
        self.count += u64::from(*word & bit == 0);
        *word |= bit;
    }

    /// Returns true if the row was brought.
    pub(super) fn has(&self, row: i64) -> bool {
        let (word, bit) = place(row);
        self.words.get(&word).is_some_and(|word| word & bit != 0)
    }
}

fn place(row: i64) -> (i64, u64) {
    (row.div_euclid(WORD), 1 << row.rem_euclid(WORD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_seen_once_it_was_noted_and_counted_once() {
        let rows = [1, 2, 64, 65, 1 << 40, i64::MAX, i64::MIN, -1, 0];
        let mut seen = Seen::default();
        for row in rows.into_iter().chain(rows) {
            seen.note(row);
        }
        assert_eq!(seen.count, rows.len() as u64);
        assert!(rows.into_iter().all(|row| seen.has(row)));
        assert!(
            [3, 63, 66, -2, i64::MAX - 1]
                .into_iter()
                .all(|row| !seen.has(row))
        );
    }
}
