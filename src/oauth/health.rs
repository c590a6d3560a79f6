//! How an account is, for people: the same from the keeper and from the files alone; pure.

use super::outlook::{Notice, login_ends_at, notices};
use super::standing::{Reason, State};
use super::vault::Credential;
use super::window::View;
use super::{Health, grant};
use crate::config::OAuth;

/// Returns how the account seen as `view` is. What nobody has written down yet is seen all the
/// same: an access token that has ended and cannot be renewed.
pub(super) fn of(view: &View<'_>, is_flying: bool) -> Health {
    let (state, reason) = seen(view, is_flying);
    let standing = view.standing;
    let notices = notices(view);
    let words = view.account.words();
    let told = notices.iter().map(|notice| notice.told(&words));
    let credential = view.credential;
    Health {
        connection: view.account.connection.clone(),
        account: view.account.name.clone(),
        state,
        reason,
        detail: standing.detail.clone(),
        since: standing.since,
        next_at: standing.next_at.filter(|at| *at > view.now),
        generation: credential.map_or(0, |credential| credential.generation),
        expires_at: credential.and_then(|credential| credential.expires_at),
        refresh_expires_at: credential.and_then(|credential| credential.refresh_expires_at),
        login_ends_at: login_ends_at(view),
        next_refresh_at: view.due_at(None).map(|at| at.max(view.now)),
        scope: credential.and_then(|credential| credential.scope.clone()),
        person: credential.and_then(|credential| credential.person.clone()),
        facts: credential
            .map(|credential| credential.facts.shown())
            .unwrap_or_default(),
        is_alarming: notices.iter().any(Notice::is_alarm),
        notices: told
            .chain(credential.and_then(|it| lacks(view.oauth, it)))
            .collect(),
    }
}

/// Says which scopes were asked for and not granted.
pub(super) fn lacks(oauth: &OAuth, credential: &Credential) -> Option<String> {
    let missing = grant::missing(&oauth.scopes, credential.scope.as_deref()?);
    let missing: Vec<String> = missing.iter().map(|scope| format!("`{scope}`")).collect();
    let (is_one, missing) = (missing.len() == 1, missing.join(", "));
    let verb = if is_one { "was" } else { "were" };
    (!missing.is_empty()).then(|| format!("{missing} {verb} asked for and not granted"))
}

fn seen(view: &View<'_>, is_flying: bool) -> (State, Option<Reason>) {
    let standing = view.standing;
    if is_flying {
        return (State::Refreshing, standing.reason);
    }
    let is_over = view.allowed_at(false).is_none() && !view.is_usable();
    match standing.state {
        State::Ok if is_over && view.credential.is_some() => {
            (State::NeedsLogin, Some(Reason::NoRefreshToken))
        }
        // It must not be asked again, and what it had has ended.
        State::InDoubt if is_over && standing.reason != Some(Reason::Restored) => {
            (State::NeedsLogin, standing.reason)
        }
        state => (state, standing.reason),
    }
}
