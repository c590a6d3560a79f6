//! The house: everything long-lived, opened in order and closed in reverse.
//!
//! A [`House`] stands wherever flows run, be it the service or one `--run-now`: it owns the state
//! directory, keeps the tokens and runs the flows. Only the service adds the schedule.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::{self, LOOK_AGAIN, SharedClock};
use crate::config::{self, Account, Config, KeySource, Name};
use crate::http;
use crate::journal::{self, Outcome, SlotState, Trigger};
use crate::lock::{self, Ownership};
use crate::oauth::{self, Keeper};
use crate::remedy::Remedy;
use crate::run::{self, Runner};
use crate::scheduler::heartbeat::Heartbeat;
use crate::scheduler::planner::{Planner, Skip, Start};
use crate::scheduler::{self, Hooks, Plan, Scheduler};
use crate::seal::{Keyring, RootKey};
use crate::status;
use crate::store::{self, Store, Tx};

/// How often old runs are removed from the journal.
const PRUNE_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Why the house could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state directory could not be made.
    #[error("could not make the state directory `{}`: {source}", path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process owns the state directory, or its lock cannot be used.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The vault's key cannot be had.
    #[error(transparent)]
    Key(#[from] config::KeyError),
    /// A database could not be opened.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The vault could not be opened.
    #[error(transparent)]
    OAuth(#[from] oauth::Error),
}

impl Error {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::StateDir { .. } | Self::Key(_) => Remedy::EditConfig,
            Self::Lock(error) => error.remedy(),
            Self::Store(error) => error.remedy(),
            Self::OAuth(error) => error.remedy(),
        }
    }

    /// Says what to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::StateDir { .. } => {
                "choose another `state_dir`, or one where the user that runs tidegate may write"
            }
            Self::Lock(error) => return error.hint().map(str::to_owned),
            Self::Key(error) => return error.hint().map(str::to_owned),
            Self::Store(error) => return error.hint().map(str::to_owned),
            Self::OAuth(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }
}

/// Everything long-lived. Clones share it.
#[derive(Clone)]
pub struct House {
    /// The configuration it was opened with.
    pub config: Arc<Config>,
    /// The clock it lives by.
    pub clock: SharedClock,
    /// The data.
    pub data: Store,
    /// The tokens.
    pub keeper: Keeper,
    /// The runs.
    pub runner: Runner,
    /// The way to the schedule, once it is running.
    schedule: watch::Sender<Option<scheduler::Handle>>,
    _ownership: Arc<Ownership>,
}

impl House {
    /// Takes the state directory, opens vault and data, and settles what a crash left open.
    ///
    /// `purpose` is what another process is told when it finds the directory taken.
    ///
    /// # Errors
    /// If the directory is taken, the key is missing or wrong, or a database cannot be opened.
    pub async fn open(
        config: Arc<Config>,
        purpose: &str,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        make_state_dir(&config)?;
        let ownership = lock::own(&config.state_dir, purpose)?;
        let keys = keyring(&config)?;
        let vault = Store::open(&config.vault(), &store::VAULT)?;
        let http = http::Client::new();
        let keeper = Keeper::open(
            &config.state_dir,
            vault,
            keys,
            &config.connections,
            http.clone(),
            Arc::clone(&clock),
        )
        .await?;
        let data = Store::open(&config.database, &store::DATA)?;
        let runner = Runner::new(
            Arc::clone(&config),
            data.clone(),
            keeper.clone(),
            http,
            Arc::clone(&clock),
        );
        let schedule = watch::Sender::new(None);
        let _ownership = Arc::new(ownership);
        Ok(Self {
            config,
            clock,
            data,
            keeper,
            runner,
            schedule,
            _ownership,
        })
    }

