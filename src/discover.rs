//! What a source offers, read from its own description, and flows that read it.
//!
//! A document is read into [`Offer`]s and those are written as TOML. Everything here is text in and
//! text out. What a document does not tell is not guessed: it stands as a comment in the flow.

mod edmx;
mod openapi;
mod written;

use std::fmt;

use serde::Serialize;

pub use self::written::{Place, flows};

/// The most bytes of a document. The largest that is known, of a whole business suite, has a third.
pub const LONGEST: usize = 64 << 20;

/// What a document tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// What it is: `OData 4.0`, `OpenAPI 3.1.0`.
    pub format: String,
    /// Where its paths begin, as far as it says: a URL, or a path of the host it came from.
    pub server: Option<String>,
    /// What can be read, in its order.
    pub offers: Vec<Offer>,
}

/// One list of records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Offer {
    /// Its name.
    pub name: String,
    /// Its path below where paths begin; `{…}` stands for what has to be filled in.
    pub path: String,
    /// The fields that make two records one, if that is told.
    pub key: Vec<String>,
    /// The fields of a record.
    pub columns: Vec<Field>,
    /// The fields that may tell what changed.
    pub cursors: Vec<Candidate>,
    /// How pages follow each other.
    pub paging: Paging,
    /// Where the records stand, if the paging does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<String>,
    /// True if the source wants to be told which fields are wanted.
    pub selects: bool,
    /// The parameters of the query that must be filled in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// The kind of column it should have, as the configuration calls it; learnt if there is none.
    pub kind: Option<&'static str>,
}

/// A field that may tell what changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The field.
    pub field: String,
    /// How the source is asked for what changed: an OData filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// How else: the parameter that takes the bookmark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

/// How pages follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "style", rename_all = "snake_case")]
pub enum Paging {
    /// The document does not tell.
    #[default]
    Untold,
    /// As OData does it.
    Odata,
    /// By the `Link` header.
    LinkHeader,
    /// By a URL in the body.
    NextUrl {
        /// Where it stands.
        path: String,
    },
    /// By a word in the body.
    Cursor {
        /// Where it stands.
        path: String,
        /// The parameter that takes it.
        query: String,
    },
    /// By number.
    Page {
        /// The parameter of the number.
        param: String,
        /// The parameter of the number of records, and that number.
        size: Option<(String, u64)>,
    },
    /// By position.
    Offset {
        /// The parameter of the position.
        param: String,
        /// The parameter of the number of records.
        limit_param: String,
        /// That number.
        limit: u64,
    },
}

impl Paging {
    /// Returns the style's name.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Untold => "not told",
            Self::Odata => "odata",
            Self::LinkHeader => "link_header",
            Self::NextUrl { .. } => "next_url",
            Self::Cursor { .. } => "cursor",
            Self::Page { .. } => "page",
            Self::Offset { .. } => "offset",
        }
    }
}

/// Why a document tells nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is none of those we read.
    #[error("this is neither OData metadata nor an OpenAPI document in JSON: it begins `{0}`")]
    Unknown(String),
    /// It is XML that cannot be read.
    #[error("this XML cannot be read: {0}")]
    Xml(String),
    /// It is JSON that cannot be read.
    #[error("this JSON cannot be read: {0}")]
    Json(String),
    /// It is YAML.
    #[error("this is an OpenAPI document in YAML")]
    Yaml,
    /// It declares entities or refers to other documents.
    #[error("this XML has a document type, which metadata never has")]
    DocumentType,
    /// Its elements stand in each other deeper than anybody writes them.
    #[error("its elements are nested more than {0} deep")]
    TooDeep(usize),
    /// It has nothing to read.
    #[error("{0} describes nothing that can be read as a list")]
    Nothing(String),
}

impl Problem {
    /// Says what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Yaml => Some("convert it to JSON first: yq -o json openapi.yaml > openapi.json"),
            Self::Unknown(_) => {
                Some("say where the document is: tidegate discover CONNECTION URL, or --file FILE")
            }
            Self::Xml(_)
            | Self::Json(_)
            | Self::DocumentType
            | Self::TooDeep(_)
            | Self::Nothing(_) => None,
        }
    }
}

/// Reads a document.
///
/// # Errors
/// If it is none that is known, or damaged, or tells of nothing to read.
pub fn read(text: &str) -> Result<Document, Problem> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let document = match text.as_bytes().first() {
        Some(b'<') => edmx::read(text)?,
        Some(b'{') => openapi::read(text)?,
        _ if text.starts_with("openapi:") || text.starts_with("swagger:") => {
            return Err(Problem::Yaml);
        }
        _ => return Err(Problem::Unknown(beginning(text))),
    };
    match document.offers.is_empty() {
        true => Err(Problem::Nothing(document.format)),
        false => Ok(document),
    }
}

fn beginning(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars()
        .take(60)
        .filter(|letter| !letter.is_control())
        .collect()
}

/// Names of fields that change with their record, the surest first, without `_` and in small letters.
const CHANGES: [&str; 26] = [
    "systemmodstamp",
    "timestamp",
    "rowversion",
    "sysrowversion",
    "versionnumber",
    "modified",
    "modifiedat",
    "modifiedon",
    "modifieddate",
    "modifieddatetime",
    "lastmodified",
    "lastmodifiedat",
    "lastmodifiedon",
    "lastmodifieddate",
    "lastmodifieddatetime",
    "datemodified",
    "updated",
    "updatedat",
    "updatedon",
    "updateddate",
    "lastupdated",
    "lastupdatedat",
    "lastupdate",
    "changed",
    "changedat",
    "changedon",
];

/// Returns how sure it is that a field of this name changes with its record: the less, the surer.
fn changes(name: &str) -> Option<usize> {
    let plain = plain(name);
    CHANGES.iter().position(|known| *known == plain)
}

/// Returns a name as it is compared.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.collect::<String>().to_ascii_lowercase()
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{} ({kind})", self.name),
            None => f.write_str(&self.name),
        }
    }
}
