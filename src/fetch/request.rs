//! From the templates of a flow to the request of a page.
//!
//! Templates are filled in for each page, since they may use `page`; what the paging needs besides
//! is put in afterwards.

pub(super) mod address;
mod posted;

use std::borrow::Cow;
use std::sync::Arc;

use minijinja::value::{Serde, Value as Context};
use serde_json::{Map, Value, json};
use url::{Origin, Url};
use zeroize::Zeroizing;

use self::address::{resolve, set_query};
use self::posted::Posted;
use super::paginate::{Ask, Turn, Way};
use super::records::Scalar;
use super::{Error, Start, odata};
use crate::config::{
    self, Auth, Body, Connection, Delta, Each, Facts, GraphQl, Payload, Resource, SendCursor,
    SendDelta, Style,
};
use crate::http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use crate::record::CursorValue;
use crate::template::{self, Template};

/// The variable that stands for how far the flow has got.
const BOOKMARK: &str = "bookmark";
/// The variable that stands for where the paging has got.
const PAGE_CURSOR: &str = "page.cursor";

/// The requests of a run, as templates.
pub(super) struct Prototype {
    method: Method,
    base_url: Option<Url>,
    /// The headers of the connection.
    headers: Vec<(String, Template)>,
    resource: Resource,
    start: Start,
    /// The URL of the first request.
    url: Url,
    allowed: Vec<Origin>,
    tenant: String,
}

impl Prototype {
    /// Prepares the requests of a run; `first` is its first page.
    ///
    /// # Errors
    /// If a template fails, or what it gives cannot be part of a request.
    pub(super) fn write(
        connection: &Connection,
        resource: &Resource,
        start: &Start,
        first: &Turn,
    ) -> Result<Self, Error> {
        let resource = going_on(resource, start);
        let writer = Writer::new(&resource, start, first);
        let text = writer.url("url", &resource.url)?;
        let url = resolve(connection.base_url.as_ref(), &text)?;
        let allowed = allowed(connection, &url);
        let tenant = resource.tenant.as_ref();
        let tenant = tenant.map(|tenant| writer.text("tenant", tenant));
        let mut prototype = Self {
            method: match resource.method {
                config::Method::Get => Method::GET,
                config::Method::Post => Method::POST,
            },
            base_url: connection.base_url.clone(),
            headers: connection.headers.clone(),
            resource: resource.into_owned(),
            start: start.clone(),
            tenant: tenant.transpose()?.unwrap_or_default(),
            url,
            allowed,
        };
        // What cannot be written is told before anything is sent.
        prototype.url = prototype.written(first)?.url;
        Ok(prototype)
    }

