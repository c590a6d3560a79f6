//! Fills an entry's variables in; pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Provider;

impl Provider {
    /// Returns the entry's values with its variables filled in. Each value is said to stand at
    /// `at`, the place in the person's file that names the provider: a problem with one is shown
    /// there.
    pub(in crate::config) fn filled(
        &self,
        values: &BTreeMap<&str, String>,
        at: &Range<usize>,
    ) -> DeTable<'static> {
        filled_table(&self.values, values, at)
    }
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
