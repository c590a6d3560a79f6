//! The statements that look a row up and write it.
//!
//! All of them have the same parameters: the columns in the shape's order, then `sync_at`, then,
//! where rows belong to accounts, `sync_account`, then the row's number.

use super::shape::{SYNC_ACCOUNT, SYNC_AT, SYNC_DELETED_AT, SYNC_DELETED_REASON, Shape, quoted};

/// How many comparisons stand beside each other before parentheses close around them: SQLite limits
/// how deep an expression is (1,000), and a row of `OR` is as deep as it is long.
const ABREAST: usize = 64;

/// Where the parameters that are not columns stand.
pub(super) struct Ours {
    /// `sync_at`.
    pub(super) at: usize,
    /// `sync_account`.
    pub(super) account: usize,
    /// The row's number.
    pub(super) row: usize,
}

impl Ours {
    pub(super) fn of(shape: &Shape) -> Self {
        let columns = shape.columns.len();
        Self {
            at: columns + 1,
            account: columns + 2,
            row: columns + 2 + usize::from(shape.by_account),
        }
    }
}

/// Returns the statement that looks up a row by its key: its number, whether it is marked deleted,
/// and whether any of its other columns differs from the parameters.
pub(super) fn look_up(shape: &Shape) -> String {
    let marked = match shape.has_marks {
        true => format!("present.{SYNC_DELETED_AT} IS NOT NULL"),
        false => "0".to_owned(),
    };
    format!(
        "SELECT present._rowid_, {marked}, {} FROM {} AS present WHERE {}",
        differs(shape),
        quoted(&shape.table),
        is_row(shape)
    )
}

/// Returns the statement that writes a row unless there is one with its key.
pub(super) fn insert(shape: &Shape) -> String {
    let ours = Ours::of(shape);
    let mut names: Vec<String> = shape
        .columns
        .iter()
        .map(|column| quoted(&column.name))
        .collect();
    let mut places: Vec<String> = (1..=ours.at).map(|place| format!("?{place}")).collect();
    names.push(SYNC_AT.to_owned());
    if shape.by_account {
        names.push(SYNC_ACCOUNT.to_owned());
        places.push(format!("?{}", ours.account));
    }
    format!(
        "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO NOTHING",
        quoted(&shape.table),
        names.join(", "),
        places.join(", "),
        key(shape)
            .map(|(name, _)| name)
            .collect::<Vec<_>>()
            .join(", "),
    )
}

/// Returns the statement that writes every column of a row but its key, and takes its mark away.
pub(super) fn update(shape: &Shape) -> String {
    let ours = Ours::of(shape);
    let mut sets: Vec<String> = others(shape)
        .map(|(name, place)| format!("{name} = ?{place}"))
        .collect();
    sets.push(format!("{SYNC_AT} = ?{}", ours.at));
    if shape.has_marks {
        sets.push(format!(
            "{SYNC_DELETED_AT} = NULL, {SYNC_DELETED_REASON} = NULL"
        ));
    }
    format!(
        "UPDATE {} SET {} WHERE _rowid_ = ?{}",
        quoted(&shape.table),
        sets.join(", "),
        ours.row
    )
}

/// Returns the condition that a row has the key of the parameters.
fn is_row(shape: &Shape) -> String {
    let equal: Vec<String> = key(shape)
        .map(|(name, place)| format!("{name} = ?{place}"))
        .collect();
    equal.join(" AND ")
}

/// Returns the columns of the key, each with the place of its parameter.
pub(super) fn key(shape: &Shape) -> impl Iterator<Item = (String, usize)> {
    let account = (SYNC_ACCOUNT.to_owned(), Ours::of(shape).account);
    numbered(shape, true).chain(shape.by_account.then_some(account))
}

fn others(shape: &Shape) -> impl Iterator<Item = (String, usize)> {
    numbered(shape, false)
}

fn numbered(shape: &Shape, is_key: bool) -> impl Iterator<Item = (String, usize)> {
    let columns = shape.columns.iter().zip(1..);
    columns
        .filter(move |(column, _)| column.is_key == is_key)
        .map(|(column, place)| (quoted(&column.name), place))
}

/// Returns the condition that a column beside the key is not as the parameters have it.
fn differs(shape: &Shape) -> String {
    let differs: Vec<String> = others(shape)
        .map(|(name, place)| format!("present.{name} IS NOT ?{place}"))
        .collect();
    if differs.is_empty() {
        return "0".to_owned();
    }
    let groups: Vec<String> = differs
        .chunks(ABREAST)
        .map(|group| format!("({})", group.join(" OR ")))
        .collect();
    groups.join(" OR ")
}
