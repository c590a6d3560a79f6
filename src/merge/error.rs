//! Why records could not be merged.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;

use crate::config::Table;
use crate::record::FieldPath;
use crate::remedy::Remedy;
use crate::store;

/// The most columns SQLite allows a table.
pub(super) const MOST_COLUMNS: usize = 2000;

/// How much of a source's text an error shows.
const SAMPLE: usize = 40;

/// How many field names an error shows.
const FIELDS: usize = 8;

/// Why records could not be merged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record has no value where its primary key should be.
    #[error(
        "table `{table}`: record {position} of page {page} has no `{key}`, which is in the primary key; its fields are {fields}"
    )]
    KeyMissing {
        /// The table.
        table: String,
        /// The source field.
        key: String,
        /// The page, from 1.
        page: u64,
        /// The record's place in the page, from 1.
        position: usize,
        /// The names of the fields the record has.
        fields: String,
    },
    /// The values of a key column whose type is learnt are of several sorts.
    #[error(
        "table `{table}`: `{column}`, which is in the primary key, has values of several types, and some that differ, such as 1 and \"1\", would become one row"
    )]
    KeyBlurred {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A record's primary key holds half a character, which no text can hold.
    #[error(
        "table `{table}`: record {position} of page {page} has half a character (a surrogate without its partner) in `{key}`, which is in the primary key"
    )]
    KeyBroken {
        /// The table.
        table: String,
        /// The source field.
        key: String,
        /// The page, from 1.
        page: u64,
        /// The record's place in the page, from 1.
        position: usize,
    },
    /// What the source says of a row that is gone does not say which row.
    #[error(
        "table `{table}`: page {page} says of a row that it is gone, and has no `{key}` to tell which (deletion {position}); its fields are {fields}"
    )]
    GraveWithoutKey {
        /// The table.
        table: String,
        /// The source field of the key.
        key: String,
        /// The page, from 1.
        page: u64,
        /// Its place among the records, or in the list of what is gone, from 1.
        position: usize,
        /// The names of the fields it has.
        fields: String,
    },
    /// The field by which deletions and rows are compared is no column.
    #[error(
        "table `{table}` has no column for `{field}`, by which a deletion must be newer than its row"
    )]
    NoVersion {
        /// The table.
        table: String,
        /// The source field.
        field: String,
    },
    /// A record is not a JSON object that can be read.
    #[error("table `{table}`: could not read record {position} of page {page}: {reason}")]
    NotARecord {
        /// The table.
        table: String,
        /// The page, from 1.
        page: u64,
        /// The record's place in the page, from 1.
        position: usize,
        /// What is wrong.
        reason: String,
    },
    /// A value cannot be what the configuration says it is.
    #[error("table `{table}`: column `{column}` is declared {kind}, but {row} has {sample}")]
    Misfit {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The declared kind.
        kind: &'static str,
        /// Which row, by its key.
        row: String,
        /// The beginning of the value.
        sample: String,
    },
    /// The table belongs to someone else.
    #[error("the database already has a {what} `{table}` that tidegate did not make")]
    NotOurs {
        /// The table.
        table: String,
        /// `table` or `view`.
        what: String,
    },
    /// The primary key of the configuration is not the table's.
    #[error("table `{table}` has the primary key {found}, and the configuration says {wanted}")]
    KeyChanged {
        /// The table.
        table: String,
        /// The key it has.
        found: String,
        /// The key it should have.
        wanted: String,
    },
    /// A column's name is taken by a column that is not ours, or by another of the same flow.
    #[error("table `{table}`: the name of column `{column}` is taken")]
    ColumnTaken {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// The records have more fields than a table can have columns.
    #[error("table `{table}` would need {columns} columns or more; SQLite allows {MOST_COLUMNS}")]
    TooManyColumns {
        /// The table.
        table: String,
        /// How many were counted.
        columns: usize,
    },
    /// Something a person added to the table stands in the way of rebuilding it.
    #[error("table `{table}` could not be rebuilt for wider values because of {what}")]
    InTheWay {
        /// The table.
        table: String,
        /// What it is.
        what: String,
    },
    /// An index, a trigger or a check that a person added does not let a row in.
    #[error("table `{table}` refused {row}: {reason}")]
    Refused {
        /// The table.
        table: String,
        /// Which row, by its key.
        row: String,
        /// What SQLite says.
        reason: String,
    },
    /// The remembered kind of a column is none that this program knows.
    #[error("table `{table}`: column `{column}` has the unknown kind `{kind}`")]
    UnknownKind {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The word found.
        kind: String,
    },
    /// A table that was just made wide enough still was not.
    #[error("table `{table}` could not be made to fit its records")]
    Unsettled {
        /// The table.
        table: String,
    },
    /// The database could not do it.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Error {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::KeyMissing { .. }
            | Self::GraveWithoutKey { .. }
            | Self::NoVersion { .. }
            | Self::KeyBlurred { .. }
            | Self::KeyBroken { .. }
            | Self::NotARecord { .. }
            | Self::Misfit { .. }
            | Self::NotOurs { .. }
            | Self::KeyChanged { .. }
            | Self::ColumnTaken { .. }
            | Self::TooManyColumns { .. }
            | Self::InTheWay { .. }
            | Self::Refused { .. } => Remedy::EditConfig,
            Self::UnknownKind { .. } | Self::Unsettled { .. } => Remedy::Report,
            Self::Store(error) => error.remedy(),
        }
    }

    /// Says what to do about it, if there is more to say than who must act.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::KeyMissing { .. } => {
                "name fields in `key` that every record has, and select them in the request".into()
            }
            Self::GraveWithoutKey { .. } => {
                "say in `tombstones` which field holds the key: key = \"…\"".into()
            }
            Self::NoVersion { field, .. } => {
                format!("list `{field}` in `columns`, and select it in the request")
            }
            Self::KeyBlurred { column, .. } => format!(
                "if they mean the same, declare `{column}` in `columns` with type \"text\"; if not, \
                 add a field to `key`"
            ),
            Self::KeyBroken { .. } => {
                "mend the record at the source, or leave it out by the request".into()
            }
            Self::NotARecord { .. } => {
                "`records` must lead to objects; `tidegate check` shows where it points".into()
            }
            Self::Misfit { column, .. } => {
                format!("declare another type for `{column}`, or none to have it learnt")
            }
            Self::NotOurs { table, .. } => {
                format!("give the flow another `table`, or rename `{table}`")
            }
            Self::KeyChanged { table, .. } => format!(
                "set `key` back, or give the flow another `table`, or drop `{table}` to load it anew"
            ),
            Self::ColumnTaken { column, .. } => {
                format!("give the column another name than `{column}` in `columns`")
            }
            Self::TooManyColumns { .. } => "list the fields you need in `columns`".into(),
            Self::InTheWay { what, .. } => format!("drop {what}, and make it again afterwards"),
            Self::Refused { .. } => {
                "look at what was added to the table: an index, a trigger or a check".into()
            }
            Self::UnknownKind { .. } | Self::Unsettled { .. } | Self::Store(_) => return None,
        })
    }
}

