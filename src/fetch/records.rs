//! Finds the records of a page, and the few values paging needs, in one walk over its bytes.
//!
//! Nothing is copied: a record is the range of the body where it stands. Whatever is neither a
//! record nor asked for is skipped. The body is read to its very end before anything of it counts,
//! so a damaged page fails as a whole.

mod walk;

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use self::walk::Seen;
pub(super) use self::walk::kind;
use super::odata;
use super::shape::ShapeProblem;
use crate::record::FieldPath;
use crate::secret::Redactor;

/// The most records of one page: enough for every page there is, and few enough that noting where
/// each stands takes no more memory than a small page does.
pub(super) const MOST_RECORDS: usize = 1_000_000;

/// Where the records of a body stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The body is an array of them.
    Root,
    /// At a path: an array, or one object, or nothing at all (an empty page).
    At(FieldPath),
    /// In an OData envelope of any version.
    OData,
    /// Nowhere that a walk could find: the walk is after the values only.
    Nowhere,
}

/// What to look for in a body.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    place: Place,
    root: Node,
    values: usize,
}

/// What a body held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Where each record stands.
    pub(super) records: Vec<Range<usize>>,
    /// Where each entry of the list of what is gone stands.
    pub(super) gone: Vec<Range<usize>>,
    /// The values asked for, in the order asked; absent and null are the same.
    pub(super) values: Vec<Option<Scalar>>,
    /// True if nothing at all stood where records should, not even null or an empty array.
    pub(super) nothing: bool,
}

/// A value that is neither an object nor an array.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scalar {
    /// A string.
    Text(String),
    /// A number, with the digits it was written with.
    Number(String),
    /// True or false.
    Flag(bool),
}

