//! The OAuth side of a connection as written.

use std::time::Duration;

use url::Url;

use super::grant::{GrantKind, params};
use super::refresh::{self, LIVES};
use super::{BodyFormat, ClientAuth, Grant, OAuth, client, endpoints, login, unattended};
use crate::config::catalogue::Provider;
use crate::config::facts::FactName;
use crate::config::flow::field_path;
use crate::config::places::Places;
use crate::config::reader::{Item, Table};

/// The keys of a single grant.
const GRANT_KEYS: [(&str, GrantKind); 3] = [
    ("username", GrantKind::Password),
    ("password", GrantKind::Password),
    ("claims", GrantKind::JwtBearer),
];
/// The life of an access token whose answer does not tell it; an hour is what most servers give.
pub(super) const LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Reads the OAuth settings of a connection.
pub(super) fn read(
    table: &Table<'_>,
    base_url: Option<&Url>,
    places: &Places<'_>,
    entry: Option<&Provider>,
    facts: Vec<FactName>,
) -> Option<OAuth> {
    let kind = table.or("grant", GrantKind::AuthorizationCode, |item| {
        item.choice(&GrantKind::ALL)
    });
    let client_id = table.need("client_id", "the id the provider gave your app");
    let client_id = client_id.and_then(|item| item.text().map(str::to_owned));
    login::refuse_keys(table, kind);
    refuse_other_grants_keys(table, kind);
    let grant = match kind {
        GrantKind::AuthorizationCode => login::authorization_code(table, entry),
        GrantKind::DeviceCode => Some(login::device_code(table)),
        GrantKind::ClientCredentials => Some(Grant::ClientCredentials),
        GrantKind::Password => unattended::password(table, places),
        GrantKind::JwtBearer => unattended::jwt_bearer(table),
        GrantKind::RefreshToken => Some(Grant::RefreshToken),
    };
    let client = client::read(table, kind, places);
    let endpoints = endpoints::read(table, base_url, kind.endpoints());
    refuse_certificate_in_clear_text(table, client.auth, endpoints.token.as_ref());
    let is_shown_to_api = client.key.as_ref().is_some_and(|key| key.is_shown_to_api);
    if is_shown_to_api && base_url.is_some_and(|url| url.scheme() == "http") {
        refuse_certificate_for_clear_text_api(table);
    }
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
    if entry.is_none() {
        warn_of_nobody(table, kind, &scopes);
    }
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
        refresh_token_absolute: refresh.absolute,
        refresh_limits: refresh.limits,
        default_lifetime: table.or("default_lifetime", LIFETIME, |item| item.duration(LIVES)),
        token_path: table.get("token_path").and_then(|item| field_path(&item)),
        facts,
        token_types: table
            .get("token_types")
            .map(|item| {
                texts(&item, "the `token_type` of an answer, one per text", |_| {
                    Ok(())
                })
            })
            .unwrap_or_default(),
        errors: table
            .get("errors")
            .map(|item| refresh::rules(&item))
            .unwrap_or_default(),
        resources: table
            .get("resource")
            .map(|item| resources(&item))
            .unwrap_or_default(),
        client_auth: client.auth,
        client_secret: client.secret,
        client_key: client.key,
        issuer: endpoints::issuer(table),
        endpoints,
        grant: grant?,
        client_id: client_id?,
    })
}

fn refuse_other_grants_keys(table: &Table<'_>, kind: GrantKind) {
    for (key, grant) in GRANT_KEYS.iter().filter(|(_, grant)| *grant != kind) {
        if let Some(item) = table.own(key) {
            let grant = grant.word();
            let message = format!("`{key}` is for `grant = \"{grant}\"`");
            let help = format!("remove it, or use `grant = \"{grant}\"`");
            table.contradiction(&item, message, &help);
        }
    }
}

/// Refuses a client known by its certificate where no certificate is shown.
fn refuse_certificate_in_clear_text(table: &Table<'_>, auth: ClientAuth, token_url: Option<&Url>) {
    let is_clear = token_url.is_some_and(|url| url.scheme() == "http");
    if let Some(item) = table.get("client_auth").filter(|_| is_clear)
        && auth == ClientAuth::TlsClientAuth
    {
        item.refuse(
            "\"tls_client_auth\" shows a certificate, which plain http cannot",
            "a `token_url` with https",
        );
    }
}

/// Refuses a certificate for an API that is asked over plain HTTP.
fn refuse_certificate_for_clear_text_api(table: &Table<'_>) {
    if let Some(item) = table.get("certificate_to_api") {
        item.refuse(
            "`certificate_to_api` shows a certificate, which plain http cannot",
            "a `base_url` with https",
        );
    }
}

fn scopes(item: &Item<'_>, separator: &str) -> Vec<String> {
    texts(item, "one scope per text", |text| {
        match text.contains(separator) || text.contains(char::is_whitespace) {
            true => Err("holds more than one scope".to_owned()),
            false => Ok(()),
        }
    })
}

/// Reads resource indicators (RFC 8707 section 2).
fn resources(item: &Item<'_>) -> Vec<String> {
    texts(item, "the absolute URI of an API, one per text", |text| {
        let url = Url::parse(text).map_err(|error| format!("is no URI: {error}"))?;
        match url.fragment() {
            Some(_) => Err("has a `#` part, which no resource may have".to_owned()),
            None => Ok(()),
        }
    })
}

/// Reads an array of texts, each of which `check` accepts.
fn texts(
    item: &Item<'_>,
    expected: &str,
    check: impl Fn(&str) -> Result<(), String>,
) -> Vec<String> {
    let text = |item: Item<'_>| item.parsed(expected, |text| check(text).map(|()| text.to_owned()));
    item.list("an array of texts")
        .unwrap_or_default()
        .into_iter()
        .filter_map(text)
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

/// Warns of OpenID Connect without a name for the server, which its `id_token` could be checked
/// against. An entry that asks for `openid` has reasons of its own.
fn warn_of_nobody(table: &Table<'_>, kind: GrantKind, scopes: &[String]) {
    let signs_in = matches!(kind, GrantKind::AuthorizationCode | GrantKind::DeviceCode);
    let is_asked = scopes.iter().any(|scope| scope == "openid");
    if signs_in && is_asked && table.get("issuer").is_none() {
        let text = format!(
            "{}: `openid` is among the scopes, but without `issuer` nobody can tell who signs in; \
             say `issuer`, or leave `openid` out",
            table.what
        );
        table.findings.warn(Some(table.at.start), text);
    }
}

fn warn_of_unusable(table: &Table<'_>, entry: Option<&Provider>) {
    let why = entry.and_then(|entry| entry.unusable.as_ref().map(|why| (entry, why)));
    if let Some((entry, why)) = why {
        let text = format!(
            "{}: signing in at {} does not work yet: {why}",
            table.what, entry.title
        );
        table.findings.warn(Some(table.at.start), text);
    }
}
