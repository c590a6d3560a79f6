//! The members of an answer that count, wherever and in whatever form they stand.

use std::collections::BTreeMap;

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::record::FieldPath;

/// How deep objects and arrays of an answer may stand inside each other. Tokens stand two or three
/// deep where servers wrap them.
const DEEPEST: usize = 16;

/// The members we read. A member that stands there twice makes the answer unusable.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Message {
    #[serde(deserialize_with = "text")]
    pub access_token: Option<Zeroizing<String>>,
    #[serde(deserialize_with = "text")]
    pub refresh_token: Option<Zeroizing<String>>,
    pub token_type: Option<Value>,
    // As written: a number too large for any type must not cost us the tokens beside it.
    pub expires_in: Option<Box<RawValue>>,
    pub expires_on: Option<Box<RawValue>>,
    pub expires_at: Option<Box<RawValue>>,
    pub expires: Option<Box<RawValue>>,
    pub refresh_token_expires_in: Option<Box<RawValue>>,
    pub refresh_expires_in: Option<Box<RawValue>>,
    pub x_refresh_token_expires_in: Option<Box<RawValue>>,
    pub scope: Option<Value>,
    #[serde(deserialize_with = "text")]
    pub id_token: Option<Zeroizing<String>>,
    pub error: Option<Value>,
    pub error_description: Option<Value>,
}

impl Message {
    /// Reads `text`; what cannot be read has no members.
    ///
    /// `path` is where the server puts its tokens. One that does so at a login may still answer a
    /// refresh plainly, and puts its errors outside in any case.
    pub(super) fn of(text: &str, path: Option<&FieldPath>) -> Self {
        let form = form_as_json(text);
        let text = form.as_ref().map_or(text, |json| json.as_str());
        let inner = path.and_then(|path| below(text, path.segments().iter().map(String::as_str)));
        let inner = inner.and_then(|text| serde_json::from_str::<Self>(text).ok());
        inner
            .filter(|inner| inner.access_token.is_some())
            .unwrap_or_else(|| serde_json::from_str(text).unwrap_or_default())
    }
}

/// Returns true if an answer nests objects and arrays deeper than any that is meant well.
pub(super) fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    text.bytes().any(|byte| {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'{' | b'[' if !is_text => depth += 1,
            b'}' | b']' if !is_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST
    })
}

/// Reads text, and takes null or nothing for absent.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    let text = Option::<String>::deserialize(from)?.map(Zeroizing::new);
    Ok(text.filter(|text| !text.is_empty()))
}

/// Returns the text, number or boolean at `path` of an answer.
pub(super) fn member<'p>(text: &str, path: impl IntoIterator<Item = &'p str>) -> Option<String> {
    let form = form_as_json(text);
    let text = form.as_ref().map_or(text, |json| json.as_str());
    match serde_json::from_str(below(text, path)?).ok()? {
        Value::String(text) => Some(text),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns the value at `path` as it is written.
fn below<'t, 'p>(text: &'t str, path: impl IntoIterator<Item = &'p str>) -> Option<&'t str> {
    path.into_iter().try_fold(text, |text, name| {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
        members.get(name).map(|value| value.get())
    })
}

/// Writes a form as JSON: some servers answer as they are asked, whatever we say we accept.
fn form_as_json(text: &str) -> Option<Zeroizing<String>> {
    let is_answer = ["access_token=", "error="].iter().any(|start| {
        let mut parts = text.split('&');
        parts.any(|part| part.starts_with(start))
    });
    if !is_answer || text.contains(char::is_whitespace) {
        return None;
    }
    let mut json = Zeroizing::new(Vec::new());
    let mut serializer = serde_json::Serializer::new(&mut *json);
    let mut map = serializer.serialize_map(None).ok()?;
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        map.serialize_entry(&name, &value).ok()?;
    }
    map.end().ok()?;
    let json = std::str::from_utf8(&json).ok()?;
    Some(Zeroizing::new(json.to_owned()))
}