impl Scalar {
    /// Returns the value as it is written in a URL or a header.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) | Self::Number(text) => text.clone(),
            Self::Flag(flag) => flag.to_string(),
        }
    }

    /// Returns the value as a count; some sources write theirs as text.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::Text(digits) | Self::Number(digits) => digits.parse().ok(),
            Self::Flag(_) => None,
        }
    }

    /// Returns the value as true or false, however it is written.
    pub(super) fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            Self::Text(word) | Self::Number(word) => match word.as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
        }
    }
}

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is none.
    #[error("is empty")]
    Empty,
    /// It ends too early.
    #[error("ended in the middle of its JSON")]
    Cut,
    /// It is not JSON, or something follows the JSON.
    #[error("is not valid JSON at line {line}, column {column}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The byte of the line, from 1.
        column: usize,
    },
    /// It is not text in the encoding it claims.
    #[error("is not valid {0} text")]
    Encoding(String),
    /// Something else stands where records should.
    #[error("has {found} {place}, where records should be")]
    NotRecords {
        /// The place, as `at …`.
        place: String,
        /// What stands there.
        found: &'static str,
    },
    /// One of the records is no object.
    #[error("has {found} as record {number}; a record must be an object")]
    NotAnObject {
        /// Which record of the page, from 1.
        number: usize,
        /// What it is.
        found: &'static str,
    },
    /// There are too many records to note where each stands.
    #[error("has more than {MOST_RECORDS} records, the most one page may have")]
    TooMany,
    /// An OData envelope was expected.
    #[error("has no OData envelope: neither `d` nor `value` holds records")]
    NoEnvelope,
    /// The body is not read as it stands, and cannot be.
    #[error(transparent)]
    Shape(#[from] ShapeProblem),
    /// What should be the list of what is gone is none.
    #[error("has {0} where the list of what is gone should be")]
    NotGone(&'static str),
    /// A value that paging needs is an object or an array.
    #[error("has an object or array where a next link, cursor or count should be")]
    NotScalar,
}

impl Problem {
    /// Takes out of it what nobody should read, and cuts what a source says.
    pub(super) fn cleaned(self, redactor: &Redactor) -> Self {
        match self {
            Self::Shape(problem) => Self::Shape(problem.cleaned(redactor)),
            other => other,
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Node {
    name: String,
    records: Records,
    /// True if records are expected here or further in.
    leads: bool,
    /// Which of the values this is; two may be wanted from one place, as a cursor that also begins the
    /// next reading.
    values: Vec<usize>,
    /// True if what stands here is the list of what is gone.
    is_gone: bool,
    children: Vec<Node>,
}

/// How a node may hold records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Records {
    /// Not at all.
    #[default]
    No,
    /// As an array, as one object, or null.
    Any,
    /// As an array; anything else is an error.
    Array,
    /// As an array; anything else is none of our business.
    ArrayOrIgnored,
}

impl Plan {
    /// Makes a plan for records at `place`, a list of what is gone at `gone`, and the values at
    /// `values`.
    pub(super) fn new(place: Place, gone: Option<&FieldPath>, values: &[FieldPath]) -> Self {
        let mut root = Node::default();
        match &place {
            Place::Root => root.lead(&[], Records::Array),
            Place::Nowhere => {}
            Place::At(path) => root.lead(path.segments(), Records::Any),
            Place::OData => {
                for (path, records) in [
                    (&["d"][..], Records::Any),
                    (&["d", "results"], Records::ArrayOrIgnored),
                    (&["value"], Records::ArrayOrIgnored),
                ] {
                    root.lead(FieldPath::of(path.iter().copied()).segments(), records);
                }
            }
        }
        if let Some(path) = gone {
            root.reach(path.segments()).is_gone = true;
        }
        for (index, path) in values.iter().enumerate() {
            root.reach(path.segments()).values.push(index);
        }
        let mut plan = Self {
            place,
            root,
            values: values.len(),
        };
        if plan.place == Place::OData {
            for annotation in odata::ENTITY_ANNOTATIONS {
                let node = plan.root.reach(&[annotation.to_owned()]);
                node.values.push(plan.values);
            }
        }
        plan
    }

    /// Finds the records of `body`.
    ///
    /// # Errors
    /// If the body is damaged anywhere, or holds something else than records.
    pub(super) fn find(&self, body: &str) -> Result<Found, Problem> {
        if body.trim_ascii().is_empty() {
            return Err(Problem::Empty);
        }
        let mut walk = walk::walk(body, &self.root, self.values + 1)
            .map_err(|problem| self.placed(problem))?;
        let is_entity = walk.values.pop().flatten().is_some();
        let nothing = walk.seen == Seen::Nothing;
        match (&self.place, walk.seen) {
            (Place::At(path), Seen::Object) => walk.records = vec![locate(body, path.segments())?],
            (Place::OData, Seen::Object) => walk.records = vec![locate(body, &["d".to_owned()])?],
            (Place::OData, Seen::Nothing) if is_entity => walk.records = vec![locate(body, &[])?],
            (Place::OData, Seen::Nothing) => return Err(Problem::NoEnvelope),
            (Place::Root | Place::At(_) | Place::Nowhere, _)
            | (Place::OData, Seen::List | Seen::Null) => {}
        }
        Ok(Found {
            records: walk.records,
            gone: walk.gone,
            values: walk.values,
            nothing,
        })
    }

    /// The problem of a page that holds nothing where the pages before it held records: sources
    /// answer 200 with an error in place of the page.
    pub(super) fn nothing(&self) -> Problem {
        let (place, found) = (String::new(), "nothing");
        self.placed(Problem::NotRecords { place, found })
    }

    /// Names the place in a problem found on the way.
    fn placed(&self, problem: Problem) -> Problem {
        match problem {
            Problem::NotRecords { found, .. } => {
                let place = match &self.place {
                    Place::At(path) => at(path),
                    Place::Root | Place::Nowhere => "at the top".to_owned(),
                    Place::OData => "in its OData envelope".to_owned(),
                };
                Problem::NotRecords { place, found }
            }
            other => other,
        }
    }
}

impl Node {
    /// Returns the node at `path` below this one, made if it was not there.
    fn reach(&mut self, path: &[String]) -> &mut Self {
        let Some((name, rest)) = path.split_first() else {
            return self;
        };
        let index = match self.children.iter().position(|child| child.name == *name) {
            Some(index) => index,
            None => {
                self.children.push(Self {
                    name: name.clone(),
                    ..Self::default()
                });
                self.children.len() - 1
            }
        };
        self.children[index].reach(rest)
    }

    fn lead(&mut self, path: &[String], records: Records) {
        for depth in 0..=path.len() {
            self.reach(&path[..depth]).leads = true;
        }
        self.reach(path).records = records;
    }
}

/// Names a place in a problem.
pub(super) fn at(path: &FieldPath) -> String {
    match path.segments().is_empty() {
        true => "at the top".to_owned(),
        false => format!("at `{path}`"),
    }
}

/// Finds the one object at `path`. Only for answers of one record: the body is read again.
fn locate(body: &str, path: &[String]) -> Result<Range<usize>, Problem> {
    let mut text = body.trim_ascii();
    for name in path {
        let fields: HashMap<String, &RawValue> =
            serde_json::from_str(text).map_err(|error| damage(&error))?;
        // The walk saw an object here; only a key that stands twice can hide it.
        text = fields
            .get(name)
            .map(|value| value.get())
            .filter(|text| text.starts_with('{'))
            .ok_or(Problem::NotRecords {
                place: format!("at `{name}`"),
                found: "a second value",
            })?;
    }
    let from = text.as_ptr() as usize - body.as_ptr() as usize;
    Ok(from..from + text.len())
}

pub(super) fn damage(error: &serde_json::Error) -> Problem {
    if error.is_eof() {
        Problem::Cut
    } else {
        Problem::Syntax {
            line: error.line(),
            column: error.column(),
        }
    }
}

#[cfg(test)]
mod tests;
