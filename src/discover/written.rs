//! Offers as flows in TOML.

use std::collections::HashSet;
use std::fmt::Write;

use super::{Document, Field, Offer, Paging};
use crate::record::FieldPath;

/// What stands where somebody must say something. It passes `check` and nothing answers to it.
const FILL_IN: &str = "FILL_IN";
/// How names of columns begin that are kept for our own.
const OURS: &str = "sync_";

/// Where a document was found.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The connection whose flows are written.
    pub connection: &'a str,
    /// The connection's base URL, if that is known.
    pub base: Option<&'a str>,
    /// The URL of the document; none if it was a file.
    pub url: Option<&'a str>,
}

/// Writes flows that read `offers`.
#[must_use]
pub fn flows(document: &Document, offers: &[&Offer], place: &Place<'_>) -> String {
    let mut text = format!("# From {}", document.format);
    if let Some(url) = place.url {
        let _ = write!(text, " at {}", url.split('?').next().unwrap_or_default());
    }
    text += ". Look at a flow before it runs: tidegate preview FLOW\n";
    let root = root(document, place);
    let mut names = HashSet::new();
    for offer in offers {
        let name = free(&flow_name(&offer.name), &mut names);
        text += "\n";
        text += &flow(offer, &name, &root, place.connection);
    }
    text
}

/// Returns where paths begin, as flows write it: below the base URL where it lies there.
fn root(document: &Document, place: &Place<'_>) -> String {
    let base = place.base.map(|base| base.trim_end_matches('/'));
    let below = |url: &str| {
        let url = url
            .split('?')
            .next()
            .unwrap_or_default()
            .trim_end_matches('/');
        let rest = base.and_then(|base| url.strip_prefix(base));
        match rest.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            Some(rest) => rest.to_owned(),
            None => url.to_owned(),
        }
    };
    match (&document.server, place.url) {
        (Some(server), _) if server.contains("://") => below(server),
        (Some(server), _) => {
            // A path of the host. The base URL may end with it.
            let server = server.trim_end_matches('/');
            let ends_so = base.is_some_and(|base| base.ends_with(server));
            if ends_so {
                String::new()
            } else {
                server.to_owned()
            }
        }
        (None, Some(url)) => {
            let service = url.split('?').next().unwrap_or_default();
            let service = service
                .rsplit_once('/')
                .map_or(service, |(service, _)| service);
            below(service)
        }
        (None, None) => String::new(),
    }
}

fn flow(offer: &Offer, name: &str, root: &str, connection: &str) -> String {
    let mut text = format!("[flow.{name}]\n");
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<10} = {value}");
    };
    line("connection", &quoted(connection));
    let (path, variables) = filled(&offer.path);
    line("url", &quoted(&format!("{root}{path}")));
    if !variables.is_empty() {
        let values = variables.iter();
        let values = values.map(|name| format!("{name} = {}", quoted(FILL_IN)));
        let values = values.collect::<Vec<_>>().join(", ");
        let told = "fill in, or repeat the flow: for_each, and {{ each.… }} in url";
        line("vars", &format!("{{ {values} }}    # {told}"));
    }
    if let Some(query) = query(offer) {
        line("query", &query);
    }
    if let Some(records) = &offer.records {
        line("records", &quoted(records));
    }
    line("paging", &paging(&offer.paging));
    match offer.key.as_slice() {
        [] => {
            let value = format!(
                "[{}]    # not told: the fields that tell records apart",
                quoted(FILL_IN)
            );
            line("key", &value);
        }
        key => {
            let fields = key.iter().map(|field| quoted(&path_of(field)));
            line(
                "key",
                &format!("[{}]", fields.collect::<Vec<_>>().join(", ")),
            );
        }
    }
    text += &cursors(offer);
    text += &columns(name, &offer.columns);
    text
}

