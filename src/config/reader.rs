//! Walks TOML as written, and collects everything that is wrong with it.
//!
//! Whatever a reading function cannot read, it reports to the [`Findings`] and answers `None`; the
//! caller goes on with a default, because a file with a single problem is refused as a whole. So
//! every problem is found in one pass, and no reader needs an error path of its own.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Keys};
use super::mask::is_secret_name;
use super::report::Problem;
use super::units;

/// How alike two names must be for one to be proposed for the other (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.8;
/// The most letters of somebody's text repeated in a message.
const QUOTED: usize = 60;

/// What was found while reading one file.
pub(super) struct Findings<'a> {
    source: &'a str,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<(Option<usize>, String)>>,
    secrets: RefCell<Vec<Range<usize>>>,
}

impl<'a> Findings<'a> {
    /// Starts with nothing found in `source`.
    pub(super) fn new(source: &'a str) -> Self {
        Self {
            source,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            secrets: RefCell::default(),
        }
    }

    /// Adds something that is wrong.
    pub(super) fn add(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    /// Adds something that is right but deserves a look, at a byte of the file or nowhere in it.
    pub(super) fn warn(&self, at: Option<usize>, text: impl Into<String>) {
        self.warnings.borrow_mut().push((at, text.into()));
    }

    /// Remembers that these bytes must not be shown.
    pub(super) fn hide(&self, secret: Range<usize>) {
        self.secrets.borrow_mut().push(secret);
    }

    /// Returns what was found, warnings in the order of the file.
    pub(super) fn found(self) -> Found {
        let mut warnings = self.warnings.into_inner();
        warnings.sort();
        Found {
            problems: self.problems.into_inner(),
            warnings,
            secrets: self.secrets.into_inner(),
        }
    }
}

/// What was found in the end.
pub(super) struct Found {
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
    /// What deserves a look, and where it stands.
    pub(super) warnings: Vec<(Option<usize>, String)>,
    /// Where literal secrets stand.
    pub(super) secrets: Vec<Range<usize>>,
}

/// A table with a fixed set of keys, and the table that stands behind it.
#[derive(Clone)]
pub(super) struct Table<'a> {
    pub(super) findings: &'a Findings<'a>,
    /// What it is to a person, such as ``flow `project` ``.
    pub(super) what: Rc<str>,
    /// Where to point if something is missing in it.
    pub(super) at: Range<usize>,
    keys: &'static Keys,
    own: &'a DeTable<'a>,
    /// Values of a catalogue entry, which count where the table has none of its own.
    base: Option<&'a DeTable<'a>>,
}

/// One value and where it stands.
#[derive(Clone)]
pub(super) struct Item<'a> {
    pub(super) findings: &'a Findings<'a>,
    pub(super) what: Rc<str>,
    pub(super) key: &'a str,
    pub(super) key_at: Range<usize>,
    pub(super) at: Range<usize>,
    pub(super) value: &'a DeValue<'a>,
    base: Option<&'a DeTable<'a>>,
}

impl<'a> Table<'a> {
    /// Makes a table of the whole file.
    pub(super) fn root(findings: &'a Findings<'a>, own: &'a DeTable<'a>) -> Self {
        let table = Self {
            findings,
            what: keys::ROOT.section.into(),
            at: 0..0,
            keys: &keys::ROOT,
            own,
            base: None,
        };
        table.refuse_unknown(&[]);
        table
    }

