//! What to ask next: the rules of every paging style, without any network.
//!
//! A link of the source is followed as it was given, only resolved against the request that
//! brought it. A source that sends us in circles is an error, never an endless run, and a source
//! that sends us elsewhere is not obeyed: our credentials would go along.

mod trail;

use url::{Origin, Url};

use self::trail::Trail;
use super::records::{Found, Scalar};
use super::{link, odata};
use crate::config::{Paging, SendCursor, Total};
use crate::http::{Authorization, HeaderMap};
use crate::record::FieldPath;

/// What is asked next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    /// How the request differs from the configured one.
    pub(super) way: Way,
    /// What templates may use of where we are.
    pub(super) turn: Turn,
}

/// Where we are in the pages of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Turn {
    /// How many pages came before.
    pub(super) before: u64,
    /// The number of the page, as the source counts.
    pub(super) number: u64,
    /// The position of its first record.
    pub(super) offset: u64,
    /// How many records it may have, where we choose that.
    pub(super) limit: Option<u64>,
    /// The word that the page before gave for this one.
    pub(super) cursor: Option<Scalar>,
}

impl Turn {
    /// Returns true on the first page.
    pub(super) fn is_first(&self) -> bool {
        self.before == 0
    }
}

/// How a request differs from the configured one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// It goes to this link instead, with nothing of ours added to the link.
    Link(Url),
    /// It carries these parameters, in place of any of the same names.
    Query(Vec<(String, String)>),
    /// It carries this header.
    Header(String, String),
    /// Its body has this value at this place.
    Body(FieldPath, Scalar),
}

/// What a page tells about the next.
pub(super) struct Answered<'a> {
    /// The URL that was asked.
    pub(super) url: &'a Url,
    /// What let the request in; a next link may repeat it.
    pub(super) authorization: Option<&'a Authorization>,
    /// Where we may be sent.
    pub(super) allowed: &'a [Origin],
    /// The headers of the answer.
    pub(super) headers: &'a HeaderMap,
    /// The body as it came.
    #[expect(dead_code, reason = "who stops by a program looks at it")]
    pub(super) came: &'a [u8],
    /// The body in which the records stand: the one that came, or one made of it.
    pub(super) body: &'a [u8],
    /// What the body held.
    pub(super) found: &'a Found,
}

/// Why there is no way on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The next page is on a host that was never named.
    #[error("names a next page at {origin}, which is not the connection's own host")]
    Foreign {
        /// Where it leads.
        origin: String,
    },
    /// The next page would be asked for without encryption.
    #[error("names a next page at {origin}, which is not encrypted as this page was")]
    Downgrade {
        /// Where it leads.
        origin: String,
    },
    /// The next link is not one.
    #[error("names a next page that is not a URL")]
    NotALink,
    /// The cursor is not text or a number.
    #[error("has true or false as its cursor, which should be a word or a number")]
    NotACursor,
    /// There should be more, but no cursor to ask with.
    #[error("says there is more, but has no cursor to ask with")]
    NoCursor,
    /// The next request would be one that was made before.
    #[error("leads back to a page of this run, and so would never end")]
    Circle,
    /// Another request brought the same page.
    #[error("has the same records as an earlier page of this run; is the paging as configured?")]
    Repeated,
    /// There is a page beyond the cap.
    #[error("is number {cap}, the most that `max_pages` allows, and there are more")]
    TooMany {
        /// The cap.
        cap: u64,
    },
}

/// Walks the pages of one run.
#[derive(Debug)]
pub(super) struct Pager {
    paging: Paging,
    cap: u64,
    trail: Trail,
    pages: u64,
    records: u64,
    /// The length of the longest page so far.
    longest: u64,
    /// How far we have moved, for positions.
    moved: u64,
}

impl Pager {
    /// Starts before the first page.
    pub(super) fn new(paging: Paging, cap: u64) -> Self {
        Self {
            paging,
            cap,
            trail: Trail::default(),
            pages: 0,
            records: 0,
            longest: 0,
            moved: 0,
        }
    }

