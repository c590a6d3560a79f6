//! Finds out where an authorization server answers, and remembers it.
//!
//! What the configuration says needs no asking. What a server says of itself is kept in the vault,
//! so that no refresh waits for a document that is not to be had. A document that would send
//! secrets to another host than before is used from the next login on, when a person is there.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Inner;
use super::entry::Entry;
use crate::clock;
use crate::config::{Issuer, Name, OAuth};
use crate::http::{self, HeaderValue, Method, Request};
use crate::oauth::Error;
use crate::oauth::discovery::{self, ForLogin, Found, Metadata, Server};
use crate::oauth::login::OPENID;

/// How long a document is used before it is looked at again. Servers change theirs seldom, and
/// keep what they had before for a while.
pub(super) const FRESH: Duration = Duration::from_secs(24 * 60 * 60);
/// A refresh waits for a document, so it waits briefly.
pub(super) const LIMITS: http::Limits = http::Limits {
    timeout: Duration::from_secs(10),
    body: discovery::LIMIT,
};

/// What is known of a connection's authorization server.
#[derive(Clone)]
pub(super) struct Known {
    metadata: Arc<Metadata>,
    /// When it was last asked, or tried to be.
    asked_at: Timestamp,
    /// What the server says that is not believed before somebody signs in.
    notice: Option<String>,
}

impl Known {
    /// Returns itself with the reason if what was `found` leads to another host.
    fn left_by(self, found: &Found) -> Option<(Self, String)> {
        let notice = discovery::moved(&self.metadata, &found.metadata)?;
        Some((self, notice))
    }
}

impl Inner {
    /// Returns the server of a connection for a token request.
    ///
    /// # Errors
    /// If nobody says where tokens are had, and nobody ever did.
    pub(super) async fn server(&self, entry: &Entry, oauth: &OAuth) -> Result<Server, Error> {
        if oauth.endpoints.token.is_some() {
            return known(entry, oauth, None);
        }
        self.whole_server(entry, oauth).await
    }

    /// Returns the server of a connection with everything that it says of itself.
    ///
    /// # Errors
    /// If nobody says where tokens are had, and nobody ever did.
    pub(super) async fn whole_server(&self, entry: &Entry, oauth: &OAuth) -> Result<Server, Error> {
        let Some(issuer) = &oauth.issuer else {
            return known(entry, oauth, None);
        };
        let name = &entry.account.connection;
        let now = self.clock.now();
        let before = self.remembered(name, issuer).await?;
        let is_fresh =
            |known: &Known| known.asked_at <= now && clock::until(known.asked_at, now) < FRESH;
        if let Some(before) = before.as_ref().filter(|before| is_fresh(before)) {
            return known(entry, oauth, Some(&before.metadata));
        }
        let metadata = match (self.ask(oauth, issuer).await, before) {
            (Ok(found), before) => match before.and_then(|before| before.left_by(&found)) {
                None => self.adopt(name, issuer, found).await,
                Some((before, notice)) => {
                    tracing::error!(
                        connection = %entry.account,
                        "{notice}; tidegate stays with the old one until somebody signs in again \
                         or the configuration names the new one"
                    );
                    self.stay_with(name, before, Some(notice))
                }
            },
            (Err(error), Some(before)) => {
                tracing::warn!(connection = %entry.account, %error, "going on with what the authorization server said before");
                let notice = before.notice.clone();
                self.stay_with(name, before, notice)
            }
            (Err(source), None) => {
                let account = entry.account.clone();
                return Err(Error::Discovery { account, source });
            }
        };
        known(entry, oauth, Some(&metadata))
    }

    /// Asks the server of a connection anew, because a person is about to sign in there.
    ///
    /// # Errors
    /// If nobody says where tokens are had, and nobody ever did.
    pub(super) async fn server_for_login(
        &self,
        entry: &Entry,
        oauth: &OAuth,
    ) -> Result<ForLogin, Error> {
        let offline = |server| ForLogin {
            server,
            found: None,
            notice: None,
        };
        let Some(issuer) = &oauth.issuer else {
            return known(entry, oauth, None).map(offline);
        };
        let before = self.remembered(&entry.account.connection, issuer).await?;
        let before = before.map(|before| before.metadata);
        match self.ask(oauth, issuer).await {
            Ok(found) => {
                let moved = |before| discovery::moved(before, &found.metadata);
                Ok(ForLogin {
                    server: known(entry, oauth, Some(&found.metadata))?,
                    notice: before.as_deref().and_then(moved),
                    found: Some(found),
                })
            }
            Err(source) => {
                tracing::warn!(connection = %entry.account, error = %source, "the authorization server does not say where it answers");
                let Some(server) = Server::of(oauth, before.as_deref()) else {
                    let account = entry.account.clone();
                    return Err(Error::Discovery { account, source });
                };
                Ok(offline(server))
            }
        }
    }

