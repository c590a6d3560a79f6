//! Authorization codes: proof that a person said yes, good once and not for long.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock;

use super::dice::Dice;

/// The most codes that are remembered; the oldest are forgotten first, and then are not valid.
const MAX_CODES: usize = 1_000;
/// How many letters a code has.
const LENGTH: usize = 60;

/// The codes that were given out, used ones included.
#[derive(Debug, Default)]
pub(super) struct Codes(VecDeque<Code>);

#[derive(Debug)]
struct Code {
    text: String,
    redirect_uri: String,
    issued_at: Timestamp,
    used: bool,
}

impl Codes {
    /// Gives out a code to be sent to `redirect_uri`.
    pub(super) fn issue(&mut self, dice: &mut Dice, redirect_uri: &str, now: Timestamp) -> String {
        if self.0.len() == MAX_CODES {
            self.0.pop_front();
        }
        let text = dice.opaque(LENGTH);
        let redirect_uri = redirect_uri.to_owned();
        self.0.push_back(Code {
            text: text.clone(),
            redirect_uri,
            issued_at: now,
            used: false,
        });
        text
    }

    /// Uses a code up; false if it was not good any more, or not for that redirect URI.
    pub(super) fn redeem(
        &mut self,
        text: &str,
        redirect_uri: &str,
        life: Duration,
        now: Timestamp,
    ) -> bool {
        let Some(code) = self.0.iter_mut().find(|code| code.text == text) else {
            return false;
        };
        let fresh = !std::mem::replace(&mut code.used, true);
        fresh && code.redirect_uri == redirect_uri && now <= clock::after(code.issued_at, life)
    }

    /// Returns the codes themselves.
    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|code| &code.text)
    }
}
