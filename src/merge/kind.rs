//! What a column holds, learnt from its values; pure.
//!
//! A column's kind is decided by the *set* of what was seen in it, so the order in which values come
//! does not matter, and widening is one more value in the set.

use std::ops::BitOrAssign;

use super::number;
use super::text;
use crate::config::Kind;

/// The sorts of values seen in a column. Null is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen(u8);

impl Seen {
    pub(super) const NOTHING: Self = Self(0);
    const BOOLEAN: Self = Self(1);
    /// A whole number that a `REAL` column holds exactly.
    const SMALL: Self = Self(1 << 1);
    /// A whole number of 64 bits that it does not.
    const LARGE: Self = Self(1 << 2);
    const REAL: Self = Self(1 << 3);
    const DECIMAL: Self = Self(1 << 4);
    /// `/Date(…)/`.
    const STAMP: Self = Self(1 << 5);
    const JSON: Self = Self(1 << 6);
    const TEXT: Self = Self(1 << 7);

    /// Returns the sort of one raw JSON value.
    pub(super) fn of_value(raw: &str) -> Self {
        match raw.as_bytes().first() {
            None | Some(b'n') => Self::NOTHING,
            Some(b't' | b'f') => Self::BOOLEAN,
            Some(b'"') if text::odata_date(raw, &mut String::new()).is_some() => Self::STAMP,
            Some(b'"') => Self::TEXT,
            Some(b'{') if text::is_deferred(raw) => Self::NOTHING,
            Some(b'{' | b'[') => Self::JSON,
            Some(_) => match number::integer(raw) {
                Some(number) if number::is_exact_as_real(number) => Self::SMALL,
                Some(_) => Self::LARGE,
                None if number::real(raw).is_some() => Self::REAL,
                None => Self::DECIMAL,
            },
        }
    }

    /// Returns the sorts a column of this kind may hold already.
    pub(super) fn of_column(kind: Option<Kind>) -> Self {
        match kind {
            None => Self::NOTHING,
            Some(Kind::Boolean) => Self::BOOLEAN,
            Some(Kind::Integer) => Self::SMALL,
            Some(Kind::Real) => Self::REAL,
            Some(Kind::Decimal) => Self::DECIMAL,
            Some(Kind::Timestamp) => Self::STAMP,
            Some(Kind::Json) => Self::JSON,
            Some(Kind::Text | Kind::Date | Kind::Guid) => Self::TEXT,
        }
    }

    /// Returns this and whole numbers too large for `REAL`.
    pub(super) fn with_large_integers(self) -> Self {
        Self(self.0 | Self::LARGE.0)
    }

    /// Returns true if telling whether `REAL` will do needs a look at the whole numbers stored.
    pub(super) fn mixes_integer_and_real(self) -> bool {
        self.0 & Self::SMALL.0 != 0 && self.kind() == Some(Kind::Real)
    }

    /// Returns the narrowest kind that holds everything seen and keeps its meaning.
    ///
    /// Booleans and numbers together are text, because 1 and true would be one value. Objects beside
    /// numbers or booleans are JSON, where each looks as it was sent. Strings beside anything else are
    /// text. `None` if nothing but nulls was seen.
    pub(super) fn kind(self) -> Option<Kind> {
        let only = |sorts: &[Self]| {
            let allowed = sorts.iter().fold(0, |all, sort| all | sort.0);
            self.0 & !allowed == 0
        };
        let numbers = [Self::SMALL, Self::LARGE, Self::REAL, Self::DECIMAL];
        let scalars = [numbers.as_slice(), &[Self::BOOLEAN, Self::JSON]].concat();
        if self == Self::NOTHING {
            None
        } else if only(&[Self::BOOLEAN]) {
            Some(Kind::Boolean)
        } else if only(&[Self::SMALL, Self::LARGE]) {
            Some(Kind::Integer)
        } else if only(&[Self::SMALL, Self::REAL]) {
            Some(Kind::Real)
        } else if only(&numbers) {
            Some(Kind::Decimal)
        } else if only(&[Self::STAMP]) {
            Some(Kind::Timestamp)
        } else if self.0 & Self::JSON.0 != 0 && only(&scalars) {
            Some(Kind::Json)
        } else {
            Some(Kind::Text)
        }
    }

