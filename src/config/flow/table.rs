//! Where a flow's records go, as written.

use std::collections::BTreeSet;

use super::resource::field;
use super::{Accounts, Column, Columns, Deletes, Kind, Table, With, deletes};
use crate::config::reader::{Item, Table as Written, quoted};
use crate::config::report::Problem;
use crate::config::{Name, keys};
use crate::record::FieldPath;

/// The longest name of a table or column, in letters; longer ones fit no screen.
const LONGEST: usize = 128;
/// How the names of our own tables begin, those of SQLite, and those of what it reads as tables.
const RESERVED_PREFIXES: [&str; 3] = ["_tidegate_", "sqlite_", "pragma_"];
/// Names that SQLite reads as tables of its own, and the one our statements call a new row by.
const RESERVED_TABLES: [&str; 4] = ["json_each", "json_tree", "dbstat", "excluded"];
/// How the names of the columns we add begin.
const SYSTEM_COLUMN: &str = "sync_";
/// The name that SQLite lets us call any row by.
const ROW_NUMBER: &str = "_rowid_";
/// The kinds a column may be declared to have.
const KINDS: [(&str, Kind); 9] = [
    ("integer", Kind::Integer),
    ("real", Kind::Real),
    ("decimal", Kind::Decimal),
    ("text", Kind::Text),
    ("boolean", Kind::Boolean),
    ("date", Kind::Date),
    ("timestamp", Kind::Timestamp),
    ("json", Kind::Json),
    ("guid", Kind::Guid),
];

/// Reads `table`, `key`, `columns` and `deletes` of a flow.
pub(super) fn read(
    flow: &Written<'_>,
    name: &Name,
    accounts: &Accounts,
    with: Vec<With>,
) -> Option<Table> {
    let table = match flow.get("table") {
        Some(item) => item.parsed("a name of letters, digits, `_` and `-`", table_name),
        None => match table_name(name.as_str()) {
            Ok(table) => Some(table),
            Err(why) => {
                let message = format!("{}: its name cannot be its table's, which {why}", flow.what);
                let problem = Problem::at(flow.at.clone(), message);
                flow.findings
                    .add(problem.label("expected `table`").absence());
                None
            }
        },
    };
    let key = flow.need(
        "key",
        "the fields that make two records one row, such as [\"ID\"]",
    );
    let key = key.as_ref().and_then(key_fields);
    let columns = flow.or("columns", Columns::All, |item| columns(&item));
    if let (Some(key), Columns::Listed(listed), Some(item)) = (&key, &columns, flow.get("key")) {
        check_unlisted_keys(&item, key, listed);
    }
    check_with(flow, &with, &columns);
    Some(Table {
        name: table?,
        key: key?,
        columns,
        with,
        by_account: *accounts != Accounts::Nameless,
        deletes: flow.or("deletes", Deletes::default(), |item| deletes::read(&item)),
        may_lose_rows: false,
    })
}

fn table_name(text: &str) -> Result<String, String> {
    let lower = text.to_lowercase();
    if RESERVED_TABLES.contains(&lower.as_str()) {
        return Err("is a name of SQLite's own".to_owned());
    }
    if let Some(prefix) = RESERVED_PREFIXES
        .iter()
        .find(|prefix| lower.starts_with(**prefix))
    {
        return Err(format!("begins with `{prefix}`, which is reserved"));
    }
    let plain = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
    if !text.chars().all(plain) || text.starts_with(|c: char| c.is_numeric() || c == '-') {
        return Err(format!("cannot be {}", quoted(text)));
    }
    match text.chars().count() > LONGEST {
        true => Err(format!("is longer than {LONGEST} letters")),
        false => Ok(text.to_owned()),
    }
}

pub(super) fn column_name(text: &str) -> Result<String, String> {
    if text.to_lowercase().starts_with(SYSTEM_COLUMN) {
        return Err(format!(
            "begins with `{SYSTEM_COLUMN}`, which is kept for our own columns"
        ));
    }
    if text.eq_ignore_ascii_case(ROW_NUMBER) {
        return Err("is SQLite's own name for a row's number".to_owned());
    }
    if text.is_empty() || text.contains(|letter: char| letter == '"' || letter.is_control()) {
        return Err("is no name for a column".to_owned());
    }
    match text.chars().count() > LONGEST {
        true => Err(format!("is longer than {LONGEST} letters")),
        false => Ok(text.to_owned()),
    }
}

