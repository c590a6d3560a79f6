//! Before and after consent: a person signs in at a server that says what a test writes.
//!
//! Time passes only where a test lets it, so these need the build feature `test-clock`.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

#[path = "../support/mod.rs"]
mod support;

mod authority;
mod consent;
mod device;
mod discovery;
mod facts;
mod person;
mod scopes;
