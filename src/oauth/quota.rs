//! How many token requests a server allows; pure.
//!
//! Some providers count them per day. What is asked for without a person keeps a few of them back,
//! so that somebody can always sign in.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;
use crate::config::Budget;

/// The share of a quota that is kept for people: one in ten, and never more than ten.
const PEOPLES_SHARE: u64 = 10;
const MOST_FOR_PEOPLE: u64 = 10;
/// The most requests that are remembered; no provider that counts them allows as many.
const REMEMBERED: usize = 100_000;

/// The token requests of one client that still count.
#[derive(Debug)]
pub(super) struct Quota {
    limits: Vec<Budget>,
    /// When each was sent, oldest first.
    sent: VecDeque<Timestamp>,
}

impl Quota {
    /// Starts with the requests that earlier processes have `sent`.
    pub(super) fn new(limits: &[Budget], mut sent: Vec<Timestamp>) -> Self {
        sent.sort_unstable();
        Self {
            limits: limits.to_vec(),
            sent: sent.into(),
        }
    }

    /// Counts a request that is about to be sent.
    pub(super) fn count(&mut self, at: Timestamp) {
        let Some(longest) = self.longest() else {
            return;
        };
        while self.sent.len() >= REMEMBERED
            || self
                .sent
                .front()
                .is_some_and(|first| after(*first, longest) <= at)
        {
            self.sent.pop_front();
        }
        // A clock that was set back must not make the oldest look new.
        let at = self.sent.back().map_or(at, |last| at.max(*last));
        self.sent.push_back(at);
    }

    /// Returns until when a request sent at `at` counts; `None` if nothing is limited.
    pub(super) fn counts_until(&self, at: Timestamp) -> Option<Timestamp> {
        Some(after(at, self.longest()?))
    }

    /// Returns when a request may be sent that no person waits for; `None` if it may be now.
    pub(super) fn free_at(&self, now: Timestamp) -> Option<Timestamp> {
        let free = |limit: &Budget| {
            let allowed = limit.calls - for_people(limit.calls);
            let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
            // The request that must have stopped counting before another one fits.
            let holder = self.sent.len().checked_sub(allowed)?;
            Some(after(*self.sent.get(holder)?, limit.per)).filter(|at| *at > now)
        };
        self.limits.iter().filter_map(free).max()
    }

    fn longest(&self) -> Option<Duration> {
        self.limits.iter().map(|limit| limit.per).max()
    }
}

fn for_people(calls: u64) -> u64 {
    match calls {
        0 | 1 => 0,
        calls => calls.div_ceil(PEOPLES_SHARE).min(MOST_FOR_PEOPLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_740_895_200 + second).unwrap()
    }

    fn limit(calls: u64, seconds: u64) -> Budget {
        Budget {
            calls,
            per: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_full_window_opens_when_its_first_request_leaves_it() {
        let mut quota = Quota::new(&[limit(4, 60)], vec![at(10), at(0)]);
        assert_eq!(quota.free_at(at(10)), None);
        quota.count(at(20));
        // Three of four are for us; the fourth is for a person.
        assert_eq!(quota.free_at(at(20)), Some(at(60)));
        assert_eq!(quota.free_at(at(60)), None);
        assert_eq!(quota.counts_until(at(20)), Some(at(80)));
    }

    #[test]
    fn the_tightest_limit_counts_and_a_single_call_is_ours() {
        let mut quota = Quota::new(&[limit(1, 600), limit(200, 86_400)], Vec::new());
        assert_eq!(quota.free_at(at(0)), None);
        quota.count(at(0));
        assert_eq!(quota.free_at(at(599)), Some(at(600)));
        quota.count(at(600));
        assert_eq!(quota.free_at(at(601)), Some(at(1200)));
    }

    #[test]
    fn without_limits_nothing_is_remembered() {
        let mut quota = Quota::new(&[], Vec::new());
        quota.count(at(0));
        assert_eq!(
            (quota.free_at(at(0)), quota.counts_until(at(0))),
            (None, None)
        );
        assert!(quota.sent.is_empty());
    }
}
