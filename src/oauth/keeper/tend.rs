//! Refreshing what is due without anybody asking.

use jiff::Timestamp;

use super::{Keeper, LOOK_AGAIN};
use crate::clock;
use crate::config::Account;

impl Keeper {
    /// Starts the refreshes that are due by now, and returns when to look again.
    ///
    /// `due` says when a connection will next be needed. Look again also when
    /// [`any_landed`](Self::any_landed) completes. To be called inside the runtime.
    pub fn tend(&self, due: impl Fn(&Account) -> Option<Timestamp>) -> Option<Timestamp> {
        let now = self.inner.clock.now();
        let mut next_at = None;
        for entry in &self.inner.accounts.all() {
            let Some(oauth) = entry.oauth() else { continue };
            let (due_at, generation, is_flying) = {
                let live = entry.live();
                let view = entry.view(oauth, &live, now);
                (
                    view.due_at(due(&entry.account)),
                    live.generation(),
                    live.under_way().is_some(),
                )
            };
            let look_at = match due_at {
                _ if is_flying => Some(clock::after(now, LOOK_AGAIN)),
                Some(due_at) if due_at <= now => {
                    // While stopping nothing departs, and nobody looks again.
                    let departed = self.depart(entry, generation, false).is_ok();
                    departed.then(|| clock::after(now, LOOK_AGAIN))
                }
                due_at => due_at,
            };
            next_at = next_at.into_iter().chain(look_at).min();
        }
        next_at
    }

    /// Completes when some refresh has ended since it last did. For one listener: the one who tends.
    pub async fn any_landed(&self) {
        self.inner.landed.notified().await;
    }
}
