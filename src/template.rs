//! Text with `{{ variables }}` in it, as the configuration writes it.
//!
//! Checked when the configuration is loaded, rendered when a request is made. Undefined variables
//! are errors, nothing is escaped here: whoever renders knows what the text becomes (a query value,
//! a header, a body) and encodes it.
//!
//! Besides minijinja's own there are filters for what sources want to be asked with: `date`,
//! `epoch`, `epoch_ms` for moments, and `odata` for literals.

use std::collections::BTreeSet;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};
use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};

/// The most work one rendering may do, in minijinja's units (about one per instruction).
const FUEL: u64 = 50_000;

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
    pub range: Option<std::ops::Range<usize>>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// If the text is not a valid template.
    pub fn parse(source: &str) -> Result<Self, Error> {
        let environment = environment();
        let template = environment.template_from_str(source).map_err(error)?;
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
            .any(|variable| variable.split('.').next() == Some(name))
    }

    /// Returns the text with the variables of `context` filled in.
    ///
    /// # Errors
    /// If a variable is missing or a filter fails.
    pub fn render(&self, context: &minijinja::Value) -> Result<String, Error> {
        if self.variables.is_empty() && !self.source.contains("{%") && !self.source.contains("{{") {
            return Ok(self.source.clone());
        }
        environment()
            .render_str(&self.source, context.clone())
            .map_err(error)
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(formatted);
    environment.add_filter("date", date);
    environment.add_filter("epoch", |moment: &str| Ok(instant(moment)?.as_second()));
    environment.add_filter("epoch_ms", |moment: &str| {
        Ok(instant(moment)?.as_millisecond())
    });
    environment.add_filter("odata", odata);
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

fn word(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

/// `{{ bookmark | date('%Y%m%d') }}`, or `{{ now | date('%H:%M', 'Europe/Amsterdam') }}`.
///
/// A moment with a zone is shown in UTC unless another is named; one without is shown as it is.
fn date(moment: &str, format: &str, zone: Option<&str>) -> Result<String, minijinja::Error> {
    let Ok(instant) = moment.parse::<Timestamp>() else {
        let civil: DateTime = moment
            .parse()
            .map_err(|_| unfit(moment, "no date or time"))?;
        return strtime::format(format, civil).map_err(|_| unfit(format, "no format for it"));
    };
    let zone = match zone {
        Some(name) => TimeZone::get(name).map_err(|_| unfit(name, "no time zone"))?,
        None => TimeZone::UTC,
    };
    strtime::format(format, &instant.to_zoned(zone)).map_err(|_| unfit(format, "no format for it"))
}

fn instant(moment: &str) -> Result<Timestamp, minijinja::Error> {
    moment
        .parse()
        .map_err(|_| unfit(moment, "no moment with a zone"))
}

/// `{{ var.code | odata }}`: a literal as OData spells it, text in quotes and quotes doubled.
fn odata(value: &Value) -> String {
    match value.kind() {
        ValueKind::String => format!("'{}'", value.to_string().replace('\'', "''")),
        ValueKind::None => "null".to_owned(),
        ValueKind::Bool => word(value.is_true()).to_owned(),
        _ => value.to_string(),
    }
}

fn unfit(what: &str, is: &str) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, format!("`{what}` is {is}"))
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
    fn filters_spell_what_sources_ask_for() {
        let context = minijinja::context! {
            instant => "2026-03-29T00:30:00Z",
            civil => "2026-03-29T02:03:04.5",
            code => "O'Brien",
            number => 17,
            yes => true,
        };
        let cases = [
            ("{{ instant | date('%Y%m%d') }}", "20260329"),
            ("{{ instant | date('%H:%M', 'Europe/Amsterdam') }}", "01:30"),
            (
                "{{ civil | date('%Y-%m-%dT%H:%M:%S') }}",
                "2026-03-29T02:03:04",
            ),
            (
                "{{ instant | epoch }} {{ instant | epoch_ms }}",
                "1774744200 1774744200000",
            ),
            ("{{ code | odata }}", "'O''Brien'"),
            (
                "{{ number | odata }} {{ yes | odata }} {{ yes }}",
                "17 true true",
            ),
        ];
        for (source, text) in cases {
            assert_eq!(
                Template::parse(source).unwrap().render(&context).unwrap(),
                text
            );
        }
        for source in [
            "{{ civil | epoch }}",
            "{{ code | date('%Y') }}",
            "{{ instant | date('%Y', 'X/Y') }}",
        ] {
            assert!(
                Template::parse(source).unwrap().render(&context).is_err(),
                "{source}"
            );
        }
    }

    #[test]
    fn a_broken_template_is_refused() {
        assert!(Template::parse("{{ bookmark").is_err());
    }
}
