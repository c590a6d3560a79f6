//! The exchange that a login ends with.

use std::sync::Arc;

use super::Inner;
use super::entry::Entry;
use super::flight::Landing;
use crate::config::Account;
use crate::oauth::grant::{Class, Question};
use crate::oauth::login::{self, LoginDone, Pending};
use crate::oauth::settle::Ending;
use crate::oauth::vault::{Credential, Kind, Outcome};
use crate::oauth::{Error, Secret};

impl Inner {
    /// Exchanges the code of a login. The credential that was there stays until the new one is in.
    pub(super) async fn sign_in(
        &self,
        entry: &Arc<Entry>,
        pending: &Pending,
        code: Secret,
    ) -> Result<LoginDone, Error> {
        let oauth = entry.oauth().ok_or(login::Error::Broken)?;
        let secret = entry.client_secret(oauth)?;
        let server = self.server(&oauth.token_url.origin());
        let _place = server.acquire().await;
        let _turn = entry.turn.lock().await;
        let attempt = self.begin(entry, Kind::Code, None, None).await?;
        let question = Question {
            oauth,
            secret: secret.as_ref(),
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
