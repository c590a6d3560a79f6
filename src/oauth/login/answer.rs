//! What the browser brings back (RFC 6749 section 4.1.2).

use url::{Url, form_urlencoded};

use super::refusal::refusal;
use super::{Error, Pending, same};
use crate::config::{FactName, Facts};
use crate::oauth::discovery;
use crate::secret::{ExposeSecret, Secret};

/// The parameters that are read.
const PROTOCOL: [&str; 5] = ["code", "state", "iss", "error", "error_description"];
/// The shortest text that may be a code: none that we know is shorter, and a word is.
const SHORTEST_CODE: usize = 8;

/// What a person came back with.
#[derive(Debug)]
pub(in crate::oauth) struct Answer {
    /// The code.
    pub code: Secret,
    /// What stood beside it that the connection keeps.
    pub told: Facts,
}

impl Pending {
    /// Finds the code in the URL the person was sent back to.
    ///
    /// # Errors
    /// If there is none, or the URL answers another login or comes from another server.
    pub(in crate::oauth) fn answer(&self, redirected: &str) -> Result<Answer, Error> {
        let text = redirected.trim();
        let query = query(text).ok_or(Error::NoCode)?;
        if self.is_page_of_the_server(text, query) {
            return Err(Error::StillThere {
                redirect_uri: self.redirect_uri.clone(),
            });
        }
        let mut members: [Option<Secret>; 5] = [const { None }; 5];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some(at) = PROTOCOL.iter().position(|known| *known == name) else {
                continue;
            };
            // Said twice, it is not for us to choose.
            if members[at]
                .replace(Secret::from(value.into_owned()))
                .is_some()
            {
                return Err(Error::NoCode);
            }
        }
        let [code, state, iss, error, description] = members;
        let state = state.ok_or(Error::OtherState)?;
        if !same(state.expose_secret(), self.state.expose_secret()) {
            return Err(Error::OtherState);
        }
        self.check_server(iss.as_ref().map(ExposeSecret::expose_secret))?;
        if let Some(error) = error {
            let description = description.as_ref().map(ExposeSecret::expose_secret);
            return Err(refusal(&self.account, error.expose_secret(), description));
        }
        let code = code.filter(|code| !code.expose_secret().is_empty());
        let code = code.ok_or(Error::NoCode)?;
        let told = Facts::of_redirect(&self.facts, |name| parameter(query, name));
        Ok(Answer { code, told })
    }

    /// Takes `text` for a code copied out of an address bar, where it is percent-encoded.
    ///
    /// # Errors
    /// If it does not look like one, or the server promised to name itself beside it.
    pub(in crate::oauth) fn code_alone(&self, text: &str) -> Result<Answer, Error> {
        let text = text.trim();
        let is_code = text.len() >= SHORTEST_CODE
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !text.contains("://");
        if !is_code || self.server.names_itself {
            return Err(Error::NoCode);
        }
        // A `+` in a bare code is a plus sign; in a query it would be a space.
        let encoded = text.replace('+', "%2B");
        let mut pairs = form_urlencoded::parse(encoded.as_bytes());
        let (decoded, _) = pairs.next().ok_or(Error::NoCode)?;
        let code = if encoded.contains(['=', '&']) {
            text.to_owned()
        } else {
            decoded.into_owned()
        };
        Ok(Answer {
            code: Secret::from(code),
            told: Facts::default(),
        })
    }

    /// Compares the server's name for itself with the one that was asked, so that no code is
    /// handed to another server than its own (RFC 9207 section 2.4).
    fn check_server(&self, iss: Option<&str>) -> Result<(), Error> {
        let why = match (iss, &self.server.issuer) {
            (Some(iss), Some(issuer)) if !discovery::is_named(issuer, iss) => {
                "it names another `iss`"
            }
            (None, _) if self.server.names_itself => "it has no `iss`",
            _ => return Ok(()),
        };
        Err(Error::OtherServer {
            account: self.account.clone(),
            why,
        })
    }

    /// Returns true if the person copied the address of the page they are still at.
    fn is_page_of_the_server(&self, text: &str, query: &str) -> bool {
        let server = self.server.authorization.as_ref().map(Url::origin);
        let is_there = Url::parse(text).is_ok_and(|url| Some(url.origin()) == server);
        is_there && !is_answer(query)
    }
}

/// Returns the query of a URL, or of what is left of one when only its end was copied.
fn query(text: &str) -> Option<&str> {
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    match text.split_once('?') {
        Some((_, query)) => Some(query),
        None if text.contains("://") => Some(""),
        None => is_answer(text).then_some(text),
    }
}

/// Returns a parameter beside those of the protocol, unless it is said twice.
fn parameter(query: &str, name: &FactName) -> Option<String> {
    let mut said = form_urlencoded::parse(query.as_bytes())
        .filter(|(said, _)| !PROTOCOL.contains(&&**said) && said == name.as_str());
    let (_, value) = said.next()?;
    said.next().is_none().then(|| value.into_owned())
}

fn is_answer(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| pair.starts_with("code=") || pair.starts_with("error="))
}
