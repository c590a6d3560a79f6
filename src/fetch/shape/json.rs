//! Records in JSON that no plan finds: at any path of RFC 9535, in maps, in rows.
//!
//! Records stay the text they are: a tree is built to ask where they stand, not to take them from, so
//! that no digit is lost.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use serde_json_path::{JsonPath, PathElement};

use super::{Making, Outputs, Problem, ShapeProblem, given, names};
use crate::config::Header;
use crate::fetch::records::{MOST_RECORDS, at, damage, kind};
use crate::record::FieldPath;

/// The fields of an object, in its order.
struct Fields<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reading;
        impl<'de> Visitor<'de> for Reading {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reading)
    }
}

/// Finds the records at a path, in the order the path finds them.
pub(super) fn query(text: &str, path: &JsonPath) -> Result<Vec<Range<usize>>, Problem> {
    let tree: Value = serde_json::from_str(text).map_err(|error| damage(&error))?;
    let located = path.query_located(&tree);
    if located.len() > MOST_RECORDS {
        return Err(Problem::TooMany);
    }
    let mut wanted = Wanted::default();
    for (index, node) in located.iter().enumerate() {
        if !node.node().is_object() {
            let found = kind(&node.node().to_string());
            let number = index + 1;
            return Err(Problem::NotAnObject { number, found });
        }
        wanted.note(node.location().iter(), index);
    }
    let mut records = vec![0..0; located.len()];
    wanted.find(text, text, &mut records)?;
    Ok(records)
}

/// Which places of a tree are looked for.
#[derive(Default)]
struct Wanted {
    /// The records that stand here.
    here: Vec<usize>,
    fields: BTreeMap<String, Wanted>,
    items: BTreeMap<usize, Wanted>,
}

impl Wanted {
    fn note<'p>(&mut self, mut path: impl Iterator<Item = &'p PathElement<'p>>, record: usize) {
        match path.next() {
            None => self.here.push(record),
            Some(PathElement::Name(name)) => {
                self.fields
                    .entry((*name).to_owned())
                    .or_default()
                    .note(path, record);
            }
            Some(PathElement::Index(index)) => {
                self.items.entry(*index).or_default().note(path, record);
            }
        }
    }

    /// Notes where what is wanted stands in `body`, below the value `text`.
    fn find(&self, body: &str, text: &str, records: &mut [Range<usize>]) -> Result<(), Problem> {
        let from = text.as_ptr() as usize - body.as_ptr() as usize;
        for record in &self.here {
            records[*record] = from..from + text.len();
        }
        if !self.items.is_empty() {
            let items: Vec<&RawValue> = parsed(text)?;
            for (index, wanted) in &self.items {
                if let Some(item) = items.get(*index) {
                    wanted.find(body, item.get(), records)?;
                }
            }
        }
        if !self.fields.is_empty() {
            // Of two fields of one name the last counts, as in the tree.
            let Fields(fields) = parsed(text)?;
            let fields: BTreeMap<String, &RawValue> = fields.into_iter().collect();
            for (name, wanted) in &self.fields {
                if let Some(field) = fields.get(name) {
                    wanted.find(body, field.get(), records)?;
                }
            }
        }
        Ok(())
    }
}

/// Makes a record of each field of the object at `path`; `None` if nothing stands there.
pub(super) fn map(
    text: &str,
    path: &FieldPath,
    key_as: Option<&str>,
    most_bytes: usize,
) -> Result<Option<Outputs>, Problem> {
    let Some(text) = value_at(text, path)? else {
        return Ok(None);
    };
    let mut making = Making::new(most_bytes);
    let Fields(entries) = match text.as_bytes().first() {
        Some(b'{') => parsed(text)?,
        // Some languages write an empty map as an empty array.
        Some(b'[') if text[1..].trim_ascii_start() == "]" => Fields(Vec::new()),
        Some(b'n') => Fields(Vec::new()),
        _ => {
            let (place, found) = (at(path), kind(text));
            return Err(Problem::NotRecords { place, found });
        }
    };
    for (index, (key, record)) in entries.iter().enumerate() {
        let record = record.get();
        let number = index + 1;
        if !record.starts_with('{') {
            let found = kind(record);
            return Err(Problem::NotAnObject { number, found });
        }
        let Some(name) = key_as else {
            making.record(|out| out.extend(record.as_bytes()))?;
            continue;
        };
        let Fields(own) = parsed(record)?;
        if own.iter().any(|(own, _)| own == name) {
            let name = name.to_owned();
            return Err(ShapeProblem::Taken { number, name }.into());
        }
        let field = format!("{}:{}", Value::from(name), Value::from(key.as_str()));
        making.record(|out| {
            out.push(b'{');
            out.extend(field.as_bytes());
            out.extend(if own.is_empty() { "" } else { "," }.as_bytes());
            out.extend(&record.as_bytes()[1..]);
        })?;
    }
    Ok(Some(making.made))
}

