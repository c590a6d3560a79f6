//! The accounts that are known: they come as people sign in, and go as they sign out.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;

use super::entry::{Client, Entry};
use crate::config::{Account, Grant, Name, OAuth};
use crate::oauth::standing::{Reason, without_credential};
use crate::oauth::{Error, login};

/// The most accounts with a name, over all connections: what one process holds in memory and
/// keeps fresh, and far more than anybody signs in by hand.
const MOST_ACCOUNTS: usize = 10_000;

/// Every connection, and what is known of each of its accounts.
pub(super) struct Accounts {
    clients: BTreeMap<Name, Arc<Client>>,
    /// The account without a name is always there.
    known: RwLock<BTreeMap<Account, Arc<Entry>>>,
}

impl Accounts {
    pub(super) fn new(
        clients: BTreeMap<Name, Arc<Client>>,
        known: BTreeMap<Account, Arc<Entry>>,
    ) -> Self {
        Self {
            clients,
            known: RwLock::new(known),
        }
    }

    /// Returns what is known of `account`.
    ///
    /// # Errors
    /// If there is no such connection, or nobody has signed in to it under that name.
    pub(super) fn get(&self, account: &Account) -> Result<Arc<Entry>, Error> {
        if let Some(entry) = self.known().get(account) {
            return Ok(Arc::clone(entry));
        }
        self.signed_in_to(account)?;
        Err(Error::NeedsLogin {
            account: account.clone(),
            reason: Reason::NeverSignedIn,
            detail: None,
        })
    }

    /// Returns everything that is known, connection by connection.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.known().values().map(Arc::clone).collect()
    }

    /// Returns what is known of one connection: first the account without a name.
    pub(super) fn of(&self, connection: &Name) -> Vec<Arc<Entry>> {
        let known = self.known();
        let from_first = known.range(Account::of(connection)..);
        from_first
            .take_while(|(account, _)| account.connection == *connection)
            .map(|(_, entry)| Arc::clone(entry))
            .collect()
    }

    /// Returns what is known of `account`, which is about to sign in: it may be a new one.
    ///
    /// # Errors
    /// If nobody signs in to the connection, or there are too many accounts.
    pub(super) fn admit(&self, account: &Account, now: Timestamp) -> Result<Arc<Entry>, Error> {
        self.enter(account, self.signed_in_to(account)?, now)
    }

    /// As [`admit`](Self::admit), where tokens that were obtained elsewhere are brought in.
    ///
    /// # Errors
    /// If no refresh token keeps the connection alive, or there are too many accounts.
    pub(super) fn admit_import(
        &self,
        account: &Account,
        now: Timestamp,
    ) -> Result<Arc<Entry>, Error> {
        let client = self.client(account)?;
        let lives_on_tokens = |oauth: &OAuth| !oauth.grant.is_unattended();
        if !client.oauth().is_some_and(lives_on_tokens) {
            return Err(login::Error::NothingToImport {
                account: account.clone(),
            }
            .into());
        }
        self.enter(account, client, now)
    }

    fn enter(
        &self,
        account: &Account,
        client: &Arc<Client>,
        now: Timestamp,
    ) -> Result<Arc<Entry>, Error> {
        let mut known = self.known_mut();
        if let Some(entry) = known.get(account) {
            return Ok(Arc::clone(entry));
        }
        if known.keys().filter(|known| known.name.is_some()).count() >= MOST_ACCOUNTS {
            return Err(Error::TooManyAccounts {
                account: account.clone(),
                most: MOST_ACCOUNTS,
            });
        }
        let standing = without_credential(client.oauth(), Reason::NeverSignedIn, now);
        let entry = Arc::new(Entry::new(account, Arc::clone(client), standing));
        known.insert(account.clone(), Arc::clone(&entry));
        Ok(entry)
    }

    /// Returns what is known of `account`, which is about to sign out.
    ///
    /// # Errors
    /// If there is no such connection or account.
    pub(super) fn dismiss(&self, account: &Account) -> Result<Arc<Entry>, Error> {
        if let Some(entry) = self.known().get(account) {
            return Ok(Arc::clone(entry));
        }
        self.signed_in_to(account)?;
        let entries = self.of(&account.connection);
        let known = entries
            .iter()
            .filter_map(|entry| entry.account.name.clone());
        Err(match &account.name {
            Some(name) => Error::NoSuchAccount {
                connection: account.connection.clone(),
                name: name.clone(),
                known: known.collect(),
            },
            None => Error::Unknown {
                connection: account.connection.clone(),
            },
        })
    }

    /// Forgets an account with a name on which nobody is signed in.
    pub(super) fn forget(&self, account: &Account) {
        let mut known = self.known_mut();
        if account.name.is_some() && known.get(account).is_some_and(|entry| entry.is_absent()) {
            known.remove(account);
        }
    }

    /// Returns the client through which `account` signs in.
    fn signed_in_to(&self, account: &Account) -> Result<&Arc<Client>, Error> {
        let client = self.client(account)?;
        let account = account.clone();
        match client.oauth().map(|oauth| &oauth.grant) {
            Some(grant) if grant.is_login() => Ok(client),
            Some(Grant::RefreshToken) => Err(login::Error::OnlyImported { account }.into()),
            Some(_) | None => Err(login::Error::NobodySignsIn { account }.into()),
        }
    }

    fn client(&self, account: &Account) -> Result<&Arc<Client>, Error> {
        let client = self.clients.get(&account.connection);
        client.ok_or_else(|| Error::Unknown {
            connection: account.connection.clone(),
        })
    }

    // No change to the map can break off half-way, so it is whole even after a panic.
    fn known(&self) -> RwLockReadGuard<'_, BTreeMap<Account, Arc<Entry>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<Account, Arc<Entry>>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}
