//! A login, from the address the person is sent to, to the exchange it ends with.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::entry::Entry;
use super::exchange::Landing;
use super::{Inner, Keeper};
use crate::config::Account;
use crate::http;
use crate::oauth::Error;
use crate::oauth::discovery::Server;
use crate::oauth::grant::{self, Ask, Check, Class, Client, Question};
use crate::oauth::id_token::IdTokenError;
use crate::oauth::login::{self, Answer, LoginDone, LoginStart, Pending, Whom};
use crate::oauth::settle::Ending;
use crate::oauth::vault::{Credential, Kind, Outcome};

/// How long a person waits for a server that begins a login, and how much it may say.
pub(super) const LIMITS: http::Limits = http::Limits {
    timeout: Duration::from_secs(30),
    body: grant::ANSWER_LIMIT,
};

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
        self.begin_login_of(account, Whom::SamePerson).await
    }

    /// As [`begin_login`](Self::begin_login), and says who may sign in.
    ///
    /// # Errors
    /// If nobody signs in to this connection, its secret cannot be read, nobody says where its
    /// authorization server answers, or it is one account too many.
    pub async fn begin_login_of(&self, account: &Account, whom: Whom) -> Result<LoginStart, Error> {
        let now = self.inner.clock.now();
        let entry = self.inner.accounts.admit(account, now)?;
        let oauth = entry.oauth().ok_or(login::Error::Broken)?;
        // Found out before the person has gone through it all rather than after.
        entry.secrets(oauth)?;
        let there = self.inner.server_for_login(&entry, oauth).await?;
        let mut opening = login::open(oauth, there, (account, whom), now)?;
        self.inner.push(&entry, oauth, &mut opening).await?;
        let (start, pending) = opening.opened();
        self.logins().insert(account.clone(), pending);
        Ok(start)
    }

    /// Finishes a login with the URL the person was sent back to.
    ///
    /// Once the code is sent this ends by itself, also if the caller goes away.
    ///
    /// # Errors
    /// Why the login did not work; the credential that was there stays.
    pub async fn finish_login(&self, id: &str, redirected: &str) -> Result<LoginDone, Error> {
        let taken = self.take_login(id, |pending| pending.answer(redirected))?;
        self.redeem_login(taken).await
    }

    /// As [`finish_login`](Self::finish_login), with a code alone, for which a person has vouched.
    ///
    /// # Errors
    /// Why the login did not work; the credential that was there stays.
    pub async fn finish_login_with_code(&self, id: &str, code: &str) -> Result<LoginDone, Error> {
        let taken = self.take_login(id, |pending| pending.code_alone(code))?;
        self.redeem_login(taken).await
    }

    async fn redeem_login(&self, (pending, answer): (Pending, Answer)) -> Result<LoginDone, Error> {
        let now = self.inner.clock.now();
        let entry = self.inner.accounts.admit(&pending.account, now)?;
        if self.inner.stopping.is_cancelled() {
            return Err(Error::Stopping {
                account: entry.account.clone(),
            });
        }
        let keeper = self.clone();
        let account = entry.account.clone();
        let exchange = self.inner.flights.spawn(async move {
            let done = keeper.inner.sign_in(&entry, &pending, &answer).await;
            match &done {
                Ok(_) => keeper.inner.believe(&entry, pending.into_found()).await,
                Err(Error::Login(login::Error::NotSent { .. })) => {
                    // The code is as good as before.
                    let account = entry.account.clone();
                    keeper.logins().entry(account).or_insert(pending);
                }
                Err(_) => {}
            }
            keeper.inner.tell_changed(&account);
            done
        });
        exchange
            .await
            .unwrap_or(Err(Error::Login(login::Error::Broken)))
    }

    /// Takes the login `id` with what `read` finds to answer it. A typing mistake or a stranger's
    /// answer leaves it as it is.
    fn take_login(
        &self,
        id: &str,
        read: impl FnOnce(&Pending) -> Result<Answer, login::Error>,
    ) -> Result<(Pending, Answer), login::Error> {
        let now = self.inner.clock.now();
        let mut logins = self.logins();
        let ended = logins.extract_if(.., |_, pending| pending.has_ended(now));
        ended.for_each(|(account, _)| self.inner.accounts.forget(&account));
        let pending = logins.values().find(|pending| pending.is(id));
        let pending = pending.ok_or(login::Error::NotPending)?;
        let (account, answer) = (pending.account.clone(), read(pending));
        if let Err(
            error @ (login::Error::NoCode
            | login::Error::StillThere { .. }
            | login::Error::OtherState),
        ) = answer
        {
            return Err(error);
        }
        let taken = logins.remove(&account).ok_or(login::Error::NotPending)?;
        answer.map(|answer| (taken, answer))
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
    async fn sign_in(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        pending: &Pending,
        answer: &Answer,
    ) -> Result<LoginDone, Error> {
        let asked = (Kind::Code, pending.ask(answer));
        let redeemed = self
            .redeem(entry, pending.server(), asked, pending.check())
            .await?;
        redeemed.map_err(|ending| refused_login(entry.account.clone(), &ending).1.into())
    }

    /// Asks for the first tokens of a login; returns how it ended if there are none.
    ///
    /// # Errors
    /// If nothing could be asked, or the tokens could not be stored.
    pub(super) async fn redeem(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        server: &Server,
        (kind, ask): (Kind, Ask<'_>),
        check: Check<'_>,
    ) -> Result<Result<LoginDone, Ending>, Error> {
        let oauth = entry.oauth().ok_or(login::Error::Broken)?;
        let secrets = entry.secrets(oauth)?;
        let places = self.places(oauth);
        let _place = places.acquire().await;
        let _gate = entry.gate.lock().await;
        let attempt = self.begin(entry, kind, None, None).await?;
        let client = Client {
            oauth,
            server,
            secrets: &secrets,
        };
        let question = Question { client, ask, check };
        let account = entry.account.clone();
        let ending = match self.exchange(entry, &attempt, &question).await {
            Landing::Committed(credential) => {
                let notices = unnamed(&client, &credential).into_iter().collect();
                return Ok(Ok(LoginDone {
                    notices,
                    ..done(account, &credential)
                }));
            }
            // Nothing comes between a login and its tokens, so they are never late.
            Landing::Stranded | Landing::Late(_) => {
                return Err(login::Error::Stranded { account }.into());
            }
            Landing::Unidentified(source, Some(orphan)) => {
                self.begin_revoking(*orphan);
                return Err(unidentified(entry, source).into());
            }
            Landing::Unidentified(source, None) => {
                let now = self.clock.now();
                let detail = Some(source.to_string());
                let refused = Outcome::Refused;
                let closed = self.vault.close(&attempt, refused, detail, None, now).await;
                self.cope(&attempt, closed);
                return Err(unidentified(entry, source).into());
            }
            Landing::Empty(ending) => ending,
        };
        let (outcome, _) = refused_login(account, &ending);
        let now = self.clock.now();
        let detail = Some(ending.detail());
        let closed = self.vault.close(&attempt, outcome, detail, None, now).await;
        self.cope(&attempt, closed);
        Ok(Err(ending))
    }
}

/// Says why the person who signed in is not let in.
fn unidentified(entry: &Entry, source: IdTokenError) -> login::Error {
    let account = entry.account.clone();
    match (source, entry.person()) {
        (IdTokenError::OtherPerson, Some(before)) => login::Error::OtherPerson {
            account,
            before: before.title(),
        },
        (source, _) => login::Error::Identity { account, source },
    }
}

pub(super) fn done(account: Account, credential: &Credential) -> LoginDone {
    LoginDone {
        connection: account.connection,
        account: account.name,
        generation: credential.generation,
        expires_at: credential.expires_at,
        refresh_expires_at: credential.refresh_expires_at,
        can_refresh: credential.has_refresh_token,
        scope: credential.scope.clone(),
        person: credential.person.clone(),
        notices: Vec::new(),
    }
}

/// Tells that nobody knows who signed in, where the server was to say so: with `openid`, an answer
/// must have an `id_token` (OpenID Connect Core section 3.1.3.3).
fn unnamed(client: &Client<'_>, credential: &Credential) -> Option<String> {
    let is_asked = client
        .oauth
        .scopes
        .iter()
        .any(|scope| scope == login::OPENID);
    let is_missing = client.server.issuer.is_some() && credential.person.is_none();
    (is_asked && is_missing).then(|| {
        "`openid` was asked for, but the server gave no id_token: who signed in is not known, and \
         somebody else could sign in next time without being noticed"
            .to_owned()
    })
}

/// Says how the attempt of a login ended, and what its person is told. A code is never sent twice.
pub(super) fn refused_login(account: Account, ending: &Ending) -> (Outcome, login::Error) {
    let detail = ending.detail();
    let refusal = match ending {
        Ending::NotSent(_) | Ending::Untrusted(_) => {
            return (Outcome::NotSent, login::Error::NotSent { account, detail });
        }
        Ending::Lost(_) => return (Outcome::Lost, login::Error::Lost { account, detail }),
        Ending::Refused(refusal) => refusal,
    };
    match refusal.class {
        Class::InDoubt => (Outcome::Lost, login::Error::Lost { account, detail }),
        Class::Client | Class::Configuration => (
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
        Class::Denied | Class::Unclassified => (
            Outcome::Unclassified,
            login::Error::CodeRefused { account, detail },
        ),
    }
}
