//! How many calls a source lets us make, shared by all flows of a connection and tenant.
//!
//! A source tells in headers what is left of its windows, or the configuration states budgets. A
//! call is taken out of every window before it is made. A short wait is waited; for a long one the
//! run is told when to come back. A source that is overloaded is asked more slowly, and one that
//! blocks clients after a few refusals is not asked again before it has forgotten them.

mod headers;
mod meter;
mod pace;
mod window;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::meter::Meter;
use self::pace::Pace;
use self::window::Window;
use super::retry;
use super::{Reason, Waiting};
use crate::clock::{self, Clock};
use crate::config::{Budget, LimitHeaders, Manners, Reserve};
use crate::http::HeaderMap;

/// The longest a run waits for a window; past it the run is parked and its place given to others.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// The longest we believe a window lasts without asking again. Known quotas are daily.
const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// How long we stay away after a 429 that says nothing more: most windows last a minute.
const UNTOLD: Duration = Duration::from_secs(60);
/// Of how many endpoints refusals are counted; past it those go whose refusals are oldest.
const ENDPOINTS: usize = 256;

/// The calls one connection may make for one tenant. All its flows share one.
#[derive(Debug)]
pub struct Limits {
    rules: Rules,
    windows: Mutex<Windows>,
}

/// What the configuration says of the limits.
#[derive(Debug)]
struct Rules {
    families: Vec<LimitHeaders>,
    reserve: Reserve,
    error_budget: Option<Budget>,
}

/// All that is known of a connection's windows; kept across restarts by whoever wants to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Windows {
    /// Until when the source asked us to stay away.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Timestamp>,
    /// What the source told, by the header that told it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    told: BTreeMap<String, Window>,
    /// What the configuration states.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    stated: Vec<Meter>,
    /// The refusals of each endpoint, where the source forgives only so many.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    refusals: BTreeMap<String, Meter>,
    /// How slowly the source is asked after it was overloaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pace: Option<Pace>,
}

/// No call may be made before `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) until: Timestamp,
    pub(super) reason: Reason,
}

/// What is left of one window, for people to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// The header that tells of it, or the budget as the configuration states it.
    pub window: String,
    /// How many calls it has, if that is known.
    pub limit: Option<u64>,
    /// How many are left.
    pub remaining: u64,
    /// When they are as many as ever again.
    pub resets_at: Option<Timestamp>,
}

impl Limits {
    /// Makes limits that know only what the configuration states.
    #[must_use]
    pub fn new(manners: &Manners) -> Self {
        Self {
            rules: Rules {
                families: headers::families(&manners.headers),
                reserve: manners.reserve,
                error_budget: manners.error_budget,
            },
            windows: Mutex::new(Windows {
                stated: manners.budgets.iter().map(Meter::new).collect(),
                ..Windows::default()
            }),
        }
    }

    /// Returns what should be remembered across a restart.
    #[must_use]
    pub fn snapshot(&self) -> Windows {
        self.windows().clone()
    }

    /// Takes up what was remembered. Calls count towards the budgets that are still stated.
    pub fn restore(&self, snapshot: Windows) {
        let mut windows = self.windows();
        for old in &snapshot.stated {
            let same = |meter: &&mut Meter| meter.measures_as(old);
            if let Some(meter) = windows.stated.iter_mut().find(same) {
                meter.clone_from(old);
            }
        }
        let stated = std::mem::take(&mut windows.stated);
        *windows = Windows { stated, ..snapshot };
    }

    /// Returns what is left of each window at `now`.
    #[must_use]
    pub fn allowances(&self, now: Timestamp) -> Vec<Allowance> {
        self.windows().allowances(now)
    }

    /// Takes one call to `endpoint`, waiting for it if the wait is short.
    ///
    /// # Errors
    /// If the wait would be long: until when.
    pub(super) async fn admit(
        &self,
        endpoint: &str,
        clock: &dyn Clock,
        told: &(dyn Fn(Waiting) + Send + Sync),
    ) -> Result<(), Spent> {
        let patience = clock::after(clock.now(), LONGEST_WAIT);
        loop {
            let taken = self.windows().take(clock.now(), endpoint, &self.rules);
            let Err(spent) = taken else { return Ok(()) };
            if spent.until > patience {
                return Err(spent);
            }
            told(Waiting {
                until: spent.until,
                reason: spent.reason,
            });
            clock.sleep_until(spent.until).await;
        }
    }

    /// Returns what keeps us from asking `endpoint` for longer than a run waits, if anything does.
    pub(super) fn long_wait(&self, now: Timestamp, endpoint: &str) -> Option<Spent> {
        let spent = self.windows().spent(now, endpoint, &self.rules)?;
        (spent.until > clock::after(now, LONGEST_WAIT)).then_some(spent)
    }

    /// Takes note of what an answer of `endpoint` tells about the windows.
    pub(super) fn learn(&self, now: Timestamp, endpoint: &str, status: u16, headers: &HeaderMap) {
        let mut windows = self.windows();
        windows.learn(now, status, headers, &self.rules.families);
        windows.count_refusal(now, endpoint, status, self.rules.error_budget);
    }

    /// Lets nobody ask before `until`, a day from `now` at most.
    pub(super) fn hold(&self, now: Timestamp, until: Timestamp) {
        self.windows().hold(now, until);
    }

    /// Gives the last call back: the source never saw it.
    pub(super) fn give_back(&self) {
        self.windows().give_back();
    }

