//! OData metadata (CSDL in XML), versions 2, 3 and 4.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{Candidate, Document, Field, Offer, Paging, Problem, changes};

/// How deep elements may stand in each other; metadata has seven levels.
const DEEPEST: usize = 64;
/// How many types may inherit from each other; a longer chain is a circle.
const MOST_PARENTS: usize = 32;

/// A type of entities.
#[derive(Debug, Default)]
struct Entity {
    base: Option<String>,
    key: Vec<String>,
    properties: Vec<(String, String)>,
}

/// What was read so far.
#[derive(Default)]
struct Model {
    version: Option<String>,
    service: Option<String>,
    namespace: String,
    /// The short names of namespaces.
    aliases: HashMap<String, String>,
    types: HashMap<String, Entity>,
    /// The type whose element is open.
    open: Option<String>,
    /// The sets with the names of their types.
    sets: Vec<(String, String)>,
}

/// Reads metadata.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read(text: &str) -> Result<Document, Problem> {
    let mut reader = Reader::from_str(text);
    let mut model = Model::default();
    let mut depth = 0_usize;
    loop {
        let event = reader.read_event();
        match event.map_err(|error| Problem::Xml(error.to_string()))? {
            Event::Eof => break,
            Event::DocType(_) => return Err(Problem::DocumentType),
            Event::Start(element) => {
                depth += 1;
                if depth > DEEPEST {
                    return Err(Problem::TooDeep(DEEPEST));
                }
                model.enter(&element)?;
            }
            Event::Empty(element) => {
                model.enter(&element)?;
                model.leave(element.local_name().as_ref());
            }
            Event::End(element) => {
                depth = depth.saturating_sub(1);
                model.leave(element.local_name().as_ref());
            }
            // Only attributes count.
            Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::GeneralRef(_) => {}
        }
    }
    if depth > 0 {
        return Err(Problem::Xml("it breaks off in the middle".to_owned()));
    }
    if model.version.is_none() {
        return Err(Problem::Unknown(super::beginning(text)));
    }
    Ok(model.document())
}

