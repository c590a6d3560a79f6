//! Which slots a flow has; pure.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The rule that names a flow's slots.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// A cron rule of five fields (minute first) or six (second first), in a time zone.
    Cron {
        /// The rule.
        rule: Box<croner::Cron>,
        /// Its zone.
        zone: TimeZone,
    },
    /// A fixed interval, counted from the Unix epoch so that it names the same slots after a restart.
    Every(Duration),
}

impl Schedule {
    /// Returns the first slot after `after`, or `None` if there is none.
    #[must_use]
    pub fn next_after(&self, _after: Timestamp) -> Option<Timestamp> {
        None
    }
}
