//! A flow: one resource of one connection, kept in one table.

mod body;
mod cursor;
mod deletes;
mod delta;
mod fan_out;
pub(in crate::config) mod paging;
pub(in crate::config) mod read;
mod records;
mod reshape;
pub(in crate::config) mod resource;
mod table;
mod when;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Span;

use super::{Account, Name, ResponseRule, Schedule};
use crate::jq::Program;
use crate::record::{CursorFormat, CursorValue, FieldPath};
use crate::template::Template;

pub use self::deletes::{DeleteMode, Deletes, MostSwept, Sweep, Told, Tombstones};
pub use self::paging::{End, Paging, PastEnd, SendCursor, Source, Style, Total};
pub use self::records::{Csv, Format, Header, Records};
pub(in crate::config) use resource::{field, field_path};

/// What is scheduled.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Its name in the configuration.
    pub name: Name,
    /// The connection it reads through.
    pub connection: Name,
    /// Whose records it reads.
    pub accounts: Accounts,
    /// What its request is repeated for, from the outermost level in; once if there is nothing.
    pub for_each: Vec<Level>,
    /// When it runs; never by itself if there is none.
    pub schedule: Option<Schedule>,
    /// The longest one run may take.
    pub timeout: Duration,
    /// How old the page may be at which a broken-off read goes on; zero if none does.
    pub resume_within: Duration,
    /// What it reads.
    pub resource: Resource,
    /// Where the records go.
    pub table: Table,
}

impl Flow {
    /// Returns an account as rows and templates name it, where the flow is about accounts; one without
    /// a name is called `""`.
    #[must_use]
    pub fn named(&self, account: &Account) -> Option<String> {
        let name = account.name.as_ref();
        let has_accounts = self.accounts != Accounts::Nameless;
        has_accounts.then(|| name.map(Name::to_string).unwrap_or_default())
    }
}

/// Which accounts of its connection a flow reads, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accounts {
    /// The one without a name; rows do not say whose they are.
    Nameless,
    /// Every one that has signed in when a run begins.
    All,
    /// These.
    These(Vec<Name>),
}

/// The values of one item that a flow's request is repeated for: what templates call `each.…`.
pub type Each = serde_json::Map<String, serde_json::Value>;

/// What a flow's request is repeated for: the items of a level, for each item of the level before.
#[derive(Debug, Clone, PartialEq)]
pub enum Level {
    /// The rows of a query on our own data; `:name` in it is a value of an earlier level.
    Rows(String),
    /// These.
    Listed(Vec<Each>),
}

/// A column whose value comes from the item that is read, not from the record.
#[derive(Debug, Clone)]
pub struct With {
    /// Its name, which hides a field of the record that is called so.
    pub column: String,
    /// What it holds.
    pub value: Given,
}

/// What a column of an item holds.
#[derive(Debug, Clone)]
pub enum Given {
    /// A value of the item, with its type.
    Each(String),
    /// The same in all rows.
    Constant(serde_json::Value),
    /// Text.
    Text(Template),
}

/// One paginated resource.
#[derive(Debug, Clone)]
pub struct Resource {
    /// `GET`, unless the source wants its questions posted.
    pub method: Method,
    /// Absolute, or relative to the connection's base URL.
    pub url: Template,
    /// Query parameters in the order written. One whose template uses a bookmark that does not
    /// exist yet is left out, and so is one whose template comes out empty.
    pub query: Vec<(String, Template)>,
    /// Query parameters of the first page only.
    pub first_page_query: Vec<(String, Template)>,
    /// Headers besides the connection's.
    pub headers: Vec<(String, Template)>,
    /// What is posted.
    pub body: Option<Payload>,
    /// What the bodies are written in.
    pub format: Format,
    /// Where the records stand.
    pub records: Records,
    /// What becomes of each record before it is merged.
    pub reshape: Option<Program>,
    /// Where the next page is.
    pub paging: Paging,
    /// How a run reads only what changed.
    pub cursor: Option<Cursor>,
    /// How the source tells that a row is gone.
    pub tombstones: Option<Tombstones>,
    /// How the source is asked for what changed since it was last asked, if it knows by itself.
    pub delta: Option<Delta>,
    /// True if what is asked for depends on when it is asked.
    pub asks_by_now: bool,
    /// What answers mean where their status alone does not tell; the first rule that fits counts.
    pub rules: Vec<ResponseRule>,
    /// The bounds of one run.
    pub caps: Caps,
    /// Which of the source's tenants the calls are counted for; one for all if not said.
    pub tenant: Option<Template>,
    /// What templates call `var.…`.
    pub vars: BTreeMap<String, serde_json::Value>,
}

/// An HTTP method that reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
}

/// What is posted.
#[derive(Debug, Clone)]
pub enum Body {
    /// A JSON value whose strings are templates.
    Json(serde_json::Value),
    /// Form fields.
    Form(Vec<(String, Template)>),
}

/// What a flow posts.
#[derive(Debug, Clone)]
pub enum Payload {
    /// A body of the flow's own.
    Plain(Body),
    /// A GraphQL request.
    GraphQl(GraphQl),
}

impl From<Body> for Payload {
    fn from(body: Body) -> Self {
        Self::Plain(body)
    }
}

