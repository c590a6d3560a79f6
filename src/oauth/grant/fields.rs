//! The parameters of a request to an authorization server.

use url::form_urlencoded;
use zeroize::Zeroizing;

/// Parameters in the order they were put: none empty, none twice (RFC 6749 section 3.2) but those
/// that may be repeated (RFC 8707 section 2).
#[derive(Default)]
pub(in crate::oauth) struct Fields(Vec<(String, Zeroizing<String>)>);

impl Fields {
    /// Adds a parameter, unless it is empty or there already.
    pub(in crate::oauth) fn put(&mut self, name: &str, value: &str) {
        if self.0.iter().all(|(present, _)| present != name) {
            self.repeat(name, value);
        }
    }

    /// Adds a parameter, unless it is empty; it may be there already.
    pub(in crate::oauth) fn repeat(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            let value = Zeroizing::new(value.to_owned());
            self.0.push((name.to_owned(), value));
        }
    }

    /// Writes them as a form.
    pub(super) fn form(&self) -> Zeroizing<Vec<u8>> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            form.append_pair(name, value);
        }
        Zeroizing::new(form.finish().into_bytes())
    }

    /// Writes them as a JSON object; a repeated one becomes an array.
    pub(super) fn json(&self) -> Zeroizing<Vec<u8>> {
        use serde::ser::{SerializeMap, Serializer};
        let mut body = Zeroizing::new(Vec::new());
        let mut serializer = serde_json::Serializer::new(&mut *body);
        let written = serializer.serialize_map(None).and_then(|mut map| {
            for (at, (name, value)) in self.0.iter().enumerate() {
                let is_repeated = |fields: &[(String, _)]| fields.iter().any(|(it, _)| it == name);
                match (is_repeated(&self.0[..at]), is_repeated(&self.0[at + 1..])) {
                    (true, _) => {}
                    (false, true) => map.serialize_entry(name, &self.all(name))?,
                    (false, false) => map.serialize_entry(name, value.as_str())?,
                }
            }
            map.end()
        });
        written.expect("text written to memory does not fail");
        body
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|(present, _)| present == name);
        named.map(|(_, value)| value.as_str()).collect()
    }
}
