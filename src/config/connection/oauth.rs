//! The OAuth side of a connection as written.

use std::time::Duration;

use url::Url;

use super::read::{below, check_http_url, refuse_clear_text};
use super::refresh::{self, LIVES};
use super::{BodyFormat, ClientAuth, Grant, OAuth};
use crate::config::catalogue::Provider;
use crate::config::places::Places;
use crate::config::reader::{Item, Table};
use crate::config::report::Problem;

/// The keys that only an OAuth connection has.
pub(super) const OAUTH_KEYS: [&str; 16] = [
    "grant",
    "authorize_url",
    "token_url",
    "client_id",
    "client_secret",
    "client_auth",
    "token_body",
    "pkce",
    "redirect_uri",
    "scopes",
    "scope_separator",
    "authorize_params",
    "token_params",
    "refresh",
    "default_lifetime",
    "errors",
];
/// The keys that only the authorization code grant has.
const LOGIN_KEYS: [&str; 4] = ["authorize_url", "redirect_uri", "pkce", "authorize_params"];
/// The life of an access token whose answer does not tell it; an hour is what most servers give.
const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Parameters the protocol itself sets.
const RESERVED_PARAMS: [&str; 12] = [
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
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GrantKind {
    AuthorizationCode,
    ClientCredentials,
}

/// Reads the OAuth settings of a connection.
pub(super) fn read(
    table: &Table<'_>,
    base_url: Option<&Url>,
    places: &Places<'_>,
    entry: Option<&Provider>,
) -> Option<OAuth> {
    let kind = table.or("grant", GrantKind::AuthorizationCode, |item| {
        item.choice(&[
            ("authorization_code", GrantKind::AuthorizationCode),
            ("client_credentials", GrantKind::ClientCredentials),
        ])
    });
    let token_url = table
        .need(
            "token_url",
            "the token endpoint, absolute or relative to `base_url`",
        )
        .and_then(|item| endpoint(&item, base_url));
    let client_id = table.need("client_id", "the id the provider gave your app");
    let client_id = client_id.and_then(|item| item.text().map(str::to_owned));
    let grant = match kind {
        GrantKind::AuthorizationCode => authorization_code(table, base_url),
        GrantKind::ClientCredentials => client_credentials(table),
    };
    let (client_auth, client_secret) = client(table, kind, places);
    let refresh = refresh::read(table);
    let separator = table.or("scope_separator", " ".to_owned(), |item| {
        item.text().map(str::to_owned)
    });
    let scopes = table
        .get("scopes")
        .map(|item| scopes(&item, &separator))
        .unwrap_or_default();
    warn_of_missing_scope(table, kind, &scopes, entry);
    warn_of_unusable(table, entry);
    Some(OAuth {
        body: table.or("token_body", BodyFormat::Form, |item| {
            item.choice(&[("form", BodyFormat::Form), ("json", BodyFormat::Json)])
        }),
        scopes,
        scope_separator: separator,
        token_params: table.or("token_params", Vec::new(), |item| params(&item)),
        window: refresh.window,
        policy: refresh.policy,
        retry_in_doubt: refresh.retry_in_doubt,
        refresh_token_idle: refresh.idle,
        default_lifetime: table.or("default_lifetime", LIFETIME, |item| item.duration(LIVES)),
        errors: table
            .get("errors")
            .map(|item| refresh::rules(&item))
            .unwrap_or_default(),
        client_auth,
        client_secret,
        grant: grant?,
        token_url: token_url?,
        client_id: client_id?,
    })
}

/// Reads an endpoint of the authorization server, absolute or relative to the base URL.
fn endpoint(item: &Item<'_>, base_url: Option<&Url>) -> Option<Url> {
    let expected = "a URL, or a path below `base_url`";
    let url = item.parsed(expected, |text| {
        if text.contains("://") {
            return check_http_url(text);
        }
        let base = base_url.ok_or("is relative, and the connection has no `base_url`")?;
        let url = below(base, text).map_err(|why| format!("is no URL: {why}"))?;
        check_http_url(url.as_str())
    })?;
    refuse_clear_text(item, &url);
    Some(url)
}

fn authorization_code(table: &Table<'_>, base_url: Option<&Url>) -> Option<Grant> {
    let authorize_url = table
        .need(
            "authorize_url",
            "the authorization endpoint, absolute or relative to `base_url`",
        )
        .and_then(|item| endpoint(&item, base_url));
    let redirect_uri = table
        .need(
            "redirect_uri",
            "the address registered with the provider, to the letter",
        )
        .and_then(|item| redirect_uri(&item));
    Some(Grant::AuthorizationCode {
        pkce: table.or("pkce", true, |item| item.boolean()),
        params: table.or("authorize_params", Vec::new(), |item| params(&item)),
        authorize_url: authorize_url?,
        redirect_uri: redirect_uri?,
    })
}

/// Reads the redirect URI. Providers compare it letter by letter, so one that would be sent
/// otherwise than it is written is refused.
fn redirect_uri(item: &Item<'_>) -> Option<Url> {
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
    refuse_clear_text(item, &url);
    Some(url)
}

fn client_credentials(table: &Table<'_>) -> Option<Grant> {
    for key in LOGIN_KEYS {
        if let Some(item) = table.own(key) {
            let message =
                format!("`{key}` is for signing in, which `client_credentials` does not do");
            table.contradiction(
                &item,
                message,
                "remove it, or use `grant = \"authorization_code\"`",
            );
        }
    }
    Some(Grant::ClientCredentials)
}

/// Reads how the client proves who it is. Without a method or a secret it is a public client.
fn client(
    table: &Table<'_>,
    kind: GrantKind,
    places: &Places<'_>,
) -> (ClientAuth, Option<crate::config::SecretSource>) {
    let secret_item = table.get("client_secret");
    let default = match &secret_item {
        None if kind == GrantKind::AuthorizationCode => ClientAuth::None,
        _ => ClientAuth::Basic,
    };
    let client_auth = table.or("client_auth", default, |item| {
        item.choice(&[
            ("basic", ClientAuth::Basic),
            ("body", ClientAuth::Body),
            ("none", ClientAuth::None),
        ])
    });
    match (client_auth, &secret_item) {
        (ClientAuth::None, Some(item)) => {
            table.contradiction(
                item,
                "`client_secret` is never sent with `client_auth = \"none\"`",
                "remove it, or use \"basic\" or \"body\"",
            );
        }
        (ClientAuth::Basic | ClientAuth::Body, None) => {
            let expected = "{ env = … }, { file = … } or { credential = … }";
            table.need("client_secret", expected);
        }
        _ => {}
    }
    (
        client_auth,
        secret_item.and_then(|item| places.secret(&item)),
    )
}

fn scopes(item: &Item<'_>, separator: &str) -> Vec<String> {
    let scope = |item: Item<'_>| {
        item.parsed("one scope per text", |text| {
            match text.contains(separator) || text.contains(char::is_whitespace) {
                true => Err("holds more than one scope".to_owned()),
                false => Ok(text.to_owned()),
            }
        })
    };
    item.list("an array of texts")
        .unwrap_or_default()
        .into_iter()
        .filter_map(scope)
        .collect()
}

fn warn_of_missing_scope(
    table: &Table<'_>,
    kind: GrantKind,
    scopes: &[String],
    entry: Option<&Provider>,
) {
    let needed = entry.and_then(|entry| entry.refresh_scope.as_ref().map(|scope| (entry, scope)));
    if let Some((entry, scope)) = needed
        && kind == GrantKind::AuthorizationCode
        && !scopes.contains(scope)
    {
        let text = format!(
            "{}: without the scope `{scope}` {} gives no refresh token, and somebody must sign in \
             again whenever the access token ends",
            table.what, entry.title
        );
        table.findings.warn(Some(table.at.start), text);
    }
}

fn warn_of_unusable(table: &Table<'_>, entry: Option<&Provider>) {
    let why = entry.and_then(|entry| entry.unusable.as_ref().map(|why| (entry, why)));
    if let Some((entry, why)) = why {
        let text = format!("{}: {} does not work yet: {why}", table.what, entry.title);
        table.findings.warn(Some(table.at.start), text);
    }
}

/// Reads parameters that the protocol does not set itself.
fn params(item: &Item<'_>) -> Option<Vec<(String, String)>> {
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
