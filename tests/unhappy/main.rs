//! What goes wrong, and what a person is told: each test pins the whole block of exit code, answer
//! and talk, and then shows that data and tokens are left whole.
//!
//! Time passes only where a test lets it, so these need the build feature `test-clock`.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

#[path = "../support/mod.rs"]
mod support;

mod damage;
mod disk;
mod login;
mod names;
mod read_only;
mod shop;
mod source;
mod stopping;
