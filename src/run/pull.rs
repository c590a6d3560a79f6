//! The pages of one run: fetched, and merged while the next ones are fetched.
//!
//! Two futures share the work. One fetches pages into a short channel; the other takes whatever
//! has arrived and merges it in one transaction of whole pages, together with the bookmark and the
//! counts. So a slow source gets a transaction per page, a fast one several pages per transaction,
//! and memory is bounded by [`Room`].

mod anew;
pub(super) mod ask;
mod preview;
mod rest;
mod since;

use std::sync::{Arc, Mutex, OnceLock};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tracing::{debug, warn};

use super::budgets::{Budget, News};
use super::delta;
use super::item::Item;
use super::reach::{Order, Reach, Step, Stuck};
use super::resume::{self, Asked, BrokenOff};
use super::room::{Room, Share};
use super::stretch::{Stretch, Stretches};
use super::sweep::Watched;
use super::{Error, Event, Inner, Told};
use crate::bookmark::{self, Kept};
use crate::config::{Connection, Facts, Flow, Name};
use crate::fetch::{self, Pages, Position, Reason, Start};
use crate::http::Client;
use crate::merge::{self, Seen};
use crate::record::{CursorValue, FieldPath, Page, Tally};
use crate::template::Template;
use crate::{clock, journal, store};

/// How many fetched pages may wait to be merged.
const PAGES_AHEAD: usize = 2;
/// A transaction takes no further page once its pages have this many bytes: enough for SQLite's
/// commit to cost little beside the rows, little enough to stay within a small process.
const BATCH_BYTES: usize = 4 << 20;

/// A fetched page.
struct Fetched {
    page: Page,
    /// Its share of the memory for pages.
    share: Option<Share>,
    /// How another run may ask for the page after it.
    next: Option<Position>,
}

/// What a run reads, and the way to it.
struct Source {
    pages: Pages,
    /// The calls it allows.
    budget: Arc<Budget>,
    http: Client,
}

/// The pages of one run.
pub(super) struct Pull<'a> {
    house: &'a Inner,
    flow: &'a Flow,
    connection: &'a Connection,
    item: &'a Item,
    run: i64,
    told: &'a Told,
    began: Timestamp,
    progress: Mutex<Progress>,
    /// The number of the last page that was merged.
    merged: watch::Sender<u64>,
    /// The calls the source allows; known once the request is written.
    budget: OnceLock<Arc<Budget>>,
}

/// What a read begins with.
#[derive(Debug, Default)]
struct Standing {
    bookmark: Option<CursorValue>,
    /// True if rows wait for a second read that does not bring them, which must be a whole one.
    must_read_all: bool,
    /// What the source gave to go on from.
    kept: Option<Kept>,
    is_table_empty: bool,
}

struct Progress {
    tally: Tally,
    /// What is asked for, with its digest; nothing if another run need not go on with it.
    asked: Option<(String, Asked)>,
    reach: Option<Reach>,
    /// The columns that say for which item a row was read, with their values.
    given: Arc<Vec<(FieldPath, String)>>,
    /// Why the page that is asked for has not come yet.
    why: Option<Reason>,
    watched: Watched,
    /// True if this read begins where everything it is about begins.
    is_from_start: bool,
    /// True if there were no rows when the read began.
    table_was_empty: bool,
}

impl Progress {
    /// Notes why we wait. What a try met counts before what else there is to wait for.
    fn waits(&mut self, reason: &Reason) {
        if self.why.is_none() || matches!(reason, Reason::Failed { .. }) {
            self.why = Some(reason.clone());
        }
    }
}

/// What the reads of a run have come to before this one.
#[derive(Debug, Default)]
pub(super) struct SoFar {
    pub(super) tally: Tally,
    /// The rows they have brought, if somebody wants to know.
    pub(super) seen: Option<Seen>,
}

impl<'a> Pull<'a> {
    /// Prepares to read the records of `item` for a run that began at `began`.
    pub(super) fn new(
        house: &'a Inner,
        flow: &'a Flow,
        item: &'a Item,
        run: i64,
        told: &'a Told,
        began: Timestamp,
        so_far: SoFar,
    ) -> Self {
        Self {
            house,
            flow,
            connection: house.config.connection(flow),
            item,
            run,
            told,
            began,
            progress: Mutex::new(Progress {
                tally: so_far.tally,
                asked: None,
                reach: None,
                given: Arc::default(),
                why: None,
                watched: Watched {
                    seen: so_far.seen,
                    ..Watched::default()
                },
                is_from_start: false,
                table_was_empty: false,
            }),
            merged: watch::Sender::new(0),
            budget: OnceLock::new(),
        }
    }

