//! What the tests of this room share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::vault::Credential;
use crate::clock::{self, Clock, SimClock, Sleep};
use crate::config::{
    BodyFormat, Call, ClientAuth, Endpoints, Grant, Method, OAuth, RefreshPolicy, RefreshWindow,
    RetryInDoubt, SecretSource, Session, SessionEnd, TokenAt,
};
use crate::secret::Secret;

/// A plain client of the token endpoint at `token_url`.
pub(super) fn oauth(token_url: &str) -> OAuth {
    OAuth {
        grant: Grant::AuthorizationCode {
            redirect_uri: "https://test.local/callback".parse().unwrap(),
            pkce: true,
            params: vec![("prompt".into(), "login".into())],
        },
        issuer: None,
        endpoints: Endpoints {
            token: Some(token_url.parse().unwrap()),
            authorization: Some(
                "https://login.example.com/authorize?tenant=7"
                    .parse()
                    .unwrap(),
            ),
            ..Endpoints::default()
        },
        client_id: "client".into(),
        client_secret: Some(SecretSource::Literal(Secret::from("CANARY-client-secret"))),
        client_auth: ClientAuth::Body,
        client_key: None,
        body: BodyFormat::Form,
        scopes: Vec::new(),
        scope_separator: " ".into(),
        resources: Vec::new(),
        token_params: Vec::new(),
        window: RefreshWindow::default(),
        policy: RefreshPolicy::Ahead,
        retry_in_doubt: RetryInDoubt::AtOnce,
        refresh_token_idle: None,
        refresh_token_absolute: None,
        refresh_limits: Vec::new(),
        default_lifetime: Duration::from_secs(3600),
        token_path: None,
        facts: Vec::new(),
        token_types: Vec::new(),
        errors: Vec::new(),
    }
}

/// A credential from a login at `issued_at`, whose access token lives for `life` seconds.
pub(super) fn credential(issued_at: Timestamp, life: Option<u64>) -> Credential {
    Credential {
        generation: 1,
        access_token: Secret::from("a"),
        has_refresh_token: true,
        issued_at,
        expires_at: life.map(|life| clock::after(issued_at, Duration::from_secs(life))),
        refresh_expires_at: None,
        rotates: true,
        refreshed: true,
        person: None,
        facts: Arc::default(),
        scope: None,
        signed_in_at: issued_at,
        login_is_finite: false,
    }
}

/// A login without OAuth that finds its token at the top of the answer.
pub(super) fn session(url: &str) -> Session {
    Session {
        login: Call {
            url: url.parse().unwrap(),
            method: Method::Post,
            headers: Vec::new(),
            body: None,
        },
        refresh: None,
        secrets: BTreeMap::new(),
        token: TokenAt::Path("$".parse().unwrap()),
        ends: SessionEnd::Untold,
    }
}

/// What the scripted server does with its next request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// Takes the refresh token it gave last, or a code, and gives the next pair.
    Rotate,
    /// Does the same, but the answer never leaves.
    RotateAndHangUp,
    /// Hangs up without having looked.
    HangUp,
    /// Says this.
    Say(u16, String),
    /// Waits until the test lets it go on with [`Server::release`], then goes on.
    Hold(Box<Reply>),
}

/// An authorization server that rotates refresh tokens: each works once, and one that was used
/// before kills the chain. What it does with each request can be scripted; else it rotates.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<Issued>,
    held: Notify,
    changed: Notify,
}

#[derive(Default)]
struct Issued {
    script: VecDeque<Reply>,
    bodies: Vec<String>,
    number: u32,
    is_dead: bool,
    under_way: u32,
    most_under_way: u32,
    lifetime: u64,
    padding: usize,
    date: Option<String>,
}

