//! One request to a token endpoint: sent, its answer kept on disk, and its tokens stored.

use std::time::Duration;

use super::entry::Entry;
use super::{Inner, orphans};
use crate::clock;
use crate::http;
use crate::oauth::grant::{self, Class, Question, Reading, Tokens};
use crate::oauth::health::lacks;
use crate::oauth::id_token::IdTokenError;
use crate::oauth::points::{self, Point};
use crate::oauth::settle::Ending;
use crate::oauth::vault::{self, Attempt, Credential, Orphan};
use crate::remedy::told;

/// How long one exchange may take. Exact Online has been seen to need 35 s at night, and giving up
/// on an answer is what loses refresh tokens.
const LIMITS: http::Limits = http::Limits {
    timeout: Duration::from_secs(90),
    body: grant::ANSWER_LIMIT,
};
/// How long to wait between tries to store what the server has already handed over.
const STORE_AGAIN: Duration = Duration::from_secs(1);
const STORE_AGAIN_MOST: Duration = Duration::from_secs(60);

/// What an exchange came to.
pub(super) enum Landing {
    Committed(Box<Credential>),
    /// Tokens for another person than before, or for nobody knows whom; they are to be revoked, if
    /// that harms nobody, and the attempt is closed then.
    Unidentified(IdTokenError, Option<Box<Orphan>>),
    /// No tokens.
    Empty(Ending),
    /// Tokens that could not be stored; the next start finds them in the reserved file.
    Stranded,
    /// Tokens in whose place another credential stands already; they are to be revoked, if the
    /// server can be asked to.
    Late(Option<Box<Orphan>>),
}

impl Inner {
    /// Sends one request of `attempt` and brings home what comes back.
    pub(super) async fn exchange(
        &self,
        entry: &Entry,
        attempt: &Attempt,
        question: &Question<'_>,
    ) -> Landing {
        points::reach(&entry.account.connection, Point::Intent).await;
        let sent_at = self.clock.now();
        entry.client.quota().count(sent_at);
        let oauth = question.client.oauth;
        let request = match question.request(self.server_now(oauth)) {
            Ok(request) => request,
            Err(error) => return Landing::Empty(Ending::NotSent(error.to_string())),
        };
        let identity = question.client.secrets.identity.as_ref();
        let answer = match self.http.exchange(request, identity, LIMITS).await {
            Ok(answer) => answer,
            Err(
                error @ (http::Error::Lost { .. }
                | http::Error::TooLarge { .. }
                | http::Error::Encoded { .. }),
            ) => return Landing::Empty(Ending::Lost(error.to_string())),
            Err(error @ http::Error::Untrusted { .. }) => {
                return Landing::Empty(Ending::Untrusted(error.to_string()));
            }
            Err(
                error @ (http::Error::NotSent { .. }
                | http::Error::ForeignOrigin { .. }
                | http::Error::BadCredential
                | http::Error::Setup { .. }),
            ) => return Landing::Empty(Ending::NotSent(error.to_string())),
        };
        self.compare_clocks(entry, oauth, &answer, sent_at);
        let is_kept = (200..300).contains(&answer.status)
            && attempt.kind.is_single_use()
            && self.keep(attempt, &answer.body).await;
        let now = self.clock.now();
        match question.read(&answer, now) {
            Reading::Tokens(mut tokens) => {
                let identified = self.identify(entry, attempt, question, &mut tokens).await;
                match identified {
                    // Whoever has signed in since may be another, and none of this is used.
                    Err(error) if !entry.is_overtaken(attempt) => {
                        let body = &answer.body;
                        let orphan = self.refuse(entry, attempt, body, &tokens, &error).await;
                        return Landing::Unidentified(error, orphan.map(Box::new));
                    }
                    Ok(()) | Err(_) => {}
                }
                let stored = self.store(entry, attempt, &tokens, is_kept).await;
                let Some(landing) = stored else {
                    let late = orphans::put_by(&self.vault, attempt, &answer.body, &tokens, now);
                    return Landing::Late(self.cope(attempt, late.await).flatten().map(Box::new));
                };
                if let Landing::Committed(credential) = &landing {
                    tracing::info!(
                        connection = %entry.account,
                        attempt = attempt.id,
                        generation = credential.generation,
                        kind = attempt.kind.as_str(),
                        elapsed_ms = clock::until(sent_at, now).as_millis() as u64,
                        "got a new access token"
                    );
                    let lacks = lacks(oauth, credential);
                    for odd in tokens.assumed.map(str::to_owned).into_iter().chain(lacks) {
                        tracing::warn!(connection = %entry.account, "{odd}");
                    }
                }
                landing
            }
            Reading::Refused(refusal) => {
                if is_kept && refusal.class == Class::InDoubt {
                    // Tokens may be in there that a person can still find.
                    let set_aside = self.vault.set_aside(attempt, now).await;
                    self.cope(attempt, set_aside);
                }
                Landing::Empty(Ending::Refused(refusal))
            }
        }
    }

    async fn keep(&self, attempt: &Attempt, body: &[u8]) -> bool {
        let kept = self.vault.keep_answer(attempt, body).await;
        if let Err(error) = &kept {
            // The commit that follows may still succeed.
            tracing::error!(
                connection = %attempt.account, attempt = attempt.id, %error,
                "could not keep the answer of a token endpoint on disk"
            );
        }
        points::reach(&attempt.account.connection, Point::RescueWrite).await;
        kept.is_ok()
    }

    /// Commits the tokens, for as long as it takes, and then lets everybody use them; `None` if
    /// another credential stands in their place.
    async fn store(
        &self,
        entry: &Entry,
        attempt: &Attempt,
        tokens: &Tokens,
        is_kept: bool,
    ) -> Option<Landing> {
        let mut pause = STORE_AGAIN;
        loop {
            let now = self.clock.now();
            let under_way = entry.attempt_under_way();
            match self.vault.commit(attempt, tokens, under_way, now).await {
                Ok(credential) => {
                    points::reach(&entry.account.connection, Point::Commit).await;
                    entry.renew(credential.clone(), attempt.kind, now);
                    self.admit_again(entry, now);
                    let discarded = self.vault.discard(attempt.id).await;
                    self.cope(attempt, discarded);
                    points::reach(&entry.account.connection, Point::Unlink).await;
                    return Some(Landing::Committed(Box::new(credential)));
                }
                Err(vault::Error::Conflict { .. }) => return None,
                Err(error) => {
                    let detail = told(&error);
                    tracing::error!(
                        connection = %entry.account, attempt = attempt.id, error = detail,
                        "NEW TOKENS ARE IN HAND BUT COULD NOT BE STORED; trying again until they are"
                    );
                    entry.hold_up(detail);
                }
            }
            if is_kept && self.stopping.is_cancelled() {
                return Some(Landing::Stranded);
            }
            tokio::select! {
                () = clock::sleep(&*self.clock, pause) => {}
                () = self.stopping.cancelled(), if is_kept => {}
            }
            pause = (pause * 2).min(STORE_AGAIN_MOST);
        }
    }
}
