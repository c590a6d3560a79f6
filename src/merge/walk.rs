//! One walk over a record's text finds the wanted fields as slices of it.
//!
//! The fields of a record usually come in the order of the record before, so each name is first
//! compared with the one that followed last time; only a surprise costs a look-up.

use std::collections::HashMap;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::text;
use crate::record::FieldPath;

/// The most names remembered of one object. A table cannot have as many columns, so where there are
/// more, names are data, such as an identifier each, and not worth the memory.
const MOST_NAMES: usize = 10_000;

/// What a field that nobody asked for is to a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Nothing: the columns are listed.
    Ignored,
    /// A reason to stop: every field must have a column.
    Reported,
    /// One more slot.
    Learnt,
}

/// Finds wanted fields in records, one slot for each. An empty slot is a field that is not there.
#[derive(Debug)]
pub(super) struct Walk<'g> {
    levels: Vec<Level>,
    unknown: Unknown,
    slots: usize,
    learnt: Vec<String>,
    met_unknown: bool,
    is_crowded: bool,
    /// The slots of fields that no record decides, and what is in them.
    given: Vec<(usize, &'g str)>,
}

/// The names inside one object: the record, or an object a path leads through.
#[derive(Debug, Default)]
struct Level {
    index: HashMap<Box<str>, usize>,
    fields: Vec<Field>,
    first: usize,
}

#[derive(Debug)]
struct Field {
    name: Box<str>,
    /// Where its value goes.
    slot: Option<usize>,
    /// The level of the fields inside it, if a path leads through it.
    level: Option<usize>,
    /// True if it has a column, or needs none.
    is_settled: bool,
    /// The field that came after it last time.
    follower: usize,
}

impl<'g> Walk<'g> {
    pub(super) fn new(unknown: Unknown) -> Self {
        Self {
            levels: vec![Level::default()],
            unknown,
            slots: 0,
            learnt: Vec::new(),
            met_unknown: false,
            is_crowded: false,
            given: Vec::new(),
        }
    }

    /// Has a field be what is given, JSON, in every record, whatever the record says.
    pub(super) fn give(&mut self, path: &FieldPath, raw: &'g str) {
        let slot = self.want(path);
        self.given.push((slot, raw));
    }

    /// Returns true if what is in a slot is given.
    pub(super) fn gives(&self, slot: usize) -> bool {
        self.given.iter().any(|(given, _)| *given == slot)
    }

    /// Asks for one more field, for a column; returns its slot. Asked for twice, it has one slot.
    pub(super) fn want(&mut self, path: &FieldPath) -> usize {
        let (level, field) = self.find(path);
        self.levels[level].fields[field].is_settled = true;
        self.slot(level, field)
    }

    /// Asks for a field to look at, whether or not it has a column; returns its slot.
    pub(super) fn watch(&mut self, path: &FieldPath) -> usize {
        let (level, field) = self.find(path);
        self.slot(level, field)
    }

    /// Returns the level and the place in it of the field a path leads to, made if it is new.
    fn find(&mut self, path: &FieldPath) -> (usize, usize) {
        let mut level = 0;
        let (last, through) = match path.segments() {
            [through @ .., last] => (last.as_str(), through),
            [] => ("", &[][..]),
        };
        for name in through {
            let field = self.levels[level].field(name);
            let next = self.levels.len();
            let inner = *self.levels[level].fields[field].level.get_or_insert(next);
            if inner == next {
                self.levels.push(Level::default());
            }
            level = inner;
        }
        (level, self.levels[level].field(last))
    }

    fn slot(&mut self, level: usize, field: usize) -> usize {
        let slot = &mut self.levels[level].fields[field].slot;
        *slot.get_or_insert_with(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    /// Returns how many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// Returns the fields that got a slot because nobody had asked for them, in slot order.
    pub(super) fn learnt(&self) -> &[String] {
        &self.learnt
    }

    /// Returns true if there were more names to learn than any table has columns.
    pub(super) fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    /// Fills `slots` from one record; returns true if it has a field that must be reported.
    pub(super) fn record<'p>(
        &mut self,
        record: &'p str,
        slots: &mut Vec<&'p str>,
    ) -> Result<bool, serde_json::Error>
    where
        'g: 'p,
    {
        slots.clear();
        slots.resize(self.slots, "");
        self.met_unknown = false;
        self.object(0, record, slots)?;
        for (slot, raw) in &self.given {
            slots[*slot] = raw;
        }
        Ok(self.met_unknown)
    }

    fn object<'p>(
        &mut self,
        level: usize,
        object: &'p str,
        slots: &mut Vec<&'p str>,
    ) -> Result<(), serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(object);
        let previous = self.levels[level].first;
        json.deserialize_map(Object {
            walk: self,
            level,
            slots,
            expected: previous,
        })?;
        json.end()
    }

    /// Takes note of a top-level field that should have a column and has none.
    fn meet<'p>(&mut self, field: usize, raw: &'p str, slots: &mut Vec<&'p str>) {
        if text::is_deferred(raw) {
            return;
        }
        if self.unknown == Unknown::Reported {
            self.met_unknown = true;
            return;
        }
        let slot = self.slot(0, field);
        slots.resize(self.slots, "");
        slots[slot] = raw;
        let field = &mut self.levels[0].fields[field];
        field.is_settled = true;
        self.learnt.push(field.name.to_string());
    }
}

