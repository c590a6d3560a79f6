//! One report of how everything is, shown as text, as JSON, and as the service manager's one line.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::config::{Account, Config, Name};
use crate::journal::{self, Outcome, RunRow};
use crate::oauth::{self, Health, Keeper, Reason, State, vault};
use crate::remedy::Remedy;
use crate::run::Runner;
use crate::scheduler::Plan;
use crate::store::{self, Store};

/// How everything is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// True if nobody has to do anything.
    pub well: bool,
    /// The answer in one line.
    pub line: String,
    /// When this was found.
    pub as_of: Timestamp,
    /// True if the service is up and runs what is due.
    pub scheduled: bool,
    /// The flows by name.
    pub flows: Vec<FlowStatus>,
    /// The connections by name.
    pub connections: Vec<ConnectionStatus>,
}

/// How one account of a connection is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Its name.
    pub connection: String,
    /// The account, if it has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The one word for it.
    pub state: String,
    /// True if nobody has to do anything.
    pub well: bool,
    /// The one word for why.
    pub reason: Option<String>,
    /// What the server or the system said about it.
    pub detail: Option<String>,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// Since when it is so.
    pub since: Timestamp,
    /// When something is tried again.
    pub next_at: Option<Timestamp>,
    /// How many tokens it has had; 0 if it never had any.
    pub generation: u64,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends, if that is known.
    pub refresh_expires_at: Option<Timestamp>,
    /// When the next refresh is due by itself.
    pub next_refresh_at: Option<Timestamp>,
    /// When somebody must sign in again whatever is done, if that is known.
    #[serde(default)]
    pub login_ends_at: Option<Timestamp>,
    /// The scope that was granted, if the server said.
    pub scope: Option<String>,
    /// Who signed in, if that is known.
    #[serde(default)]
    pub person: Option<oauth::id_token::Person>,
    /// What the authorization server said beside the tokens, as far as the connection keeps it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// What a person should know though nothing is wrong yet.
    #[serde(default)]
    pub notices: Vec<String>,
}

impl From<Health> for ConnectionStatus {
    fn from(health: Health) -> Self {
        let account = Account {
            connection: health.connection,
            name: health.account,
        };
        let mend = |reason: Reason| Some(health.reason.unwrap_or(reason).mend(&account));
        let (is_well, hint) = match health.state {
            State::Ok | State::Refreshing | State::BackingOff => (true, None),
            State::InDoubt if health.reason == Some(Reason::Restored) => {
                (false, Some(Reason::Restored.mend(&account)))
            }
            State::InDoubt => (
                true,
                Some("nothing to do yet; it is being settled".to_owned()),
            ),
            State::NeedsLogin => (false, mend(Reason::NoRefreshToken)),
            State::NeedsAttention => (false, mend(Reason::Unclassified)),
            State::ClientRejected => (false, mend(Reason::ClientRefused)),
        };
        Self {
            connection: account.connection.to_string(),
            account: account.name.as_ref().map(Name::to_string),
            state: health.state.as_str().to_owned(),
            well: is_well && !health.is_alarming,
            reason: health.reason.map(|reason| reason.as_str().to_owned()),
            detail: health.detail,
            hint,
            since: health.since,
            next_at: health.next_at,
            generation: health.generation,
            expires_at: health.expires_at,
            refresh_expires_at: health.refresh_expires_at,
            next_refresh_at: health.next_refresh_at,
            login_ends_at: health.login_ends_at,
            scope: health.scope,
            person: health.person,
            facts: health.facts,
            notices: health.notices,
        }
    }
}

impl ConnectionStatus {
    /// Returns the connection's name, and the account's if it has one: `exact/berlin`.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.account {
            None => self.connection.clone(),
            Some(account) => format!("{}/{account}", self.connection),
        }
    }
}