    /// Returns whose calls are counted together, as the source counts them; `""` if all are.
    pub(super) fn tenant(&self) -> &str {
        &self.tenant
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

    /// Returns the URL of the first request.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns, if this asks a GraphQL source, whether data beside errors counts.
    pub(super) fn graph_ql(&self) -> Option<bool> {
        match &self.resource.body {
            Some(Payload::GraphQl(graph_ql)) => Some(graph_ql.partial),
            Some(Payload::Plain(_)) | None => None,
        }
    }

    /// Returns how the source is asked for what changed, if it knows by itself.
    pub(super) fn delta(&self) -> Option<&Delta> {
        self.resource.delta.as_ref()
    }

    /// Returns true if this asks for what changed since the source was last asked.
    pub(super) fn goes_on(&self) -> bool {
        self.start.delta.is_some()
    }

    /// Returns a link that the source gave in an earlier run.
    ///
    /// # Errors
    /// If it leads where the run may not go.
    pub(super) fn link(&self, text: &str) -> Result<Url, Error> {
        let link = self.url.join(text);
        let link = link.map_err(|_| wrong("delta", "the delta link is no URL".to_owned()))?;
        let names_a_user = !link.username().is_empty() || link.password().is_some();
        if names_a_user || !self.allowed.contains(&link.origin()) {
            let origin = link.origin().ascii_serialization();
            let message = format!(
                "the delta link leads to {origin}, which is neither the host of `base_url` nor among \
                 `allow_hosts`"
            );
            return Err(wrong("delta", message));
        }
        Ok(link)
    }

    /// Returns the request for a page.
    ///
    /// # Errors
    /// If a template fails, or a cursor cannot be put where it is wanted.
    pub(super) fn asking(&self, ask: &Ask) -> Result<Request, Error> {
        let Written {
            mut url,
            mut headers,
            mut body,
        } = self.written(&ask.turn)?;
        match &ask.way {
            Way::Link(link) => url = link.clone(),
            Way::Query(pairs) => set_query(&mut url, pairs),
            Way::Header(name, value) => {
                insert_header(&mut headers, "paging.header", name, value)?;
            }
            Way::Body(path, word) => {
                body.get_or_insert_with(|| Posted::Json(Map::new().into()))
                    .put(path, word)?;
            }
        }
        if let Some(body) = &body {
            let media = headers.entry("content-type");
            media.or_insert_with(|| body.media());
        }
        let mut request = Request::new(self.method.clone(), url);
        request.headers = headers;
        request.body = body.map(|body| Zeroizing::new(body.bytes()));
        Ok(request)
    }

    /// Fills in the templates for a page.
    fn written(&self, turn: &Turn) -> Result<Written, Error> {
        let resource = &self.resource;
        let writer = Writer::new(resource, &self.start, turn);
        if let (Some(continue_url), false) = (self.continue_url(), turn.is_first()) {
            return Ok(Written {
                url: self.placed(&writer, "paging.continue_url", continue_url)?,
                headers: writer.headers(&self.headers, resource)?,
                body: None,
            });
        }
        let mut url = self.placed(&writer, "url", &resource.url)?;
        let mut query = writer.query(resource, &mut url)?;
        if turn.is_first() {
            query.extend(writer.pairs("first_page_query", &resource.first_page_query)?);
        }
        set_query(&mut url, &query);
        let mut written = Written {
            url,
            headers: writer.headers(&self.headers, resource)?,
            body: writer.body(resource.body.as_ref())?,
        };
        if let (Some(SendDelta::Token { send, .. }), Some(word)) = (
            resource.delta.as_ref().map(|delta| &delta.send),
            &self.start.delta,
        ) {
            written.carry(send, word)?;
        }
        Ok(written)
    }

    /// Returns where pages after the first are asked for, if not where the first is.
    fn continue_url(&self) -> Option<&Template> {
        match &self.resource.paging.style {
            Style::Cursor { continue_url, .. } => continue_url.as_ref(),
            _ => None,
        }
    }

    /// Fills in a URL, which must lead to where the connection may go.
    fn placed(&self, writer: &Writer, place: &str, template: &Template) -> Result<Url, Error> {
        let url = resolve(self.base_url.as_ref(), &writer.url(place, template)?)?;
        if self.allowed.contains(&url.origin()) {
            return Ok(url);
        }
        let origin = url.origin().ascii_serialization();
        let message = format!("{origin} is neither the host of `base_url` nor among `allow_hosts`");
        Err(wrong(place, message))
    }
}

/// A request with its templates filled in, before the paging.
struct Written {
    url: Url,
    headers: HeaderMap,
    body: Option<Posted>,
}

impl Written {
    /// Puts the word of an earlier run where the source wants it.
    fn carry(&mut self, send: &SendCursor, word: &str) -> Result<(), Error> {
        match send {
            SendCursor::Query(name) => {
                set_query(&mut self.url, &[(name.clone(), word.to_owned())]);
                Ok(())
            }
            SendCursor::Header(name) => {
                insert_header(&mut self.headers, "delta.header", name, word)
            }
            SendCursor::Body(path) => self
                .body
                .get_or_insert_with(|| Posted::Json(Map::new().into()))
                .put(path, &Scalar::Text(word.to_owned())),
        }
    }
}

/// Returns the resource as it is asked for what changed: without what belongs to the first page of
/// everything, and where going on has a place of its own, there and with nothing else.
fn going_on<'r>(resource: &'r Resource, start: &Start) -> Cow<'r, Resource> {
    let (Some(delta), Some(_)) = (&resource.delta, &start.delta) else {
        return Cow::Borrowed(resource);
    };
    let mut going_on = resource.clone();
    going_on.first_page_query.clear();
    if let SendDelta::Token {
        continue_url: Some(url),
        ..
    } = &delta.send
    {
        going_on.url = url.clone();
        going_on.query.clear();
        going_on.body = None;
    }
    Cow::Owned(going_on)
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
    Writer::new(resource, start, &Turn::default()).text(place, template)
}

/// Fills in templates.
struct Writer {
    context: Context,
    /// Variables that there are, but without a value so far.
    unset: Vec<&'static str>,
    facts: Arc<Facts>,
    each: Each,
}

impl Writer {
    fn new(resource: &Resource, start: &Start, turn: &Turn) -> Self {
        // Without its fraction, so that a question "up to now" never reaches into the future.
        let now = jiff::Timestamp::from_second(start.now.as_second()).unwrap_or(start.now);
        let cursor = resource.cursor.as_ref();
        let written = |value: &CursorValue| match cursor {
            Some(cursor) => cursor.written(value),
            None => value.to_string(),
        };
        let mut unset = Vec::new();
        let mut names = vec![
            ("now", Context::from(now.to_string())),
            ("var", Context::from(Serde(&resource.vars))),
            ("fact", start.facts.context()),
            ("each", Context::from(Serde(&start.each))),
            ("until", Context::from(written(&start.until))),
            ("page", turn.context()),
        ];
        if let Some(account) = &start.account {
            names.push(("account", Context::from(account.as_str())));
        }
        match &start.since {
            Some(since) => names.push((BOOKMARK, Context::from(written(since)))),
            None => unset.push(BOOKMARK),
        }
        if turn.cursor.is_none() {
            unset.push(PAGE_CURSOR);
        }
        Self {
            context: Context::from_pairs(names),
            unset,
            facts: Arc::clone(&start.facts),
            each: start.each.clone(),
        }
    }

