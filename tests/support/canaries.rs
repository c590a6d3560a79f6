//! Finds secrets in whatever clothes they wear.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// The shortest part of a long secret that counts as showing it.
const PART: usize = 16;
/// A secret of fewer bytes is only looked for whole.
const LONG: usize = 2 * PART;
/// How many bytes of a form are looked up; no form is shorter.
const HEAD: usize = 8;

/// Secrets, and every form in which they could be written down.
#[derive(Debug, Default)]
pub struct Canaries {
    forms: HashMap<[u8; HEAD], Vec<Form>>,
    /// Whether any form begins with two bytes, so that most places are passed over quickly.
    begins: Vec<bool>,
}

#[derive(Debug)]
struct Form {
    what: String,
    how: &'static str,
    bytes: Vec<u8>,
}

impl Canaries {
    /// Adds a secret under the name it goes by.
    pub fn add(&mut self, what: &str, secret: &[u8]) {
        self.begins.resize(1 << 16, false);
        for (how, bytes) in forms(secret) {
            let head = *bytes
                .first_chunk()
                .expect("secrets are long enough to be told from chance");
            self.begins[begin(&bytes)] = true;
            let what = what.to_owned();
            self.forms
                .entry(head)
                .or_default()
                .push(Form { what, how, bytes });
        }
    }

    /// Fails the test if a secret stands in what `place` holds.
    #[track_caller]
    pub fn assert_clean(&self, place: &str, content: &[u8]) {
        if let Some(found) = self.find(content) {
            panic!("{place} shows {found}");
        }
    }

    /// Says which secret stands in `content`, in which form, and what stands before it.
    pub fn find(&self, content: &[u8]) -> Option<String> {
        content.windows(HEAD).enumerate().find_map(|(at, window)| {
            if !self.begins[begin(window)] {
                return None;
            }
            let known = self.forms.get(window)?;
            let form = known
                .iter()
                .find(|form| content[at..].starts_with(&form.bytes))?;
            let before = String::from_utf8_lossy(&content[at.saturating_sub(200)..at]);
            Some(format!("a {} {}, after `{before}`", form.what, form.how))
        })
    }
}

fn begin(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

fn forms(secret: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![("in clear", secret.to_vec())];
    if secret.len() >= LONG {
        forms.push(("by its beginning", secret[..PART].to_vec()));
        forms.push(("by its end", secret[secret.len() - PART..].to_vec()));
    }
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    forms.push(("in hex", hex.to_uppercase().into_bytes()));
    forms.push(("in hex", hex.into_bytes()));
    for before in 0..3 {
        forms.push(("in base64", middle(&STANDARD, secret, before)));
        forms.push(("in base64url", middle(&URL_SAFE, secret, before)));
    }
    let every: String = secret.iter().map(|byte| format!("%{byte:02X}")).collect();
    forms.push(("percent-encoded", every.into_bytes()));
    let form: String = url::form_urlencoded::byte_serialize(secret).collect();
    forms.push(("form-encoded", form.into_bytes()));
    let json = serde_json::to_string(&String::from_utf8_lossy(secret)).unwrap();
    forms.push(("in JSON", json.trim_matches('"').as_bytes().to_vec()));
    forms
}

/// Returns the base64 characters that depend on `secret` alone when `before` bytes stand before it.
fn middle(engine: &impl Engine, secret: &[u8], before: usize) -> Vec<u8> {
    let text = engine.encode([&[0; 2][..before], secret].concat());
    // The first characters mix with what stands before, the last with what follows.
    let start = if before == 0 { 0 } else { before + 1 };
    let whole = (before + secret.len()) * 8 / 6;
    text.as_bytes()[start..whole].to_vec()
}

/// Every file below a directory but those with one of these names, with what it holds.
pub fn files(directory: &Path, but: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if but.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if kind.is_dir() {
            found.extend(files(&entry.path(), but));
        } else if kind.is_file()
            && let Ok(content) = fs::read(entry.path())
        {
            found.push((entry.path().to_string_lossy().into_owned(), content));
        }
    }
    found
}
