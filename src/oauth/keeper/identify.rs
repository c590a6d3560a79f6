//! Finds out who signed in, before anybody's tokens are stored over another's.

use url::Url;

use super::Inner;
use super::entry::Entry;
use super::metadata::{FRESH, LIMITS};
use crate::clock;
use crate::http::{Answer, Authorization, HeaderValue, Method, Request};
use crate::oauth::grant::{Question, Tokens};
use crate::oauth::id_token::{ALGORITHMS, Expected, IdTokenError, Jwks, Person, Proof, verify};
use crate::oauth::login::OPENID;
use crate::oauth::vault::{Attempt, Kind};
use crate::secret::Secret;

impl Inner {
    /// Notes in `tokens` who signed in, where OpenID Connect is spoken and the server has a name.
    ///
    /// # Errors
    /// If it is another person than before, or nobody can tell.
    pub(super) async fn identify(
        &self,
        entry: &Entry,
        attempt: &Attempt,
        question: &Question<'_>,
        tokens: &mut Tokens,
    ) -> Result<(), IdTokenError> {
        let client = question.client;
        let is_asked = client.oauth.scopes.iter().any(|scope| scope == OPENID);
        let Some(issuer) = client.server.issuer.as_deref().filter(|_| is_asked) else {
            return Ok(());
        };
        let Some(id_token) = &tokens.id_token else {
            return Ok(());
        };
        let before = entry.person();
        let expected = Expected {
            // It came straight from the token endpoint (OpenID Connect Core 3.1.3.7, item 6).
            proof: Proof::Channel,
            issuer,
            client_id: &client.oauth.client_id,
            nonce: question.check.nonce,
            access_token: Some(&tokens.access_token),
            previous: before.as_ref().filter(|_| !question.check.may_be_another),
            now: self.clock.now(),
        };
        if attempt.kind == Kind::Refresh {
            return same_person(entry, id_token, &expected);
        }
        let jwks = client.server.jwks.as_ref();
        let person = self.signed_in(entry, id_token, &expected, jwks).await?;
        let userinfo = client.server.userinfo.as_ref();
        let person = self
            .described(entry, person, &tokens.access_token, userinfo)
            .await?;
        tokens.person = Some(person);
        Ok(())
    }

    /// Returns whom an `id_token` is about that the server has signed. Where its keys are not to be
    /// had, the connection to the token endpoint vouches for what came over it, as `expected` says.
    ///
    /// # Errors
    /// If the token is not as `expected`, or signed by nobody known.
    async fn signed_in(
        &self,
        entry: &Entry,
        id_token: &Secret,
        expected: &Expected<'_>,
        jwks: Option<&Url>,
    ) -> Result<Person, IdTokenError> {
        let Some(jwks) = jwks else {
            return verify(id_token, expected);
        };
        let signed_by = |keys: &Jwks| {
            let proof = Proof::Signature {
                keys,
                algorithms: ALGORITHMS,
            };
            verify(id_token, &Expected { proof, ..*expected })
        };
        if let Some(keys) = self.kept_keys(entry, jwks).await {
            match signed_by(&keys) {
                // The server may have other keys by now.
                Err(
                    IdTokenError::UnknownKey | IdTokenError::AmbiguousKey | IdTokenError::Signature,
                ) => {}
                known => return known,
            }
        }
        match self.fetched_keys(entry, jwks).await {
            Some(keys) => signed_by(&keys),
            None => verify(id_token, expected),
        }
    }

    /// Returns the server's keys, if they were fetched not long ago.
    async fn kept_keys(&self, entry: &Entry, jwks: &Url) -> Option<Jwks> {
        let kept = self.vault.key_set(&entry.account.connection, jwks).await;
        // One that cannot be read is fetched like one that is not there.
        let (document, fetched_at) = kept.ok()??;
        let now = self.clock.now();
        let is_fresh = fetched_at <= now && clock::until(fetched_at, now) < FRESH;
        let keys = Jwks::parse(document.as_bytes()).ok();
        keys.filter(|_| is_fresh)
    }

    /// Fetches the server's keys, and keeps them for the next login.
    async fn fetched_keys(&self, entry: &Entry, jwks: &Url) -> Option<Jwks> {
        let answer = self.get(Request::new(Method::GET, jwks.clone())).await;
        let keys = answer.and_then(|answer| {
            let keys = Jwks::parse(&answer.body).map_err(|error| error.to_string())?;
            Ok((keys, String::from_utf8_lossy(&answer.body).into_owned()))
        });
        let (keys, document) = match keys {
            Ok(keys) => keys,
            Err(error) => {
                tracing::warn!(connection = %entry.account, error, "the authorization server's keys are not to be had");
                return None;
            }
        };
        let (name, now) = (&entry.account.connection, self.clock.now());
        if let Err(error) = self.vault.put_key_set(name, jwks, document, now).await {
            tracing::warn!(connection = %name, %error, "could not keep the authorization server's keys");
        }
        Some(keys)
    }

    /// Asks who the person is, where the `id_token` tells no name or no address.
    ///
    /// # Errors
    /// If the answer is about somebody else.
    async fn described(
        &self,
        entry: &Entry,
        person: Person,
        token: &Secret,
        userinfo: Option<&Url>,
    ) -> Result<Person, IdTokenError> {
        let is_complete = person.name.is_some() && person.email.is_some();
        let Some(url) = userinfo.filter(|_| !is_complete) else {
            return Ok(person);
        };
        let mut request = Request::new(Method::GET, url.clone());
        let authorized = request.authorize(&Authorization::bearer(token), &[url.origin()]);
        let answer = match authorized {
            Ok(()) => self.get(request).await,
            Err(error) => Err(error.to_string()),
        };
        match answer {
            Ok(answer) => person.with_userinfo(&answer.body),
            Err(error) => {
                tracing::warn!(connection = %entry.account, error, "the userinfo endpoint does not tell who signed in");
                Ok(person)
            }
        }
    }

    async fn get(&self, mut request: Request) -> Result<Answer, String> {
        let json = HeaderValue::from_static("application/json");
        request.headers.insert("accept", json);
        let answer = self.http.exchange(request, None, LIMITS).await;
        let answer = answer.map_err(|error| error.to_string())?;
        match answer.status {
            200 => Ok(answer),
            status => Err(format!("HTTP {status}")),
        }
    }
}

/// A refresh goes on whatever is odd about its `id_token`, unless that is about somebody else.
fn same_person(
    entry: &Entry,
    id_token: &Secret,
    expected: &Expected<'_>,
) -> Result<(), IdTokenError> {
    match verify(id_token, expected) {
        Ok(_) => Ok(()),
        Err(error @ (IdTokenError::OtherPerson | IdTokenError::Issuer { .. })) => Err(error),
        Err(error) => {
            tracing::warn!(connection = %entry.account, %error, "a refresh brought an odd id_token");
            Ok(())
        }
    }
}
