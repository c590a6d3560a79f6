//! Where the next page is.

mod check;
mod read;

use crate::jq::Program;
use crate::record::FieldPath;
use crate::template::Template;

pub(super) use check::check;
pub(in crate::config) use read::read;

/// How the pages of a resource follow each other.
#[derive(Debug, Clone)]
pub struct Paging {
    /// How the next page is found.
    pub style: Style,
    /// A program over the body that is true on the last page, whatever the style finds in it.
    pub stop: Option<Program>,
    /// The most records the source gives in one reading, behind which the reading starts anew from
    /// the last cursor value.
    pub restart_after: Option<u64>,
}

impl From<Style> for Paging {
    fn from(style: Style) -> Self {
        Self {
            style,
            stop: None,
            restart_after: None,
        }
    }
}

impl Paging {
    /// Returns true if something in the body, besides the records, says whether and how it goes on.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        let by_style = match &self.style {
            Style::OData | Style::Continue { .. } => true,
            Style::NextUrl { at } => matches!(at, Source::Body(_)),
            Style::Cursor { at, more, .. } => matches!(at, Source::Body(_)) || more.is_some(),
            Style::Keyset { more, .. } => more.is_some(),
            Style::Page { end, .. } | Style::Offset { end, .. } => matches!(end, End::Told(_)),
            Style::None | Style::LinkHeader => false,
        };
        by_style || self.stop.is_some()
    }
}

/// How the next page is found.
#[derive(Debug, Clone)]
pub enum Style {
    /// There is only one.
    None,
    /// OData: `d.__next` (v2), `odata.nextLink` (v3), `@odata.nextLink` (v4).
    OData,
    /// The `Link` header's `rel="next"` (RFC 8288).
    LinkHeader,
    /// A URL.
    NextUrl {
        /// Where it stands.
        at: Source,
    },
    /// An opaque word, sent back with the next request.
    Cursor {
        /// Where it stands.
        at: Source,
        /// Where it goes, if templates do not say so by `page.cursor`.
        send: Option<SendCursor>,
        /// A boolean that says whether there is more, if the word's absence does not.
        more: Option<FieldPath>,
        /// Where the next pages are asked for, with the cursor and nothing else.
        continue_url: Option<Template>,
    },
    /// An object whose members are the parameters that lead on.
    Continue {
        /// Where it stands in the body.
        path: FieldPath,
    },
    /// Page numbers.
    Page {
        /// The query parameter, if templates do not say it by `page.number`.
        param: Option<String>,
        /// The number of the first page.
        first: u64,
        /// The parameter and number of records per page, if we choose it.
        size: Option<(String, u64)>,
        /// What the last page is known by.
        end: End,
    },
    /// Positions.
    Offset {
        /// The query parameter of the position, if templates do not say it by `page.offset`.
        param: Option<String>,
        /// The position of the first record.
        first: u64,
        /// The query parameter of the page size, if it is sent.
        limit_param: Option<String>,
        /// The page size.
        limit: u64,
        /// How many records each page asks for again, against rows that move meanwhile.
        overlap: u64,
        /// What the last page is known by.
        end: End,
    },
    /// A value of the last record, after which the next page begins.
    Keyset {
        /// The field of the record.
        field: FieldPath,
        /// Where it goes, if templates do not say so by `page.cursor`.
        send: Option<SendCursor>,
        /// A boolean that says whether there is more; an empty page ends otherwise.
        more: Option<FieldPath>,
    },
}

/// Where an answer says what leads on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the body.
    Body(FieldPath),
    /// In a header.
    Header(String),
}

/// Where a cursor goes.
#[derive(Debug, Clone)]
pub enum SendCursor {
    /// Into a query parameter.
    Query(String),
    /// Into a header.
    Header(String),
    /// Into the body.
    Body(FieldPath),
}

/// What the last of numbered pages is known by.
#[derive(Debug, Clone)]
pub enum End {
    /// The source tells.
    Told(Total),
    /// The source does not tell: an empty page is past the end.
    Untold {
        /// Whether a page shorter than one before it is the last. A short page in the middle of a
        /// list then ends the reading too early.
        short_page: bool,
        /// What else the source answers past the end.
        past_end: Option<PastEnd>,
    },
}

impl End {
    /// An empty page and nothing else.
    pub const EMPTY: Self = Self::Untold {
        short_page: false,
        past_end: None,
    };
}

/// What a source answers past the end, in place of an empty page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastEnd {
    /// Its last page again.
    Repeats,
    /// This status.
    Status(u16),
}

/// Where a source says how much there is.
#[derive(Debug, Clone)]
pub enum Total {
    /// The number of records, in the body.
    Records(FieldPath),
    /// The number of pages, in the body.
    Pages(FieldPath),
    /// A boolean in the body that is true while there is more.
    More(FieldPath),
}
