//! The part of OData's `$filter` that a reading client needs: comparisons of a field with a
//! literal, joined by `and` and `or`, in parentheses where wanted.

mod reader;

use std::cmp::Ordering;

use super::cell::{Cell, Row};

pub(super) use reader::read_literals;

/// A filter that could be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    Compare {
        field: String,
        operator: Operator,
        value: Cell,
    },
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Filter {
    /// Reads a filter.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        reader::read_filter(text)
    }

    /// Returns the fields it compares.
    pub(super) fn fields(&self) -> Vec<&str> {
        match self {
            Self::Compare { field, .. } => vec![field],
            Self::And(left, right) | Self::Or(left, right) => {
                left.fields().into_iter().chain(right.fields()).collect()
            }
        }
    }

    /// Tells whether a row passes. Nothing equals nothing, and is neither greater nor less.
    pub(super) fn takes(&self, row: &Row) -> bool {
        match self {
            Self::And(left, right) => left.takes(row) && right.takes(row),
            Self::Or(left, right) => left.takes(row) || right.takes(row),
            Self::Compare {
                field,
                operator,
                value,
            } => {
                let cell = row.get(field).unwrap_or(&Cell::Null);
                if *value == Cell::Null || *cell == Cell::Null {
                    return (cell == value) == (*operator == Operator::Equal)
                        && matches!(operator, Operator::Equal | Operator::NotEqual);
                }
                cell.compare(value)
                    .is_some_and(|order| operator.holds(order))
            }
        }
    }
}

impl Operator {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row::new(vec![
            ("Code", Cell::text(" O'Neill")),
            ("ID", Cell::Guid("0a0b".into())),
            (
                "Modified",
                Cell::Moment("2025-01-02T03:04:05.5".parse().unwrap()),
            ),
            ("Timestamp", Cell::Long(12)),
            ("Manager", Cell::Null),
        ])
    }

    #[test]
    fn filters_take_what_they_say() {
        let cases = [
            ("Modified ge datetime'2025-01-02T03:04:05.5'", true),
            ("Modified gt datetime'2025-01-02T03:04:05.5'", false),
            ("Timestamp gt 11L and Timestamp le 12", true),
            ("Timestamp lt 12L or ID eq guid'0A0B'", true),
            ("(Timestamp lt 12L) or (Code eq ' O''Neill')", true),
            (
                "(Timestamp lt 12L or Timestamp eq 12L) and Code ne 'x'",
                true,
            ),
            ("Manager eq null", true),
            ("Manager ne null", false),
            ("Code ne null", true),
            ("Manager gt 1", false),
        ];
        for (text, taken) in cases {
            assert_eq!(Filter::read(text).unwrap().takes(&row()), taken, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for wrong in [
            "",
            "Code",
            "Code is 'x'",
            "Code eq 'x",
            "Modified gt datetime'2025-01-02'",
            "Modified gt datetime'2025-01-02T00:00:00Z'",
            "(Code eq 'x'",
            "Code eq 'x' Code eq 'y'",
            "Code eq x",
        ] {
            assert!(Filter::read(wrong).is_err(), "{wrong}");
        }
        assert!(Filter::read(&"(".repeat(40)).is_err());
    }

    #[test]
    fn a_skiptoken_is_a_list_of_literals() {
        let literals = read_literals("datetime'2018-09-21T04:18:55.617',guid'0a'").unwrap();
        assert_eq!(
            literals
                .iter()
                .map(Cell::literal)
                .collect::<Vec<_>>()
                .join(","),
            "datetime'2018-09-21T04:18:55.617',guid'0a'"
        );
    }
}
