//! Turns a body into a page: finds its records, and makes of each what the flow wants.
//!
//! A JSON body whose records stand at a plain path streams by: its records are ranges of it, and
//! nothing is copied. Whatever else there is, other paths and shapes, CSV, programs, is rebuilt as a
//! body of JSON objects, on a thread of its own; what follows sees no difference. What paging goes by
//! is told apart: it counts the records of the source, not what a filter leaves of them.

mod csv;
mod json;
mod lines;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::answer::SHOWN;
use super::records::{Found, MOST_RECORDS, Place, Plan, Problem, at, kind};
use crate::config::{Csv, Format, Header, Records, Resource, Style, Told, Tombstones};
use crate::jq::{self, Allowance, Outputs, Program, Stop};
use crate::record::FieldPath;
use crate::secret::Redactor;

/// How many times longer than the cap of a body what is made of it may be: names that stand once in a
/// header stand in every record then.
const GROWTH: u64 = 8;

/// How the bodies of a flow become pages.
pub(super) struct Shape {
    source: Source,
    reshape: Option<Program>,
    /// How many values paging asks for.
    values: usize,
    /// The most bytes of what is made of a body.
    most_bytes: usize,
}

enum Source {
    /// JSON that streams by.
    Streamed(Plan),
    /// JSON whose records have to be looked for; the plan finds the values only.
    Json(Plan, Records),
    Lines,
    Csv(Csv),
}

/// What a body holds.
#[derive(Debug)]
pub(super) struct Shaped {
    /// The records of the source, and the values paging asks for.
    pub(super) found: Found,
    /// The body those records stand in, if it is not the one that came.
    pub(super) rebuilt: Option<Bytes>,
    /// What became of the records, and the body it stands in, if anything did.
    pub(super) reshaped: Option<(Bytes, Vec<Range<usize>>)>,
}

/// What is wrong with a body that is not read as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeProblem {
    /// A row is no array.
    #[error("has {found} as row {number}; a row must be an array")]
    NotARow {
        /// Which row, from 1, the one with the names included.
        number: usize,
        /// What it is.
        found: &'static str,
    },
    /// The names in the first row are no names.
    #[error("has {0} in its first row, where the names of the columns should be")]
    Names(String),
    /// A row has more values than there are names.
    #[error("has {values} values in row {number}, but names for {names}")]
    Long {
        /// Which row, from 1.
        number: usize,
        /// How many values it has.
        values: usize,
        /// How many names there are.
        names: usize,
    },
    /// A row has fewer values than there are names, where each must have all.
    #[error("has only {values} values in row {number}, where there are names for {names}")]
    Short {
        /// Which row, from 1.
        number: usize,
        /// How many values it has.
        values: usize,
        /// How many names there are.
        names: usize,
    },
    /// Something stands between a closing quote and the end of its field.
    #[error("has text behind a closing quote in row {0}")]
    Quote(usize),
    /// The field that a key should become is there already.
    #[error("has a field `{name}` in record {number} already, which `key_as` would hide")]
    Taken {
        /// Which record, from 1.
        number: usize,
        /// The field.
        name: String,
    },
    /// It is an archive of a kind we do not open.
    #[error("is a ZIP archive, and only gzip is unpacked")]
    Archive,
    /// It is gzip, but damaged.
    #[error("is damaged gzip")]
    Gzip,
    /// It is too long unpacked.
    #[error("is longer than {0} bytes unpacked")]
    Unpacked(u64),
    /// What is made of it is too long.
    #[error("is longer than {0} bytes as JSON records")]
    Grown(usize),
    /// The program that finds the records failed.
    #[error("could not be read with `records.jq`: {0}")]
    Jq(String),
    /// A record could not be reshaped.
    #[error("has a record {number} that could not be reshaped: {message}")]
    Reshape {
        /// Which record, from 1.
        number: usize,
        /// Why.
        message: String,
    },
}

impl ShapeProblem {
    /// Takes out of it what nobody should read, and cuts what a source says.
    pub(super) fn cleaned(self, redactor: &Redactor) -> Self {
        let clean = |message: &str| redactor.clean(message, SHOWN);
        match self {
            Self::Names(found) => Self::Names(clean(&found)),
            Self::Jq(message) => Self::Jq(clean(&message)),
            Self::Reshape { number, message } => Self::Reshape {
                number,
                message: clean(&message),
            },
            other => other,
        }
    }