fn key_fields(item: &Item<'_>) -> Option<Vec<FieldPath>> {
    let expected = "an array of fields, such as [\"ID\"]";
    let items = item.list(expected)?;
    let mut fields = Vec::new();
    for (item, path) in items.iter().filter_map(|item| Some((item, field(item)?))) {
        if fields.contains(&path) {
            item.refuse(format!("`key` names `{path}` twice"), "each field once");
        }
        fields.push(path);
    }
    if items.is_empty() {
        item.refuse("`key` is empty", expected);
    }
    (!fields.is_empty() && fields.len() == items.len()).then_some(fields)
}

/// Checks that key fields which are no listed column, and become one under their own name, do not
/// meet a column of that name.
fn check_unlisted_keys(item: &Item<'_>, key: &[FieldPath], listed: &[Column]) {
    for field in key
        .iter()
        .filter(|key| !listed.iter().any(|column| column.field == **key))
    {
        let name = own_name(field);
        if listed
            .iter()
            .any(|column| column.name.eq_ignore_ascii_case(&name))
        {
            let message =
                format!("`key` field `{field}` needs column `{name}`, which holds another field");
            item.refuse(
                message,
                format!("`{field}` among `columns`, under a name of its own"),
            );
        }
    }
}

/// Checks that no column of `with` has the name of another column.
fn check_with(flow: &Written<'_>, with: &[With], columns: &Columns) {
    let listed = match columns {
        Columns::All => &[][..],
        Columns::Listed(listed) => listed,
    };
    for (index, column) in with.iter().enumerate() {
        let name = &column.column;
        let is_called = |other: &str| other.eq_ignore_ascii_case(name);
        let field = FieldPath::of([name]);
        let taken = with[..index].iter().any(|other| is_called(&other.column))
            || listed
                .iter()
                .any(|other| is_called(&other.name) && other.field != field);
        if let (true, Some(item)) = (taken, flow.get("with")) {
            let message = format!("`with` has a column `{name}`, and there is another");
            item.refuse(message, "another name");
        }
    }
}

/// Returns the name of a column that was given none.
fn own_name(field: &FieldPath) -> String {
    field.segments().join("_")
}

fn columns(item: &Item<'_>) -> Option<Columns> {
    let expected = "a table such as { id = \"ID\" }, or an array such as [\"ID\", \"Code\"]";
    let written: Vec<(Item<'_>, Option<Column>)> = if item.value.is_array() {
        item.list(expected)?
            .into_iter()
            .map(|item| (item.clone(), unnamed(&item)))
            .collect()
    } else if item.value.is_table() {
        item.map()?
            .into_iter()
            .map(|item| (item.clone(), named(&item)))
            .collect()
    } else {
        return item.wrong_type(expected);
    };
    if written.is_empty() {
        item.refuse("`columns` is empty", expected);
    }
    let mut seen = BTreeSet::new();
    for (item, column) in &written {
        if let Some(column) = column
            && !seen.insert(column.name.to_ascii_lowercase())
        {
            let message = format!("{}: there are two columns `{}`", item.what, column.name);
            let at = if item.key == "columns" {
                &item.at
            } else {
                &item.key_at
            };
            let problem = Problem::at(at.clone(), message);
            item.findings
                .add(problem.label("SQLite does not tell upper from lower case here"));
        }
    }
    Some(Columns::Listed(
        written
            .into_iter()
            .filter_map(|(_, column)| column)
            .collect(),
    ))
}

/// Reads a column written as its field alone, whose name it takes.
fn unnamed(item: &Item<'_>) -> Option<Column> {
    let field = field(item)?;
    let name = item.parsed("another name: { name = \"field\" }", |_| {
        column_name(&own_name(&field))
    })?;
    Some(Column {
        name,
        field,
        kind: None,
    })
}

/// Reads `name = "field"` or `name = { field = …, type = … }`.
fn named(item: &Item<'_>) -> Option<Column> {
    let name = match column_name(item.key) {
        Ok(name) => Some(name),
        Err(why) => {
            let message = format!("{}: column {} {why}", item.what, quoted(item.key));
            let problem = Problem::at(item.key_at.clone(), message);
            item.findings.add(problem.label("expected another name"));
            None
        }
    };
    if item.value.is_str() {
        return Some(Column {
            field: field(item)?,
            name: name?,
            kind: None,
        });
    }
    if !item.value.is_table() {
        return item.wrong_type("the name of a field, or { field = \"…\", type = \"…\" }");
    }
    let table = item.table(
        &keys::COLUMN,
        format!("{}: column `{}`", item.what, item.key),
    )?;
    let kind = table.get("type").and_then(|item| item.choice(&KINDS));
    // A column that only wants a type is called like its field.
    let field = match table.get("field") {
        Some(item) => field(&item)?,
        None => FieldPath::of([item.key]),
    };
    Some(Column {
        name: name?,
        field,
        kind,
    })
}