    /// Returns the value of `key`, written here or in the catalogue.
    pub(super) fn get(&self, key: &str) -> Option<Item<'a>> {
        debug_assert!(
            self.keys.names.contains(&key),
            "{key} is not a key of {}",
            self.keys.section
        );
        self.find(key)
    }

    /// Returns the value of a key that only a catalogue entry knows.
    pub(super) fn written(&self, key: &str) -> Option<Item<'a>> {
        self.find(key)
    }

    fn find(&self, key: &str) -> Option<Item<'a>> {
        let behind = self.base.and_then(|base| base.get_key_value(key));
        let (key, value) = self.own.get_key_value(key).or(behind)?;
        Some(Item {
            findings: self.findings,
            what: Rc::clone(&self.what),
            key: key.get_ref(),
            key_at: key.span(),
            at: value.span(),
            value: value.get_ref(),
            base: behind.and_then(|(_, value)| value.get_ref().as_table()),
        })
    }

    /// Returns the value of `key` only if the person wrote it.
    pub(super) fn own(&self, key: &str) -> Option<Item<'a>> {
        self.own.contains_key(key).then(|| self.get(key)).flatten()
    }

    /// Returns the value of a key that may not be missing.
    pub(super) fn need(&self, key: &str, expected: &str) -> Option<Item<'a>> {
        let item = self.get(key);
        if item.is_none() {
            self.findings.add(
                Problem::at(self.at.clone(), format!("{} has no `{key}`", self.what))
                    .label(format!("expected `{key}`: {expected}"))
                    .absence(),
            );
        }
        item
    }

    /// Returns the value of `key` as `read` reads it, or `default` if it is not written.
    pub(super) fn or<T>(
        &self,
        key: &str,
        default: T,
        read: impl FnOnce(Item<'a>) -> Option<T>,
    ) -> T {
        self.get(key).and_then(read).unwrap_or(default)
    }

    /// Returns every value in the order of the file, those of the catalogue last.
    pub(super) fn items(&self) -> Vec<Item<'a>> {
        let behind = self.base.into_iter().flat_map(DeTable::keys);
        let behind = behind.filter(|key| !self.own.contains_key(key.get_ref().as_ref()));
        let mut keys: Vec<_> = self.own.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        keys.into_iter()
            .chain(behind)
            .filter_map(|key| self.find(key.get_ref()))
            .collect()
    }

    /// Says that two settings contradict each other.
    pub(super) fn contradiction(&self, item: &Item<'_>, message: impl AsRef<str>, help: &str) {
        let message = about(&self.what, message.as_ref());
        self.findings.add(
            Problem::at(item.key_at.clone(), message)
                .label("contradicts the rest")
                .help(help),
        );
    }

    /// Puts a catalogue entry behind this table; `more` are keys that entry knows.
    pub(super) fn on(mut self, base: Option<&'a DeTable<'a>>, more: &[&str]) -> Self {
        self.base = base;
        self.refuse_unknown(more);
        self
    }

    fn refuse_unknown(&self, more: &[&str]) {
        for (key, value) in self.own {
            let name = key.get_ref().as_ref();
            if self.keys.names.contains(&name) || more.contains(&name) {
                continue;
            }
            if self.keys.may_hold_secrets && value.get_ref().is_str() {
                self.findings.hide(value.span());
            }
            let known = self.keys.names.iter().chain(more).copied();
            let help = nearest(name, known.clone())
                .map(|near| format!("did you mean `{near}`?"))
                .or_else(|| keys::section_of(name).map(|at| format!("`{name}` is a key of {at}")))
                .unwrap_or_else(|| format!("its keys are {}", listed(known)));
            self.findings.add(
                Problem::at(
                    key.span(),
                    format!("unknown key {} in {}", quoted(name), self.what),
                )
                .label(format!("not a key of {}", self.keys.section))
                .help(help),
            );
        }
    }
}

impl<'a> Item<'a> {
    /// Makes a problem of this value.
    pub(super) fn problem(&self, message: impl AsRef<str>) -> Problem {
        Problem::at(self.at.clone(), about(&self.what, message.as_ref()))
    }

    /// Reports that this value is wrong.
    pub(super) fn refuse(&self, message: impl AsRef<str>, expected: impl AsRef<str>) {
        let label = format!("expected {}", expected.as_ref());
        self.findings.add(self.problem(message).label(label));
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_type<T>(&self, expected: &str) -> Option<T> {
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

    /// Narrows the place of this value to a part of its text, where text and source agree.
    pub(super) fn part(&self, range: Range<usize>) -> Range<usize> {
        let written = self
            .findings
            .source
            .get(self.at.start + 1..self.at.end.saturating_sub(1));
        match self.value.as_str() {
            Some(text) if written == Some(text) && range.end <= text.len() => {
                self.at.start + 1 + range.start..self.at.start + 1 + range.end
            }
            _ => self.at.clone(),
        }
    }

    /// Reads text that is not empty.
    pub(super) fn text(&self) -> Option<&'a str> {
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
    pub(super) fn parsed<T>(
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
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
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
    pub(super) fn boolean(&self) -> Option<bool> {
        self.value
            .as_bool()
            .or_else(|| self.wrong_type("true or false"))
    }

    /// Reads a whole number within bounds.
    pub(super) fn number(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
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
    pub(super) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
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
    pub(super) fn size(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
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
    pub(super) fn list(&self, expected: &str) -> Option<Vec<Item<'a>>> {
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
    pub(super) fn table(&self, keys: &'static Keys, what: String) -> Option<Table<'a>> {
        Some(self.open(keys, what)?.on(self.base, &[]))
    }

    /// Reads a table whose unknown keys are not reported yet, because a catalogue entry that may
    /// know them is still to be put behind it with [`Table::on`].
    pub(super) fn open(&self, keys: &'static Keys, what: String) -> Option<Table<'a>> {
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
    pub(super) fn map(&self) -> Option<Vec<Item<'a>>> {
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
    pub(super) fn json(&self) -> Option<Value> {
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
    pub(super) fn hide_if_secret(&self) {
        if is_secret_name(self.key) {
            self.findings.hide(self.at.clone());
        }
    }
}

/// Returns a message that says what it is about; the file itself goes without saying.
pub(super) fn about(what: &str, message: &str) -> String {
    if what == keys::ROOT.section {
        message.to_owned()
    } else {
        format!("{what}: {message}")
    }
}

/// Returns the known name most like `name`, if one is near.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_lowercase();
    known
        .map(|candidate| {
            (
                strsim::jaro_winkler(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Returns names as a list a person reads.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    listed_as(names, '`')
}

fn listed_as<'n>(names: impl Iterator<Item = &'n str>, quote: char) -> String {
    names
        .map(|name| format!("{quote}{name}{quote}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Returns somebody's text fit for a message: in backticks, short, without control characters.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED).flat_map(shown_letter).collect();
    if text.chars().nth(QUOTED).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

fn shown_letter(letter: char) -> Vec<char> {
    if letter.is_control() {
        letter.escape_default().collect()
    } else {
        vec![letter]
    }
}
