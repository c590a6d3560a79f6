//! URLs as a connection writes them.

use url::Url;

use crate::config::reader::Item;
use crate::http::is_loopback;

/// Reads an absolute `http` or `https` URL without anything a base may not have.
pub(super) fn http_url(item: &Item<'_>) -> Option<Url> {
    item.parsed(
        "an absolute URL, such as \"https://api.example.com\"",
        check_http_url,
    )
}

pub(super) fn check_http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("is neither an http nor an https URL".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a `#` part, which is never sent".to_owned());
    }
    Ok(url)
}

/// Resolves a path below a base URL, the base's own path included: a base of
/// `https://graph.example/v1.0` makes `/users` `https://graph.example/v1.0/users`.
pub(in crate::config) fn below(base: &Url, path: &str) -> Result<Url, String> {
    let mut base = base.clone();
    base.set_query(None);
    let whole = format!(
        "{}/{}",
        base.as_str().trim_end_matches('/'),
        path.trim_start_matches('/')
    );
    Url::parse(&whole).map_err(|error| error.to_string())
}

/// Reports a URL that would carry a secret over the network unencrypted.
pub(super) fn refuse_clear_text(item: &Item<'_>, url: &Url) {
    if is_clear_text(url) {
        item.refuse(
            format!("`{}` would send secrets unencrypted", item.key),
            "https, or http to 127.0.0.1, [::1] or localhost",
        );
    }
}

/// Returns true if what is sent to `url` could be read on its way.
pub(super) fn is_clear_text(url: &Url) -> bool {
    url.scheme() == "http" && !is_loopback(url)
}
