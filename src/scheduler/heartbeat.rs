//! A beat every second, so that a step of the wall clock or a night of sleep is noticed soon.
//!
//! tokio-cron-scheduler gives the beat and nothing else: it decides nothing, and whoever listens
//! works without it, only slower to notice.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Once a second, the finest a cron rule can say.
const RULE: &str = "* * * * * *";

/// Beats once a second.
pub struct Heartbeat {
    beats: Arc<Notify>,
    source: Option<JobScheduler>,
}

impl Heartbeat {
    /// Starts to beat; stays silent, and says so in the log, if that is not possible.
    pub async fn start() -> Self {
        let mut heartbeat = Self::silent();
        match source(&heartbeat.beats).await {
            Ok(source) => heartbeat.source = Some(source),
            Err(error) => tracing::warn!(
                %error,
                "the heartbeat could not be started; a step of the clock is noticed later"
            ),
        }
        heartbeat
    }

    /// Makes one that never beats, for when somebody else moves the time.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            beats: Arc::new(Notify::new()),
            source: None,
        }
    }

    /// Completes at the next beat, or at once if one has passed since the last call.
    pub(super) async fn beat(&self) {
        self.beats.notified().await;
    }

    /// Stops beating.
    pub(super) async fn stop(self) {
        let Some(mut source) = self.source else {
            return;
        };
        if let Err(error) = source.shutdown().await {
            tracing::debug!(%error, "the heartbeat could not be stopped");
        }
    }
}

impl fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeat")
            .field("beats", &self.source.is_some())
            .finish()
    }
}

async fn source(beats: &Arc<Notify>) -> Result<JobScheduler, JobSchedulerError> {
    let source = JobScheduler::new().await?;
    let beats = Arc::clone(beats);
    source
        .add(Job::new(RULE, move |_, _| beats.notify_one())?)
        .await?;
    source.start().await?;
    Ok(source)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn beats_by_itself_until_it_is_stopped() {
        let heartbeat = Heartbeat::start().await;
        for _ in 0..2 {
            let beat = tokio::time::timeout(Duration::from_secs(20), heartbeat.beat());
            beat.await.expect("there is a beat every second");
        }
        heartbeat.stop().await;
    }
}
