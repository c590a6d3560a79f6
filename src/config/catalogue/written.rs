//! An entry as configuration: what it sets, and a connection that uses it; pure.

use serde_json::{Map, Value, json};

use super::{Access, Provider};
use crate::config::keys::{self, Keys};

/// Where the browser ends up unless the provider wants another address: a port of our own is
/// listened on.
const REDIRECT_URI: &str = "http://127.0.0.1:8765/callback";

/// The longest line that also holds a comment.
const WIDTH: usize = 100;
/// The tables inside a connection, for the order of their keys.
const TABLES: [&Keys; 8] = [
    &keys::BASIC,
    &keys::SESSION,
    &keys::REFRESH,
    &keys::ERROR_RULE,
    &keys::BY_PAGE,
    &keys::BY_OFFSET,
    &keys::BY_CURSOR,
    &keys::PAGE_SIZE,
];

impl Provider {
    /// Returns what the entry sets, as lines of a connection, in the order of the documentation.
    #[must_use]
    pub fn settings(&self) -> Vec<(&str, String)> {
        let known = keys::CONNECTION.names.iter();
        known
            .filter_map(|key| Some((*key, line(key, self.connection.get(*key)?))))
            .collect()
    }

    /// Returns a connection that uses the entry in this way, ready to be filled in.
    ///
    /// Without the way this provider knows no such thing, and the connection is a guess.
    #[must_use]
    pub fn snippet(&self, access: Access) -> String {
        let example = self.grants.get(&access).cloned().unwrap_or_default();
        let mut lines = vec![
            format!("[connection.{}]", self.name),
            line("provider", &self.name.as_str().into()),
        ];
        for (name, variable) in &self.variables {
            let usual = variable.default.as_ref().or(variable.example.as_ref());
            let usual = usual.map_or("", String::as_str).into();
            let setting = line(name, example.get(name).unwrap_or(&usual));
            lines.extend(explained(setting, &variable.expected()));
        }
        let mut said = self.said(access, &example);
        said.extend(example);
        for key in keys::CONNECTION.names {
            let Some(value) = said.get(*key) else {
                continue;
            };
            match *key {
                "redirect_uri" => {
                    lines.extend(explained(line(key, value), "as registered, to the letter"))
                }
                _ => lines.push(line(key, value)),
            }
        }
        lines.join("\n") + "\n"
    }

    /// Returns what every connection of this kind says, besides what `example` says.
    fn said(&self, access: Access, example: &Map<String, Value>) -> Map<String, Value> {
        let name = self.name.to_uppercase().replace('-', "_");
        let from_env = |what: &str| json!({ "env": format!("{name}_{what}") });
        let from_file = |what: &str| json!({ "file": format!("{}.{what}.pem", self.name) });
        let mut said = Map::new();
        let mut say = |key: &str, value: Value| said.insert(key.to_owned(), value);
        if access.is_oauth() {
            say("client_id", "your client id".into());
            let stated = example
                .get("client_auth")
                .or(self.connection.get("client_auth"));
            let stated = stated.and_then(Value::as_str);
            match stated {
                Some("none") => {}
                Some("private_key_jwt") => {
                    say("private_key", from_file("key"));
                }
                Some("tls_client_auth") => {}
                _ => {
                    say("client_secret", from_env("CLIENT_SECRET"));
                }
            }
            let to_api = self.connection.get("certificate_to_api");
            if stated == Some("tls_client_auth") || to_api == Some(&Value::Bool(true)) {
                say("private_key", from_file("key"));
                say("certificate", from_file("crt"));
            }
        }
        match access {
            Access::AuthorizationCode => say("redirect_uri", REDIRECT_URI.into()),
            Access::Token => say("token", from_env("TOKEN")),
            Access::Basic => {
                let user =
                    json!({ "username": "your user name", "password": from_env("PASSWORD") });
                say("basic", user)
            }
            Access::Session => None,
            _ => say("grant", access.word().into()),
        };
        match access {
            Access::Password => {
                say("username", "your user name".into());
                say("password", from_env("PASSWORD"));
            }
            Access::JwtBearer => {
                say("private_key", from_file("key"));
            }
            _ => {}
        }
        said
    }
}

/// Returns a setting with its meaning beside it, or above it where both are too long for one line.
fn explained(setting: String, meaning: &str) -> Vec<String> {
    let beside = format!("{setting}    # {meaning}");
    if beside.chars().count() <= WIDTH {
        return vec![beside];
    }
    vec![format!("# {meaning}"), setting]
}

/// Returns `key = value`, a list of tables on lines of its own.
fn line(key: &str, value: &Value) -> String {
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let items: String = items
                .iter()
                .map(|item| format!("    {},\n", toml(item)))
                .collect();
            format!("{key} = [\n{items}]")
        }
        value => format!("{key} = {}", toml(value)),
    }
}

/// Writes a value as TOML on one line.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let mut pairs: Vec<_> = table.iter().collect();
            pairs.sort_by_key(|(name, _)| rank(name));
            let pairs = pairs
                .iter()
                .map(|(name, value)| format!("{name} = {}", toml(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        // Numbers, truth values and text with JSON's escapes are the same in TOML.
        other => other.to_string(),
    }
}

/// Returns where a key of an inner table stands among the keys the configuration knows.
fn rank(name: &str) -> usize {
    let mut known = TABLES.iter().flat_map(|keys| keys.names);
    known.position(|known| *known == name).unwrap_or(usize::MAX)
}
