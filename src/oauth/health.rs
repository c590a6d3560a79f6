//! How an account is, for people: the same from the keeper and from the files alone; pure.

use super::Health;
use super::outlook::{Notice, login_ends_at, notices};
use super::standing::{Reason, State};
use super::window::View;

/// Returns how the account seen as `view` is. What nobody has written down yet is seen all the
/// same: an access token that has ended and cannot be renewed.
pub(super) fn of(view: &View<'_>, is_flying: bool) -> Health {
    let (state, reason) = seen(view, is_flying);
    let standing = view.standing;
    let notices = notices(view);
    let words = view.account.words();
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
        is_alarming: notices.iter().any(Notice::is_alarm),
        notices: notices.iter().map(|notice| notice.told(&words)).collect(),
    }
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
        State::InDoubt if is_over => (State::NeedsLogin, standing.reason),
        state => (state, standing.reason),
    }
}
