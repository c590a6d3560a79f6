//! Reads a resource, page by page.
//!
//! [`pages`] writes the request of a run; [`Pages::next`] asks for one page after the other, waits
//! where the source wants us to wait, tries again what may succeed, and hands out whole pages only.
//! What it decides stands in its pure children; here it is only put together.

mod answer;
mod document;
mod error;
mod failure;
mod hosts;
mod limits;
mod link;
mod odata;
mod paginate;
mod records;
mod request;
mod reset;
mod retry;
mod rules;
mod scope;
mod shape;
mod shown;
mod waiting;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::document::document;
pub use self::error::{Asked, Document, Error, Tries};
use self::failure::{Cause, Failure, damaged, no_answer};
pub use self::hosts::Hosts;
pub use self::limits::{Allowance, LONGEST_WAIT, Limits, Windows};
pub use self::paginate::Problem as PagingProblem;
use self::paginate::{Answered, Ask, Pager, Way};
use self::records::Found;
pub use self::records::Problem as BodyProblem;
use self::request::Prototype;
pub use self::request::filled;
use self::retry::Verdict;
use self::scope::Lacking;
pub use self::shape::ShapeProblem;
use self::shape::{Shape, Shaped};
pub use self::shown::ShownRequest;
pub use self::waiting::{Reason, Waiting};
use crate::clock::{self, Clock};
use crate::config::{Connection, Each, Facts, Resource, ResponseRule, SendDelta};
use crate::http::{self, Answer, Authorization, Client};
use crate::jq::{self, Program};
use crate::record::{CursorValue, Gone, Page};
use crate::secret::Redactor;

/// Where a run starts reading.
#[derive(Debug, Clone)]
pub struct Start {
    /// Whose records are read, where a flow reads those of several accounts.
    pub account: Option<String>,
    /// What the authorization server said beside the tokens.
    pub facts: Arc<Facts>,
    /// What the request is repeated for: what templates call `each.…`.
    pub each: Each,
    /// The bookmark less the lookback, or where the configuration says to begin.
    pub since: Option<CursorValue>,
    /// What the source gave to be asked with for what changed since.
    pub delta: Option<String>,
    /// Where the read ends: what templates call `until`.
    pub until: CursorValue,
    /// What templates call `now`.
    pub now: Timestamp,
}

/// What reading a page needs from outside.
pub struct World<'a> {
    /// The way to the source.
    pub http: &'a Client,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The calls the connection may make.
    pub limits: &'a Limits,
    /// The requests under way at every host.
    pub hosts: &'a Hosts,
    /// The credential to send along.
    pub authorization: Option<&'a Authorization>,
    /// Is told of every wait before it is waited.
    pub told: &'a (dyn Fn(Waiting) + Send + Sync),
}

/// The pages of one run. Their URLs and headers may hold what nobody should read, so there is no
/// `Debug`.
pub struct Pages {
    prototype: Prototype,
    shape: Arc<Shape>,
    /// How many values are looked for in a body.
    values: usize,
    /// Which of them is what to ask with the next time.
    delta_at: Option<usize>,
    pager: Pager,
    /// True on the last page, whatever the pager finds.
    stop: Option<Program>,
    /// What answers mean where their status alone does not tell.
    rules: Vec<ResponseRule>,
    limits: http::Limits,
    /// How many requests a host is sent at a time.
    concurrency: usize,
    next: Result<Option<Ask>, Astray>,
    number: u64,
    requests: u64,
    /// The status of the latest answer.
    status: Option<u16>,
    /// True if this reads everything rather than what changed since a bookmark.
    is_whole: bool,
}

/// How to ask for a page, for another run to go on from. It holds what a source gave and no
/// credential of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position(Ask);

impl Position {
    /// Returns the number of the page, from 1.
    #[must_use]
    pub fn page(&self) -> u64 {
        self.0.turn.before + 1
    }
}

/// Why there is no page after the last one, though there should be.
#[derive(Debug, Clone)]
struct Astray {
    asked: Asked,
    problem: PagingProblem,
}

