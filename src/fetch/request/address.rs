//! URLs: what a relative one means, and how parameters are put into one.

use percent_encoding::{AsciiSet, PercentEncode, utf8_percent_encode};
use url::Url;

use super::wrong;
use crate::fetch::Error;
use crate::template::ENDS_A_PART;

/// Resolves a flow's URL.
///
/// A relative one stands below the base URL, path included, whether or not it begins with a slash:
/// a base of `https://graph.example/v1.0` makes `/users` `https://graph.example/v1.0/users`. Since
/// the texts are joined rather than resolved, nothing a template brings in can lead to another host.
pub(in crate::fetch) fn resolve(base: Option<&Url>, text: &str) -> Result<Url, Error> {
    let bad = |error: url::ParseError| wrong("url", error.to_string());
    if text.starts_with("https://") || text.starts_with("http://") {
        return Url::parse(text).map_err(bad);
    }
    let Some(base) = base else {
        return Err(wrong(
            "url",
            "it is relative, and its connection has no `base_url`".to_owned(),
        ));
    };
    let mut base = base.clone();
    base.set_query(None);
    base.set_fragment(None);
    let prefix = base.as_str().trim_end_matches('/');
    let rest = text.trim_start_matches('/');
    if rest.is_empty() || rest.starts_with('?') {
        return Url::parse(&format!("{base}{rest}")).map_err(bad);
    }
    Url::parse(&format!("{prefix}/{rest}")).map_err(bad)
}

/// Puts parameters into a URL, in place of those of the same names; the rest stays byte for byte.
pub(super) fn set_query(url: &mut Url, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    let is_replaced = |part: &str| {
        let name = url::form_urlencoded::parse(part.as_bytes()).next();
        name.is_some_and(|(name, _)| pairs.iter().any(|(new, _)| *new == name))
    };
    let mut parts: Vec<String> = url
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|part| !part.is_empty() && !is_replaced(part))
        .map(str::to_owned)
        .collect();
    parts.extend(
        pairs
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value))),
    );
    url.set_query(Some(&parts.join("&")));
}

/// What a query may not hold or servers read differently: a space is `%20` and never `+`, and `$`,
/// `,`, `:` and the like stay as OData writes them. A `/` ends nothing here; a raw `'` is what
/// WHATWG's parser would encode anyway.
const NOT_IN_A_QUERY: AsciiSet = ENDS_A_PART.remove(b'/').add(b'\'');

fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, &NOT_IN_A_QUERY)
}
