//! Who signed in: what an `id_token` says, once nothing about it is in doubt (OpenID Connect Core
//! 3.1.3.7, on a refresh 12.2), and what the userinfo endpoint adds (5.3); pure.

mod claims;
mod error;
mod jwks;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, crypto};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha384, Sha512};

pub use error::IdTokenError;
pub use jwks::{Jwks, JwksError};

use crate::clock;
use crate::secret::{ExposeSecret, Secret};
use claims::Claims;

/// How far the server's clock may be from ours.
const LEEWAY: Duration = Duration::from_secs(60);

/// The longest text about a person that we keep.
const LONGEST_TEXT: usize = 255;

/// The algorithms that are accepted where nothing else was agreed. None is symmetric: a server's
/// public key must never be taken for a shared secret.
pub const ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The server that knows the person.
    pub issuer: String,
    /// The name by which it knows the person, unique and never given to another.
    pub subject: String,
    /// What the person is called, if the server says.
    pub name: Option<String>,
    /// The mail address, if the server says; nobody promises that it works.
    pub email: Option<String>,
}

/// By what the token is known to come from the server.
#[derive(Debug, Clone, Copy)]
pub enum Proof<'a> {
    /// By the signature of one of the server's keys, by one of these algorithms.
    Signature {
        /// The keys.
        keys: &'a Jwks,
        /// The algorithms.
        algorithms: &'a [Algorithm],
    },
    /// By the TLS connection on which it came straight from the token endpoint (item 6 of
    /// 3.1.3.7), where no keys are published.
    Channel,
}

/// What must be true of an `id_token`.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// By what it is known to come from the server.
    pub proof: Proof<'a>,
    /// The server's issuer identifier. Where it holds `{tenantid}`, as that of Microsoft for all
    /// tenants does, the token's own `tid` stands in for it.
    pub issuer: &'a str,
    /// The client it must be made for.
    pub client_id: &'a str,
    /// The nonce of the authorization request; `None` if none was sent, and on a refresh.
    pub nonce: Option<&'a str>,
    /// The access token it came with.
    pub access_token: Option<&'a Secret>,
    /// The person who signed in before, on a refresh or a repeated login.
    pub previous: Option<&'a Person>,
    /// The present instant.
    pub now: Timestamp,
}

/// The header, as far as it matters (RFC 7515 section 4.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Returns the person an `id_token` is about.
///
/// # Errors
/// If anything about it is not as `expected`. [`IdTokenError::UnknownKey`] may pass once the
/// server's keys are fetched anew.
pub fn verify(token: &Secret, expected: &Expected<'_>) -> Result<Person, IdTokenError> {
    let token = token.expose_secret();
    let (message, signature) = token.rsplit_once('.').ok_or(IdTokenError::NotAToken)?;
    let (header, payload) = message.split_once('.').ok_or(IdTokenError::NotAToken)?;
    let header: Header = part(header)?;
    let claims = Claims(part(payload)?);
    check_header(&header)?;
    if let Proof::Signature { keys, algorithms } = expected.proof {
        check_signature(&header, message, signature, keys, algorithms)?;
    }
    check_claims(&claims, expected)?;
    check_access_token(&header, &claims, expected)?;
    let person = person(&claims)?;
    match expected.previous {
        Some(before) if !before.is_same(&person) => Err(IdTokenError::OtherPerson),
        _ => Ok(person),
    }
}

impl Person {
    /// Returns whom an `id_token` names, believing what it says: for one that [`verify`] has refused
    /// for nothing but naming another person.
    pub(super) fn named_in(token: &Secret) -> Option<Self> {
        let payload = token.expose_secret().split('.').nth(1)?;
        person(&Claims(part(payload).ok()?)).ok()
    }

    /// Returns true if the server means the same person by both.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.subject == other.subject && self.issuer == other.issuer
    }

    /// Returns what the person is best known by.
    #[must_use]
    pub fn title(&self) -> String {
        match (&self.name, &self.email) {
            (Some(name), Some(email)) => format!("{name} <{email}>"),
            (Some(known), None) | (None, Some(known)) => known.clone(),
            (None, None) => self.subject.clone(),
        }
    }

    /// Adds what the userinfo endpoint says, and replaces what it says otherwise.
    ///
    /// # Errors
    /// If the answer is no JSON object, or about somebody else (5.3.2): two accounts must not mix.
    pub fn with_userinfo(self, body: &[u8]) -> Result<Self, IdTokenError> {
        let claims: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| IdTokenError::NotUserinfo)?;
        let claims = Claims(claims);
        if claims.text("sub") != Some(&self.subject) {
            return Err(IdTokenError::OtherUserinfo);
        }
        Ok(Self {
            name: name(&claims).or(self.name),
            email: shown(&claims, "email").or(self.email),
            ..self
        })
    }
}

fn part<T: serde::de::DeserializeOwned>(encoded: &str) -> Result<T, IdTokenError> {
    let bytes = URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| IdTokenError::NotAToken)?;
    serde_json::from_slice(&bytes).map_err(|_| IdTokenError::NotAToken)
}

