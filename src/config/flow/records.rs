//! What a body is written in, and where its records stand.

use std::sync::Arc;

use serde_json_path::JsonPath;

use super::Paging;
use super::resource::field_path;
use crate::config::keys;
use crate::config::program::program;
use crate::config::reader::{Item, Table};
use crate::config::report::Problem;
use crate::jq::Program;
use crate::record::FieldPath;

/// What a body is written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One JSON value.
    Json,
    /// A JSON object on each line.
    JsonLines,
    /// Comma-separated values (RFC 4180) and its kin.
    Csv(Csv),
}

/// How comma-separated values are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csv {
    /// What stands between two fields.
    pub delimiter: u8,
    /// What stands around a field that holds a delimiter or a line break.
    pub quote: u8,
    /// Where the names of the fields come from.
    pub header: Header,
    /// True if a field without anything in it, quotes neither, is null rather than empty text.
    pub empty_is_null: bool,
}

/// Where the names of fields come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// From the first row of each body.
    FirstRow,
    /// From the configuration.
    Given(Vec<String>),
}

/// Where the records of a JSON body stand.
#[derive(Debug, Clone, PartialEq)]
pub enum Records {
    /// Where the paging style says: the root, or an OData envelope.
    Usual,
    /// At a path, as an array or as one object. The body streams by.
    At(FieldPath),
    /// Wherever a path of RFC 9535 leads. The body is held in memory as a tree.
    Query(Arc<JsonPath>),
    /// At a path, as an object with a record under each key.
    Map {
        /// Where.
        path: FieldPath,
        /// The field of the record that the key becomes, if it becomes one.
        key_as: Option<String>,
    },
    /// At a path, as an array with an array of values for each record.
    Rows {
        /// Where.
        path: FieldPath,
        /// Where the names of the values come from.
        header: Header,
    },
    /// What a program makes of the body.
    Jq(Program),
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    List,
    Map,
    Rows,
}

/// Reads `records`.
pub(super) fn read(item: &Item<'_>) -> Option<Records> {
    if item.value.is_str() {
        return list(item);
    }
    let expected =
        "a path such as \"data.items\", or a table such as { path = \"…\", shape = \"map\" }";
    if !item.value.is_table() {
        return item.wrong_type(expected);
    }
    let table = item.table(&keys::RECORDS, format!("{}: `records`", item.what))?;
    if let Some(jq) = table.get("jq") {
        let other = ["path", "shape", "key_as", "header"].map(|key| table.get(key));
        if let Some(other) = other.into_iter().flatten().next() {
            table.contradiction(
                &other,
                "the program `jq` finds the records by itself",
                "keep one of them",
            );
        }
        note(item, "`records.jq`");
        return program(&jq).map(Records::Jq);
    }
    let shape = table.or("shape", Shape::List, |item| {
        item.choice(&[
            ("list", Shape::List),
            ("map", Shape::Map),
            ("rows", Shape::Rows),
        ])
    });
    let path = table.need(
        "path",
        "where the records are; \"$\" if they are the whole body",
    );
    let only = |key: &str, of: &str| {
        if let Some(item) = table.get(key) {
            let message = format!("`{key}` has no meaning here");
            table.contradiction(&item, &message, &format!("it belongs to shape = \"{of}\""));
        }
    };
    match shape {
        Shape::List => {
            only("key_as", "map");
            only("header", "rows");
            list(&path?)
        }
        Shape::Map => {
            only("header", "rows");
            let key_as = table.get("key_as");
            let key_as = key_as.and_then(|item| item.text().map(str::to_owned));
            Some(Records::Map {
                path: field_path(&path?)?,
                key_as,
            })
        }
        Shape::Rows => {
            only("key_as", "map");
            let expected = "true if the first row has the names, or an array of the names";
            let names = table
                .need("header", expected)
                .and_then(|item| header(&item));
            Some(Records::Rows {
                path: field_path(&path?)?,
                header: names?,
            })
        }
    }
}

/// Reads the path of a list: one that streams if it can, any other path of RFC 9535 if it must.
fn list(item: &Item<'_>) -> Option<Records> {
    let text = item.text()?;
    if text.parse::<FieldPath>().is_ok() || !text.starts_with('$') {
        return field_path(item).map(Records::At);
    }
    match JsonPath::parse(text) {
        Ok(path) => {
            note(item, &format!("`{}`", item.key));
            Some(Records::Query(Arc::new(path)))
        }
        Err(error) => {
            let at = item.part(error.position().saturating_sub(1)..text.len());
            let message = format!("{}: `{}` is no path of RFC 9535", item.what, item.key);
            item.findings
                .add(Problem::at(at, message).label(error.message().to_owned()));
            None
        }
    }
}

