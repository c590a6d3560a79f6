//! What to ask next: the rules of every paging style, without any network.
//!
//! A link of the source is followed as it was given, only resolved against the request that
//! brought it. A source that sends us in circles is an error, never an endless run, and a source
//! that sends us elsewhere is not obeyed: our credentials would go along.

mod dig;
mod trail;

use serde::{Deserialize, Serialize};
use url::{Origin, Url};

use self::trail::Trail;
use super::records::{Found, Scalar};
use super::{link, odata};
use crate::config::{End, Paging, PastEnd, SendCursor, Source, Style, Total};
use crate::http::{Authorization, HeaderMap};
use crate::jq;
use crate::record::FieldPath;

/// What is asked next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ask {
    /// How the request differs from the configured one.
    pub(super) way: Way,
    /// What templates may use of where we are.
    pub(super) turn: Turn,
}

/// Where we are in the pages of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// What leads on is no object of plain values.
    #[error("has something at `{path}` that is no object of texts and numbers")]
    NotParameters {
        /// The place.
        path: FieldPath,
    },
    /// There should be more, but no cursor to ask with.
    #[error("says there is more, but has no cursor to ask with")]
    NoCursor,
    /// The last record has no value to go on from.
    #[error("has no text or number at `{field}` of its last record, where the next page begins")]
    NoKey {
        /// The field.
        field: FieldPath,
    },
    /// The next request would be one that was made before.
    #[error("leads back to a page of this run, and so would never end")]
    Circle,
    /// Another request brought the same page.
    #[error("has the same records as an earlier page of this run; is the paging as configured?")]
    Repeated,
    /// Another number or position brought the same page.
    #[error(
        "has the same records as an earlier page of this run: either the source does not know the \
         parameters of the paging, or it gives its last page again past the end"
    )]
    Again,
    /// The program that knows the last page could not look at this one.
    #[error("is nothing `stop` can judge: {0}")]
    Stop(jq::Error),
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
    style: Style,
    cap: u64,
    /// The most records the source gives in one reading.
    most: Option<u64>,
    is_cut: bool,
    trail: Trail,
    pages: u64,
    /// How many pages an earlier run read of the same.
    earlier: u64,
    records: u64,
    /// The length of the longest page so far.
    longest: u64,
    /// How many positions have been read.
    moved: u64,
    /// How many records there are, if the latest page said so.
    told: Option<u64>,
}

impl Pager {
    /// Starts before the first page.
    pub(super) fn new(paging: &Paging, cap: u64) -> Self {
        Self {
            style: paging.style.clone(),
            cap,
            most: paging.restart_after,
            is_cut: false,
            trail: Trail::default(),
            pages: 0,
            earlier: 0,
            records: 0,
            longest: 0,
            moved: 0,
            told: None,
        }
    }

    /// Returns the values to look for in every body.
    pub(super) fn values(&self) -> Vec<FieldPath> {
        match &self.style {
            Style::None | Style::LinkHeader | Style::Continue { .. } => Vec::new(),
            Style::OData => odata::NEXT_LINKS
                .iter()
                .map(|path| FieldPath::of(path.iter().copied()))
                .collect(),
            Style::NextUrl { at } => at.path().cloned().into_iter().collect(),
            Style::Cursor { at, more, .. } => at.path().into_iter().chain(more).cloned().collect(),
            Style::Keyset { more, .. } => more.iter().cloned().collect(),
            Style::Page { end, .. } | Style::Offset { end, .. } => match end {
                End::Told(total) => vec![total.path().clone()],
                End::Untold { .. } => Vec::new(),
            },
        }
    }

    /// Returns how to ask for the first page.
    pub(super) fn first(&mut self) -> Ask {
        let way = self.numbered();
        self.trail.ask(&way, None);
        self.ask(way, None)
    }

    /// Returns true if the pages ended because the source gives no more in one reading.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Returns true if an answer with `status` says that there are no more pages.
    pub(super) fn ends_with(&self, status: u16) -> bool {
        self.pages > 0 && self.past_end() == Some(PastEnd::Status(status))
    }