    /// What has become of the records so far.
    pub(super) fn tally(&self) -> Tally {
        self.progress().tally
    }

    /// What the read has brought, once it has ended.
    pub(super) fn watched(&self) -> Watched {
        std::mem::take(&mut self.progress().watched)
    }

    /// Fetches and merges every page, within the flow's time and until the house is told to stop.
    pub(super) async fn whole(&self) -> Result<(), Error> {
        let deadline = clock::after(self.began, self.flow.timeout);
        tokio::select! {
            result = self.whole_list() => self.settled(result).await,
            () = self.house.clock.sleep_until(deadline) => {
                let why = self.progress().why.take();
                Err(Error::TimedOut { limit: self.flow.timeout, why })
            }
            () = self.house.stop.now.cancelled() => Err(Error::Interrupted),
        }
    }

    /// Reads to its end what an earlier run has begun, then one stretch of the cursor's line after
    /// the other.
    async fn stretches(&self) -> Result<(), Error> {
        let facts = self.facts().await?;
        let located = self.connection.located(&facts);
        let connection = located.map_err(|error| Error::of_base(&self.item.account, error))?;
        let asks = resume::digest(self.flow, &connection);
        let cursor = self.flow.resource.cursor.as_ref();
        if let Some(broken_off) = self.broken_off(&asks).await? {
            let done = self.rest(&connection, &facts, &asks, broken_off).await?;
            if done && cursor.is_none() {
                return Ok(()); // all of it was read
            }
        }
        let Standing {
            bookmark: before,
            must_read_all,
            kept,
            ..
        } = self.standing().await?;
        let from = before.clone().filter(|_| !must_read_all);
        let zone = self.connection.time_zone.clone();
        let stretches = Stretches::new(cursor, from.clone(), self.began, zone);
        let has_windows = cursor.is_some_and(|cursor| cursor.window.is_some());
        let word = self.word(kept, must_read_all).await;
        self.progress().is_from_start = from.is_none() && !has_windows && word.is_none();
        let mut next = stretches.first();
        while let Some(stretch) = next {
            next = stretches.after(&stretch);
            let Stretch {
                since,
                until,
                order,
            } = stretch;
            let asked = Asked {
                began: self.began,
                since,
                until,
            };
            let start = Start {
                delta: word.clone(),
                ..self.start(&facts, &asked)
            };
            self.begin(before.clone(), asked, order, &asks);
            self.pages_since(&connection, start).await?;
            self.complete().await?;
        }
        Ok(())
    }

    fn start(&self, facts: &Arc<Facts>, asked: &Asked) -> Start {
        Start {
            account: self.flow.named(&self.item.account),
            facts: Arc::clone(facts),
            each: self.item.each.clone(),
            since: asked.since.clone(),
            delta: None,
            until: asked.until.clone(),
            now: asked.began,
        }
    }

    /// Begins to take note of what a read brings.
    fn begin(&self, before: Option<CursorValue>, asked: Asked, order: Order, asks: &str) {
        let zone = self.connection.time_zone.clone();
        // An ordered read moves its bookmark with each page, and starts there the next time. One
        // that ends with a delta link has to be known from its beginning: behind the link the source
        // tells no more of what was gone before.
        let starts_over = order == Order::Ascending || self.flow.resource.delta.is_some();
        let resumes = !starts_over && !self.flow.resume_within.is_zero();
        let mut progress = self.progress();
        progress.reach = Some(Reach::new(before, asked.began, zone, order));
        progress.asked = resumes.then(|| (asks.to_owned(), asked));
    }

