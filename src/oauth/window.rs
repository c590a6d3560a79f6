//! When a token is asked for; pure.
//!
//! Three questions: when is a new access token wanted, when may one be asked for, and may the
//! present one still be used.

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::standing::{Reason, Standing, State};
use super::vault::Credential;
use crate::clock::{after, until};
use crate::config::{Account, OAuth, RefreshPolicy, RetryInDoubt};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long before its end an access token is replaced: a tenth of its life within these bounds,
/// and never more than half of it.
const LEAST_MARGIN: Duration = MINUTE;
const MOST_MARGIN: Duration = Duration::from_secs(5 * 60);
/// How far we stay from the moment at which the server begins to accept a refresh: clocks differ.
const CLEARANCE: Duration = Duration::from_secs(15);
/// Two refreshes of one connection are at least a quarter of the token's life apart, within these
/// bounds, whatever the server says about that life.
const LEAST_APART: Duration = Duration::from_secs(2);
const MOST_APART: Duration = Duration::from_secs(30);
/// How long after its access token's end a run may be due and still have it refreshed ahead.
const RUN_SOON: Duration = MINUTE;
/// How often a refresh token of unknown life is used, so that it does not die of idleness: the
/// first if it is known to be replaced at each use or nothing else would use it.
const KEEP_ALIVE_ROTATING: Duration = DAY;
const KEEP_ALIVE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How far a clock may be set back before what it stamped earlier is no longer believed.
const CLOCK_TRUST: Duration = Duration::from_secs(5 * 60);
/// How long after a failure it is tried again.
const LADDER: [Duration; 6] = [
    MINUTE,
    Duration::from_secs(2 * 60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    HOUR,
];

/// What the decisions look at.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub account: &'a Account,
    pub oauth: &'a OAuth,
    pub credential: Option<&'a Credential>,
    pub standing: &'a Standing,
    /// True while the refresh token may be spent.
    pub in_doubt: bool,
    /// When the client may send another token request, if it has used up what it may send now.
    pub quota_at: Option<Timestamp>,
    pub now: Timestamp,
}

/// What to do for a request that needs an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Use the present one.
    Use,
    /// Ask for a new one now.
    Refresh,
    /// There is none, and none may be asked for before then.
    Wait(Timestamp),
    /// There is none until a person acts.
    Stop,
}

