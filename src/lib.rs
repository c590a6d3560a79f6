//! Keeps SQLite tables equal to OAuth-protected, paginated APIs.
//!
//! This is the library behind the `tidegate` program; `main` only calls [`cli::main`]. The modules
//! stand here in the order data travels; ARCHITECTURE.md is the map with the reasons.
//!
//! Calls go down only, from the door to the stones, and modules of one floor do not know each
//! other. `tests/tidy.rs` holds us to it.

// Stones: everybody's, and they use nothing of ours.
pub mod clock;
pub mod record;
pub mod remedy;
pub mod secret;

// Ground: what the stages stand on.
pub mod config;
pub mod http;
pub mod jq;
pub mod lock;
pub mod seal;
pub mod store;
pub mod template;

// Stages: strangers to each other.
pub mod bookmark;
pub mod discover;
pub mod fetch;
pub mod journal;
pub mod merge;
pub mod oauth;
pub mod quota;

// Table: the one place where the stages meet.
pub mod run;

// Upper: when to run, what it will cost, and how everything is.
pub mod plan;
pub mod scheduler;
pub mod status;

// Hall: opens everything long-lived and closes it again.
pub mod daemon;

// Door: words in and out, and the interface on the Unix socket.
pub mod cli;
pub mod control;

// Aside: a provider to practise on.
pub mod sandbox;
