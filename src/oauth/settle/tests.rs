//! What each ending changes.

use super::*;
use crate::config::{Account, Grant, Name, OAuth, SecretSource};
use crate::oauth::testing::{credential, oauth};
use crate::oauth::vault::Credential;
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
        clock_off: None,
    })
}

/// Settles `ending` of a refresh, for a connection whose access token ends in 15 s.
fn settled(oauth: &OAuth, before: &Standing, in_doubt: bool, ending: &Ending) -> Settled {
    settled_of(Kind::Refresh, oauth, before, in_doubt, ending)
}

/// Settles `ending` of a request that spent what `kind` says.
fn settled_of(
    kind: Kind,
    oauth: &OAuth,
    before: &Standing,
    in_doubt: bool,
    ending: &Ending,
) -> Settled {
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
    settle(&view, kind, ending, DIGEST)
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

#[test]
fn what_ended_is_asked_for_again_in_the_way_the_grant_has() {
    let mut password = oauth("http://127.0.0.1:1/");
    password.grant = Grant::Password {
        username: "u".into(),
        password: SecretSource::Env("P".into()),
    };
    let dead = refused(Class::DeadGrant);
    let lost = Ending::Lost("cut".into());
    use {Kind as K, Reason as R, State as S};
    // what was spent, ending, state, reason, outcome, whether only time holds it back
    let cases = [
        (
            K::Refresh,
            &dead,
            S::BackingOff,
            R::Refused,
            Outcome::Refused,
            false,
        ),
        (
            K::Refresh,
            &lost,
            S::BackingOff,
            R::AnswerLost,
            Outcome::Lost,
            true,
        ),
        (
            K::Password,
            &lost,
            S::BackingOff,
            R::ServerTrouble,
            Outcome::Lost,
            true,
        ),
        (
            K::Password,
            &dead,
            S::NeedsAttention,
            R::PasswordRefused,
            Outcome::Refused,
            false,
        ),
        (
            K::JwtBearer,
            &dead,
            S::ClientRejected,
            R::AssertionRefused,
            Outcome::Refused,
            true,
        ),
        (
            K::ClientCredentials,
            &dead,
            S::ClientRejected,
            R::ClientRefused,
            Outcome::Refused,
            true,
        ),
    ];
    for (kind, ending, state, reason, outcome, waits) in cases {
        let settled = settled_of(kind, &password, &Standing::ok(now()), false, ending);
        let found = (
            settled.standing.state,
            settled.standing.reason,
            settled.outcome,
        );
        assert_eq!(found, (state, Some(reason), Some(outcome)), "{kind:?}");
        assert_eq!(settled.standing.next_at.is_some(), waits, "{kind:?}");
    }
}

#[test]
fn a_refresh_that_never_worked_is_told_apart_from_one_that_was_revoked() {
    let mut strict = oauth("http://127.0.0.1:1/");
    strict.retry_in_doubt = RetryInDoubt::AfterExpiry;
    let account = Account::of(&Name::parse("exact").unwrap());
    let before = Standing::ok(now());
    for (refreshed, reason) in [(true, Reason::Refused), (false, Reason::NeverWorked)] {
        let credential = Credential {
            refreshed,
            ..credential(now(), Some(15))
        };
        let view = View {
            account: &account,
            oauth: &strict,
            credential: Some(&credential),
            standing: &before,
            in_doubt: false,
            quota_at: None,
            now: now(),
        };
        let settled = settle(&view, Kind::Refresh, &refused(Class::DeadGrant), DIGEST);
        assert_eq!(settled.standing.state, State::NeedsLogin);
        assert_eq!(settled.standing.reason, Some(reason));
    }
}

#[test]
fn denied_access_needs_a_person_sooner_and_a_certificate_at_once() {
    let plain = oauth("http://127.0.0.1:1/");
    let mut standing = Standing::ok(now());
    let mut states = Vec::new();
    for _ in 0..DENIED_TRIES {
        standing = settled(&plain, &standing, false, &refused(Class::Denied)).standing;
        states.push(standing.state);
    }
    use State::{BackingOff, NeedsAttention};
    assert_eq!(states, [BackingOff, BackingOff, NeedsAttention]);

    let untrusted = Ending::Untrusted("expired".into());
    let told = settled(&plain, &Standing::ok(now()), false, &untrusted);
    assert_eq!(told.standing.state, NeedsAttention);
    assert_eq!(told.outcome, Some(Outcome::NotSent));
    let wait = crate::clock::until(now(), told.standing.next_at.unwrap());
    assert!(wait < Duration::from_secs(120), "{wait:?}");
}
