//! A login without OAuth, as written.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use reqwest::header::HeaderName;
use serde_json::Value;
use url::Url;

use super::endpoints::{Endpoints, endpoint};
use super::oauth::LIFETIME;
use super::refresh::LIVES;
use super::{BodyFormat, ClientAuth, Grant, OAuth, RefreshPolicy, RefreshWindow, RetryInDoubt};
use crate::config::flow::resource::field_path;
use crate::config::flow::{Body, Method};
use crate::config::keys::{self, Keys};
use crate::config::places::Places;
use crate::config::reader::{Item, Table};
use crate::config::report::Problem;
use crate::config::templates::Variables;
use crate::config::{Name, SecretSource};
use crate::record::FieldPath;
use crate::template::Template;

/// What the units of a stated life last.
const UNITS: [(&str, Duration); 5] = [
    ("milliseconds", Duration::from_millis(1)),
    ("seconds", Duration::from_secs(1)),
    ("minutes", Duration::from_secs(60)),
    ("hours", Duration::from_secs(60 * 60)),
    ("days", Duration::from_secs(24 * 60 * 60)),
];
/// A session that lives for less than this is over before it is used.
const LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=*LIVES.end();
/// Where a token may stand in the answer to a login.
const TOKEN_KEYS: [&str; 3] = ["token", "token_header", "token_cookie"];
/// How the end of a session may be told.
const END_KEYS: [&str; 3] = ["expires_in", "expires_at", "lifetime"];

/// A login of a source's own making: a request whose answer holds a token.
#[derive(Debug, Clone)]
pub struct Session {
    /// The request.
    pub login: Call,
    /// A request that gives a session longer life; without it the login is repeated.
    pub refresh: Option<Call>,
    /// What the requests call `secret.NAME`.
    pub secrets: BTreeMap<String, SecretSource>,
    /// Where the token stands in the answer.
    pub token: TokenAt,
    /// When the session ends.
    pub ends: SessionEnd,
}

/// A request of a session. Its templates may use `secret.*` and `now`, a refresh also `token`.
#[derive(Debug, Clone)]
pub struct Call {
    /// Where it goes, without any secret.
    pub url: Url,
    /// The method.
    pub method: Method,
    /// Its headers.
    pub headers: Vec<(String, Template)>,
    /// What is posted.
    pub body: Option<Body>,
}

/// Where a token stands in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenAt {
    /// In the body, which is JSON; at its top where the path is empty.
    Path(FieldPath),
    /// In a header.
    Header(HeaderName),
    /// In a cookie of this name, which is sent back as it is.
    Cookie(String),
}

/// How the end of a session is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEnd {
    /// Nobody says; it lasts until it is refused.
    Untold,
    /// It lives this long.
    After(Duration),
    /// The answer says for how long it lives, in this unit.
    In(FieldPath, Duration),
    /// The answer says when it ends: a date and time, or a number of this unit since 1970.
    At(FieldPath, Duration),
}

/// Reads `session` as what keeps its token: a client without a name at a server of one address.
pub(super) fn read(item: &Item<'_>, base_url: Option<&Url>, places: &Places<'_>) -> Option<OAuth> {
    let session = session(item, base_url, places)?;
    Some(OAuth {
        issuer: None,
        endpoints: Endpoints {
            token: Some(session.login.url.clone()),
            ..Endpoints::default()
        },
        grant: Grant::Session(Box::new(session)),
        client_id: String::new(),
        client_secret: None,
        client_auth: ClientAuth::None,
        client_key: None,
        body: BodyFormat::Form,
        scopes: Vec::new(),
        scope_separator: String::new(),
        resources: Vec::new(),
        token_params: Vec::new(),
        window: RefreshWindow::default(),
        // A login is an event that sources count and show to people.
        policy: RefreshPolicy::WhenNeeded,
        retry_in_doubt: RetryInDoubt::AtOnce,
        refresh_token_idle: None,
        refresh_token_absolute: None,
        refresh_limits: Vec::new(),
        default_lifetime: LIFETIME,
        token_path: None,
        facts: Vec::new(),
        token_types: Vec::new(),
        errors: Vec::new(),
    })
}

fn session(item: &Item<'_>, base_url: Option<&Url>, places: &Places<'_>) -> Option<Session> {
    let table = item.table(&keys::SESSION, format!("{}: `session`", item.what))?;
    let secrets = secrets(&table, places);
    let names = secrets.keys().map(|name| (name.clone(), Value::from("x")));
    let names: BTreeMap<String, Value> = names.collect();
    let login = call(&table, base_url, &Variables::of_login(&names));
    let refresh = table.get("refresh").map(|item| {
        let table = refresh_table(&item)?;
        call(&table, base_url, &Variables::of_session(&names))
    });
    Some(Session {
        token: token(&table)?,
        ends: end(&table),
        login: login?,
        refresh: match refresh {
            None => None,
            Some(call) => Some(call?),
        },
        secrets,
    })
}

