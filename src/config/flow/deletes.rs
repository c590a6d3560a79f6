//! What becomes of rows that are gone at the source, and how the source tells of them.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::{Table, field};
use crate::config::keys;
use crate::config::reader::{Item, Table as Written};
use crate::record::FieldPath;

/// How long a row that is gone may be kept before it is removed for good.
const PURGES: RangeInclusive<Duration> =
    Duration::from_secs(60 * 60)..=Duration::from_secs(100 * 366 * 86_400);

/// What becomes of rows that are gone at the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletes {
    /// What becomes of such a row.
    pub mode: DeleteMode,
    /// Whether rows that a whole read does not bring are gone.
    pub sweep: Sweep,
    /// The most rows that one sweep may take.
    pub max: MostSwept,
    /// How long a marked row is kept; for ever if not said.
    pub purge_after: Option<Duration>,
}

/// What becomes of a row that is gone at the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteMode {
    /// It stays, with the time and the reason in `sync_deleted_at` and `sync_deleted_reason`.
    Soft,
    /// It is removed.
    Hard,
    /// Nothing.
    Ignore,
}

/// Whether rows that a whole read does not bring are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// They are not.
    Never,
    /// They are once two whole reads in a row have not brought them: a read by pages can miss a
    /// row that never went away, while others are written.
    Twice,
    /// They are.
    Once,
}

/// The most rows that one sweep may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MostSwept {
    /// This many of a hundred.
    Percent(u8),
    /// This many.
    Rows(u64),
}

impl Default for Deletes {
    fn default() -> Self {
        Self {
            mode: DeleteMode::Soft,
            sweep: Sweep::Twice,
            max: MostSwept::Percent(10),
            purge_after: None,
        }
    }
}

/// How a source tells that a row is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Tombstones {
    /// Where it says so.
    pub told: Told,
    /// The field that must be greater than the row's own for the row to be gone; the same in both.
    pub newer_by: Option<FieldPath>,
}

/// Where a source says that a row is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// In the record.
    Field {
        /// The field that says so.
        field: FieldPath,
        /// The value that means it; any but null and false if there is none.
        equals: Option<Value>,
    },
    /// In an array of its own beside the records, of keys or of objects with the key in them.
    List {
        /// Where it stands in the body.
        path: FieldPath,
        /// Each field of the table's key, with the field of an entry that holds it.
        key: Vec<(FieldPath, FieldPath)>,
    },
}

const MODES: [(&str, DeleteMode); 3] = [
    ("soft", DeleteMode::Soft),
    ("hard", DeleteMode::Hard),
    ("ignore", DeleteMode::Ignore),
];
const SWEEPS: [(&str, Sweep); 3] = [
    ("never", Sweep::Never),
    ("twice", Sweep::Twice),
    ("once", Sweep::Once),
];

/// Reads `deletes`: a mode, or a table with one and more.
pub(super) fn read(item: &Item<'_>) -> Option<Deletes> {
    let default = Deletes::default();
    if item.value.is_str() {
        let mode = item.choice(&MODES)?;
        return Some(Deletes { mode, ..default });
    }
    if !item.value.is_table() {
        return item.wrong_type("\"soft\", \"hard\", \"ignore\", or a table with `mode`, `sweep`");
    }
    let table = item.table(&keys::DELETES, format!("{}: `deletes`", item.what))?;
    let mode = table.or("mode", default.mode, |item| item.choice(&MODES));
    let purge_after = table
        .get("purge_after")
        .and_then(|item| item.duration(PURGES));
    if let (DeleteMode::Hard | DeleteMode::Ignore, Some(item)) = (mode, table.get("purge_after")) {
        let help = "it says how long marked rows stay; only `mode = \"soft\"` marks any";
        table.contradiction(&item, "`purge_after` has no effect with this `mode`", help);
    }
    for key in ["sweep", "max"] {
        if let (DeleteMode::Ignore, Some(item)) = (mode, table.get(key)) {
            let message = format!("`{key}` has no effect with `mode = \"ignore\"`");
            table.contradiction(&item, message, "remove one of them");
        }
    }
    Some(Deletes {
        mode,
        sweep: table.or("sweep", default.sweep, |item| item.choice(&SWEEPS)),
        max: table.or("max", default.max, |item| most(&item)),
        purge_after,
    })
}

/// Returns true if a flow says whether rows that do not come any more are gone.
pub(super) fn names_sweep(flow: &Written<'_>) -> bool {
    let deletes = flow.get("deletes");
    let table = deletes.and_then(|item| item.value.as_table());
    table.is_some_and(|table| table.contains_key("sweep"))
}

