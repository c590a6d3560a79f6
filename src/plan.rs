//! What the schedule will cost: the calls a day of every flow against what its source allows.
//!
//! An estimate from what the latest runs needed. Nothing is asked, and nothing is written.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection as Database;
use serde::Serialize;

use crate::config::{Config, Connection, Flow, Manners, Schedule, shown};
use crate::fetch::{self, Limits, Start, Windows};
use crate::journal::{self, Outcome};
use crate::record::CursorValue;
use crate::{clock, quota, store};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How many days are looked at for the busiest: a rule may leave out the weekend.
const DAYS: u32 = 7;
/// A rule with so many slots a day has them every day.
const RHYTHM: u64 = 1_000;
/// How many runs are looked at for what one needs. Most of them are the usual ones.
const RUNS: u32 = 20;

/// The estimate of one connection and tenant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The connection.
    pub connection: String,
    /// The tenant: as requests name it, or as the configuration writes it where that is not known
    /// before a run; empty where there are none.
    pub tenant: String,
    /// What each flow needs.
    pub flows: Vec<FlowPlan>,
    /// The calls of a day, on the busiest of the next seven.
    pub calls_per_day: u64,
    /// What that is of each limit.
    pub limits: Vec<LimitPlan>,
}

/// What one flow needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlowPlan {
    /// Its name.
    pub flow: String,
    /// How often it runs by itself on a busy day.
    pub runs_per_day: f64,
    /// The requests of a usual run.
    pub calls_per_run: u64,
    /// From how many runs that is known; without any, one request is assumed.
    pub known_from_runs: usize,
    /// The requests of a day.
    pub calls_per_day: u64,
}

/// How many of the calls that a limit allows are expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitPlan {
    /// The limit: the budget as the configuration states it, or the header that tells of it.
    pub limit: String,
    /// How many calls it allows, less the reserve; of a window the source told of, how many are left.
    pub allowed: u64,
    /// How many are expected.
    pub expected: u64,
    /// When the window ends, if the source told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// True if they suffice.
    pub fits: bool,
}

/// Estimates the calls of `flows`, by connection and tenant. Without a database nothing has run yet.
///
/// # Errors
/// If the database cannot be read.
pub fn plans<'a>(
    config: &Config,
    flows: impl Iterator<Item = &'a Flow>,
    data: Option<&Database>,
    now: Timestamp,
) -> Result<Vec<Plan>, store::Error> {
    let mut groups: BTreeMap<(&str, String), Vec<FlowPlan>> = BTreeMap::new();
    for flow in flows {
        let key = (flow.connection.as_str(), tenant(flow, now));
        let requests = match data {
            Some(data) => requests(data, flow)?,
            None => Vec::new(),
        };
        groups
            .entry(key)
            .or_default()
            .push(estimate(flow, requests, now));
    }
    let plan = |((_, tenant), flows): ((&str, String), Vec<FlowPlan>), connection: &Connection| {
        let calls_per_day = flows.iter().map(|flow| flow.calls_per_day).sum();
        let mut limits = stated(&connection.manners, calls_per_day);
        if let Some(data) = data {
            limits.extend(told(data, connection, &tenant, calls_per_day, now)?);
        }
        Ok(Plan {
            connection: connection.name.to_string(),
            tenant,
            flows,
            calls_per_day,
            limits,
        })
    };
    groups
        .into_iter()
        .filter_map(|group| {
            let connection = config.connections.get(group.0.0)?;
            Some(plan(group, connection))
        })
        .collect()
}

/// Returns the tenant that the requests of a flow belong to, as far as it is known before a run.
fn tenant(flow: &Flow, now: Timestamp) -> String {
    let Some(template) = &flow.resource.tenant else {
        return String::new();
    };
    let start = Start {
        account: None,
        facts: std::sync::Arc::default(),
        each: crate::config::Each::new(),
        since: None,
        delta: None,
        until: CursorValue::Instant(now),
        now,
    };
    fetch::filled(&flow.resource, &start, "tenant", template)
        .unwrap_or_else(|_| template.source().to_owned())
}

/// Returns how many requests each of the latest good runs took.
fn requests(data: &Database, flow: &Flow) -> Result<Vec<u64>, store::Error> {
    let runs = journal::recent(data, Some(flow.name.as_str()), RUNS)?;
    let good = runs
        .iter()
        .filter(|run| run.outcome == Some(Outcome::Succeeded));
    Ok(good.map(|run| run.tally.requests).collect())
}

fn estimate(flow: &Flow, requests: Vec<u64>, now: Timestamp) -> FlowPlan {
    let runs_per_day = flow
        .schedule
        .as_ref()
        .map_or(0.0, |schedule| runs_per_day(schedule, now));
    let known_from_runs = requests.len();
    let calls_per_run = usual(requests).unwrap_or(1);
    FlowPlan {
        flow: flow.name.to_string(),
        runs_per_day,
        calls_per_run,
        known_from_runs,
        calls_per_day: whole(runs_per_day * calls_per_run as f64),
    }
}

