//! One flow, once: the only room where the stages meet.
//!
//! Everything that starts a run, be it the schedule, a catch-up or a person, comes through
//! [`Runner::start`] with another trigger. A flow that is already running is joined: whoever asked
//! second hears the same events and gets the same outcome.

mod budgets;
mod delta;
mod document;
mod error;
mod event;
mod fan_out;
mod item;
mod preview;
mod pull;
mod reach;
mod resume;
mod room;
mod stretch;
mod sweep;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::clock::SharedClock;
use crate::config::{Account, Accounts, Config, Flow, Name};
use crate::fetch::Hosts;
use crate::http;
use crate::journal::{self, Ending, Trigger};
use crate::oauth::Keeper;
use crate::record::Tally;
use crate::remedy::Remedy;
use crate::store::Store;
use crate::{bookmark, merge};
use pull::SoFar;
use sweep::Broom;

use self::budgets::Budgets;
pub use document::Description;
pub use error::Error;
pub use event::{Ended, Event};
pub use preview::{Next, Preview, Trouble};

/// How many events a listener may be behind before it misses some. The end is never missed.
const EVENTS: usize = 256;

/// The most notes of one run. What is said of the hundredth item was said of others before.
const MOST_NOTES: usize = 20;

/// Runs flows. Clones share the runs.
#[derive(Clone)]
pub struct Runner(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    data: Store,
    keeper: Keeper,
    http: http::Client,
    clock: SharedClock,
    budgets: Budgets,
    hosts: Hosts,
    running: Mutex<HashMap<Name, Running>>,
    permits: Semaphore,
    tasks: TaskTracker,
    stop: Stop,
}

/// The two ways of being told to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Finish the page, close the journal.
    pub gently: CancellationToken,
    /// Drop the page, close the journal.
    pub now: CancellationToken,
}

/// A run somebody may listen to.
#[derive(Debug)]
struct Running {
    events: broadcast::Sender<Event>,
    ended: watch::Receiver<Option<Ended>>,
}

/// A run that was started or joined.
#[derive(Debug)]
pub struct Handle {
    /// True if the flow was already running.
    pub joined: bool,
    /// What happens meanwhile.
    pub events: broadcast::Receiver<Event>,
    ended: watch::Receiver<Option<Ended>>,
}

impl Clone for Handle {
    /// The clone hears what happens from now on.
    fn clone(&self) -> Self {
        let Self {
            joined,
            events,
            ended,
        } = self;
        Self {
            joined: *joined,
            events: events.resubscribe(),
            ended: ended.clone(),
        }
    }
}

impl Handle {
    /// Waits for the run's end.
    pub async fn ended(&mut self) -> Ended {
        match self.ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().expect("it was just seen to be there"),
            // The sender is dropped unsent only if the runtime is shut down under the run.
            Err(_) => Ended::broken_off(),
        }
    }
}

impl Runner {
    /// Makes a runner of the flows of `config`.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        data: Store,
        keeper: Keeper,
        http: http::Client,
        clock: SharedClock,
    ) -> Self {
        Self(Arc::new(Inner {
            permits: Semaphore::new(config.max_concurrent),
            config,
            data,
            keeper,
            http,
            clock,
            budgets: Budgets::default(),
            hosts: Hosts::default(),
            running: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: Stop::default(),
        }))
    }

    /// Starts a run of `flow`, or joins the one under way.
    ///
    /// # Errors
    /// If there is no such flow, or the house is closing.
    pub fn start(
        &self,
        flow: &str,
        trigger: Trigger,
        slot: Option<Timestamp>,
    ) -> Result<Handle, Error> {
        let flow = self.known(flow)?;
        if self.0.stop.gently.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let mut running = self.0.running();
        if let Some(run) = running.get(&flow.name) {
            let handle = Handle {
                joined: true,
                events: run.events.subscribe(),
                ended: run.ended.clone(),
            };
            return Ok(handle);
        }
        let (events, heard) = broadcast::channel(EVENTS);
        let (end, ended) = watch::channel(None);
        running.insert(
            flow.name.clone(),
            Running {
                events: events.clone(),
                ended: ended.clone(),
            },
        );
        let claim = Claim {
            inner: Arc::clone(&self.0),
            flow: flow.name.clone(),
        };
        self.0.tasks.spawn(async move {
            let told = Told {
                events,
                notes: Mutex::default(),
            };
            let result = claim.inner.run(&claim.flow, trigger, slot, &told).await;
            drop(claim); // a listener that hears the end may start the flow again
            told.say(Event::Ended(result.clone()));
            end.send_replace(Some(result));
        });
        Ok(Handle {
            joined: false,
            events: heard,
            ended,
        })
    }

    /// Returns the flow of that name.
    ///
    /// # Errors
    /// If there is none; the error lists those there are.
    pub fn known(&self, flow: &str) -> Result<&Flow, Error> {
        let flows = &self.0.config.flows;
        flows
            .get(flow)
            .ok_or_else(|| Error::unknown_flow(flow, flows.keys()))
    }

    /// Returns the flows that are running now.
    #[must_use]
    pub fn running(&self) -> Vec<Name> {
        self.0.running().keys().cloned().collect()
    }

    /// Returns the switch that stops the runs.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.0.stop
    }

    /// Waits until no run is left, after [`Stop::gently`] was cancelled.
    pub async fn drained(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

/// One run of a flow at a time: the claim ends when this is dropped, also by a panic.
struct Claim {
    inner: Arc<Inner>,
    flow: Name,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.inner.running().remove(&self.flow);
    }
}