    /// Returns true if the page that is asked for may lie past the end, of which the source tells
    /// nothing.
    pub(super) fn may_be_past_end(&self) -> bool {
        let is_untold = matches!(
            self.style,
            Style::Page {
                end: End::Untold { .. },
                ..
            } | Style::Offset {
                end: End::Untold { .. },
                ..
            }
        );
        self.pages > 0 && is_untold
    }

    /// Returns true if the source itself says how to ask for the next page, so that another run may
    /// ask as well. Numbers and positions would meet other rows there.
    pub(super) fn is_led(&self) -> bool {
        match self.style {
            Style::OData
            | Style::LinkHeader
            | Style::NextUrl { .. }
            | Style::Cursor { .. }
            | Style::Continue { .. }
            | Style::Keyset { .. } => true,
            Style::None | Style::Page { .. } | Style::Offset { .. } => false,
        }
    }

    /// Goes on from where another run has got.
    pub(super) fn go_on(&mut self, from: &Ask) {
        self.earlier = from.turn.before;
        self.records = from.turn.offset;
        self.trail = Trail::default();
        self.trail.ask(&from.way, from.turn.cursor.as_ref());
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
        self.told = self.count(&page.found.values);
        if self.past_end() == Some(PastEnd::Repeats)
            && self.trail.is_same_again(page.body, page.found)
        {
            return Ok(None);
        }
        let (next, cursor) = self.way_on(page, count)?;
        self.longest = self.longest.max(count);
        let Some(next) = next else { return Ok(None) };
        // A page that lies across the bound may be refused as a whole.
        if self
            .most
            .is_some_and(|most| self.records.saturating_add(self.longest) > most)
        {
            self.is_cut = true;
            return Ok(None);
        }
        // Numbers and positions only grow.
        let is_counted = matches!(self.style, Style::Page { .. } | Style::Offset { .. });
        if !is_counted && !self.trail.ask(&next, cursor.as_ref()) {
            return Err(Problem::Circle);
        }
        match is_new {
            true => {}
            false if is_counted => return Err(Problem::Again),
            false => return Err(Problem::Repeated),
        }
        if self.pages >= self.cap {
            return Err(Problem::TooMany { cap: self.cap });
        }
        Ok(Some(self.ask(next, cursor)))
    }

    /// Returns false if the source counts its records and another number has come: they moved from
    /// page to page meanwhile.
    pub(super) fn has_all(&self) -> bool {
        let overlaps = matches!(self.style, Style::Offset { overlap, .. } if overlap > 0);
        self.told.is_none_or(|told| match overlaps {
            true => told <= self.records,
            false => told == self.records,
        })
    }

    /// Returns how many records a page says there are.
    fn count(&self, values: &[Option<Scalar>]) -> Option<u64> {
        match &self.style {
            Style::Page { end, .. } | Style::Offset { end, .. } => match end {
                End::Told(Total::Records(_)) => values.first()?.as_ref()?.number(),
                End::Told(_) | End::Untold { .. } => None,
            },
            _ => None,
        }
    }

    /// Returns how the next request differs, if there is one, and the cursor it carries.
    fn way_on(
        &mut self,
        page: &Answered<'_>,
        count: u64,
    ) -> Result<(Option<Way>, Option<Scalar>), Problem> {
        let mut values = page.found.values.iter().map(Option::as_ref);
        let way = match &self.style {
            Style::None => None,
            Style::OData => linked(page, values.flatten().next())?,
            Style::NextUrl { at } => linked(page, at.value(page, &mut values).as_ref())?,
            Style::LinkHeader => {
                let target = link::next(page.headers).map(Scalar::Text);
                linked(page, target.as_ref())?
            }
            Style::Cursor { at, send, more, .. } => {
                let word = at.value(page, &mut values);
                let more = more.as_ref().and_then(|_| values.next().flatten());
                let word = cursor(word, more.and_then(Scalar::flag))?;
                return Ok((
                    word.as_ref().map(|word| carrying(send.as_ref(), word)),
                    word,
                ));
            }
            Style::Continue { path } => parameters(page.came, path)?.map(Way::Query),
            Style::Keyset { field, send, .. } => {
                let more = values.next().flatten().and_then(Scalar::flag);
                let word = key(page, field, more)?;
                return Ok((
                    word.as_ref().map(|word| carrying(send.as_ref(), word)),
                    word,
                ));
            }
            Style::Page { end, .. } => self
                .goes_on(end, values.next().flatten(), count, count)
                .then(|| self.numbered()),
            Style::Offset {
                end,
                limit,
                overlap,
                ..
            } => {
                let again = self.moved.min(*overlap);
                let fresh = count.saturating_sub(again);
                let goes_on = self.goes_on(end, values.next().flatten(), count, fresh);
                // By what came rather than by what was asked for: a source may give fewer per
                // page than we want, and a step too wide would lose the rest.
                let step = if fresh > 0 { fresh } else { limit - again };
                self.moved = self.moved.saturating_add(step);
                goes_on.then(|| self.numbered())
            }
        };
        Ok((way, None))
    }