impl View<'_> {
    /// Says what to do for a request that needs an access token.
    pub(super) fn verdict(&self) -> Verdict {
        let allowed_at = self.allowed_at(false);
        let is_allowed = allowed_at.is_some_and(|at| at <= self.now);
        let is_wanted = self.wanted_at(true).is_some_and(|at| at <= self.now);
        match allowed_at {
            _ if is_allowed && (is_wanted || !self.is_usable()) => Verdict::Refresh,
            _ if self.is_usable() => Verdict::Use,
            Some(at) => Verdict::Wait(at),
            None => Verdict::Stop,
        }
    }

    /// Returns true if the present access token may be sent.
    pub(super) fn is_usable(&self) -> bool {
        self.credential
            .is_some_and(|credential| match credential.expires_at {
                None => true,
                // A token that ends as it is born is used until another may be asked for.
                Some(ends) => self.now < ends.max(after(credential.issued_at, apart(credential))),
            })
    }

    /// Returns true if the access token is so new that its refusal says nothing about its age.
    pub(super) fn is_brand_new(&self) -> bool {
        self.credential.is_some_and(|credential| {
            let new = life(credential).unwrap_or(MINUTE).min(MINUTE);
            self.trusts(credential.issued_at) && self.now < after(credential.issued_at, new)
        })
    }

    /// Returns the earliest moment at which a token may be asked for, or `None` if a person must
    /// act first. `refused` says that the source no longer takes the present access token.
    pub(super) fn allowed_at(&self, refused: bool) -> Option<Timestamp> {
        let is_unattended = self.oauth.grant.is_unattended();
        let can_renew = self
            .credential
            .is_some_and(|credential| credential.has_refresh_token);
        // The old refresh token must not be seen again, and there is no other.
        let is_spent =
            !is_unattended && self.in_doubt && self.oauth.retry_in_doubt == RetryInDoubt::Never;
        // A copy of it may have been spent since; the source's refusal is no worse than that.
        let is_left_alone =
            !is_unattended && !refused && self.standing.reason == Some(Reason::Restored);
        let must_rest = self.standing.state == State::NeedsLogin
            || self.standing.reason == Some(Reason::PasswordRefused);
        if must_rest || is_left_alone || (!is_unattended && !can_renew) || is_spent {
            return None;
        }
        let mut allowed_at = Timestamp::MIN;
        if let Some(credential) = self.credential.filter(|it| self.trusts(it.issued_at)) {
            let not_before = self.oauth.window.not_before.unwrap_or_default();
            allowed_at = after(credential.issued_at, apart(credential).max(not_before));
        }
        if let Some(next_at) = self
            .standing
            .next_at
            .filter(|_| self.trusts(self.standing.written_at))
        {
            allowed_at = allowed_at.max(next_at);
        }
        if let Some(ends) = self.held_until().filter(|_| !refused) {
            allowed_at = allowed_at.max(ends);
        }
        allowed_at = allowed_at.max(self.quota_at.unwrap_or(Timestamp::MIN));
        Some(allowed_at)
    }

    /// Returns true if the next request spends the refresh token. Where the configuration alone
    /// gives access, one that may be spent or was refused is not sent again.
    pub(super) fn spends_refresh_token(&self) -> bool {
        let has_one = self
            .credential
            .is_some_and(|credential| credential.has_refresh_token);
        let is_good = !self.in_doubt
            && !self
                .standing
                .reason
                .is_some_and(Reason::is_about_refresh_token);
        has_one && (is_good || !self.oauth.grant.is_unattended())
    }

    /// Returns the end of the access token if a doubtful refresh token must rest until then.
    fn held_until(&self) -> Option<Timestamp> {
        let rests = self.in_doubt && self.oauth.retry_in_doubt == RetryInDoubt::AfterExpiry;
        let credential = self.credential.filter(|_| rests)?;
        // One that never says when it ends is not waited for longer than a day.
        Some(
            credential
                .expires_at
                .unwrap_or_else(|| after(credential.issued_at, DAY)),
        )
    }

    /// Returns when a refresh is wanted: near the access token's end if somebody will need it, and
    /// in any case before the refresh token dies of idleness.
    fn wanted_at(&self, is_needed: bool) -> Option<Timestamp> {
        let target = self.target().filter(|_| is_needed);
        target.into_iter().chain(self.keep_alive()).min()
    }

    /// Returns when a new access token is wanted because the present one nears its end.
    fn target(&self) -> Option<Timestamp> {
        let credential = self.credential?;
        let life = life(credential)?;
        let margin = (life / 10).clamp(LEAST_MARGIN, MOST_MARGIN).min(life / 2);
        let jitter = (margin / 2).mul_f64(share(self.account, 0));
        let window = self.oauth.window;
        let earliest = window
            .not_before
            .map_or(Duration::ZERO, |at| at + CLEARANCE);
        let target = match window.target {
            Some(target) if target < life => target,
            _ => (life - margin - jitter).max(earliest).min(life),
        };
        Some(after(credential.issued_at, target))
    }

    /// Returns when the refresh token is used lest it die of idleness.
    fn keep_alive(&self) -> Option<Timestamp> {
        let credential = self
            .credential
            .filter(|credential| credential.has_refresh_token)
            // Where access is had again without it, it may die.
            .filter(|_| !self.oauth.grant.is_unattended())?;
        let stated = credential
            .refresh_expires_at
            .map(|ends| until(credential.issued_at, ends));
        let every = match stated.or(self.oauth.refresh_token_idle) {
            // Never closer than a minute, or an end that no use moves would be approached for ever.
            Some(idle) => (idle / 2).max(MINUTE),
            None if credential.rotates || credential.expires_at.is_none() => KEEP_ALIVE_ROTATING,
            None => KEEP_ALIVE,
        };
        Some(after(credential.issued_at, every))
    }

    /// Returns when a token is asked for without anybody needing it at that moment; `run_at` is
    /// when one will next be needed.
    pub(super) fn due_at(&self, run_at: Option<Timestamp>) -> Option<Timestamp> {
        let allowed_at = self.allowed_at(false)?;
        let credential = self.credential?;
        // A doubt is ended as soon as it may be.
        if self.in_doubt || self.standing.reason == Some(Reason::RefusedOnce) {
            return Some(allowed_at);
        }
        let is_needed = match self.oauth.policy {
            RefreshPolicy::Ahead => true,
            RefreshPolicy::WhenNeeded => run_at
                .zip(credential.expires_at)
                .is_some_and(|(run_at, ends)| run_at <= after(ends, RUN_SOON)),
        };
        let wanted = self.wanted_at(is_needed)?;
        Some(wanted.max(allowed_at))
    }

    /// Returns false if `stamped` lies so far ahead that the clock must have been set back since.
    fn trusts(&self, stamped: Timestamp) -> bool {
        stamped <= after(self.now, CLOCK_TRUST)
    }
}

