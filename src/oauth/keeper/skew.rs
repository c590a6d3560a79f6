//! What is known of the clocks of authorization servers.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use jiff::Timestamp;

use super::Inner;
use super::entry::Entry;
use crate::config::OAuth;
use crate::http::Answer;
use crate::oauth::skew::Skew;

/// How far our clock is from each server's, where it is too far, by the server's origin.
pub(super) type Skews = BTreeMap<String, Skew>;

impl Inner {
    /// Returns the present instant as the server of `oauth` has it: what is signed for it must be
    /// neither old nor of the future there.
    pub(super) fn server_now(&self, oauth: &OAuth) -> Timestamp {
        let now = self.clock.now();
        let skew = self.skews().get(&origin(oauth)).copied();
        skew.map_or(now, |skew| skew.server_time(now))
    }

    /// Notes what the answer to a request of `sent_at` says about our clock, and tells a change.
    pub(super) fn compare_clocks(
        &self,
        entry: &Entry,
        oauth: &OAuth,
        answer: &Answer,
        sent_at: Timestamp,
    ) {
        let Some(seen) = Skew::seen(answer, sent_at, self.clock.now()) else {
            return;
        };
        let before = match seen {
            Some(skew) => self.skews().insert(origin(oauth), skew),
            None => self.skews().remove(&origin(oauth)),
        };
        let connection = &entry.account;
        match (before, seen) {
            (None, None) => {}
            (Some(before), Some(skew)) if !skew.is_other(before) => {}
            (_, Some(skew)) => tracing::warn!(%connection, "this machine's clock is {skew}"),
            (Some(_), None) => {
                tracing::info!(%connection, "this machine's clock agrees with the server's again");
            }
        }
    }

    /// Says how far our clock is from the server's, if that is too far.
    pub(super) fn clock_notice(&self, oauth: &OAuth) -> Option<String> {
        let skew = self.skews().get(&origin(oauth)).copied()?;
        Some(format!(
            "this machine's clock is {skew}: set the one right that is wrong"
        ))
    }

    fn skews(&self) -> MutexGuard<'_, Skews> {
        // No change to it can break off half-way, so it is whole even after a panic.
        self.skews.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn origin(oauth: &OAuth) -> String {
    oauth.authority().origin().ascii_serialization()
}
