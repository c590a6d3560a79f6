//! Templates as the configuration writes them: their variables are known before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::{Serde, Value as Sample};
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::facts::{FactName, Facts};
use super::reader::{Item, listed, nearest, quoted};
use super::report::Problem;
use crate::template::Template;

/// Headers that are not the configuration's to set.
const RESERVED: [&str; 5] = [
    "authorization",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
];

/// What stands behind `each.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EachNames {
    /// Nothing: the request is not repeated.
    None,
    /// Whatever a query gives.
    Any,
    /// These.
    These(BTreeSet<String>),
}

/// What templates of a flow may mention that stands alone; the last only in a flow that reads
/// accounts.
const FLOW: [&str; 8] = [
    "bookmark",
    "now",
    "until",
    "page.number",
    "page.offset",
    "page.limit",
    "page.cursor",
    "account",
];

/// What templates of one place may mention.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variables<'v> {
    /// Names that stand alone.
    names: &'static [&'static str],
    /// What stands behind a name and a dot, such as `var.`, if anything may.
    vars: Option<(&'static str, &'v BTreeMap<String, Value>)>,
    /// What stands behind `fact.`; `None` if that is not known.
    facts: Option<&'v [FactName]>,
    /// What stands behind `each.`.
    each: &'v EachNames,
    /// Whether the header `Authorization` may be written.
    authorizes: bool,
}

impl<'v> Variables<'v> {
    /// What a connection's own templates may mention: they are rendered for every flow.
    pub(super) fn of_connection(facts: &'v [FactName]) -> Self {
        Self {
            names: &["now"],
            vars: None,
            facts: Some(facts),
            each: &EachNames::None,
            authorizes: false,
        }
    }

    /// What a base URL may mention: it is the same for all runs of a login.
    pub(super) fn of_base_url(facts: &'v [FactName]) -> Self {
        Self {
            names: &[],
            ..Self::of_connection(facts)
        }
    }

    /// What the request of a login may mention; `secrets` has their names.
    pub(super) fn of_login(secrets: &'v BTreeMap<String, Value>) -> Self {
        Self {
            names: &["now"],
            vars: Some(("secret", secrets)),
            facts: Some(&[]),
            each: &EachNames::None,
            authorizes: true,
        }
    }

    /// What the request may mention that gives a login longer life.
    pub(super) fn of_session(secrets: &'v BTreeMap<String, Value>) -> Self {
        Self {
            names: &["now", "token"],
            ..Self::of_login(secrets)
        }
    }

    /// What a flow's templates may mention; `facts` are its connection's, if that could be read.
    pub(super) fn of_flow(
        vars: &'v BTreeMap<String, Value>,
        facts: Option<&'v [FactName]>,
        has_accounts: bool,
        each: &'v EachNames,
    ) -> Self {
        Self {
            names: match FLOW.split_last() {
                Some((_, without)) if !has_accounts => without,
                _ => &FLOW,
            },
            vars: Some(("var", vars)),
            facts,
            each,
            authorizes: false,
        }
    }

    /// The same without what changes from run to run: for what stands in rows, which would differ
    /// each time.
    pub(super) fn lasting(self) -> Self {
        Self {
            names: match self.names.contains(&"account") {
                true => &["account"],
                false => &[],
            },
            ..self
        }
    }

    /// Reads a template.
    pub(super) fn template(&self, item: &Item<'_>) -> Option<Template> {
        self.template_of(item, item.text()?)
    }

    fn template_of(&self, item: &Item<'_>, text: &str) -> Option<Template> {
        let template = match Template::parse(text) {
            Ok(template) => template,
            Err(error) => {
                self.refuse(item, error);
                return None;
            }
        };
        let mut known = true;
        for variable in template.variables() {
            known &= self.knows(item, text, variable);
        }
        // Filters and tests are looked up only when they run, so the template is run once with
        // values that resemble the real ones; what else goes wrong with those says nothing.
        if known
            && let Err(error) = template.render(&self.sample(&template))
            && error.message.starts_with("unknown ")
        {
            self.refuse(item, error);
        }
        Some(template)
    }

    fn refuse(&self, item: &Item<'_>, error: crate::template::Error) {
        let at = error
            .range
            .map_or_else(|| item.at.clone(), |range| item.part(range));
        let message = format!("{}: `{}` is no valid template", item.what, item.key);
        item.findings
            .add(Problem::at(at, message).label(error.message));
    }

