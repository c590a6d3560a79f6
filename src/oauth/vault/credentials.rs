//! The tokens of each account.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;

use super::data_keys::Holder;
use super::{Attempt, Error, Keys, Kind, unreadable};
use crate::clock;
use crate::config::{Account, Facts};
use crate::oauth::grant::Tokens;
use crate::oauth::id_token::Person;
use crate::seal::{DataKey, Place};
use crate::secret::{ExposeSecret, Secret};
use crate::store::Tx;

/// Two instants this close say the same: servers count lives in whole seconds, and answer late.
const SAME_MOMENT: Duration = Duration::from_secs(60);

/// How long ago an access token is taken to have been issued that was brought in after its end: long
/// enough for any server to accept a refresh, and too short for the refresh token to seem idle.
const BEFORE_IMPORT: Duration = Duration::from_secs(24 * 60 * 60);

/// A credential in use.
#[derive(Debug, Clone)]
pub(in crate::oauth) struct Credential {
    pub generation: u64,
    pub access_token: Secret,
    pub has_refresh_token: bool,
    /// When the request was sent that brought it.
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub refresh_expires_at: Option<Timestamp>,
    /// True once a refresh has brought a new refresh token.
    pub rotates: bool,
    /// True once a refresh has worked.
    pub refreshed: bool,
    pub scope: Option<String>,
    /// Who signed in, if that is known.
    pub person: Option<Person>,
    /// What the authorization server said beside the tokens.
    pub facts: Arc<Facts>,
    /// When the person signed in who granted this access.
    pub signed_in_at: Timestamp,
    /// True once a refresh has been seen not to move the end of the refresh token.
    pub login_is_finite: bool,
}

