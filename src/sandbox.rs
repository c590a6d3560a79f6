//! A provider to practise on: it speaks Exact Online's protocol on loopback, with its bites.
//!
//! It stands apart from the rest: only the demo and tests come here, and it uses nothing of the
//! house but the clock. Access tokens live ten minutes and cannot be refreshed before nine and a
//! half; refresh tokens work once, and using one twice ends the login; pages hold sixty records
//! and their next links are half encoded; times are Amsterdam's wall clock; calls are counted.
//! Everything it tells follows from [`Settings::seed`] and the clock.
//!
//! What a test needs besides: [edits](Sandbox::insert_projects) of the source and its
//! [own truth](Sandbox::projects), a [ledger](Sandbox::ledger) of what was asked, and
//! [faults](Sandbox::inject) to order.

mod api;
mod authority;
mod browser;
mod cell;
mod codes;
mod consent;
mod dice;
mod entities;
mod fault;
mod filter;
mod ledger;
mod limits;
mod metadata;
mod provider;
mod query;
mod refusal;
mod reply;
mod settings;
mod shape;
mod source;
mod token;
mod wire;
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post};
use jiff::fmt::rfc2822;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::clock::SharedClock;

pub use authority::Place;
pub use browser::{ConsentError, Decision};
pub use fault::{At, Canned, Fault};
pub use ledger::{ApiRequest, Delivery, Grant, Ledger, Outcome, TokenRequest, fingerprint};
pub use refusal::Refusal;
pub use settings::Settings;
pub use source::MAX_PROJECTS;

use provider::{Provider, Shared};
use source::Source;
use wire::{Door, Wire};

/// The most bytes a request's body may have; a token request has some five hundred.
const MAX_BODY: usize = 64 * 1024;

/// How long answers under way are waited for when it stops, in real time.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// A running sandbox. It stops when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    provider: Shared,
    address: SocketAddr,
    serving: Option<Serving>,
}