/// Prepares to read `resource`; nothing is sent yet.
///
/// # Errors
/// If the request cannot be written from the configuration.
pub fn pages(connection: &Connection, resource: &Resource, start: &Start) -> Result<Pages, Error> {
    let mut pager = Pager::new(&resource.paging, resource.caps.pages);
    let mut first = pager.first();
    let prototype = Prototype::write(connection, resource, start, &first.turn)?;
    if let (Some(delta), Some(link)) = (&resource.delta, &start.delta)
        && matches!(delta.send, SendDelta::Link)
    {
        first.way = Way::Link(prototype.link(link)?);
    }
    let mut values = pager.values();
    let delta_at = resource.delta.as_ref().map(|delta| {
        values.push(delta.path.clone());
        values.len() - 1
    });
    Ok(Pages {
        shape: Arc::new(Shape::new(resource, &values)),
        values: values.len(),
        delta_at,
        next: Ok(Some(first)),
        limits: http::Limits {
            timeout: connection.timeout,
            body: resource.caps.page_bytes,
        },
        rules: resource.rules.clone(),
        concurrency: connection.manners.concurrency,
        prototype,
        pager,
        stop: resource.paging.stop.clone(),
        number: 0,
        requests: 0,
        status: None,
        is_whole: start.since.is_none() && start.delta.is_none(),
    })
}