impl Keys {
    pub(super) fn place<'a>(
        &'a self,
        account: &'a Account,
        column: &'a str,
        generation: u64,
    ) -> Place<'a> {
        let row = account.row();
        Place {
            vault: &self.vault_id,
            table: "credentials",
            row,
            column,
            generation,
        }
    }

    pub(super) fn credential(
        &self,
        conn: &Connection,
        account: &Account,
    ) -> Result<Option<Credential>, Error> {
        let Some((data_key, sealed, row)) = clear(conn, account)? else {
            return Ok(None);
        };
        let generation = row.generation.cast_unsigned();
        let key = self.data_key(conn, Holder::Account(account), data_key)?;
        let access_token = self.unseal(&key, account, "access_token", generation, &sealed)?;
        row.credential(access_token).map(Some)
    }

    pub(super) fn refresh_token(
        &self,
        conn: &Connection,
        account: &Account,
        generation: u64,
    ) -> Result<Option<Secret>, Error> {
        let [connection, name] = account.row();
        let row: Option<(u32, Option<Vec<u8>>)> = conn
            .prepare_cached(
                "SELECT data_key, refresh_token FROM credentials
                 WHERE connection = ?1 AND account = ?2 AND generation = ?3",
            )?
            .query_row(params![connection, name, generation.cast_signed()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((data_key, Some(sealed))) = row else {
            return Ok(None);
        };
        let key = self.data_key(conn, Holder::Account(account), data_key)?;
        self.unseal(&key, account, "refresh_token", generation, &sealed)
            .map(Some)
    }

    fn unseal(
        &self,
        key: &DataKey,
        account: &Account,
        column: &'static str,
        generation: u64,
        sealed: &[u8],
    ) -> Result<Secret, Error> {
        let plain = key
            .unseal(&self.place(account, column, generation), sealed)
            .map_err(|_| unreadable(account, column))?;
        let text = std::str::from_utf8(&plain).map_err(|_| unreadable(account, column))?;
        Ok(Secret::from(text))
    }

    /// Writes the credential that `attempt` brought over the one it was made from.
    pub(super) fn put(
        &self,
        tx: &Tx<'_>,
        attempt: &Attempt,
        tokens: Tokens,
    ) -> Result<Credential, Error> {
        let account = &attempt.account;
        let before = clear(tx, account)?.map(|(_, _, row)| row);
        let is_refresh = attempt.kind == Kind::Refresh;
        let generation = match &before {
            // What a person has just granted counts more than what was renewed meanwhile.
            Some(row) if attempt.kind.is_login() => row.generation.cast_unsigned(),
            _ => attempt.generation,
        };
        let is_present = match &before {
            Some(row) => row.generation.cast_unsigned() == generation,
            None => !is_refresh,
        };
        if !is_present {
            return Err(Error::Conflict {
                account: account.clone(),
            });
        }
        let has_refreshed = is_refresh || before.as_ref().is_some_and(|row| row.refreshed);
        // What a login left unsaid is unknown; what a refresh leaves unsaid stays as it was.
        let before = before.filter(|_| is_refresh);
        let kept = match (&tokens.refresh_token, is_refresh) {
            (None, true) => self.refresh_token(tx, account, attempt.generation)?,
            _ => None,
        };
        let has_new = tokens.refresh_token.is_some();
        let refresh_token = tokens.refresh_token.or(kept);
        let ends = |life| clock::after(attempt.tried_at, life);
        let refresh_ends = match (tokens.refresh_lifetime, has_new, &before) {
            (Some(life), _, _) => Some(ends(life)),
            (None, false, Some(row)) => row.refresh_expires_at()?,
            (None, _, _) => None,
        };
        let login_is_finite = match &before {
            Some(row) => row.login_is_finite || row.is_not_moved_by(attempt, refresh_ends)?,
            None => false,
        };
        let signed_in_at = match &before {
            Some(row) => row.signed_in_at()?,
            None => attempt.tried_at,
        };
        let issued_at = match (attempt.kind, tokens.lifetime) {
            (Kind::Import, Some(Duration::ZERO)) => clock::before(attempt.tried_at, BEFORE_IMPORT),
            _ => attempt.tried_at,
        };
        let credential = Credential {
            generation: generation + 1,
            access_token: tokens.access_token,
            has_refresh_token: refresh_token.is_some(),
            issued_at,
            expires_at: tokens.lifetime.map(|life| clock::after(issued_at, life)),
            refresh_expires_at: refresh_ends,
            rotates: before.as_ref().is_some_and(|row| row.rotates || has_new),
            refreshed: has_refreshed,
            person: match &before {
                Some(row) => row.person()?,
                None => tokens.person,
            },
            facts: match &before {
                Some(row) => Arc::new(tokens.facts.over(&row.facts()?)),
                None => Arc::new(tokens.facts),
            },
            scope: tokens.scope.or(before.and_then(|row| row.scope)),
            signed_in_at,
            login_is_finite,
        };
        self.write(tx, attempt, &credential, refresh_token.as_ref())?;
        Ok(credential)
    }

    fn write(
        &self,
        tx: &Tx<'_>,
        attempt: &Attempt,
        credential: &Credential,
        refresh_token: Option<&Secret>,
    ) -> Result<(), Error> {
        let account = &attempt.account;
        let [connection, name] = account.row();
        let seal = |column, token: &Secret| {
            let place = self.place(account, column, credential.generation);
            attempt
                .key
                .seal(&place, token.expose_secret().as_bytes())
                .map_err(Error::Seal)
        };
        let refresh_token = refresh_token
            .map(|token| seal("refresh_token", token))
            .transpose()?;
        tx.prepare_cached(
            "INSERT OR REPLACE INTO credentials (connection, account, generation, data_key,
                 access_token, refresh_token, issued_at, expires_at, refresh_expires_at, rotates, scope,
                 signed_in_at, login_is_finite, refreshed, person, facts)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            connection,
            name,
            credential.generation.cast_signed(),
            attempt.key.id(),
            seal("access_token", &credential.access_token)?,
            refresh_token,
            credential.issued_at.to_string(),
            credential.expires_at.map(|at| at.to_string()),
            credential.refresh_expires_at.map(|at| at.to_string()),
            credential.rotates,
            credential.scope,
            credential.signed_in_at.to_string(),
            credential.login_is_finite,
            credential.refreshed,
            credential.person.as_ref().map(written),
            Some(&*credential.facts).filter(|facts| !facts.is_empty()).map(written),
        ])?;
        Ok(())
    }
}

/// The clear part of a row of `credentials`.
struct Row {
    account: Account,
    generation: i64,
    has_refresh_token: bool,
    issued_at: String,
    expires_at: Option<String>,
    refresh_expires_at: Option<String>,
    rotates: bool,
    scope: Option<String>,
    signed_in_at: String,
    login_is_finite: bool,
    refreshed: bool,
    person: Option<String>,
    facts: Option<String>,
}

impl Row {
    /// Joins the clear part with the access token.
    fn credential(self, access_token: Secret) -> Result<Credential, Error> {
        Ok(Credential {
            generation: self.generation.cast_unsigned(),
            access_token,
            has_refresh_token: self.has_refresh_token,
            issued_at: self.issued_at()?,
            expires_at: self.expires_at()?,
            refresh_expires_at: self.refresh_expires_at()?,
            rotates: self.rotates,
            signed_in_at: self.signed_in_at()?,
            login_is_finite: self.login_is_finite,
            refreshed: self.refreshed,
            person: self.person()?,
            facts: Arc::new(self.facts()?),
            scope: self.scope,
        })
    }

