//! What lets a request in, and where it stands in one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use url::Url;
use zeroize::Zeroizing;

use super::{Error, Request};
use crate::secret::{ExposeSecret, Redactor, Secret};

/// All but the unreserved characters (RFC 3986 section 2.3), which every server reads as they are.
const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A credential as requests carry it: in a header or in the query.
///
/// It knows every spelling in which it goes out, so that a source which repeats it cannot make us
/// show it: see [`Authorization::redactor`].
#[derive(Debug, Clone)]
pub struct Authorization {
    place: Place,
    redactor: Redactor,
}

#[derive(Debug, Clone)]
enum Place {
    /// A header and its whole value, scheme word included.
    Header(HeaderName, Secret),
    Query(Parameter),
}

/// A credential in the query. It is kept apart from the URL until the request is on its way, so
/// that whoever shows, logs or compares the URL does not meet it.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    name: String,
    /// As it stands in a query.
    encoded: Secret,
}

impl Authorization {
    /// Makes `Authorization: Bearer …` (RFC 6750 section 2.1).
    #[must_use]
    pub fn bearer(token: &Secret) -> Self {
        Self::header(AUTHORIZATION, Some("Bearer"), token)
    }

    /// Makes `Authorization: Basic …` (RFC 7617 section 2).
    ///
    /// The user is not shown either: many sources want their key there and nothing as the password.
    #[must_use]
    pub fn basic(user: &str, password: &Secret) -> Self {
        let pair = Zeroizing::new(format!("{user}:{}", password.expose_secret()));
        let encoded = Secret::from(BASE64.encode(pair.as_bytes()));
        let mut basic = Self::header(AUTHORIZATION, Some("Basic"), &encoded);
        basic.redactor = Redactor::new([encoded, Secret::from(user), password.clone()]);
        basic
    }

    /// Makes a header of any name, its value after a scheme word if there is one.
    #[must_use]
    pub fn header(name: HeaderName, scheme: Option<&str>, secret: &Secret) -> Self {
        let value = match scheme {
            Some(scheme) => Secret::from(format!("{scheme} {}", secret.expose_secret())),
            None => secret.clone(),
        };
        Self {
            place: Place::Header(name, value),
            redactor: Redactor::new([secret.clone()]),
        }
    }

    /// Makes a parameter of the query.
    #[must_use]
    pub fn query(name: &str, secret: &Secret) -> Self {
        let encoded =
            Secret::from(utf8_percent_encode(secret.expose_secret(), &RESERVED).to_string());
        let redactor = Redactor::new([secret.clone(), encoded.clone()]);
        let name = name.to_owned();
        Self {
            place: Place::Query(Parameter { name, encoded }),
            redactor,
        }
    }

    /// Returns what takes this credential out of words that are to be shown.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Says where the credential stands in a request.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.place {
            Place::Header(name, _) => format!("header `{name}`"),
            Place::Query(parameter) => format!("query parameter `{}`", parameter.name),
        }
    }

    /// Takes the credential out of a URL that came from outside: a next link often repeats the
    /// parameters of the request, and the credential's own is put in again when it is sent.
    pub fn strip(&self, url: &mut Url) {
        if let Place::Query(parameter) = &self.place {
            parameter.strip(url);
        }
    }

    pub(super) fn apply(&self, request: &mut Request) -> Result<(), Error> {
        match &self.place {
            Place::Header(name, value) => {
                let mut value = HeaderValue::from_str(value.expose_secret())
                    .map_err(|_| Error::BadCredential)?;
                value.set_sensitive(true);
                request.headers.insert(name.clone(), value);
            }
            Place::Query(parameter) => {
                parameter.strip(&mut request.url);
                request.credential = Some(parameter.clone());
            }
        }
        Ok(())
    }
}

