//! The one interface to a running house: HTTP on a Unix socket in the state directory.
//!
//! Who may use it is for the operating system to say: the socket's mode and its directory's.
//! Whoever wants something written asks here, also the process that owns the house itself, so that
//! there is one way in and a second process can always join.

mod client;
mod door;
mod vault;

use std::convert::Infallible;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::config::{Account, Connection, LONGEST_SECRET, Name};
use crate::daemon::House;
use crate::oauth::id_token::Person;
use crate::oauth::login::Whom;
use crate::oauth::{DeviceStart, LONGEST_IMPORT, LoginStart, Revocation, SignedOut};
use crate::remedy::Remedy;
use crate::run::{Description, Event, Handle};
use crate::secret::Secret;
use crate::{fetch, oauth, run, status};

use door::Bounds;

pub use client::{Client, Problem};
pub use vault::Adopted;

/// The most bytes of a request's body: the longest secret.
const BODY_LIMIT: usize = LONGEST_SECRET;
/// The most flows one request may start.
const MOST_FLOWS: usize = 10_000;
/// How many events may wait for a slow listener of one request.
const EVENTS: usize = 64;
/// What a visitor may take. Nobody types a request: what takes longer than this is stuck. The number
/// of connections is far above what people and their scripts wait for at once, and far below the
/// number of files a process may open.
const BOUNDS: Bounds = Bounds {
    header: Duration::from_secs(10),
    body: Duration::from_secs(10),
    body_bytes: match LONGEST_IMPORT > BODY_LIMIT {
        true => LONGEST_IMPORT,
        false => BODY_LIMIT,
    },
    connections: 256,
    told: 16,
};
/// What to do where no document is.
const NOT_THERE: &str =
    "say where the document is: tidegate discover CONNECTION URL, or --file FILE";
/// The socket's mode: its owner and its group, which the directory must let in first.
const SOCKET_MODE: u32 = 0o660;

/// Asks for runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRequest {
    /// The flows; all if empty.
    pub flows: Vec<String>,
}

/// Names an account of a connection, in the query of a URL.
#[derive(Default, Debug, Clone, Serialize, Deserialize)]
pub struct WhichAccount {
    /// The account; without it the one without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// True if the server is not told when somebody signs out.
    #[serde(default)]
    pub offline: bool,
    /// True if another person may sign in than before.
    #[serde(default)]
    pub another_person: bool,
}

/// Asks for what a source says about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DescriptionWanted {
    /// Where that is: a URL, or a path below the connection's base URL; looked for if not said.
    pub at: Option<String>,
}

/// A login that has begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LoginBegun {
    /// In a browser that comes back.
    Browser(LoginStart),
    /// On any other device, with a code that is typed there.
    Device(DeviceStart),
}

impl LoginBegun {
    /// Returns its number, to finish it with.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::Browser(begun) => &begun.id,
            Self::Device(begun) => &begun.id,
        }
    }

    /// Returns what the person should know before.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        match self {
            Self::Browser(begun) => &begun.notices,
            Self::Device(begun) => &begun.notices,
        }
    }
}

/// How a login goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginAnswer {
    /// The whole URL the person was sent back to.
    Redirected(String),
    /// The code alone, for which the person has vouched.
    Code(String),
    /// Nothing yet: the person signs in elsewhere.
    Elsewhere,
}

/// A login that is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoginDone {
    /// The connection.
    pub connection: String,
    /// The account, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// When the access token expires, if the server says.
    pub expires_at: Option<jiff::Timestamp>,
    /// True if the connection can be kept alive without a person.
    pub refreshable: bool,
    /// The scopes that were granted, if the server says.
    pub scope: Option<String>,
    /// Who signed in, if that is known.
    #[serde(default)]
    pub person: Option<Person>,
    /// What the person should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<String>,
}

impl From<oauth::LoginDone> for LoginDone {
    fn from(done: oauth::LoginDone) -> Self {
        Self {
            connection: done.connection.to_string(),
            account: done.account.map(|name| name.to_string()),
            expires_at: done.expires_at,
            refreshable: done.can_refresh,
            scope: done.scope,
            person: done.person,
            notices: done.notices,
        }
    }
}

