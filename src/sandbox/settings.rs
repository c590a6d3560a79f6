//! What a sandbox is told before it starts.

use std::time::Duration;

use url::Url;

use super::fault::{At, Fault};

/// How a sandbox behaves. [`Settings::default`] is the service as it is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Decides every value, key and token: the same seed tells the same story.
    pub seed: u64,
    /// The port to listen on; 0 for any that is free.
    pub port: u16,
    /// The divisions the person and the app may use. The first is the current one.
    pub divisions: Vec<i32>,
    /// How many projects the first division begins with; the others have a tenth.
    pub projects: usize,
    /// Where the app's registration sends people back to. Compared letter by letter.
    pub redirect_uri: Url,
    /// Whether any `http://127.0.0.1` address may be sent back to as well. The real service
    /// refuses those; automated logins need them.
    pub allow_loopback: bool,
    /// How long an access token can be used.
    pub access_token_life: Duration,
    /// How long after a token answer the next refresh is refused.
    pub refresh_not_before: Duration,
    /// How long a refresh token lives unused.
    pub refresh_token_idle: Duration,
    /// How long a code can be exchanged.
    pub code_life: Duration,
    /// How many calls a division takes in a minute.
    pub calls_per_minute: u32,
    /// How many calls a division takes in a day of UTC.
    pub calls_per_day: u32,
    /// How many 4xx answers an endpoint gives in an hour before it blocks for one.
    pub errors_per_hour: usize,
    /// How many records an ordinary page holds.
    pub page: usize,
    /// How many records a page of a sync feed holds.
    pub bulk_page: usize,
    /// What goes wrong from the start: where, what, and how many times.
    pub faults: Vec<(At, Fault, u32)>,
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 1,
            port: 0,
            divisions: vec![123_456, 123_457, 234_567],
            projects: 300,
            redirect_uri: Url::parse("https://tidegate.example/oauth-callback")
                .expect("a constant address is an address"),
            allow_loopback: false,
            access_token_life: Duration::from_secs(600),
            refresh_not_before: Duration::from_secs(570),
            refresh_token_idle: DAY * 30,
            code_life: MINUTE * 3,
            calls_per_minute: 60,
            calls_per_day: 5_000,
            errors_per_hour: 10,
            page: 60,
            bulk_page: 1_000,
            faults: Vec::new(),
        }
    }
}
