//! Looking before running: what a page would bring, what a source offers, what it would cost.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

mod descriptions;
mod discover;
mod plan;
mod preview;
#[path = "../support/mod.rs"]
mod support;