/// Who is told what a run does.
struct Told {
    events: broadcast::Sender<Event>,
    notes: Mutex<Vec<String>>,
}

impl Told {
    /// Makes one whom nobody listens to.
    fn nobody() -> Self {
        Self {
            events: broadcast::Sender::new(1),
            notes: Mutex::default(),
        }
    }

    /// Keeps a note for the end of the run; false if there are as many as anybody reads.
    fn keep(&self, note: &str) -> bool {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_kept = notes.len() < MOST_NOTES && !notes.iter().any(|other| other == note);
        if is_kept {
            notes.push(note.to_owned());
        }
        is_kept
    }

    /// Returns what was noted.
    fn notes(&self) -> Vec<String> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.clone()
    }

    fn say(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, HashMap<Name, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One run, from its line in the journal to its outcome there.
    async fn run(
        &self,
        name: &Name,
        trigger: Trigger,
        slot: Option<Timestamp>,
        told: &Told,
    ) -> Ended {
        let flow = &self.config.flows[name];
        let _permit = self.permits.acquire().await;
        let began = self.clock.now();
        let opened = self.open(flow, trigger, slot, began).await;
        let (run, result, tally) = match opened {
            Err(error) => (0, Err(error), Tally::default()),
            Ok(run) => {
                told.say(Event::Started {
                    flow: name.to_string(),
                    run,
                    trigger,
                });
                info!(flow = %name, run, ?trigger, "run started");
                let (result, tally) = self.read(flow, run, told, began).await;
                (run, result, tally)
            }
        };
        let ended_at = self.clock.now();
        let ending = ending(flow, &result);
        if run > 0 {
            self.close(run, &ending, tally.requests, ended_at).await;
        }
        let elapsed = crate::clock::until(began, ended_at);
        let ended = Ended {
            flow: name.to_string(),
            run,
            trigger,
            outcome: ending.outcome,
            tally,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            error: ending.error,
            hint: ending.hint,
            remedy: ending.remedy,
            resumes_at: ending.resumes_at,
            notes: told.notes(),
        };
        log(&ended);
        ended
    }

    /// Reads the records of everything the flow is about. What fails does not stop the rest.
    async fn read(
        &self,
        flow: &Flow,
        run: i64,
        told: &Told,
        began: Timestamp,
    ) -> (Result<(), Error>, Tally) {
        let mut tally = Tally::default();
        let accounts = self.accounts(flow);
        let items = match fan_out::items(flow, accounts, &self.config, &self.data).await {
            Ok(items) => items,
            Err(error) => return (Err(error), tally),
        };
        if items.is_empty() && !flow.for_each.is_empty() {
            let note = "`for_each` gives no items: there was nothing to read";
            self.note(flow, run, told, note.to_owned()).await;
        }
        let mut failed = Vec::new();
        let mut ended: Option<&Account> = None;
        let mut brooms = Vec::new();
        for item in &items {
            let mut broom = Broom::of(&mut brooms, flow, &item.account);
            if ended == Some(&item.account) {
                broom.into_iter().for_each(Broom::spoil);
                continue;
            }
            let seen = broom.as_mut().map(|broom| broom.lend());
            let so_far = SoFar { tally, seen };
            let pull = pull::Pull::new(self, flow, item, run, told, began, so_far);
            let result = AssertUnwindSafe(pull.whole()).catch_unwind().await;
            let result = result.unwrap_or_else(|panic| Err(Error::panicked(&*panic)));
            pull.keep_budget().await;
            tally = pull.tally();
            if let Some(broom) = broom {
                broom.take(pull.watched(), item.part());
            }
            match result {
                Ok(()) => {}
                Err(error) if error.ends_all() => return (Err(error), tally),
                Err(error) if error.ends_account() => {
                    ended = Some(&item.account);
                    failed.push((item.to_string(), error));
                }
                Err(error) => failed.push((item.to_string(), error)),
            }
        }
        let what = match flow.for_each.is_empty() {
            true => "accounts",
            false => "items",
        };
        let mut result = Error::of_parts(failed, items.len(), what);
        for broom in brooms {
            match self.sweep(flow, run, broom).await {
                Ok(deleted) => tally += deleted,
                // What could not be read is told first: that may well be why rows are missing.
                Err(error) => result = result.and(Err(error)),
            }
        }
        if result.is_ok() {
            result = self.purge(flow).await;
        }
        (result, tally)
    }

    /// Tells something worth knowing that is no failure: to listeners, the log and the journal.
    async fn note(&self, flow: &Flow, run: i64, told: &Told, note: String) {
        if !told.keep(&note) {
            return;
        }
        info!(flow = %flow.name, run, "{note}");
        told.say(Event::Noted {
            flow: flow.name.to_string(),
            run,
            note: note.clone(),
        });
        let written = self.data.write(move |tx| journal::note(tx, run, &note));
        if let Err(error) = written.await {
            warn!(flow = %flow.name, run, %error, "could not write down what is worth knowing of the run");
        }
    }

    /// Returns the accounts whose records a flow reads now.
    fn accounts(&self, flow: &Flow) -> Vec<Account> {
        match &flow.accounts {
            Accounts::Nameless => vec![Account::of(&flow.connection)],
            Accounts::All => self.keeper.accounts(&flow.connection),
            Accounts::These(names) => names
                .iter()
                .map(|name| Account::named(&flow.connection, name))
                .collect(),
        }
    }

    async fn open(
        &self,
        flow: &Flow,
        trigger: Trigger,
        slot: Option<Timestamp>,
        at: Timestamp,
    ) -> Result<i64, Error> {
        let name = flow.name.clone();
        let table = flow.table.name.clone();
        let opened = self.data.write(move |tx| {
            if !merge::exists(tx, &table)? {
                // Somebody dropped the table to have it read anew: the bookmark was about its rows.
                bookmark::clear_all(tx, &name)?;
            }
            let since = bookmark::read(tx, &name, "")?;
            journal::open(tx, &name, trigger, slot, since.as_ref(), at)
        });
        opened.await.map_err(Error::Store)
    }

    /// Writes down how a run ended. Where even that fails, the next run of the flow finds the line
    /// open and closes it as interrupted.
    async fn close(&self, run: i64, ending: &Ending, requests: u64, at: Timestamp) {
        let ending = ending.clone();
        // Requests are no part of what was merged: some brought nothing.
        let sent = Tally {
            requests,
            ..Tally::default()
        };
        let closed = self.data.write(move |tx| {
            journal::progress(tx, run, &sent)?;
            journal::close(tx, run, &ending, at)
        });
        if let Err(error) = closed.await {
            error!(run, %error, "could not write down how the run ended");
        }
    }
}

fn ending(flow: &Flow, result: &Result<(), Error>) -> Ending {
    match result {
        Ok(()) => Ending::success(),
        Err(error) => Ending {
            outcome: error.outcome(),
            error: Some(error.told(flow)),
            hint: error.hint(flow),
            remedy: Some(error.remedy()),
            resumes_at: error.resumes_at(),
        },
    }
}

fn log(ended: &Ended) {
    let Ended {
        flow,
        run,
        tally,
        elapsed_ms,
        ..
    } = ended;
    let Tally {
        pages,
        records,
        inserted,
        updated,
        unchanged,
        deleted,
        restored,
        ..
    } = tally;
    match &ended.error {
        None => info!(
            flow,
            run,
            pages,
            records,
            inserted,
            updated,
            unchanged,
            deleted,
            restored,
            elapsed_ms,
            "run succeeded"
        ),
        Some(error) if ended.remedy == Some(Remedy::Wait) => {
            warn!(
                flow,
                run, pages, records, elapsed_ms, "run ended early: {error}"
            );
        }
        Some(error) => error!(flow, run, pages, records, elapsed_ms, "run failed: {error}"),
    }
}
