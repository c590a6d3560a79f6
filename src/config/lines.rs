//! Where the lines of a text begin, so that any place in it is named at once.

use std::ops::{Range, RangeInclusive};

/// The lines of one text.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// Finds the lines of `text`.
    pub(super) fn of(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(breaks).collect(),
        }
    }

    /// Returns the line a byte is on, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    /// Returns the lines a range of bytes is on.
    pub(super) fn lines(&self, range: &Range<usize>) -> RangeInclusive<usize> {
        self.line(range.start)..=self.line(range.end.saturating_sub(1).max(range.start))
    }

    /// Returns the line and the column of a byte, both from 1, the column in characters.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let line = self.line(at);
        let before = &self.text[self.starts[line - 1]..self.text.floor_char_boundary(at)];
        (line, before.chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let lines = Lines::of("é = 1\n\nb\n");
        let cases = [
            (0, (1, 1)),
            (2, (1, 2)),
            (6, (1, 6)),
            (7, (2, 1)),
            (8, (3, 1)),
            (10, (4, 1)),
        ];
        for (at, place) in cases {
            assert_eq!(lines.place(at), place, "byte {at}");
        }
        assert_eq!(lines.lines(&(2..8)), 1..=2);
    }
}
