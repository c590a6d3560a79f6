//! The API: who may ask, what of, and the answer in the service's own shapes.

use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::response::Response;
use url::form_urlencoded;

use super::authority::Place;
use super::entities::Asks;
use super::fault::{self, At, Fault};
use super::provider::{Provider, Shared};
use super::reply::Reply;
use super::wire::Wire;

/// What a request says.
pub(super) struct Asked<'a> {
    path: &'a [&'a str],
    pub query: &'a str,
    /// Where the API begins, for links.
    pub base: String,
    pub wants_json: bool,
}

/// Answers a request to the API.
pub(super) async fn answer(
    State(provider): State<Shared>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    Path(path): Path<String>,
    request: Request,
) -> Response {
    let path: Vec<&str> = path.split('/').collect();
    let (
        Parts {
            method,
            uri,
            headers,
            ..
        },
        _body,
    ) = request.into_parts();
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let asked = Asked {
        path: &path,
        query: uri.query().unwrap_or_default(),
        base: format!("http://{}/api/v1", text(header::HOST)),
        wants_json: text(header::ACCEPT).contains("application/json"),
    };
    let token = text(header::AUTHORIZATION)
        .strip_prefix("Bearer ")
        .unwrap_or_default();
    let (fault, reply) = {
        let mut provider = provider.lock();
        let now = provider.now();
        let access = provider.authority.access(token, now);
        let fault = provider.faults.take(At::Api);
        let reply = match fault.as_ref().and_then(Fault::refusal) {
            Some(reply) => reply,
            None if method != Method::GET => Reply::empty(StatusCode::METHOD_NOT_ALLOWED),
            None => provider.answer(&asked, access),
        };
        let target = uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default();
        let place = access.map(|(place, _)| place);
        provider
            .ledger
            .call(now, target, place, reply.status.as_u16());
        (fault, reply)
    };
    fault::send(reply, fault, &wire).await
}

impl Provider {
    fn answer(&mut self, asked: &Asked<'_>, access: Option<(Place, bool)>) -> Reply {
        match access {
            None => return unauthorized("message expired"),
            Some((_, false)) => {
                self.strike(asked.path);
                return unauthorized("access token expired");
            }
            Some((_, true)) => {}
        }
        match asked.path {
            ["current", "Me"] => self.me(asked),
            [division, rest @ ..] => match division.parse() {
                Ok(division) => self.of_division(division, rest, asked),
                Err(_) => Reply::error(StatusCode::NOT_FOUND, "Resource not found"),
            },
            [] => Reply::error(StatusCode::NOT_FOUND, "Resource not found"),
        }
    }

    /// Answers what counts against a division's limits.
    fn of_division(&mut self, division: i32, path: &[&str], asked: &Asked<'_>) -> Reply {
        if !self.sources.contains_key(&division) {
            return Reply::error(StatusCode::FORBIDDEN, "Forbidden")
                .with(HeaderName::from_static("reason"), "NoDivisionAccess");
        }
        let now = self.now();
        if self.errors.blocks(division, endpoint(path), now) {
            return Reply::error(
                StatusCode::FORBIDDEN,
                "Too many errors; blocked for an hour",
            )
            .with(HeaderName::from_static("reason"), "BlockedUser");
        }
        let counted = self
            .calls
            .entry(division)
            .or_default()
            .count(&self.settings, now);
        let reply = match Asks::read(path) {
            _ if !counted.allowed => Reply::empty(StatusCode::TOO_MANY_REQUESTS),
            Some(asks) => self.read(division, &asks, asked),
            None if path == ["project", "$metadata"] => self.metadata(division),
            None => Reply::error(StatusCode::NOT_FOUND, "Resource not found"),
        };
        if matches!(reply.status.as_u16(), 400 | 404) {
            self.strike(asked.path);
        }
        counted.headers.iter().fold(reply, |reply, (name, value)| {
            reply.with(HeaderName::from_static(name), &value.to_string())
        })
    }

    /// Counts an error against the endpoint it came from.
    fn strike(&mut self, path: &[&str]) {
        let [division, rest @ ..] = path else { return };
        let division = division.parse().ok();
        if let Some(division) = division.filter(|known| self.sources.contains_key(known)) {
            let (now, most) = (self.now(), self.settings.errors_per_hour);
            self.errors.count(division, endpoint(rest), most, now);
        }
    }
}

/// Returns the name under which a path's errors are counted.
fn endpoint(path: &[&str]) -> &'static str {
    Asks::read(path).map_or("other", |asks| asks.name())
}

fn unauthorized(words: &str) -> Reply {
    // The service encodes this header's value as though it were part of an address.
    let told = format!("Bearer error=\"invalid_token\", error_description=\"{words}\"");
    let told: String = form_urlencoded::byte_serialize(told.as_bytes()).collect();
    Reply::empty(StatusCode::UNAUTHORIZED).with(header::WWW_AUTHENTICATE, &told.replace('+', "%20"))
}
