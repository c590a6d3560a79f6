//! How many calls a source lets us make, shared by all flows of a connection.
//!
//! A source tells in headers what is left of its windows, or the configuration states budgets. A
//! call is taken out of every window before it is made. A short wait is waited; for a long one the
//! run is told when to come back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::retry;
use super::{Reason, Waiting};
use crate::clock::{self, Clock};
use crate::config::Budget;
use crate::http::HeaderMap;

/// The longest a run waits for a window; past it the run is parked and its place given to others.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// The longest we believe a window lasts without asking again. Known quotas are daily.
const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);
/// What is left of a window we would have to park for, so that people and other programs that
/// share the quota are not locked out by us.
const RESERVE: u64 = 1;
/// Windows with fewer calls than this have none to spare.
const RESERVED_FROM: u64 = 100;
/// Two ends of a window closer than this are the same end, told with another rounding.
const SAME_END: SignedDuration = SignedDuration::from_secs(2);
/// Into how many slots a stated budget's window is divided: its calls return a slot at a time.
const SLOTS: u32 = 60;

/// A family of headers that tells about one window.
struct Family {
    prefix: &'static str,
    /// The window's length, where the name says it.
    length: Option<Duration>,
}

const FAMILIES: [Family; 4] = [
    Family {
        prefix: "x-ratelimit-minutely-",
        length: Some(Duration::from_secs(60)),
    },
    Family {
        prefix: "x-ratelimit-",
        length: None,
    },
    Family {
        prefix: "ratelimit-",
        length: None,
    },
    Family {
        prefix: "x-rate-limit-",
        length: None,
    },
];

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

/// A window the source told us about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    limit: Option<u64>,
    remaining: u64,
    resets_at: Timestamp,
}

/// The calls made within a stated budget, counted in slots of its window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Meter {
    calls: u64,
    per: Duration,
    slots: VecDeque<(Timestamp, u64)>,
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
        let stated = budgets
            .iter()
            .map(|budget| Meter {
                calls: budget.calls,
                per: budget.per,
                slots: VecDeque::new(),
            })
            .collect();
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
            let same = |meter: &&mut Meter| meter.calls == old.calls && meter.per == old.per;
            if let Some(meter) = windows.stated.iter_mut().find(same) {
                meter.slots = old.slots;
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
        for (_, count) in self
            .stated
            .iter_mut()
            .filter_map(|meter| meter.slots.back_mut())
        {
            *count = count.saturating_sub(1);
        }
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
            self.put(family.prefix, window);
        }
        if matches!(status, 403 | 429 | 503)
            && let Some(until) = retry::retry_after(headers, now)
        {
            self.hold = self.hold.max(Some(until.min(furthest)));
        }
    }

    fn put(&mut self, prefix: &str, mut window: Window) {
        if let Some(known) = self.told.get(prefix) {
            let apart = window.resets_at.duration_since(known.resets_at);
            // Within a window less is left all the time. A greater number is an answer that was
            // overtaken by another, or leaves out the calls now under way.
            if apart.abs() <= SAME_END {
                window.remaining = window.remaining.min(known.remaining);
            }
        }
        self.told.insert(prefix.to_owned(), window);
    }
}

impl Family {
    fn read(&self, now: Timestamp, headers: &HeaderMap) -> Option<Window> {
        let header = |name: &str| number(headers, &format!("{}{name}", self.prefix));
        let remaining = header("remaining")? as u64;
        let resets_at = match (header("reset"), self.length) {
            (Some(reset), _) => moment(now, reset)?,
            (None, Some(length)) => clock::after(now, length),
            (None, None) => return None,
        };
        let limit = header("limit").map(|limit| limit as u64);
        Some(Window {
            limit,
            remaining,
            resets_at,
        })
    }
}

/// Reads the number a header begins with; some append parameters or a list.
fn number(headers: &HeaderMap, name: &str) -> Option<f64> {
    let text = headers.get(name)?.to_str().ok()?;
    let digits = text.trim().split([',', ';', ' ']).next()?;
    digits
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

/// Reads a reset as sources write it: Unix time in milliseconds or seconds, or seconds from now.
fn moment(now: Timestamp, reset: f64) -> Option<Timestamp> {
    /// As milliseconds this is 1973, as seconds the year 5138.
    const MILLISECONDS_FROM: f64 = 1e11;
    /// As Unix time this is 2001, as a delay 31 years.
    const UNIX_TIME_FROM: f64 = 1e9;
    if reset > MILLISECONDS_FROM {
        Timestamp::from_millisecond(reset as i64).ok()
    } else if reset > UNIX_TIME_FROM {
        Timestamp::from_millisecond((reset * 1e3) as i64).ok()
    } else {
        Some(clock::after(now, Duration::try_from_secs_f64(reset).ok()?))
    }
}

impl Window {
    fn spent(&self, now: Timestamp) -> Option<Spent> {
        let is_long = clock::until(now, self.resets_at) > LONGEST_WAIT;
        let has_spare = self.limit.is_some_and(|limit| limit >= RESERVED_FROM);
        let reserve = if is_long && has_spare { RESERVE } else { 0 };
        let reason = Reason::Window { calls: self.limit };
        (self.remaining <= reserve).then_some(Spent {
            until: self.resets_at,
            reason,
        })
    }
}

impl Meter {
    fn slot(&self) -> Duration {
        self.per / SLOTS
    }

    /// Returns when the calls of a slot no longer count: a window after its last one.
    fn leaves(&self, start: Timestamp) -> Timestamp {
        clock::after(start, self.per + self.slot())
    }

    fn forget(&mut self, now: Timestamp) {
        let (per, slot) = (self.per, self.slot());
        // A slot of the future means that the clock was set back.
        self.slots
            .retain(|(start, _)| *start <= now && clock::after(*start, per + slot) > now);
    }

    fn spent(&self) -> Option<Spent> {
        let used: u64 = self.slots.iter().map(|(_, count)| count).sum();
        let (oldest, _) = self.slots.front()?;
        let reason = Reason::Budget {
            calls: self.calls,
            per: self.per,
        };
        (used >= self.calls).then(|| Spent {
            until: self.leaves(*oldest),
            reason,
        })
    }

    fn count(&mut self, now: Timestamp) {
        let slot = self.slot();
        match self.slots.back_mut() {
            Some((start, count)) if clock::after(*start, slot) > now => *count += 1,
            _ => self.slots.push_back((now, 1)),
        }
    }
}

#[cfg(test)]
mod tests;
