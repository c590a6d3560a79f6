//! What an exchange that brought no tokens changes; pure.

use std::time::Duration;

use super::grant::{Class, Refusal};
use super::standing::{Reason, Standing, State};
use super::vault::Outcome;
use super::window::{View, ladder};
use crate::clock::after;
use crate::config::RetryInDoubt;
use crate::seal;

/// How often something is refused without a known word before a person is asked to look.
const UNCLASSIFIED_TRIES: u32 = 5;
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
            Self::Refused(refusal) => refusal.class == Class::InDoubt,
        }
    }

    /// Returns what may be shown of it.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::NotSent(detail) | Self::Lost(detail) => detail.clone(),
            Self::Refused(refusal) => refusal.to_string(),
        }
    }
}

/// Decides what `ending` means for a connection seen as `view`, whose configuration has `digest`.
pub(super) fn settle(view: &View<'_>, ending: &Ending, digest: [u8; seal::KEY]) -> Settled {
    let failures = view.standing.failures.saturating_add(1);
    let next = Next {
        view,
        detail: ending.detail(),
        failures,
    };
    let class = match ending {
        Ending::NotSent(_) => return next.back_off(Reason::Unreachable, None, Outcome::NotSent),
        Ending::Lost(_) => Class::InDoubt,
        Ending::Refused(refusal) => refusal.class,
    };
    match class {
        Class::TooEarly => next.too_early(),
        Class::Transient { retry_after } => {
            next.back_off(Reason::ServerTrouble, retry_after, Outcome::Transient)
        }
        Class::InDoubt => next.lost(),
        Class::Configuration => next.rejected(
            State::ClientRejected,
            Reason::Configuration,
            Outcome::Configuration,
            digest,
        ),
        Class::Unclassified if failures >= UNCLASSIFIED_TRIES => next.rejected(
            State::NeedsAttention,
            Reason::Unclassified,
            Outcome::Unclassified,
            digest,
        ),
        Class::Unclassified => next.back_off(Reason::Unclassified, None, Outcome::Unclassified),
        Class::DeadGrant if view.oauth.grant.sends_password() => next.locked_out(digest),
        Class::DeadGrant => next.dead(),
    }
}

