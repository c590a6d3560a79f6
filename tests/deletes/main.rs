//! Rows that are gone at the source, from outside: a scripted source in, rows and counts out.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

mod delta;
mod items;
mod shelf;
#[path = "../support/mod.rs"]
mod support;
mod swept;
mod told;
