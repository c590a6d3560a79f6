//! tidegate against an authorization server, an API and records that are not ours.
//!
//! oidc-provider rotates refresh tokens and revokes the whole grant when an old one is seen again,
//! access token included: the hardest server there is for a client that loses an answer. Server
//! and program live by one clock that only the test moves, so tokens expire when it says so.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod records;
mod refreshes;
mod signing_in;
#[path = "../support/mod.rs"]
mod support;
mod world;
