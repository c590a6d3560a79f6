//! Text with `{{ variables }}` in it, as the configuration writes it.
//!
//! Checked when the configuration is loaded, rendered when a request is made. Undefined variables
//! are errors, nothing is escaped here: whoever renders knows what the text becomes (a query value,
//! a header, a body) and encodes it.

use std::collections::BTreeSet;

use minijinja::{Environment, UndefinedBehavior};

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
    environment
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
    fn a_broken_template_is_refused() {
        assert!(Template::parse("{{ bookmark").is_err());
    }
}
