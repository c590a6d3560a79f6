//! Reads single values: text, numbers, durations, lists and tables.

use std::ops::{Range, RangeInclusive};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use toml::de::DeValue;

use super::{Item, Table, about, listed_as, nearest, quoted};
use crate::config::keys::{self, Keys};
use crate::config::mask::is_secret_name;
use crate::config::report::Problem;
use crate::config::units;

impl<'a> Item<'a> {
    /// Makes a problem of this value.
    pub(in crate::config) fn problem(&self, message: impl AsRef<str>) -> Problem {
        Problem::at(self.at.clone(), about(&self.what, message.as_ref()))
    }

    /// Reports that this value is wrong.
    pub(in crate::config) fn refuse(&self, message: impl AsRef<str>, expected: impl AsRef<str>) {
        let label = format!("expected {}", expected.as_ref());
        self.findings.add(self.problem(message).label(label));
    }

    /// Reports a value of the wrong type.
    pub(in crate::config) fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let article = match self.value {
            DeValue::Integer(_) | DeValue::Array(_) => "an",
            _ => "a",
        };
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Datetime(_) => "date or time",
            other => other.type_str(),
        };
        let article = if found == "text" { "" } else { article };
        let found = format!("{article} {found}");
        self.refuse(
            format!("`{}` is {}", self.key, found.trim_start()),
            expected,
        );
        None
    }

    /// Narrows the place of this value to a part of its text, where text and source agree. Letters
    /// that are only partly meant are taken whole.
    pub(in crate::config) fn part(&self, range: Range<usize>) -> Range<usize> {
        let written = self
            .findings
            .source
            .get(self.at.start + 1..self.at.end.saturating_sub(1));
        match self.value.as_str() {
            Some(text) if written == Some(text) && range.end <= text.len() => {
                let begin = self.at.start + 1;
                begin + text.floor_char_boundary(range.start)
                    ..begin + text.ceil_char_boundary(range.end)
            }
            _ => self.at.clone(),
        }
    }

    /// Reads text that is not empty.
    pub(in crate::config) fn text(&self) -> Option<&'a str> {
        self.text_as("text")
    }

    fn text_as(&self, expected: &str) -> Option<&'a str> {
        match self.value.as_str() {
            Some("") => {
                self.refuse(format!("`{}` is empty", self.key), expected);
                None
            }
            Some(text) => Some(text),
            None => self.wrong_type(expected),
        }
    }

    /// Reads text that `parse` understands; its error completes "`key` …".
    pub(in crate::config) fn parsed<T>(
        &self,
        expected: &str,
        parse: impl FnOnce(&'a str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(self.text_as(expected)?) {
            Ok(value) => Some(value),
            Err(why) => {
                self.refuse(format!("`{}` {why}", self.key), expected);
                None
            }
        }
    }

    /// Reads one of a closed set of words.
    pub(in crate::config) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let known = words.iter().map(|(word, _)| *word);
        let expected = format!("one of {}", listed_as(known.clone(), '"'));
        let text = self.text_as(&expected)?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let help = nearest(text, known).map(|near| format!("did you mean \"{near}\"?"));
            let message = format!("`{}` cannot be {}", self.key, quoted(text));
            let problem = self.problem(message).label(format!("expected {expected}"));
            self.findings.add(problem.maybe_help(help));
        }
        found
    }

    /// Reads `true` or `false`.
    pub(in crate::config) fn boolean(&self) -> Option<bool> {
        self.value
            .as_bool()
            .or_else(|| self.wrong_type("true or false"))
    }

    /// Reads a whole number within bounds.
    pub(in crate::config) fn number(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let (low, high) = (bounds.start(), bounds.end());
        let expected = match *high {
            u64::MAX => format!("a whole number from {low}"),
            high => format!("a whole number from {low} to {high}"),
        };
        let Some(integer) = self.value.as_integer() else {
            return self.wrong_type(&expected);
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            self.refuse(format!("`{}` is out of range", self.key), expected);
        }
        number
    }

    /// Reads a duration within bounds, such as `"15m"`.
    pub(in crate::config) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let expected = "text with a unit (ms, s, m, h, d, w), such as \"15m\"";
        let duration = self.parsed(expected, |text| {
            units::duration(text).ok_or_else(|| format!("is no duration: {}", quoted(text)))
        })?;
        if bounds.contains(&duration) {
            return Some(duration);
        }
        let (low, high) = (units::show(*bounds.start()), units::show(*bounds.end()));
        self.refuse(
            format!("`{}` is out of range", self.key),
            format!("{low} to {high}"),
        );
        None
    }

    /// Reads a size in bytes within bounds, such as `"64MB"`.
    pub(in crate::config) fn size(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let expected = "text with a unit (B, KB, MB, GB, KiB, MiB, GiB), such as \"64MB\"";
        let size = self.parsed(expected, |text| {
            units::size(text).ok_or_else(|| format!("is no size: {}", quoted(text)))
        })?;
        if bounds.contains(&size) {
            return Some(size);
        }
        let (low, high) = (bounds.start(), bounds.end());
        self.refuse(
            format!("`{}` is out of range", self.key),
            format!("{low} to {high} bytes"),
        );
        None
    }

    /// Reads an array; its items are called like the array.
    pub(in crate::config) fn list(&self, expected: &str) -> Option<Vec<Item<'a>>> {
        let Some(array) = self.value.as_array() else {
            return self.wrong_type(expected);
        };
        let item = |value: &'a toml::Spanned<DeValue<'a>>| Item {
            at: value.span(),
            value: value.get_ref(),
            base: None,
            ..self.clone()
        };
        Some(array.iter().map(item).collect())
    }

    /// Reads a table with the given keys, called `what` in messages.
    pub(in crate::config) fn table(&self, keys: &'static Keys, what: String) -> Option<Table<'a>> {
        Some(self.open(keys, what)?.on(self.base, &[]))
    }

    /// Reads a table whose unknown keys are not reported yet, because a catalogue entry that may
    /// know them is still to be put behind it with [`Table::on`].
    pub(in crate::config) fn open(&self, keys: &'static Keys, what: String) -> Option<Table<'a>> {
        let Some(own) = self.value.as_table() else {
            return self.wrong_type("a table");
        };
        // Inline tables are pointed at as a whole, `[headers]` by their name.
        let inline = self.findings.source[self.at.clone()].starts_with('{');
        let at = if inline {
            self.at.clone()
        } else {
            self.key_at.clone()
        };
        Some(Table {
            findings: self.findings,
            what: what.into(),
            at,
            keys,
            own,
            base: None,
        })
    }

    /// Reads a table whose keys are the person's own.
    pub(in crate::config) fn map(&self) -> Option<Vec<Item<'a>>> {
        let Some(own) = self.value.as_table() else {
            return self.wrong_type("a table");
        };
        let what = Rc::clone(&self.what);
        let at = self.at.clone();
        let table = Table {
            findings: self.findings,
            what,
            at,
            keys: &keys::FREE,
            own,
            base: self.base,
        };
        Some(table.items())
    }

    /// Reads any value as JSON; dates become text.
    pub(in crate::config) fn json(&self) -> Option<Value> {
        Some(match self.value {
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(boolean) => Value::from(*boolean),
            DeValue::Datetime(datetime) => Value::from(datetime.to_string()),
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(number) => Value::from(number),
                    Err(_) => return self.wrong_type("a whole number of 64 bits"),
                }
            }
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Value::from(number),
                _ => return self.wrong_type("a number that JSON has"),
            },
            DeValue::Array(_) => {
                Value::Array(self.list("")?.iter().filter_map(Item::json).collect())
            }
            DeValue::Table(_) => {
                let entry = |item: &Item<'_>| Some((item.key.to_owned(), item.json()?));
                Value::Object(self.map()?.iter().filter_map(entry).collect())
            }
        })
    }

    /// Keeps this value out of every line shown if its key is called like a secret.
    pub(in crate::config) fn hide_if_secret(&self) {
        if is_secret_name(self.key) {
            self.findings.hide(self.at.clone());
        }
    }
}