    /// Decides whether there is another numbered page after one with `count` records, of which
    /// `fresh` were not asked for before.
    ///
    /// What the source says about the total counts. Where it says nothing, only an empty page
    /// surely is the last: a source may leave out of a page what we may not see.
    fn goes_on(&self, end: &End, said: Option<&Scalar>, count: u64, fresh: u64) -> bool {
        let is_empty = fresh == 0;
        match end {
            End::Told(Total::More(_)) => said.and_then(Scalar::flag).unwrap_or(!is_empty),
            End::Told(Total::Records(_)) => {
                let total = said.and_then(Scalar::number);
                let read = match &self.style {
                    Style::Offset { .. } => self.moved.saturating_add(fresh),
                    _ => self.records,
                };
                !is_empty && total.is_none_or(|total| read < total)
            }
            End::Told(Total::Pages(_)) => match said.and_then(Scalar::number) {
                Some(total) => self.pages < total,
                None => !is_empty,
            },
            End::Untold { short_page, .. } => {
                let is_short = *short_page && count < self.longest;
                !is_empty && !is_short
            }
        }
    }

    fn past_end(&self) -> Option<PastEnd> {
        match &self.style {
            Style::Page {
                end: End::Untold { past_end, .. },
                ..
            }
            | Style::Offset {
                end: End::Untold { past_end, .. },
                ..
            } => *past_end,
            _ => None,
        }
    }

    /// Adds to a request what templates may use.
    fn ask(&self, way: Way, cursor: Option<Scalar>) -> Ask {
        let (first, offset, limit) = match &self.style {
            Style::Page { first, size, .. } => {
                let limit = size.as_ref().map(|(_, size)| *size);
                (*first, self.records, limit)
            }
            Style::Offset { limit, .. } => (1, self.position(), Some(*limit)),
            _ => (1, self.records, None),
        };
        let turn = Turn {
            before: self.earlier.saturating_add(self.pages),
            number: first
                .saturating_add(self.earlier)
                .saturating_add(self.pages),
            offset,
            limit,
            cursor,
        };
        Ask { way, turn }
    }

    /// Returns the parameters of the next page where pages are numbered, and else none.
    fn numbered(&self) -> Way {
        let query = match &self.style {
            Style::Page {
                param, first, size, ..
            } => {
                let number = first.saturating_add(self.pages);
                let number = param
                    .iter()
                    .map(|param| (param.clone(), number.to_string()));
                let size = size.iter();
                let size = size.map(|(param, size)| (param.clone(), size.to_string()));
                number.chain(size).collect()
            }
            Style::Offset {
                param,
                limit_param,
                limit,
                ..
            } => {
                let position = param.iter().map(|param| (param, self.position()));
                let limit = limit_param.iter().map(|param| (param, *limit));
                let pairs = position.chain(limit);
                pairs
                    .map(|(param, number)| (param.clone(), number.to_string()))
                    .collect()
            }
            _ => Vec::new(),
        };
        Way::Query(query)
    }