/// What could not be done, as an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// What failed and why.
    pub error: String,
    /// Who must act.
    pub remedy: Remedy,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    fn of(error: &(dyn std::error::Error + 'static), remedy: Remedy) -> Self {
        Self {
            error: crate::remedy::told(error),
            remedy,
            hint: None,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.remedy {
            Remedy::Wait => StatusCode::SERVICE_UNAVAILABLE,
            Remedy::Login => StatusCode::CONFLICT,
            Remedy::EditConfig => StatusCode::UNPROCESSABLE_ENTITY,
            Remedy::Report => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(self)).into_response()
    }
}

impl From<oauth::Error> for Failure {
    fn from(error: oauth::Error) -> Self {
        Self {
            hint: error.hint(),
            ..Self::of(&error, error.remedy())
        }
    }
}

impl From<run::Error> for Failure {
    fn from(error: run::Error) -> Self {
        Self::of(&error, error.remedy())
    }
}

/// The socket a house answers on; the file goes when this is dropped.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: Option<UnixListener>,
}

impl Socket {
    /// Makes the socket of `house`, which by its lock is the only one that may.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn bind(house: &House) -> std::io::Result<Self> {
        let path = house.config.socket();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(SOCKET_MODE))?;
        Ok(Self {
            path,
            listener: Some(listener),
        })
    }

    /// Answers until `stop`, and then until the requests under way are answered.
    pub async fn serve(mut self, house: House, stop: CancellationToken) {
        if let Some(listener) = self.listener.take() {
            door::serve(listener, router(house), BOUNDS, stop).await;
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A socket file that is left behind is removed by the next owner.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn router(house: House) -> Router {
    Router::new()
        .route("/v1/ping", get(|| async { StatusCode::NO_CONTENT }))
        .route("/v1/status", get(show_status))
        .route("/v1/runs", post(start_runs))
        .route("/v1/flows/{name}/preview", post(preview))
        .route("/v1/connections/{name}/login", post(begin_login))
        .route("/v1/connections/{name}/login/{id}", post(finish_login))
        .route(
            "/v1/connections/{name}/import",
            post(import).layer(DefaultBodyLimit::max(LONGEST_IMPORT)),
        )
        .route("/v1/connections/{name}/logout", post(logout))
        .route("/v1/connections/{name}/description", post(description))
        .merge(vault::routes())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(house)
}

async fn show_status(State(house): State<House>) -> Result<Json<status::Report>, Failure> {
    let report = house.report().await;
    report
        .map(Json)
        .map_err(|error| Failure::of(&error, error.remedy()))
}

/// Starts or joins runs, and tells what happens as JSON lines until all have ended.
async fn start_runs(
    State(house): State<House>,
    Json(request): Json<RunRequest>,
) -> Result<Response, Failure> {
    let flows: Vec<String> = if request.flows.is_empty() {
        house.config.flows.keys().map(ToString::to_string).collect()
    } else {
        request.flows.into_iter().take(MOST_FLOWS).collect()
    };
    // All names are looked up before anything starts.
    for flow in &flows {
        house.runner.known(flow)?;
    }
    let (lines, heard) = mpsc::channel(EVENTS);
    for flow in &flows {
        let handle = house.start_now(flow).await?;
        tokio::spawn(relay(handle, flow.clone(), lines.clone()));
    }
    let lines = stream::unfold(heard, |mut heard| async {
        let event: Event = heard.recv().await?;
        // An event is plain data, which always has a JSON form.
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(line), heard))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

async fn preview(
    State(house): State<House>,
    Path(name): Path<String>,
) -> Result<Json<run::Preview>, Failure> {
    let flow = house.runner.known(&name)?;
    let preview = house.runner.preview(&name).await;
    preview.map(Json).map_err(|error| Failure {
        hint: error.hint(flow),
        ..error.into()
    })
}

/// Passes a run's events on until it ends or nobody listens. The run itself goes on either way.
async fn relay(mut handle: Handle, flow: String, lines: mpsc::Sender<Event>) {
    if handle.joined {
        let joined = Event::Joined { flow };
        if lines.send(joined).await.is_err() {
            return;
        }
    }
    loop {
        match handle.events.recv().await {
            Ok(Event::Ended(_)) | Err(broadcast::error::RecvError::Closed) => break,
            Ok(event) => {
                if lines.send(event).await.is_err() {
                    return;
                }
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {} // progress only; the end is not missed
        }
    }
    let ended = handle.ended().await;
    // Whoever asked may have gone.
    let _ = lines.send(Event::Ended(ended)).await;
}

async fn begin_login(
    State(house): State<House>,
    Path(name): Path<String>,
    Query(which): Query<WhichAccount>,
) -> Result<Json<LoginBegun>, Failure> {
    let account = account(&house, &name, &which)?;
    let whom = match which.another_person {
        true => Whom::AnyPerson,
        false => Whom::SamePerson,
    };
    let elsewhere = house.config.connections.get(&account.connection);
    let elsewhere = elsewhere.is_some_and(Connection::signs_in_elsewhere);
    Ok(Json(match elsewhere {
        false => LoginBegun::Browser(house.keeper.begin_login_of(&account, whom).await?),
        true => LoginBegun::Device(house.keeper.begin_device_login(&account, whom).await?),
    }))
}

async fn finish_login(
    State(house): State<House>,
    Path((_name, id)): Path<(String, String)>,
    Json(answer): Json<LoginAnswer>,
) -> Result<Json<LoginDone>, Failure> {
    let done = match answer {
        LoginAnswer::Redirected(url) => house.keeper.finish_login(&id, &url).await?,
        LoginAnswer::Code(code) => house.keeper.finish_login_with_code(&id, &code).await?,
        LoginAnswer::Elsewhere => house.keeper.device_login(&id).await?,
    };
    Ok(Json(done.into()))
}

async fn import(
    State(house): State<House>,
    Path(name): Path<String>,
    Query(which): Query<WhichAccount>,
    body: Bytes,
) -> Result<Json<LoginDone>, Failure> {
    // Tokens are ASCII, so reading around other bytes loses nothing that counts.
    let brought = Secret::from(String::from_utf8_lossy(&body).into_owned());
    let account = account(&house, &name, &which)?;
    Ok(Json(house.keeper.import(&account, &brought).await?.into()))
}

async fn logout(
    State(house): State<House>,
    Path(name): Path<String>,
    Query(which): Query<WhichAccount>,
) -> Result<Json<SignedOut>, Failure> {
    let account = account(&house, &name, &which)?;
    let revocation = match which.offline {
        true => Revocation::Offline,
        false => Revocation::AtServer,
    };
    Ok(Json(house.keeper.logout(&account, revocation).await?))
}

/// Fetches what a source says about itself.
async fn description(
    State(house): State<House>,
    Path(name): Path<String>,
    Query(which): Query<WhichAccount>,
    Json(wanted): Json<DescriptionWanted>,
) -> Result<Json<Description>, Failure> {
    let account = account(&house, &name, &which)?;
    let found = house.runner.description(&account, wanted.at.as_deref());
    found.await.map(Json).map_err(|error| Failure {
        hint: match &error {
            run::Error::OAuth(error) => error.hint(),
            run::Error::Fetch(fetch::Error::Refused { .. }) => Some(NOT_THERE.to_owned()),
            run::Error::Fetch(error) => error.hint().map(str::to_owned),
            _ => None,
        },
        ..error.into()
    })
}

/// Returns the account that is meant, whether or not anybody has signed in to it.
fn account(house: &House, connection: &str, which: &WhichAccount) -> Result<Account, Failure> {
    let connection = known(house, connection)?;
    let Some(name) = &which.account else {
        return Ok(Account::of(connection));
    };
    let name = Name::parse(name).map_err(|why| Failure {
        error: format!("`{name}` is no name of an account: {why}"),
        remedy: Remedy::EditConfig,
        hint: None,
    })?;
    Ok(Account::named(connection, &name))
}

/// Returns the connection of that name.
fn known<'a>(house: &'a House, name: &str) -> Result<&'a Name, Failure> {
    let found = house.config.connections.get_key_value(name);
    found.map(|(name, _)| name).ok_or_else(|| Failure {
        error: format!("the running tidegate has no connection `{name}`"),
        remedy: Remedy::EditConfig,
        hint: Some("it was started with another configuration; restart it".to_owned()),
    })
}
