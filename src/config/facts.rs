//! What an authorization server says beside the tokens, as far as a connection asks for it: the
//! address of the instance that is to be asked, the id of a company.

use std::collections::BTreeMap;
use std::fmt;

use minijinja::Value as Context;
use minijinja::value::Serde;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::reader::Item;
use crate::template::Template;

/// The longest name of a fact, in bytes.
const LONGEST_NAME: usize = 100;
/// The longest fact, in bytes: an address with a path fits, a document does not.
const LONGEST: usize = 2_000;
/// Members that are secrets or part of the protocol. Facts are kept and shown in the clear.
const SECRETS: [&str; 8] = [
    "access_token",
    "refresh_token",
    "id_token",
    "client_secret",
    "password",
    "device_code",
    "code",
    "state",
];

/// The name of a member that is kept, with dots where it stands inside another: `team.id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FactName(String);

impl FactName {
    /// Reads a name.
    ///
    /// # Errors
    /// If a template could not name it, or it is the name of a secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_name = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if text.len() > LONGEST_NAME || !text.split('.').all(is_name) {
            return Err("is no name of letters, digits and `_`, with dots between".to_owned());
        }
        match text.split('.').find(|part| SECRETS.contains(part)) {
            Some(secret) => Err(format!(
                "asks for `{secret}`, which is not kept in the clear"
            )),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// Returns the name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the names from the outside in.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Returns true if one of the two stands inside the other, or both are the same.
    fn overlaps(&self, other: &Self) -> bool {
        self.segments()
            .zip(other.segments())
            .all(|(own, other)| own == other)
    }
}

impl fmt::Display for FactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the names of the facts that a connection keeps.
pub(super) fn read(item: &Item<'_>) -> Vec<FactName> {
    let mut names: Vec<FactName> = Vec::new();
    let items = item.list("an array of names such as [\"instance_url\"]");
    for item in items.unwrap_or_default() {
        let expected = "the name of a member of the redirect or the token answer";
        let Some(name) = item.parsed(expected, FactName::parse) else {
            continue;
        };
        match names.iter().find(|known| known.overlaps(&name)) {
            Some(known) => item.refuse(
                format!("`{name}` and `{known}` are about the same member"),
                "each member once",
            ),
            None => names.push(name),
        }
    }
    names
}

/// What is known of the facts a connection asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts(BTreeMap<String, Fact>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fact {
    value: String,
    /// True if the token endpoint said it. What only a redirect said went through a browser.
    answered: bool,
}

impl Facts {
    /// Collects what the token endpoint said; `find` looks a member up.
    #[must_use]
    pub fn of_answer(names: &[FactName], find: impl Fn(&FactName) -> Option<String>) -> Self {
        Self::collect(names, find, true)
    }

    /// Collects what a redirect said; `find` looks a parameter up.
    #[must_use]
    pub fn of_redirect(names: &[FactName], find: impl Fn(&FactName) -> Option<String>) -> Self {
        Self::collect(names, find, false)
    }

    fn collect(
        names: &[FactName],
        find: impl Fn(&FactName) -> Option<String>,
        answered: bool,
    ) -> Self {
        let found = names.iter().filter_map(|name| {
            let value = find(name).filter(|value| is_fit(value))?;
            Some((name.to_string(), Fact { value, answered }))
        });
        Self(found.collect())
    }

    /// Returns these facts, and from `older` what they leave unsaid.
    #[must_use]
    pub fn over(mut self, older: &Self) -> Self {
        for (name, fact) in &older.0 {
            self.0.entry(name.clone()).or_insert_with(|| fact.clone());
        }
        self
    }

    /// Returns true if nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first fact that `template` needs and that is not known.
    #[must_use]
    pub fn missing(&self, template: &Template) -> Option<String> {
        let mut needed = needed(template);
        needed
            .find(|name| !self.0.contains_key(*name))
            .map(str::to_owned)
    }

    /// Returns the first fact that `template` needs and that the token endpoint did not vouch for.
    pub(super) fn unvouched(&self, template: &Template) -> Option<String> {
        let is_vouched = |name: &str| self.0.get(name).is_some_and(|fact| fact.answered);
        needed(template)
            .find(|name| !is_vouched(name))
            .map(str::to_owned)
    }

    /// Returns what templates call `fact`.
    #[must_use]
    pub fn context(&self) -> Context {
        let mut all = Map::new();
        for (name, fact) in &self.0 {
            insert(&mut all, name, &fact.value);
        }
        Serde(all).into()
    }

    /// Returns the facts as people are shown them.
    #[must_use]
    pub fn shown(&self) -> BTreeMap<String, String> {
        let shown = |(name, fact): (&String, &Fact)| (name.clone(), fact.value.clone());
        self.0.iter().map(shown).collect()
    }
}

/// Puts a value where a name with dots says.
fn insert(inner: &mut Map<String, Value>, name: &str, value: &str) {
    match name.split_once('.') {
        None => {
            inner.insert(name.to_owned(), value.into());
        }
        Some((outer, name)) => {
            let below = inner.entry(outer).or_insert_with(|| Map::new().into());
            if let Value::Object(below) = below {
                insert(below, name, value);
            }
        }
    }
}

/// Returns the names of the facts that a template mentions.
fn needed(template: &Template) -> impl Iterator<Item = &str> {
    let variables = template.variables().iter();
    variables.filter_map(|variable| variable.strip_prefix("fact."))
}

/// Returns true for what may be kept: a line of text that fits into a URL.
fn is_fit(value: &str) -> bool {
    (1..=LONGEST).contains(&value.len()) && !value.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<FactName> {
        names
            .iter()
            .map(|name| FactName::parse(name).unwrap())
            .collect()
    }

    #[test]
    fn only_what_templates_can_name_and_may_be_seen_is_kept() {
        for name in ["instance_url", "realmId", "team.id", "_x1"] {
            assert!(FactName::parse(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "a..b",
            "1a",
            "a-b",
            "access_token",
            "data.refresh_token",
            "code",
            "state",
        ] {
            assert!(FactName::parse(name).is_err(), "{name}");
        }
        let asked = names(&["empty", "long", "two_lines", "fits"]);
        let facts = Facts::of_answer(&asked, |name| {
            Some(match name.as_str() {
                "empty" => String::new(),
                "long" => "x".repeat(LONGEST + 1),
                "two_lines" => "a\nb".to_owned(),
                _ => "x".repeat(LONGEST),
            })
        });
        assert_eq!(facts.shown().keys().collect::<Vec<_>>(), ["fits"]);
    }

    #[test]
    fn a_later_answer_counts_before_an_earlier_one() {
        let asked = names(&["host", "realm", "team.id"]);
        let said = |words: &'static [(&str, &str)]| {
            move |name: &FactName| {
                let found = words.iter().find(|(known, _)| *known == name.as_str());
                found.map(|(_, value)| (*value).to_owned())
            }
        };
        let first = Facts::of_redirect(&asked, said(&[("host", "a"), ("realm", "7")]));
        let second = Facts::of_answer(&asked, said(&[("host", "b"), ("team.id", "T")]));
        let both = second.over(&first);
        let template =
            Template::parse("{{ fact.host }}{{ fact.realm }}{{ fact.team.id }}").unwrap();
        let context = Context::from_pairs([("fact", both.context())]);
        assert_eq!(template.render(&context).unwrap(), "b7T");
        assert_eq!(both.missing(&template), None);
        assert_eq!(first.missing(&template).as_deref(), Some("team.id"));
        assert_eq!(both.unvouched(&template).as_deref(), Some("realm"));
    }
}
