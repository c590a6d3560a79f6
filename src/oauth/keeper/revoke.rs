//! Asks a server to revoke a token, with bounded patience (RFC 7009).

use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use super::Inner;
use super::entry::Entry;
use crate::clock;
use crate::config::OAuth;
use crate::http;
use crate::oauth::discovery::Server;
use crate::oauth::grant::{self, Client};
use crate::oauth::revocation::{self, Reading, TokenKind};
use crate::oauth::secrets::Secrets;
use crate::remedy;
use crate::secret::{Redactor, Secret};

/// How long a server is asked in one go, all in all.
const MOST: Duration = Duration::from_secs(30);
/// How long one request may take.
const ONE_REQUEST: Duration = Duration::from_secs(10);
/// How soon the server is asked again; both tokens of a credential share these.
pub(super) const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(8),
];

/// The program stops before the server has answered.
#[derive(Debug)]
pub(super) struct CutShort;

/// How often, and until when, a server is asked.
pub(super) struct Patience {
    ends_at: Timestamp,
    pauses: std::slice::Iter<'static, Duration>,
}

impl Patience {
    pub(super) fn new(now: Timestamp, pauses: &'static [Duration]) -> Self {
        Self {
            ends_at: clock::after(now, MOST),
            pauses: pauses.iter(),
        }
    }

    /// Returns when to ask again, not before `wait` is over; `None` if that is too late.
    fn next(&mut self, now: Timestamp, wait: Option<Duration>) -> Option<Timestamp> {
        let pause = self.pauses.next()?;
        let at = clock::after(now, wait.unwrap_or_default().max(*pause));
        (at < self.ends_at).then_some(at)
    }
}

/// Where tokens are revoked, and what the client proves itself with there.
pub(super) struct Desk {
    server: Server,
    url: Url,
    secrets: Secrets,
}

impl Inner {
    /// Finds out where tokens are revoked; says why that is not to be had.
    pub(super) async fn desk(&self, entry: &Entry, oauth: &OAuth) -> Result<Desk, String> {
        let server = match oauth.endpoints.revocation {
            Some(_) => self.server(entry, oauth).await,
            None => self.whole_server(entry, oauth).await,
        };
        let server = server.map_err(|error| remedy::told(&error))?;
        let Some(url) = server.revocation.clone() else {
            return Err("no `revocation_url` is known for this connection".to_owned());
        };
        let secrets = entry.secrets(oauth);
        Ok(Desk {
            server,
            url,
            secrets: secrets.map_err(|error| remedy::told(&error))?,
        })
    }

    /// Asks until the server has revoked one token, or says why it has not.
    ///
    /// # Errors
    /// [`CutShort`] if the program stops before the server has answered.
    pub(super) async fn revoke(
        &self,
        oauth: &OAuth,
        desk: &Desk,
        token: (TokenKind, &Secret),
        patience: &mut Patience,
    ) -> Result<Option<String>, CutShort> {
        let client = Client {
            oauth,
            server: &desk.server,
            secrets: &desk.secrets,
        };
        // Bounded by the patience.
        loop {
            let ends_at = patience.ends_at;
            let (why, wait) = match self.ask_to_revoke(client, &desk.url, token, ends_at).await {
                Reading::Revoked => return Ok(None),
                Reading::Refused(why) => return Ok(Some(why)),
                Reading::Later { why, wait } => (why, wait),
            };
            let Some(at) = patience.next(self.clock.now(), wait) else {
                return Ok(Some(why));
            };
            tokio::select! {
                () = self.clock.sleep_until(at) => {}
                () = self.stopping.cancelled() => return Err(CutShort),
            }
        }
    }

    async fn ask_to_revoke(
        &self,
        client: Client<'_>,
        url: &Url,
        token: (TokenKind, &Secret),
        ends_at: Timestamp,
    ) -> Reading {
        let now = self.clock.now();
        let left = clock::until(now, ends_at);
        if left.is_zero() {
            let why = "the server had no time left to answer in".to_owned();
            return Reading::Later { why, wait: None };
        }
        let request = match revocation::request(client, url, token, self.server_now(client.oauth)) {
            Ok(request) => request,
            Err(error) => return Reading::Refused(error.to_string()),
        };
        let limits = http::Limits {
            timeout: ONE_REQUEST.min(left),
            body: grant::ANSWER_LIMIT,
        };
        let identity = client.secrets.identity.as_ref();
        match self.http.exchange(request, identity, limits).await {
            Ok(answer) => {
                let sent = client.secrets.sent().chain([token.1]).cloned();
                revocation::read(&answer, &Redactor::new(sent), self.clock.now())
            }
            Err(error) => Reading::Later {
                why: error.to_string(),
                wait: None,
            },
        }
    }
}
