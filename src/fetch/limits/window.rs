//! A window a source tells about.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{LONGEST_WAIT, Spent};
use crate::clock;
use crate::config::Reserve;
use crate::fetch::Reason;

/// Windows with fewer calls than this have none to spare.
const RESERVED_FROM: u64 = 100;
/// Two ends of a window closer than this are the same end, told with another rounding.
const SAME_END: SignedDuration = SignedDuration::from_secs(2);

/// A window the source told us about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<u64>,
    pub(super) remaining: u64,
    pub(super) resets_at: Timestamp,
}

impl Window {
    /// Returns what is known after `later` told of the same window.
    pub(super) fn updated(&self, mut later: Self) -> Self {
        let apart = later.resets_at.duration_since(self.resets_at);
        // Within a window less is left all the time. A greater number is an answer that was
        // overtaken by another, or leaves out the calls now under way.
        if apart.abs() <= SAME_END {
            later.remaining = later.remaining.min(self.remaining);
        }
        later
    }

    /// Says until when no call may be made, if none may. Of a window we would have to park for,
    /// some calls are left to people and to other programs that share the quota.
    pub(super) fn spent(&self, now: Timestamp, reserve: Reserve) -> Option<Spent> {
        let is_long = clock::until(now, self.resets_at) > LONGEST_WAIT;
        let has_spare = self.limit.is_none_or(|limit| limit >= RESERVED_FROM);
        let kept = match is_long && has_spare {
            true => reserve.of(self.limit),
            false => 0,
        };
        let reason = Reason::Window { calls: self.limit };
        (self.remaining <= kept).then_some(Spent {
            until: self.resets_at,
            reason,
        })
    }
}
