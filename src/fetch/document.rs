//! A document about a source: its OData metadata or OpenAPI description.

use jiff::Timestamp;
use url::Url;

use super::failure::{ONCE, no_answer};
use super::request::address;
use super::retry::{self, Verdict};
use super::{Asked, Error, World, answer};
use crate::config::Connection;
use crate::http::{self, Authorization, HeaderName, HeaderValue, Method, Request};
use crate::secret::Redactor;

/// What we can read.
const ACCEPT: &str = "application/xml, application/json;q=0.9, */*;q=0.5";

/// Fetches a document once. The credential goes along only to the connection's own hosts.
///
/// # Errors
/// Why it could not be had.
pub async fn document(
    connection: &Connection,
    address: &str,
    most: u64,
    world: &World<'_>,
) -> Result<(Url, String), Error> {
    let url = address::resolve(connection.base_url.as_ref(), address)?;
    let nothing = Redactor::default();
    let redactor = world
        .authorization
        .map_or(&nothing, Authorization::redactor);
    let asked = Asked {
        method: "GET",
        url: redactor.redact(&http::shown(&url)).into(),
    };
    let now: Timestamp = world.clock.now();
    let admitted = world
        .limits
        .admit(&asked.url, world.clock, world.told)
        .await;
    admitted.map_err(Error::from)?;
    let mut request = Request::new(Method::GET, url.clone());
    let own = connection.origins();
    if own.contains(&url.origin()) {
        let constant = connection.headers.iter();
        for (name, value) in constant.filter(|(_, value)| value.is_constant()) {
            let header = HeaderName::try_from(name.as_str());
            if let (Ok(name), Ok(value)) = (header, HeaderValue::try_from(value.source())) {
                request.headers.insert(name, value);
            }
        }
        if let Some(authorization) = world.authorization {
            let authorized = request.authorize(authorization, &own);
            authorized.map_err(|source| no_answer(asked.clone(), source))?;
        }
    }
    let accept = HeaderValue::from_static(ACCEPT);
    request.headers.insert("accept", accept);
    let limits = http::Limits {
        timeout: connection.timeout,
        body: most,
    };
    let _seat = world
        .hosts
        .enter(url.origin(), connection.manners.concurrency)
        .await;
    let sent = world.http.send(request, limits).await;
    let answer = sent.map_err(|source| no_answer(asked.clone(), source))?;
    let (status, headers) = (answer.status, &answer.headers);
    world.limits.learn(now, &asked.url, status, headers);
    let message = answer::complaint(&answer, redactor);
    match retry::verdict(status, headers) {
        Verdict::Page => {
            let text = answer::text(&answer, most, redactor);
            let text = text.map_err(|problem| Error::Damaged {
                asked,
                problem,
                tries: ONCE,
            })?;
            Ok((url, String::from_utf8_lossy(&text).into_owned()))
        }
        Verdict::Unauthorized => Err(Error::Unauthorized {
            asked,
            status,
            message,
        }),
        Verdict::Forbidden => Err(Error::Forbidden { asked, message }),
        Verdict::Empty | Verdict::Later | Verdict::Refused | Verdict::Redirected => {
            Err(Error::Refused {
                asked,
                status,
                message,
            })
        }
    }
}
