//! The authorization server's mind: codes, chains of tokens, and what it refuses.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use crate::clock;

use super::codes::Codes;
use super::dice::Dice;
use super::refusal::Refusal;
use super::settings::Settings;

/// The most token pairs that are remembered; the oldest are forgotten first.
const MAX_PAIRS: usize = 100_000;
/// How long tokens are; the service's own are about a thousand letters.
const ACCESS_TOKEN_LENGTH: usize = 900;
const REFRESH_TOKEN_LENGTH: usize = 400;

/// Where in a chain of rotations a token stands. A login starts a chain with generation 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Which login the token descends from, from 1.
    pub chain: u64,
    /// Which token pair of that login it is, from 1.
    pub generation: u64,
}

/// What a granted request yields.
#[derive(Debug)]
pub(super) struct Tokens {
    pub access: String,
    pub refresh: String,
    pub place: Place,
}

#[derive(Debug)]
struct Chain {
    generation: u64,
    granted_at: Timestamp,
    alive: bool,
}

/// Everything the authorization server remembers.
#[derive(Debug)]
pub(super) struct Authority {
    settings: Settings,
    pub client_id: String,
    pub client_secret: String,
    dice: Dice,
    codes: Codes,
    chains: Vec<Chain>,
    access: HashMap<String, (Place, Timestamp)>,
    refresh: HashMap<String, Place>,
    pairs: VecDeque<(String, String)>,
}

impl Authority {
    pub(super) fn new(settings: Settings) -> Self {
        let mut dice = Dice::new(settings.seed, &[u64::from_be_bytes(*b"app\0\0\0\0\0")]);
        Self {
            client_id: dice.guid(),
            client_secret: dice.opaque(24),
            dice,
            codes: Codes::default(),
            chains: Vec::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            pairs: VecDeque::new(),
            settings,
        }
    }

    /// Tells whether a person may be sent back to `uri`.
    pub(super) fn sends_back_to(&self, uri: &str) -> bool {
        uri == self.settings.redirect_uri.as_str()
            || (self.settings.allow_loopback && uri.starts_with("http://127.0.0.1:"))
    }

    /// Writes down that the person said yes; returns the code that proves it.
    pub(super) fn consent(&mut self, redirect_uri: &str, now: Timestamp) -> String {
        self.codes.issue(&mut self.dice, redirect_uri, now)
    }

    /// Exchanges a code. A person has one live chain with an app: a new one ends the older.
    pub(super) fn exchange(
        &mut self,
        code: &str,
        redirect_uri: &str,
        now: Timestamp,
    ) -> Result<Tokens, Refusal> {
        let life = self.settings.code_life;
        if !self.codes.redeem(code, redirect_uri, life, now) {
            return Err(Refusal::BadCode);
        }
        for older in &mut self.chains {
            older.alive = false;
        }
        self.chains.push(Chain {
            generation: 0,
            granted_at: now,
            alive: true,
        });
        Ok(self.grant(self.chains.len() as u64, now))
    }

    /// Exchanges a refresh token for the next pair of its chain.
    pub(super) fn refresh(&mut self, token: &str, now: Timestamp) -> Result<Tokens, Refusal> {
        let place = self.place_of(token).ok_or(Refusal::DeadChain)?;
        let (not_before, idle) = (
            self.settings.refresh_not_before,
            self.settings.refresh_token_idle,
        );
        let chain = self.chain(place.chain);
        if !chain.alive {
            return Err(Refusal::DeadChain);
        }
        // Looked at before the time: a token used twice is a thief or a lost answer at any hour.
        if place.generation != chain.generation {
            chain.alive = false;
            return Err(Refusal::Reused);
        }
        if now < clock::after(chain.granted_at, not_before) {
            return Err(Refusal::TooEarly);
        }
        let ends_at = clock::after(chain.granted_at, idle);
        if now > ends_at {
            return Err(Refusal::Expired(ends_at));
        }
        Ok(self.grant(place.chain, now))
    }

    /// Returns where a refresh token stands, consumed ones included.
    pub(super) fn place_of(&self, refresh_token: &str) -> Option<Place> {
        self.refresh.get(refresh_token).copied()
    }

    /// Returns where an access token stands, and whether it can still be used.
    ///
    /// It can until it expires, also when its chain has ended meanwhile.
    pub(super) fn access(&self, token: &str, now: Timestamp) -> Option<(Place, bool)> {
        self.access
            .get(token)
            .map(|(place, ends_at)| (*place, now < *ends_at))
    }

    /// Ends every chain, as a person does who withdraws their consent.
    pub(super) fn withdraw(&mut self) {
        for chain in &mut self.chains {
            chain.alive = false;
        }
        self.access.clear();
    }

