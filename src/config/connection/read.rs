//! A connection as written.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::de::DeTable;
use url::{Origin, Url};

use super::address::{check_http_url, http_url, refuse_clear_text};
use super::{Auth, Connection, base, manners, oauth, placement, session};
use crate::config::catalogue::{self, Provider};
use crate::config::facts::{self, FactName};
use crate::config::flow::{self, Paging};
use crate::config::places::Places;
use crate::config::reader::{Item, Table, nearest, quoted};
use crate::config::report::Problem;
use crate::config::templates::Variables;
use crate::config::{Name, ResponseRule, keys, response};

/// The longest a request may take unless the connection says otherwise: slow reports need most of it.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What a request's time limit may be.
const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(60 * 60);

/// A connection, and what its flows take from it.
#[derive(Debug)]
pub(in crate::config) struct Written {
    /// The connection.
    pub(in crate::config) connection: Connection,
    /// How its flows page unless they say otherwise.
    pub(in crate::config) paging: Option<Paging>,
    /// What its flows' answers mean, behind their own rules.
    pub(in crate::config) rules: Vec<ResponseRule>,
}

/// Reads `[connection.NAME]`.
pub(in crate::config) fn read(name: Name, item: &Item<'_>, places: &Places<'_>) -> Option<Written> {
    let own = item.open(&keys::CONNECTION, format!("connection `{name}`"))?;
    let entry = match own.get("provider") {
        Some(provider) => Some(entry(&provider)?),
        None => None,
    };
    let filled = entry.and_then(|entry| fill(entry, &own));
    let known: Vec<_> = entry
        .map(|entry| entry.variables.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let table = own.on(filled.as_ref(), &known);

    let facts = table.get("facts").map(|item| facts::read(&item));
    let facts = facts.unwrap_or_default();
    let base = table.get("base_url");
    let is_made = |item: &Item<'_>| item.value.as_str().is_some_and(|text| text.contains("{{"));
    let (base_url, base_url_template) = match &base {
        Some(item) if is_made(item) => (None, base::read(&table, item, &facts)),
        Some(item) => (http_url(item), None),
        None => (None, None),
    };
    if !base.as_ref().is_some_and(is_made) {
        base::refuse_domains(&table);
    }
    let auth = auth(&table, base_url.as_ref(), places, entry, facts.clone());
    let allow_hosts = table
        .get("allow_hosts")
        .map(|item| origins(&item))
        .unwrap_or_default();
    if let (Some(item), Some(url)) = (&base, &base_url)
        && !matches!(auth, Some(Auth::None))
    {
        refuse_clear_text(item, url);
    }
    if let (Some(item), Some(_)) = (&base, &base_url_template)
        && auth.as_ref().is_some_and(|auth| auth.facts().is_empty())
    {
        base::refuse_without_login(item);
    }
    let headers = |item: Item<'_>| Variables::of_connection(&facts).headers(&item);
    let connection = Connection {
        name,
        provider: entry.map(|entry| entry.name.clone()),
        base_url,
        base_url_template,
        headers: table.or("headers", Vec::new(), headers),
        allow_hosts,
        time_zone: table.get("time_zone").and_then(|item| time_zone(&item)),
        manners: manners::read(&table),
        timeout: table.or("timeout", TIMEOUT, |item| item.duration(TIMEOUTS)),
        placement: placement::read(&table, auth.as_ref()),
        auth: auth?,
    };
    let paging = table
        .get("paging")
        .and_then(|item| flow::paging::read(&item, None));
    Some(Written {
        connection,
        paging,
        rules: response::read(&table),
    })
}

/// Returns the entry that was named. One that is only nearly named is a problem, and is taken all the
/// same, so that the rest of the connection is looked at too.
fn entry(item: &Item<'_>) -> Option<&'static Provider> {
    let wanted = item.text()?;
    let near = match catalogue::provider(wanted) {
        Ok(found) => return Some(found),
        Err(near) => near,
    };
    let help = near.map_or_else(
        || "`tidegate providers` lists them; any other source needs no `provider`".to_owned(),
        |near| format!("did you mean \"{}\"?", near.name),
    );
    let problem = item.problem(format!("{} is no provider we know", quoted(wanted)));
    item.findings
        .add(problem.label("expected a catalogue entry").help(help));
    near
}

/// Puts the connection's values of an entry's variables into the entry.
fn fill(entry: &Provider, table: &Table<'_>) -> Option<DeTable<'static>> {
    let mut values = BTreeMap::new();
    for (name, variable) in &entry.variables {
        let value = match table.written(name) {
            Some(item) => item.parsed(&variable.expected(), |text| variable.check(text))?,
            None => match &variable.default {
                Some(default) => default.clone(),
                None => {
                    let message = format!("{} has no `{name}`", table.what);
                    let label = format!("expected `{name}`: {}", variable.about);
                    table.findings.add(
                        Problem::at(table.at.clone(), message)
                            .label(label)
                            .absence(),
                    );
                    return None;
                }
            },
        };
        values.insert(name.as_str(), value);
    }
    let at = table
        .get("provider")
        .map_or(table.at.clone(), |item| item.at);
    Some(entry.filled(&values, &at))
}

/// Ways in besides OAuth; a request carries one credential.
const WAYS: [&str; 3] = ["token", "basic", "session"];

fn auth(
    table: &Table<'_>,
    base_url: Option<&Url>,
    places: &Places<'_>,
    entry: Option<&Provider>,
    facts: Vec<FactName>,
) -> Option<Auth> {
    let mut ways = WAYS.iter().filter_map(|way| table.own(way));
    let Some(way) = ways.next() else {
        if keys::OAUTH.iter().any(|key| table.get(key).is_some()) {
            return oauth::read(table, base_url, places, entry, facts)
                .map(|oauth| Auth::OAuth(Box::new(oauth)));
        }
        return Some(Auth::None);
    };
    for other in ways {
        let message = format!("`{}` and `{}` cannot both be sent", way.key, other.key);
        table.contradiction(&other, message, "keep the one that the source wants");
    }
    for item in keys::OAUTH.iter().filter_map(|key| table.own(key)) {
        let message = format!(
            "`{}` is for OAuth, but `{}` is sent instead",
            item.key, way.key
        );
        let help = format!("keep either `{}` or the OAuth settings", way.key);
        table.contradiction(&item, message, &help);
    }
    match way.key {
        "basic" => placement::basic(&way, places).map(|basic| Auth::Basic(Box::new(basic))),
        "session" => {
            let session = session::read(&way, base_url, places);
            session.map(|session| Auth::OAuth(Box::new(session)))
        }
        _ => places.secret(&way).map(Auth::Token),
    }
}

/// Reads origins: a host with https understood, or a scheme, host and port.
fn origins(item: &Item<'_>) -> Vec<Origin> {
    let expected =
        "a host such as \"files.example.com\", or an origin such as \"https://x.example:8443\"";
    let origin = |item: Item<'_>| {
        let url = item.parsed(expected, |text| {
            let whole = if text.contains("://") {
                text.to_owned()
            } else {
                format!("https://{text}")
            };
            let url = check_http_url(&whole)?;
            match url.path() == "/" && url.query().is_none() {
                true => Ok(url),
                false => Err("has a path; a host is trusted as a whole".to_owned()),
            }
        })?;
        refuse_clear_text(&item, &url);
        Some(url.origin())
    };
    item.list("an array of hosts")
        .unwrap_or_default()
        .into_iter()
        .filter_map(origin)
        .collect()
}

/// Reads an IANA time zone.
pub(in crate::config) fn time_zone(item: &Item<'_>) -> Option<TimeZone> {
    let text = item.text()?;
    match TimeZone::get(text) {
        Ok(zone) => Some(zone),
        Err(_) => {
            let names: Vec<String> = jiff::tz::db()
                .available()
                .map(|name| name.to_string())
                .collect();
            let near = nearest(text, names.iter().map(String::as_str));
            let help = near.map(|near| format!("did you mean \"{near}\"?"));
            let problem = item.problem(format!("{} is no time zone", quoted(text)));
            let problem = problem.label("expected an IANA name, such as \"Europe/Amsterdam\"");
            item.findings.add(problem.maybe_help(help));
            None
        }
    }
}
