//! How a client with a key of its own is registered; pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the provider is told about a client that signs.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    /// Who sends it where, as sentences.
    pub about: String,
    /// What no source settles.
    pub unsure: String,
    /// The JSON body, in which `{public_key}` is the public key as PEM.
    body: Map<String, Value>,
}

impl Registration {
    /// Returns the body for a public key, as PEM.
    #[must_use]
    pub fn body(&self, public_pem: &str) -> Value {
        filled(&Value::Object(self.body.clone()), public_pem)
    }
}

fn filled(value: &Value, public_pem: &str) -> Value {
    match value {
        Value::String(text) => text.replace("{public_key}", public_pem).into(),
        Value::Array(items) => {
            let items = items.iter().map(|item| filled(item, public_pem));
            items.collect()
        }
        Value::Object(members) => {
            let members = members.iter();
            let members = members.map(|(name, value)| (name.clone(), filled(value, public_pem)));
            members.collect()
        }
        other => other.clone(),
    }
}
