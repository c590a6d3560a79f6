//! Refreshing what is due without anybody asking.
//!
//! The agenda holds when each account is to be looked at. All of them are looked at when a plan has
//! changed and every half minute, because clocks are set; in between only those whose time has come
//! or whose refresh has landed, so that ten thousand accounts cost no more than a few.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::entry::Entry;
use super::{Inner, Keeper, LOOK_AGAIN};
use crate::clock;
use crate::config::Account;
use crate::oauth::window::share;

/// Over how long refreshes are spread that a start or the end of a suspend finds overdue, so that
/// they do not fall upon the servers together; a doubt is ended sooner.
const SPREAD: Duration = Duration::from_secs(30);
const SPREAD_OF_DOUBTS: Duration = Duration::from_secs(5);
/// This many overdue refreshes need no spreading.
const FEW: usize = 8;
/// After a pause this long nobody was looking: the machine slept, or the program was not there.
const PAUSE: Duration = Duration::from_secs(2 * 60);

/// When each account is to be looked at.
#[derive(Default)]
pub(super) struct Agenda {
    by_time: BTreeSet<(Timestamp, Account)>,
    at: BTreeMap<Account, Timestamp>,
    /// Accounts about which something has changed since somebody last looked.
    changed: BTreeSet<Account>,
    looked_at: Option<Timestamp>,
    /// Since when we look again after a pause, while what it made overdue is being spread.
    resumed_at: Option<Timestamp>,
}

impl Agenda {
    fn put(&mut self, account: &Account, at: Option<Timestamp>) {
        if let Some(before) = self.at.remove(account) {
            self.by_time.remove(&(before, account.clone()));
        }
        if let Some(at) = at {
            self.at.insert(account.clone(), at);
            self.by_time.insert((at, account.clone()));
        }
    }

    fn first(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the accounts that have changed or whose time has come.
    fn take_due(&mut self, now: Timestamp) -> BTreeSet<Account> {
        let mut due = std::mem::take(&mut self.changed);
        while let Some((at, account)) = self.by_time.first()
            && *at <= now
        {
            let account = account.clone();
            self.put(&account, None);
            due.insert(account);
        }
        due
    }

    /// Notices that nobody has looked for a while.
    fn look(&mut self, now: Timestamp) {
        let was_away = self
            .looked_at
            .is_none_or(|before| clock::after(before, PAUSE) < now);
        let is_over = |since: Timestamp| clock::after(since, SPREAD) < now;
        if was_away {
            self.resumed_at = Some(now);
        } else if self.resumed_at.is_some_and(is_over) {
            self.resumed_at = None;
        }
        self.looked_at = Some(now);
    }
}

impl Keeper {
    /// Looks at every account, starts the refreshes that are due by now, and returns when to look
    /// again with [`tend_due`](Self::tend_due).
    ///
    /// `due` says when an account will next be needed. To be called inside the runtime, at least
    /// every half minute and whenever the answers of `due` have changed.
    pub fn tend(&self, due: impl Fn(&Account) -> Option<Timestamp>) -> Option<Timestamp> {
        let entries = self.inner.accounts.all();
        self.inner.agenda().changed.clear();
        self.look_at(&entries, due)
    }

    /// Does the same for the accounts whose time has come, and those of which something has changed:
    /// [`any_landed`](Self::any_landed) completes when there are some.
    pub fn tend_due(&self, due: impl Fn(&Account) -> Option<Timestamp>) -> Option<Timestamp> {
        let now = self.inner.clock.now();
        let accounts = self.inner.agenda().take_due(now);
        // One that has signed out meanwhile is not there any more.
        let entries: Vec<_> = accounts
            .iter()
            .filter_map(|account| self.inner.accounts.get(account).ok())
            .collect();
        self.look_at(&entries, due)
    }

    /// Completes when some refresh has ended since it last did. For one listener: the one who tends.
    pub async fn any_landed(&self) {
        self.inner.landed.notified().await;
    }

    /// Returns how many exchanges with authorization servers are under way or about to begin.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.inner.flights.len()
    }

    fn look_at(
        &self,
        entries: &[Arc<Entry>],
        due: impl Fn(&Account) -> Option<Timestamp>,
    ) -> Option<Timestamp> {
        let now = self.inner.clock.now();
        self.inner.agenda().look(now);
        let mut overdue = Vec::new();
        for entry in entries {
            if let Some(oauth) = entry.oauth() {
                entry.tell_end(oauth, now);
            }
            let needed_at = due(&entry.account);
            let look_at = match self.due_at(entry, needed_at) {
                Some(due_at) if due_at <= now && needed_at.is_some_and(|at| at <= now) => {
                    self.begin(entry)
                }
                Some(due_at) if due_at <= now => {
                    overdue.push((entry, due_at));
                    continue;
                }
                due_at => due_at,
            };
            self.inner.agenda().put(&entry.account, look_at);
        }
        let resumed_at = self.inner.agenda().resumed_at;
        let is_crowd = overdue.len() > FEW;
        for (entry, due_at) in overdue {
            let resumed_at = resumed_at.filter(|at| is_crowd && due_at < *at);
            let begins_at = resumed_at.map_or(now, |at| clock::after(at, turn(entry)));
            let look_at = match begins_at > now {
                true => Some(begins_at),
                false => self.begin(entry),
            };
            self.inner.agenda().put(&entry.account, look_at);
        }
        self.inner.agenda().first()
    }

    /// Returns when a refresh of `entry` is due; a little later while one is under way.
    fn due_at(&self, entry: &Entry, needed_at: Option<Timestamp>) -> Option<Timestamp> {
        let oauth = entry.oauth()?;
        let now = self.inner.clock.now();
        let live = entry.live();
        match live.under_way() {
            Some(_) => Some(clock::after(now, LOOK_AGAIN)),
            None => entry.view(oauth, &live, now).due_at(needed_at),
        }
    }

    /// Starts a refresh, and returns when to look at it. While stopping nothing departs, and nobody
    /// looks again.
    fn begin(&self, entry: &Arc<Entry>) -> Option<Timestamp> {
        let generation = entry.live().generation();
        let departed = self.depart(entry, generation, false).is_ok();
        departed.then(|| clock::after(self.inner.clock.now(), LOOK_AGAIN))
    }
}

/// Returns how long after a pause it is this account's turn.
fn turn(entry: &Entry) -> Duration {
    let spread = match entry.live().doubt {
        Some(_) => SPREAD_OF_DOUBTS,
        None => SPREAD,
    };
    spread.mul_f64(share(&entry.account, 0))
}

impl Inner {
    /// Tells whoever tends that something about `account` has changed.
    pub(super) fn tell_changed(&self, account: &Account) {
        self.agenda().changed.insert(account.clone());
        self.landed.notify_one();
    }

    fn agenda(&self) -> MutexGuard<'_, Agenda> {
        // Half a change to it costs at most one look too many.
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
