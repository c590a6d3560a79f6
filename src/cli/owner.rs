//! The way to whoever owns the state directory: a running tidegate, or this process itself.
//!
//! Either way the caller talks to a [`Client`] on the same socket, so that a command does the same
//! thing whether the service is up or not.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Failed;
use crate::clock::{self, SharedClock, SystemClock};
use crate::config::Config;
use crate::control::{Client, Problem, Socket};
use crate::daemon::{self, House};
use crate::lock;
use crate::status::{self, Report};

/// How often the owner is asked while it holds the lock but does not answer, because it is
/// starting or stopping. Counted rather than timed: a test may hold the clock still.
const TRIES: u32 = 300;
/// The pause between two tries; with [`TRIES`], half a minute in all.
const PAUSE: Duration = Duration::from_millis(100);

/// How long whoever still listens has to take its answer once everything is done. Somebody who only
/// holds a connection open must not keep the owner from leaving.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Waits until the socket has given its last answers, but not for ever.
pub(super) async fn last_answers(serving: JoinHandle<()>) {
    // How the socket ends changes nothing about the work that is done.
    let _ = tokio::time::timeout(LAST_ANSWERS, serving).await;
}

/// A way to the owner, and the house if that is this process.
pub(super) struct Owner {
    pub(super) client: Client,
    local: Option<Local>,
}

struct Local {
    house: House,
    serving: JoinHandle<()>,
    stop: CancellationToken,
}

impl Owner {
    /// Finds the owner of the state directory, or becomes it.
    pub(super) async fn reach(
        config: &Arc<Config>,
        purpose: &str,
        clock: &SharedClock,
    ) -> Result<Self, Failed> {
        let client = Client::new(&config.socket())?;
        let mut taken = None;
        for _ in 0..TRIES {
            match client.ping().await {
                Ok(()) => {
                    return Ok(Self {
                        client,
                        local: None,
                    });
                }
                Err(Problem::NoOwner { .. }) => {}
                Err(other) => return Err(other.into()),
            }
            match House::open(Arc::clone(config), purpose, Arc::clone(clock)).await {
                Ok(house) => {
                    return Ok(Self {
                        client,
                        local: Some(Local::serve(house)?),
                    });
                }
                Err(daemon::Error::Lock(error @ lock::Error::Taken { .. })) => taken = Some(error),
                Err(other) => return Err(other.into()),
            }
            clock::sleep(&SystemClock, PAUSE).await;
        }
        Err(taken.map_or_else(|| Failed::busy(&config.state_dir), Failed::from))
    }

    /// Returns the house, if this process owns it.
    pub(super) fn house(&self) -> Option<&House> {
        self.local.as_ref().map(|local| &local.house)
    }

    /// Closes the house, if it is ours, after everything under way has ended.
    pub(super) async fn leave(self) {
        let Some(Local {
            house,
            serving,
            stop,
        }) = self.local
        else {
            return;
        };
        // Nobody new is let in; runs that others have asked for meanwhile are finished.
        stop.cancel();
        house.close().await;
        last_answers(serving).await;
    }
}

impl Local {
    fn serve(house: House) -> Result<Self, Failed> {
        let socket = Socket::bind(&house)
            .map_err(|source| Failed::socket(&house.config.socket(), &source))?;
        let stop = CancellationToken::new();
        let serving = tokio::spawn(socket.serve(house.clone(), stop.clone()));
        Ok(Self {
            house,
            serving,
            stop,
        })
    }
}

/// Asks the owner one question, and leaves.
pub(super) async fn ask<T>(
    config: &Arc<Config>,
    purpose: &str,
    clock: &SharedClock,
    question: impl AsyncFnOnce(&Client) -> Result<T, Problem>,
) -> Result<T, Failed> {
    let owner = Owner::reach(config, purpose, clock).await?;
    let answer = question(&owner.client).await;
    owner.leave().await;
    Ok(answer?)
}

/// Asks the owner, or reads the files where there is none.
pub(super) async fn report(config: &Arc<Config>, clock: &SharedClock) -> Result<Report, Failed> {
    match Client::new(&config.socket())?.status().await {
        Ok(report) => Ok(report),
        Err(Problem::NoOwner { .. }) => Ok(status::of_files(config, clock.now())?),
        Err(other) => Err(other.into()),
    }
}