    /// Returns where to go on where the source gave as much as it gives in one reading.
    fn further(&self, since: Option<&CursorValue>) -> Result<CursorValue, Error> {
        let progress = self.progress();
        let further = progress.reach.as_ref().map(|reach| reach.further(since));
        further.unwrap_or(Err(Stuck::Disorder)).map_err(|stuck| {
            let field = self
                .flow
                .resource
                .cursor
                .as_ref()
                .map(|cursor| &cursor.field);
            Error::Stuck {
                field: field.map(ToString::to_string).unwrap_or_default(),
                most: self.flow.resource.paging.restart_after.unwrap_or_default(),
                stuck,
            }
        })
    }

    /// Fetches and merges every page of a stretch, from a position on if there is one. Where the
    /// source gives only so many records in one reading, another begins at the last of them.
    async fn pages(
        &self,
        connection: &Connection,
        start: &Start,
        from: Option<Position>,
    ) -> Result<(), Error> {
        let (mut start, mut from) = (start.clone(), from);
        while self.reading(connection, &start, from.take()).await? {
            start.since = Some(self.further(start.since.as_ref())?);
            let mut progress = self.progress();
            progress.is_from_start = false;
            // A position is kept with what the first reading asked for.
            progress.asked = None;
        }
        Ok(())
    }

    /// Fetches and merges the pages of one reading; true if the source has more behind them than it
    /// gives in one.
    async fn reading(
        &self,
        connection: &Connection,
        start: &Start,
        from: Option<Position>,
    ) -> Result<bool, Error> {
        let given = Arc::new(self.given(start)?);
        self.progress().watched.group = Some(merge::group(&given));
        self.progress().given = given;
        let mut source = self.source(connection, start).await?;
        if let Some(position) = from {
            // A host that may no longer be asked is no reason not to read what may be.
            source.pages.go_on(position);
        }
        let (ahead, arrived) = mpsc::channel(PAGES_AHEAD);
        // A failed fetch ends the fetching, and what arrived before it is still merged; a failed
        // merge ends both at once.
        let fetching = async { Ok(self.fetch(source, ahead).await) };
        let (fetched, ()) = tokio::try_join!(fetching, self.merge(arrived))?;
        fetched
    }

    /// Prepares the requests of a stretch; nothing is sent yet.
    async fn source(&self, connection: &Connection, start: &Start) -> Result<Source, Error> {
        let pages = fetch::pages(connection, &self.flow.resource, start);
        let pages = pages.map_err(|error| Error::of_request(&self.item.account, error))?;
        let (data, budgets) = (&self.house.data, &self.house.budgets);
        let budget = budgets.of(data, connection, pages.tenant()).await?;
        Ok(Source {
            pages,
            budget: Arc::clone(self.budget.get_or_init(|| budget)),
            http: self.http()?,
        })
    }

    /// Returns the columns that say for which item a row was read, with their values.
    fn given(&self, start: &Start) -> Result<Vec<(FieldPath, String)>, Error> {
        let resource = &self.flow.resource;
        let filled = |column: &str, template: &Template| {
            let filled = fetch::filled(resource, start, &format!("with.{column}"), template);
            filled.map_err(|error| Error::of_request(&self.item.account, error))
        };
        self.item.given(&self.flow.table.with, filled)
    }

    /// Returns what the account's authorization server said beside the tokens. A run keeps to it,
    /// whatever a refresh on its way brings.
    async fn facts(&self) -> Result<Arc<Facts>, Error> {
        if self.connection.facts().is_empty() {
            return Ok(Arc::default());
        }
        let token = self.house.keeper.authorization(&self.item.account).await?;
        Ok(token.map(|token| token.facts).unwrap_or_default())
    }

    /// Returns the way to the source. One that wants a certificate has a client made for each run, so
    /// that a renewed certificate counts from the next one.
    fn http(&self) -> Result<Client, Error> {
        let identity = self.house.keeper.identity(&self.item.account)?;
        Ok(match identity {
            Some(identity) => self.house.http.showing(identity),
            None => self.house.http.clone(),
        })
    }

    async fn standing(&self) -> Result<Standing, Error> {
        let resource = &self.flow.resource;
        if resource.cursor.is_none() && resource.delta.is_none() {
            return Ok(Standing::default());
        }
        let (name, part) = (self.flow.name.clone(), self.item.part());
        let table = self.flow.table.name.clone();
        let account = self.flow.named(&self.item.account);
        let standing = self.house.data.read(move |connection| {
            Ok::<_, store::Error>(Standing {
                bookmark: bookmark::read(connection, &name, &part)?,
                kept: bookmark::kept_delta(connection, &name, &part)?,
                is_table_empty: merge::is_empty(connection, &table)?,
                must_read_all: merge::awaits_second_look(connection, &table, account.as_deref())?,
            })
        });
        let standing = standing.await?;
        self.progress().table_was_empty = standing.is_table_empty;
        Ok(standing)
    }

