//! What follows from an exchange that brought no tokens, here and for others of the same client.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::entry::Entry;
use super::{Inner, start};
use crate::config::OAuth;
use crate::oauth::Error;
use crate::oauth::grant::Class;
use crate::oauth::settle::{Ending, settle};
use crate::oauth::standing::{Reason, Standing, State};
use crate::oauth::vault::{Attempt, Outcome};
use crate::oauth::window::View;
use crate::seal;

/// The status by which a server asks to be left alone (RFC 6585 section 4).
const TOO_MANY: u16 = 429;

impl Inner {
    /// Draws the consequences of an exchange that brought no tokens; returns true if the attempt
    /// stays open. Where somebody has signed in meanwhile there are none.
    pub(super) async fn conclude(
        &self,
        entry: &Entry,
        oauth: &OAuth,
        attempt: &Attempt,
        ending: &Ending,
        digest: [u8; seal::KEY],
    ) -> bool {
        let now = self.clock.now();
        if entry.is_overtaken(attempt) {
            let (outcome, detail) = (Outcome::Superseded, Some(ending.detail()));
            let closed = self.vault.close(attempt, outcome, detail, None, now).await;
            self.cope(attempt, closed);
            return false;
        }
        let settled = {
            let mut live = entry.live();
            // What was in doubt before this try, not because of it.
            let view = entry.view(oauth, &live, now);
            let view = View {
                in_doubt: attempt.doubt_at.is_some(),
                ..view
            };
            let settled = settle(&view, attempt.kind, ending, digest);
            live.standing = settled.standing.clone();
            self.note(&settled.standing);
            if settled.outcome.is_some() {
                live.doubt.take_if(|doubt| doubt.id == attempt.id);
            } else if let Some(doubt) = &mut live.doubt {
                doubt.doubt_at.get_or_insert(now);
            }
            settled
        };
        tell(entry, attempt, &settled.standing);
        self.tell_others(entry, ending, &settled.standing);
        let standing = settled.standing;
        let written = match settled.outcome {
            Some(outcome) => {
                let detail = standing.detail.clone();
                self.vault
                    .close(attempt, outcome, detail, Some(standing), now)
                    .await
            }
            None => self.vault.doubt(attempt, standing).await,
        };
        // An attempt that could not be closed is a doubt at the next start, which is safe.
        self.cope(attempt, written);
        settled.outcome.is_none()
    }

    /// Returns true if what held an account back is gone: a secret that was missing is there, or
    /// what the server refused is configured otherwise.
    ///
    /// # Errors
    /// If a secret cannot be read.
    pub(super) fn is_held_no_longer(&self, entry: &Entry, oauth: &OAuth) -> Result<bool, Error> {
        let (reason, rejected) = {
            let standing = &entry.live().standing;
            (standing.reason, standing.rejected)
        };
        let is_over = match (reason, rejected) {
            (Some(Reason::SecretMissing), _) => entry.secrets(oauth).map(|_| true)?,
            (_, Some(rejected)) => {
                start::digest(&self.vault, oauth, &entry.secrets(oauth)?) != rejected
            }
            _ => false,
        };
        if is_over {
            let mut live = entry.live();
            live.standing.next_at = None;
            live.standing.reason = None;
        }
        Ok(is_over)
    }

    /// Spares others what the server would answer them too.
    fn tell_others(&self, entry: &Entry, ending: &Ending, standing: &Standing) {
        let Ending::Refused(refusal) = ending else {
            return;
        };
        if refusal.class == Class::Client {
            self.hold_back(&self.others(entry, OAuth::is_same_client), standing);
        }
        if refusal.status == TOO_MANY {
            let others = self.others(entry, OAuth::is_same_server);
            for other in others {
                let mut live = other.live();
                live.standing.next_at = live.standing.next_at.max(standing.next_at);
            }
        }
    }

    /// Holds back the other accounts of a client that the server refuses, so that one of them tries
    /// again and not all.
    fn hold_back(&self, others: &[Arc<Entry>], refused: &Standing) {
        for other in others {
            let mut live = other.live();
            let rests = live.standing.reason == Some(Reason::Restored);
            if live.standing.state != State::NeedsLogin && !rests {
                live.standing = Standing {
                    rejected: Some(other.client.digest),
                    ..refused.clone()
                };
                self.note(&live.standing);
            }
        }
    }

    /// Notes that a standing may be one that another account's success ends.
    pub(super) fn note(&self, standing: &Standing) {
        if standing.reason == Some(Reason::ClientRefused) {
            self.may_hold_back.store(true, Ordering::SeqCst);
        }
    }

    /// Lets every account that was held back with this one ask again.
    pub(super) fn admit_again(&self, entry: &Entry, now: Timestamp) {
        // Forgotten first, so that what is noted while we look is not.
        if !self.may_hold_back.swap(false, Ordering::SeqCst) {
            return;
        }
        for other in self.others(entry, OAuth::is_same_client) {
            let mut live = other.live();
            if live.standing.reason == Some(Reason::ClientRefused) {
                live.standing = Standing::ok(now);
            }
        }
        // Those of other clients stay held back.
        for other in self.accounts.all() {
            self.note(&other.live().standing);
        }
    }

    /// Returns the other accounts whose configuration is the same in this respect.
    pub(super) fn others(
        &self,
        entry: &Entry,
        is_same: fn(&OAuth, &OAuth) -> bool,
    ) -> Vec<Arc<Entry>> {
        let mut others = self.accounts.all();
        others.retain(|other| {
            let both = entry.oauth().zip(other.oauth());
            other.account != entry.account && both.is_some_and(|(one, two)| is_same(one, two))
        });
        others
    }
}

/// Logs how a connection stands after an exchange that brought no tokens.
fn tell(entry: &Entry, attempt: &Attempt, standing: &Standing) {
    let reason = standing.reason.map(Reason::as_str);
    let detail = standing.detail.as_deref();
    let next_at = standing.next_at.map(tracing::field::display);
    let connection = &entry.account;
    let (attempt, generation) = (attempt.id, attempt.generation);
    match standing.state {
        State::Ok | State::Refreshing => tracing::info!(
            %connection, attempt, generation, next_at,
            "the authorization server says it is too early for a refresh"
        ),
        State::BackingOff => tracing::warn!(
            %connection, attempt, generation, reason, detail, next_at,
            "no new access token yet"
        ),
        State::InDoubt => tracing::warn!(
            %connection, attempt, generation, reason, detail, next_at,
            "the answer to a refresh was lost"
        ),
        State::NeedsLogin => tracing::error!(
            %connection, attempt, generation, reason, detail,
            "somebody must sign in: type `tidegate login {}`", connection.words()
        ),
        State::ClientRejected | State::NeedsAttention => tracing::error!(
            %connection, attempt, generation, reason, detail, next_at,
            "the authorization server refuses this connection"
        ),
    }
}