    fn windows(&self) -> std::sync::MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Windows {
    fn take(&mut self, now: Timestamp, endpoint: &str, rules: &Rules) -> Result<(), Spent> {
        self.forget(now);
        if let Some(spent) = self.spent(now, endpoint, rules) {
            return Err(spent);
        }
        for window in self.told.values_mut() {
            window.remaining = window.remaining.saturating_sub(1);
        }
        self.stated.iter_mut().for_each(|meter| meter.count(now));
        if let Some(pace) = &mut self.pace {
            pace.step(now);
        }
        Ok(())
    }

    /// Drops what is over, and whatever reaches further than we believe: the clock was set back.
    fn forget(&mut self, now: Timestamp) {
        let furthest = clock::after(now, LONGEST_WINDOW);
        self.hold = self.hold.filter(|until| *until > now && *until <= furthest);
        self.told
            .retain(|_, window| window.resets_at > now && window.resets_at <= furthest);
        self.stated.iter_mut().for_each(|meter| meter.forget(now));
        self.refusals.retain(|_, meter| {
            meter.forget(now);
            !meter.is_empty()
        });
        self.pace.take_if(|pace| pace.is_over(now));
    }

    /// Returns what keeps us longest from asking `endpoint`, if anything does.
    fn spent(&self, now: Timestamp, endpoint: &str, rules: &Rules) -> Option<Spent> {
        let hold = self.hold.map(|until| Spent {
            until,
            reason: Reason::Asked,
        });
        let told = self
            .told
            .values()
            .filter_map(|window| window.spent(now, rules.reserve));
        let stated = self
            .stated
            .iter()
            .filter_map(|meter| meter.spent(rules.reserve));
        let refused = rules.error_budget.and_then(|budget| {
            let until = self.refusals.get(endpoint)?.full_until()?;
            let Budget { calls, per } = budget;
            let reason = Reason::Refusals { errors: calls, per };
            Some(Spent { until, reason })
        });
        let paced = self.pace.as_ref().and_then(|pace| pace.spent(now));
        hold.into_iter()
            .chain(told)
            .chain(stated)
            .chain(refused)
            .chain(paced)
            .max_by_key(|spent| spent.until)
    }

    fn give_back(&mut self) {
        for window in self.told.values_mut() {
            window.remaining = window.remaining.saturating_add(1);
        }
        self.stated.iter_mut().for_each(Meter::uncount);
    }

    fn learn(
        &mut self,
        now: Timestamp,
        status: u16,
        headers: &HeaderMap,
        families: &[LimitHeaders],
    ) {
        let furthest = clock::after(now, LONGEST_WINDOW);
        let told = headers::told(families, now, headers);
        // A refusal that tells of one window only tells of the one that is spent.
        let is_the_spent_one = status == 429 && told.len() == 1;
        for (name, mut window) in told {
            if is_the_spent_one {
                window.remaining = 0;
            }
            window.resets_at = window.resets_at.min(furthest);
            let window = match self.told.get(&name) {
                Some(known) => known.updated(window),
                None => window,
            };
            self.told.insert(name, window);
        }
        self.keep_pace(now, status);
        let asked = retry::retry_after(headers, now).filter(|_| matches!(status, 403 | 429 | 503));
        let until = match asked {
            Some(until) => until,
            None if status == 429 && !self.is_spent(now) => clock::after(now, UNTOLD),
            None => return,
        };
        self.hold(now, until);
    }

    fn hold(&mut self, now: Timestamp, until: Timestamp) {
        let furthest = clock::after(now, LONGEST_WINDOW);
        self.hold = self.hold.max(Some(until.min(furthest)));
    }

    /// Slows down for a source that has too much to do, and speeds up again as it answers.
    fn keep_pace(&mut self, now: Timestamp, status: u16) {
        match status {
            429 | 503 => self
                .pace
                .get_or_insert_with(|| Pace::new(now))
                .slow_down(now),
            200..=299 => {
                self.pace.take_if(Pace::has_recovered);
            }
            _ => {}
        }
    }

    /// Counts a refusal, where the source forgives only so many. Too many calls and a wait that took
    /// too long are none.
    fn count_refusal(
        &mut self,
        now: Timestamp,
        endpoint: &str,
        status: u16,
        budget: Option<Budget>,
    ) {
        let Some(budget) = budget.filter(|_| matches!(status, 400..=499)) else {
            return;
        };
        if matches!(status, 408 | 425 | 429) {
            return;
        }
        if self.refusals.len() >= ENDPOINTS && !self.refusals.contains_key(endpoint) {
            let oldest = self.refusals.iter().min_by_key(|(_, meter)| meter.latest());
            if let Some(oldest) = oldest.map(|(endpoint, _)| endpoint.clone()) {
                self.refusals.remove(&oldest);
            }
        }
        let meter = || Meter::new(&short_of(budget));
        self.refusals
            .entry(endpoint.to_owned())
            .or_insert_with(meter)
            .count(now);
    }

    /// Returns true if we already know of something to wait for.
    fn is_spent(&self, now: Timestamp) -> bool {
        self.hold.is_some_and(|until| until > now)
            || self
                .told
                .values()
                .any(|window| window.resets_at > now && window.remaining == 0)
    }

    fn allowances(&self, now: Timestamp) -> Vec<Allowance> {
        let told = self
            .told
            .iter()
            .filter(|(_, window)| window.resets_at > now)
            .map(|(name, window)| Allowance {
                window: name.clone(),
                limit: window.limit,
                remaining: window.remaining,
                resets_at: Some(window.resets_at),
            });
        told.chain(self.stated.iter().map(|meter| meter.allowance(now)))
            .collect()
    }
}

/// Returns the budget less one: the last refusal that is forgiven is left to people.
fn short_of(budget: Budget) -> Budget {
    Budget {
        calls: budget.calls.saturating_sub(1).max(1),
        ..budget
    }
}

#[cfg(test)]
mod tests;
