//! What was asked of the sandbox, and what came of it: the evidence of a test.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::authority::Place;
use super::refusal::Refusal;

/// The most requests of each kind that are written down; the oldest go first, counted.
const MAX_ENTRIES: usize = 200_000;
/// How many letters of a token's hash tell it from the others.
const FINGERPRINT: usize = 16;

/// What kind of token request it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// A code was presented.
    AuthorizationCode,
    /// A refresh token was presented.
    RefreshToken,
    /// Neither.
    Other,
}

/// What a token request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The token at this place was issued; what was presented is consumed.
    Granted(Place),
    /// It was refused.
    Refused(Refusal),
    /// A fault kept the request from having any effect.
    Untouched,
}

/// How far the answer to a token request got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It has not wholly left yet.
    UnderWay,
    /// It never left whole, because a fault said so.
    Withheld,
    /// It never left whole, because the client was gone.
    Unwritten,
    /// It left whole; whether it was read is not known yet.
    Written,
    /// The client took all of it from its socket: it asked again, or closed in good order.
    Read,
    /// It left whole, but the client went away without having taken it from its socket.
    Unread,
}

/// One request to the token endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Its number, from 1.
    pub number: u64,
    /// When it came.
    pub at: Timestamp,
    /// What it asked for.
    pub grant: Grant,
    /// A fingerprint of the code or refresh token presented; see [`fingerprint`].
    pub presented: String,
    /// Where the refresh token presented stands, if this sandbox issued it.
    pub place: Option<Place>,
    /// What it came to.
    pub outcome: Outcome,
    /// How far the answer got.
    pub delivery: Delivery,
    /// How many token requests were under way with it, itself included.
    pub parallel: usize,
}

/// One request to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// Its number, from 1.
    pub number: u64,
    /// When it came.
    pub at: Timestamp,
    /// Path and query, letter by letter as they came.
    pub target: String,
    /// Where the access token presented stands, if this sandbox issued it.
    pub place: Option<Place>,
    /// The status decided on, whatever a fault then made of the answer.
    pub status: u16,
}

/// The sandbox's memory of requests. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    tokens: Vec<TokenRequest>,
    tokens_forgotten: u64,
    calls: Vec<ApiRequest>,
    calls_forgotten: u64,
    under_way: usize,
    peak: usize,
}

/// Returns the mark by which the ledger knows a token: part of its SHA-256, in hex.
#[must_use]
pub fn fingerprint(token: &str) -> String {
    let hash = Sha256::digest(token.as_bytes());
    hash.iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>()[..FINGERPRINT]
        .to_owned()
}

impl Ledger {
    /// Returns all requests to the token endpoint, in order.
    #[must_use]
    pub fn token_requests(&self) -> Vec<TokenRequest> {
        self.lock().tokens.clone()
    }

    /// Returns the requests to the token endpoint that came after the one with this number.
    #[must_use]
    pub fn token_requests_after(&self, number: u64) -> Vec<TokenRequest> {
        let pages = self.lock();
        let after = pages
            .tokens
            .partition_point(|request| request.number <= number);
        pages.tokens[after..].to_vec()
    }

    /// Returns all requests to the API, in order.
    #[must_use]
    pub fn api_requests(&self) -> Vec<ApiRequest> {
        self.lock().calls.clone()
    }

    /// Returns the requests that consumed a refresh token, in order.
    #[must_use]
    pub fn consumed_refresh_tokens(&self) -> Vec<TokenRequest> {
        let consumed = |request: &TokenRequest| {
            request.grant == Grant::RefreshToken && matches!(request.outcome, Outcome::Granted(_))
        };
        self.token_requests().into_iter().filter(consumed).collect()
    }

    /// Returns the requests that presented a refresh token already consumed, in order, whatever
    /// they were answered.
    #[must_use]
    pub fn reuses(&self) -> Vec<TokenRequest> {
        let mut consumed = BTreeSet::new();
        let mut reuses = Vec::new();
        for request in self.token_requests() {
            let Some(place) = request.place else { continue };
            if consumed.contains(&place) {
                reuses.push(request);
            } else if matches!(request.outcome, Outcome::Granted(_)) {
                consumed.insert(place);
            }
        }
        reuses
    }

    /// Returns how many token requests were under way at once, at most.
    #[must_use]
    pub fn peak_parallel_token_requests(&self) -> usize {
        self.lock().peak
    }

    /// Writes down that a token request came.
    pub(super) fn open(&self, at: Timestamp, grant: Grant, presented: &str) -> TokenEntry {
        let mut pages = self.lock();
        pages.under_way += 1;
        pages.peak = pages.peak.max(pages.under_way);
        let number = pages.tokens_forgotten + pages.tokens.len() as u64 + 1;
        let request = TokenRequest {
            number,
            at,
            grant,
            presented: fingerprint(presented),
            place: None,
            outcome: Outcome::Untouched,
            delivery: Delivery::UnderWay,
            parallel: pages.under_way,
        };
        pages.tokens.push(request);
        if pages.tokens.len() > MAX_ENTRIES {
            pages.tokens.drain(..1);
            pages.tokens_forgotten += 1;
        }
        TokenEntry {
            ledger: self.clone(),
            number,
        }
    }

    /// Writes down an API request and its status.
    pub(super) fn call(&self, at: Timestamp, target: String, place: Option<Place>, status: u16) {
        let mut pages = self.lock();
        let number = pages.calls_forgotten + pages.calls.len() as u64 + 1;
        pages.calls.push(ApiRequest {
            number,
            at,
            target,
            place,
            status,
        });
        if pages.calls.len() > MAX_ENTRIES {
            pages.calls.drain(..1);
            pages.calls_forgotten += 1;
        }
    }

    /// Writes down how far the answer to a token request got.
    pub(super) fn deliver(&self, number: u64, delivery: Delivery) {
        self.edit(number, |request| request.delivery = delivery);
    }

    fn edit(&self, number: u64, edit: impl FnOnce(&mut TokenRequest)) {
        let mut pages = self.lock();
        let index = number.checked_sub(pages.tokens_forgotten + 1);
        let index = index.and_then(|index| usize::try_from(index).ok());
        if let Some(request) = index.and_then(|index| pages.tokens.get_mut(index)) {
            edit(request);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        // Every change is one step, so what a panic left behind is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A token request under way; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct TokenEntry {
    ledger: Ledger,
    /// The number of the request.
    pub number: u64,
}

impl TokenEntry {
    /// Writes down what the request came to.
    pub(super) fn settle(&self, place: Option<Place>, outcome: Outcome) {
        self.ledger.edit(self.number, |request| {
            request.place = place;
            request.outcome = outcome;
        });
    }
}

impl Drop for TokenEntry {
    fn drop(&mut self) {
        self.ledger.lock().under_way -= 1;
    }
}