/// Returns a path with a variable for each part that has to be filled in, and those variables.
fn filled(path: &str) -> (String, Vec<String>) {
    let (mut filled, mut variables) = (String::new(), Vec::new());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{')
        && let Some((name, after)) = after.split_once('}')
    {
        let letters = name
            .chars()
            .map(|letter| match letter.is_ascii_alphanumeric() {
                true => letter,
                false => '_',
            });
        let name: String = letters.collect();
        let name = match name.starts_with(|letter: char| letter.is_ascii_digit()) {
            true => format!("_{name}"),
            false => name,
        };
        filled += &format!("{before}{{{{ var.{name} }}}}");
        if !variables.contains(&name) {
            variables.push(name);
        }
        rest = after;
    }
    (filled + rest, variables)
}

fn query(offer: &Offer) -> Option<String> {
    let mut pairs: Vec<String> = Vec::new();
    if offer.selects && !offer.columns.is_empty() {
        let names = offer.columns.iter().map(|column| column.name.as_str());
        let names = names.collect::<Vec<_>>().join(",");
        pairs.push(format!("{} = {}", quoted("$select"), quoted(&names)));
    }
    let required = offer.required.iter();
    pairs.extend(required.map(|name| format!("{} = {}", quoted(name), quoted(FILL_IN))));
    (!pairs.is_empty()).then(|| format!("{{ {} }}", pairs.join(", ")))
}

fn paging(paging: &Paging) -> String {
    match paging {
        Paging::Untold => {
            "\"none\"    # not told: fill it in if there are more pages than one".to_owned()
        }
        Paging::Odata => "\"odata\"".to_owned(),
        Paging::LinkHeader => "\"link_header\"".to_owned(),
        Paging::NextUrl { path } => {
            format!("{{ style = \"next_url\", path = {} }}", quoted(path))
        }
        Paging::Cursor { path, query } => format!(
            "{{ style = \"cursor\", path = {}, query = {} }}",
            quoted(path),
            quoted(query)
        ),
        Paging::Page { param, size } => {
            let size = size.as_ref().map_or(String::new(), |(param, value)| {
                format!(", size = {{ param = {}, value = {value} }}", quoted(param))
            });
            format!(
                "{{ style = \"page\", param = {}, first = 1{size} }}    # some count from 0",
                quoted(param)
            )
        }
        Paging::Offset {
            param,
            limit_param,
            limit,
        } => format!(
            "{{ style = \"offset\", param = {}, limit_param = {}, limit = {limit} }}",
            quoted(param),
            quoted(limit_param)
        ),
    }
}

/// Writes the cursors there could be as comments: only a person knows which field every change moves.
fn cursors(offer: &Offer) -> String {
    let mut text = String::new();
    if !offer.cursors.is_empty() {
        text += "# To read only what changed, take one that every change moves:\n";
    }
    for candidate in &offer.cursors {
        let field = quoted(&path_of(&candidate.field));
        let _ = match (&candidate.filter, &candidate.parameter) {
            (Some(filter), _) => writeln!(
                text,
                "# cursor = {{ field = {field}, filter = {} }}",
                quoted(filter)
            ),
            (None, Some(parameter)) => writeln!(
                text,
                "# cursor = {{ field = {field} }}    # and in query: {} = \"{{{{ bookmark }}}}\"",
                quoted(parameter)
            ),
            (None, None) => writeln!(
                text,
                "# cursor = {{ field = {field} }}    # and {{{{ bookmark }}}} in what asks for changes"
            ),
        };
    }
    text
}

fn columns(flow: &str, columns: &[Field]) -> String {
    if columns.is_empty() {
        return String::new();
    }
    let mut text = format!("[flow.{flow}.columns]\n");
    let mut names = HashSet::new();
    for column in columns {
        let name = free(&column_name(&column.name), &mut names);
        let field = quoted(&path_of(&column.name));
        let value = match column.kind {
            Some(kind) if name == column.name && field == quoted(&name) => {
                format!("{{ type = {} }}", quoted(kind))
            }
            Some(kind) => format!("{{ field = {field}, type = {} }}", quoted(kind)),
            None => field,
        };
        let _ = writeln!(text, "{} = {value}", key(&name));
    }
    text
}

/// Returns a name of letters, digits, `_` and `-` that begins with none of the latter.
fn flow_name(name: &str) -> String {
    let letters = name.chars().map(|letter| match letter {
        letter if letter.is_ascii_alphanumeric() || letter == '-' => letter,
        _ => '_',
    });
    let name: String = letters.collect();
    match name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_') {
        true => name,
        false => format!("_{name}"),
    }
}

fn column_name(name: &str) -> String {
    let plain: String = name
        .chars()
        .filter(|letter| *letter != '"' && !letter.is_control())
        .collect();
    let lower = plain.to_lowercase();
    match lower.starts_with(OURS) || lower == "_rowid_" || plain.is_empty() {
        true => format!("_{plain}"),
        false => plain,
    }
}

/// Returns the name, or the name with the first number behind it that no other has: SQLite does not
/// tell upper from lower case.
fn free(name: &str, taken: &mut HashSet<String>) -> String {
    let mut free = name.to_owned();
    let mut number = 2;
    while !taken.insert(free.to_lowercase()) {
        free = format!("{name}_{number}");
        number += 1;
    }
    free
}

/// Returns a field as the configuration names it.
fn path_of(field: &str) -> String {
    FieldPath::of([field]).to_string()
}

/// Returns a key of a table, bare where TOML allows that.
fn key(name: &str) -> String {
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

/// Returns a TOML string. Its escapes are those of JSON, but for one character.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007F")
}