/// Says that a page is taken into memory whole.
fn note(item: &Item<'_>, key: &str) {
    let text = format!(
        "{}: {key} takes each page into memory as a tree, several times its size; a plain path such \
         as \"data.items\" streams",
        item.what
    );
    item.findings.warn(Some(item.at.start), text);
}

/// Reads `format`.
pub(super) fn format(item: &Item<'_>) -> Option<Format> {
    if item.value.is_table() {
        let table = item.table(&keys::FORMAT, format!("{}: `format`", item.what))?;
        let csv = table.need("csv", "how the values are written")?;
        let csv = csv.table(&keys::CSV, format!("{}: `csv`", item.what))?;
        return Some(Format::Csv(Csv {
            header: csv.or("header", Header::FirstRow, |item| header(&item)),
            empty_is_null: csv.or("empty", true, |item| {
                item.choice(&[("null", true), ("text", false)])
            }),
            ..marks(&csv)
        }));
    }
    #[derive(Clone, Copy)]
    enum Word {
        Json,
        JsonLines,
        Csv,
    }
    let words = [
        ("json", Word::Json),
        ("json_lines", Word::JsonLines),
        ("csv", Word::Csv),
    ];
    Some(match item.choice(&words)? {
        Word::Json => Format::Json,
        Word::JsonLines => Format::JsonLines,
        Word::Csv => Format::Csv(PLAIN_CSV),
    })
}

/// Comma-separated values as RFC 4180 has them.
const PLAIN_CSV: Csv = Csv {
    delimiter: b',',
    quote: b'"',
    header: Header::FirstRow,
    empty_is_null: true,
};

/// Reads what stands between and around fields; two marks that must differ.
fn marks(csv: &Table<'_>) -> Csv {
    let Csv {
        delimiter, quote, ..
    } = PLAIN_CSV;
    let delimiter = csv.or("delimiter", delimiter, |item| mark(&item));
    let quote = csv.or("quote", quote, |item| mark(&item));
    if let (true, Some(item)) = (
        delimiter == quote,
        csv.get("quote").or_else(|| csv.get("delimiter")),
    ) {
        let message = "`quote` and `delimiter` are the same";
        csv.contradiction(
            &item,
            message,
            "a quote is `\"` unless said, a delimiter `,`",
        );
    }
    Csv {
        delimiter,
        quote,
        ..PLAIN_CSV
    }
}

/// Reads a single mark of ASCII.
fn mark(item: &Item<'_>) -> Option<u8> {
    let expected = "one character such as \";\" or \"\\t\"";
    item.parsed(expected, |text| match text.as_bytes() {
        [b'\r' | b'\n'] => Err("is a line break, which ends a record".to_owned()),
        [mark] if mark.is_ascii() => Ok(*mark),
        _ => Err("is not one character of ASCII".to_owned()),
    })
}

/// Reads where names come from: `true`, or an array of them.
fn header(item: &Item<'_>) -> Option<Header> {
    let expected = "true if the first row has the names, or an array of the names";
    match item.value.as_bool() {
        Some(true) => return Some(Header::FirstRow),
        Some(false) => {
            item.refuse(
                "without a first row of names, the names must be given",
                expected,
            );
            return None;
        }
        None => {}
    }
    let items = item.list(expected)?;
    let names: Option<Vec<_>> = items
        .iter()
        .map(|item| item.text().map(str::to_owned))
        .collect();
    let names = names?;
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            items[index].refuse(format!("`header` has `{name}` twice"), "each name once");
            return None;
        }
    }
    if names.is_empty() {
        item.refuse("`header` is empty", expected);
        return None;
    }
    Some(Header::Given(names))
}

/// Reports what a body that is not JSON cannot have: a place in it.
pub(super) fn check_format(flow: &Table<'_>, format: &Format, paging: Option<&Paging>) {
    let name = match format {
        Format::Json => return,
        Format::JsonLines => "JSON Lines",
        Format::Csv(_) => "CSV",
    };
    if let Some(item) = flow.get("records") {
        let message = format!("in {name} each line is a record, and nothing else has a place");
        flow.contradiction(
            &item,
            &message,
            "remove `records`; `transform` takes records apart",
        );
    }
    if let Some(item) = flow.get("tombstones")
        && item
            .value
            .as_table()
            .is_some_and(|table| table.contains_key("list"))
    {
        let message = format!("{name} has no place for a list of what is gone");
        flow.contradiction(&item, &message, "a `field` of each record may tell it");
    }
    let reads_body = paging.is_some_and(Paging::reads_body);
    if let (Some(item), true) = (
        flow.get("paging").or_else(|| flow.get("format")),
        reads_body,
    ) {
        let message = format!("{name} has no place where the next page could be named");
        flow.contradiction(
            &item,
            &message,
            "page by the Link header, by numbers or not at all",
        );
    }
}
