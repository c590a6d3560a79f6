//! Logins without OAuth: the request as the configuration has it, and what its answer means; pure.

mod answer;

use std::collections::BTreeMap;

use jiff::Timestamp;
use minijinja::value::Value as Context;
use serde_json::Value;
use url::form_urlencoded;
use zeroize::Zeroizing;

pub(super) use answer::read;

use crate::config::{Body, Call, Method};
use crate::http::{self, HeaderMap, HeaderName, HeaderValue, Request};
use crate::secret::{ExposeSecret, Secret};
use crate::template::Template;

/// Why a request could not be written. The templates' own words are left out: they may repeat the
/// secrets they were given.
#[derive(Debug, thiserror::Error)]
#[error("{place} of `session` gives nothing that can be sent")]
pub(super) struct Unwritable {
    place: &'static str,
}

/// Writes a request of a session, a login or, with the session's `token`, a refresh.
///
/// # Errors
/// If a template fails, or gives what no request may hold.
pub(super) fn request(
    call: &Call,
    secrets: &BTreeMap<String, Secret>,
    token: Option<&Secret>,
    now: Timestamp,
) -> Result<Request, Unwritable> {
    let context = context(secrets, token, now);
    let method = match call.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
    };
    let mut request = Request::new(method, call.url.clone());
    request.headers = headers(call, &context)?;
    request.body = match &call.body {
        None => None,
        Some(Body::Json(value)) => {
            let filled = filled(value, &context)?;
            Some(Zeroizing::new(filled.to_string().into_bytes()))
        }
        Some(Body::Form(fields)) => {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, template) in fields {
                form.append_pair(name, &rendered("`form`", template, &context)?);
            }
            Some(Zeroizing::new(form.finish().into_bytes()))
        }
    };
    Ok(request)
}

fn context(secrets: &BTreeMap<String, Secret>, token: Option<&Secret>, now: Timestamp) -> Context {
    let secrets = secrets
        .iter()
        .map(|(name, secret)| (name.as_str(), Context::from(secret.expose_secret())));
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut names = vec![
        ("now", Context::from(now.to_string())),
        ("secret", Context::from_pairs(secrets)),
    ];
    if let Some(token) = token {
        names.push(("token", Context::from(token.expose_secret())));
    }
    Context::from_pairs(names)
}

fn headers(call: &Call, context: &Context) -> Result<HeaderMap, Unwritable> {
    let place = "`headers`";
    let mut headers = HeaderMap::new();
    let content_type = match call.body {
        None => None,
        Some(Body::Json(_)) => Some("application/json"),
        Some(Body::Form(_)) => Some("application/x-www-form-urlencoded"),
    };
    let usual = [
        ("accept", Some("application/json")),
        ("accept-encoding", Some("identity")),
        ("content-type", content_type),
    ];
    for (name, value) in usual {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    for (name, template) in &call.headers {
        let name = HeaderName::try_from(name).map_err(|_| Unwritable { place })?;
        let text = rendered(place, template, context)?;
        let mut value = HeaderValue::try_from(text.as_str()).map_err(|_| Unwritable { place })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn rendered(
    place: &'static str,
    template: &Template,
    context: &Context,
) -> Result<Zeroizing<String>, Unwritable> {
    let text = template.render(context).map_err(|_| Unwritable { place })?;
    Ok(Zeroizing::new(text))
}

/// Fills in the texts of a JSON value.
fn filled(value: &Value, context: &Context) -> Result<Value, Unwritable> {
    let place = "`json`";
    Ok(match value {
        Value::String(source) => {
            let template = Template::parse(source).map_err(|_| Unwritable { place })?;
            Value::String(rendered(place, &template, context)?.to_string())
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| filled(item, context));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let field =
                |(name, value): (&String, &Value)| Ok((name.clone(), filled(value, context)?));
            Value::Object(fields.iter().map(field).collect::<Result<_, _>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}