/// How one flow is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlowStatus {
    /// Its name.
    pub flow: String,
    /// Its table.
    pub table: String,
    /// The one word for it.
    pub state: FlowState,
    /// The latest run that ended or goes on.
    pub last_run: Option<RunRow>,
    /// When it last succeeded.
    pub last_success_at: Option<Timestamp>,
    /// When it is due next, if the service is up.
    pub next_slot_at: Option<Timestamp>,
}

/// The one word for a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// Its latest run succeeded.
    Ok,
    /// It is running.
    Running,
    /// Its latest run failed.
    Failing,
    /// It waits for the source's budget.
    Parked,
    /// Its latest run was stopped before it was done; the next goes on.
    Interrupted,
    /// Somebody must sign in.
    NeedsLogin,
    /// It never ran.
    NeverRan,
}

impl FlowState {
    /// Returns the word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Running => "running",
            Self::Failing => "failing",
            Self::Parked => "parked",
            Self::Interrupted => "interrupted",
            Self::NeedsLogin => "needs login",
            Self::NeverRan => "never ran",
        }
    }

    fn is_well(self) -> bool {
        !matches!(self, Self::Failing | Self::NeedsLogin)
    }
}

/// Why the report could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A database could not be read.
    #[error("could not read the database")]
    Store(#[from] store::Error),
    /// The vault could not be read.
    #[error("could not read the vault")]
    OAuth(#[from] oauth::Error),
}

impl Error {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Store(error) => error.remedy(),
            Self::OAuth(error) => error.remedy(),
        }
    }

    /// Says what to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint().map(str::to_owned),
            Self::OAuth(error) => error.hint(),
        }
    }
}

/// Where a running house's report comes from.
pub struct Sources<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The data, for the journal.
    pub data: &'a Store,
    /// The tokens.
    pub keeper: &'a Keeper,
    /// The runs.
    pub runner: &'a Runner,
    /// What is due when, if the schedule is running.
    pub plan: Option<Plan>,
    /// The present instant.
    pub now: Timestamp,
}

/// Reports on a running house.
///
/// # Errors
/// If its journal or its vault cannot be read.
pub async fn of_house(sources: Sources<'_>) -> Result<Report, Error> {
    let Sources {
        config,
        data,
        keeper,
        runner,
        plan,
        now,
    } = sources;
    let running: BTreeSet<Name> = runner.running().into_iter().collect();
    let names: Vec<Name> = config.flows.keys().cloned().collect();
    let pasts = data
        .read(move |connection| read_pasts(connection, &names))
        .await?;
    let connections = keeper.health().into_iter().map(Into::into).collect();
    let scheduled = plan.is_some();
    let plan = plan.unwrap_or_default();
    Ok(report(
        config,
        now,
        scheduled,
        &pasts,
        &running,
        &plan,
        connections,
    ))
}

/// Reports from the files alone, where nobody owns the state directory.
///
/// # Errors
/// If a database is there and cannot be read.
pub fn of_files(config: &Config, now: Timestamp) -> Result<Report, Error> {
    let names: Vec<Name> = config.flows.keys().cloned().collect();
    let pasts = if config.database.exists() {
        read_pasts(&store::open_reader(&config.database, &store::DATA)?, &names)?
    } else {
        BTreeMap::new()
    };
    let health =
        vault::glance(&config.vault(), &config.connections, now).map_err(oauth::Error::from)?;
    let connections = health.into_iter().map(Into::into).collect();
    Ok(report(
        config,
        now,
        false,
        &pasts,
        &BTreeSet::new(),
        &Plan::new(),
        connections,
    ))
}

/// What the journal says of a flow.
#[derive(Debug, Clone, Default)]
struct Past {
    last_run: Option<RunRow>,
    last_success_at: Option<Timestamp>,
}

