//! The grants there are, and what each cannot do without.

use crate::config::reader::Item;
use crate::config::report::Problem;

/// Parameters the protocol itself sets.
const RESERVED_PARAMS: [&str; 18] = [
    "grant_type",
    "response_type",
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "code_challenge",
    "code_challenge_method",
    "redirect_uri",
    "refresh_token",
    "scope",
    "state",
    "resource",
    "username",
    "password",
    "assertion",
    "client_assertion",
    "client_assertion_type",
];

/// Which grant it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrantKind {
    AuthorizationCode,
    DeviceCode,
    ClientCredentials,
    Password,
    JwtBearer,
    RefreshToken,
}

impl GrantKind {
    pub(super) const ALL: [(&str, Self); 6] = [
        ("authorization_code", Self::AuthorizationCode),
        ("device_code", Self::DeviceCode),
        ("client_credentials", Self::ClientCredentials),
        ("password", Self::Password),
        ("jwt_bearer", Self::JwtBearer),
        ("refresh_token", Self::RefreshToken),
    ];

    /// Returns its name in the configuration.
    pub(super) fn word(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, kind)| *kind == self);
        named.map_or("", |(word, _)| word)
    }

    /// Returns the keys of the endpoints without which it does not work.
    pub(super) fn endpoints(self) -> &'static [&'static str] {
        match self {
            Self::AuthorizationCode => &["authorize_url", "token_url"],
            Self::DeviceCode => &["device_authorization_url", "token_url"],
            _ => &["token_url"],
        }
    }
}

/// Reads parameters that the protocol does not set itself.
pub(super) fn params(item: &Item<'_>) -> Option<Vec<(String, String)>> {
    let param = |item: Item<'_>| {
        item.hide_if_secret();
        if RESERVED_PARAMS.contains(&item.key) {
            let message = format!(
                "{}: `{}` is set by the protocol itself",
                item.what, item.key
            );
            let help = "remove it; it has a setting of its own if it may be changed";
            item.findings
                .add(Problem::at(item.key_at.clone(), message).help(help));
            return None;
        }
        Some((item.key.to_owned(), item.text()?.to_owned()))
    };
    Some(item.map()?.into_iter().filter_map(param).collect())
}
