//! Keeps SQLite tables equal to OAuth-protected, paginated APIs.
pub mod bookmark;
pub mod clock;
pub mod config;
pub mod fetch;
pub mod http;
pub mod journal;
pub mod lock;
pub mod merge;
pub mod oauth;
pub mod record;
pub mod remedy;
pub mod sandbox;
pub mod scheduler;
pub mod seal;
pub mod secret;
pub mod store;
pub mod template;