    fn signed_in_at(&self) -> Result<Timestamp, Error> {
        self.instant(Some(&self.signed_in_at))?
            .ok_or_else(|| unreadable(&self.account, "date"))
    }

    /// Returns true if a refresh that came long enough after the last one left the refresh token's
    /// end where it was, so that no use keeps it alive.
    fn is_not_moved_by(&self, attempt: &Attempt, ends: Option<Timestamp>) -> Result<bool, Error> {
        let (Some(before), Some(ends)) = (self.refresh_expires_at()?, ends) else {
            return Ok(false);
        };
        let is_apart = clock::after(self.issued_at()?, SAME_MOMENT * 2) < attempt.tried_at;
        Ok(is_apart && ends <= clock::after(before, SAME_MOMENT))
    }

    fn person(&self) -> Result<Option<Person>, Error> {
        let person = self.person.as_deref().map(serde_json::from_str).transpose();
        person.map_err(|_| unreadable(&self.account, "person"))
    }

    fn facts(&self) -> Result<Facts, Error> {
        let facts = self.facts.as_deref().map(serde_json::from_str).transpose();
        let facts: Option<Facts> = facts.map_err(|_| unreadable(&self.account, "facts"))?;
        Ok(facts.unwrap_or_default())
    }

    fn issued_at(&self) -> Result<Timestamp, Error> {
        self.instant(Some(&self.issued_at))?
            .ok_or_else(|| unreadable(&self.account, "date"))
    }

    fn expires_at(&self) -> Result<Option<Timestamp>, Error> {
        self.instant(self.expires_at.as_deref())
    }

    fn refresh_expires_at(&self) -> Result<Option<Timestamp>, Error> {
        self.instant(self.refresh_expires_at.as_deref())
    }

    fn instant(&self, text: Option<&str>) -> Result<Option<Timestamp>, Error> {
        let instant = text.map(str::parse).transpose();
        instant.map_err(|_| unreadable(&self.account, "date"))
    }
}

/// Returns what is known beside the tokens as the vault keeps it.
fn written(known: &impl Serialize) -> String {
    serde_json::to_string(known).expect("texts written to memory do not fail")
}

/// Returns the accounts of which a copy may hold a refresh token that is spent: all but those whose
/// server is known to leave it as it is.
pub(super) fn at_risk(conn: &Connection) -> Result<Vec<Account>, Error> {
    let mut statement = conn.prepare(
        "SELECT connection, account FROM credentials
         WHERE refresh_token IS NOT NULL AND (rotates OR NOT refreshed)",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (connection, name): (String, String) = (row.get(0)?, row.get(1)?);
        // What is not named as we name is not ours.
        found.extend(Account::from_row(&connection, &name));
    }
    Ok(found)
}

/// Returns true if a refresh token of any account was ever used.
pub(super) fn any_refreshed(conn: &Connection) -> Result<bool, Error> {
    let any = "SELECT EXISTS (SELECT 1 FROM credentials WHERE refreshed)";
    Ok(conn.query_row(any, [], |row| row.get(0))?)
}

/// Returns what is known of a credential without the key: its access token is empty.
pub(super) fn unsealed(conn: &Connection, account: &Account) -> Result<Option<Credential>, Error> {
    let row = clear(conn, account)?.map(|(_, _, row)| row);
    row.map(|row| row.credential(Secret::from(""))).transpose()
}

/// Returns the data key, the sealed access token and the clear part of a credential.
fn clear(conn: &Connection, account: &Account) -> Result<Option<(u32, Vec<u8>, Row)>, Error> {
    let mut statement = conn.prepare_cached(
        "SELECT generation, data_key, access_token, refresh_token IS NOT NULL, issued_at,
                expires_at, refresh_expires_at, rotates, scope, signed_in_at, login_is_finite,
                refreshed, person, facts
         FROM credentials WHERE connection = ?1 AND account = ?2",
    )?;
    let row = statement.query_row(account.row(), |row| {
        let clear = Row {
            account: account.clone(),
            generation: row.get(0)?,
            has_refresh_token: row.get(3)?,
            issued_at: row.get(4)?,
            expires_at: row.get(5)?,
            refresh_expires_at: row.get(6)?,
            rotates: row.get(7)?,
            scope: row.get(8)?,
            signed_in_at: row.get(9)?,
            login_is_finite: row.get(10)?,
            refreshed: row.get(11)?,
            person: row.get(12)?,
            facts: row.get(13)?,
        };
        Ok((row.get(1)?, row.get(2)?, clear))
    });
    Ok(row.optional()?)
}