    /// Runs what is due and keeps tokens fresh, until `stop`.
    ///
    /// # Errors
    /// If the journal cannot be read or written at the start.
    pub async fn live(&self, stop: CancellationToken) -> Result<(), Error> {
        let planner = self.planner().await?;
        let heart = Heartbeat::start().await;
        let (scheduler, handle) = Scheduler::new(planner, Arc::clone(&self.clock), heart);
        let plan = handle.plan();
        self.schedule.send_replace(Some(handle));
        let hooks = Hooks {
            start: |start| self.clone().run_slot(start),
            skip: |skip| self.skip_slot(skip),
        };
        tokio::join!(
            scheduler.run(hooks, stop.clone()),
            self.keep_tokens(plan, stop.clone()),
            self.prune(stop),
        );
        Ok(())
    }

    /// Returns what is due when, once the schedule is running.
    #[must_use]
    pub fn plan(&self) -> Option<watch::Receiver<Plan>> {
        self.schedule.borrow().as_ref().map(scheduler::Handle::plan)
    }

    /// Returns how everything is.
    ///
    /// # Errors
    /// If the journal or the vault cannot be read.
    pub async fn report(&self) -> Result<status::Report, status::Error> {
        let sources = status::Sources {
            config: &self.config,
            data: &self.data,
            keeper: &self.keeper,
            runner: &self.runner,
            plan: self.plan().map(|plan| plan.borrow().clone()),
            now: self.clock.now(),
        };
        status::of_house(sources).await
    }

    /// Starts a run of `flow` because a person asked, or joins the one under way.
    ///
    /// # Errors
    /// If there is no such flow, or the house is closing.
    pub async fn start_now(&self, flow: &str) -> Result<run::Handle, run::Error> {
        let handle = self.runner.start(flow, Trigger::Manual, None)?;
        let schedule = self.schedule.borrow().clone();
        if let (Some(schedule), false) = (schedule, handle.joined) {
            // The schedule must know, so that it can record the slots this run overlaps.
            let name = self.runner.known(flow)?.name.clone();
            schedule.started(name.clone()).await;
            let mut until = handle.clone();
            tokio::spawn(async move {
                let resumes_at = until.ended().await.resumes_at;
                schedule.ended(name, scheduler::Ended { resumes_at }).await;
            });
        }
        Ok(handle)
    }

    async fn planner(&self) -> Result<Planner, Error> {
        let now = self.clock.now();
        let flows = self.config.flows.values();
        let schedules: Vec<_> = flows
            .map(|flow| (flow.name.clone(), flow.schedule.clone()))
            .collect();
        let names: Vec<_> = schedules
            .iter()
            .map(|(name, schedule)| (name.clone(), schedule.is_some()))
            .collect();
        let remembering = self.data.write(move |tx| remembered(tx, &names, now));
        let slots = remembering.await?;
        Ok(Planner::new(
            schedules,
            &slots,
            self.config.max_concurrent,
            now,
        ))
    }

    async fn run_slot(self, start: Start) -> scheduler::Ended {
        let Start {
            flow,
            trigger,
            slot,
            ..
        } = start;
        let resumes_at = match self.runner.start(flow.as_str(), trigger, slot) {
            Ok(mut run) => run.ended().await.resumes_at,
            Err(error) => {
                warn!(%flow, %error, "could not start what is due");
                None
            }
        };
        scheduler::Ended { resumes_at }
    }

    async fn skip_slot(&self, skip: Skip) {
        let at = self.clock.now();
        let Skip { flow, slot, reason } = skip;
        warn!(%flow, %slot, "slot skipped: {reason}");
        let reason = reason.to_string();
        let skipping = self
            .data
            .write(move |tx| journal::skip(tx, &flow, Trigger::Scheduled, Some(slot), &reason, at));
        if let Err(error) = skipping.await {
            error!(%error, "could not write down that a slot was skipped");
        }
    }

    /// Waits until every run and every token exchange has ended, after the runner was told to stop.
    pub async fn close(&self) {
        self.runner.drained().await;
        self.keeper.drain().await;
        info!("stopped");
    }

