//! How many calls a source lets us make, shared by all flows of a connection.
//!
//! A source tells in headers what is left of its windows, or the configuration states budgets. A
//! call is taken out of every window before it is made. A short wait is waited; for a long one the
//! run is told when to come back.

mod meter;
mod window;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::meter::Meter;
use self::window::{FAMILIES, Window};
use super::retry;
use super::{Reason, Waiting};
use crate::clock::{self, Clock};
use crate::config::Budget;
use crate::http::HeaderMap;

/// The longest a run waits for a window; past it the run is parked and its place given to others.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// The longest we believe a window lasts without asking again. Known quotas are daily.
const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// How long we stay away after a 429 that says nothing more: most windows last a minute.
const UNTOLD: Duration = Duration::from_secs(60);

/// The calls one connection may make. All its flows share one.
#[derive(Debug)]
pub struct Limits {
    windows: Mutex<Windows>,
}

/// All that is known of a connection's windows; kept across restarts by whoever wants to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Windows {
    /// Until when the source asked us to stay away.
    hold: Option<Timestamp>,
    /// What the source told, by the prefix of its headers.
    told: BTreeMap<String, Window>,
    /// What the configuration states.
    stated: Vec<Meter>,
}

/// No call may be made before `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) until: Timestamp,
    pub(super) reason: Reason,
}

impl Limits {
    /// Makes limits that know only what the configuration states.
    #[must_use]
    pub fn new(budgets: &[Budget]) -> Self {
        let stated = budgets.iter().map(Meter::new).collect();
        Self {
            windows: Mutex::new(Windows {
                stated,
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
        windows.hold = snapshot.hold;
        windows.told = snapshot.told;
        for old in snapshot.stated {
            let same = |meter: &&mut Meter| meter.measures_as(&old);
            if let Some(meter) = windows.stated.iter_mut().find(same) {
                *meter = old;
            }
        }
    }

    /// Takes one call, waiting for it if the wait is short.
    ///
    /// # Errors
    /// If the wait would be long: until when.
    pub(super) async fn admit(
        &self,
        clock: &dyn Clock,
        told: &(dyn Fn(Waiting) + Send + Sync),
    ) -> Result<(), Spent> {
        let patience = clock::after(clock.now(), LONGEST_WAIT);
        loop {
            let taken = self.windows().take(clock.now());
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

    /// Takes note of what an answer tells about the windows.
    pub(super) fn learn(&self, now: Timestamp, status: u16, headers: &HeaderMap) {
        self.windows().learn(now, status, headers);
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
    fn take(&mut self, now: Timestamp) -> Result<(), Spent> {
        let furthest = clock::after(now, LONGEST_WINDOW);
        // An end beyond belief means that the clock was set back.
        self.hold = self.hold.filter(|until| *until > now && *until <= furthest);
        self.told
            .retain(|_, window| window.resets_at > now && window.resets_at <= furthest);
        self.stated.iter_mut().for_each(|meter| meter.forget(now));
        let hold = self.hold.map(|until| Spent {
            until,
            reason: Reason::Asked,
        });
        let told = self.told.values().filter_map(|window| window.spent(now));
        let stated = self.stated.iter().filter_map(Meter::spent);
        let spent = hold
            .into_iter()
            .chain(told)
            .chain(stated)
            .max_by_key(|spent| spent.until);
        if let Some(spent) = spent {
            return Err(spent);
        }
        for window in self.told.values_mut() {
            window.remaining = window.remaining.saturating_sub(1);
        }
        self.stated.iter_mut().for_each(|meter| meter.count(now));
        Ok(())
    }

    fn give_back(&mut self) {
        for window in self.told.values_mut() {
            window.remaining = window.remaining.saturating_add(1);
        }
        self.stated.iter_mut().for_each(Meter::uncount);
    }

    fn learn(&mut self, now: Timestamp, status: u16, headers: &HeaderMap) {
        let furthest = clock::after(now, LONGEST_WINDOW);
        let told: Vec<_> = FAMILIES
            .iter()
            .filter_map(|family| Some((family, family.read(now, headers)?)))
            .collect();
        // A refusal that tells of one window only tells of the one that is spent.
        let is_the_spent_one = status == 429 && told.len() == 1;
        for (family, mut window) in told {
            if is_the_spent_one {
                window.remaining = 0;
            }
            window.resets_at = window.resets_at.min(furthest);
            let window = match self.told.get(family.prefix) {
                Some(known) => known.updated(window),
                None => window,
            };
            self.told.insert(family.prefix.to_owned(), window);
        }
        let asked = retry::retry_after(headers, now).filter(|_| matches!(status, 403 | 429 | 503));
        let until = match asked {
            Some(until) => until,
            None if status == 429 && !self.is_spent(now) => clock::after(now, UNTOLD),
            None => return,
        };
        self.hold = self.hold.max(Some(until.min(furthest)));
    }

    /// Returns true if we already know of something to wait for.
    fn is_spent(&self, now: Timestamp) -> bool {
        self.hold.is_some_and(|until| until > now)
            || self
                .told
                .values()
                .any(|window| window.resets_at > now && window.spent(now).is_some())
    }
}

#[cfg(test)]
mod tests;
