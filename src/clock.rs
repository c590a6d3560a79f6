//! Where time comes from.
//!
//! Nothing else in the house asks the system for the time or sleeps on its own, so that a test,
//! the demo, or two processes together can decide what time it is. Long waits wake at least
//! every [`LOOK_AGAIN`], because a wall clock may be set, and a machine may be suspended.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// The longest a wait goes without looking at the wall clock again.
pub const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// A future that may be held behind a trait object.
pub type Sleep<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The clock everybody shares.
pub type SharedClock = Arc<dyn Clock>;

/// Tells the time, and waits for it.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Returns the present instant.
    fn now(&self) -> Timestamp;

    /// Completes once [`now`](Clock::now) has reached `at`; at once if it already has.
    fn sleep_until(&self, at: Timestamp) -> Sleep<'_>;
}

/// Completes once `wait` has passed on `clock`.
pub async fn sleep(clock: &dyn Clock, wait: Duration) {
    clock.sleep_until(after(clock.now(), wait)).await;
}

/// Returns the instant `wait` after `from`, held at the last instant there is.
#[must_use]
pub fn after(from: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait)
        .ok()
        .and_then(|wait| from.checked_add(wait).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Returns the instant `by` before `from`, or the first representable one.
#[must_use]
pub fn before(from: Timestamp, by: Duration) -> Timestamp {
    from.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// Returns how long it is from `from` until `to`; zero when `to` has passed.
#[must_use]
pub fn until(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this file is where time comes from"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this file is where waiting happens"
    )]
    fn sleep_until(&self, at: Timestamp) -> Sleep<'_> {
        Box::pin(async move {
            loop {
                let left = until(self.now(), at);
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(LOOK_AGAIN)).await;
            }
        })
    }
}

/// The machine's clock, from which one may leap ahead: what the demo shows of an hour, it shows in
/// a moment. Clones share the same time.
#[derive(Debug, Clone)]
pub struct LeapClock {
    ahead: watch::Sender<Duration>,
}

impl LeapClock {
    /// Makes a clock that is not ahead yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            ahead: watch::Sender::new(Duration::ZERO),
        }
    }

    /// Leaps ahead, and wakes whoever waited for a moment now past.
    pub fn leap(&self, by: Duration) {
        self.ahead
            .send_modify(|ahead| *ahead = ahead.saturating_add(by));
    }
}

impl Default for LeapClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for LeapClock {
    fn now(&self) -> Timestamp {
        after(SystemClock.now(), *self.ahead.borrow())
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep<'_> {
        let mut ahead = self.ahead.subscribe();
        Box::pin(async move {
            while self.now() < at {
                let left = until(self.now(), at);
                let machines = after(SystemClock.now(), left);
                tokio::select! {
                    () = SystemClock.sleep_until(machines) => {}
                    // The sender lives as long as `self`, which this future borrows.
                    _ = ahead.changed() => {}
                }
            }
        })
    }
}

/// A clock that stands still until it is moved.
///
/// Clones share the same time.
#[derive(Debug, Clone)]
pub struct SimClock {
    now: watch::Sender<Timestamp>,
}

impl SimClock {
    /// Makes a clock that stands at `start`.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self {
            now: watch::Sender::new(start),
        }
    }

    /// Moves the clock forward and wakes whoever waited for a moment now past.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now = after(*now, by));
    }

    /// Sets the clock, backwards too, as an administrator or a time server might.
    pub fn set(&self, to: Timestamp) {
        self.now.send_replace(to);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep<'_> {
        let mut now = self.now.subscribe();
        Box::pin(async move {
            // The sender lives as long as `self`, which this future borrows.
            let _ = now.wait_for(|now| *now >= at).await;
        })
    }
}

/// A clock read from a file that a test moves, shared by several processes.
#[cfg(feature = "test-clock")]
#[derive(Debug, Clone)]
pub struct FileClock {
    path: std::path::PathBuf,
}

#[cfg(feature = "test-clock")]
impl FileClock {
    /// The environment variable that names the file.
    pub const VARIABLE: &str = "TIDEGATE_TEST_CLOCK";

    /// Makes a clock that reads `path`, which holds one RFC 3339 instant.
    #[must_use]
    pub fn new(path: impl Into<std::path::PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Sets the time for everybody who reads this file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn set(&self, to: Timestamp) -> std::io::Result<()> {
        // Written beside and moved in place, so that no reader sees half an instant.
        let beside = self.path.with_extension("next");
        std::fs::write(&beside, to.to_string())?;
        std::fs::rename(&beside, &self.path)
    }

    /// Moves the time forward for everybody who reads this file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn advance(&self, by: Duration) -> std::io::Result<()> {
        self.set(after(self.now(), by))
    }
}

#[cfg(feature = "test-clock")]
impl Clock for FileClock {
    fn now(&self) -> Timestamp {
        let text = std::fs::read_to_string(&self.path)
            .unwrap_or_else(|error| panic!("could not read the test clock: {error}"));
        text.trim()
            .parse()
            .unwrap_or_else(|error| panic!("the test clock is wrong: {error}"))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this file is where waiting happens"
    )]
    fn sleep_until(&self, at: Timestamp) -> Sleep<'_> {
        const POLL: Duration = Duration::from_millis(5);
        Box::pin(async move {
            while self.now() < at {
                tokio::time::sleep(POLL).await;
            }
        })
    }
}

/// Returns the clock this process runs by: the machine's, or in test builds the file's.
#[must_use]
pub fn of_process() -> SharedClock {
    #[cfg(feature = "test-clock")]
    if let Some(path) = std::env::var_os(FileClock::VARIABLE) {
        return Arc::new(FileClock::new(path));
    }
    Arc::new(SystemClock)
}