    /// Says what a person can do, where that is not plain from the message.
    pub(super) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotARow { .. } => "check the path in `records`, and its `shape`",
            Self::Names(_) => "name the columns yourself: header = [\"…\"]",
            Self::Long { .. } => "check `header`, and the `delimiter` of CSV",
            Self::Short { .. } => {
                "the file may have been cut; if not, check `delimiter` and `header`"
            }
            Self::Quote(_) => "check `quote` and `delimiter` against the file",
            Self::Taken { .. } => "choose another name for `key_as`, or leave it out",
            Self::Archive => "ask the source for the plain file, or for gzip",
            Self::Gzip => return None,
            Self::Unpacked(_) | Self::Grown(_) => {
                "ask for fewer records per page, or raise `max_page_bytes`"
            }
            Self::Jq(_) => "check the program in `records` against a body of the source",
            Self::Reshape { .. } => {
                "check `filter`, `expand`, `compute` and `transform` against a record of the source"
            }
        })
    }
}

impl From<Found> for Shaped {
    fn from(found: Found) -> Self {
        Self {
            found,
            rebuilt: None,
            reshaped: None,
        }
    }
}

impl Shape {
    /// Makes a shape for the bodies of `resource`, in which paging asks for `values`.
    pub(super) fn new(resource: &Resource, values: &[FieldPath]) -> Self {
        let gone = match &resource.tombstones {
            Some(Tombstones {
                told: Told::List { path, .. },
                ..
            }) => Some(path),
            _ => None,
        };
        let plan = |place| Plan::new(place, gone, values);
        let source = match (&resource.format, &resource.records) {
            (Format::JsonLines, _) => Source::Lines,
            (Format::Csv(csv), _) => Source::Csv(csv.clone()),
            (Format::Json, Records::At(path)) => Source::Streamed(plan(Place::At(path.clone()))),
            (Format::Json, Records::Usual) => Source::Streamed(plan(match resource.paging.style {
                Style::OData => Place::OData,
                _ => Place::Root,
            })),
            (Format::Json, records) => Source::Json(plan(Place::Nowhere), records.clone()),
        };
        let most_bytes = resource.caps.page_bytes.saturating_mul(GROWTH);
        Self {
            source,
            reshape: resource.reshape.clone(),
            values: values.len(),
            most_bytes: usize::try_from(most_bytes).unwrap_or(usize::MAX),
        }
    }

    /// Finds the records of `body`, which is UTF-8, and reshapes them.
    ///
    /// # Errors
    /// If the body is damaged anywhere, holds something else than records, or cannot be reshaped.
    pub(super) async fn apply(self: &Arc<Self>, body: &Bytes) -> Result<Shaped, Problem> {
        if let (Source::Streamed(plan), None) = (&self.source, &self.reshape) {
            return Ok(plan.find(text(body))?.into());
        }
        let (shape, body) = (Arc::clone(self), body.clone());
        jq::apart(move |stop| shape.rebuild(&body, stop)).await
    }

    /// The problem of a page that holds nothing where the pages before it held records.
    pub(super) fn nothing(&self) -> Problem {
        let place = match &self.source {
            Source::Streamed(plan) => return plan.nothing(),
            Source::Json(_, Records::Map { path, .. } | Records::Rows { path, .. }) => at(path),
            Source::Json(..) | Source::Lines | Source::Csv(_) => at(&FieldPath::of([""; 0])),
        };
        let found = "nothing";
        Problem::NotRecords { place, found }
    }

    /// Returns what the bodies should be written in.
    pub(super) fn format(&self) -> &'static str {
        match self.source {
            Source::Streamed(_) | Source::Json(..) => "JSON",
            Source::Lines => "JSON Lines",
            Source::Csv(_) => "CSV",
        }
    }

    fn rebuild(&self, body: &Bytes, stop: &Stop) -> Result<Shaped, Problem> {
        let allowance = Allowance::new(MOST_RECORDS, self.most_bytes, stop);
        let text = text(body);
        let (found, rebuilt) = match &self.source {
            Source::Streamed(plan) => (plan.find(text)?, None),
            Source::Json(plan, records) => {
                let mut found = plan.find(text)?;
                let rebuilt = self.look(text, records, &allowance, &mut found)?;
                (found, rebuilt)
            }
            Source::Lines => (self.without_values(lines::find(text)?), None),
            Source::Csv(csv) => {
                let Outputs { text, ranges } = csv::rebuild(text, csv, self.most_bytes)?;
                (self.without_values(ranges), Some(Bytes::from(text)))
            }
        };
        let source = rebuilt.as_ref().unwrap_or(body);
        let reshaped = match &self.reshape {
            Some(program) => Some(reshape(program, source, &found.records, &allowance)?),
            None => None,
        };
        Ok(Shaped {
            found,
            rebuilt,
            reshaped,
        })
    }

    /// Looks for records where no plan finds them.
    fn look(
        &self,
        text: &str,
        records: &Records,
        allowance: &Allowance,
        found: &mut Found,
    ) -> Result<Option<Bytes>, Problem> {
        let made = match records {
            Records::Usual | Records::At(_) => return Ok(None),
            Records::Query(path) => {
                found.records = json::query(text, path)?;
                found.nothing = false;
                return Ok(None);
            }
            Records::Map { path, key_as } => {
                json::map(text, path, key_as.as_deref(), self.most_bytes)?
            }
            Records::Rows { path, header } => json::rows(text, path, header, self.most_bytes)?,
            Records::Jq(program) => {
                let mut outputs = Outputs::default();
                program
                    .run(text, allowance, &mut outputs)
                    .map_err(|error| ShapeProblem::Jq(error.to_string()))?;
                only_objects(&outputs, 0)?;
                Some(outputs)
            }
        };
        found.nothing = made.is_none();
        let Outputs { text, ranges } = made.unwrap_or_default();
        found.records = ranges;
        Ok(Some(Bytes::from(text)))
    }

    fn without_values(&self, records: Vec<Range<usize>>) -> Found {
        Found {
            records,
            gone: Vec::new(),
            values: vec![None; self.values],
            nothing: false,
        }
    }
}

