//! How the connections stand, read from the file alone: what is not sealed needs no key.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::{Error, states};
use crate::config::{self, Account, Auth, Name, OAuth};
use crate::oauth::Health;
use crate::oauth::standing::{Reason, Standing, State, shown, without_credential};
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
                None => {
                    let standing = without_credential(Some(oauth), Reason::NeverSignedIn, now);
                    Ok(health(account, standing, None))
                }
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

/// What stands unsealed beside a credential.
struct Beside {
    generation: u64,
    expires_at: Option<String>,
    refresh_expires_at: Option<String>,
    scope: Option<String>,
}

fn seen(
    conn: &Connection,
    account: &Account,
    oauth: &OAuth,
    now: Timestamp,
) -> Result<Health, Error> {
    let known = conn.query_row(
        "SELECT generation, expires_at, refresh_expires_at, scope
         FROM credentials WHERE connection = ?1 AND account = ?2",
        account.row(),
        |row| {
            Ok(Beside {
                generation: row.get::<_, i64>(0)?.unsigned_abs(),
                expires_at: row.get(1)?,
                refresh_expires_at: row.get(2)?,
                scope: row.get(3)?,
            })
        },
    );
    let beside = known.optional().map_err(store::Error::from)?;
    let standing = states::read(conn, account)?;
    let mut standing = standing.unwrap_or_else(|| match &beside {
        Some(_) => Standing::ok(now),
        None => without_credential(Some(oauth), Reason::NeverSignedIn, now),
    });
    if is_left_open(conn, account)? && standing.state == State::Ok {
        standing.state = State::InDoubt;
        standing.reason = Some(Reason::AnswerLost);
    }
    Ok(health(account, standing, beside))
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

fn health(account: &Account, standing: Standing, beside: Option<Beside>) -> Health {
    let moment = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let (generation, expires_at, refresh_expires_at, scope) = match beside {
        Some(beside) => (
            beside.generation,
            moment(beside.expires_at),
            moment(beside.refresh_expires_at),
            beside.scope,
        ),
        None => (0, None, None, None),
    };
    Health {
        connection: account.connection.clone(),
        account: account.name.clone(),
        state: standing.state,
        reason: standing.reason,
        detail: standing.detail,
        since: standing.since,
        next_at: standing.next_at,
        generation,
        expires_at,
        refresh_expires_at,
        next_refresh_at: None,
        scope,
        notices: Vec::new(),
    }
}
