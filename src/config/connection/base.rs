//! A base URL that is known only after a login, because the authorization server names the host or
//! a part of the path.

use std::borrow::Cow;

use minijinja::Value as Context;
use url::Url;

use super::Connection;
use super::address::{check_http_url, is_clear_text, refuse_clear_text};
use crate::config::facts::{FactName, Facts};
use crate::config::reader::Item;
use crate::config::templates::Variables;
use crate::template::{self, Template};

/// Why a base URL cannot be made of facts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// A fact is not known.
    #[error("the authorization server has not said `{0}`")]
    NoFact(String),
    /// The fact would choose the host, and only a redirect has said it.
    #[error(
        "`{0}` came with the redirect, where anybody could have written it, and may not choose \
         the host that gets the access token"
    )]
    Redirected(String),
    /// The template failed.
    #[error(transparent)]
    Template(#[from] template::Error),
    /// What came out may not be asked.
    #[error("what the facts make of it {0}")]
    Unfit(String),
}

impl Connection {
    /// Returns the connection with the base URL that `facts` make, if it needs any for that.
    ///
    /// # Errors
    /// If a fact is missing, may not choose a host, or makes a URL that nobody should ask.
    pub fn located(&self, facts: &Facts) -> Result<Cow<'_, Self>, BaseError> {
        let Some(template) = &self.base_url_template else {
            return Ok(Cow::Borrowed(self));
        };
        Ok(Cow::Owned(Self {
            base_url: Some(located(template, facts)?),
            ..self.clone()
        }))
    }
}

fn located(template: &Template, facts: &Facts) -> Result<Url, BaseError> {
    if let Some(name) = facts.missing(template) {
        return Err(BaseError::NoFact(name));
    }
    let context = Context::from_pairs([("fact", facts.context())]);
    let text = if has_plain_host(template.source()) {
        template.render_url(&context)?
    } else {
        if let Some(name) = facts.unvouched(template) {
            return Err(BaseError::Redirected(name));
        }
        template.render(&context)?
    };
    let url = check_http_url(&text).map_err(BaseError::Unfit)?;
    if is_clear_text(&url) {
        let why = "would send secrets unencrypted; it must be https";
        return Err(BaseError::Unfit(why.to_owned()));
    }
    Ok(url)
}

/// Returns true if the host is written out, so that no variable can choose it.
fn has_plain_host(template: &str) -> bool {
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| template.strip_prefix(scheme));
    rest.and_then(|rest| rest.split_once('/'))
        .is_some_and(|(host, _)| !host.contains('{'))
}

/// Reads a `base_url` that uses facts.
pub(super) fn read(item: &Item<'_>, facts: &[FactName]) -> Option<Template> {
    let template = Variables::of_base_url(facts).template(item)?;
    if has_plain_host(template.source()) {
        // What is written out can be judged before anybody signs in.
        let host = template.source().split('{').next().unwrap_or_default();
        let url = item.parsed("an absolute URL", |_| check_http_url(host))?;
        refuse_clear_text(item, &url);
    }
    Some(template)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(template: &str, redirected: bool, value: &str) -> Result<String, BaseError> {
        let names = [FactName::parse("x").unwrap()];
        let find = |_: &FactName| Some(value.to_owned());
        let facts = match redirected {
            true => Facts::of_redirect(&names, find),
            false => Facts::of_answer(&names, find),
        };
        located(&Template::parse(template).unwrap(), &facts).map(String::from)
    }

    #[test]
    fn only_the_token_endpoint_chooses_a_host() {
        let from_answer = [
            (
                "{{ fact.x }}/v1",
                "https://eu1.example",
                "https://eu1.example/v1",
            ),
            (
                "https://{{ fact.x }}.api.example/v1",
                "eu1",
                "https://eu1.api.example/v1",
            ),
            (
                "{{ fact.x }}",
                "http://127.0.0.1:9/a",
                "http://127.0.0.1:9/a",
            ),
        ];
        for (template, value, expected) in from_answer {
            assert_eq!(made(template, false, value).as_deref(), Ok(expected));
            let refused = made(template, true, value);
            assert_eq!(refused, Err(BaseError::Redirected("x".to_owned())));
        }
        // A path is not a host, and a value stays within its segment.
        let path = "https://api.example/company/{{ fact.x }}";
        for redirected in [true, false] {
            let made = made(path, redirected, "7/../8@evil.example");
            let expected = "https://api.example/company/7%2F..%2F8@evil.example";
            assert_eq!(made.as_deref(), Ok(expected));
        }
        for (template, value) in [
            ("{{ fact.x }}", "http://eu1.example"),
            ("{{ fact.x }}", "https://user:word@eu1.example"),
            ("{{ fact.x }}", "eu1.example"),
            ("{{ fact.x }}", "javascript:alert(1)"),
        ] {
            assert!(
                matches!(made(template, false, value), Err(BaseError::Unfit(_))),
                "{value}"
            );
        }
        assert!(made(path, true, "..").is_err());
        let unknown = made("{{ fact.y }}", false, "1");
        assert_eq!(unknown, Err(BaseError::NoFact("y".to_owned())));
    }
}
