//! Somebody with an HTTP client, a clock to move, and a sandbox to talk to.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Response, header};
use serde_json::Value;
use tidegate::clock::{Clock, SimClock};
use tidegate::sandbox::{Sandbox, Settings};
use url::Url;
use url::form_urlencoded;

/// A Monday morning in winter, when Amsterdam is an hour ahead of UTC.
const BEGINNING: &str = "2026-01-05T08:00:00Z";

pub(crate) struct Guest {
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: SimClock,
    pub(crate) http: reqwest::Client,
}

/// What a granted token request yields.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Guest {
    pub(crate) async fn arrive(settings: Settings) -> Self {
        let clock = SimClock::new(BEGINNING.parse().unwrap());
        let sandbox = Sandbox::start(Arc::new(clock.clone()), settings)
            .await
            .unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_certs_only([])
            // Each request on its own connection, so that none is repeated behind a test's back.
            .pool_max_idle_per_host(0)
            .retry(reqwest::retry::never())
            .build()
            .unwrap();
        Self {
            sandbox,
            clock,
            http,
        }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        self.sandbox.base_url().join(path).unwrap()
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn authorize_url(&self, state: &str) -> Url {
        let mut url = self.url("/api/oauth2/auth");
        url.query_pairs_mut()
            .append_pair("client_id", &self.sandbox.client_id())
            .append_pair("redirect_uri", self.sandbox.redirect_uri().as_str())
            .append_pair("response_type", "code")
            .append_pair("state", state);
        url
    }

    /// Signs in: consent, then the code for the first tokens.
    pub(crate) async fn sign_in(&self) -> Tokens {
        let back = Sandbox::consent(&self.authorize_url("s")).await.unwrap();
        let (_, code) = back.query_pairs().find(|(name, _)| name == "code").unwrap();
        let answer = self.exchange(&code).await;
        assert_eq!(answer.status(), 200);
        tokens(&json(answer).await)
    }

    pub(crate) async fn exchange(&self, code: &str) -> Response {
        let redirect_uri = self.sandbox.redirect_uri();
        self.token_request(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri.as_str()),
            ("client_id", &self.sandbox.client_id()),
            ("client_secret", &self.sandbox.client_secret()),
        ])
        .await
        .unwrap()
    }

    pub(crate) async fn refresh(&self, token: &str) -> Response {
        self.try_refresh(token).await.unwrap()
    }

    pub(crate) async fn try_refresh(&self, token: &str) -> reqwest::Result<Response> {
        self.token_request(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", &self.sandbox.client_id()),
            ("client_secret", &self.sandbox.client_secret()),
        ])
        .await
    }

    pub(crate) async fn token_request(&self, form: &[(&str, &str)]) -> reqwest::Result<Response> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let request = self.http.post(self.url("/api/oauth2/token"));
        let form = "application/x-www-form-urlencoded";
        request
            .header(header::CONTENT_TYPE, form)
            .body(body)
            .send()
            .await
    }

    /// Asks the API for JSON at a path or a whole URL.
    pub(crate) async fn get(&self, target: &str, access: &str) -> Response {
        let request = self.http.get(self.url(target)).bearer_auth(access);
        request
            .header(header::ACCEPT, "application/json")
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn get_json(&self, target: &str, access: &str) -> Value {
        let answer = self.get(target, access).await;
        assert_eq!(answer.status(), 200, "{target}");
        json(answer).await
    }

    /// Follows next links to the end; all records, and the size of each page.
    pub(crate) async fn get_all(&self, target: &str, access: &str) -> (Vec<Value>, Vec<usize>) {
        let (mut target, mut records, mut sizes) = (target.to_owned(), Vec::new(), Vec::new());
        loop {
            let body = self.get_json(&target, access).await;
            let results = body["d"]["results"].as_array().unwrap();
            records.extend(results.iter().cloned());
            sizes.push(results.len());
            match body["d"]["__next"].as_str() {
                Some(next) => target = next.to_owned(),
                None => return (records, sizes),
            }
        }
    }
}

/// Reads a body as JSON.
pub(crate) async fn json(answer: Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

pub(crate) fn tokens(body: &Value) -> Tokens {
    let text = |name: &str| body[name].as_str().unwrap().to_owned();
    Tokens {
        access: text("access_token"),
        refresh: text("refresh_token"),
    }
}

pub(crate) fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// Takes the protocol's clothes off a record, as a careful client does.
pub(crate) fn plain(record: &Value) -> Value {
    let fields = record.as_object().unwrap().iter();
    let kept =
        fields.filter(|(name, value)| *name != "__metadata" && value["__deferred"].is_null());
    kept.map(|(name, value)| (name.clone(), undated(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn undated(value: &Value) -> Value {
    let millis = value
        .as_str()
        .and_then(|text| text.strip_prefix("/Date(")?.strip_suffix(")/"));
    match millis.and_then(|millis| millis.parse().ok()) {
        None => value.clone(),
        Some(millis) => {
            let moment = Timestamp::from_millisecond(millis).unwrap();
            Value::from(
                moment
                    .to_zoned(jiff::tz::TimeZone::UTC)
                    .datetime()
                    .to_string(),
            )
        }
    }
}
