//! How the connections stand, read from the file alone: what is not sealed needs no key.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{Error, credentials, states};
use crate::config::{self, Account, Auth, Name, OAuth};
use crate::oauth::standing::{Reason, Standing, State, shown, without_credential};
use crate::oauth::window::View;
use crate::oauth::{Health, health};
use crate::store;

/// Returns how every connection that signs in stands, where nobody owns the vault.
///
/// # Errors
/// If the vault is there and cannot be read.
pub fn glance(
    vault: &Path,
    connections: &BTreeMap<Name, config::Connection>,
    now: Timestamp,
) -> Result<Vec<Health>, Error> {
    let conn = match vault.exists() {
        true => Some(store::open_reader(vault, &store::VAULT)?),
        false => None,
    };
    let named = match &conn {
        Some(conn) => named(conn, vault)?,
        None => Vec::new(),
    };
    let mut all = Vec::new();
    for (name, connection) in connections {
        let Auth::OAuth(oauth) = &connection.auth else {
            continue;
        };
        let nameless = Account::of(name);
        let accounts = named.iter().filter(|account| account.connection == *name);
        let healths = [&nameless]
            .into_iter()
            .chain(accounts)
            .map(|account| match &conn {
                Some(conn) => seen(conn, account, oauth, now),
                None => Ok(unseen(account, oauth, now)),
            });
        all.extend(shown(healths.collect::<Result<_, _>>()?));
    }
    Ok(all)
}

/// Returns the accounts with a name.
fn named(conn: &Connection, vault: &Path) -> Result<Vec<Account>, Error> {
    let mut accounts = states::accounts(conn)?.ok_or_else(|| states::impossible_name(vault))?;
    accounts.retain(|account| account.name.is_some());
    Ok(accounts)
}

fn seen(
    conn: &Connection,
    account: &Account,
    oauth: &OAuth,
    now: Timestamp,
) -> Result<Health, Error> {
    let credential = credentials::unsealed(conn, account)?;
    let standing = states::read(conn, account)?;
    let mut standing = standing.unwrap_or_else(|| match &credential {
        Some(_) => Standing::ok(now),
        None => without_credential(Some(oauth), Reason::NeverSignedIn, now),
    });
    let in_doubt = is_left_open(conn, account)?;
    if in_doubt && standing.state == State::Ok {
        standing.state = State::InDoubt;
        standing.reason = Some(Reason::AnswerLost);
    }
    let view = View {
        account,
        oauth,
        credential: credential.as_ref(),
        standing: &standing,
        in_doubt,
        quota_at: None,
        now,
    };
    Ok(Health {
        // Nobody is there who would refresh.
        next_refresh_at: None,
        ..health::of(&view, false)
    })
}

/// True if a refresh was begun and nobody has written down how it ended.
fn is_left_open(conn: &Connection, account: &Account) -> Result<bool, Error> {
    let open = conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM refreshes
         WHERE connection = ?1 AND account = ?2 AND kind = 'refresh' AND ended_at IS NULL)",
        account.row(),
        |row| row.get(0),
    );
    Ok(open.map_err(store::Error::from)?)
}

/// How an account stands where no vault was ever made.
fn unseen(account: &Account, oauth: &OAuth, now: Timestamp) -> Health {
    let view = View {
        account,
        oauth,
        credential: None,
        standing: &without_credential(Some(oauth), Reason::NeverSignedIn, now),
        in_doubt: false,
        quota_at: None,
        now,
    };
    health::of(&view, false)
}
