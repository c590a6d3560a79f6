//! Assertions: short-lived tokens that we sign ourselves, and that prove to the token endpoint who
//! asks (RFC 7521, RFC 7523); pure.
//!
//! The JWT-bearer grant sends one in place of a code (RFC 7523 section 2.1), and `private_key_jwt`
//! one in place of a client secret (section 2.2). Each may be sent once only: servers remember its
//! `jti` and refuse a repeated one as if the client were wrong, so every request, a retry included,
//! signs its own.

mod key;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use key::{KeyError, SigningKey, generate};

use crate::clock;
use crate::remedy::Remedy;
use crate::secret::Secret;

/// The `grant_type` of the JWT-bearer grant, which sends its assertion as `assertion`
/// (RFC 7523 section 2.1).
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The `client_assertion_type` that goes with a `client_assertion` (RFC 7523 section 2.2).
pub const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How many random bytes make a `jti`: twice what must not be guessed, so that none comes twice.
const JTI: usize = 32;

/// Why an assertion was not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The operating system gave no random numbers.
    #[error("could not sign an assertion: the operating system gave no random numbers")]
    NoRandomness,
    /// The key would not sign, as no key that was read without an error should.
    #[error("could not sign an assertion: the signature failed")]
    Failed,
}

impl SignError {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::NoRandomness => Remedy::Wait,
            Self::Failed => Remedy::Report,
        }
    }
}

/// What an assertion says.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// What signs it.
    pub key: &'a SigningKey,
    /// The name by which the server knows the key; sent as `kid`.
    pub key_id: Option<&'a str>,
    /// The certificate by which the server knows the key, as
    /// [`certificate_thumbprint`](SigningKey::certificate_thumbprint) names it; sent as `x5t#S256`.
    pub certificate: Option<&'a str>,
    /// Who says what to whom: `iss`, `sub`, `aud` and whatever else the server wants. `iat`, `exp`
    /// and `jti` are ours, and replace any that stand here.
    pub claims: &'a Map<String, Value>,
    /// The present instant, as the server's clock has it if that is known.
    pub issued_at: Timestamp,
    /// How long it is good for.
    pub lifetime: Duration,
}

impl Assertion<'_> {
    /// Writes and signs it, with a `jti` of its own each time.
    ///
    /// # Errors
    /// If there is no randomness, or the key does not sign.
    pub fn sign(&self) -> Result<Secret, SignError> {
        let header = json_part(&Value::Object(self.header()));
        let claims = json_part(&Value::Object(self.all_claims()?));
        let message = format!("{header}.{claims}");
        let signature = self.key.sign(message.as_bytes())?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(Secret::from(format!("{message}.{signature}")))
    }

    fn header(&self) -> Map<String, Value> {
        let mut header = Map::new();
        header.insert("alg".to_owned(), json!(self.key.algorithm().name()));
        header.insert("typ".to_owned(), json!("JWT"));
        let names = [("kid", self.key_id), ("x5t#S256", self.certificate)];
        for (name, value) in names {
            if let Some(value) = value {
                header.insert(name.to_owned(), json!(value));
            }
        }
        header
    }

    fn all_claims(&self) -> Result<Map<String, Value>, SignError> {
        let mut random = [0; JTI];
        getrandom::fill(&mut random).map_err(|_| SignError::NoRandomness)?;
        let expires_at = clock::after(self.issued_at, self.lifetime);
        let mut claims = self.claims.clone();
        claims.insert("iat".to_owned(), json!(self.issued_at.as_second()));
        claims.insert("exp".to_owned(), json!(expires_at.as_second()));
        claims.insert("jti".to_owned(), json!(URL_SAFE_NO_PAD.encode(random)));
        Ok(claims)
    }
}

/// Returns the claims by which a client proves who it is (RFC 7523 section 3). `audience` is the
/// server's issuer identifier; some servers want the URL of their token endpoint.
#[must_use]
pub fn client_claims(client_id: &str, audience: &str) -> Map<String, Value> {
    [("iss", client_id), ("sub", client_id), ("aud", audience)]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

/// One part of a token in its compact form (RFC 7515 section 3.1).
fn json_part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[cfg(test)]
mod tests;
