//! The providers we know: what would otherwise be looked up and typed for every connection.
//!
//! An entry is data with the keys of a connection; it is put behind the connection a person wrote,
//! so that every value of theirs counts before the entry's. Nothing in the program asks which
//! provider a connection is for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The catalogue as data.
static TEXT: &str = include_str!("catalogue.toml");

/// A provider the catalogue knows.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Provider {
    /// What `provider = "…"` says.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Where the values come from.
    pub source: String,
    /// What a connection may or must say besides, and what it means.
    pub variables: BTreeMap<String, Variable>,
}

/// A part of an entry that differs from one connection to the next.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Variable {
    /// What it means.
    pub about: String,
    /// Its value unless the connection says otherwise; without one it must be said.
    pub default: Option<String>,
    /// The values it may have; any host name part if none are listed.
    pub values: Vec<String>,
}

/// One entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) source: String,
    /// The scope without which there is no refresh token.
    pub(super) refresh_scope: Option<String>,
    pub(super) variables: BTreeMap<String, Variable>,
    /// The values, by the keys of a connection; text may hold `{variable}`.
    connection: DeTable<'static>,
}

/// Returns the providers the catalogue knows, by name.
#[must_use]
pub fn providers() -> Vec<Provider> {
    let provider = |entry: &Entry| Provider {
        name: entry.name.clone(),
        title: entry.title.clone(),
        source: entry.source.clone(),
        variables: entry.variables.clone(),
    };
    entries().iter().map(provider).collect()
}

/// Returns the entry of a provider.
pub(super) fn entry(name: &str) -> Option<&'static Entry> {
    entries().iter().find(|entry| entry.name == name)
}

/// Returns every entry, by name.
pub(super) fn entries() -> &'static [Entry] {
    static ENTRIES: OnceLock<Vec<Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        let text = DeTable::parse(TEXT).expect("a test reads the embedded catalogue");
        text.into_inner()
            .into_iter()
            .filter_map(|(name, value)| Entry::read(name, value))
            .collect()
    })
}

impl Entry {
    fn read(name: Spanned<Cow<'static, str>>, value: Spanned<DeValue<'static>>) -> Option<Self> {
        let DeValue::Table(mut table) = value.into_inner() else {
            return None;
        };
        let variables = table.remove("variables");
        let variables = variables
            .as_ref()
            .and_then(|value| value.get_ref().as_table());
        Some(Self {
            name: name.into_inner().into_owned(),
            title: word(&table, "title")?,
            source: word(&table, "source")?,
            refresh_scope: word(&table, "refresh_scope"),
            variables: variables
                .into_iter()
                .flatten()
                .filter_map(variable)
                .collect(),
            connection: match table.remove("connection")?.into_inner() {
                DeValue::Table(connection) => connection,
                _ => return None,
            },
        })
    }

    /// Returns the entry's values with its variables filled in. Each value is said to stand at
    /// `at`, the place in the person's file that names the provider: a problem with one is shown
    /// there.
    pub(super) fn filled(
        &self,
        values: &BTreeMap<&str, String>,
        at: &Range<usize>,
    ) -> DeTable<'static> {
        filled_table(&self.connection, values, at)
    }
}

impl Variable {
    /// Returns what a value may be, for a message.
    pub(super) fn expected(&self) -> String {
        match self.values.as_slice() {
            [] => self.about.clone(),
            values => format!("{}: {}", self.about, values.join(", ")),
        }
    }

    /// Checks a value: it becomes part of a URL, so it must not be able to change which host that is.
    pub(super) fn check(&self, text: &str) -> Result<String, String> {
        let harmless = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
        let known = self.values.is_empty() || self.values.iter().any(|value| value == text);
        match harmless && known {
            true => Ok(text.to_owned()),
            false => Err(format!("cannot be {}", super::reader::quoted(text))),
        }
    }
}

fn variable(
    (name, value): (&Spanned<Cow<'static, str>>, &Spanned<DeValue<'static>>),
) -> Option<(String, Variable)> {
    let table = value.get_ref().as_table()?;
    let values = table
        .get("values")
        .and_then(|values| values.get_ref().as_array());
    let values = values
        .into_iter()
        .flatten()
        .filter_map(|value| value.get_ref().as_str());
    let variable = Variable {
        about: word(table, "about")?,
        default: word(table, "default"),
        values: values.map(str::to_owned).collect(),
    };
    Some((name.get_ref().to_string(), variable))
}

fn word(table: &DeTable<'_>, key: &str) -> Option<String> {
    table.get(key)?.get_ref().as_str().map(str::to_owned)
}

fn filled_table(
    table: &DeTable<'static>,
    values: &BTreeMap<&str, String>,
    at: &Range<usize>,
) -> DeTable<'static> {
    let entry = |(key, value): (&Spanned<Cow<'static, str>>, &Spanned<DeValue<'static>>)| {
        (
            Spanned::new(at.clone(), key.get_ref().clone()),
            filled(value, values, at),
        )
    };
    table.iter().map(entry).collect()
}

fn filled(
    value: &Spanned<DeValue<'static>>,
    values: &BTreeMap<&str, String>,
    at: &Range<usize>,
) -> Spanned<DeValue<'static>> {
    let value = match value.get_ref() {
        DeValue::String(text) => {
            let fill = |text: String, (name, value): (&&str, &String)| {
                text.replace(&format!("{{{name}}}"), value)
            };
            DeValue::String(values.iter().fold(text.to_string(), fill).into())
        }
        DeValue::Array(array) => DeValue::Array(
            array
                .iter()
                .map(|value| filled(value, values, at))
                .collect(),
        ),
        DeValue::Table(table) => DeValue::Table(filled_table(table, values, at)),
        other => other.clone(),
    };
    Spanned::new(at.clone(), value)
}