    /// Fetches pages until there are no more; true if the source only gives no more.
    async fn fetch(&self, mut source: Source, ahead: mpsc::Sender<Fetched>) -> Result<bool, Error> {
        let room = Room::new();
        let mut requests = 0;
        loop {
            let page = self.next_page(&mut source).await;
            let sent = source.pages.requests() - requests;
            requests += sent;
            self.progress().tally.requests += sent;
            let Some(page) = page? else {
                let mut progress = self.progress();
                progress.watched.is_whole = progress.is_from_start && source.pages.is_whole();
                return Ok(source.pages.is_cut());
            };
            self.progress().why = None;
            debug!(flow = %self.flow.name, run = self.run, page = page.number,
                records = page.records.len(), "page fetched");
            let share = room.take(page.size()).await;
            let number = page.number;
            let next = source.pages.position();
            let fetched = Fetched { page, share, next };
            if ahead.send(fetched).await.is_err() {
                return Ok(false); // the merge failed, and tells why itself
            }
            if self.met_the_known(number).await {
                debug!(flow = %self.flow.name, run = self.run, page = number,
                    "the rest was read before");
                return Ok(false);
            }
        }
    }

    /// Returns true if there is nothing new behind a page of a newest-first feed. What is in a page
    /// is known once it is merged, so such a feed is fetched no further ahead.
    async fn met_the_known(&self, page: u64) -> bool {
        let cursor = self.flow.resource.cursor.as_ref();
        if !cursor.is_some_and(|cursor| cursor.newest_first) {
            return false;
        }
        // It fails only if the sender is gone, and that is ours.
        let _ = self
            .merged
            .subscribe()
            .wait_for(|merged| *merged >= page)
            .await;
        let progress = self.progress();
        progress.reach.as_ref().is_some_and(Reach::met_the_known)
    }

    /// Merges what arrives: each transaction holds whole pages, their counts and their bookmark.
    async fn merge(&self, mut arrived: mpsc::Receiver<Fetched>) -> Result<(), Error> {
        // The first page goes alone: what it had may decide how far the bookmark goes.
        let mut most = 0;
        while let Some(Fetched {
            page,
            share,
            mut next,
        }) = arrived.recv().await
        {
            let mut bytes = page.body.len();
            let (mut batch, mut shares) = (vec![page], vec![share]);
            while bytes < most {
                let Ok(more) = arrived.try_recv() else {
                    break;
                };
                bytes += more.page.body.len();
                batch.push(more.page);
                shares.push(more.share);
                next = more.next;
            }
            self.merge_batch(batch, next).await?;
            drop(shares);
            most = BATCH_BYTES;
        }
        Ok(())
    }