    /// Looks again after the token endpoint was not where it should be; returns true if it is
    /// somewhere else now.
    pub(super) async fn has_moved(&self, entry: &Entry, oauth: &OAuth, server: &Server) -> bool {
        let name = &entry.account.connection;
        if let Some(known) = self.all_known().get_mut(name) {
            known.asked_at = Timestamp::MIN;
        }
        let now = self.server(entry, oauth).await;
        now.is_ok_and(|now| (&now.token, &now.refresh) != (&server.token, &server.refresh))
    }

    /// Keeps what a server said of itself before a login that has worked.
    pub(super) async fn believe(&self, entry: &Entry, found: Option<Found>) {
        let issuer = entry.oauth().and_then(|oauth| oauth.issuer.as_ref());
        if let Some((issuer, found)) = issuer.zip(found) {
            self.adopt(&entry.account.connection, issuer, found).await;
        }
    }

    /// Keeps what a server said of itself. Without a vault that can be written it is asked again
    /// after the next start.
    async fn adopt(&self, name: &Name, issuer: &Issuer, found: Found) -> Arc<Metadata> {
        let now = self.clock.now();
        let stored = self
            .vault
            .put_metadata(name, issuer, found.document, now)
            .await;
        if let Err(error) = stored {
            tracing::warn!(connection = %name, %error, "could not keep what the authorization server says of itself");
        }
        let metadata = Arc::new(found.metadata);
        let known = Known {
            metadata: Arc::clone(&metadata),
            asked_at: now,
            notice: None,
        };
        self.all_known().insert(name.clone(), known);
        metadata
    }

    /// Goes on with what was known before, until it is time to ask again.
    fn stay_with(&self, name: &Name, before: Known, notice: Option<String>) -> Arc<Metadata> {
        let asked_at = self.clock.now();
        let metadata = Arc::clone(&before.metadata);
        let known = Known {
            asked_at,
            notice,
            ..before
        };
        self.all_known().insert(name.clone(), known);
        metadata
    }

    /// Returns what a person should know about the server of a connection.
    pub(super) fn notice(&self, name: &Name) -> Option<String> {
        self.all_known().get(name)?.notice.clone()
    }

    /// Returns what is known of the server called `issuer`, from memory or from the vault.
    async fn remembered(&self, name: &Name, issuer: &Issuer) -> Result<Option<Known>, Error> {
        let known = self.all_known().get(name).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some((document, asked_at)) = self.vault.metadata(name, issuer).await? else {
            return Ok(None);
        };
        // Another version may have thought it fit.
        let Ok(metadata) = discovery::read(issuer, document.as_bytes()) else {
            return Ok(None);
        };
        let known = Known {
            metadata: Arc::new(metadata),
            asked_at,
            notice: None,
        };
        self.all_known().insert(name.clone(), known.clone());
        Ok(Some(known))
    }

    /// Asks the server what it says of itself.
    async fn ask(&self, oauth: &OAuth, issuer: &Issuer) -> Result<Found, discovery::Error> {
        let is_openid = oauth.scopes.iter().any(|scope| scope == OPENID);
        let mut first = None;
        for url in discovery::addresses(issuer, is_openid) {
            match self.ask_at(issuer, url).await {
                // Where the host is away it is so for both addresses.
                Err(error @ discovery::Error::Unreachable { .. }) => return Err(error),
                Err(error) => first = Some(first.unwrap_or(error)),
                found => return found,
            }
        }
        Err(first.unwrap_or(discovery::Error::NoTokenEndpoint))
    }

    async fn ask_at(&self, issuer: &Issuer, url: url::Url) -> Result<Found, discovery::Error> {
        let mut request = Request::new(Method::GET, url.clone());
        let json = HeaderValue::from_static("application/json");
        request.headers.insert("accept", json);
        let answer = self.http.exchange(request, None, LIMITS).await;
        let answer = answer.map_err(|error| discovery::Error::Unreachable {
            cause: error.to_string(),
        })?;
        if answer.status != 200 {
            let status = answer.status;
            let url = url.to_string();
            return Err(discovery::Error::Status { url, status });
        }
        match discovery::read(issuer, &answer.body) {
            Ok(metadata) => Ok(Found {
                metadata,
                document: String::from_utf8_lossy(&answer.body).into_owned(),
            }),
            Err(unfit) => Err(discovery::Error::Unfit {
                url: url.to_string(),
                unfit,
            }),
        }
    }

    fn all_known(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeMap<Name, Known>> {
        self.metadata.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known(entry: &Entry, oauth: &OAuth, metadata: Option<&Metadata>) -> Result<Server, Error> {
    Server::of(oauth, metadata).ok_or_else(|| Error::Discovery {
        account: entry.account.clone(),
        source: discovery::Error::NoTokenEndpoint,
    })
}