impl Pages {
    /// Returns the next page, or `None` after the last one.
    ///
    /// After [`Error::Unauthorized`] and [`Error::Forbidden`] the same page may be asked for with
    /// another credential.
    ///
    /// # Errors
    /// Why there is no page: see [`Error`].
    pub async fn next(&mut self, world: &World<'_>) -> Result<Option<Page>, Error> {
        let Some(ask) = self.ask()? else {
            return Ok(None);
        };
        let began = world.clock.now();
        let (mut tries, mut holds) = (0, 0);
        loop {
            let (cause, wait) = match self.attempt(world, &ask).await {
                Ok(page) => return Ok(page),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Later(cause)) => {
                    tries += 1;
                    (cause, retry::wait(tries, self.prototype.url().as_str()))
                }
                Err(Failure::Held { until, cause }) => {
                    holds += 1;
                    world.limits.hold(world.clock.now(), until);
                    if holds < rules::HOLDS {
                        continue; // it is waited out, or parked for, before the next try
                    }
                    (cause, None)
                }
            };
            let now = world.clock.now();
            if let Some(spent) = world.limits.long_wait(now, &cause.asked().url) {
                return Err(spent.into());
            }
            let Some(wait) = wait else {
                let (count, over) = (tries + holds, clock::until(began, now));
                return Err(cause.after(Tries { count, over }));
            };
            let until = clock::after(now, wait);
            (world.told)(Waiting {
                until,
                reason: cause.reason(),
            });
            world.clock.sleep_until(until).await;
        }
    }

    /// Returns whose calls are counted together, as the source counts them; `""` if all are.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.prototype.tenant()
    }

    /// Returns true if every page has come, and, where the source counts its records, all of them.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.next, Ok(None)) && !self.is_cut() && self.pager.has_all()
    }

    /// Returns how to ask for the next page, if the source has said that and there is one.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match &self.next {
            Ok(Some(ask)) if self.pager.is_led() && !ask.turn.is_first() => {
                Some(Position(ask.clone()))
            }
            Ok(_) | Err(_) => None,
        }
    }

    /// Goes on from where another run has got; false if we may not go there.
    pub fn go_on(&mut self, position: Position) -> bool {
        let Position(ask) = position;
        let may_go = match &ask.way {
            Way::Link(link) => self.prototype.allowed().contains(&link.origin()),
            Way::Query(_) | Way::Header(..) | Way::Body(..) => true,
        };
        if may_go && self.pager.is_led() {
            self.pager.go_on(&ask);
            self.number = ask.turn.before;
            self.next = Ok(Some(ask));
            return true;
        }
        false
    }

    /// Returns how the next page is asked for.
    fn ask(&self) -> Result<Option<Ask>, Error> {
        match &self.next {
            Ok(ask) => Ok(ask.clone()),
            Err(Astray { asked, problem }) => Err(Error::Astray {
                asked: asked.clone(),
                page: self.number,
                problem: problem.clone(),
            }),
        }
    }

    /// Returns the request by which [`Pages::next`] would ask, fit to be shown; `None` after the last
    /// page. Nothing is sent.
    ///
    /// # Errors
    /// If the request cannot be written, or there is no way on.
    pub fn upcoming(
        &self,
        authorization: Option<&Authorization>,
    ) -> Result<Option<ShownRequest>, Error> {
        let Some(ask) = self.ask()? else {
            return Ok(None);
        };
        let request = self.prototype.asking(&ask)?;
        Ok(Some(ShownRequest::of(&request, authorization)))
    }

    /// Returns the status of the latest answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Returns how many requests were sent so far, repeats included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Returns true if the pages ended because the source gives no more in one reading, though there
    /// may be more: what follows is read from the last cursor value on.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.pager.is_cut()
    }

    /// Asks once for the page that `ask` describes; `None` if a rule says that there is none.
    async fn attempt(&mut self, world: &World<'_>, ask: &Ask) -> Result<Option<Page>, Failure> {
        let nothing = Redactor::default();
        let redactor = world
            .authorization
            .map_or(&nothing, Authorization::redactor);
        let mut request = self.prototype.asking(ask)?;
        let asked = Asked {
            method: self.prototype.method(),
            url: redactor.redact(&http::shown(&request.url)).into(),
        };
        let admitted = world
            .limits
            .admit(&asked.url, world.clock, world.told)
            .await;
        admitted.map_err(Error::from)?;
        if let Some(authorization) = world.authorization {
            request
                .authorize(authorization, self.prototype.allowed())
                .map_err(|source| no_answer(asked.clone(), source))?;
        }
        let _seat = world
            .hosts
            .enter(request.url.origin(), self.concurrency)
            .await;
        self.requests += 1;
        let answer = match world.http.send(request, self.limits).await {
            Ok(answer) => answer,
            Err(source @ http::Error::NotSent { .. }) => {
                world.limits.give_back();
                return Err(Failure::Later(Cause::NoAnswer { asked, source }));
            }
            Err(source @ http::Error::Lost { .. }) => {
                return Err(Failure::Later(Cause::NoAnswer { asked, source }));
            }
            Err(source) => return Err(no_answer(asked, source).into()),
        };
        self.status = Some(answer.status);
        world.limits.learn(
            world.clock.now(),
            &asked.url,
            answer.status,
            &answer.headers,
        );
        if let Some(rule) = self.rule(&answer, &asked).await? {
            rules::obeyed(rule, &answer, asked, redactor, world.clock.now())?;
            self.next = Ok(None);
            return Ok(None);
        }
        let (body, shaped) = self.read(&answer, asked.clone(), redactor).await?;
        let Shaped {
            mut found,
            rebuilt,
            reshaped,
        } = shaped;
        let delta = self.delta(&mut found, &answer, world.authorization);
        let source = rebuilt.as_ref().unwrap_or(&body);
        let answered = Answered {
            url: &answer.url,
            authorization: world.authorization,
            allowed: self.prototype.allowed(),
            headers: &answer.headers,
            came: &body,
            body: source,
            found: &found,
        };
        // A page that leads astray is whole all the same: only the call after it fails.
        let next = self.pager.next(&answered);
        let next = unless_stopped(self.stop.as_ref(), &body, next).await;
        self.next = next.map_err(|problem| Astray { asked, problem });
        self.number += 1;
        let gone = Gone {
            body: body.clone(),
            entries: found.gone,
        };
        let (body, records) = match reshaped {
            Some(reshaped) => reshaped,
            None => (source.clone(), found.records),
        };
        Ok(Some(Page {
            number: self.number,
            body,
            records,
            gone,
            delta,
            is_last: matches!(self.next, Ok(None)),
        }))
    }

    /// Returns the rule that says what an answer means, if there is one.
    async fn rule(&self, answer: &Answer, asked: &Asked) -> Result<Option<&ResponseRule>, Error> {
        let first = rules::first(&self.rules, answer).await;
        first.map_err(|source| Error::Rule {
            asked: asked.clone(),
            source,
        })
    }

    /// Returns what a page gives to be asked with the next time: a link whole, and without the
    /// credential that some sources repeat in it.
    fn delta(
        &self,
        found: &mut Found,
        answer: &Answer,
        authorization: Option<&Authorization>,
    ) -> Option<String> {
        let value = found.values.get(self.delta_at?).cloned().flatten();
        found.values.truncate(self.pager.values().len());
        let text = value?.text();
        if !matches!(self.prototype.delta()?.send, SendDelta::Link) {
            return Some(text).filter(|text| !text.is_empty());
        }
        let mut link = answer.url.join(&text).ok()?;
        if let Some(authorization) = authorization {
            authorization.strip(&mut link);
        }
        Some(link.into())
    }

    /// Returns the records of an answer, if it is a page.
    async fn read(
        &self,
        answer: &Answer,
        asked: Asked,
        redactor: &Redactor,
    ) -> Result<(Bytes, Shaped), Failure> {
        let status = answer.status;
        let message = || answer::complaint(answer, redactor);
        if self.pager.ends_with(status) {
            return Ok(self.empty());
        }
        let verdict = retry::verdict(status, &answer.headers);
        if matches!(verdict, Verdict::Unauthorized | Verdict::Forbidden)
            && let Some(Lacking { scope }) = scope::lacking(answer)
        {
            return Err(Error::InsufficientScope {
                asked,
                status,
                scope: scope.map(|scope| redactor.redact(&scope)),
                message: message(),
            }
            .into());
        }
        if verdict == Verdict::Refused
            && self.prototype.goes_on()
            && reset::is_reset(status, &answer.body)
        {
            return Err(Error::Reset {
                asked,
                status,
                message: message(),
            }
            .into());
        }
        match verdict {
            Verdict::Page => self.parse(answer, asked, redactor).await,
            Verdict::Empty => Ok(self.empty()),
            Verdict::Later => Err(Failure::Later(Cause::Status {
                asked,
                status,
                message: message(),
            })),
            Verdict::Unauthorized => Err(Error::Unauthorized {
                asked,
                status,
                message: message(),
            }
            .into()),
            Verdict::Forbidden => Err(Error::Forbidden {
                asked,
                message: message(),
            }
            .into()),
            Verdict::Refused if self.pager.may_be_past_end() => Err(Error::RefusedPage {
                asked,
                page: self.number + 1,
                status,
                message: message(),
            }
            .into()),
            Verdict::Refused => Err(Error::Refused {
                asked,
                status,
                message: message(),
            }
            .into()),
            Verdict::Redirected => {
                let target = answer
                    .header("location")
                    .and_then(|to| answer.url.join(to).ok());
                let target =
                    target.map(|target| redactor.redact(&target.origin().ascii_serialization()));
                Err(Error::Redirected {
                    asked,
                    status,
                    target,
                }
                .into())
            }
        }
    }

    /// Returns a page without body and records.
    fn empty(&self) -> (Bytes, Shaped) {
        let found = Found {
            records: Vec::new(),
            gone: Vec::new(),
            values: vec![None; self.values],
            nothing: false,
        };
        (Bytes::new(), found.into())
    }

    async fn parse(
        &self,
        answer: &Answer,
        asked: Asked,
        redactor: &Redactor,
    ) -> Result<(Bytes, Shaped), Failure> {
        let body = answer::text(answer, self.limits.body, redactor)
            .map_err(|problem| damaged(asked.clone(), problem))?;
        // Checked a line above; the type that remembers it cannot be cut into shared slices.
        let text = std::str::from_utf8(&body).unwrap_or_default();
        if let Some(document) = answer::foreign(answer, text, self.shape.format(), redactor) {
            return Err(Error::NotJson {
                asked,
                status: answer.status,
                document,
            }
            .into());
        }
        if let Some(partial) = self.prototype.graph_ql()
            && let Some(errors) = answer::graph_ql_errors(text, redactor)
            && !(partial && errors.has_data)
        {
            return Err(Error::GraphQl {
                asked,
                message: errors.message,
                has_data: errors.has_data,
            }
            .into());
        }
        let shaped = match self.shape.apply(&body).await {
            Ok(shaped) => shaped,
            Err(problem) => return Err(damaged(asked, problem.cleaned(redactor))),
        };
        let found = &shaped.found;
        // Some sources leave the place out where nothing has changed. Anywhere else it means that
        // the place is misspelt, or that an error came in place of the page.
        let may_be_out = self.number == 0 && !self.is_whole;
        if found.nothing && found.records.is_empty() && !may_be_out {
            return Err(damaged(asked, self.shape.nothing()));
        }
        Ok((body, shaped))
    }
}

/// Returns what the pager found, unless `stop` says that `body` is the last page.
async fn unless_stopped(
    stop: Option<&Program>,
    body: &Bytes,
    next: Result<Option<Ask>, PagingProblem>,
) -> Result<Option<Ask>, PagingProblem> {
    let (Some(program), false) = (stop.cloned(), matches!(next, Ok(None)) || body.is_empty())
    else {
        return next;
    };
    let body = body.clone();
    let is_last = jq::apart(move |stop| {
        let text = std::str::from_utf8(&body).unwrap_or_default();
        program.test(text, &jq::Allowance::new(1, 0, stop))
    });
    match is_last.await {
        Ok(true) => Ok(None),
        Ok(false) => next,
        Err(error) => Err(PagingProblem::Stop(error)),
    }
}

#[cfg(test)]
mod tests;
