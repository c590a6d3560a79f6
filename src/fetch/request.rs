//! From the templates of a flow to the request of a page.
//!
//! What does not change during a run is written once, in [`Prototype::write`]. What a page needs
//! besides is put in by [`Prototype::asking`].

mod address;
mod posted;

use std::sync::Arc;

use minijinja::value::{Serde, Value as Context};
use serde_json::{Map, Value};
use url::{Origin, Url};
use zeroize::Zeroizing;

use self::address::{resolve, set_query};
use self::posted::Posted;
use super::paginate::Ask;
use super::{Error, Start, odata};
use crate::config::{self, Auth, Body, Connection, Each, Facts, Resource};
use crate::http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use crate::template::{self, Template};

/// The variable that stands for how far the flow has got.
const BOOKMARK: &str = "bookmark";

/// The request of a run, before any paging.
pub(super) struct Prototype {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Posted>,
    allowed: Vec<Origin>,
}

impl Prototype {
    /// Writes the request of a run.
    ///
    /// # Errors
    /// If a template fails, or what it gives cannot be part of a request.
    pub(super) fn write(
        connection: &Connection,
        resource: &Resource,
        start: &Start,
    ) -> Result<Self, Error> {
        let writer = Writer::new(resource, start);
        let text = writer.url(&resource.url)?;
        let mut url = resolve(connection.base_url.as_ref(), &text)?;
        let allowed = allowed(connection, &url);
        if !allowed.contains(&url.origin()) {
            let origin = url.origin().ascii_serialization();
            let message =
                format!("{origin} is neither the host of `base_url` nor among `allow_hosts`");
            return Err(wrong("url", message));
        }
        let query = writer.query(resource, &mut url)?;
        set_query(&mut url, &query);
        let method = match resource.method {
            config::Method::Get => Method::GET,
            config::Method::Post => Method::POST,
        };
        let body = match &resource.body {
            None => None,
            Some(Body::Json(value)) => writer.json(value)?.map(Posted::Json),
            Some(Body::Form(fields)) => Some(Posted::Form(writer.pairs("body.form", fields)?)),
        };
        let headers = writer.headers(connection, resource, body.as_ref())?;
        Ok(Self {
            method,
            url,
            headers,
            body,
            allowed,
        })
    }

    /// Returns the origins the run may go to.
    pub(super) fn allowed(&self) -> &[Origin] {
        &self.allowed
    }

    /// Returns the method's name.
    pub(super) fn method(&self) -> &'static str {
        if self.method == Method::POST {
            "POST"
        } else {
            "GET"
        }
    }

    /// Returns the URL before any paging.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the request for a page.
    ///
    /// # Errors
    /// If a cursor cannot be put where it is wanted.
    pub(super) fn asking(&self, ask: &Ask) -> Result<Request, Error> {
        let mut request = Request::new(self.method.clone(), self.url.clone());
        request.headers = self.headers.clone();
        let mut body = self.body.clone();
        match ask {
            Ask::Link(link) => request.url = link.clone(),
            Ask::Query(pairs) => set_query(&mut request.url, pairs),
            Ask::Header(name, value) => {
                insert_header(&mut request.headers, "paging.header", name, value)?;
            }
            Ask::Body(path, word) => {
                body.get_or_insert_with(|| Posted::Json(Map::new().into()))
                    .put(path, word)?;
            }
        }
        request.body = body.map(|body| Zeroizing::new(body.bytes()));
        Ok(request)
    }
}

/// Fills in a template that is no part of the request, `place`, with what the request has.
///
/// # Errors
/// If the template fails.
pub fn filled(
    resource: &Resource,
    start: &Start,
    place: &str,
    template: &Template,
) -> Result<String, Error> {
    Writer::new(resource, start).text(place, template)
}

/// Fills in templates.
struct Writer {
    context: Context,
    has_bookmark: bool,
    facts: Arc<Facts>,
    each: Each,
}

impl Writer {
    fn new(resource: &Resource, start: &Start) -> Self {
        // Without its fraction, so that a question "up to now" never reaches into the future.
        let now = jiff::Timestamp::from_second(start.now.as_second()).unwrap_or(start.now);
        let mut names = vec![
            ("now", Context::from(now.to_string())),
            ("var", Context::from(Serde(&resource.vars))),
            ("fact", start.facts.context()),
            ("each", Context::from(Serde(&start.each))),
            ("until", Context::from(start.until.to_string())),
        ];
        if let Some(account) = &start.account {
            names.push(("account", Context::from(account.as_str())));
        }
        if let Some(since) = &start.since {
            names.push((BOOKMARK, Context::from(since.to_string())));
        }
        Self {
            context: Context::from_pairs(names),
            has_bookmark: start.since.is_some(),
            facts: Arc::clone(&start.facts),
            each: start.each.clone(),
        }
    }

    fn url(&self, template: &Template) -> Result<String, Error> {
        self.checked("url", template, template.render_url(&self.context))
    }

    fn text(&self, place: &str, template: &Template) -> Result<String, Error> {
        self.checked(place, template, template.render(&self.context))
    }

