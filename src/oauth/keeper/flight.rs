//! A flight: one errand to a token endpoint, from the decision to its last consequence.

use std::sync::Arc;
use std::time::Duration;

use super::entry::Entry;
use super::exchange::Landing;
use super::material::Material;
use super::{Inner, start};
use crate::clock;
use crate::config::{OAuth, RetryInDoubt};
use crate::oauth::grant::{Ask, Check, Class, Client, Question, Refusal};
use crate::oauth::id_token::IdTokenError;
use crate::oauth::settle::Ending;
use crate::oauth::standing::{Reason, Standing, State};
use crate::oauth::vault::{self, Attempt, Intent, Kind};
use crate::remedy::told;
use crate::seal;
use crate::secret::ExposeSecret;

/// When a refresh token is tried again after a lost answer, while a grace period may be open.
const AT_ONCE: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];
/// The same where a spent token kills the chain, once the access token has ended: there is nothing
/// left to lose by one prompt try, and its answer tells whether somebody must sign in.
const AFTER_EXPIRY: [Duration; 1] = [Duration::from_secs(10)];
/// How long to hold off after nothing could be sent for a reason of our own.
const HOLD_OFF: Duration = Duration::from_secs(30);

impl Inner {
    /// Asks for new tokens with the credential of `generation`, if that is still the present one
    /// and it is still time. Every outcome is left in the entry and in the vault.
    pub(super) async fn fly(
        self: &Arc<Self>,
        entry: &Entry,
        generation: Option<u64>,
        refused: bool,
    ) {
        let Some(oauth) = entry.oauth() else { return };
        let places = self.places(oauth);
        let _place = places.acquire().await;
        let _turn = entry.turn.lock().await;
        let gate = entry.gate.lock().await;
        if !self.is_still_due(entry, oauth, generation, refused) {
            return;
        }
        let server = match self.server(entry, oauth).await {
            Ok(server) => server,
            Err(error) => return self.hold_off(entry, Reason::ServerUnknown, &error),
        };
        let Some((secrets, material)) = self.material(entry, oauth, generation).await else {
            return;
        };
        let digest = start::digest(&self.vault, oauth, &secrets);
        let Some(mut attempt) = self.write_down(entry, oauth, &material, generation).await else {
            return;
        };
        // From here on somebody may sign in instead.
        drop(gate);
        let question = Question {
            client: Client {
                oauth,
                server: &server,
                secrets: &secrets,
            },
            ask: material.ask(),
            check: Check::default(),
        };
        if !refused && self.extends(entry, &attempt, &question, digest).await {
            return;
        }
        let mut pauses = self.pauses(entry, oauth).iter();
        // Bounded by the pauses.
        loop {
            let ending = match self.exchange(entry, &attempt, &question).await {
                Landing::Empty(ending) => ending,
                Landing::Unidentified(error, _) => of_another(&error),
                Landing::Committed(_) | Landing::Stranded => return,
                Landing::Late(orphan) => {
                    if let Some(orphan) = orphan {
                        self.begin_revoking(*orphan);
                    }
                    let _gate = entry.gate.lock().await;
                    return self.look_into_vault(entry, oauth).await;
                }
            };
            let stays_open = self.conclude(entry, oauth, &attempt, &ending, digest).await;
            if is_not_there(&ending) && self.has_moved(entry, oauth, &server).await {
                entry.live().standing.next_at = None;
                return;
            }
            let may_help = stays_open && ending.may_pass_soon();
            let Some(pause) = pauses.next().filter(|_| may_help) else {
                return;
            };
            tokio::select! {
                () = clock::sleep(&*self.clock, *pause) => {}
                // The next start goes on from what the vault says.
                () = self.stopping.cancelled() => return,
            }
            let _gate = entry.gate.lock().await;
            match self.vault.again(&attempt, self.clock.now()).await {
                Ok(again) => attempt = again,
                Err(error) => return self.not_written(entry, oauth, &error).await,
            }
            entry.live().doubt = Some(attempt.clone());
        }
    }

    /// Gives a session longer life, where its source can and the session is not over; returns
    /// false if a login must follow.
    async fn extends(
        &self,
        entry: &Entry,
        attempt: &Attempt,
        login: &Question<'_>,
        digest: [u8; seal::KEY],
    ) -> bool {
        let Ask::Session(session, _) = login.ask else {
            return false;
        };
        let present = {
            let live = entry.live();
            let view = entry.view(login.client.oauth, &live, self.clock.now());
            live.access_token().filter(|_| view.is_usable())
        };
        let Some(present) = present.filter(|_| session.refresh.is_some()) else {
            return false;
        };
        let question = Question {
            ask: Ask::Session(session, Some(&present.token)),
            ..*login
        };
        match self.exchange(entry, attempt, &question).await {
            Landing::Committed(_) | Landing::Stranded | Landing::Late(_) => true,
            // It says that the session is over, and nothing of the password.
            Landing::Empty(Ending::Refused(_)) | Landing::Unidentified(..) => false,
            Landing::Empty(ending) => {
                self.conclude(entry, login.client.oauth, attempt, &ending, digest)
                    .await;
                true
            }
        }
    }

