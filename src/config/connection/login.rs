//! How a person signs in, as written.

use url::Url;

use super::Grant;
use super::address::refuse_clear_text;
use super::grant::{GrantKind, params};
use crate::config::catalogue::{Provider, Redirect};
use crate::config::reader::{Item, Table};
use crate::http::is_loopback;

/// The keys that only the grants have with which a person signs in, and which grants those are.
const LOGIN_KEYS: [(&str, &[GrantKind]); 4] = [
    ("authorize_url", &[GrantKind::AuthorizationCode]),
    ("redirect_uri", &[GrantKind::AuthorizationCode]),
    ("pkce", &[GrantKind::AuthorizationCode]),
    (
        "authorize_params",
        &[GrantKind::AuthorizationCode, GrantKind::DeviceCode],
    ),
];

/// Reads the authorization code grant.
pub(super) fn authorization_code(table: &Table<'_>, entry: Option<&Provider>) -> Option<Grant> {
    let redirect_uri = table
        .need(
            "redirect_uri",
            "the address registered with the provider, to the letter",
        )
        .and_then(|item| redirect_uri(&item, entry));
    Some(Grant::AuthorizationCode {
        pkce: table.or("pkce", true, |item| item.boolean()),
        params: table.or("authorize_params", Vec::new(), |item| params(&item)),
        redirect_uri: redirect_uri?,
    })
}

/// Reads the grant of a login on another device.
pub(super) fn device_code(table: &Table<'_>) -> Grant {
    Grant::DeviceCode {
        params: table.or("authorize_params", Vec::new(), |item| params(&item)),
    }
}

/// Refuses the settings of a login where nobody signs in, or not in this way.
pub(super) fn refuse_keys(table: &Table<'_>, kind: GrantKind) {
    let others = LOGIN_KEYS
        .iter()
        .filter(|(_, kinds)| !kinds.contains(&kind));
    for item in others.filter_map(|(key, _)| table.own(key)) {
        let (key, grant) = (item.key, kind.word());
        let message = match kind {
            GrantKind::DeviceCode => {
                format!("`{key}` is for signing in on this device, which `{grant}` does not do")
            }
            _ => format!("`{key}` is for signing in, which `{grant}` does not do"),
        };
        let help = "remove it, or use `grant = \"authorization_code\"`";
        table.contradiction(&item, message, help);
    }
}

/// Reads the redirect URI. Providers compare it letter by letter, so one that would be sent
/// otherwise than it is written is refused.
fn redirect_uri(item: &Item<'_>, entry: Option<&Provider>) -> Option<Url> {
    let url = item.parsed("the registered redirect URI", |text| {
        let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        if url.fragment().is_some() {
            return Err("has a `#` part, which no redirect URI may have".to_owned());
        }
        if url.as_str() != text {
            return Err(format!(
                "would be sent as `{url}`; register and write it so"
            ));
        }
        Ok(url)
    })?;
    let rule = entry.and_then(|entry| Some((entry, entry.redirect?)));
    match rule {
        Some((entry, rule)) if !is_registered(&url, rule) => {
            let expected = match rule {
                Redirect::Https => "an address with https",
                Redirect::HttpsElsewhere => "an address with https that is not this machine's",
            };
            item.refuse(
                format!("{} registers no such redirect URI", entry.title),
                format!("{expected}; it need not exist, for you paste where the browser ends"),
            );
        }
        Some(_) | None => refuse_clear_text(item, &url),
    }
    Some(url)
}

fn is_registered(url: &Url, rule: Redirect) -> bool {
    url.scheme() == "https" && (rule == Redirect::Https || !is_loopback(url))
}
