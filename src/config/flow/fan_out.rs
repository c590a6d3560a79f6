//! What a flow is repeated for, and the columns that say so, as written.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Each, Given, Level, With, table};
use crate::config::keys;
use crate::config::reader::{Item, Table, quoted};
use crate::config::report::Problem;
use crate::config::templates::{EachNames, Variables};

/// What an item of a list that is not a table is called: `{{ each.value }}`.
const SCALAR: &str = "value";
/// What `for_each` may be.
const EXPECTED: &str = "{ sql = \"SELECT …\" } or { list = [ … ] }, or an array of these";

/// Reads `for_each`: its levels, and what templates may call their values.
pub(super) fn read(flow: &Table<'_>) -> (Vec<Level>, EachNames) {
    let Some(item) = flow.get("for_each") else {
        return (Vec::new(), EachNames::None);
    };
    let written = match item.value.is_array() {
        true => item.list(EXPECTED).unwrap_or_default(),
        false => vec![item.clone()],
    };
    if written.is_empty() {
        item.refuse("`for_each` is empty", EXPECTED);
    }
    let mut names = BTreeSet::new();
    let mut all_known = true;
    let mut levels = Vec::new();
    for item in written {
        let Some((level, own)) = level(&item) else {
            all_known = false;
            continue;
        };
        all_known &= matches!(level, Level::Listed(_));
        for name in own {
            if !names.insert(name.clone()) {
                let message = format!("two levels of `for_each` name {}", quoted(&name));
                item.refuse(message, "tables with names of their own: [{ id = 1 }, …]");
            }
        }
        levels.push(level);
    }
    let names = match all_known {
        true => EachNames::These(names),
        false => EachNames::Any,
    };
    (levels, names)
}

/// Reads one level, and the names of its values as far as the configuration tells them.
fn level(item: &Item<'_>) -> Option<(Level, BTreeSet<String>)> {
    if !item.value.is_table() {
        return item.wrong_type(EXPECTED);
    }
    let table = item.table(&keys::FOR_EACH, format!("{}: `for_each`", item.what))?;
    match (table.get("sql"), table.get("list")) {
        (Some(sql), None) => Some((Level::Rows(query(&sql)?), BTreeSet::new())),
        (None, Some(list)) => {
            let (items, names) = listed(&list)?;
            Some((Level::Listed(items), names))
        }
        (Some(_), Some(list)) => {
            let message = "a level has either `sql` or `list`";
            table.contradiction(
                &list,
                message,
                "write two levels: [{ sql = … }, { list = … }]",
            );
            None
        }
        (None, None) => {
            item.refuse(
                "a level of `for_each` has neither `sql` nor `list`",
                EXPECTED,
            );
            None
        }
    }
}

/// Reads a question to our own data.
fn query(item: &Item<'_>) -> Option<String> {
    let text = item.text()?.trim();
    if text.contains("{{") {
        let message = "`sql` is no template: text put into SQL could be read as SQL";
        item.refuse(
            message,
            "a parameter such as :id for a value of an earlier level",
        );
        return None;
    }
    let first = text.split(|c: char| !c.is_ascii_alphabetic()).next();
    let reads = ["select", "with", "values"];
    if !reads.contains(&first.unwrap_or_default().to_lowercase().as_str()) {
        item.refuse("`sql` does not ask for rows", "a SELECT");
        return None;
    }
    Some(text.to_owned())
}

/// Reads a list of items that all have the same names.
fn listed(item: &Item<'_>) -> Option<(Vec<Each>, BTreeSet<String>)> {
    let expected = "an array such as [\"a\", \"b\"] or [{ id = 1 }, { id = 2 }]";
    let mut items = Vec::new();
    let mut names = BTreeSet::new();
    for item in item.list(expected)? {
        let each = each(&item, expected)?;
        let own: BTreeSet<String> = each.keys().cloned().collect();
        if !items.is_empty() && own != names {
            item.refuse(
                "the items of a `list` differ in their names",
                "the same names in each",
            );
            return None;
        }
        names = own;
        items.push(each);
    }
    if items.is_empty() {
        item.refuse("`list` is empty", expected);
        return None;
    }
    Some((items, names))
}

fn each(item: &Item<'_>, expected: &str) -> Option<Each> {
    let json = match item.json()? {
        Value::Object(fields) => fields,
        scalar => Each::from_iter([(SCALAR.to_owned(), scalar)]),
    };
    let is_plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    if json.is_empty() || !json.values().all(is_plain) {
        item.refuse(
            "an item of `list` is neither text, a number nor a table of these",
            expected,
        );
        return None;
    }
    Some(json)
}

/// Reads `with`: the columns whose values come from the item and not from the record.
pub(super) fn with(flow: &Table<'_>, variables: &Variables<'_>) -> Vec<With> {
    let Some(item) = flow.get("with") else {
        return Vec::new();
    };
    let column = |item: Item<'_>| {
        let name = match table::column_name(item.key) {
            Ok(name) => Some(name),
            Err(why) => {
                let message = format!("{}: column {} {why}", item.what, quoted(item.key));
                let problem = Problem::at(item.key_at.clone(), message);
                item.findings.add(problem.label("expected another name"));
                None
            }
        };
        let value = given(&item, variables);
        Some(With {
            column: name?,
            value: value?,
        })
    };
    item.map()
        .unwrap_or_default()
        .into_iter()
        .filter_map(column)
        .collect()
}

/// Reads what a column of `with` holds. A variable that stands alone keeps its type.
fn given(item: &Item<'_>, variables: &Variables<'_>) -> Option<Given> {
    if !item.value.is_str() {
        return match item.json()? {
            value @ (Value::Number(_) | Value::Bool(_)) => Some(Given::Constant(value)),
            _ => item.wrong_type("text, a number, or true or false"),
        };
    }
    let template = variables.template(item)?;
    let alone = template
        .source()
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    let name = alone.and_then(|inside| inside.trim().strip_prefix("each."));
    let is_name = |name: &&str| template.variables().contains(&format!("each.{name}"));
    Some(match name.filter(is_name) {
        Some(name) => Given::Each(name.to_owned()),
        None => Given::Text(template),
    })
}
