//! What a token endpoint may answer, and what becomes of the connection: every error and every
//! shape of tokens, through a server that answers by a script.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod grants;
mod house;
mod shapes;
