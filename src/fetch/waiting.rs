//! Waits, and why.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::shown;

/// A wait that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// When it ends.
    pub until: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// Why we wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The source said that a window of its own is used up.
    Window {
        /// How many calls the window has, if it says.
        calls: Option<u64>,
    },
    /// The source asked us to stay away (`Retry-After`).
    Asked,
    /// A budget the configuration states is used up.
    Budget {
        /// How many calls.
        calls: u64,
        /// In how long.
        per: Duration,
    },
    /// An endpoint refused us so often that the source would soon block us.
    Refusals {
        /// How many refusals it forgives.
        errors: u64,
        /// In how long.
        per: Duration,
    },
    /// The source was overloaded a short time ago, and is asked more slowly.
    Overloaded,
    /// A try failed; another follows.
    Failed {
        /// What was answered, if anything.
        status: Option<u16>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window { calls: Some(calls) } => {
                write!(f, "the source's quota of {calls} calls is used up")
            }
            Self::Window { calls: None } => f.write_str("the source's quota is used up"),
            Self::Asked => f.write_str("the source asked us to wait"),
            Self::Budget { calls, per } => {
                write!(
                    f,
                    "the stated limit of {calls} calls in {} is used up",
                    shown(*per)
                )
            }
            Self::Refusals { errors, per } => write!(
                f,
                "the source blocks clients after {errors} refused requests in {}, and has refused \
                 nearly as many",
                shown(*per)
            ),
            Self::Overloaded => f.write_str("the source was overloaded; it is asked more slowly"),
            Self::Failed {
                status: Some(status),
            } => write!(f, "the source answered {status}"),
            Self::Failed { status: None } => f.write_str("there was no whole answer"),
        }
    }
}
