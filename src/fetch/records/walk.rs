//! The walk itself: one step per value that matters, every other value skipped.

use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{MOST_RECORDS, Node, Problem, Records, Scalar, damage};

/// What stood where records may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Nothing,
    Null,
    Object,
    List,
}

pub(super) struct Walk {
    /// Where the body begins in memory.
    start: usize,
    pub(super) records: Vec<Range<usize>>,
    pub(super) gone: Vec<Range<usize>>,
    pub(super) values: Vec<Option<Scalar>>,
    pub(super) seen: Seen,
    /// Why the walk was stopped, if the body itself is valid so far.
    problem: Option<Problem>,
}

/// Walks `body` to its very end.
pub(super) fn walk(body: &str, root: &Node, values: usize) -> Result<Walk, Problem> {
    let mut walk = Walk {
        start: body.as_ptr() as usize,
        records: Vec::new(),
        gone: Vec::new(),
        values: vec![None; values],
        seen: Seen::Nothing,
        problem: None,
    };
    let mut json = serde_json::Deserializer::from_str(body);
    let step = Step {
        node: root,
        walk: &mut walk,
    };
    match step.deserialize(&mut json).and_then(|()| json.end()) {
        Ok(()) => Ok(walk),
        Err(error) => Err(walk.problem.unwrap_or_else(|| damage(&error))),
    }
}

impl Walk {
    fn range(&self, raw: &RawValue) -> Range<usize> {
        // The parser lends slices of the body, so the distance between them is an offset.
        let from = raw.get().as_ptr() as usize - self.start;
        from..from + raw.get().len()
    }

    /// Takes note of what is listed as gone; there may be no list.
    fn list(&mut self, raw: &RawValue) -> Result<(), Problem> {
        let entries: Vec<&RawValue> = match raw.get().as_bytes().first() {
            Some(b'n') => return Ok(()),
            Some(b'[') => serde_json::from_str(raw.get()).map_err(|error| damage(&error))?,
            Some(b'{') => return Err(Problem::NotGone("an object")),
            _ => return Err(Problem::NotGone(kind(raw.get()))),
        };
        for entry in entries {
            let range = self.range(entry);
            self.gone.push(range);
        }
        Ok(())
    }

    /// Remembers what is wrong and stops the parser.
    fn stop<E: serde::de::Error>(&mut self, problem: Problem) -> E {
        self.problem = Some(problem);
        E::custom("stopped")
    }
}

/// One value of the body, walked as its node says.
struct Step<'p, 'w> {
    node: &'p Node,
    walk: &'w mut Walk,
}

impl<'de> DeserializeSeed<'de> for Step<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.node.is_gone {
            let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
            return self
                .walk
                .list(raw)
                .map_err(|problem| self.walk.stop(problem));
        }
        if self.node.values.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let raw: &RawValue = serde::Deserialize::deserialize(deserializer)?;
        let value = scalar(raw).map_err(|problem| self.walk.stop(problem))?;
        for index in &self.node.values {
            self.walk.values[*index].clone_from(&value);
        }
        Ok(())
    }
}

impl Step<'_, '_> {
    /// Handles a value that is neither an object nor an array nor null.
    fn plain<E: serde::de::Error>(self, found: &'static str) -> Result<(), E> {
        match self.node.records {
            Records::No if !self.node.leads => Ok(()),
            Records::ArrayOrIgnored => Ok(()),
            Records::No | Records::Any | Records::Array => {
                Err(self.walk.stop(Problem::NotRecords {
                    place: String::new(),
                    found,
                }))
            }
        }
    }
}

impl<'de> Visitor<'de> for Step<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.node.records == Records::Array {
            let found = "an object";
            return Err(self.walk.stop(Problem::NotRecords {
                place: String::new(),
                found,
            }));
        }
        while let Some(child) = map.next_key_seed(Key(&self.node.children))? {
            match child {
                Some(node) => map.next_value_seed(Step {
                    node,
                    walk: self.walk,
                })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if self.node.records == Records::Any && self.walk.seen == Seen::Nothing {
            self.walk.seen = Seen::Object;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if self.node.records == Records::No {
            if self.node.leads {
                return self.plain("an array");
            }
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        self.walk.seen = Seen::List;
        while let Some(raw) = items.next_element::<&RawValue>()? {
            if !raw.get().starts_with('{') {
                let number = self.walk.records.len() + 1;
                let found = kind(raw.get());
                return Err(self.walk.stop(Problem::NotAnObject { number, found }));
            }
            if self.walk.records.len() == MOST_RECORDS {
                return Err(self.walk.stop(Problem::TooMany));
            }
            let range = self.walk.range(raw);
            self.walk.records.push(range);
        }
        Ok(())
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        let is_expected = self.node.leads && self.node.records != Records::ArrayOrIgnored;
        if is_expected && self.walk.seen == Seen::Nothing {
            self.walk.seen = Seen::Null;
        }
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        self.plain("true or false")
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        self.plain("a number")
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        self.plain("a number")
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        self.plain("a number")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<(), E> {
        self.plain("text")
    }
}

/// A key of an object, answered by the node it leads to.
struct Key<'p>(&'p [Node]);

impl<'de, 'p> DeserializeSeed<'de> for Key<'p> {
    type Value = Option<&'p Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<'p> Visitor<'_> for Key<'p> {
    type Value = Option<&'p Node>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().find(|node| node.name == key))
    }
}

fn scalar(raw: &RawValue) -> Result<Option<Scalar>, Problem> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text)
            .map(|text| Some(Scalar::Text(text)))
            .map_err(|error| damage(&error)),
        Some(b'{' | b'[') => Err(Problem::NotScalar),
        Some(b't') => Ok(Some(Scalar::Flag(true))),
        Some(b'f') => Ok(Some(Scalar::Flag(false))),
        Some(b'n') | None => Ok(None),
        Some(_) => Ok(Some(Scalar::Number(text.to_owned()))),
    }
}

pub(in crate::fetch) fn kind(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'"') => "text",
        Some(b'[') => "an array",
        Some(b'{') => "an object",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}
