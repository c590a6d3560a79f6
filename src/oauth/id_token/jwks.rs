//! The keys a server publishes (RFC 7517 section 5), and which of them signed a token.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::IdTokenError;

/// The most keys one may hold.
const MOST_KEYS: usize = 100;

/// Why a key set cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// It is longer than [`Jwks::LIMIT`].
    #[error("the server's key set is longer than {} KiB", Jwks::LIMIT / 1024)]
    TooLong,
    /// It holds too many keys.
    #[error("the server's key set holds more than {MOST_KEYS} keys")]
    TooMany,
    /// It is not a key set.
    #[error("what the server publishes as its keys is not a JSON Web Key Set")]
    Malformed,
}

/// The public keys of a server, as far as we know what to do with them.
#[derive(Debug, Clone)]
pub struct Jwks(Vec<Jwk>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl Jwks {
    /// The longest key set we read, in bytes.
    pub const LIMIT: usize = 512 * 1024;

    /// Reads a key set. A key of a kind we do not know is passed over, as section 5 asks.
    ///
    /// # Errors
    /// If it is none, or too large.
    pub fn parse(body: &[u8]) -> Result<Self, JwksError> {
        if body.len() > Self::LIMIT {
            return Err(JwksError::TooLong);
        }
        let document: Document = serde_json::from_slice(body).map_err(|_| JwksError::Malformed)?;
        if document.keys.len() > MOST_KEYS {
            return Err(JwksError::TooMany);
        }
        let known = |key| serde_json::from_value(key).ok();
        Ok(Self(document.keys.into_iter().filter_map(known).collect()))
    }

    /// Returns the key that signs by `algorithm` and has the name `id`; if the token names none,
    /// the only one that signs so (OpenID Connect Core 10.1).
    pub(super) fn find(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> Result<DecodingKey, IdTokenError> {
        let mut fitting = self
            .0
            .iter()
            .filter(|key| signs_by(key, algorithm))
            .filter(|key| id.is_none() || key.common.key_id.as_deref() == id);
        let key = fitting.next().ok_or(IdTokenError::UnknownKey)?;
        if fitting.next().is_some() {
            return Err(IdTokenError::AmbiguousKey);
        }
        DecodingKey::from_jwk(key).map_err(|_| IdTokenError::UnknownKey)
    }
}

/// Whether a key's type, curve, use and algorithm leave it `algorithm` to sign by.
fn signs_by(key: &Jwk, algorithm: Algorithm) -> bool {
    let fits = match (&key.algorithm, algorithm) {
        (
            AlgorithmParameters::RSA(_),
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
        ) => true,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => {
            key.curve == EllipticCurve::P256
        }
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => {
            key.curve == EllipticCurve::P384
        }
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => {
            key.curve == EllipticCurve::Ed25519
        }
        _ => false,
    };
    let is_meant = key
        .common
        .key_algorithm
        .is_none_or(|named| named.to_string().parse() == Ok(algorithm));
    let encrypts = key.common.public_key_use == Some(PublicKeyUse::Encryption);
    fits && is_meant && !encrypts
}