/// Returns the beginning of a source's text, safe to print.
pub(super) fn sample(text: &str) -> String {
    let mut sample: String = text
        .chars()
        .take(SAMPLE)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(SAMPLE).is_some() {
        sample.push('…');
    }
    sample
}

/// Names a row by its key columns and the beginnings of their raw values.
pub(super) fn row_name<'a>(key: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = key
        .into_iter()
        .map(|(name, raw)| format!("`{name}` `{}`", sample(raw.trim_matches('"'))));
    format!("the row with {}", pairs.collect::<Vec<_>>().join(", "))
}

/// Where a record stands.
pub(super) struct Place<'a> {
    pub(super) table: &'a Table,
    /// The page's number, from 1.
    pub(super) page: u64,
    /// The record's place in the page, from 0.
    pub(super) index: usize,
}

impl Place<'_> {
    pub(super) fn not_a_record(&self, error: &serde_json::Error) -> Error {
        Error::NotARecord {
            table: self.table.name.clone(),
            page: self.page,
            position: self.index + 1,
            reason: reason(error),
        }
    }

    pub(super) fn key_broken(&self, key: &FieldPath) -> Error {
        Error::KeyBroken {
            table: self.table.name.clone(),
            key: key.to_string(),
            page: self.page,
            position: self.index + 1,
        }
    }

    /// Tells what fields the record has, not what is in them.
    pub(super) fn key_missing(&self, key: &FieldPath, record: &str) -> Error {
        Error::KeyMissing {
            table: self.table.name.clone(),
            key: key.to_string(),
            page: self.page,
            position: self.index + 1,
            fields: field_names(record),
        }
    }

    /// The same of what only says that a row is gone.
    pub(super) fn grave_without_key(&self, key: &FieldPath, text: &str) -> Error {
        Error::GraveWithoutKey {
            table: self.table.name.clone(),
            key: key.to_string(),
            page: self.page,
            position: self.index + 1,
            fields: field_names(text),
        }
    }
}

/// Returns the names of the first fields of an object.
fn field_names(object: &str) -> String {
    let names = serde_json::from_str(object).unwrap_or(Names(Vec::new())).0;
    let shown = names.iter().take(FIELDS);
    let mut fields: Vec<String> = shown.map(|name| format!("`{}`", sample(name))).collect();
    if names.len() > FIELDS {
        fields.push("…".to_owned());
    }
    fields.join(", ")
}

/// The first names of an object, one more than are shown.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self(Vec::new()))
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while self.0.len() <= FIELDS
            && let Some((name, IgnoredAny)) = map.next_entry()?
        {
            self.0.push(name);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}

/// Says what is wrong with a record without repeating any of it.
fn reason(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Data => "it is not a JSON object".to_owned(),
        Category::Io | Category::Syntax | Category::Eof => {
            format!("it is not JSON (column {})", error.column())
        }
    }
}