/// Runs the program on each record.
fn reshape(
    program: &Program,
    body: &Bytes,
    records: &[Range<usize>],
    allowance: &Allowance,
) -> Result<(Bytes, Vec<Range<usize>>), Problem> {
    let body = text(body);
    let mut outputs = Outputs::default();
    for (index, range) in records.iter().enumerate() {
        let number = index + 1;
        let failed = |message| ShapeProblem::Reshape { number, message };
        let before = outputs.ranges.len();
        program
            .run(&body[range.clone()], allowance, &mut outputs)
            .map_err(|error| failed(error.to_string()))?;
        if let Err(Problem::NotAnObject { found, .. }) = only_objects(&outputs, before) {
            let message = format!("it became {found}, and a record must be an object");
            return Err(failed(message).into());
        }
    }
    Ok((Bytes::from(outputs.text), outputs.ranges))
}

/// Refuses results that are no objects, from the one at `first` on.
fn only_objects(outputs: &Outputs, first: usize) -> Result<(), Problem> {
    let mut records = outputs.ranges.iter().enumerate().skip(first);
    match records.find(|(_, range)| outputs.text[range.start] != b'{') {
        Some((index, range)) => Err(Problem::NotAnObject {
            number: index + 1,
            found: kind(&String::from_utf8_lossy(&outputs.text[range.clone()])),
        }),
        None => Ok(()),
    }
}

/// A body that is being made, record by record.
struct Making {
    made: Outputs,
    most_bytes: usize,
}

impl Making {
    fn new(most_bytes: usize) -> Self {
        Self {
            made: Outputs::default(),
            most_bytes,
        }
    }

    /// Adds a record that `write` writes.
    fn record(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Problem> {
        let Outputs { text, ranges } = &mut self.made;
        if ranges.len() == MOST_RECORDS {
            return Err(Problem::TooMany);
        }
        let begin = text.len();
        write(text);
        ranges.push(begin..text.len());
        text.push(b'\n');
        match text.len() > self.most_bytes {
            true => Err(ShapeProblem::Grown(self.most_bytes).into()),
            false => Ok(()),
        }
    }
}

/// Returns the names of a first row as they stand in each record, a colon behind them.
fn names<'n>(names: impl Iterator<Item = &'n str>) -> Result<Vec<String>, Problem> {
    let mut written: Vec<String> = Vec::new();
    for (index, name) in names.enumerate() {
        let refused = |what: String| Err(ShapeProblem::Names(what).into());
        if name.is_empty() {
            return refused(format!("nothing as name {}", index + 1));
        }
        let name = format!("{}:", serde_json::Value::from(name));
        if written.contains(&name) {
            return refused(format!("the name {} twice", &name[..name.len() - 1]));
        }
        written.push(name);
    }
    Ok(written)
}

/// Returns the names that the configuration gives, if it does.
fn given(header: &Header) -> Result<Option<Vec<String>>, Problem> {
    match header {
        Header::FirstRow => Ok(None),
        Header::Given(given) => names(given.iter().map(String::as_str)).map(Some),
    }
}

fn text(body: &Bytes) -> &str {
    // Whoever read the body has checked it; the type that remembers it cannot be cut into slices.
    std::str::from_utf8(body).unwrap_or_default()
}

#[cfg(test)]
mod tests;