    /// Says why a template could not be rendered.
    fn checked(
        &self,
        place: &str,
        template: &Template,
        rendered: Result<String, template::Error>,
    ) -> Result<String, Error> {
        rendered.map_err(|error| {
            if !self.has_bookmark && template.uses(BOOKMARK) {
                let message = "there is no bookmark yet; say where to begin with `cursor.start`";
                return wrong(place, message.to_owned());
            }
            if let Some(name) = self.each_missing(template) {
                let given = self.each.keys().map(|name| format!("`{name}`"));
                let given = given.collect::<Vec<_>>().join(", ");
                return wrong(place, format!("`for_each` gives {given} and no `{name}`"));
            }
            match self.facts.missing(template) {
                Some(name) => Error::NoFact { name },
                None => wrong(place, error.message),
            }
        })
    }

    /// Returns the first value of the item that a template needs and that is not there.
    fn each_missing<'t>(&self, template: &'t Template) -> Option<&'t str> {
        let needed = template.variables().iter();
        needed
            .filter_map(|variable| variable.strip_prefix("each."))
            .find(|name| !self.each.contains_key(*name))
    }

    /// Returns the text, or nothing if it needs a bookmark that is not there.
    fn if_known(&self, place: &str, template: &Template) -> Result<Option<String>, Error> {
        if !self.has_bookmark && template.uses(BOOKMARK) {
            return Ok(None);
        }
        self.text(place, template).map(Some)
    }

    fn pairs(
        &self,
        place: &str,
        templates: &[(String, Template)],
    ) -> Result<Vec<(String, String)>, Error> {
        let mut pairs = Vec::new();
        for (name, template) in templates {
            if let Some(text) = self.if_known(&format!("{place}.{name}"), template)? {
                pairs.push((name.clone(), text));
            }
        }
        Ok(pairs)
    }

    /// Returns the parameters, with the cursor's filter joined to any `$filter` there is, also to
    /// one that is written into the URL.
    fn query(&self, resource: &Resource, url: &mut Url) -> Result<Vec<(String, String)>, Error> {
        let mut pairs = self.pairs("query", &resource.query)?;
        let filter = resource
            .cursor
            .as_ref()
            .and_then(|cursor| cursor.filter.as_ref());
        if let Some(filter) = filter
            && let Some(more) = self.if_known("cursor.filter", filter)?
        {
            match pairs.iter_mut().find(|(name, _)| name == odata::FILTER) {
                Some((_, filter)) => *filter = odata::and(filter, &more),
                None => {
                    let own = url.query_pairs().find(|(name, _)| name == odata::FILTER);
                    let own = own
                        .map(|(_, filter)| filter.into_owned())
                        .unwrap_or_default();
                    pairs.push((odata::FILTER.to_owned(), odata::and(&own, &more)));
                }
            }
        }
        // Some sources refuse an empty filter rather than take it for none.
        pairs.retain(|(name, text)| name != odata::FILTER || !text.trim().is_empty());
        Ok(pairs)
    }

    fn headers(
        &self,
        connection: &Connection,
        resource: &Resource,
        body: Option<&Posted>,
    ) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        // Without it some sources answer in XML.
        headers.insert("accept", HeaderValue::from_static("application/json"));
        if let Some(body) = body {
            headers.insert("content-type", body.media());
        }
        for (name, value) in self.pairs("headers", &connection.headers)? {
            insert_header(&mut headers, "connection's headers", &name, &value)?;
        }
        for (name, value) in self.pairs("headers", &resource.headers)? {
            insert_header(&mut headers, "headers", &name, &value)?;
        }
        Ok(headers)
    }

    /// Fills in the strings of a JSON value; what needs a bookmark that is not there is left out.
    fn json(&self, value: &Value) -> Result<Option<Value>, Error> {
        Ok(Some(match value {
            Value::String(source) => {
                let template =
                    Template::parse(source).map_err(|error| wrong("body.json", error.message))?;
                return Ok(self.if_known("body.json", &template)?.map(Value::String));
            }
            Value::Array(items) => {
                let items = items.iter().filter_map(|item| self.json(item).transpose());
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let fields = fields.iter().filter_map(|(name, value)| {
                    let value = self.json(value).transpose()?;
                    Some(value.map(|value| (name.clone(), value)))
                });
                Value::Object(fields.collect::<Result<_, _>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }))
    }
}

fn wrong(place: &str, message: String) -> Error {
    Error::Request {
        place: format!("`{place}`"),
        message,
    }
}

/// Returns where requests and credentials of this connection may go.
///
/// What a template has brought into the URL never decides where a credential goes; only where there
/// is none may the URL itself say.
fn allowed(connection: &Connection, first: &Url) -> Vec<Origin> {
    let mut origins = connection.origins();
    if connection.base_url.is_none() && matches!(connection.auth, Auth::None) {
        origins.push(first.origin());
    }
    origins
}

fn insert_header(
    headers: &mut HeaderMap,
    place: &str,
    name: &str,
    value: &str,
) -> Result<(), Error> {
    let place = format!("{place}.{name}");
    let name = HeaderName::try_from(name)
        .map_err(|_| wrong(&place, "this is not a header's name".to_owned()))?;
    let value = HeaderValue::try_from(value).map_err(|_| {
        wrong(
            &place,
            "its value has characters no header may have".to_owned(),
        )
    })?;
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests;
