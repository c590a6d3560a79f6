//! How a client proves who it is, as written.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::grant::GrantKind;
use super::{ClientAuth, ClientKey, SigningAlgorithm};
use crate::config::SecretSource;
use crate::config::places::Places;
use crate::config::reader::Table;

/// What only a client with a private key says.
const KEY_KEYS: [&str; 2] = ["private_key", "certificate"];
/// What only a client that signs says.
const ASSERTION_KEYS: [&str; 4] = [
    "key_id",
    "signing_algorithm",
    "assertion_audience",
    "assertion_lifetime",
];
/// How long an assertion is good for unless said; servers refuse longer ones (RFC 7523 section 3).
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How long it may be good for: clocks differ by seconds, and an hour is the most that is accepted.
const LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_secs(60 * 60);
/// Where a secret may come from.
const SOURCE: &str = "{ env = … }, { file = … }, { credential = … } or { vault = … }";

/// How a client proves who it is.
pub(super) struct Client {
    pub(super) auth: ClientAuth,
    pub(super) secret: Option<SecretSource>,
    pub(super) key: Option<ClientKey>,
}

/// Reads how the client proves who it is. Without a method or a secret it is a public client.
pub(super) fn read(table: &Table<'_>, kind: GrantKind, places: &Places<'_>) -> Client {
    let default = match table.get("client_secret") {
        None if kind != GrantKind::ClientCredentials => ClientAuth::None,
        _ => ClientAuth::Basic,
    };
    let auth = table.or("client_auth", default, |item| {
        item.choice(&[
            ("basic", ClientAuth::Basic),
            ("body", ClientAuth::Body),
            ("none", ClientAuth::None),
            ("private_key_jwt", ClientAuth::PrivateKeyJwt),
            ("tls_client_auth", ClientAuth::TlsClientAuth),
        ])
    });
    let signs = auth == ClientAuth::PrivateKeyJwt || kind == GrantKind::JwtBearer;
    Client {
        auth,
        secret: secret(table, auth, places),
        key: key(table, auth, signs, places),
    }
}

fn secret(table: &Table<'_>, auth: ClientAuth, places: &Places<'_>) -> Option<SecretSource> {
    let word = match auth {
        ClientAuth::Basic | ClientAuth::Body => {
            let item = table.need("client_secret", SOURCE)?;
            return places.secret(&item);
        }
        ClientAuth::None => "none",
        ClientAuth::PrivateKeyJwt => "private_key_jwt",
        ClientAuth::TlsClientAuth => "tls_client_auth",
    };
    if let Some(item) = table.get("client_secret") {
        table.contradiction(
            &item,
            format!("`client_secret` is never sent with `client_auth = \"{word}\"`"),
            "remove it, or use \"basic\" or \"body\"",
        );
    }
    None
}

/// Reads the private key if anything needs one; without, nothing may be said about it.
fn key(table: &Table<'_>, auth: ClientAuth, signs: bool, places: &Places<'_>) -> Option<ClientKey> {
    let is_shown_to_api = table.or("certificate_to_api", false, |item| item.boolean());
    let connects = auth == ClientAuth::TlsClientAuth || is_shown_to_api;
    if !signs {
        refuse(
            table,
            &ASSERTION_KEYS,
            "is about assertions, and none is signed here",
        );
    }
    if !signs && !connects {
        refuse(table, &KEY_KEYS, "is used by nothing here");
        return None;
    }
    let private_key = table.need("private_key", &format!("PEM text from {SOURCE}"));
    let certificate = match connects {
        true => table.need("certificate", &format!("PEM text from {SOURCE}")),
        false => table.get("certificate"),
    };
    let text = |key: &str| {
        let item = table.get(key)?;
        item.text().map(str::to_owned)
    };
    let certificate = certificate.and_then(|item| places.secret(&item));
    Some(ClientKey {
        certificate,
        is_shown_to_api,
        id: text("key_id"),
        algorithm: table.get("signing_algorithm").and_then(|item| {
            item.choice(&[
                ("RS256", SigningAlgorithm::Rs256),
                ("ES256", SigningAlgorithm::Es256),
                ("EdDSA", SigningAlgorithm::EdDsa),
            ])
        }),
        audience: text("assertion_audience"),
        lifetime: table.or("assertion_lifetime", LIFETIME, |item| {
            item.duration(LIFETIMES)
        }),
        private_key: places.secret(&private_key?)?,
    })
}

fn refuse(table: &Table<'_>, keys: &[&str], why: &str) {
    let help = "remove it, or use `client_auth = \"private_key_jwt\"`, \"tls_client_auth\", \
                `certificate_to_api = true` or `grant = \"jwt_bearer\"`";
    for item in keys.iter().filter_map(|key| table.own(key)) {
        table.contradiction(&item, format!("`{}` {why}", item.key), help);
    }
}