    /// Reports a variable that does not exist; true if it does.
    fn knows(&self, item: &Item<'_>, text: &str, variable: &str) -> bool {
        let (head, rest) = variable.split_once('.').unwrap_or((variable, ""));
        let var = rest.split('.').next().unwrap_or_default();
        let fine = match self.vars {
            Some((space, vars)) if head == space => var.is_empty() || vars.contains_key(var),
            _ if head == "fact" => self
                .facts
                .is_none_or(|facts| facts.iter().any(|fact| fact.as_str() == rest)),
            _ if head == "each" => match self.each {
                EachNames::None => false,
                EachNames::Any => true,
                EachNames::These(names) => var.is_empty() || names.contains(var),
            },
            _ => self.names.contains(&variable),
        };
        if !fine {
            let known = self.all();
            let near = nearest(variable, known.iter().map(String::as_str));
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if head == "account" && matches!(self.vars, Some(("var", _))) => {
                    "say whose records the flow reads: accounts = \"all\"".to_owned()
                }
                None if head == "each" && *self.each == EachNames::None => {
                    "say what the flow is repeated for: for_each = { sql = \"SELECT …\" }"
                        .to_owned()
                }
                None if head == "fact" => {
                    format!("have the connection keep it: facts = [\"{rest}\"]")
                }
                None if self.vars.is_some_and(|(space, _)| head == space) => {
                    format!("give it a value: {head}s = {{ {var} = … }}")
                }
                None => format!(
                    "known here are {}",
                    listed(known.iter().map(String::as_str))
                ),
            };
            let at = text
                .find(variable)
                .map_or(0..text.len(), |at| at..at + variable.len());
            let name = quoted(variable);
            let message = format!(
                "{}: `{}` uses {name}, which nothing sets",
                item.what, item.key
            );
            let problem = Problem::at(item.part(at), message).label("unknown variable");
            item.findings.add(problem.help(help).absence());
        }
        fine
    }

    fn all(&self) -> Vec<String> {
        let named = |(space, vars): (&str, &'v BTreeMap<String, Value>)| {
            let name = |name| format!("{space}.{name}");
            vars.keys().map(name).collect::<Vec<_>>()
        };
        let vars = self.vars.into_iter().flat_map(named);
        let each = match self.each {
            EachNames::These(names) => Some(names.iter().map(|name| format!("each.{name}"))),
            EachNames::None | EachNames::Any => None,
        };
        self.names
            .iter()
            .map(|name| (*name).to_owned())
            .chain(vars)
            .chain(each.into_iter().flatten())
            .chain(
                self.facts
                    .unwrap_or_default()
                    .iter()
                    .map(|fact| format!("fact.{fact}")),
            )
            .collect()
    }

    fn sample(&self, template: &Template) -> Sample {
        let names = [
            ("account", Sample::from("berlin")),
            ("bookmark", Sample::from("2026-01-01T00:00:00")),
            ("now", Sample::from("2026-01-01T00:00:00Z")),
            ("token", Sample::from("x")),
            ("until", Sample::from("2026-01-01T00:00:00Z")),
            ("page", page()),
        ];
        let each = template
            .variables()
            .iter()
            .filter_map(|variable| variable.strip_prefix("each."))
            .map(|name| (name.to_owned(), Sample::from("1")));
        let each = ("each", Sample::from_pairs(each));
        let vars = self.vars.map(|(space, vars)| (space, Serde(vars).into()));
        let facts = Facts::of_answer(self.facts.unwrap_or_default(), |_| Some("x".to_owned()));
        let facts = ("fact", facts.context());
        Sample::from_pairs(names.into_iter().chain(vars).chain([facts, each]))
    }

    /// Reads query parameters or form fields, in the order written; numbers and booleans count as
    /// their text.
    pub(super) fn pairs(&self, item: &Item<'_>) -> Option<Vec<(String, Template)>> {
        let pair = |item: Item<'_>| {
            item.hide_if_secret();
            let template = match item.value {
                // An empty value is a value.
                toml::de::DeValue::String(text) => self.template_of(&item, text)?,
                _ => self.template_of(&item, &plain(&item)?)?,
            };
            Some((item.key.to_owned(), template))
        };
        Some(item.map()?.into_iter().filter_map(pair).collect())
    }

    /// Reads headers.
    pub(super) fn headers(&self, item: &Item<'_>) -> Option<Vec<(String, Template)>> {
        Some(
            item.map()?
                .iter()
                .filter_map(|item| self.header(item))
                .collect(),
        )
    }

    fn header(&self, item: &Item<'_>) -> Option<(String, Template)> {
        item.hide_if_secret();
        let name = item.key.to_lowercase();
        if HeaderName::from_bytes(item.key.as_bytes()).is_err() {
            let message = format!("{}: {} is no header name", item.what, quoted(item.key));
            item.findings.add(Problem::at(item.key_at.clone(), message));
        }
        let is_ours = name == "authorization" && self.authorizes;
        if RESERVED.contains(&name.as_str()) && !is_ours {
            item.findings.hide(item.at.clone());
            let message = format!(
                "{}: the header `{}` is not yours to set",
                item.what, item.key
            );
            let help = match name.as_str() {
                "authorization" => "write `token = { env = … }` in the connection instead",
                _ => "remove it; the HTTP client sets it",
            };
            item.findings
                .add(Problem::at(item.key_at.clone(), message).help(help));
            return None;
        }
        if HeaderValue::from_str(item.text()?).is_err() {
            item.refuse(
                format!("`{}` holds what no header may", item.key),
                "one line of text",
            );
            return None;
        }
        Some((item.key.to_owned(), self.template(item)?))
    }

    /// Reads a JSON value whose strings are templates.
    pub(super) fn json(&self, item: &Item<'_>) -> Option<Value> {
        let json = item.json()?;
        self.check_strings(item);
        Some(json)
    }

    fn check_strings(&self, item: &Item<'_>) {
        item.hide_if_secret();
        let inner = match item.value {
            toml::de::DeValue::String(text) => {
                self.template_of(item, text);
                None
            }
            toml::de::DeValue::Array(_) => item.list(""),
            toml::de::DeValue::Table(_) => item.map(),
            _ => None,
        };
        inner
            .into_iter()
            .flatten()
            .for_each(|item| self.check_strings(&item));
    }
}

/// Returns what `page` may look like.
fn page() -> Sample {
    let counts = ["number", "offset", "limit"].map(|name| (name, Sample::from(1)));
    Sample::from_pairs(counts.into_iter().chain([("cursor", Sample::from("x"))]))
}

/// Returns a number or a boolean as its text.
fn plain(item: &Item<'_>) -> Option<String> {
    match item.json()? {
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
        _ => item.wrong_type("text, a number, or true or false"),
    }
}
