//! The life of the vault, seen from outside: what is sealed in it, which keys open it, and what a
//! person can do with it. Every test runs the real program and looks at its answers and its files.
//!
//! Time passes only where a test lets it, so these need the build feature `test-clock`.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod files;
mod import;
mod keypair;
mod keys;
mod restored;
mod secrets;