#[derive(Debug)]
struct Serving {
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Sandbox {
    /// Starts a sandbox on loopback.
    ///
    /// # Errors
    /// If the port is taken, or the machine does not know the time zone of Amsterdam.
    pub async fn start(clock: SharedClock, settings: Settings) -> io::Result<Self> {
        let port = settings.port;
        let provider = Provider::new(clock, settings)
            .map_err(io::Error::other)?
            .shared();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut sandbox = Self {
            provider,
            address,
            serving: None,
        };
        sandbox.resume().await?;
        Ok(sandbox)
    }

    /// Stops answering; what was begun is given a moment to finish. Nothing is forgotten.
    pub async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.stop.cancel();
            let mut task = serving.task;
            tokio::select! {
                // Serving ends without an error; a panic was told where it happened.
                _ = &mut task => {}
                () = fault::pause(STOP_WAIT) => task.abort(),
            }
        }
    }

    /// Answers again at the same address, after [`stop`](Self::stop).
    ///
    /// # Errors
    /// If the port has been taken meanwhile.
    pub async fn resume(&mut self) -> io::Result<()> {
        if self.serving.is_some() {
            return Ok(());
        }
        let listener = TcpListener::bind(self.address).await?;
        self.address = listener.local_addr()?;
        let door = Door::new(listener, self.ledger());
        let service = router(self.provider.clone()).into_make_service_with_connect_info::<Wire>();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serve = axum::serve(door, service).with_graceful_shutdown(stopped);
        let task = tokio::spawn(async move { serve.await });
        self.serving = Some(Serving { stop, task });
        Ok(())
    }

    /// Returns where it answers, such as `http://127.0.0.1:40123`.
    #[must_use]
    pub fn base_url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("an address makes a URL")
    }

    /// Returns the id of the one app that is registered.
    #[must_use]
    pub fn client_id(&self) -> String {
        self.provider.lock().authority.client_id.clone()
    }

    /// Returns that app's secret.
    #[must_use]
    pub fn client_secret(&self) -> String {
        self.provider.lock().authority.client_secret.clone()
    }

    /// Returns where the registered app wants people sent back to.
    #[must_use]
    pub fn redirect_uri(&self) -> Url {
        self.provider.lock().settings.redirect_uri.clone()
    }

    /// Returns the divisions; the first is the one the edits below are about.
    #[must_use]
    pub fn divisions(&self) -> Vec<i32> {
        self.provider.lock().settings.divisions.clone()
    }

    /// Does what a person's browser would with an authorization URL when the person says yes;
    /// returns the address they are sent back to, without going there.
    ///
    /// # Errors
    /// If the page is not there, or sends nobody back.
    pub async fn consent(authorize_url: &Url) -> Result<Url, ConsentError> {
        browser::decide(authorize_url, Decision::Allow).await
    }

    /// As [`consent`](Self::consent), but the person says no.
    ///
    /// # Errors
    /// If the page is not there, or sends nobody back.
    pub async fn deny(authorize_url: &Url) -> Result<Url, ConsentError> {
        browser::decide(authorize_url, Decision::Deny).await
    }

    /// Withdraws every consent, as a person may at the provider: no token works any more.
    pub fn withdraw_consent(&self) {
        self.provider.lock().authority.withdraw();
    }

    /// Makes `fault` happen to the next `times` requests at a place, after those already ordered.
    pub fn inject(&self, at: At, fault: Fault, times: u32) {
        self.provider.lock().faults.add(at, fault, times);
    }

    /// Calls off all faults that have not happened yet.
    pub fn calm(&self) {
        self.provider.lock().faults.clear();
    }

    /// Returns the memory of what was asked.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.provider.lock().ledger.clone()
    }

    /// Returns every secret there is, so that a test can look for them where they must not be.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.provider.lock().authority.secrets()
    }

    /// Adds projects to the first division; returns their keys.
    pub fn insert_projects(&self, count: usize) -> Vec<String> {
        self.edit(|source, now, _| source.insert_many(count, now))
    }

    /// Changes that many projects of the first division; returns their keys.
    pub fn change_projects(&self, count: usize) -> Vec<String> {
        self.edit(|source, now, _| source.change_many(count, now))
    }

    /// Deletes that many projects of the first division; returns the keys they had.
    pub fn delete_projects(&self, count: usize) -> Vec<String> {
        self.edit(|source, now, at| source.delete_many(count, now, at))
    }

    /// Returns how many projects the first division has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.edit(|source, _, _| source.count())
    }

    /// Returns the first division's projects by key, without the protocol's dress: text, numbers,
    /// truth and nothing as JSON has them, 64-bit integers as numbers, doubles always as doubles,
    /// and times as `2025-03-01T09:30:00.25` in Amsterdam.
    #[must_use]
    pub fn projects(&self) -> Vec<serde_json::Value> {
        self.edit(|source, _, _| source.projects().map(cell::Row::plain).collect())
    }

    /// Returns another division's projects; see [`projects`](Self::projects).
    #[must_use]
    pub fn projects_of(&self, division: i32) -> Vec<serde_json::Value> {
        let provider = self.provider.lock();
        let source = provider.sources.get(&division);
        source
            .into_iter()
            .flat_map(Source::projects)
            .map(cell::Row::plain)
            .collect()
    }
}

impl Sandbox {
    fn edit<T: Default>(
        &self,
        edit: impl FnOnce(&mut Source, jiff::civil::DateTime, jiff::Timestamp) -> T,
    ) -> T {
        let mut provider = self.provider.lock();
        let (now, at) = (provider.wall_clock(), provider.now());
        let division = provider
            .settings
            .divisions
            .first()
            .copied()
            .unwrap_or_default();
        provider
            .sources
            .get_mut(&division)
            .map(|source| edit(source, now, at))
            .unwrap_or_default()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.stop.cancel();
        }
    }
}

fn router(provider: Shared) -> Router {
    Router::new()
        .route("/api/oauth2/auth", get(consent::ask).post(consent::decide))
        .route("/api/oauth2/token", post(token::answer))
        .route("/api/v1/{*path}", any(api::answer))
        .layer(middleware::from_fn_with_state(provider.clone(), dated))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(provider)
}

/// Dates every answer by the sandbox's own clock, not the machine's.
async fn dated(State(provider): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let now = provider.lock().now();
    let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now);
    if let Some(date) = date.ok().and_then(|date| HeaderValue::from_str(&date).ok()) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}
