//! Walks TOML as written, and collects everything that is wrong with it.
//!
//! Whatever a reading function cannot read, it reports to the [`Findings`] and answers `None`; the
//! caller goes on with a default, because a file with a single problem is refused as a whole. So
//! every problem is found in one pass, and no reader needs an error path of its own.

mod item;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use toml::de::{DeTable, DeValue};

use super::Name;
use super::keys::{self, Keys};
use super::report::Problem;

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
    sealed: RefCell<BTreeSet<Name>>,
}

impl<'a> Findings<'a> {
    /// Starts with nothing found in `source`.
    pub(super) fn new(source: &'a str) -> Self {
        Self {
            source,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            secrets: RefCell::default(),
            sealed: RefCell::default(),
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

    /// Remembers that the file refers to a sealed secret.
    pub(super) fn refer(&self, secret: &Name) {
        self.sealed.borrow_mut().insert(secret.clone());
    }

    /// Returns what was found, warnings in the order of the file.
    pub(super) fn found(self) -> Found {
        let mut warnings = self.warnings.into_inner();
        warnings.sort();
        Found {
            problems: self.problems.into_inner(),
            warnings,
            secrets: self.secrets.into_inner(),
            sealed: self.sealed.into_inner(),
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
    /// Which sealed secrets it refers to.
    pub(super) sealed: BTreeSet<Name>,
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