    /// Returns true if a template needs a variable that has no value so far.
    fn is_early(&self, template: &Template) -> bool {
        self.unset.iter().any(|variable| template.uses(variable))
    }

    fn url(&self, place: &str, template: &Template) -> Result<String, Error> {
        self.checked(place, template, template.render_url(&self.context))
    }

    fn text(&self, place: &str, template: &Template) -> Result<String, Error> {
        self.checked(place, template, template.render(&self.context))
    }

    /// Says why a template could not be rendered.
    fn checked<T>(
        &self,
        place: &str,
        template: &Template,
        rendered: Result<T, template::Error>,
    ) -> Result<T, Error> {
        rendered.map_err(|error| {
            if self.unset.contains(&BOOKMARK) && template.uses(BOOKMARK) {
                let message = "there is no bookmark yet; say where to begin with `cursor.start`";
                return wrong(place, message.to_owned());
            }
            if self.unset.contains(&PAGE_CURSOR) && template.uses(PAGE_CURSOR) {
                let message = "there is no `page.cursor` on the first page; use it in `query`, \
                               `headers` or `body`, where it is left out then";
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

    /// Returns the text; nothing if it needs a variable without a value, or if what the template
    /// gives is empty. Constant text is sent as it is, also if there is none.
    fn if_any(&self, place: &str, template: &Template) -> Result<Option<String>, Error> {
        if self.is_early(template) {
            return Ok(None);
        }
        let text = self.text(place, template)?;
        Ok(Some(text).filter(|text| !text.is_empty() || template.is_constant()))
    }

    fn pairs(
        &self,
        place: &str,
        templates: &[(String, Template)],
    ) -> Result<Vec<(String, String)>, Error> {
        let mut pairs = Vec::new();
        for (name, template) in templates {
            if let Some(text) = self.if_any(&format!("{place}.{name}"), template)? {
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
            && let Some(more) = self.if_any("cursor.filter", filter)?
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
        connection: &[(String, Template)],
        resource: &Resource,
    ) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        // Without it some sources answer in XML.
        headers.insert("accept", HeaderValue::from_static("application/json"));
        for (name, value) in self.pairs("headers", connection)? {
            insert_header(&mut headers, "connection's headers", &name, &value)?;
        }
        for (name, value) in self.pairs("headers", &resource.headers)? {
            insert_header(&mut headers, "headers", &name, &value)?;
        }
        Ok(headers)
    }

    fn body(&self, payload: Option<&Payload>) -> Result<Option<Posted>, Error> {
        Ok(match payload {
            None => None,
            Some(Payload::Plain(Body::Json(value))) => {
                self.json("body.json", value)?.map(Posted::Json)
            }
            Some(Payload::Plain(Body::Form(fields))) => {
                Some(Posted::Form(self.pairs("body.form", fields)?))
            }
            Some(Payload::GraphQl(GraphQl {
                query, variables, ..
            })) => {
                let variables = self.json("body.graphql.variables", variables)?;
                Some(Posted::Json(
                    json!({ "query": query, "variables": variables }),
                ))
            }
        })
    }

    /// Fills in the strings of a JSON value; what needs a variable without a value is left out.
    fn json(&self, place: &str, value: &Value) -> Result<Option<Value>, Error> {
        Ok(Some(match value {
            Value::String(source) => {
                let template =
                    Template::parse(source).map_err(|error| wrong(place, error.message))?;
                if self.is_early(&template) {
                    return Ok(None);
                }
                self.checked(place, &template, template.render_json(&self.context))?
            }
            Value::Array(items) => {
                let items = items.iter();
                let items = items.filter_map(|item| self.json(place, item).transpose());
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let fields = fields.iter().filter_map(|(name, value)| {
                    let value = self.json(place, value).transpose()?;
                    Some(value.map(|value| (name.clone(), value)))
                });
                Value::Object(fields.collect::<Result<_, _>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }))
    }
}

impl Turn {
    /// Returns what templates call `page`.
    fn context(&self) -> Context {
        let mut names = vec![
            ("number", Context::from(self.number)),
            ("offset", Context::from(self.offset)),
        ];
        names.extend(self.limit.map(|limit| ("limit", Context::from(limit))));
        names.extend(self.cursor.as_ref().map(|word| ("cursor", scalar(word))));
        Context::from_pairs(names)
    }
}

fn scalar(word: &Scalar) -> Context {
    Serde(posted::value(word)).into()
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
