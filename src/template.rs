//! Text with `{{ variables }}` in it, as the configuration writes it.
//!
//! Checked when the configuration is loaded, rendered when a request is made. Undefined variables
//! are errors, nothing is escaped here: whoever renders knows what the text becomes (a query value,
//! a header, a body) and encodes it. Only in a URL must the parts that came from outside be told from
//! the text around them, so [`Template::render_url`] encodes each as it is filled in.
//!
//! Besides minijinja's own there are filters (`template/filters.rs`) that spell values as sources want them.

mod filters;
mod tags;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The most work one rendering may do, in minijinja's units (about one per instruction).
const FUEL: u64 = 50_000;
/// What would end the segment or the parameter where it stands, or mean something there. The rest is
/// left as OData writes it, quotes and colons too.
pub const ENDS_A_PART: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'$')
    .remove(b',')
    .remove(b':')
    .remove(b'@')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'!')
    .remove(b'\'');

/// A piece of configuration text that may contain variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    variables: BTreeSet<String>,
}

/// Why a template is wrong, or could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What is wrong, without the template's text.
    pub message: String,
    /// Where in the template's source, in bytes, if known.
    pub range: Option<Range<usize>>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// If the text is not a valid template.
    pub fn parse(source: &str) -> Result<Self, Error> {
        tags::check(source)?;
        let template = PLAIN.template_from_str(source).map_err(error)?;
        let variables = template.undeclared_variables(true).into_iter().collect();
        Ok(Self {
            source: source.to_owned(),
            variables,
        })
    }

    /// Returns the text as the configuration has it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the names this template needs, such as `bookmark` or `var.division`.
    #[must_use]
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// Returns true if this template needs `name`, or a part of it.
    #[must_use]
    pub fn uses(&self, name: &str) -> bool {
        self.variables
            .iter()
            .filter_map(|variable| variable.strip_prefix(name))
            .any(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// Returns true if this is text and nothing else, which comes out as it is written.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        !self.source.contains("{{") && !self.source.contains("{%") && !self.source.contains("{#")
    }

    /// Returns the text with the variables of `context` filled in.
    ///
    /// # Errors
    /// If a variable is missing or a filter fails.
    pub fn render(&self, context: &Value) -> Result<String, Error> {
        self.filled(context, &PLAIN)
    }

    /// Returns what goes into JSON: the value itself, number, list or whatever it is, of a template
    /// that is one `{{ … }}` and nothing else; the text of any other.
    ///
    /// # Errors
    /// If a variable is missing or a filter fails.
    pub fn render_json(&self, context: &Value) -> Result<serde_json::Value, Error> {
        let Some(expression) = tags::only(&self.source) else {
            return self.render(context).map(serde_json::Value::String);
        };
        let compiled = PLAIN.compile_expression(expression).map_err(error)?;
        let value = compiled.eval(context.clone()).map_err(error)?;
        if value.is_undefined() {
            return Err(error(ErrorKind::UndefinedError.into()));
        }
        serde_json::to_value(&value).map_err(|_| Error {
            message: "it gives something that JSON does not have".to_owned(),
            range: None,
        })
    }

    /// Returns the text of a URL with the variables of `context` filled in, each percent-encoded so
    /// that it stays within the segment of the path, or the parameter of the query, where it stands.
    /// What the filter `safe` has marked is filled in as it is.
    ///
    /// # Errors
    /// If a variable is missing, is itself a URL, or leads out of its place in the path; or if a
    /// filter fails.
    pub fn render_url(&self, context: &Value) -> Result<String, Error> {
        let text = self.filled(context, &FOR_URLS)?;
        let path = text.split(['?', '#']).next().unwrap_or_default();
        if !self.variables.is_empty() && path.split(['/', '\\']).any(is_dots) {
            return Err(Error {
                message: "a variable makes a segment of the path `.` or `..`".to_owned(),
                range: None,
            });
        }
        Ok(text)
    }

    fn filled(&self, context: &Value, environment: &Environment<'_>) -> Result<String, Error> {
        if self.is_constant() {
            return Ok(self.source.clone());
        }
        environment
            .render_str(&self.source, context.clone())
            .map_err(error)
    }
}

/// Returns true for a segment that means this directory or the one above (WHATWG URL, "single-dot"
/// and "double-dot" segments).
fn is_dots(segment: &str) -> bool {
    let segment = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(segment.as_str(), "." | "..")
}

/// Fills in values as they are.
static PLAIN: LazyLock<Environment<'static>> = LazyLock::new(|| environment(formatted));
/// Fills in values so that each stays within its part of a URL.
static FOR_URLS: LazyLock<Environment<'static>> = LazyLock::new(|| environment(formatted_for_url));

/// Writes one value of a template.
type Formatter = fn(
    &mut minijinja::Output<'_>,
    &mut minijinja::State<'_, '_>,
    &Value,
) -> Result<(), minijinja::Error>;

fn environment(formatter: Formatter) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(formatter);
    filters::add(&mut environment);
    environment
}