    /// Returns the values to look for in every body.
    pub(super) fn values(&self) -> Vec<FieldPath> {
        match &self.paging {
            Paging::None | Paging::LinkHeader => Vec::new(),
            Paging::OData => odata::NEXT_LINKS
                .iter()
                .map(|path| FieldPath::of(path.iter().copied()))
                .collect(),
            Paging::NextUrl { path } => vec![path.clone()],
            Paging::Cursor { path, more, .. } => {
                std::iter::once(path).chain(more).cloned().collect()
            }
            Paging::Page { total, .. } | Paging::Offset { total, .. } => {
                total.iter().map(|total| total.path().clone()).collect()
            }
        }
    }

    /// Returns how to ask for the first page.
    pub(super) fn first(&mut self) -> Ask {
        let way = match &self.paging {
            Paging::Page { .. } => self.numbered(),
            Paging::Offset { .. } => self.positioned(),
            Paging::None
            | Paging::OData
            | Paging::LinkHeader
            | Paging::NextUrl { .. }
            | Paging::Cursor { .. } => Way::Query(Vec::new()),
        };
        self.trail.ask(&way, None);
        self.ask(way, None)
    }

    /// Adds to a request what templates may use.
    fn ask(&self, way: Way, cursor: Option<Scalar>) -> Ask {
        let (first_number, offset, limit) = match &self.paging {
            Paging::Page { first, size, .. } => {
                let limit = size.as_ref().map(|(_, size)| *size);
                (*first, self.records, limit)
            }
            Paging::Offset { first, limit, .. } => {
                (1, first.saturating_add(self.moved), Some(*limit))
            }
            Paging::None
            | Paging::OData
            | Paging::LinkHeader
            | Paging::NextUrl { .. }
            | Paging::Cursor { .. } => (1, self.records, None),
        };
        let turn = Turn {
            before: self.pages,
            number: first_number.saturating_add(self.pages),
            offset,
            limit,
            cursor,
        };
        Ask { way, turn }
    }

    /// Takes note of a page and returns how to ask for the next, if there is one.
    ///
    /// # Errors
    /// If there should be a next page that cannot, or must not, be asked for.
    pub(super) fn next(&mut self, page: &Answered<'_>) -> Result<Option<Ask>, Problem> {
        let count = page.found.records.len() as u64;
        self.pages += 1;
        self.records += count;
        self.trail.ask(&Way::Link(page.url.clone()), None);
        let is_new = self.trail.came(page.body, page.found);
        let values = &page.found.values;
        let mut word = None;
        let next = match &self.paging {
            Paging::None => None,
            Paging::OData => self.linked(page, values.iter().flatten().next())?,
            Paging::NextUrl { .. } => self.linked(page, first(values))?,
            Paging::LinkHeader => {
                let target = link::next(page.headers).map(Scalar::Text);
                self.linked(page, target.as_ref())?
            }
            Paging::Cursor { send, more, .. } => {
                word = cursor(more.is_some(), values)?;
                word.as_ref().map(|word| carrying(send, word))
            }
            Paging::Page { size, total, .. } => self
                .goes_on(total.as_ref(), first(values), size.is_some(), count)
                .then(|| self.numbered()),
            Paging::Offset { total, limit, .. } => {
                let (goes_on, limit) = (
                    self.goes_on(total.as_ref(), first(values), true, count),
                    *limit,
                );
                // By what came rather than by what was asked for: a source may give fewer per
                // page than we want, and a step too wide would lose the rest.
                self.moved = self
                    .moved
                    .saturating_add(if count > 0 { count } else { limit });
                goes_on.then(|| self.positioned())
            }
        };
        self.longest = self.longest.max(count);
        let Some(next) = next else { return Ok(None) };
        if !self.trail.ask(&next, word.as_ref()) {
            return Err(Problem::Circle);
        }
        if !is_new {
            return Err(Problem::Repeated);
        }
        if self.pages >= self.cap {
            return Err(Problem::TooMany { cap: self.cap });
        }
        Ok(Some(self.ask(next, word)))
    }