/// Makes a record of each row of the array at `path`; `None` if nothing stands there.
///
/// Values that are missing at the end of a row are null: spreadsheets leave out empty cells there.
pub(super) fn rows(
    text: &str,
    path: &FieldPath,
    header: &Header,
    most_bytes: usize,
) -> Result<Option<Outputs>, Problem> {
    let Some(text) = value_at(text, path)? else {
        return Ok(None);
    };
    let rows: Vec<&RawValue> = match text.as_bytes().first() {
        Some(b'[') => parsed(text)?,
        Some(b'n') => Vec::new(),
        _ => {
            let (place, found) = (at(path), kind(text));
            return Err(Problem::NotRecords { place, found });
        }
    };
    let mut rows = rows
        .iter()
        .enumerate()
        .map(|(index, row)| (index + 1, row.get()));
    let names = match given(header)? {
        Some(names) => names,
        None => match rows.next() {
            Some((number, first)) => first_row(number, first)?,
            None => return Ok(Some(Outputs::default())),
        },
    };
    let mut making = Making::new(most_bytes);
    for (number, row) in rows {
        let values = values(number, row)?;
        if values.len() > names.len() {
            let (values, names) = (values.len(), names.len());
            return Err(ShapeProblem::Long {
                number,
                values,
                names,
            }
            .into());
        }
        making.record(|out| {
            for (index, name) in names.iter().enumerate() {
                out.push(if index == 0 { b'{' } else { b',' });
                out.extend(name.as_bytes());
                let value = values.get(index).map_or("null", |value| value.get());
                out.extend(value.as_bytes());
            }
            out.push(b'}');
        })?;
    }
    Ok(Some(making.made))
}

fn first_row(number: usize, row: &str) -> Result<Vec<String>, Problem> {
    let values = values(number, row)?;
    let texts: Result<Vec<String>, Problem> = values
        .iter()
        .map(|value| match value.get().as_bytes().first() {
            Some(b'"') => parsed(value.get()),
            _ => Err(ShapeProblem::Names(kind(value.get()).to_owned()).into()),
        })
        .collect();
    let texts = texts?;
    match texts.is_empty() {
        true => Err(ShapeProblem::Names("nothing".to_owned()).into()),
        false => names(texts.iter().map(String::as_str)),
    }
}

fn values(number: usize, row: &str) -> Result<Vec<&RawValue>, Problem> {
    match row.starts_with('[') {
        true => parsed(row),
        false => {
            let found = kind(row);
            Err(ShapeProblem::NotARow { number, found }.into())
        }
    }
}

/// Returns the value at a path, if anything stands there.
fn value_at<'t>(text: &'t str, path: &FieldPath) -> Result<Option<&'t str>, Problem> {
    let mut text = text.trim_ascii();
    for name in path.segments() {
        if !text.starts_with('{') {
            return match text {
                "null" => Ok(None),
                other => Err(Problem::NotRecords {
                    place: format!("on the way to `{path}`"),
                    found: kind(other),
                }),
            };
        }
        let Fields(fields) = parsed(text)?;
        let Some((_, value)) = fields.iter().rfind(|(own, _)| own == name) else {
            return Ok(None);
        };
        text = value.get();
    }
    Ok(Some(text))
}

fn parsed<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| damage(&error))
}
