//! A base URL that is known only after a login, because the authorization server names the host or
//! a part of the path.

use std::borrow::Cow;

use minijinja::Value as Context;
use url::{Host, Url};

use super::Connection;
use super::address::{check_http_url, is_clear_text, refuse_clear_text};
use crate::config::facts::{FactName, Facts};
use crate::config::reader::{Item, Table};
use crate::config::templates::Variables;
use crate::template::{self, Template};

/// What makes a base URL out of a login's facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseTemplate {
    /// The URL as written.
    pub template: Template,
    /// The domains that its host must be in, themselves included; any host if there are none.
    pub domains: Vec<String>,
}

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
    /// The fact names a host that is not known to be the provider's.
    #[error(
        "the authorization server says that the API is at `{host}`, which is in none of the domains \
         that `base_url_domains` allows ({})",
        .domains.join(", ")
    )]
    Elsewhere {
        /// The host.
        host: String,
        /// Where it may be.
        domains: Vec<String>,
    },
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

fn located(base: &BaseTemplate, facts: &Facts) -> Result<Url, BaseError> {
    let BaseTemplate { template, domains } = base;
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
    let host = url.host_str().unwrap_or_default();
    if !domains.is_empty() && !domains.iter().any(|domain| is_within(host, domain)) {
        return Err(BaseError::Elsewhere {
            host: host.to_owned(),
            domains: domains.clone(),
        });
    }
    Ok(url)
}

/// Returns true if `host` is `domain` or below it.
fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
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
pub(super) fn read(table: &Table<'_>, item: &Item<'_>, facts: &[FactName]) -> Option<BaseTemplate> {
    let template = Variables::of_base_url(facts).template(item)?;
    if has_plain_host(template.source()) {
        // What is written out can be judged before anybody signs in.
        let host = template.source().split('{').next().unwrap_or_default();
        let url = item.parsed("an absolute URL", |_| check_http_url(host))?;
        refuse_clear_text(item, &url);
    }
    let domains = table.get("base_url_domains");
    Some(BaseTemplate {
        template,
        domains: domains.map(|item| self::domains(&item)).unwrap_or_default(),
    })
}

/// Reports domains that confine nothing, because `base_url` is written out.
pub(super) fn refuse_domains(table: &Table<'_>) {
    if let Some(item) = table.own("base_url_domains") {
        let message = "`base_url_domains` is for a `base_url` that facts of a login make";
        let help = "remove it, or have the connection keep a fact and use it in `base_url`";
        table.contradiction(&item, message, help);
    }
}

/// Reports a base URL of facts where nobody says any, because there is no authorization server.
pub(super) fn refuse_without_login(item: &Item<'_>) {
    item.refuse(
        "`base_url` is made of what a token answer says, and none comes this way",
        "an absolute URL, such as \"https://api.example.com\"",
    );
}

fn domains(item: &Item<'_>) -> Vec<String> {
    let expected = "a domain, such as \"example.com\"";
    let domain = |item: Item<'_>| {
        item.parsed(expected, |text| match Host::parse(text) {
            Ok(host) if host.to_string() == text => Ok(text.to_owned()),
            Ok(host) => Err(format!("is written `{host}`")),
            Err(error) => Err(format!("is no domain: {error}")),
        })
    };
    let items = item.list("an array of domains").unwrap_or_default();
    items.into_iter().filter_map(domain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(template: &str, redirected: bool, value: &str) -> Result<String, BaseError> {
        made_within(&[], template, redirected, value)
    }

    fn made_within(
        domains: &[&str],
        template: &str,
        redirected: bool,
        value: &str,
    ) -> Result<String, BaseError> {
        let names = [FactName::parse("x").unwrap()];
        let find = |_: &FactName| Some(value.to_owned());
        let facts = match redirected {
            true => Facts::of_redirect(&names, find),
            false => Facts::of_answer(&names, find),
        };
        let base = BaseTemplate {
            template: Template::parse(template).unwrap(),
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        };
        located(&base, &facts).map(String::from)
    }

    #[test]
    fn a_host_is_confined_to_the_domains_that_were_said() {
        let within = |value: &str| {
            let domains = ["force.example", "127.0.0.1"];
            made_within(&domains, "{{ fact.x }}", false, value)
        };
        for inside in [
            "https://force.example/",
            "https://ACME.my.force.example/a",
            "http://127.0.0.1:9/",
        ] {
            assert!(within(inside).is_ok(), "{inside}");
        }
        for (outside, host) in [
            ("https://evilforce.example/", "evilforce.example"),
            (
                "https://force.example.evil.example/",
                "force.example.evil.example",
            ),
            ("https://evil.example/force.example", "evil.example"),
            ("https://evil.example/?.force.example", "evil.example"),
        ] {
            let told = within(outside).unwrap_err();
            assert!(
                matches!(&told, BaseError::Elsewhere { host: found, .. } if found == host),
                "{told}"
            );
        }
        let clear = within("http://acme.force.example/");
        assert!(matches!(clear, Err(BaseError::Unfit(_))), "{clear:?}");
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