    /// How soon a refresh token is tried again after a lost answer, before the ladder begins.
    fn pauses(&self, entry: &Entry, oauth: &OAuth) -> &'static [Duration] {
        let is_usable = entry
            .view(oauth, &entry.live(), self.clock.now())
            .is_usable();
        match oauth.retry_in_doubt {
            // What can be had again is not in doubt.
            _ if oauth.grant.is_unattended() => &[],
            RetryInDoubt::Never => &[],
            RetryInDoubt::AtOnce => &AT_ONCE,
            // The chain may die by the next try, and the access token with it.
            RetryInDoubt::AfterExpiry if is_usable => &[],
            RetryInDoubt::AfterExpiry => &AFTER_EXPIRY,
        }
    }

    /// Looks again: whoever had the turn before may have done it all.
    fn is_still_due(
        &self,
        entry: &Entry,
        oauth: &OAuth,
        generation: Option<u64>,
        refused: bool,
    ) -> bool {
        let now = self.clock.now();
        let live = entry.live();
        let allowed_at = entry.view(oauth, &live, now).allowed_at(refused);
        live.generation() == generation
            && allowed_at.is_some_and(|at| at <= now)
            && !self.stopping.is_cancelled()
    }

    /// Writes the attempt down, or the next try of the one that is in doubt.
    async fn write_down(
        &self,
        entry: &Entry,
        oauth: &OAuth,
        material: &Material,
        generation: Option<u64>,
    ) -> Option<Attempt> {
        let at = self.clock.now();
        let doubt = entry.live().doubt.clone();
        let written = match (doubt, material) {
            (Some(attempt), Material::Refresh(_)) => self.vault.again(&attempt, at).await,
            (None, Material::Refresh(token)) => {
                let account = entry.account.to_string();
                let parts = [account.as_bytes(), token.expose_secret().as_bytes()];
                let fingerprint = Some(self.vault.fingerprint(&parts));
                self.begin(entry, Kind::Refresh, generation, fingerprint)
                    .await
            }
            // A doubt about a refresh token that is not needed again ends with the next answer.
            (_, material) => self.begin(entry, material.kind(), None, None).await,
        };
        match written {
            Ok(attempt) => {
                if attempt.kind == Kind::Refresh {
                    // From here on the token may be spent, whatever becomes of this task.
                    entry.live().doubt = Some(attempt.clone());
                }
                Some(attempt)
            }
            Err(error) => {
                self.not_written(entry, oauth, &error).await;
                None
            }
        }
    }

    pub(super) async fn begin(
        &self,
        entry: &Entry,
        kind: Kind,
        generation: Option<u64>,
        fingerprint: Option<[u8; crate::seal::KEY]>,
    ) -> Result<Attempt, vault::Error> {
        let at = self.clock.now();
        let account = entry.account.clone();
        let counts_until = entry.client.quota().counts_until(at);
        self.vault
            .begin(Intent {
                account,
                kind,
                generation,
                fingerprint,
                at,
                counts_until,
            })
            .await
    }

    /// Draws the consequence of an attempt that could not be written down: nothing is sent.
    async fn not_written(&self, entry: &Entry, oauth: &OAuth, error: &vault::Error) {
        match error {
            vault::Error::Conflict { .. } => self.look_into_vault(entry, oauth).await,
            error => self.hold_off(entry, Reason::VaultUnwritable, error),
        }
    }

    /// Takes from the vault what is known of a connection, after something here broke off between
    /// the vault's change and ours. Turn and gate must be held: what is open there is taken to have
    /// been left so.
    pub(super) async fn look_into_vault(&self, entry: &Entry, oauth: &OAuth) {
        let now = self.clock.now();
        let name = &entry.account;
        match start::recovered(&self.vault, name, oauth, entry.client.digest, now).await {
            Ok(found) => {
                self.note(&found.standing);
                entry.live().take(found);
            }
            Err(error) => self.hold_off(entry, Reason::VaultUnwritable, &error),
        }
    }

    /// Waits a little after nothing could be sent for a reason of our own. It is not written down:
    /// a new process may look at once.
    pub(super) fn hold_off(
        &self,
        entry: &Entry,
        reason: Reason,
        error: &(dyn std::error::Error + 'static),
    ) {
        let detail = told(error);
        tracing::error!(connection = %entry.account, error = detail, "nothing was sent to the token endpoint");
        let now = self.clock.now();
        let mut live = entry.live();
        live.standing = Standing {
            state: if live.doubt.is_some() {
                State::InDoubt
            } else {
                State::BackingOff
            },
            reason: Some(reason),
            detail: Some(detail),
            next_at: Some(clock::after(now, HOLD_OFF)),
            failures: live.standing.failures,
            ..Standing::ok(now)
        };
    }

    /// Tells of something that failed without harm: what is on disk already says enough.
    pub(super) fn cope<T>(&self, attempt: &Attempt, result: Result<T, vault::Error>) -> Option<T> {
        let coped = result.inspect_err(|error| {
            tracing::warn!(
                connection = %attempt.account,
                attempt = attempt.id,
                error = told(error),
                "could not tidy up after an exchange"
            );
        });
        coped.ok()
    }
}

/// A refresh that brought another person's tokens ends the grant: the old tokens are spent, and the
/// new ones would mix the data of two.
fn of_another(error: &IdTokenError) -> Ending {
    Ending::Refused(Refusal {
        class: Class::DeadGrant,
        status: 200,
        code: None,
        description: Some(error.to_string()),
        clock_off: None,
    })
}

/// Returns true if nothing takes token requests where the request was sent.
fn is_not_there(ending: &Ending) -> bool {
    match ending {
        Ending::Refused(refusal) => {
            refusal.code.is_none() && matches!(refusal.status, 404 | 405 | 410 | 415)
        }
        Ending::NotSent(_) | Ending::Untrusted(_) | Ending::Lost(_) => false,
    }
}