/// Returns the one in the middle: the first run of a flow reads everything, and no other does.
fn usual(mut requests: Vec<u64>) -> Option<u64> {
    requests.sort_unstable();
    requests.get(requests.len() / 2).copied()
}

/// Returns the number of slots on the busiest of the next days.
fn runs_per_day(schedule: &Schedule, now: Timestamp) -> f64 {
    if let Schedule::Every(interval) = schedule {
        return DAY.as_secs_f64() / interval.as_secs_f64();
    }
    let (mut from, mut most) = (now, 0);
    for _ in 0..DAYS {
        let until = clock::after(from, DAY);
        let mut slots = 0;
        let mut at = from;
        while let Some(slot) = schedule.next_after(at).filter(|slot| *slot <= until) {
            slots += 1;
            at = slot;
        }
        most = most.max(slots);
        if slots >= RHYTHM {
            break;
        }
        from = until;
    }
    if most > 0 {
        return most as f64;
    }
    let first = schedule.next_after(now);
    let second = first.and_then(|first| schedule.next_after(first));
    match (first, second) {
        (Some(first), Some(second)) => share(second.duration_since(first)).recip(),
        _ => 0.0,
    }
}

/// Returns what part of a day, or how many days, a time is.
fn share(time: SignedDuration) -> f64 {
    time.as_secs_f64() / DAY.as_secs_f64()
}

/// Returns the next whole number of calls.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float stops at the ends of the integers"
)]
fn whole(calls: f64) -> u64 {
    calls.ceil() as u64
}

/// Holds the calls of a day against the budgets that the configuration states.
fn stated(manners: &Manners, calls_per_day: u64) -> Vec<LimitPlan> {
    let budgets = manners.budgets.iter();
    let plan = |budget: &crate::config::Budget| {
        let per = budget.per.as_secs_f64() / DAY.as_secs_f64();
        let allowed = match budget.per > fetch::LONGEST_WAIT {
            true => budget.calls - manners.reserve.of(Some(budget.calls)),
            false => budget.calls,
        };
        let expected = whole(calls_per_day as f64 * per);
        LimitPlan {
            limit: format!("{} calls in {}", budget.calls, shown(budget.per)),
            allowed,
            expected,
            until: None,
            fits: expected <= allowed,
        }
    };
    budgets.map(plan).collect()
}

/// Holds the calls until the end of each window against what the source last said is left of it.
fn told(
    data: &Database,
    connection: &Connection,
    tenant: &str,
    calls_per_day: u64,
    now: Timestamp,
) -> Result<Vec<LimitPlan>, store::Error> {
    let known = quota::known(data, &connection.name, tenant)?;
    // What another version wrote says nothing; a run would not use it either.
    let windows = known.and_then(|known| serde_json::from_str::<Windows>(&known).ok());
    let limits = Limits::new(&Manners {
        budgets: Vec::new(),
        ..connection.manners.clone()
    });
    limits.restore(windows.unwrap_or_default());
    let plan = |allowance: fetch::Allowance| {
        let until = allowance.resets_at?;
        let expected = whole(calls_per_day as f64 * share(until.duration_since(now)));
        let reserved = connection.manners.reserve.of(allowance.limit);
        let allowed = allowance.remaining.saturating_sub(reserved);
        Some(LimitPlan {
            limit: allowance.window,
            allowed,
            expected,
            until: Some(until),
            fits: expected <= allowed,
        })
    };
    Ok(limits
        .allowances(now)
        .into_iter()
        .filter_map(plan)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_day_counts() {
        let cron = |rule: &str| Schedule::Cron {
            rule: Box::new(rule.parse().unwrap()),
            zone: jiff::tz::TimeZone::UTC,
        };
        // A Saturday.
        let now = "2026-08-01T12:00:00Z".parse().unwrap();
        let cases = [
            (Schedule::Every(Duration::from_secs(900)), 96.0),
            (cron("*/15 * * * *"), 96.0),
            (cron("0 6,18 * * 1-5"), 2.0),
            (cron("0 6 1 1 *"), 1.0 / 365.0),
        ];
        for (schedule, runs) in cases {
            let found = runs_per_day(&schedule, now);
            assert!((found - runs).abs() < 0.0001, "{schedule:?}: {found}");
        }
    }

    #[test]
    fn a_first_full_read_is_not_taken_for_the_usual_run() {
        assert_eq!(usual(vec![2, 900, 1, 2, 2]), Some(2));
        assert_eq!(usual(vec![900]), Some(900));
        assert_eq!(usual(Vec::new()), None);
    }
}