impl Parameter {
    /// Returns `url` with the credential in it. For the wire and nothing else.
    pub(super) fn put_into(&self, mut url: Url) -> Url {
        let own = [
            &utf8_percent_encode(&self.name, &RESERVED).to_string(),
            "=",
            self.encoded.expose_secret(),
        ]
        .concat();
        let query = match url.query() {
            Some(others) if !others.is_empty() => [others, "&", &own].concat(),
            _ => own,
        };
        url.set_query(Some(&Zeroizing::new(query)));
        url
    }

    /// Removes parameters of the credential's name; the others stay byte for byte.
    fn strip(&self, url: &mut Url) {
        let is_own = |part: &&str| {
            let named = url::form_urlencoded::parse(part.as_bytes()).next();
            named.is_some_and(|(name, _)| name == self.name)
        };
        let Some(query) = url.query() else { return };
        if !query.split('&').any(|part| is_own(&part)) {
            return;
        }
        let others: Vec<&str> = query.split('&').filter(|part| !is_own(part)).collect();
        let others = others.join("&");
        url.set_query((!others.is_empty()).then_some(&others));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    fn authorized(with: &Authorization, url: &str) -> Result<Request, Error> {
        let url: Url = url.parse().unwrap();
        let allowed = [url.origin()];
        let mut request = Request::new(Method::GET, url);
        request.authorize(with, &allowed).map(|()| request)
    }

    #[test]
    fn headers_are_spelled_as_the_standards_say_and_do_not_print() {
        let secret = Secret::from("open sesame");
        let own = HeaderName::from_static("x-api-key");
        let cases = [
            (
                Authorization::bearer(&secret),
                "authorization",
                "Bearer open sesame",
            ),
            // The example of RFC 7617 section 2.
            (
                Authorization::basic("Aladdin", &secret),
                "authorization",
                "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            ),
            (
                Authorization::header(own.clone(), None, &secret),
                "x-api-key",
                "open sesame",
            ),
            (
                Authorization::header(own, Some("Token"), &secret),
                "x-api-key",
                "Token open sesame",
            ),
        ];
        for (with, name, value) in cases {
            let request = authorized(&with, "https://api.example.com/").unwrap();
            assert_eq!(request.headers[name], value);
            assert!(request.headers[name].is_sensitive());
            let printed = format!("{:?} {with:?}", request.headers);
            assert!(
                !printed.contains("sesame") && !printed.contains("QWxh"),
                "{printed}"
            );
        }
        let broken = Authorization::bearer(&Secret::from("a\nb"));
        assert!(matches!(
            authorized(&broken, "https://api.example.com/"),
            Err(Error::BadCredential)
        ));
    }

    #[test]
    fn a_credential_of_the_query_is_in_the_url_once_and_on_the_wire_only() {
        let with = Authorization::query("api key", &Secret::from("a&b=ü"));
        let cases = [
            ("https://a.example/x", "", "?api%20key=a%26b%3D%C3%BC"),
            ("https://a.example/x?", "?", "?api%20key=a%26b%3D%C3%BC"),
            (
                "https://a.example/x?a=1&&b=%2f",
                "?a=1&&b=%2f",
                "?a=1&&b=%2f&api%20key=a%26b%3D%C3%BC",
            ),
            (
                "https://a.example/x?api+key=other",
                "",
                "?api%20key=a%26b%3D%C3%BC",
            ),
            (
                "https://a.example/x?a=1&api%20key=a%26b&b=2&api+key=",
                "?a=1&b=2",
                "?a=1&b=2&api%20key=a%26b%3D%C3%BC",
            ),
        ];
        for (given, kept, sent) in cases {
            let request = authorized(&with, given).unwrap();
            assert_eq!(request.url.as_str(), format!("https://a.example/x{kept}"));
            let parameter = request.credential.unwrap();
            let wire = parameter.put_into(request.url);
            assert_eq!(wire.as_str(), format!("https://a.example/x{sent}"));
        }
        assert!(!format!("{with:?}").contains("a&b"));
    }
}
