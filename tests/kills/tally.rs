//! What the test has seen, as a table.

use std::collections::BTreeMap;
use std::fmt;

use crate::evidence::Scene;

/// Counts of one whole test.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// What was under way at each kill.
    pub(crate) scenes: BTreeMap<Scene, u64>,
    /// How many of them killed the daemon rather than `--run-now`.
    pub(crate) daemons: u64,
    /// How many processes ended before they could be killed.
    pub(crate) too_late: u64,
    /// Token requests that consumed a refresh token.
    pub(crate) rotations: u64,
    /// Attempts that were written down as doubtful.
    pub(crate) doubts: u64,
    /// Consumed refresh tokens presented once more, with that doubt on record.
    pub(crate) reuses: u64,
    /// Answers that were lost before the program had them.
    pub(crate) never_read: u64,
    /// Answers that a process had read but not yet kept when it was killed.
    pub(crate) read_not_kept: u64,
    /// Answers that a killed process had kept, and the next one stored.
    pub(crate) rescued: u64,
    /// Logins after the first one.
    pub(crate) logins: u64,
    /// Runs left open by a kill, and closed as interrupted by the next.
    pub(crate) interrupted: u64,
    /// Runs that were left to finish.
    pub(crate) finished: u64,
    /// Rows compared with the source.
    pub(crate) rows: u64,
}

impl Tally {
    pub(crate) fn kills(&self) -> u64 {
        self.scenes.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |number: u64, what: &str| writeln!(f, "{number:>8}  {what}");
        line(self.kills(), "kills, when there was under way:")?;
        for (scene, count) in &self.scenes {
            line(*count, &format!("  {}", scene.words()))?;
        }
        line(
            self.daemons,
            "of these kills of the daemon, the others of --run-now",
        )?;
        line(
            self.too_late,
            "processes that ended before they could be killed",
        )?;
        line(self.rotations, "refresh tokens consumed")?;
        line(self.doubts, "attempts in doubt")?;
        line(
            self.reuses,
            "consumed refresh tokens presented again, each in doubt on record",
        )?;
        line(self.never_read, "answers lost on their way")?;
        line(
            self.read_not_kept,
            "answers read by a process killed before it could keep them",
        )?;
        line(
            self.rescued,
            "answers kept by a killed process and stored by the next",
        )?;
        line(self.logins, "logins, each after one of the two losses")?;
        line(self.interrupted, "runs left open and closed as interrupted")?;
        line(self.finished, "runs that finished")?;
        line(self.rows, "rows equal to the source, value by value")
    }
}
