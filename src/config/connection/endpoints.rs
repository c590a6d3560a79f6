//! The authorization server of a connection: its name, and where it answers.

use url::Url;

use super::address::{below, check_http_url, refuse_clear_text};
use crate::config::reader::{Item, Table};

/// The name of an authorization server.
///
/// It is a URL that is compared letter by letter with what the server calls itself (RFC 8414
/// section 3.3), so it is kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    text: String,
    url: Url,
}

impl Issuer {
    /// Reads an issuer (RFC 8414 section 2).
    ///
    /// # Errors
    /// Why the text is none; completes "`issuer` …".
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = check_http_url(text)?;
        if url.query().is_some() {
            return Err("has a query, which no issuer may have".to_owned());
        }
        let text = text.to_owned();
        Ok(Self { text, url })
    }

    /// Returns the name, to the letter.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the name as a URL, which may be spelt otherwise.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// Where an authorization server answers, as far as that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Where a person signs in (RFC 6749 section 3.1).
    pub authorization: Option<Url>,
    /// Where tokens are had (RFC 6749 section 3.2).
    pub token: Option<Url>,
    /// Where they are refreshed, if that is elsewhere.
    pub refresh: Option<Url>,
    /// Where a login on another device begins (RFC 8628 section 3.1).
    pub device_authorization: Option<Url>,
    /// Where the parameters of a login are left beforehand (RFC 9126 section 2).
    pub pushed_authorization_request: Option<Url>,
    /// Where tokens are given back (RFC 7009 section 2).
    pub revocation: Option<Url>,
    /// Who tells about the person who signed in (OpenID Connect Core 5.3).
    pub userinfo: Option<Url>,
    /// Where the server's public keys are (RFC 7517).
    pub jwks: Option<Url>,
}

/// What every endpoint may be.
const ENDPOINT: &str = "absolute or relative to `base_url`";

/// Reads `issuer`.
pub(super) fn issuer(table: &Table<'_>) -> Option<Issuer> {
    let item = table.get("issuer")?;
    let expected = "the server's name for itself, such as \"https://login.example.com\"";
    let issuer = item.parsed(expected, Issuer::parse)?;
    refuse_clear_text(&item, issuer.url());
    Some(issuer)
}

/// Reads the endpoints. What `grant` cannot do without must be there, unless the server is named,
/// which then tells.
pub(super) fn read(table: &Table<'_>, base_url: Option<&Url>, needed: &[&str]) -> Endpoints {
    let is_told = table.get("issuer").is_some();
    for key in needed.iter().filter(|_| !is_told) {
        let expected = format!("{}, {ENDPOINT}; or `issuer`, which tells it", what(key));
        table.need(key, &expected);
    }
    let url = |key| table.get(key).and_then(|item| endpoint(&item, base_url));
    Endpoints {
        authorization: url("authorize_url"),
        token: url("token_url"),
        refresh: url("refresh_url"),
        device_authorization: url("device_authorization_url"),
        pushed_authorization_request: url("pushed_authorization_request_url"),
        revocation: url("revocation_url"),
        userinfo: url("userinfo_url"),
        jwks: url("jwks_url"),
    }
}

fn what(key: &str) -> &'static str {
    match key {
        "authorize_url" => "the authorization endpoint",
        "device_authorization_url" => "the device authorization endpoint",
        _ => "the token endpoint",
    }
}

/// Reads an endpoint of the authorization server, absolute or relative to the base URL.
pub(super) fn endpoint(item: &Item<'_>, base_url: Option<&Url>) -> Option<Url> {
    let expected = "a URL, or a path below `base_url`";
    let url = item.parsed(expected, |text| {
        if text.contains("://") {
            return check_http_url(text);
        }
        let base = base_url.ok_or(
            "is relative, and the connection has no `base_url` that is known before a login",
        )?;
        let url = below(base, text).map_err(|why| format!("is no URL: {why}"))?;
        check_http_url(url.as_str())
    })?;
    refuse_clear_text(item, &url);
    Some(url)
}
