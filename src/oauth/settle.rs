//! What an exchange that brought no tokens changes; pure.

use std::time::Duration;

use super::grant::{Class, Refusal};
use super::standing::{Reason, Standing, State};
use super::vault::{Kind, Outcome};
use super::window::{View, ladder};
use crate::clock::after;
use crate::config::RetryInDoubt;
use crate::seal;

/// How often something is refused without a known word before a person is asked to look.
const UNCLASSIFIED_TRIES: u32 = 5;
/// The same for access that is denied.
const DENIED_TRIES: u32 = 3;
/// How long after its first refusal a refresh token is tried once more. Servers with several
/// machines have been seen to refuse a good token while one of them was behind.
const CONFIRM_AFTER: Duration = Duration::from_secs(60);
/// From this rung on the ladder is hourly: how often a rejected client is tried again.
const HOURLY: u32 = 6;

/// How an exchange ended that brought no tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The server never saw it.
    NotSent(String),
    /// The server never saw it, because nobody vouches that it is the right one.
    Untrusted(String),
    /// The server may have seen it; nobody knows what it did.
    Lost(String),
    /// The server answered.
    Refused(Refusal),
}

/// What becomes of the connection and of the attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled {
    pub standing: Standing,
    /// `None` while the attempt stays open, because nothing definite was said about what it spent.
    pub outcome: Option<Outcome>,
}

impl Ending {
    /// Returns true if asking again within seconds may help.
    pub(super) fn may_pass_soon(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Lost(_) => true,
            Self::Untrusted(_) => false,
            Self::Refused(refusal) => refusal.class == Class::InDoubt,
        }
    }

    /// Returns what may be shown of it.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::NotSent(detail) | Self::Untrusted(detail) | Self::Lost(detail) => detail.clone(),
            Self::Refused(refusal) => refusal.to_string(),
        }
    }
}

/// Decides what `ending` means for a connection seen as `view`, which spent what `kind` says and
/// whose configuration has `digest`.
pub(super) fn settle(
    view: &View<'_>,
    kind: Kind,
    ending: &Ending,
    digest: [u8; seal::KEY],
) -> Settled {
    let failures = view.standing.failures.saturating_add(1);
    let next = Next {
        view,
        kind,
        digest,
        detail: ending.detail(),
        failures,
    };
    let class = match ending {
        Ending::NotSent(_) => return next.back_off(Reason::Unreachable, None, Outcome::NotSent),
        Ending::Untrusted(_) => return next.untrusted(),
        Ending::Lost(_) => Class::InDoubt,
        Ending::Refused(refusal) => refusal.class,
    };
    use {Reason as R, State as S};
    match class {
        Class::TooEarly => next.too_early(),
        Class::Transient { retry_after } => {
            next.back_off(R::ServerTrouble, retry_after, Outcome::Transient)
        }
        Class::InDoubt => next.lost(),
        Class::Client => next.rejected(S::ClientRejected, R::ClientRefused, Outcome::Configuration),
        Class::Configuration => {
            next.rejected(S::ClientRejected, R::Configuration, Outcome::Configuration)
        }
        Class::Denied if failures >= DENIED_TRIES => {
            next.rejected(S::NeedsAttention, R::Denied, Outcome::Unclassified)
        }
        Class::Denied => next.back_off(R::Denied, None, Outcome::Unclassified),
        Class::Unclassified if failures >= UNCLASSIFIED_TRIES => {
            next.rejected(S::NeedsAttention, R::Unclassified, Outcome::Unclassified)
        }
        Class::Unclassified => next.back_off(R::Unclassified, None, Outcome::Unclassified),
        Class::DeadGrant => next.dead(),
    }
}

/// The makings of the next standing.
struct Next<'a> {
    view: &'a View<'a>,
    kind: Kind,
    digest: [u8; seal::KEY],
    detail: String,
    failures: u32,
}

