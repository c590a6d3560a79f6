//! What SIGTERM and SIGINT mean: the first stops gently, the second at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failed;
use crate::remedy::Remedy;
use crate::run::Stop;

/// Stops runs by signal, for as long as the process lives.
///
/// A token exchange under way is finished either way: whoever leaves waits for it.
pub(super) fn stop_runs(stop: Stop) -> Result<(), Failed> {
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::spawn(async move {
        next(&mut terminate, &mut interrupt).await;
        stop.gently.cancel();
        next(&mut terminate, &mut interrupt).await;
        stop.now.cancel();
    });
    Ok(())
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failed> {
    signal(kind).map_err(|error| {
        Failed::new(
            format!("could not listen for signals: {error}"),
            Remedy::Report,
            None,
        )
    })
}
