//! What travels from a source to a table: pages of records, and what became of them.
//!
//! A record stays the bytes the source sent until its values are bound to a statement; no tree of
//! values is built on the way.

mod cursor;

use std::fmt;
use std::ops::{AddAssign, Range};
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use cursor::{CursorFormat, CursorSpan, CursorValue};

/// One answer of a resource.
#[derive(Debug, Clone)]
pub struct Page {
    /// Which page of the run this is, from 1.
    pub number: u64,
    /// The body as it came, decompressed, in UTF-8.
    pub body: Bytes,
    /// Where each record, a JSON object, stands in the body.
    pub records: Vec<Range<usize>>,
    /// What the source lists as gone, beside the records.
    pub gone: Gone,
    /// What the source is to be asked with the next time, if it says so here.
    pub delta: Option<String>,
    /// True if no page comes after this one.
    pub is_last: bool,
}

/// The entries of a list of what is gone, JSON each: keys, or objects with a key in them.
#[derive(Debug, Clone, Default)]
pub struct Gone {
    /// The body as the source sent it.
    pub body: Bytes,
    /// Where each entry stands in it.
    pub entries: Vec<Range<usize>>,
}

impl Gone {
    /// Returns the entries as JSON text, in their order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        texts(&self.body, &self.entries)
    }
}

/// Returns parts of a body as text. Whoever noted where they stand found them as JSON text, which is
/// UTF-8.
fn texts<'a>(body: &'a Bytes, ranges: &'a [Range<usize>]) -> impl Iterator<Item = &'a str> {
    ranges
        .iter()
        .map(|range| std::str::from_utf8(&body[range.clone()]).unwrap_or_default())
}

impl Page {
    /// Returns how many bytes of memory the page takes up.
    #[must_use]
    pub fn size(&self) -> usize {
        let noted = self.records.len() + self.gone.entries.len();
        self.body.len() + noted * size_of::<Range<usize>>()
    }

    /// Returns the records as JSON text, in the order of the page.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        texts(&self.body, &self.records)
    }
}

/// The name of a field inside a record or a body, one segment per level.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// Returns the names from the outside in; empty for the value itself.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// Makes a path of ready segments.
    #[must_use]
    pub fn of(segments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self(segments.into_iter().map(Into::into).collect())
    }
}

/// Reads `a.b`, `$.a.b`, `$.a.b[*]` and `$['@odata.nextLink']`: the part of RFC 9535 that can be
/// followed while a body streams by.
impl FromStr for FieldPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text.strip_suffix("[*]").unwrap_or(text);
        rest = match rest.strip_prefix('$') {
            Some(after) => after.strip_prefix('.').unwrap_or(after),
            None => rest,
        };
        let mut segments = Vec::new();
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix("['") {
                let (name, after) = quoted_name(quoted).ok_or("a `['` has no `']`")?;
                segments.push(name);
                rest = after.strip_prefix('.').unwrap_or(after);
                continue;
            }
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let name = &rest[..end];
            if name.is_empty() {
                return Err("a name between two dots is empty".to_owned());
            }
            if name.contains(['*', '?', ']', '"']) {
                return Err(format!("`{name}` is not a plain field name"));
            }
            segments.push(name.to_owned());
            rest = &rest[end..];
            if let Some(after) = rest.strip_prefix('.') {
                if after.is_empty() {
                    return Err("the path ends with a dot".to_owned());
                }
                rest = after;
            } else if !rest.is_empty() && !rest.starts_with("['") {
                return Err(format!(
                    "`{rest}` is not supported here; use names, dots and ['…']"
                ));
            }
        }
        Ok(Self(segments))
    }
}

/// Splits the text after `['` into the name that ends at `']`, and the rest. `\'` and `\\` stand for
/// themselves.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut letters = text.chars();
    loop {
        match letters.next()? {
            '\\' => name.push(letters.next()?),
            '\'' => return Some((name, letters.as_str().strip_prefix(']')?)),
            letter => name.push(letter),
        }
    }
}

/// Prints what reading gives back, also for names that no one should choose.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SPECIAL: [char; 9] = ['.', '[', ']', '\'', '"', '*', '?', '$', '\\'];
        for (index, segment) in self.0.iter().enumerate() {
            if segment.is_empty() || segment.contains(SPECIAL) {
                let quoted = segment.replace('\\', r"\\").replace('\'', r"\'");
                write!(f, "['{quoted}']")?;
            } else {
                let dot = if index > 0 { "." } else { "" };
                write!(f, "{dot}{segment}")?;
            }
        }
        Ok(())
    }
}

/// What became of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Pages merged.
    pub pages: u64,
    /// Records read.
    pub records: u64,
    /// Rows that were not there before.
    pub inserted: u64,
    /// Rows that differed and were written.
    pub updated: u64,
    /// Rows that were equal, and were not written.
    pub unchanged: u64,
    /// Rows removed or marked removed.
    pub deleted: u64,
    /// Rows that had been marked removed and came back.
    #[serde(default)]
    pub restored: u64,
    /// Bytes of bodies, decompressed.
    pub bytes: u64,
    /// Requests sent, repeats included.
    pub requests: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.pages += more.pages;
        self.records += more.records;
        self.inserted += more.inserted;
        self.updated += more.updated;
        self.unchanged += more.unchanged;
        self.deleted += more.deleted;
        self.restored += more.restored;
        self.bytes += more.bytes;
        self.requests += more.requests;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_and_print() {
        let cases: [(&str, &[&str]); 8] = [
            ("$", &[]),
            ("$[*]", &[]),
            ("d.results", &["d", "results"]),
            ("$.data.items[*]", &["data", "items"]),
            ("$['@odata.nextLink']", &["@odata.nextLink"]),
            ("a['b.c'].d", &["a", "b.c", "d"]),
            (r"['it\'s'].a", &["it's", "a"]),
            (r"['\\']['']", &["\\", ""]),
        ];
        for (text, segments) in cases {
            let path: FieldPath = text.parse().unwrap();
            assert_eq!(path, FieldPath::of(segments.iter().copied()), "{text}");
            assert_eq!(path.to_string().parse::<FieldPath>().unwrap(), path);
        }
        for wrong in ["a..b", "a.", "$.a[?(@.b)]", "a[0]", "$..a", "['a"] {
            assert!(wrong.parse::<FieldPath>().is_err(), "{wrong}");
        }
    }
}