fn read_pasts(
    connection: &Connection,
    names: &[Name],
) -> Result<BTreeMap<Name, Past>, store::Error> {
    let successes = journal::last_success(connection)?;
    let mut pasts = BTreeMap::new();
    for name in names {
        let last_run = journal::latest(connection, name)?;
        let last_success_at = successes.get(name.as_str()).copied();
        pasts.insert(
            name.clone(),
            Past {
                last_run,
                last_success_at,
            },
        );
    }
    Ok(pasts)
}

fn report(
    config: &Config,
    as_of: Timestamp,
    scheduled: bool,
    pasts: &BTreeMap<Name, Past>,
    running: &BTreeSet<Name>,
    plan: &Plan,
    connections: Vec<ConnectionStatus>,
) -> Report {
    let flows: Vec<FlowStatus> = config
        .flows
        .values()
        .map(|flow| {
            let Past {
                last_run,
                last_success_at,
            } = pasts.get(&flow.name).cloned().unwrap_or_default();
            FlowStatus {
                flow: flow.name.to_string(),
                table: flow.table.name.clone(),
                state: state(last_run.as_ref(), running.contains(&flow.name)),
                last_run,
                last_success_at,
                next_slot_at: plan
                    .get(&flow.name)
                    .and_then(|standing| standing.next_slot_at),
            }
        })
        .collect();
    let well = flows.iter().all(|flow| flow.state.is_well())
        && connections.iter().all(|connection| connection.well);
    let is_idle = !scheduled && config.flows.values().any(|flow| flow.schedule.is_some());
    let line = line(&flows, &connections, is_idle, as_of);
    Report {
        well,
        line,
        as_of,
        scheduled,
        flows,
        connections,
    }
}

fn state(last_run: Option<&RunRow>, running: bool) -> FlowState {
    if running {
        return FlowState::Running;
    }
    let Some(last_run) = last_run else {
        return FlowState::NeverRan;
    };
    match last_run.outcome {
        Some(Outcome::Succeeded) => FlowState::Ok,
        Some(Outcome::Parked) => FlowState::Parked,
        Some(Outcome::Failed) if last_run.remedy == Some(Remedy::Login) => FlowState::NeedsLogin,
        Some(Outcome::Failed) => FlowState::Failing,
        Some(Outcome::Skipped) => FlowState::Running,
        Some(Outcome::Interrupted) | None => FlowState::Interrupted,
    }
}

/// Says in one line whether all is well. `is_idle` is true if flows should run by themselves, and
/// nobody is there to start them.
fn line(
    flows: &[FlowStatus],
    connections: &[ConnectionStatus],
    is_idle: bool,
    now: Timestamp,
) -> String {
    let of = |flow: &FlowStatus| format!("`{}` {}", flow.flow, flow.state.word());
    let mut trouble: Vec<String> = flows
        .iter()
        .filter(|flow| !flow.state.is_well())
        .map(of)
        .collect();
    let unwell = connections.iter().filter(|connection| !connection.well);
    let words = |state: &str| state.replace('_', " ");
    trouble.extend(unwell.map(|of| format!("`{}` {}", of.title(), words(&of.state))));
    let count = match flows.len() {
        1 => "1 flow".to_owned(),
        flows => format!("{flows} flows"),
    };
    let next = flows
        .iter()
        .filter_map(|flow| Some((flow.next_slot_at?, &flow.flow)))
        .min();
    let next = next.map_or_else(String::new, |(at, flow)| {
        let seconds = crate::clock::until(now, at).as_secs();
        format!(
            "; next is `{flow}` in {} min {} s",
            seconds / 60,
            seconds % 60
        )
    });
    if !trouble.is_empty() {
        return format!("not well: {}{next}", trouble.join(", "));
    }
    let nothing_ran = flows.iter().all(|flow| flow.state == FlowState::NeverRan);
    let verdict = match (nothing_ran, is_idle) {
        (true, _) => "nothing has run yet",
        (false, true) => "all went well so far",
        (false, false) => "all is well",
    };
    format!("{verdict}: {count}{next}")
}