    async fn merge_batch(&self, batch: Vec<Page>, next: Option<Position>) -> Result<(), Error> {
        let (name, part) = (self.flow.name.clone(), self.item.part());
        let (run, at) = (self.run, self.house.clock.now());
        let account = self.flow.named(&self.item.account);
        let given = Arc::clone(&self.progress().given);
        let table = self.flow.table.clone();
        let watched = self
            .flow
            .resource
            .cursor
            .as_ref()
            .map(|cursor| (cursor.field.clone(), cursor.format.clone()));
        let asked = self.progress().asked.clone();
        let last = batch.last().map_or(0, |page| page.number);
        let news = self.budget.get().and_then(|budget| budget.news());
        let tombstones = self.flow.resource.tombstones.clone();
        let (reach, seen, is_from_start) = {
            let mut progress = self.progress();
            let is_from_start = progress.is_from_start;
            (
                progress.reach.take(),
                progress.watched.seen.take(),
                is_from_start,
            )
        };
        let delta = self.flow.resource.delta.clone();
        let is_first_load = is_from_start && self.progress().table_was_empty;
        let written = self.house.data.write(move |tx| -> Result<_, Error> {
            let may_go_on = !is_from_start || is_first_load;
            let word = delta.and_then(|delta| delta::given(&delta, &batch, may_go_on));
            let batch = merge::Batch {
                pages: &batch,
                account: account.as_deref(),
                given: &given,
                watch: watched
                    .as_ref()
                    .map(|(field, format)| (field, format.as_ref())),
                tombstones: tombstones.as_ref(),
                at,
            };
            let (mut reach, mut seen) = (reach, seen);
            let noting = seen.as_mut().filter(|_| is_from_start);
            let merged = merge::upsert(tx, &table, &batch, noting)?;
            if let Some(reach) = &mut reach {
                take(tx, &name, &part, reach.merged(merged.span), run, at)?;
            }
            if let (Some(reach), Some((asks, asked)), Some(position)) = (&reach, asked, next) {
                let so_far = reach.so_far().clone();
                let broken_off = BrokenOff {
                    position,
                    asked,
                    so_far,
                };
                bookmark::keep(tx, &name, &part, &broken_off.kept(asks, at), run)?;
            }
            if let Some(value) = word {
                let kept = Kept {
                    value,
                    at,
                    owes_sweep: is_from_start && !is_first_load && seen.is_some(),
                };
                bookmark::keep_delta(tx, &name, &part, &kept, run)?;
            }
            journal::progress(tx, run, &merged.tally)?;
            news.map_or(Ok(()), |news| news.keep(tx, at))?;
            Ok((merged.tally, merged.widened, reach, seen))
        });
        let (tally, widened, reach, seen) = written.await?;
        let so_far = {
            let mut progress = self.progress();
            progress.tally += tally;
            progress.reach = reach;
            progress.watched.seen = seen;
            progress.tally
        };
        self.merged.send_replace(last);
        let flow = self.flow.name.to_string();
        self.told.say(Event::Merged {
            flow,
            run: self.run,
            tally: so_far,
        });
        for column in widened {
            // Of the table, whichever item it came with.
            let note = column.to_string();
            self.house.note(self.flow, self.run, self.told, note).await;
        }
        Ok(())
    }

    /// Moves the bookmark over everything that was read, now that all of it is merged.
    async fn complete(&self) -> Result<(), Error> {
        let Some(reach) = self.progress().reach.take() else {
            return Ok(());
        };
        let cursor = self.flow.resource.cursor.as_ref();
        if let Some(note) = cursor.and_then(|cursor| reach.note(cursor)) {
            self.note(note).await;
        }
        let (name, part) = (self.flow.name.clone(), self.item.part());
        let (run, at) = (self.run, self.house.clock.now());
        let step = reach.at_end();
        Ok(self
            .house
            .data
            .write(move |tx| {
                bookmark::forget(tx, &name, &part)?;
                take(tx, &name, &part, step, run, at)
            })
            .await?)
    }

    /// Tells something worth knowing that is no failure.
    async fn note(&self, note: String) {
        let note = match self.item.is_the_only_one() {
            true => note,
            false => format!("`{}`: {note}", self.item),
        };
        self.house.note(self.flow, self.run, self.told, note).await;
    }

    /// Writes down what the source still allows, so that the next owner of the state knows it too.
    pub(super) async fn keep_budget(&self) {
        let news = self.budget.get().and_then(|budget| budget.news());
        let Some(news) = news else { return };
        let at = self.house.clock.now();
        let kept: Result<(), store::Error> = self
            .house
            .data
            .write(move |tx| News::keep(&news, tx, at))
            .await;
        if let Err(error) = kept {
            warn!(flow = %self.flow.name, run = self.run, %error,
                "could not write down what the source still allows");
        }
    }

    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Does to the bookmark what was decided.
fn take(
    tx: &crate::store::Tx<'_>,
    flow: &Name,
    part: &str,
    step: Step,
    run: i64,
    at: Timestamp,
) -> Result<(), crate::store::Error> {
    match step {
        Step::Stay => Ok(()),
        Step::To(value) => bookmark::advance(tx, flow, part, &value, run, at),
        Step::Back(to) => {
            // By itself a bookmark never moves back.
            bookmark::clear(tx, flow, part)?;
            to.map_or(Ok(()), |to| bookmark::advance(tx, flow, part, &to, run, at))
        }
    }
}