/// What is refused whatever vouches for the token.
fn check_header(header: &Header) -> Result<(), IdTokenError> {
    if header.crit.is_some() {
        return Err(IdTokenError::Critical);
    }
    if header.alg.eq_ignore_ascii_case("none") {
        return Err(not_accepted(header));
    }
    Ok(())
}

fn not_accepted(header: &Header) -> IdTokenError {
    IdTokenError::Algorithm {
        algorithm: claims::fit_to_show(&header.alg),
    }
}

fn check_signature(
    header: &Header,
    message: &str,
    signature: &str,
    keys: &Jwks,
    algorithms: &[Algorithm],
) -> Result<(), IdTokenError> {
    let algorithm = header
        .alg
        .parse()
        .ok()
        .filter(|algorithm| algorithms.contains(algorithm))
        .ok_or_else(|| not_accepted(header))?;
    let key = keys.find(algorithm, header.kid.as_deref())?;
    match crypto::verify(signature, message.as_bytes(), &key, algorithm) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(IdTokenError::Signature),
    }
}

fn check_claims(claims: &Claims, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    let issuer = claims.required_text("iss")?;
    if issuer != issuer_of(claims, expected.issuer) {
        return Err(IdTokenError::Issuer {
            expected: expected.issuer.to_owned(),
            found: claims::fit_to_show(issuer),
        });
    }
    check_audience(claims, expected.client_id)?;
    check_times(claims, expected.now)?;
    match expected.nonce {
        Some(nonce) if claims.text("nonce") != Some(nonce) => Err(IdTokenError::Nonce),
        _ => Ok(()),
    }
}

/// Microsoft publishes one issuer for all tenants, and signs with that of the person's tenant.
fn issuer_of(claims: &Claims, published: &str) -> String {
    let is_id = |tenant: &&str| {
        tenant
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    match claims.text("tid").filter(is_id) {
        Some(tenant) => published.replace("{tenantid}", tenant),
        None => published.to_owned(),
    }
}

fn check_audience(claims: &Claims, client_id: &str) -> Result<(), IdTokenError> {
    let audience = claims
        .texts("aud")
        .ok_or(IdTokenError::Claim { claim: "aud" })?;
    let is_for_us = audience.contains(&client_id);
    let authorized = match claims.get("azp") {
        Some(party) => party.as_str() == Some(client_id),
        // Items 4 and 5: a token for several says to which of them it was issued.
        None => audience.len() == 1,
    };
    if is_for_us && authorized {
        Ok(())
    } else {
        Err(IdTokenError::Audience)
    }
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), IdTokenError> {
    let latest_now = clock::after(now, LEEWAY);
    let expires_at = claims.required_time("exp")?;
    if now >= clock::after(expires_at, LEEWAY) {
        return Err(IdTokenError::Expired);
    }
    let issued_at = claims.required_time("iat")?;
    let begins_at = match claims.get("nbf") {
        Some(_) => claims.required_time("nbf")?,
        None => issued_at,
    };
    if issued_at > latest_now || begins_at > latest_now {
        return Err(IdTokenError::NotYet);
    }
    Ok(())
}

/// Compares `at_hash`, if there is one, with the access token (3.1.3.6).
fn check_access_token(
    header: &Header,
    claims: &Claims,
    expected: &Expected<'_>,
) -> Result<(), IdTokenError> {
    let (Some(said), Some(token)) = (claims.get("at_hash"), expected.access_token) else {
        return Ok(());
    };
    let hash = half_hash(&header.alg, token).ok_or_else(|| not_accepted(header))?;
    if said.as_str() == Some(hash.as_str()) {
        Ok(())
    } else {
        Err(IdTokenError::AccessToken)
    }
}

/// Returns the left half of the token's hash, by the hash of the signature's algorithm.
fn half_hash(algorithm: &str, token: &Secret) -> Option<String> {
    let token = token.expose_secret();
    let hash = match algorithm {
        // Ed25519 signs with SHA-512.
        "EdDSA" => Sha512::digest(token).to_vec(),
        name if name.ends_with("256") => Sha256::digest(token).to_vec(),
        name if name.ends_with("384") => Sha384::digest(token).to_vec(),
        name if name.ends_with("512") => Sha512::digest(token).to_vec(),
        _ => return None,
    };
    Some(URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2]))
}

fn person(claims: &Claims) -> Result<Person, IdTokenError> {
    let subject = claims.required_text("sub")?;
    let is_usable =
        !subject.is_empty() && subject.len() <= LONGEST_TEXT && !subject.contains(char::is_control);
    if !is_usable {
        return Err(IdTokenError::Claim { claim: "sub" });
    }
    Ok(Person {
        issuer: claims.required_text("iss")?.to_owned(),
        subject: subject.to_owned(),
        name: name(claims),
        email: shown(claims, "email"),
    })
}

fn name(claims: &Claims) -> Option<String> {
    shown(claims, "name").or_else(|| shown(claims, "preferred_username"))
}

/// What a claim says about a person, made fit to show; whatever is odd about it is no reason to
/// refuse a login.
fn shown(claims: &Claims, claim: &str) -> Option<String> {
    claims
        .text(claim)
        .map(claims::fit_to_show)
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests;
