//! The whole house, from outside: a configuration and a provider in, rows, journal and messages out.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

mod equal;
#[path = "../support/mod.rs"]
mod support;
