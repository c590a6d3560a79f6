//! A login, from the address the person is sent to, to the exchange it ends with.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::entry::Entry;
use super::flight::Landing;
use super::{Inner, Keeper};
use crate::config::Account;
use crate::oauth::grant::{Class, Client, Question};
use crate::oauth::login::{self, LoginDone, LoginStart, Pending};
use crate::oauth::settle::Ending;
use crate::oauth::vault::{Credential, Kind, Outcome};
use crate::oauth::{Error, Secret};

impl Keeper {
    /// Begins a login: where to send the person, and what to finish it with.
    ///
    /// It may be an account that was not there before. An earlier login of the same account that
    /// was not finished is dropped.
    ///
    /// # Errors
    /// If nobody signs in to this connection, its secret cannot be read, nobody says where its
    /// authorization server answers, or it is one account too many.
    pub async fn begin_login(&self, account: &Account) -> Result<LoginStart, Error> {
        let now = self.inner.clock.now();
        let entry = self.inner.accounts.admit(account, now)?;
        let oauth = entry.oauth().ok_or(login::Error::Broken)?;
        // Found out before the person has gone through it all rather than after.
        entry.secrets(oauth)?;
        let there = self.inner.server_for_login(&entry, oauth).await?;
        let (start, pending) = login::begin(oauth, there, account, now)?;
        self.logins().insert(account.clone(), pending);
        Ok(start)
    }

    /// Finishes a login with the URL the person was sent back to, or the code in it.
    ///
    /// Once the code is sent this ends by itself, also if the caller goes away.
    ///
    /// # Errors
    /// Why the login did not work; the credential that was there stays.
    pub async fn finish_login(&self, id: &str, redirected: &str) -> Result<LoginDone, Error> {
        let (pending, code) = self.take_login(id, redirected)?;
        let now = self.inner.clock.now();
        let entry = self.inner.accounts.admit(&pending.account, now)?;
        if self.inner.stopping.is_cancelled() {
            return Err(Error::Stopping {
                account: entry.account.clone(),
            });
        }
        let keeper = self.clone();
        let exchange = self.inner.flights.spawn(async move {
            let done = keeper.inner.sign_in(&entry, &pending, code).await;
            match &done {
                Ok(_) => keeper.inner.believe(&entry, pending.into_found()).await,
                Err(Error::Login(login::Error::NotSent { .. })) => {
                    // The code is as good as before.
                    let account = entry.account.clone();
                    keeper.logins().entry(account).or_insert(pending);
                }
                Err(_) => {}
            }
            keeper.inner.landed.notify_one();
            done
        });
        exchange
            .await
            .unwrap_or(Err(Error::Login(login::Error::Broken)))
    }

    /// Takes the login `id` that `redirected` answers. A typing mistake or a stranger's answer
    /// leaves it as it is.
    fn take_login(&self, id: &str, redirected: &str) -> Result<(Pending, Secret), login::Error> {
        let now = self.inner.clock.now();
        let mut logins = self.logins();
        let ended = logins.extract_if(.., |_, pending| pending.has_ended(now));
        ended.for_each(|(account, _)| self.inner.accounts.forget(&account));
        let pending = logins.values().find(|pending| pending.is(id));
        let pending = pending.ok_or(login::Error::NotPending)?;
        let (account, code) = (pending.account.clone(), pending.code(redirected));
        if matches!(code, Ok(_) | Err(login::Error::Denied { .. })) {
            let taken = logins.remove(&account).ok_or(login::Error::NotPending)?;
            return code.map(|code| (taken, code));
        }
        Err(code.err().unwrap_or(login::Error::NotPending))
    }

    fn logins(&self) -> MutexGuard<'_, BTreeMap<Account, Pending>> {
        self.inner
            .logins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Exchanges the code of a login. The credential that was there stays until the new one is in.
    pub(super) async fn sign_in(
        &self,
        entry: &Arc<Entry>,
        pending: &Pending,
        code: Secret,
    ) -> Result<LoginDone, Error> {
        let oauth = entry.oauth().ok_or(login::Error::Broken)?;
        let secrets = entry.secrets(oauth)?;
        let places = self.places(oauth);
        let _place = places.acquire().await;
        let _turn = entry.turn.lock().await;
        let attempt = self.begin(entry, Kind::Code, None, None).await?;
        let question = Question {
            client: Client {
                oauth,
                server: pending.server(),
                secrets: &secrets,
            },
            ask: pending.ask(&code),
        };
        let account = entry.account.clone();
        let ending = match self.exchange(entry, &attempt, &question).await {
            Landing::Committed(credential) => return Ok(done(account, &credential)),
            Landing::Stranded => return Err(login::Error::Stranded { account }.into()),
            Landing::Empty(ending) => ending,
        };
        let (outcome, error) = refused_login(account, &ending);
        let now = self.clock.now();
        let detail = Some(ending.detail());
        let closed = self.vault.close(&attempt, outcome, detail, None, now).await;
        self.cope(&attempt, closed);
        Err(error.into())
    }
}

fn done(account: Account, credential: &Credential) -> LoginDone {
    LoginDone {
        connection: account.connection,
        account: account.name,
        generation: credential.generation,
        expires_at: credential.expires_at,
        refresh_expires_at: credential.refresh_expires_at,
        can_refresh: credential.has_refresh_token,
        scope: credential.scope.clone(),
    }
}

/// Says how the attempt of a login ended, and what its person is told. A code is never sent twice.
fn refused_login(account: Account, ending: &Ending) -> (Outcome, login::Error) {
    let detail = ending.detail();
    let refusal = match ending {
        Ending::NotSent(_) => {
            return (Outcome::NotSent, login::Error::NotSent { account, detail });
        }
        Ending::Lost(_) => return (Outcome::Lost, login::Error::Lost { account, detail }),
        Ending::Refused(refusal) => refusal,
    };
    match refusal.class {
        Class::InDoubt => (Outcome::Lost, login::Error::Lost { account, detail }),
        Class::Configuration => (
            Outcome::Configuration,
            login::Error::ClientRejected { account, detail },
        ),
        Class::TooEarly => (
            Outcome::TooEarly,
            login::Error::CodeRefused { account, detail },
        ),
        Class::Transient { .. } => (
            Outcome::Transient,
            login::Error::CodeRefused { account, detail },
        ),
        Class::DeadGrant => (
            Outcome::Refused,
            login::Error::CodeRefused { account, detail },
        ),
        Class::Unclassified => (
            Outcome::Unclassified,
            login::Error::CodeRefused { account, detail },
        ),
    }
}