fn refresh_table<'a>(item: &Item<'a>) -> Option<Table<'a>> {
    const KEYS: &Keys = &keys::SESSION_REFRESH;
    item.table(KEYS, format!("{}: `refresh`", item.what))
}

fn secrets(table: &Table<'_>, places: &Places<'_>) -> BTreeMap<String, SecretSource> {
    let secret = |item: Item<'_>| {
        // A template must be able to name it.
        if let Err(why) = Name::parse(item.key).and_then(no_hyphen) {
            let problem = Problem::at(item.key_at.clone(), format!("{}: {why}", item.what));
            item.findings.add(problem.label("expected another name"));
            return None;
        }
        Some((item.key.to_owned(), places.secret(&item)?))
    };
    let written = table.get("secrets").and_then(|item| item.map());
    written
        .unwrap_or_default()
        .into_iter()
        .filter_map(secret)
        .collect()
}

/// A hyphen would be a minus to a template.
fn no_hyphen(name: Name) -> Result<(), String> {
    match name.as_str().contains('-') {
        true => Err("the name of a secret has no `-`".to_owned()),
        false => Ok(()),
    }
}

fn call(table: &Table<'_>, base_url: Option<&Url>, variables: &Variables<'_>) -> Option<Call> {
    let expected = "where the request goes, absolute or relative to `base_url`";
    let url = table.need("url", expected).and_then(|item| {
        if item.value.as_str().is_some_and(|text| text.contains("{{")) {
            let expected = "an address without `{{`: secrets never stand in URLs, which logs keep";
            item.refuse("`url` is no template", expected);
            return None;
        }
        endpoint(&item, base_url)
    });
    let body = body(table, variables);
    let method = table.or("method", Method::Post, |item| {
        item.choice(&[("POST", Method::Post), ("GET", Method::Get)])
    });
    if let (Method::Get, Some(_), Some(item)) = (method, &body, table.get("method")) {
        let help = "use `method = \"POST\"`, or remove `json` and `form`";
        table.contradiction(&item, "a GET has no body", help);
    }
    Some(Call {
        method,
        headers: table.or("headers", Vec::new(), |item| variables.headers(&item)),
        body,
        url: url?,
    })
}

fn body(table: &Table<'_>, variables: &Variables<'_>) -> Option<Body> {
    let (json, form) = (table.get("json"), table.get("form"));
    if let (Some(_), Some(form)) = (&json, form.clone()) {
        table.contradiction(
            &form,
            "`json` and `form` are two bodies",
            "keep one of them",
        );
    }
    let json = json.and_then(|item| variables.json(&item)).map(Body::Json);
    json.or_else(|| form.and_then(|item| variables.pairs(&item)).map(Body::Form))
}

fn token(table: &Table<'_>) -> Option<TokenAt> {
    let mut written = TOKEN_KEYS.iter().filter_map(|key| table.get(key));
    let Some(item) = written.next() else {
        let expected = "the path of the token in the answer, or `token_header` or `token_cookie`";
        table.need("token", expected);
        return None;
    };
    for other in written {
        let message = format!(
            "`{}` and `{}` both say where the token stands",
            item.key, other.key
        );
        table.contradiction(&other, message, "keep the one that is so");
    }
    match item.key {
        "token" => field_path(&item).map(TokenAt::Path),
        "token_header" => {
            let header = item.parsed("the name of a header", |text| {
                text.parse().map_err(|_| "is no header name".to_owned())
            });
            header.map(TokenAt::Header)
        }
        _ => item.text().map(|name| TokenAt::Cookie(name.to_owned())),
    }
}

fn end(table: &Table<'_>) -> SessionEnd {
    let mut written = END_KEYS.iter().filter_map(|key| table.get(key));
    let first = written.next();
    if let (Some(first), Some(second)) = (&first, written.next()) {
        let message = format!("`{}` and `{}` both tell the end", first.key, second.key);
        table.contradiction(&second, message, "keep one of them");
    }
    let unit = table.or("unit", Duration::from_secs(1), |item| item.choice(&UNITS));
    if let Some(item) = table.get("unit")
        && first.as_ref().is_none_or(|first| first.key == "lifetime")
    {
        let message = "`unit` is about a number in the answer, and none is read";
        table.contradiction(
            &item,
            message,
            "remove it, or say `expires_in` or `expires_at`",
        );
    }
    let end = first.and_then(|item| match item.key {
        "expires_in" => field_path(&item).map(|path| SessionEnd::In(path, unit)),
        "expires_at" => field_path(&item).map(|path| SessionEnd::At(path, unit)),
        _ => item.duration(LIFETIMES).map(SessionEnd::After),
    });
    end.unwrap_or(SessionEnd::Untold)
}