    /// Returns true if two values of a key column that are not the same could become one text: `1` and
    /// `"1"`, or a date and the text it is written as.
    ///
    /// Numbers and booleans are distinct texts, but what comes after them could not be told from
    /// either, for a text column does not say what its texts were.
    pub(super) fn blurs_as_key(self) -> bool {
        let has = |sort: Self| self.0 & sort.0 != 0;
        let is_one = self.0.is_power_of_two();
        let number = Self(Self::SMALL.0 | Self::LARGE.0 | Self::REAL.0 | Self::DECIMAL.0);
        let has_text = has(Self::TEXT) || has(Self::STAMP);
        (has_text && !is_one) || (has(Self::BOOLEAN) && has(number) && !has(Self::JSON))
    }

    /// Returns the kind for a column that is part of the primary key.
    ///
    /// A key is never `REAL`: 5 and 5.0 would become one row.
    pub(super) fn key_kind(self) -> Option<Kind> {
        match self.kind() {
            Some(Kind::Real) => Some(Kind::Decimal),
            kind => kind,
        }
    }
}

impl BitOrAssign for Seen {
    fn bitor_assign(&mut self, more: Self) {
        self.0 |= more.0;
    }
}

/// Every kind with the word that `_tidegate_columns` has for it.
const WORDS: [(Kind, &str); 9] = [
    (Kind::Integer, "integer"),
    (Kind::Real, "real"),
    (Kind::Decimal, "decimal"),
    (Kind::Text, "text"),
    (Kind::Boolean, "boolean"),
    (Kind::Date, "date"),
    (Kind::Timestamp, "timestamp"),
    (Kind::Json, "json"),
    (Kind::Guid, "guid"),
];

/// The word for a column in which only nulls were seen.
const UNKNOWN: &str = "unknown";

/// Returns the word for a kind.
pub(super) fn word(kind: Option<Kind>) -> &'static str {
    let found = WORDS.iter().find(|(known, _)| Some(*known) == kind);
    found.map_or(UNKNOWN, |(_, word)| word)
}

/// Returns the kind a word stands for, or `None` if it is not one of ours.
pub(super) fn of_word(word: &str) -> Option<Option<Kind>> {
    let found = WORDS.iter().find(|(_, known)| *known == word);
    match found {
        Some((kind, _)) => Some(Some(*kind)),
        None => (word == UNKNOWN).then_some(None),
    }
}

/// Returns the SQLite type of a kind's column. Nulls alone get `TEXT`, which most kinds are.
pub(super) fn storage(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Integer | Kind::Boolean) => "INTEGER",
        Some(Kind::Real) => "REAL",
        None
        | Some(
            Kind::Decimal | Kind::Text | Kind::Date | Kind::Timestamp | Kind::Json | Kind::Guid,
        ) => "TEXT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_the_narrowest_that_keeps_every_value() {
        let cases: [(&[&str], &str); 22] = [
            (&["null", ""], "unknown"),
            (&["true", "null"], "boolean"),
            (&["1", "-9223372036854775808"], "integer"),
            (&["1", "9223372036854775808"], "decimal"),
            (&["-0"], "decimal"),
            (&["1.5", "2"], "real"),
            (&["1.5", "9007199254740993"], "decimal"),
            (&["1.50"], "decimal"),
            (&["1e400"], "decimal"),
            (&["true", "1"], "text"),
            (&["\"a\""], "text"),
            (&["\"12\"", "12"], "text"),
            (&["\"/Date(0)/\""], "timestamp"),
            (&["\"/Date(0)/\"", "\"n/a\""], "text"),
            (&["\"/Date(0)/\"", "1"], "text"),
            (&["\"2026-01-01T00:00:00Z\""], "text"),
            (&["{}", "[1]"], "json"),
            (&["{}", "1", "1.50", "true"], "json"),
            (&["{}", "\"a\""], "text"),
            (&["{}", "\"/Date(0)/\""], "text"),
            (&["{\"__deferred\":{\"uri\":\"x\"}}"], "unknown"),
            (&["{\"__deferred\":{\"uri\":\"x\"}}", "1"], "integer"),
        ];
        for (values, kind) in cases {
            let mut seen = Seen::NOTHING;
            values
                .iter()
                .for_each(|value| seen |= Seen::of_value(value));
            assert_eq!(word(seen.kind()), kind, "{values:?}");
        }
    }

    #[test]
    fn every_kind_has_a_word_that_leads_back() {
        for (kind, name) in WORDS {
            assert_eq!(of_word(word(Some(kind))), Some(Some(kind)), "{name}");
        }
        assert_eq!(of_word(word(None)), Some(None));
        assert_eq!(of_word("blob"), None);
    }
}