/// Writes a value as JSON and OData do: minijinja itself would write `True`.
fn formatted(
    out: &mut minijinja::Output<'_>,
    state: &mut minijinja::State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    match value.kind() {
        ValueKind::Bool => Ok(out.write_str(word(value.is_true()))?),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Writes a value so that it stays within its segment or parameter.
fn formatted_for_url(
    out: &mut minijinja::Output<'_>,
    state: &mut minijinja::State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    if value.is_safe() || value.kind() != ValueKind::String {
        return formatted(out, state, value);
    }
    let text = value.to_string();
    if text.contains("://") {
        let message = "a variable holds a whole URL; if that is meant, write `| safe` behind it";
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
    }
    Ok(write!(out, "{}", utf8_percent_encode(&text, &ENDS_A_PART))?)
}

fn word(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

fn error(error: minijinja::Error) -> Error {
    let message = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    Error {
        message,
        range: error.range(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_known_before_rendering_and_must_all_be_there() {
        let template = Template::parse("/v1/{{ var.division }}/x?{{ bookmark }}").unwrap();
        assert!(template.uses("bookmark") && template.uses("var") && !template.uses("division"));
        let context = minijinja::context! { var => minijinja::context! { division => 7 } };
        assert!(
            template
                .render(&context)
                .unwrap_err()
                .message
                .contains("undefined")
        );
        let context =
            minijinja::context! { var => minijinja::context! { division => 7 }, bookmark => "b" };
        assert_eq!(template.render(&context).unwrap(), "/v1/7/x?b");
    }

    #[test]
    fn a_lone_variable_keeps_its_type_in_json() {
        let context = minijinja::context! {
            number => 7, text => "7", yes => true, list => vec![1, 2], nothing => (),
        };
        let cases = [
            ("{{ number }}", "7"),
            (" {{- number * 2 -}} ", "14"),
            ("{{ text }}", r#""7""#),
            ("{{ text | int }}", "7"),
            ("{{ yes }}", "true"),
            ("{{ list }}", "[1,2]"),
            ("{{ nothing }}", "null"),
            ("{{ number }}{{ number }}", r#""77""#),
            ("x{{ number }}", r#""x7""#),
            ("{{ '}}' ~ number }}", r#""}}7""#),
            ("7", r#""7""#),
        ];
        for (source, json) in cases {
            let value = Template::parse(source).unwrap().render_json(&context);
            assert_eq!(value.unwrap().to_string(), json, "{source}");
        }
        for source in ["{{ other }}", "{{ other.part }}", "{{ text | epoch }}"] {
            let value = Template::parse(source).unwrap().render_json(&context);
            assert!(value.is_err(), "{source}");
        }
    }

    #[test]
    fn constant_text_is_known_from_a_template() {
        let is_constant = |source: &str| Template::parse(source).unwrap().is_constant();
        assert!(is_constant("") && is_constant("a { b } 100%"));
        assert!(!is_constant("{{ 1 }}") && !is_constant("{% if 1 %}{% endif %}"));
        let template = Template::parse("{{ page.cursor }}").unwrap();
        assert!(template.uses("page.cursor") && template.uses("page"));
        assert!(!template.uses("page.number") && !template.uses("pa"));
    }

    #[test]
    fn what_is_filled_into_a_url_stays_in_its_place() {
        let url = |source: &str, value: &str| {
            let context = minijinja::context! { v => value, n => 7, yes => true };
            let rendered = Template::parse(source).unwrap().render_url(&context);
            rendered.map_err(|error| error.message)
        };
        let cases = [
            ("/a/{{ v }}/b", "x/y?z#w", "/a/x%2Fy%3Fz%23w/b"),
            ("/a/{{ v }}/b", "..\\c", "/a/..%5Cc/b"),
            (
                "/a/{{ v }}/b",
                "%2F ü+;&=",
                "/a/%252F%20%C3%BC%2B%3B%26%3D/b",
            ),
            ("/Items(guid'{{ v }}')", "1-2:3", "/Items(guid'1-2:3')"),
            ("/Items({{ v | odata }})", "O'B", "/Items('O''B')"),
            (
                "/x?since={{ v }}&b=1",
                "2026-01-01T00:00:00+01:00",
                "/x?since=2026-01-01T00:00:00%2B01:00&b=1",
            ),
            ("/{{ n }}/{{ yes }}", "", "/7/true"),
            (
                "{{ v | safe }}/x",
                "https://a.example/b",
                "https://a.example/b/x",
            ),
            ("/a/../b", "", "/a/../b"),
            ("/a/{{ v }}", "...", "/a/..."),
        ];
        for (source, value, expected) in cases {
            assert_eq!(
                url(source, value).as_deref(),
                Ok(expected),
                "{source} {value}"
            );
        }
        for (source, value) in [
            ("/a/{{ v }}/b", ".."),
            ("/a/{{ v }}", "."),
            ("/a/.{{ v }}/b", "."),
            ("/a/{{ v }}?b", ".."),
            ("/a/{{ v | safe }}/b", "../../x"),
            ("/a/{{ v | safe }}/b", "%2E%2e"),
            ("{{ v }}/x", "https://a.example"),
        ] {
            assert!(url(source, value).is_err(), "{source} {value}");
        }
    }

    #[test]
    fn a_broken_template_is_refused() {
        assert!(Template::parse("{{ bookmark").is_err());
    }
}