    /// Returns where the next page begins.
    fn position(&self) -> u64 {
        match &self.style {
            Style::Offset { first, overlap, .. } => {
                first.saturating_add(self.moved.saturating_sub(*overlap))
            }
            _ => self.records,
        }
    }
}

impl Total {
    fn path(&self) -> &FieldPath {
        match self {
            Self::Records(path) | Self::Pages(path) | Self::More(path) => path,
        }
    }
}

impl Source {
    fn path(&self) -> Option<&FieldPath> {
        match self {
            Self::Body(path) => Some(path),
            Self::Header(_) => None,
        }
    }

    /// Returns what leads on: the next of `values`, or a header.
    fn value<'f>(
        &self,
        page: &Answered<'_>,
        values: &mut impl Iterator<Item = Option<&'f Scalar>>,
    ) -> Option<Scalar> {
        match self {
            Self::Body(_) => values.next().flatten().cloned(),
            Self::Header(name) => {
                let text = page.headers.get(name)?.to_str().ok()?.trim();
                Some(Scalar::Text(text.to_owned()))
            }
        }
    }
}

/// Returns the link to the next page, if there is one and it may be followed.
fn linked(page: &Answered<'_>, target: Option<&Scalar>) -> Result<Option<Way>, Problem> {
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

/// Returns the word that leads on, if there is more.
fn cursor(word: Option<Scalar>, more: Option<bool>) -> Result<Option<Scalar>, Problem> {
    if more == Some(false) {
        return Ok(None);
    }
    match word {
        Some(Scalar::Flag(true)) => Err(Problem::NotACursor),
        Some(Scalar::Text(word)) if word.is_empty() => last(more),
        None | Some(Scalar::Flag(false)) => last(more),
        word @ Some(Scalar::Text(_) | Scalar::Number(_)) => Ok(word),
    }
}

/// There is nothing to go on with, so there should be no more.
fn last(more: Option<bool>) -> Result<Option<Scalar>, Problem> {
    match more {
        Some(true) => Err(Problem::NoCursor),
        Some(false) | None => Ok(None),
    }
}

/// Returns the value of the last record, after which the next page begins, if there is more.
fn key(
    page: &Answered<'_>,
    field: &FieldPath,
    more: Option<bool>,
) -> Result<Option<Scalar>, Problem> {
    if more == Some(false) {
        return Ok(None);
    }
    let Some(range) = page.found.records.last() else {
        return last(more);
    };
    let record = std::str::from_utf8(&page.body[range.clone()]).unwrap_or_default();
    let value = dig::dig(record, field.segments()).and_then(dig::scalar);
    match value {
        Some(value @ (Scalar::Text(_) | Scalar::Number(_))) => Ok(Some(value)),
        Some(Scalar::Flag(_)) | None => Err(Problem::NoKey {
            field: field.clone(),
        }),
    }
}

/// Returns the members of the object at `path`, if there are any.
fn parameters(body: &[u8], path: &FieldPath) -> Result<Option<Vec<(String, String)>>, Problem> {
    let body = std::str::from_utf8(body).unwrap_or_default();
    let Some(raw) = dig::dig(body, path.segments()).filter(|raw| raw.get() != "null") else {
        return Ok(None);
    };
    let wrong = || Problem::NotParameters { path: path.clone() };
    let members = dig::members(raw.get()).ok_or_else(wrong)?;
    let pairs: Option<Vec<_>> = members
        .into_iter()
        .map(|(name, raw)| Some((name, dig::scalar(raw)?.text())))
        .collect();
    let pairs = pairs.ok_or_else(wrong)?;
    Ok((!pairs.is_empty()).then_some(pairs))
}

/// Returns the request that carries a cursor where it is wanted.
fn carrying(send: Option<&SendCursor>, word: &Scalar) -> Way {
    match send {
        Some(SendCursor::Query(param)) => Way::Query(vec![(param.clone(), word.text())]),
        Some(SendCursor::Header(name)) => Way::Header(name.clone(), word.text()),
        Some(SendCursor::Body(path)) => Way::Body(path.clone(), word.clone()),
        None => Way::Query(Vec::new()),
    }
}

#[cfg(test)]
mod tests;