impl Model {
    fn enter(&mut self, element: &BytesStart<'_>) -> Result<(), Problem> {
        let value = |name: &str| attribute(element, name);
        match element.local_name().as_ref() {
            "Edmx" => self.version = value("Version")?,
            "DataServices" => self.service = value("DataServiceVersion")?,
            "Schema" => {
                self.namespace = value("Namespace")?.unwrap_or_default();
                if let Some(alias) = value("Alias")? {
                    self.aliases.insert(alias, self.namespace.clone());
                }
            }
            "EntityType" => {
                let name = value("Name")?.unwrap_or_default();
                let name = format!("{}.{name}", self.namespace);
                let entity = Entity {
                    base: value("BaseType")?,
                    ..Entity::default()
                };
                self.types.insert(name.clone(), entity);
                self.open = Some(name);
            }
            "PropertyRef" => {
                if let (Some(entity), Some(name)) = (self.entity(), value("Name")?) {
                    entity.key.push(name);
                }
            }
            "Property" => {
                let (name, kind) = (value("Name")?, value("Type")?);
                if let (Some(entity), Some(name), Some(kind)) = (self.entity(), name, kind) {
                    entity.properties.push((name, kind));
                }
            }
            "EntitySet" => {
                if let (Some(name), Some(of)) = (value("Name")?, value("EntityType")?) {
                    self.sets.push((name, of));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn leave(&mut self, element: &str) {
        if element == "EntityType" {
            self.open = None;
        }
    }

    fn entity(&mut self) -> Option<&mut Entity> {
        self.types.get_mut(self.open.as_ref()?)
    }

    /// Returns the type of that name, which may begin with a short name of its namespace.
    fn named(&self, name: &str) -> Option<&Entity> {
        self.types.get(name).or_else(|| {
            let (alias, rest) = name.rsplit_once('.')?;
            self.types
                .get(&format!("{}.{rest}", self.aliases.get(alias)?))
        })
    }

    /// Returns a type's line of ancestors, itself last.
    fn line(&self, name: &str) -> Vec<&Entity> {
        let mut line: Vec<&Entity> = Vec::new();
        let mut next = self.named(name);
        while let Some(entity) = next.filter(|_| line.len() < MOST_PARENTS) {
            line.insert(0, entity);
            next = entity.base.as_ref().and_then(|base| self.named(base));
        }
        line
    }

    fn document(&self) -> Document {
        let is_newest = self
            .version
            .as_ref()
            .is_some_and(|version| version.starts_with('4'));
        let version = match is_newest {
            true => self.version.clone(),
            false => self.service.clone().filter(|service| service != "1.0"),
        };
        let dialect = if is_newest {
            Dialect::Four
        } else {
            Dialect::Two
        };
        Document {
            format: format!("OData {}", version.as_deref().unwrap_or("2.0")),
            server: None,
            offers: self
                .sets
                .iter()
                .map(|(name, of)| self.offer(name, &self.line(of), dialect))
                .collect(),
        }
    }

    fn offer(&self, name: &str, line: &[&Entity], dialect: Dialect) -> Offer {
        let properties = line.iter().flat_map(|entity| &entity.properties);
        let properties: Vec<&(String, String)> = properties
            .filter(|(_, kind)| kind != "Edm.Stream")
            .collect();
        let mut cursors: Vec<(usize, Candidate)> = properties
            .iter()
            .filter_map(|(name, kind)| {
                let candidate = Candidate {
                    field: name.clone(),
                    filter: Some(dialect.filter(name, kind)?),
                    parameter: None,
                };
                Some((changes(name)?, candidate))
            })
            .collect();
        cursors.sort_by_key(|(place, _)| *place);
        let columns = properties.iter().map(|(name, kind)| Field {
            name: name.clone(),
            kind: self.kind(kind),
        });
        Offer {
            name: name.to_owned(),
            path: format!("/{name}"),
            key: line.iter().flat_map(|entity| entity.key.clone()).collect(),
            columns: columns.collect(),
            cursors: cursors
                .into_iter()
                .map(|(_, candidate)| candidate)
                .collect(),
            paging: Paging::Odata,
            selects: true,
            ..Offer::default()
        }
    }

    /// Returns the kind of column a type becomes. Texts, and numbers that programs round, are learnt.
    fn kind(&self, name: &str) -> Option<&'static str> {
        match name {
            "Edm.Byte" | "Edm.SByte" | "Edm.Int16" | "Edm.Int32" | "Edm.Int64" => Some("integer"),
            "Edm.Decimal" => Some("decimal"),
            "Edm.Boolean" => Some("boolean"),
            "Edm.DateTime" | "Edm.DateTimeOffset" => Some("timestamp"),
            "Edm.Date" => Some("date"),
            "Edm.Guid" => Some("guid"),
            other if other.starts_with("Collection(") => Some("json"),
            // An enumeration is a word, a complex type an object: its values tell which.
            _ => None,
        }
    }
}

/// How literals are written.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    /// As in versions 2 and 3.
    Two,
    /// As in version 4.
    Four,
}

impl Dialect {
    /// Returns the filter for what changed, if values of this type have an order we can ask for.
    fn filter(self, field: &str, kind: &str) -> Option<String> {
        let literal = match (self, kind) {
            (Self::Two, "Edm.DateTime") => "datetime'{{ bookmark }}'",
            (Self::Two, "Edm.DateTimeOffset") => "datetimeoffset'{{ bookmark }}'",
            (Self::Two, "Edm.Int64") => "{{ bookmark }}L",
            (_, "Edm.Int32" | "Edm.Int64") | (Self::Four, "Edm.DateTimeOffset" | "Edm.Date") => {
                "{{ bookmark }}"
            }
            _ => return None,
        };
        Some(format!("{field} ge {literal}"))
    }
}

/// Returns an attribute, whatever its namespace. Only the five entities of XML itself are known.
fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, Problem> {
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| Problem::Xml(error.to_string()))?;
        if attribute.key.local_name().as_ref() == name {
            let value = quick_xml::escape::unescape(&attribute.value);
            let value = value.map_err(|error| Problem::Xml(error.to_string()))?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}
