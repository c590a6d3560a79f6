//! An authorization server that rotates refresh tokens by a rule the test chooses, stops where the
//! test says, and keeps a ledger; with an API behind it.

mod book;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::json;
use tidegate::clock::{Clock, FileClock};
use url::form_urlencoded;

use super::vault::{OnRecord, Vault};
use super::{Asked, Scripted, TempHouse, answer, json};
use book::{Book, Granted};

pub use book::{GRACE, LIFE, Rotation};

/// The longest a token request is held for the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the server holds a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It has the request, and has done nothing.
    BeforeCommit,
    /// It has done its part, and no byte of the answer is out.
    AfterCommit,
}

/// What goes wrong with a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The connection breaks before the server has done anything.
    NotSeen,
    /// The connection breaks after the server has done its part.
    AnswerLost,
    /// The server says that it is not available, having done nothing.
    Unavailable,
}

/// A refresh token that was presented.
#[derive(Debug, Clone)]
pub struct Presented {
    /// What the vault said at that moment.
    pub on_record: OnRecord,
    /// How often it has been presented for this credential, this time included.
    pub times: u32,
    /// True if the server had consumed or revoked it before.
    pub was_spent: bool,
    /// True if the server granted tokens, whether or not they arrived.
    pub is_granted: bool,
}

/// The server.
#[derive(Debug)]
pub struct RotatingServer {
    server: Scripted,
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct Desk {
    connection: String,
    state_dir: std::path::PathBuf,
    clock: FileClock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    book: Book,
    presented: Vec<(String, Presented)>,
    in_flight: u32,
    most_in_flight: u32,
    hold: Option<Hold>,
    is_held: bool,
    /// Whether the request that is held is worked on after all.
    goes_on: bool,
    troubles: VecDeque<Trouble>,
}

impl RotatingServer {
    /// Starts a server for a connection of `house`, on its clock.
    pub fn start(house: &TempHouse, connection: &str, rotation: Rotation) -> Self {
        let state = State {
            book: Book::new(rotation),
            presented: Vec::new(),
            in_flight: 0,
            most_in_flight: 0,
            hold: None,
            is_held: false,
            goes_on: true,
            troubles: VecDeque::new(),
        };
        let desk = Arc::new(Desk {
            connection: connection.to_owned(),
            state_dir: house.path("tidegate-state"),
            clock: house.clock(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let at_the_desk = Arc::clone(&desk);
        let server = Scripted::start(move |asked| at_the_desk.answer(asked));
        Self { server, desk }
    }

    /// Returns where it answers.
    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Returns every presentation of a refresh token, in order.
    pub fn presented(&self) -> Vec<Presented> {
        let state = self.desk.state();
        state.presented.iter().map(|(_, it)| it.clone()).collect()
    }

    /// Returns how many token requests were ever worked on at the same time.
    pub fn most_in_flight(&self) -> u32 {
        self.desk.state().most_in_flight
    }

    /// Returns true while a token request is worked on.
    pub fn is_busy(&self) -> bool {
        self.desk.state().in_flight > 0
    }

    /// Holds the next refresh at a point.
    pub fn hold_next(&self, at: Hold) {
        self.desk.state().hold = Some(at);
    }

    /// Returns true while a refresh is held.
    pub fn is_held(&self) -> bool {
        self.desk.state().is_held
    }

    /// Lets go of the refresh that is held; one held before its commit is worked on only if
    /// `goes_on`.
    pub fn let_go(&self, goes_on: bool) {
        let mut state = self.desk.state();
        state.hold = None;
        state.is_held = false;
        state.goes_on = goes_on;
        self.desk.changed.notify_all();
    }

    /// Orders troubles for the next refreshes, in place of what was ordered before.
    pub fn order(&self, troubles: &[Trouble]) {
        self.desk.state().troubles = troubles.iter().copied().collect();
    }
}

impl Desk {
    fn answer(&self, asked: &Asked) -> Vec<u8> {
        match asked.line.as_str() {
            "POST /token" => self.exchange(&asked.body),
            "GET /items" => self.items(&asked.headers),
            other => answer(404, &[], other),
        }
    }

    fn items(&self, headers: &str) -> Vec<u8> {
        let access = headers
            .lines()
            .find_map(|line| line.strip_prefix("authorization: Bearer "));
        let now = self.clock.now();
        let is_good = access.is_some_and(|access| self.state().book.admit(access.trim(), now));
        match is_good {
            true => json(&json!({ "items": [{ "id": 1, "name": "one" }] }).to_string()),
            false => answer(401, &["www-authenticate: Bearer"], ""),
        }
    }

    fn exchange(&self, body: &[u8]) -> Vec<u8> {
        let field = |name: &str| {
            let found = form_urlencoded::parse(body).find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned())
        };
        match field("grant_type").as_deref() {
            Some("authorization_code") => spell(self.state().book.sign_in(self.clock.now())),
            Some("refresh_token") => self.refresh(&field("refresh_token").unwrap_or_default()),
            _ => answer(400, &[], r#"{"error":"unsupported_grant_type"}"#),
        }
    }

    fn refresh(&self, refresh: &str) -> Vec<u8> {
        // What was written down must have been so before this came.
        let on_record = Vault::of_living(&self.state_dir).on_record(&self.connection);
        let trouble = {
            let mut state = self.state();
            state.in_flight += 1;
            state.most_in_flight = state.most_in_flight.max(state.in_flight);
            state.troubles.pop_front()
        };
        let answer = self.work(refresh, on_record, trouble);
        self.state().in_flight -= 1;
        answer
    }

    fn work(&self, refresh: &str, on_record: OnRecord, trouble: Option<Trouble>) -> Vec<u8> {
        let goes_on = self.hold_at(Hold::BeforeCommit);
        let is_worked_on = goes_on && matches!(trouble, None | Some(Trouble::AnswerLost));
        let granted = {
            let mut state = self.state();
            let was_spent = state.book.is_spent(refresh);
            let granted = match is_worked_on {
                true => state.book.refresh(refresh, self.clock.now()),
                false => None,
            };
            let generation = on_record.generation;
            let before = state
                .presented
                .iter()
                .filter(|(token, it)| token == refresh && it.on_record.generation == generation);
            let presented = Presented {
                times: 1 + before.count() as u32,
                was_spent,
                is_granted: granted.is_some(),
                on_record,
            };
            state.presented.push((refresh.to_owned(), presented));
            granted
        };
        self.hold_at(Hold::AfterCommit);
        match (trouble, granted) {
            (Some(Trouble::Unavailable), _) => answer(503, &[], "not now"),
            (Some(_), _) => Vec::new(),
            (None, _) if !goes_on => Vec::new(),
            (None, Some(granted)) => spell(granted),
            (None, None) => answer(400, &[], r#"{"error":"invalid_grant"}"#),
        }
    }

    /// Waits here if that was ordered; returns whether to go on.
    fn hold_at(&self, point: Hold) -> bool {
        let mut state = self.state();
        if state.hold != Some(point) {
            return true;
        }
        state.is_held = true;
        let wait = self
            .changed
            .wait_timeout_while(state, PATIENCE, |it| it.is_held);
        wait.unwrap().0.goes_on
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn spell(granted: Granted) -> Vec<u8> {
    let mut body = json!({
        "access_token": granted.access,
        "token_type": "Bearer",
        "expires_in": granted.expires_in.as_secs(),
    });
    if let Some(refresh) = granted.refresh {
        body["refresh_token"] = refresh.into();
    }
    json(&body.to_string())
}
