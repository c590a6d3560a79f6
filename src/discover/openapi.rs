//! OpenAPI 3 and Swagger 2 documents, in JSON.

mod paging;

use serde_json::{Map, Value};

use super::{Candidate, Document, Field, Offer, Problem, changes, plain};

/// How many references may lead to each other; more are a circle.
const MOST_STEPS: usize = 32;
/// Names of the member that holds the records, the surest first.
const ENVELOPES: [&str; 8] = [
    "data", "items", "results", "records", "value", "values", "entries", "list",
];
/// Names of parameters that take a bookmark, without `_` and in small letters.
const SINCE: [&str; 14] = [
    "since",
    "updatedsince",
    "updatedafter",
    "updatedatmin",
    "updatedfrom",
    "modifiedsince",
    "modifiedafter",
    "modifiedfrom",
    "changedsince",
    "lastmodified",
    "lastmodifiedafter",
    "lastupdatedafter",
    "updatedgte",
    "fromdate",
];

/// Reads a document.
///
/// # Errors
/// If it cannot be read, or is another kind of JSON.
pub(super) fn read(text: &str) -> Result<Document, Problem> {
    let root: Value =
        serde_json::from_str(text).map_err(|error| Problem::Json(error.to_string()))?;
    let format = match (text_of(&root, "openapi"), text_of(&root, "swagger")) {
        (Some(version), _) => format!("OpenAPI {version}"),
        (None, Some(version)) => format!("Swagger {version}"),
        (None, None) => return Err(Problem::Unknown(super::beginning(text))),
    };
    let spec = Spec { root: &root };
    let paths = root.get("paths").and_then(Value::as_object);
    let offers = paths
        .into_iter()
        .flatten()
        .filter_map(|(path, item)| spec.offer(path, spec.seen(item)?));
    Ok(Document {
        format,
        server: spec.server(),
        offers: offers.collect(),
    })
}

/// A whole document.
struct Spec<'a> {
    root: &'a Value,
}

/// A parameter of the query or the path.
struct Parameter<'a> {
    name: &'a str,
    is_query: bool,
    is_required: bool,
    schema: &'a Value,
}