impl Next<'_> {
    /// Waits longer each time. A doubt outlives whatever does not end it, and so does a refusal
    /// that is still to be confirmed.
    fn back_off(self, reason: Reason, at_least: Option<Duration>, outcome: Outcome) -> Settled {
        let wait = ladder(self.view.account, self.failures).max(at_least.unwrap_or_default());
        let next_at = Some(after(self.view.now, wait));
        if self.view.in_doubt {
            let standing = self.standing(State::InDoubt, Reason::AnswerLost);
            return Settled {
                standing: Standing {
                    next_at,
                    ..standing
                },
                outcome: None,
            };
        }
        let reason = match self.view.standing.reason {
            Some(Reason::RefusedOnce) => Reason::RefusedOnce,
            // What made us ask without the refresh token holds until that has worked.
            Some(why) if !self.view.spends_refresh_token() && why.is_about_refresh_token() => why,
            _ => reason,
        };
        let standing = self.standing(State::BackingOff, reason);
        Settled {
            standing: Standing {
                next_at,
                ..standing
            },
            outcome: Some(outcome),
        }
    }

    /// Changes nothing while the access token lives: it is used until it ends, then asked again.
    fn too_early(self) -> Settled {
        let ends = self
            .view
            .credential
            .and_then(|credential| credential.expires_at);
        match ends.filter(|ends| *ends > self.view.now) {
            Some(ends) if !self.view.in_doubt => {
                let standing = Standing {
                    next_at: Some(ends),
                    ..Standing::ok(self.view.now)
                };
                Settled {
                    standing,
                    outcome: Some(Outcome::TooEarly),
                }
            }
            // In doubt it says that the server counts from the request whose answer was lost.
            _ => {
                let pause = self
                    .view
                    .oauth
                    .window
                    .not_before
                    .filter(|_| self.view.in_doubt);
                self.back_off(Reason::TooEarly, pause, Outcome::TooEarly)
            }
        }
    }

    fn lost(self) -> Settled {
        if self.view.oauth.grant.is_unattended() {
            // What may be spent is not needed again, so nothing is in doubt.
            let reason = match self.kind {
                Kind::Refresh => Reason::AnswerLost,
                _ => Reason::ServerTrouble,
            };
            return self.back_off(reason, None, Outcome::Lost);
        }
        let is_first = !self.view.in_doubt;
        let next_at = match self.view.oauth.retry_in_doubt {
            // The end of the access token holds it back, and nothing else need.
            RetryInDoubt::AfterExpiry if is_first && self.view.is_usable() => None,
            RetryInDoubt::Never => None,
            RetryInDoubt::AfterExpiry | RetryInDoubt::AtOnce => Some(after(
                self.view.now,
                ladder(self.view.account, self.failures),
            )),
        };
        let standing = self.standing(State::InDoubt, Reason::AnswerLost);
        Settled {
            standing: Standing {
                next_at,
                ..standing
            },
            outcome: None,
        }
    }

    /// Goes on trying, and tells at once: a certificate seldom mends itself.
    fn untrusted(self) -> Settled {
        let wait = ladder(self.view.account, self.failures);
        let next_at = Some(after(self.view.now, wait));
        let outcome = (!self.view.in_doubt).then_some(Outcome::NotSent);
        let standing = self.standing(State::NeedsAttention, Reason::Certificate);
        Settled {
            standing: Standing {
                next_at,
                ..standing
            },
            outcome,
        }
    }

    /// Waits for a person, and looks every hour whether the server has changed its mind.
    fn rejected(self, state: State, reason: Reason, outcome: Outcome) -> Settled {
        let wait = ladder(self.view.account, self.failures.max(HOURLY));
        let next_at = Some(after(self.view.now, wait));
        let outcome = (!self.view.in_doubt).then_some(outcome);
        let rejected = Some(self.digest);
        let standing = self.standing(state, reason);
        Settled {
            standing: Standing {
                next_at,
                rejected,
                ..standing
            },
            outcome,
        }
    }

    /// Stops until another password is there: a few more tries would lock the account.
    fn locked_out(self) -> Settled {
        let rejected = Some(self.digest);
        let standing = self.standing(State::NeedsAttention, Reason::PasswordRefused);
        Settled {
            standing: Standing {
                rejected,
                ..standing
            },
            outcome: Some(Outcome::Refused),
        }
    }

    /// The server says that what was spent gives no access.
    fn dead(self) -> Settled {
        let refused =
            |next: Self, reason| next.rejected(State::ClientRejected, reason, Outcome::Refused);
        match self.kind {
            Kind::Refresh if self.view.oauth.grant.is_unattended() => self.fall_back(),
            // Nothing is asked for an import, so nothing of it is refused.
            Kind::Refresh | Kind::Code | Kind::Device | Kind::Import => self.revoked(),
            Kind::Password | Kind::Session => self.locked_out(),
            Kind::JwtBearer => refused(self, Reason::AssertionRefused),
            // There is no grant that could have died: the server means the client.
            Kind::ClientCredentials => refused(self, Reason::ClientRefused),
        }
    }

    /// Asks again at once, with what the configuration holds.
    fn fall_back(self) -> Settled {
        Settled {
            standing: self.standing(State::BackingOff, Reason::Refused),
            outcome: Some(Outcome::Refused),
        }
    }

    fn revoked(self) -> Settled {
        // A server that revokes everything when it sees a spent token again, or counts requests, is
        // not asked twice; nor is one that has answered a doubt.
        let confirms = self.view.oauth.retry_in_doubt == RetryInDoubt::AtOnce
            && !self.view.in_doubt
            && self.view.standing.reason != Some(Reason::RefusedOnce);
        let standing = if confirms {
            let next_at = Some(after(self.view.now, CONFIRM_AFTER));
            Standing {
                next_at,
                ..self.standing(State::BackingOff, Reason::RefusedOnce)
            }
        } else {
            let has_worked = self
                .view
                .credential
                .is_none_or(|credential| credential.refreshed);
            let reason = match (self.view.in_doubt, has_worked) {
                (true, _) => Reason::RotationAnswerLost,
                (false, true) => Reason::Refused,
                (false, false) => Reason::NeverWorked,
            };
            self.standing(State::NeedsLogin, reason)
        };
        Settled {
            standing,
            outcome: Some(Outcome::Refused),
        }
    }

    fn standing(self, state: State, reason: Reason) -> Standing {
        let before = self.view.standing;
        Standing {
            state,
            reason: Some(reason),
            detail: Some(self.detail),
            since: if before.state == state {
                before.since
            } else {
                self.view.now
            },
            next_at: None,
            failures: self.failures,
            rejected: None,
            written_at: self.view.now,
        }
    }
}

#[cfg(test)]
mod tests;