impl Level {
    /// Returns the field of this name, made if it is new.
    fn field(&mut self, name: &str) -> usize {
        if let Some(field) = self.index.get(name) {
            return *field;
        }
        let field = self.fields.len();
        let name: Box<str> = name.into();
        self.index.insert(name.clone(), field);
        self.fields.push(Field {
            name,
            slot: None,
            level: None,
            is_settled: false,
            follower: field + 1,
        });
        field
    }

    /// Remembers that `field` came after `before`, or first.
    fn follow(&mut self, before: Option<usize>, field: usize) {
        match before {
            Some(before) => self.fields[before].follower = field,
            None => self.first = field,
        }
    }
}

/// Walks one object.
struct Object<'w, 's, 'p, 'g> {
    walk: &'w mut Walk<'g>,
    level: usize,
    slots: &'s mut Vec<&'p str>,
    expected: usize,
}

impl<'p> Visitor<'p> for Object<'_, '_, 'p, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'p>>(mut self, mut map: A) -> Result<(), A::Error> {
        let wants_all = self.level == 0 && self.walk.unknown != Unknown::Ignored;
        let mut before = None;
        loop {
            let level = &mut self.walk.levels[self.level];
            let expected = self.expected;
            let Some(name) = map.next_key_seed(Name { level, expected })? else {
                return Ok(());
            };
            let index = match name {
                Met::Field(index) => index,
                Met::Unknown(name) if level.fields.len() >= MOST_NAMES => {
                    if wants_all && !is_noise(&name) {
                        self.walk.met_unknown = true;
                        self.walk.is_crowded = self.walk.unknown == Unknown::Learnt;
                    }
                    if self.walk.is_crowded {
                        return Err(de::Error::custom("too many names"));
                    }
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Met::Unknown(name) => {
                    let index = level.field(&name);
                    level.fields[index].is_settled = !wants_all || is_noise(&name);
                    index
                }
            };
            if index != expected {
                level.follow(before, index);
            }
            before = Some(index);
            let field = &level.fields[index];
            let (slot, inner, is_settled) = (field.slot, field.level, field.is_settled);
            self.expected = field.follower;
            let needs_column = wants_all && !is_settled;
            if slot.is_none() && inner.is_none() && !needs_column {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw: &'p RawValue = map.next_value()?;
            if needs_column {
                self.walk.meet(index, raw.get(), self.slots);
            }
            if let Some(slot) = slot {
                self.slots[slot] = raw.get();
            }
            if let Some(inner) = inner
                && raw.get().starts_with('{')
            {
                let walked = self.walk.object(inner, raw.get(), self.slots);
                walked.map_err(de::Error::custom)?;
            }
        }
    }
}

/// A name, found among those of its level while it is still a slice of the record.
struct Name<'w> {
    level: &'w Level,
    expected: usize,
}

enum Met {
    Field(usize),
    Unknown(String),
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Met;

    fn deserialize<D: de::Deserializer<'de>>(self, name: D) -> Result<Met, D::Error> {
        name.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Met;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Met, E> {
        if let Some(field) = self.level.fields.get(self.expected)
            && *field.name == *name
        {
            return Ok(Met::Field(self.expected));
        }
        Ok(match self.level.index.get(name) {
            Some(field) => Met::Field(*field),
            None => Met::Unknown(name.to_owned()),
        })
    }
}

/// Returns true for what protocols add to every record: OData's metadata and annotations.
fn is_noise(name: &str) -> bool {
    name == "__metadata" || name.contains("@odata.") || name.starts_with("odata.")
}