/// The makings of the next standing.
struct Next<'a> {
    view: &'a View<'a>,
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
            // Nothing was spent, so nothing is in doubt.
            return self.back_off(Reason::ServerTrouble, None, Outcome::Lost);
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

    /// Waits for a person, and looks every hour whether the server has changed its mind.
    fn rejected(
        self,
        state: State,
        reason: Reason,
        outcome: Outcome,
        digest: [u8; seal::KEY],
    ) -> Settled {
        let wait = ladder(self.view.account, self.failures.max(HOURLY));
        let next_at = Some(after(self.view.now, wait));
        let outcome = (!self.view.in_doubt).then_some(outcome);
        let standing = self.standing(state, reason);
        Settled {
            standing: Standing {
                next_at,
                rejected: Some(digest),
                ..standing
            },
            outcome,
        }
    }

    /// Stops until another password is there: a few more tries would lock the account.
    fn locked_out(self, digest: [u8; seal::KEY]) -> Settled {
        let standing = self.standing(State::NeedsAttention, Reason::PasswordRefused);
        Settled {
            standing: Standing {
                rejected: Some(digest),
                ..standing
            },
            outcome: Some(Outcome::Refused),
        }
    }

    fn dead(self) -> Settled {
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
            let reason = match self.view.in_doubt {
                true => Reason::RotationAnswerLost,
                false => Reason::Refused,
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
mod tests {
    use super::*;
    use crate::config::{Account, Name, OAuth};
    use crate::oauth::testing::{credential, oauth};
    use jiff::Timestamp;

    const DIGEST: [u8; seal::KEY] = [7; seal::KEY];

    fn now() -> Timestamp {
        "2025-03-02T06:00:00Z".parse().unwrap()
    }

    fn refused(class: Class) -> Ending {
        Ending::Refused(Refusal {
            class,
            status: 400,
            code: None,
            description: None,
        })
    }

    /// Settles `ending` for a connection whose access token ends in 15 s.
    fn settled(oauth: &OAuth, before: &Standing, in_doubt: bool, ending: &Ending) -> Settled {
        let account = Account::of(&Name::parse("exact").unwrap());
        let credential = credential(now(), Some(15));
        let view = View {
            account: &account,
            oauth,
            credential: Some(&credential),
            standing: before,
            in_doubt,
            quota_at: None,
            now: now(),
        };
        settle(&view, ending, DIGEST)
    }

    #[test]
    fn only_a_definite_answer_ends_a_doubt() {
        let at_once = oauth("http://127.0.0.1:1/");
        let mut after_expiry = oauth("http://127.0.0.1:1/");
        after_expiry.retry_in_doubt = RetryInDoubt::AfterExpiry;
        let transient = refused(Class::Transient { retry_after: None });
        let lost = Ending::Lost("cut".into());
        let not_sent = Ending::NotSent("refused".into());
        let dead = refused(Class::DeadGrant);
        let early = refused(Class::TooEarly);
        use {Reason as R, State as S};
        // which policy, in doubt before, ending, state, reason, outcome
        let cases = [
            (
                &at_once,
                false,
                &lost,
                S::InDoubt,
                Some(R::AnswerLost),
                None,
            ),
            (&at_once, true, &lost, S::InDoubt, Some(R::AnswerLost), None),
            (
                &at_once,
                false,
                &not_sent,
                S::BackingOff,
                Some(R::Unreachable),
                Some(Outcome::NotSent),
            ),
            (
                &at_once,
                true,
                &not_sent,
                S::InDoubt,
                Some(R::AnswerLost),
                None,
            ),
            (
                &at_once,
                true,
                &transient,
                S::InDoubt,
                Some(R::AnswerLost),
                None,
            ),
            (
                &at_once,
                false,
                &transient,
                S::BackingOff,
                Some(R::ServerTrouble),
                Some(Outcome::Transient),
            ),
            (
                &at_once,
                false,
                &early,
                S::Ok,
                None,
                Some(Outcome::TooEarly),
            ),
            (
                &at_once,
                true,
                &early,
                S::InDoubt,
                Some(R::AnswerLost),
                None,
            ),
            (
                &at_once,
                false,
                &dead,
                S::BackingOff,
                Some(R::RefusedOnce),
                Some(Outcome::Refused),
            ),
            (
                &at_once,
                true,
                &dead,
                S::NeedsLogin,
                Some(R::RotationAnswerLost),
                Some(Outcome::Refused),
            ),
            (
                &after_expiry,
                false,
                &dead,
                S::NeedsLogin,
                Some(R::Refused),
                Some(Outcome::Refused),
            ),
            (
                &after_expiry,
                true,
                &dead,
                S::NeedsLogin,
                Some(R::RotationAnswerLost),
                Some(Outcome::Refused),
            ),
        ];
        for (oauth, in_doubt, ending, state, reason, outcome) in cases {
            let settled = settled(oauth, &Standing::ok(now()), in_doubt, ending);
            let found = (
                settled.standing.state,
                settled.standing.reason,
                settled.outcome,
            );
            assert_eq!(
                found,
                (state, reason, outcome),
                "{ending:?} in doubt: {in_doubt}"
            );
        }
    }

    #[test]
    fn a_refusal_is_confirmed_once_whatever_comes_between() {
        let at_once = oauth("http://127.0.0.1:1/");
        let dead = refused(Class::DeadGrant);
        let first = settled(&at_once, &Standing::ok(now()), false, &dead).standing;
        assert_eq!(first.next_at, Some(after(now(), CONFIRM_AFTER)));
        let between = settled(&at_once, &first, false, &Ending::NotSent("x".into())).standing;
        assert_eq!(between.reason, Some(Reason::RefusedOnce));
        let second = settled(&at_once, &between, false, &dead).standing;
        assert_eq!(
            (second.state, second.reason),
            (State::NeedsLogin, Some(Reason::Refused))
        );
    }

    #[test]
    fn too_early_waits_for_the_end_of_the_access_token() {
        let plain = oauth("http://127.0.0.1:1/");
        let settled = settled(
            &plain,
            &Standing::ok(now()),
            false,
            &refused(Class::TooEarly),
        );
        assert_eq!(
            settled.standing.next_at,
            Some(after(now(), Duration::from_secs(15)))
        );
        assert_eq!(settled.standing.failures, 0);
    }

    #[test]
    fn a_rejected_client_is_looked_at_hourly_and_remembers_what_was_rejected() {
        let plain = oauth("http://127.0.0.1:1/");
        let standing = settled(
            &plain,
            &Standing::ok(now()),
            false,
            &refused(Class::Configuration),
        )
        .standing;
        assert_eq!(
            (standing.state, standing.rejected),
            (State::ClientRejected, Some(DIGEST))
        );
        let wait = crate::clock::until(now(), standing.next_at.unwrap());
        assert!(wait >= Duration::from_secs(48 * 60), "{wait:?}");

        let mut standing = Standing::ok(now());
        for _ in 0..UNCLASSIFIED_TRIES {
            standing = settled(&plain, &standing, false, &refused(Class::Unclassified)).standing;
        }
        assert_eq!(standing.state, State::NeedsAttention);
    }
}
