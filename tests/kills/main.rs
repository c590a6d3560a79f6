//! Kill -9 of the real program at random moments of a sync and of a refresh, and what must hold
//! afterwards.
//!
//! The provider lives in the test's process and forgets nothing: its ledger says which refresh
//! token was presented and consumed, and whether the answer was read. After each kill the dead
//! process's files are looked into and held against that ledger; see [`evidence`]. Now and then a
//! run is left to finish, a person signs in where that is due, and the tables are compared with
//! the source, value by value.
//!
//! Each run of this test is another one, told by the seed in its first line. What chance decides
//! can be had again by that seed, but not the machine's own whims, so a failure may need several
//! tries. The long variant takes an hour or two on two cores:
//!
//! ```text
//! TIDEGATE_KILLS=10000 cargo test --features test-clock --test kills -- --nocapture
//! TIDEGATE_KILLS=500 TIDEGATE_SEED=4711 cargo test --features test-clock --test kills -- --nocapture
//! ```
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and its figures are its answer"
)]

mod evidence;
mod files;
mod story;
#[path = "../support/mod.rs"]
mod support;
mod tally;

use story::Story;
use support::{Dice, number};

/// How many kills there are unless `TIDEGATE_KILLS` says otherwise.
const KILLS: u64 = 200;

#[test]
fn promise_no_kill_loses_a_record_or_a_token_without_a_word() {
    let kills = number("TIDEGATE_KILLS").unwrap_or(KILLS);
    let seed = number("TIDEGATE_SEED").unwrap_or_else(Dice::any_seed);
    println!("TIDEGATE_KILLS={kills} TIDEGATE_SEED={seed}");
    let mut story = Story::begin(seed);
    while story.tally.kills() < kills {
        story.round();
    }
    story.finish();
    println!("{}", story.tally);
}
