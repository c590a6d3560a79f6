//! Kill -9 of the real process at named points of a refresh, against servers that treat a refresh
//! token they have seen before in six different ways.
//!
//! Six connections live in one process, each with a server of another kind. In every round each of
//! them refreshes and stops at a point that chance chooses; then the process is killed, and the
//! next one finds what is left. A *run* is one connection that went through one kill. What must
//! hold, by the servers' ledgers and by what the vault said at the moment a token was presented:
//!
//! - No refresh token is presented that was not written down before, and none twice for the same
//!   credential unless its doubt was written down before.
//! - A server never works on two token requests of one grant at the same time.
//! - The kill hit where it was meant to: the vault and the rescue file say so.
//! - After the restart the connection is `ok` wherever the server's own rules allow it, with data
//!   flowing; elsewhere it says `needs_login` because of `rotation_answer_lost`. One of the two
//!   comes to be, and a new login mends the second.
//!
//! The seed stands in the first line, and the table of all runs in the last ones. The long variant:
//!
//! ```text
//! TIDEGATE_POINTS=1000 cargo test --features test-clock --test points -- --nocapture
//! TIDEGATE_POINTS=60 TIDEGATE_SEED=4711 cargo test --features test-clock --test points -- --nocapture
//! ```
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and its figures are its answer"
)]

mod fate;
mod story;
#[path = "../support/mod.rs"]
mod support;
mod tally;

use story::Story;
use support::{Dice, number};

/// How many runs there are at least unless `TIDEGATE_POINTS` says otherwise.
const RUNS: u64 = 90;

#[test]
fn promise_no_kill_within_a_refresh_loses_a_grant_that_the_server_would_keep() {
    let runs = number("TIDEGATE_POINTS").unwrap_or(RUNS);
    let seed = number("TIDEGATE_SEED").unwrap_or_else(Dice::any_seed);
    println!("TIDEGATE_POINTS={runs} TIDEGATE_SEED={seed}");
    let mut story = Story::begin(seed);
    while story.tally.runs() < runs {
        story.round();
    }
    println!("{}", story.tally);
}