    /// Refreshes what is due, and sleeps until more is.
    async fn keep_tokens(&self, mut plan: watch::Receiver<Plan>, stop: CancellationToken) {
        let mut needed = self.needed(&plan.borrow_and_update());
        let mut all_again = self.clock.now();
        while !stop.is_cancelled() {
            let now = self.clock.now();
            let due = |account: &Account| needed.get(&account.connection).copied();
            let next = if all_again <= now {
                all_again = clock::after(now, LOOK_AGAIN);
                self.keeper.tend(due)
            } else {
                self.keeper.tend_due(due)
            };
            let wake = next.map_or(all_again, |next| next.min(all_again));
            tokio::select! {
                () = self.clock.sleep_until(wake) => {}
                () = self.keeper.any_landed() => {}
                changed = plan.changed() => {
                    if changed.is_err() {
                        return; // the schedule has stopped
                    }
                    needed = self.needed(&plan.borrow_and_update());
                    all_again = now;
                }
                () = stop.cancelled() => {}
            }
        }
    }

    /// Returns the next moment a run needs each connection: now, if one is under way.
    fn needed(&self, plan: &Plan) -> BTreeMap<Name, Timestamp> {
        let now = self.clock.now();
        let running = self.runner.running().into_iter().map(|flow| (flow, now));
        let slots = plan
            .iter()
            .filter_map(|(flow, standing)| Some((flow.clone(), standing.next_slot_at?)));
        let mut needed = BTreeMap::new();
        for (flow, at) in running.chain(slots) {
            if let Some(flow) = self.config.flows.get(&flow) {
                let first: &mut Timestamp = needed.entry(flow.connection.clone()).or_insert(at);
                *first = at.min(*first);
            }
        }
        needed
    }

    async fn prune(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let keep = self.config.keep_runs;
            let now = self.clock.now();
            let before = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
            if let Err(error) = self.data.write(move |tx| journal::prune(tx, before)).await {
                error!(%error, "could not remove old runs from the journal");
            }
            tokio::select! {
                () = self.clock.sleep_until(clock::after(now, PRUNE_EVERY)) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

/// Returns what the schedule must know of the past.
///
/// A scheduled run that was cut short, by a stop or a crash, goes on at once rather than at its
/// flow's next slot, which may be a day away.
fn remembered(
    tx: &Tx<'_>,
    flows: &[(Name, bool)],
    now: Timestamp,
) -> Result<Vec<SlotState>, store::Error> {
    journal::interrupt(tx, None, now)?;
    for (name, _) in flows {
        journal::notice(tx, name, now)?;
    }
    let mut slots = journal::slots(tx)?;
    for (name, scheduled) in flows {
        let latest = journal::latest(tx, name)?;
        let cut_short = latest.is_some_and(|run| run.outcome == Some(Outcome::Interrupted));
        if let (true, Some(slot)) = (
            *scheduled && cut_short,
            slots.iter_mut().find(|slot| slot.flow == name.as_str()),
        ) {
            slot.resumes_at = Some(now);
        }
    }
    Ok(slots)
}

/// Makes the vault this machine's, where nobody owns the state directory.
///
/// # Errors
/// If somebody does, the key is missing or wrong, or the vault cannot be read.
pub fn adopt_machine(config: &Config) -> Result<(), Error> {
    make_state_dir(config)?;
    let _ownership = lock::own(&config.state_dir, "vault adopt")?;
    let keys = keyring(config)?;
    let adopted = oauth::vault::adopt_machine(&config.vault(), keys);
    Ok(adopted.map_err(oauth::Error::from)?)
}

/// Reads the keys of the vault; `None` if there is none and nothing needs one.
fn keyring(config: &Config) -> Result<Option<Keyring>, config::KeyError> {
    let read = |source: &KeySource| {
        config::read_key(source).map(|key| RootKey::new(&key).read_from(source))
    };
    let current = match read(&config.key) {
        Err(_) if !config.needs_key() => return Ok(None),
        current => current?,
    };
    let old = config.old_keys.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Some(Keyring { current, old }))
}

fn make_state_dir(config: &Config) -> Result<(), Error> {
    let path = &config.state_dir;
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(path)
        .map_err(|source| Error::StateDir {
            path: path.clone(),
            source,
        })
}