impl<'a> Spec<'a> {
    /// Follows references within the document.
    fn seen(&self, mut value: &'a Value) -> Option<&'a Value> {
        for _ in 0..MOST_STEPS {
            let Some(reference) = text_of(value, "$ref") else {
                return Some(value);
            };
            value = self.root.pointer(reference.strip_prefix('#')?)?;
        }
        None
    }

    fn server(&self) -> Option<String> {
        if let Some(url) = self.root.pointer("/servers/0/url").and_then(Value::as_str) {
            return (!url.contains('{')).then(|| url.to_owned());
        }
        let base = text_of(self.root, "basePath").unwrap_or_default();
        let scheme = self.root.pointer("/schemes/0").and_then(Value::as_str);
        match text_of(self.root, "host") {
            Some(host) => Some(format!("{}://{host}{base}", scheme.unwrap_or("https"))),
            None => (!base.is_empty()).then(|| base.to_owned()),
        }
    }

    /// Returns what can be read at a path, if its answer is a list.
    fn offer(&self, path: &str, item: &'a Value) -> Option<Offer> {
        let operation = item.get("get")?;
        let answer = self.answer(operation)?;
        let schema = self.seen(schema_of(answer)?)?;
        let (records, record) = self.list(schema)?;
        let record = self.fields(record);
        let parameters = self.parameters(item, operation);
        let query = || parameters.iter().filter(|parameter| parameter.is_query);
        let paging = paging::of(self, answer, schema, &query().collect::<Vec<_>>());
        let taken = paging::parameters(&paging);
        let required = query()
            .filter(|parameter| parameter.is_required && !taken.contains(&parameter.name))
            .map(|parameter| parameter.name.to_owned())
            .collect();
        let since = query().find(|parameter| SINCE.contains(&plain(parameter.name).as_str()));
        let columns: Vec<Field> = record
            .iter()
            .map(|(name, schema)| Field {
                name: (*name).to_owned(),
                kind: self.kind(schema),
            })
            .collect();
        Some(Offer {
            name: name(path, operation),
            path: path.to_owned(),
            key: key(&columns),
            cursors: cursors(&columns, since.map(|parameter| parameter.name)),
            columns,
            paging,
            records,
            selects: false,
            required,
        })
    }

    /// Returns the answer of an operation that goes well.
    fn answer(&self, operation: &'a Value) -> Option<&'a Value> {
        let answers = operation.get("responses")?.as_object()?;
        let good = answers.iter().find(|(status, _)| status.starts_with('2'));
        let (_, answer) =
            good.or_else(|| answers.iter().find(|(status, _)| *status == "default"))?;
        self.seen(answer)
    }

    /// Returns where the list in a body is, and what its records are like.
    fn list(&self, schema: &'a Value) -> Option<(Option<String>, &'a Value)> {
        if let Some(items) = schema.get("items") {
            return Some((None, self.seen(items)?));
        }
        let members = self.fields(schema);
        let lists: Vec<(&str, &Value)> = members
            .iter()
            .filter_map(|(name, schema)| {
                let items = self.seen(self.seen(schema)?.get("items")?)?;
                (!self.fields(items).is_empty()).then_some((*name, items))
            })
            .collect();
        let known = ENVELOPES
            .iter()
            .find_map(|envelope| lists.iter().find(|(name, _)| name == envelope));
        let (name, items) = match (known, lists.as_slice()) {
            (Some(list), _) | (None, [list]) => *list,
            (None, _) => return None,
        };
        let name = crate::record::FieldPath::of([name]);
        Some((Some(format!("$.{name}[*]")), items))
    }

    /// Returns the fields of an object, those of the schemas it is composed of included.
    fn fields(&self, schema: &'a Value) -> Vec<(&'a str, &'a Value)> {
        let mut fields = Vec::new();
        self.gather(schema, MOST_STEPS, &mut fields);
        fields
    }

    fn gather(&self, schema: &'a Value, steps: usize, fields: &mut Vec<(&'a str, &'a Value)>) {
        let Some(schema) = self.seen(schema).filter(|_| steps > 0) else {
            return;
        };
        let parts = schema.get("allOf").and_then(Value::as_array);
        for part in parts.into_iter().flatten() {
            self.gather(part, steps - 1, fields);
        }
        let own = schema.get("properties").and_then(Value::as_object);
        for (name, schema) in own.into_iter().flatten() {
            if !fields.iter().any(|(other, _)| other == name) {
                fields.push((name, schema));
            }
        }
    }

    /// Returns the parameters of a path and of its operation.
    fn parameters(&self, item: &'a Value, operation: &'a Value) -> Vec<Parameter<'a>> {
        let of = |value: &'a Value| value.get("parameters").and_then(Value::as_array);
        let all = of(operation).into_iter().chain(of(item)).flatten();
        let all = all.filter_map(|parameter| {
            let parameter = self.seen(parameter)?;
            Some(Parameter {
                name: text_of(parameter, "name")?,
                is_query: text_of(parameter, "in") == Some("query"),
                is_required: parameter.get("required") == Some(&Value::Bool(true)),
                // Swagger 2 writes the type beside the name.
                schema: self.seen(parameter.get("schema").unwrap_or(parameter))?,
            })
        });
        all.collect()
    }

    /// Returns the kind of column a schema becomes. Texts, and numbers that may have a fraction, are
    /// learnt.
    fn kind(&self, schema: &'a Value) -> Option<&'static str> {
        let schema = self.seen(schema)?;
        let word = match schema.get("type") {
            Some(Value::Array(words)) => {
                let mut words = words.iter().filter_map(Value::as_str);
                let first = words.find(|word| *word != "null")?;
                // Of two types only the values tell.
                words.all(|word| word == "null").then_some(first)
            }
            word => word.and_then(Value::as_str),
        };
        match (word, text_of(schema, "format")) {
            (Some("integer"), _) => Some("integer"),
            (Some("boolean"), _) => Some("boolean"),
            (Some("object" | "array"), _) => Some("json"),
            (Some("string"), Some("date-time")) => Some("timestamp"),
            (Some("string"), Some("date")) => Some("date"),
            (Some("string"), Some("uuid")) => Some("guid"),
            _ => None,
        }
    }
}

/// Returns the name of an operation: the last word of its path that is none to be filled in.
fn name(path: &str, operation: &Value) -> String {
    let words = path.split('/');
    let mut words = words.filter(|word| !word.is_empty() && !word.contains('{'));
    let last = words
        .next_back()
        .or_else(|| text_of(operation, "operationId"));
    last.unwrap_or("list").to_owned()
}

/// Returns the field that tells records apart, if one is called so.
fn key(columns: &[Field]) -> Vec<String> {
    const NAMES: [&str; 6] = ["id", "uuid", "guid", "uid", "gid", "key"];
    let named = |wanted: &&str| {
        columns
            .iter()
            .find(|column| plain(&column.name) == **wanted)
    };
    let found = NAMES.iter().find_map(named);
    found
        .map(|column| column.name.clone())
        .into_iter()
        .collect()
}

fn cursors(columns: &[Field], parameter: Option<&str>) -> Vec<Candidate> {
    let in_order = |column: &&Field| matches!(column.kind, Some("timestamp" | "integer" | "date"));
    let mut found: Vec<(usize, Candidate)> = columns
        .iter()
        .filter(in_order)
        .filter_map(|column| {
            let candidate = Candidate {
                field: column.name.clone(),
                filter: None,
                parameter: parameter.map(str::to_owned),
            };
            Some((changes(&column.name)?, candidate))
        })
        .collect();
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Returns the schema of an answer's JSON.
fn schema_of(answer: &Value) -> Option<&Value> {
    if let Some(schema) = answer.get("schema") {
        return Some(schema); // Swagger 2
    }
    let content: &Map<String, Value> = answer.get("content")?.as_object()?;
    let (_, media) = content.iter().find(|(media, _)| media.contains("json"))?;
    media.get("schema")
}

fn text_of<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str()
}