/// Returns how long to wait after the `failures`-th failure in a row.
pub(super) fn ladder(account: &Account, failures: u32) -> Duration {
    let rung = (failures.saturating_sub(1) as usize).min(LADDER.len() - 1);
    LADDER[rung].mul_f64(0.8 + 0.4 * share(account, failures))
}

/// Returns the life of the access token as the server stated it.
fn life(credential: &Credential) -> Option<Duration> {
    Some(until(credential.issued_at, credential.expires_at?))
}

/// Returns how far apart two refreshes must be.
fn apart(credential: &Credential) -> Duration {
    match life(credential) {
        Some(life) if life.is_zero() => MOST_APART,
        Some(life) => (life / 4).clamp(LEAST_APART, MOST_APART),
        None => MOST_APART,
    }
}

/// Returns a number from 0 to 1 that is always the same for the same name and salt.
pub(super) fn share(account: &Account, salt: u32) -> f64 {
    let digest = Sha256::new()
        .chain_update(account.to_string())
        .chain_update(salt.to_be_bytes());
    let digest: [u8; 32] = digest.finalize().into();
    let [first, second, ..] = digest;
    f64::from(u16::from_be_bytes([first, second])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Name, RefreshWindow};
    use crate::oauth::testing::oauth;

    const START: i64 = 1_740_895_200;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(START + second).unwrap()
    }

    fn seconds(moment: Option<Timestamp>) -> Option<i64> {
        moment.map(|moment| moment.as_second() - START)
    }

    fn credential(life: Option<u64>) -> Credential {
        crate::oauth::testing::credential(at(0), life)
    }

    fn exact() -> OAuth {
        let mut oauth = oauth("http://127.0.0.1:1/");
        oauth.window = RefreshWindow {
            not_before: Some(Duration::from_secs(570)),
            target: Some(Duration::from_secs(585)),
        };
        oauth.policy = RefreshPolicy::WhenNeeded;
        oauth.retry_in_doubt = RetryInDoubt::AfterExpiry;
        oauth.refresh_token_idle = Some(30 * DAY);
        oauth
    }

    /// Asks `ask` about a credential at a second, with nothing else amiss.
    fn ask<T>(
        oauth: &OAuth,
        credential: &Credential,
        second: i64,
        ask: impl Fn(View<'_>) -> T,
    ) -> T {
        let account = Account::of(&Name::parse("exact").unwrap());
        let standing = Standing::ok(at(0));
        ask(View {
            account: &account,
            oauth,
            credential: Some(credential),
            standing: &standing,
            in_doubt: false,
            quota_at: None,
            now: at(second),
        })
    }

    #[test]
    fn a_target_lies_before_the_end_and_inside_the_window() {
        let plain = oauth("http://127.0.0.1:1/");
        // life, earliest, latest
        for (life, earliest, latest) in [
            (3600, 3120, 3300),
            (600, 510, 540),
            (90, 22, 45),
            (10, 2, 5),
            (86_400, 85_950, 86_100),
        ] {
            let target = ask(&plain, &credential(Some(life)), 0, |view| view.target());
            let target = seconds(target).unwrap();
            assert!((earliest..=latest).contains(&target), "{life}: {target}");
        }
        assert_eq!(
            seconds(ask(&exact(), &credential(Some(600)), 0, |view| view.target())),
            Some(585)
        );
        // A life shorter than the configured target is served before it ends, if that is allowed.
        assert_eq!(
            seconds(ask(&exact(), &credential(Some(580)), 0, |view| view.target())),
            Some(580)
        );
        assert_eq!(
            ask(&plain, &credential(None), 0, |view| view.target()),
            None
        );
    }

    #[test]
    fn a_request_is_served_by_the_present_token_until_a_new_one_may_be_asked_for() {
        use Verdict::{Refresh, Use};
        for (second, verdict) in [
            (0, Use),
            (569, Use),
            (584, Use),
            (585, Refresh),
            (9999, Refresh),
        ] {
            let found = ask(&exact(), &credential(Some(600)), second, |view| {
                view.verdict()
            });
            assert_eq!(found, verdict, "{second}");
        }
        let mut early = exact();
        early.window.target = Some(Duration::from_secs(500));
        assert_eq!(
            ask(&early, &credential(Some(600)), 520, |view| view.verdict()),
            Use
        );
        assert_eq!(
            ask(&exact(), &credential(Some(300)), 400, |view| view.verdict()),
            Verdict::Wait(at(570))
        );
        let mut lasting = credential(Some(600));
        lasting.has_refresh_token = false;
        assert_eq!(ask(&exact(), &lasting, 599, |view| view.verdict()), Use);
        assert_eq!(
            ask(&exact(), &lasting, 600, |view| view.verdict()),
            Verdict::Stop
        );
    }

    #[test]
    fn a_token_born_dead_is_used_and_refreshed_every_half_minute() {
        let plain = oauth("http://127.0.0.1:1/");
        let dead = credential(Some(0));
        assert_eq!(ask(&plain, &dead, 0, |view| view.verdict()), Verdict::Use);
        assert_eq!(
            ask(&plain, &dead, 30, |view| view.verdict()),
            Verdict::Refresh
        );
    }

    #[test]
    fn a_doubtful_refresh_token_rests_while_the_access_token_lives() {
        let account = Account::of(&Name::parse("exact").unwrap());
        let (standing, credential) = (Standing::ok(at(0)), credential(Some(600)));
        let mut oauth = exact();
        let allowed_at = |oauth: &OAuth, refused| {
            let view = View {
                account: &account,
                oauth,
                credential: Some(&credential),
                standing: &standing,
                in_doubt: true,
                quota_at: None,
                now: at(590),
            };
            seconds(view.allowed_at(refused))
        };
        assert_eq!(allowed_at(&oauth, false), Some(600));
        assert_eq!(allowed_at(&oauth, true), Some(570));
        oauth.retry_in_doubt = RetryInDoubt::AtOnce;
        assert_eq!(allowed_at(&oauth, false), Some(570));
    }

    #[test]
    fn an_idle_connection_is_refreshed_for_runs_and_to_stay_alive() {
        let day = 86_400;
        let due = |oauth: &OAuth, run_at: Option<i64>| {
            seconds(ask(oauth, &credential(Some(600)), 0, |view| {
                view.due_at(run_at.map(at))
            }))
        };
        assert_eq!(due(&exact(), None), Some(15 * day));
        assert_eq!(due(&exact(), Some(300)), Some(585));
        assert_eq!(due(&exact(), Some(660)), Some(585));
        assert_eq!(due(&exact(), Some(661)), Some(15 * day));
        let mut unknown = exact();
        unknown.refresh_token_idle = None;
        assert_eq!(due(&unknown, None), Some(day));
        unknown.policy = RefreshPolicy::Ahead;
        assert_eq!(due(&unknown, None), Some(585));
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let plain = oauth("http://127.0.0.1:1/");
        let found = ask(&plain, &credential(Some(60)), -301, |view| {
            view.allowed_at(false)
        });
        assert_eq!(found, Some(Timestamp::MIN));
        assert!(ask(&plain, &credential(Some(60)), -301, |view| view.is_usable()));
    }

    #[test]
    fn waits_grow_to_an_hour_and_differ_by_name() {
        let [a, b] = ["a", "b"].map(|name| Account::of(&Name::parse(name).unwrap()));
        for (failures, minutes) in [(1, 1), (2, 2), (3, 5), (4, 10), (5, 30), (6, 60), (99, 60)] {
            let wait = ladder(&a, failures).as_secs_f64() / 60.0;
            let expected = f64::from(minutes);
            assert!(
                (expected * 0.8..=expected * 1.2).contains(&wait),
                "{failures}: {wait}"
            );
        }
        assert_ne!(ladder(&a, 6), ladder(&b, 6));
        assert_eq!(ladder(&a, 6), ladder(&a, 6));
    }
}