/// Reads a share such as `"10%"`, or a number of rows.
fn most(item: &Item<'_>) -> Option<MostSwept> {
    const EXPECTED: &str = "a share such as \"10%\", or a number of rows";
    if item.value.is_integer() {
        return item.number(1..=u64::MAX).map(MostSwept::Rows);
    }
    item.parsed(EXPECTED, |text| {
        let percent = text
            .strip_suffix('%')
            .and_then(|text| text.trim().parse().ok());
        percent
            .filter(|percent| (1..=100).contains(percent))
            .map(MostSwept::Percent)
            .ok_or_else(|| "is no share from 1% to 100%".to_owned())
    })
}

/// Reads `tombstones` of a flow whose records go to `table`.
pub(super) fn tombstones(item: &Item<'_>, key: &[FieldPath]) -> Option<Tombstones> {
    let table = item.table(&keys::TOMBSTONES, format!("{}: `tombstones`", item.what))?;
    let newer_by = table.get("newer_by").and_then(|item| field(&item));
    let told = match (table.get("field"), table.get("list")) {
        (Some(item), None) => in_field(&table, &item),
        (None, Some(item)) => in_list(&table, &item, key),
        (Some(_), Some(item)) => {
            let message = "deletions are told in one place";
            table.contradiction(&item, message, "keep one of `field` and `list`");
            None
        }
        (None, None) => {
            let expected = "{ field = \"deleted\" }, or { list = \"deleted\", key = \"id\" }";
            item.refuse("`tombstones` names neither `field` nor `list`", expected);
            None
        }
    };
    Some(Tombstones {
        told: told?,
        newer_by,
    })
}

fn in_field(table: &Written<'_>, item: &Item<'_>) -> Option<Told> {
    if let Some(item) = table.get("key") {
        let help = "a record that says it is gone has its key where others have it";
        table.contradiction(&item, "`key` belongs to `list`", help);
    }
    let equals = table.get("equals").and_then(|item| match item.json()? {
        Value::Object(_) | Value::Array(_) => item.wrong_type("text, a number, or true or false"),
        value => Some(value),
    });
    Some(Told::Field {
        field: field(item)?,
        equals,
    })
}

fn in_list(table: &Written<'_>, item: &Item<'_>, key: &[FieldPath]) -> Option<Told> {
    if let Some(item) = table.get("equals") {
        let help = "whatever stands in the list is gone";
        table.contradiction(&item, "`equals` belongs to `field`", help);
    }
    let path = field(item);
    let key = match table.get("key") {
        Some(item) => fields_of_key(&item, key),
        None => Some(
            key.iter()
                .map(|field| (field.clone(), field.clone()))
                .collect(),
        ),
    };
    Some(Told::List {
        path: path?,
        key: key?,
    })
}

/// Reads which field holds each field of a table's key: one name if the key has one field, a table
/// from each of them otherwise.
pub(super) fn fields_of_key(
    item: &Item<'_>,
    key: &[FieldPath],
) -> Option<Vec<(FieldPath, FieldPath)>> {
    if let ([only], true) = (key, item.value.is_str()) {
        return Some(vec![(only.clone(), field(item)?)]);
    }
    let names: Vec<String> = key.iter().map(|field| format!("{field} = \"…\"")).collect();
    let expected = format!("the fields of the key: {{ {} }}", names.join(", "));
    if !item.value.is_table() {
        return item.wrong_type(&expected);
    }
    let mut pairs = Vec::new();
    for inner in item.map()? {
        let of: Option<FieldPath> = inner.key.parse().ok();
        let Some(of) = of.filter(|of| key.contains(of)) else {
            inner.refuse(
                format!("`{}` is not in the table's key", inner.key),
                &expected,
            );
            return None;
        };
        pairs.push((of, field(&inner)?));
    }
    if let Some(missing) = key
        .iter()
        .find(|key| !pairs.iter().any(|(of, _)| of == *key))
    {
        item.refuse(
            format!("`key` lacks `{missing}`, which is in the table's key"),
            expected,
        );
        return None;
    }
    Some(pairs)
}

impl Table {
    /// Returns true if the table has the columns that mark a row as gone from the start.
    #[must_use]
    pub fn marks_deleted(&self) -> bool {
        self.may_lose_rows && self.deletes.mode == DeleteMode::Soft
    }
}
