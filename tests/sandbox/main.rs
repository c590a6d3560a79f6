//! The sandbox, met as a stranger meets the real service: with an HTTP client and its manual.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

mod guest;
mod our_reader;
mod reading;
mod signing_in;
mod trouble;