    /// Returns all that must appear nowhere: the client's secret, tokens and codes.
    pub(super) fn secrets(&self) -> Vec<String> {
        let pairs = self
            .pairs
            .iter()
            .flat_map(|(access, refresh)| [access, refresh]);
        std::iter::once(&self.client_secret)
            .chain(pairs)
            .chain(self.codes.texts())
            .cloned()
            .collect()
    }

    fn chain(&mut self, number: u64) -> &mut Chain {
        let index = usize::try_from(number)
            .unwrap_or_default()
            .saturating_sub(1);
        &mut self.chains[index]
    }

    fn grant(&mut self, number: u64, now: Timestamp) -> Tokens {
        let chain = self.chain(number);
        chain.generation += 1;
        chain.granted_at = now;
        let place = Place {
            chain: number,
            generation: chain.generation,
        };
        let access = self.dice.opaque(ACCESS_TOKEN_LENGTH);
        let refresh = self.dice.opaque(REFRESH_TOKEN_LENGTH);
        let ends_at = clock::after(now, self.settings.access_token_life);
        self.access.insert(access.clone(), (place, ends_at));
        self.refresh.insert(refresh.clone(), place);
        self.pairs.push_back((access.clone(), refresh.clone()));
        if self.pairs.len() > MAX_PAIRS
            && let Some((access, refresh)) = self.pairs.pop_front()
        {
            self.access.remove(&access);
            self.refresh.remove(&refresh);
        }
        Tokens {
            access,
            refresh,
            place,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const URI: &str = "https://tidegate.example/oauth-callback";

    fn at(seconds: u64) -> Timestamp {
        clock::after(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds))
    }

    fn signed_in() -> (Authority, Tokens) {
        let mut authority = Authority::new(Settings::default());
        let code = authority.consent(URI, at(0));
        let tokens = authority.exchange(&code, URI, at(0)).unwrap();
        (authority, tokens)
    }

    #[test]
    fn a_code_works_once_in_time_and_for_its_own_redirect() {
        let mut authority = Authority::new(Settings::default());
        let code = authority.consent(URI, at(0));
        assert!(code.contains('!'));
        assert!(authority.exchange(&code, URI, at(180)).is_ok());
        assert_eq!(
            authority.exchange(&code, URI, at(180)).unwrap_err(),
            Refusal::BadCode
        );
        let late = authority.consent(URI, at(0));
        assert_eq!(
            authority.exchange(&late, URI, at(181)).unwrap_err(),
            Refusal::BadCode
        );
        let other = authority.consent(URI, at(0));
        assert_eq!(
            authority.exchange(&other, "https://x/", at(1)).unwrap_err(),
            Refusal::BadCode
        );
    }

    #[test]
    fn a_refresh_too_early_consumes_nothing() {
        let (mut authority, first) = signed_in();
        assert_eq!(
            authority.refresh(&first.refresh, at(569)).unwrap_err(),
            Refusal::TooEarly
        );
        let second = authority.refresh(&first.refresh, at(570)).unwrap();
        assert_eq!(
            second.place,
            Place {
                chain: 1,
                generation: 2
            }
        );
        assert_eq!(
            authority.refresh(&second.refresh, at(1139)).unwrap_err(),
            Refusal::TooEarly
        );
    }

    #[test]
    fn an_old_refresh_token_ends_the_chain() {
        let (mut authority, first) = signed_in();
        let second = authority.refresh(&first.refresh, at(600)).unwrap();
        assert_eq!(
            authority.refresh(&first.refresh, at(601)).unwrap_err(),
            Refusal::Reused
        );
        assert_eq!(
            authority.refresh(&second.refresh, at(1300)).unwrap_err(),
            Refusal::DeadChain
        );
        assert!(authority.access(&second.access, at(1199)).unwrap().1);
        assert!(!authority.access(&second.access, at(1200)).unwrap().1);
    }

    #[test]
    fn a_new_consent_ends_the_older_chain() {
        let (mut authority, first) = signed_in();
        let code = authority.consent(URI, at(1));
        let other = authority.exchange(&code, URI, at(2)).unwrap();
        assert_eq!(
            other.place,
            Place {
                chain: 2,
                generation: 1
            }
        );
        assert_eq!(
            authority.refresh(&first.refresh, at(600)).unwrap_err(),
            Refusal::DeadChain
        );
    }

    #[test]
    fn a_refresh_token_ends_after_thirty_idle_days() {
        let (mut authority, first) = signed_in();
        let refused = authority
            .refresh(&first.refresh, at(30 * 86_400 + 1))
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "The refresh token expired at 1/31/1970 12:00:00 AM"
        );
        assert!(authority.refresh(&first.refresh, at(30 * 86_400)).is_ok());
    }
}
