//! How each connection stands.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{Error, Vault, unreadable};
use crate::config::Account;
use crate::oauth::standing::{Reason, Standing, State};
use crate::store::Tx;

impl Vault {
    /// Returns every account of which something is known.
    pub(in crate::oauth) async fn accounts(&self) -> Result<Vec<Account>, Error> {
        let path = self.keys.path.clone();
        self.store
            .read(move |conn| accounts(conn)?.ok_or_else(|| impossible_name(&path)))
            .await
    }

    /// Returns how a connection stands, if that was ever written down.
    pub(in crate::oauth) async fn standing(
        &self,
        account: &Account,
    ) -> Result<Option<Standing>, Error> {
        let account = account.clone();
        self.store.read(move |conn| read(conn, &account)).await
    }
}

/// Returns every account of which something is known; `None` if one has an impossible name.
pub(super) fn accounts(conn: &Connection) -> Result<Option<Vec<Account>>, Error> {
    let mut statement = conn.prepare_cached(
        "SELECT connection, account FROM states
         UNION SELECT connection, account FROM credentials
         UNION SELECT connection, account FROM refreshes WHERE ended_at IS NULL
         ORDER BY connection, account",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut accounts = Vec::new();
    for row in rows {
        let (connection, name): (String, String) = row?;
        let Some(account) = Account::from_row(&connection, &name) else {
            return Ok(None);
        };
        accounts.push(account);
    }
    Ok(Some(accounts))
}

/// Says that a row of the vault names an account as nobody can name one.
pub(super) fn impossible_name(vault: &Path) -> Error {
    Error::Damaged {
        path: vault.to_owned(),
        what: "it holds an account whose name is no name".to_owned(),
    }
}

/// Writes down how a connection stands.
pub(super) fn write(tx: &Tx<'_>, account: &Account, standing: &Standing) -> Result<(), Error> {
    let [connection, name] = account.row();
    tx.prepare_cached(
        "INSERT OR REPLACE INTO states
             (connection, account, state, reason, detail, since, next_at, failures, rejected, written_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        connection,
        name,
        standing.state.as_str(),
        standing.reason.map(Reason::as_str),
        standing.detail,
        standing.since.to_string(),
        standing.next_at.map(|at| at.to_string()),
        standing.failures,
        standing.rejected,
        standing.written_at.to_string(),
    ])?;
    Ok(())
}

/// Ends what every connection stands in for `reason`; returns how many there were.
pub(super) fn end(tx: &Tx<'_>, reason: Reason, at: Timestamp) -> Result<u64, Error> {
    let mut ended = 0;
    for account in accounts(tx)?.unwrap_or_default() {
        if read(tx, &account)?.is_some_and(|standing| standing.reason == Some(reason)) {
            write(tx, &account, &Standing::ok(at))?;
            ended += 1;
        }
    }
    Ok(ended)
}

/// Returns how a connection stands, if that was ever written down.
pub(super) fn read(conn: &Connection, account: &Account) -> Result<Option<Standing>, Error> {
    let mut statement = conn.prepare_cached(
        "SELECT state, reason, detail, since, next_at, failures, rejected, written_at
         FROM states WHERE connection = ?1 AND account = ?2",
    )?;
    let mut rows = statement.query(account.row())?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let damaged = || unreadable(account, "state");
    let state: String = row.get(0)?;
    let reason: Option<String> = row.get(1)?;
    let since: String = row.get(3)?;
    let next_at: Option<String> = row.get(4)?;
    let written_at: String = row.get(7)?;
    Ok(Some(Standing {
        state: State::from_word(&state).ok_or_else(damaged)?,
        reason: reason.and_then(|reason| Reason::from_word(&reason)),
        detail: row.get(2)?,
        since: since.parse().map_err(|_| damaged())?,
        next_at: next_at
            .map(|at| at.parse())
            .transpose()
            .map_err(|_| damaged())?,
        failures: row.get(5)?,
        rejected: row.get(6)?,
        written_at: written_at.parse().map_err(|_| damaged())?,
    }))
}
