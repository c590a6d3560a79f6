//! The token endpoint.

use axum::extract::State;
use axum::extract::connect_info::ConnectInfo;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::json;
use url::form_urlencoded;

use super::authority::Tokens;
use super::fault::{self, At, Fault};
use super::ledger::{Grant, Outcome};
use super::provider::{Provider, Shared};
use super::refusal::Refusal;
use super::reply::Reply;
use super::wire::Wire;

/// Answers a token request, and writes down what was asked and what came of it.
pub(super) async fn answer(
    State(provider): State<Shared>,
    ConnectInfo(wire): ConnectInfo<Wire>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = Asked::read(&headers, &body);
    let (entry, fault, reply) = {
        let mut provider = provider.lock();
        let entry = provider
            .ledger
            .open(provider.now(), asked.grant(), asked.presented());
        wire.watch(entry.number);
        let fault = provider.faults.take(At::Token);
        let place = provider.authority.place_of(asked.presented());
        let (outcome, reply) = match fault.as_ref().and_then(Fault::refusal) {
            Some(reply) => (Outcome::Untouched, reply),
            None => provider.exchange(&asked),
        };
        entry.settle(place, outcome);
        (entry, fault, reply)
    };
    // The work is done and written down: whatever happens from here on happens to the answer.
    let response = fault::send(reply, fault, &wire).await;
    drop(entry);
    response
}

impl Provider {
    fn exchange(&mut self, asked: &Asked) -> (Outcome, Reply) {
        let life_s = self.settings.access_token_life.as_secs();
        match self.grant(asked) {
            Ok(tokens) => (Outcome::Granted(tokens.place), granted(&tokens, life_s)),
            Err(refusal) => (Outcome::Refused(refusal), refused(refusal)),
        }
    }

    fn grant(&mut self, asked: &Asked) -> Result<Tokens, Refusal> {
        if !asked.sound {
            return Err(Refusal::Malformed);
        }
        let authority = &mut self.authority;
        if asked.client_id != authority.client_id || asked.client_secret != authority.client_secret
        {
            return Err(Refusal::WrongClient);
        }
        let now = self.clock.now();
        match asked.grant() {
            Grant::AuthorizationCode => authority.exchange(&asked.code, &asked.redirect_uri, now),
            Grant::RefreshToken => authority.refresh(&asked.refresh_token, now),
            Grant::Other => Err(Refusal::Malformed),
        }
    }
}

fn granted(tokens: &Tokens, life_s: u64) -> Reply {
    let body = json!({
        "access_token": tokens.access,
        "token_type": "bearer",
        // Digits in quotes, as the service sends them.
        "expires_in": life_s.to_string(),
        "refresh_token": tokens.refresh,
    });
    Reply::json(StatusCode::OK, body.to_string()).with(header::CACHE_CONTROL, "no-store")
}

fn refused(refusal: Refusal) -> Reply {
    let (status, error) = refusal.code();
    let body = json!({ "error": error, "error_description": refusal.to_string() });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let reply = Reply::json(status, body.to_string()).with(header::CACHE_CONTROL, "no-store");
    match refusal {
        Refusal::TooEarly => reply.with(
            HeaderName::from_static("reason"),
            "TooEarlyToRefreshTokens: access_token not expired",
        ),
        _ => reply,
    }
}

/// What a token request says.
#[derive(Debug, Default)]
struct Asked {
    grant_type: String,
    code: String,
    redirect_uri: String,
    refresh_token: String,
    client_id: String,
    client_secret: String,
    /// False if it is not a form, says something twice, or names the client in two ways.
    sound: bool,
}

impl Asked {
    fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let mut asked = Self {
            sound: kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")),
            ..Self::default()
        };
        for (name, value) in form_urlencoded::parse(body) {
            let field = match &*name {
                "grant_type" => &mut asked.grant_type,
                "code" => &mut asked.code,
                "redirect_uri" => &mut asked.redirect_uri,
                "refresh_token" => &mut asked.refresh_token,
                "client_id" => &mut asked.client_id,
                "client_secret" => &mut asked.client_secret,
                _ => continue,
            };
            asked.sound &= field.is_empty();
            *field = value.into_owned();
        }
        if let Some((id, secret)) = basic(headers) {
            asked.sound &= asked.client_secret.is_empty();
            asked.client_id = id;
            asked.client_secret = secret;
        }
        asked
    }

    fn grant(&self) -> Grant {
        match self.grant_type.as_str() {
            "authorization_code" => Grant::AuthorizationCode,
            "refresh_token" => Grant::RefreshToken,
            _ => Grant::Other,
        }
    }

    fn presented(&self) -> &str {
        match self.grant() {
            Grant::AuthorizationCode => &self.code,
            Grant::RefreshToken => &self.refresh_token,
            Grant::Other => "",
        }
    }
}

/// Reads the client from HTTP Basic, where both parts are form-encoded.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |part: &str| {
        let (name, _) = form_urlencoded::parse(part.as_bytes()).next()?;
        Some(name.into_owned())
    };
    Some((decoded(id)?, decoded(secret)?))
}
