//! Named points of an exchange at which a test can stop it, so that a kill hits exactly there.
//!
//! A build without the feature `test-clock` has none: [`reach`] does nothing in it.

use crate::config::Name;

/// The step of an exchange that was the last.
#[derive(Debug, Clone, Copy)]
pub(super) enum Point {
    /// The attempt is written down, and nothing is sent.
    Intent,
    /// The answer is kept in the rescue file, and not looked at.
    RescueWrite,
    /// The new credential is stored, and nobody has it.
    Commit,
    /// The rescue file is removed.
    Unlink,
    /// A data key is under the current key, and others may not be.
    Rewrap,
}

/// Stops the exchange of `connection` for good after this step if a test has ordered it here.
///
/// The order is a file `CONNECTION.POINT` in the directory that `TIDEGATE_TEST_STOP_AT` names; it
/// gets the ending `.reached` once it is obeyed.
#[cfg(feature = "test-clock")]
pub(super) async fn reach(connection: &Name, point: Point) {
    let Some(orders) = std::env::var_os("TIDEGATE_TEST_STOP_AT") else {
        return;
    };
    let point = match point {
        Point::Intent => "after_intent",
        Point::RescueWrite => "after_rescue_write",
        Point::Commit => "after_commit",
        Point::Unlink => "after_unlink",
        Point::Rewrap => "after_rewrap",
    };
    let order = std::path::Path::new(&orders).join(format!("{connection}.{point}"));
    if std::fs::rename(&order, order.with_extension(format!("{point}.reached"))).is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Stops the upkeep of the vault for good after this step, if a test has ordered it by a file
/// `vault.POINT`.
#[cfg(feature = "test-clock")]
pub(super) async fn reach_upkeep(point: Point) {
    if let Ok(vault) = Name::parse("vault") {
        reach(&vault, point).await;
    }
}

/// Goes on: nothing can be ordered in this build.
#[cfg(not(feature = "test-clock"))]
pub(super) async fn reach_upkeep(_point: Point) {}

/// Goes on: nothing can be ordered in this build.
#[cfg(not(feature = "test-clock"))]
pub(super) async fn reach(_connection: &Name, _point: Point) {}