    fn linked(&self, page: &Answered<'_>, target: Option<&Scalar>) -> Result<Option<Way>, Problem> {
        let target = match target {
            None | Some(Scalar::Flag(false)) => return Ok(None),
            Some(Scalar::Text(target)) if target.is_empty() => return Ok(None),
            Some(Scalar::Text(target)) => target,
            Some(Scalar::Number(_) | Scalar::Flag(true)) => return Err(Problem::NotALink),
        };
        let mut next = page.url.join(target).map_err(|_| Problem::NotALink)?;
        let mut origin = next.origin().ascii_serialization();
        if let Some(authorization) = page.authorization {
            authorization.strip(&mut next);
            origin = authorization.redactor().redact(&origin);
        }
        if page.url.scheme() == "https" && next.scheme() == "http" {
            return Err(Problem::Downgrade { origin });
        }
        let names_a_user = !next.username().is_empty() || next.password().is_some();
        if names_a_user || !page.allowed.contains(&next.origin()) {
            return Err(Problem::Foreign { origin });
        }
        Ok(Some(Way::Link(next)))
    }

    /// Decides whether there is another numbered page after one with `count` records.
    ///
    /// What the source says about the total counts. Where it says nothing, an empty page ends the
    /// reading, and so does one shorter than a page before it if we chose the size. A first page
    /// that is shorter than we chose proves nothing: the source may not give as many as we want.
    fn goes_on(
        &self,
        total: Option<&Total>,
        said: Option<&Scalar>,
        is_size_known: bool,
        count: u64,
    ) -> bool {
        let by_length = count > 0 && !(is_size_known && count < self.longest);
        match total {
            Some(Total::More(_)) => said.and_then(Scalar::flag).unwrap_or(by_length),
            Some(Total::Records(_)) => match said.and_then(Scalar::number) {
                Some(total) => count > 0 && self.records < total,
                None => by_length,
            },
            Some(Total::Pages(_)) => match said.and_then(Scalar::number) {
                Some(total) => self.pages < total,
                None => by_length,
            },
            None => by_length,
        }
    }

    fn numbered(&self) -> Way {
        let Paging::Page {
            param, first, size, ..
        } = &self.paging
        else {
            return Way::Query(Vec::new());
        };
        let number = first.saturating_add(self.pages);
        let mut query = vec![(param.clone(), number.to_string())];
        query.extend(
            size.iter()
                .map(|(param, size)| (param.clone(), size.to_string())),
        );
        Way::Query(query)
    }

    fn positioned(&self) -> Way {
        let Paging::Offset {
            param,
            first,
            limit_param,
            limit,
            ..
        } = &self.paging
        else {
            return Way::Query(Vec::new());
        };
        let position = first.saturating_add(self.moved);
        Way::Query(vec![
            (param.clone(), position.to_string()),
            (limit_param.clone(), limit.to_string()),
        ])
    }
}

impl Total {
    fn path(&self) -> &FieldPath {
        match self {
            Self::Records(path) | Self::Pages(path) | Self::More(path) => path,
        }
    }
}

/// Returns the word that leads on, if there is more.
fn cursor(has_flag: bool, values: &[Option<Scalar>]) -> Result<Option<Scalar>, Problem> {
    let more = values
        .get(1)
        .and_then(Option::as_ref)
        .and_then(Scalar::flag)
        .filter(|_| has_flag);
    if more == Some(false) {
        return Ok(None);
    }
    let word = match first(values) {
        None | Some(Scalar::Flag(false)) => None,
        Some(Scalar::Text(word)) if word.is_empty() => None,
        Some(Scalar::Flag(true)) => return Err(Problem::NotACursor),
        Some(word @ (Scalar::Text(_) | Scalar::Number(_))) => Some(word.clone()),
    };
    if word.is_none() && more == Some(true) {
        return Err(Problem::NoCursor);
    }
    Ok(word)
}

/// Returns the request that carries a cursor where it is wanted.
fn carrying(send: &SendCursor, word: &Scalar) -> Way {
    match send {
        SendCursor::Query(param) => Way::Query(vec![(param.clone(), word.text())]),
        SendCursor::Header(name) => Way::Header(name.clone(), word.text()),
        SendCursor::Body(path) => Way::Body(path.clone(), word.clone()),
    }
}

fn first(values: &[Option<Scalar>]) -> Option<&Scalar> {
    values.first().and_then(Option::as_ref)
}

#[cfg(test)]
mod tests;
