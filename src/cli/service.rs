//! The service: what `tidegate` does without a command.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Exit, Failed, owner, secret, signals};
use crate::clock::{self, SharedClock};
use crate::config::Config;
use crate::control::Socket;
use crate::daemon::House;

/// How often the service manager's line is written anew.
const TELL_EVERY: Duration = Duration::from_secs(10);

pub(super) async fn serve(config: &Arc<Config>, clock: &SharedClock) -> Result<Exit, Failed> {
    let house = House::open(Arc::clone(config), "service", Arc::clone(clock)).await?;
    let socket = Socket::bind(&house).map_err(|error| Failed::socket(&config.socket(), &error))?;
    let stop = house.runner.stop().clone();
    signals::stop_runs(stop.clone())?;
    let (flows, connections) = (config.flows.len(), config.connections.len());
    info!(flows, connections, state_dir = %config.state_dir.display(), "started");
    for warning in config.warnings.iter().chain(&secret::missing(config)) {
        warn!("{warning}");
    }
    notify(&[NotifyState::Ready]);

    let serving = tokio::spawn(socket.serve(house.clone(), stop.gently.clone()));
    let (lived, ()) = tokio::join!(
        house.live(stop.gently.clone()),
        tell_the_manager(&house, stop.gently.clone()),
    );
    notify(&[
        NotifyState::Stopping,
        NotifyState::Status("finishing what is under way"),
    ]);
    house.close().await;
    owner::last_answers(serving).await;
    lived?;
    Ok(Exit::Done)
}

/// Keeps the line that `systemctl status` shows.
async fn tell_the_manager(house: &House, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match house.report().await {
            Ok(report) => notify(&[NotifyState::Status(&report.line)]),
            Err(error) => warn!(%error, "could not tell how the house is"),
        }
        tokio::select! {
            () = clock::sleep(&*house.clock, TELL_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Tells the service manager, where there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "could not tell the service manager");
    }
}
