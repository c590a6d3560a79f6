//! Where a request carries its credential, as written.

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderName};

use super::{Auth, Basic, Grant, OAuth, Placement, Session, TokenAt};
use crate::config::keys;
use crate::config::places::Places;
use crate::config::reader::{Item, Table};

/// The keys that say where a token stands.
const KEYS: [&str; 3] = ["token_header", "token_scheme", "token_query"];
/// Headers that every request has for another purpose.
const TAKEN: [&str; 6] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
];

/// Reads where tokens stand. Without a word about it they stand in `Authorization`.
pub(super) fn read(connection: &Table<'_>, auth: Option<&Auth>) -> Placement {
    refuse_pointless(connection, auth);
    let in_query = connection.own("token_query").or_else(|| {
        connection
            .get("token_query")
            .filter(|_| !says_header(connection))
    });
    if let Some(item) = in_query {
        return query(connection, &item, auth).unwrap_or_default();
    }
    let usual = match session(auth).map(|session| &session.token) {
        Some(TokenAt::Cookie(_)) => COOKIE,
        _ => AUTHORIZATION,
    };
    let name = connection.or("token_header", usual, |item| header(connection, &item));
    let usual = (name == AUTHORIZATION).then(|| Placement::BEARER.to_owned());
    let scheme = match connection.get("token_scheme") {
        None => usual,
        Some(item) => scheme(&item),
    };
    Placement::Header { name, scheme }
}

/// Returns the login of the source's own making, if that is how tokens are had.
fn session(auth: Option<&Auth>) -> Option<&Session> {
    match auth? {
        Auth::OAuth(oauth) => match &**oauth {
            OAuth {
                grant: Grant::Session(session),
                ..
            } => Some(session),
            _ => None,
        },
        _ => None,
    }
}

/// True if the person says that tokens stand in a header, whatever the catalogue says.
fn says_header(connection: &Table<'_>) -> bool {
    connection.own("token_header").is_some()
}

/// Reports a place for a token where there is none.
fn refuse_pointless(connection: &Table<'_>, auth: Option<&Auth>) {
    let why = match auth {
        Some(Auth::None) => "this connection sends no token",
        Some(Auth::Basic(_)) => "`basic` stands in `Authorization` and nowhere else",
        Some(Auth::OAuth(_) | Auth::Token(_)) | None => return,
    };
    for item in KEYS.iter().filter_map(|key| connection.own(key)) {
        let message = format!("`{}` says where a token stands, but {why}", item.key);
        connection.contradiction(&item, message, "remove it, or write `token = { env = … }`");
    }
}

/// Reads the parameter of the query that carries the token. What an authorization server issued
/// stays out of URLs, where logs would keep it (RFC 6750 section 5.3), unless the catalogue knows
/// that the source takes it nowhere else.
fn query(connection: &Table<'_>, item: &Item<'_>, auth: Option<&Auth>) -> Option<Placement> {
    let is_own = connection.own("token_query").is_some();
    if is_own && matches!(auth, Some(Auth::OAuth(_))) && session(auth).is_none() {
        let message = "an access token does not belong into a URL, which logs keep";
        let help = "use `token_header`, or `token` in place of the OAuth settings";
        connection.contradiction(item, message, help);
    }
    for other in ["token_header", "token_scheme"] {
        if let Some(other) = connection.own(other) {
            let message = format!(
                "`{}` is for headers, but `token_query` is said too",
                other.key
            );
            connection.contradiction(&other, message, "keep the one that the source wants");
        }
    }
    item.text().map(|name| Placement::Query(name.to_owned()))
}

fn header(connection: &Table<'_>, item: &Item<'_>) -> Option<HeaderName> {
    let name = item.parsed("a header's name, such as \"X-Api-Key\"", |text| {
        let name: HeaderName = text.parse().map_err(|_| "is no header name".to_owned())?;
        match TAKEN.contains(&name.as_str()) {
            true => Err("names a header that every request has for another purpose".to_owned()),
            false => Ok(name),
        }
    })?;
    let own = connection.get("headers").and_then(|headers| headers.map());
    let same = |other: &&Item<'_>| other.key.eq_ignore_ascii_case(name.as_str());
    if let Some(other) = own.unwrap_or_default().iter().find(same) {
        let message = format!(
            "`{}` carries the token, and `headers` sets it too",
            other.key
        );
        connection.contradiction(other, message, "remove it from `headers`");
    }
    Some(name)
}

/// Reads the word before the token; an empty one is none.
fn scheme(item: &Item<'_>) -> Option<String> {
    if item.value.as_str() == Some("") {
        return None;
    }
    let word = item.parsed(
        "a word such as \"Bearer\", or \"\" for none",
        |text| match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(text.to_owned()),
            false => Err("is not one word".to_owned()),
        },
    )?;
    Some(word)
}

/// Reads a user name and a password.
pub(super) fn basic(item: &Item<'_>, places: &Places<'_>) -> Option<Basic> {
    let table = item.table(&keys::BASIC, format!("{}: `basic`", item.what))?;
    let username = table.need("username", "the user's name, or the key that stands for it")?;
    let username = match username.value.as_str() {
        Some(text) if text.contains(':') => {
            username.refuse(
                "`username` holds a `:`, which ends it (RFC 7617 section 2)",
                "the name alone; the rest is the `password`",
            );
            None
        }
        _ => places.text_or_secret(&username),
    };
    let password = table.get("password").map(|item| places.secret(&item));
    Some(Basic {
        username: username?,
        password: match password {
            None => None,
            Some(password) => Some(password?),
        },
    })
}
