//! What a person should know about a connection ahead of time; pure.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::standing::State;
use super::window::View;
use crate::clock::{after, until};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long before a login ends a person is told, and then again; but never before the share of its
/// whole life that stands beside it, so that a login of a day does not warn all day.
const RUNGS: [(Duration, u32); 3] = [
    (Duration::from_secs(14 * 86_400), 2),
    (Duration::from_secs(3 * 86_400), 10),
    (DAY, 30),
];
/// From this rung on somebody has to act.
const ALARMING: usize = 1;
/// How long a doubt may last before a person is told.
const LONG_DOUBT: Duration = MINUTE;
/// The share of its idle life after which a refresh token should have been used long since.
const IDLE_SHARE: f64 = 0.8;

/// Something a person should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// The login ends whatever we do; `rung` says how near that is.
    LoginEnds {
        at: Timestamp,
        left: Duration,
        rung: usize,
    },
    /// The refresh token has been idle for long, and dies at `at` unless it is used.
    IdleSoon { at: Timestamp },
    /// Nobody knows for a while now whether the refresh token is spent.
    LongDoubt { since: Timestamp },
}

impl Notice {
    /// Returns true if somebody has to do something.
    pub(super) fn is_alarm(&self) -> bool {
        match self {
            Self::LoginEnds { rung, .. } => *rung >= ALARMING,
            Self::IdleSoon { .. } | Self::LongDoubt { .. } => true,
        }
    }

    /// Says it, for the account whose words on the command line are `words`.
    pub(super) fn told(&self, words: &str) -> String {
        match self {
            Self::LoginEnds { left, .. } => format!(
                "its login ends in {} whatever is done: type `tidegate login {words}` before",
                Left(*left)
            ),
            Self::IdleSoon { at } => format!(
                "its refresh token was not used for long, and dies of that at {at:.0}: let the \
                 service run, or type `tidegate login {words}`"
            ),
            Self::LongDoubt { since } => {
                format!("since {since:.0} it is not known whether its refresh token is spent")
            }
        }
    }
}

/// A time that is left, in its largest unit, never more than there is.
struct Left(Duration);

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match self.0.as_secs() {
            seconds if seconds >= 86_400 => (seconds / 86_400, "day"),
            seconds if seconds >= 3600 => (seconds / 3600, "hour"),
            seconds => (seconds / 60, "minute"),
        };
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} {unit}{plural}")
    }
}

/// Returns when the login ends whatever we do, if that is known.
///
/// It is what the configuration says of this provider, or the end of a refresh token which refreshes
/// have been seen not to move.
pub(super) fn login_ends_at(view: &View<'_>) -> Option<Timestamp> {
    let credential = view.credential?;
    let absolute = view.oauth.refresh_token_absolute;
    let by_age = absolute.map(|life| after(credential.signed_in_at, life));
    let fixed = credential
        .refresh_expires_at
        .filter(|_| credential.login_is_finite);
    by_age.into_iter().chain(fixed).min()
}

/// Returns everything a person should know of the account seen as `view`.
pub(super) fn notices(view: &View<'_>) -> Vec<Notice> {
    if view.standing.state == State::NeedsLogin {
        return Vec::new(); // which says it all
    }
    let login_ends = login_ends(view).map(|(_, notice)| notice);
    [login_ends, idle_soon(view), long_doubt(view)]
        .into_iter()
        .flatten()
        .collect()
}

/// Returns that the login ends before long, and how near that is: the greater, the nearer.
pub(super) fn login_ends(view: &View<'_>) -> Option<(usize, Notice)> {
    let at = login_ends_at(view)?;
    let left = until(view.now, at);
    let life = until(view.credential?.signed_in_at, at);
    let rung = RUNGS
        .iter()
        .rposition(|(days, share)| left <= (*days).min(life / *share))?;
    Some((rung, Notice::LoginEnds { at, left, rung }))
}