impl Server {
    /// Starts it on a free port.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        shared.state.lock().unwrap().lifetime = 600;
        let server = Self { url, shared };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        server
    }

    /// Says what happens to the next requests.
    pub(super) fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.issued().script.extend(replies);
    }

    /// Makes access tokens live for `seconds`.
    pub(super) fn lifetime(&self, seconds: u64) {
        self.issued().lifetime = seconds;
    }

    /// Makes every token longer by `bytes`.
    pub(super) fn padding(&self, bytes: usize) {
        self.issued().padding = bytes;
    }

    /// Says what time it is there, as an HTTP date.
    pub(super) fn date(&self, date: &str) {
        self.issued().date = Some(date.to_owned());
    }

    /// Lets the request that is held go on.
    pub(super) fn release(&self) {
        self.shared.held.notify_one();
    }

    /// Returns the bodies of all requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.issued().bodies.clone()
    }

    /// Returns the most requests that were ever under way at the same time.
    pub(super) fn most_under_way(&self) -> u32 {
        self.issued().most_under_way
    }

    /// Waits until `count` requests have come.
    pub(super) async fn asked(&self, count: usize) {
        loop {
            let changed = self.shared.changed.notified();
            if self.requests().len() >= count {
                return;
            }
            changed.await;
        }
    }

    fn issued(&self) -> MutexGuard<'_, Issued> {
        self.shared.state.lock().unwrap()
    }

    async fn serve(&self, mut stream: TcpStream) {
        let Some(body) = read_request(&mut stream).await else {
            return;
        };
        let reply = {
            let mut issued = self.issued();
            issued.bodies.push(body.clone());
            issued.under_way += 1;
            issued.most_under_way = issued.most_under_way.max(issued.under_way);
            issued.script.pop_front().unwrap_or(Reply::Rotate)
        };
        self.shared.changed.notify_waiters();
        let reply = match reply {
            Reply::Hold(reply) => {
                self.shared.held.notified().await;
                *reply
            }
            reply => reply,
        };
        let answer = match reply {
            Reply::Rotate => Some(self.rotate(&body)),
            Reply::RotateAndHangUp => {
                self.rotate(&body);
                None
            }
            Reply::HangUp | Reply::Hold(_) => None,
            Reply::Say(status, body) => Some((status, body)),
        };
        self.issued().under_way -= 1;
        if let Some((status, body)) = answer {
            let length = body.len();
            let date = self.issued().date.clone();
            let date = date.map_or_else(String::new, |date| format!("date: {date}\r\n"));
            let head =
                format!("HTTP/1.1 {status} X\r\n{date}content-length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(head.as_bytes()).await;
        }
    }

    fn rotate(&self, body: &str) -> (u16, String) {
        let mut issued = self.issued();
        let padding = "x".repeat(issued.padding);
        let spends = |token: &str| {
            body.contains("grant_type=refresh_token")
                && body.contains(&format!("refresh_token={token}&"))
        };
        let is_first = !body.contains("grant_type=refresh_token");
        let expected = format!("CANARY-r{}{padding}", issued.number);
        if is_first {
            issued.is_dead = false;
        } else if issued.is_dead || !spends(&expected) {
            issued.is_dead = true;
            let words = format!("the token {expected} is not for you");
            let body = serde_json::json!({"error": "invalid_grant", "error_description": words});
            return (400, body.to_string());
        }
        issued.number += 1;
        let number = issued.number;
        let tokens = serde_json::json!({
            "access_token": format!("CANARY-a{number}{padding}"),
            "refresh_token": format!("CANARY-r{number}{padding}"),
            "token_type": "bearer",
            "expires_in": issued.lifetime.to_string(),
        });
        (200, tokens.to_string())
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse::<usize>()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(body.to_owned());
            }
        }
        let read = stream.read(&mut chunk).await.ok()?;
        if read == 0 {
            return None;
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
}

/// A clock on which short waits pass at once, by moving it, and long ones wait for the test.
#[derive(Debug, Clone)]
pub(super) struct LeapClock(pub(super) SimClock);

/// The longest wait that passes by itself.
const LEAP: Duration = Duration::from_secs(60);

impl Clock for LeapClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep<'_> {
        if clock::until(self.0.now(), at) <= LEAP {
            let clock = self.0.clone();
            return Box::pin(async move {
                tokio::task::yield_now().await;
                if clock.now() < at {
                    clock.set(at);
                }
            });
        }
        self.0.sleep_until(at)
    }
}