/// A GraphQL request, posted as JSON.
#[derive(Debug, Clone)]
pub struct GraphQl {
    /// The query, sent as it is written.
    pub query: String,
    /// An object of the query's variables, whose strings are templates.
    pub variables: serde_json::Value,
    /// True if what came beside errors counts. Otherwise an answer with errors is none: a field
    /// that could not be read is null in it, like one that has no value.
    pub partial: bool,
}

impl Resource {
    /// Returns true if some template of the request uses `variable`.
    #[must_use]
    pub fn uses(&self, variable: &str) -> bool {
        let pairs = self.query.iter().chain(&self.first_page_query);
        self.url.uses(variable)
            || pairs
                .chain(&self.headers)
                .any(|(_, template)| template.uses(variable))
            || self.body.as_ref().is_some_and(|body| body.uses(variable))
    }
}

impl Payload {
    /// Returns true if some template in it uses `variable`.
    #[must_use]
    pub fn uses(&self, variable: &str) -> bool {
        match self {
            Self::Plain(Body::Json(json)) => json_uses(json, variable),
            Self::Plain(Body::Form(fields)) => fields.iter().any(|(_, field)| field.uses(variable)),
            Self::GraphQl(GraphQl { variables, .. }) => json_uses(variables, variable),
        }
    }
}

/// Returns true if a string anywhere in `json` is a template that uses `variable`.
fn json_uses(json: &serde_json::Value, variable: &str) -> bool {
    use serde_json::Value;
    match json {
        Value::String(text) => Template::parse(text).is_ok_and(|template| template.uses(variable)),
        Value::Array(values) => values.iter().any(|value| json_uses(value, variable)),
        Value::Object(fields) => fields.values().any(|value| json_uses(value, variable)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The bounds of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// The most pages.
    pub pages: u64,
    /// The most bytes of one body, decompressed.
    pub page_bytes: u64,
}

/// How a source is asked for what changed since it was last asked.
#[derive(Debug, Clone)]
pub struct Delta {
    /// Where the body has what to ask with the next time.
    pub path: FieldPath,
    /// What that is.
    pub send: SendDelta,
    /// True if every page has it, so that a read may go on behind any; otherwise the last one does.
    pub every_page: bool,
    /// How long it is good for.
    pub retention: Option<Duration>,
}

/// What a source gives to be asked with.
#[derive(Debug, Clone)]
pub enum SendDelta {
    /// A link, which is followed as it is.
    Link,
    /// A word.
    Token {
        /// Where it goes.
        send: SendCursor,
        /// Where to, if not where everything is asked for; nothing but the word is sent there.
        continue_url: Option<Template>,
    },
}

/// How a run reads only what changed since the last.
#[derive(Debug, Clone)]
pub struct Cursor {
    /// The source field that grows as records change.
    pub field: FieldPath,
    /// An OData filter with `{{ bookmark }}` in it, joined to any `$filter` by `and`; templates of
    /// the request use the bookmark directly if there is none.
    pub filter: Option<Template>,
    /// How far behind the bookmark a read starts.
    pub lookback: Duration,
    /// Where the first read starts; at the beginning if not said.
    pub start: Option<CursorValue>,
    /// True if the source sends records in the cursor's order, so that each page moves the bookmark.
    pub ordered: bool,
    /// True if the source sends the newest records first, so that a run ends where it meets what was
    /// read before.
    pub newest_first: bool,
    /// How the source writes the field; numbers and ISO 8601 if not said.
    pub format: Option<CursorFormat>,
    /// How much a request asks for at a time, up to `{{ until }}`; everything if not said.
    pub window: Option<Span>,
}

impl Cursor {
    /// Writes a value as the source is asked with it.
    #[must_use]
    pub fn written(&self, value: &CursorValue) -> String {
        match &self.format {
            Some(format) => format.write(value),
            None => value.to_string(),
        }
    }
}

/// Where the records go.
#[derive(Debug, Clone)]
pub struct Table {
    /// The table's name.
    pub name: String,
    /// The source fields that make two records one row; at least one.
    pub key: Vec<FieldPath>,
    /// Which fields become columns.
    pub columns: Columns,
    /// The columns that say for which item a row was read; they may be part of the key.
    pub with: Vec<With>,
    /// True if a row belongs to one account of the connection, which its key then names too.
    pub by_account: bool,
    /// What becomes of rows that are gone at the source.
    pub deletes: Deletes,
    /// True if its flow learns as a rule which rows are gone.
    pub may_lose_rows: bool,
}

/// Which fields become columns.
#[derive(Debug, Clone)]
pub enum Columns {
    /// Every top-level field, under its own name.
    All,
    /// These.
    Listed(Vec<Column>),
}

/// One declared column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name in the table.
    pub name: String,
    /// The source field.
    pub field: FieldPath,
    /// What it holds; learnt from the records if not said.
    pub kind: Option<Kind>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Whole numbers of 64 bits: `INTEGER`.
    Integer,
    /// Binary floating point: `REAL`.
    Real,
    /// Numbers whose every digit counts: `TEXT`.
    Decimal,
    /// `TEXT`.
    Text,
    /// 0 or 1: `INTEGER`.
    Boolean,
    /// `YYYY-MM-DD`: `TEXT`.
    Date,
    /// ISO 8601: `TEXT`.
    Timestamp,
    /// An object or array, as compact JSON: `TEXT`.
    Json,
    /// A GUID in lower case with hyphens: `TEXT`.
    Guid,
}