fn idle_soon(view: &View<'_>) -> Option<Notice> {
    let credential = view.credential?;
    let idle = view.oauth.refresh_token_idle?;
    let is_old = view.now > after(credential.issued_at, idle.mul_f64(IDLE_SHARE));
    let is_kept = credential.has_refresh_token && is_old;
    is_kept.then(|| Notice::IdleSoon {
        at: after(credential.issued_at, idle),
    })
}

fn long_doubt(view: &View<'_>) -> Option<Notice> {
    let since = view.standing.since;
    let is_long = view.standing.state == State::InDoubt && after(since, LONG_DOUBT) < view.now;
    is_long.then_some(Notice::LongDoubt { since })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Account, Name, OAuth};
    use crate::oauth::standing::{Reason, Standing};
    use crate::oauth::testing::{credential, oauth};

    fn at(day: u32) -> Timestamp {
        after("2025-03-02T06:00:00Z".parse().unwrap(), DAY * day)
    }

    /// What is to be known on `day` of a login from day 0 that was last refreshed that day.
    fn known(oauth: &OAuth, standing: &Standing, day: u32, fixed_end: Option<u32>) -> Vec<Notice> {
        let mut credential = credential(at(0), Some(600));
        credential.refresh_expires_at = fixed_end.map(at);
        credential.login_is_finite = fixed_end.is_some();
        let view = View {
            account: &Account::of(&Name::parse("exact").unwrap()),
            oauth,
            credential: Some(&credential),
            standing,
            in_doubt: false,
            quota_at: None,
            now: at(day),
        };
        notices(&view)
    }

    fn rung(notices: &[Notice]) -> Option<usize> {
        notices.iter().find_map(|notice| match notice {
            Notice::LoginEnds { rung, .. } => Some(*rung),
            _ => None,
        })
    }

    #[test]
    fn a_login_that_ends_is_told_14_and_3_days_and_a_day_ahead() {
        let mut year = oauth("http://127.0.0.1:1/");
        year.refresh_token_absolute = Some(DAY * 365);
        let ok = Standing::ok(at(0));
        for (day, expected) in [
            (350, None),
            (351, Some(0)),
            (361, Some(0)),
            (362, Some(1)),
            (364, Some(2)),
            (400, Some(2)),
        ] {
            let found = known(&year, &ok, day, None);
            assert_eq!(rung(&found), expected, "day {day}");
            let alarms = found.iter().any(Notice::is_alarm);
            assert_eq!(alarms, expected.is_some_and(|rung| rung > 0), "day {day}");
        }
        let told = known(&year, &ok, 353, None)[0].told("exact --account berlin");
        assert_eq!(
            told,
            "its login ends in 12 days whatever is done: type `tidegate login exact --account \
             berlin` before"
        );
    }

    #[test]
    fn an_end_that_refreshes_do_not_move_is_told_and_a_short_life_not_all_along() {
        let plain = oauth("http://127.0.0.1:1/");
        let ok = Standing::ok(at(0));
        assert_eq!(rung(&known(&plain, &ok, 25, Some(30))), Some(0));
        assert_eq!(rung(&known(&plain, &ok, 4, Some(10))), None);
        assert_eq!(rung(&known(&plain, &ok, 5, Some(10))), Some(0));
    }

    #[test]
    fn a_token_nobody_used_and_a_doubt_nobody_settled_are_alarms() {
        let mut idle = oauth("http://127.0.0.1:1/");
        idle.refresh_token_idle = Some(DAY * 30);
        let ok = Standing::ok(at(0));
        assert_eq!(known(&idle, &ok, 24, None), []);
        assert_eq!(
            known(&idle, &ok, 25, None),
            [Notice::IdleSoon { at: at(30) }]
        );
        let doubt = Standing {
            state: State::InDoubt,
            reason: Some(Reason::AnswerLost),
            ..Standing::ok(at(0))
        };
        assert_eq!(
            known(&idle, &doubt, 1, None),
            [Notice::LongDoubt { since: at(0) }]
        );
        assert_eq!(known(&idle, &doubt, 0, None), []);
    }
}
