//! What the test has seen, as a table.

use std::collections::BTreeMap;
use std::fmt;

use crate::fate::{End, Point};
use crate::support::Rotation;

/// Counts of one whole test.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: BTreeMap<(Point, Rotation), Row>,
    /// How many processes were killed: daemons, and `--run-now`.
    pub(crate) daemons: u64,
    pub(crate) one_shots: u64,
}

/// What became of the runs of one point and one kind of server.
#[derive(Debug, Default, Clone, Copy)]
struct Row {
    runs: u64,
    ok: u64,
    needs_login: u64,
    doubts: u64,
    presented_again: u64,
}

impl Tally {
    pub(crate) fn runs(&self) -> u64 {
        self.rows.values().map(|row| row.runs).sum()
    }

    pub(crate) fn note(&mut self, at: (Point, Rotation), end: End, doubts: u32, again: u32) {
        let row = self.rows.entry(at).or_default();
        row.runs += 1;
        match end {
            End::Ok => row.ok += 1,
            End::NeedsLogin => row.needs_login += 1,
        }
        row.doubts += u64::from(doubts);
        row.presented_again += u64::from(again);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} kills of a process with six connections: {} daemons, {} of --run-now",
            self.daemons + self.one_shots,
            self.daemons,
            self.one_shots
        )?;
        writeln!(
            f,
            "{:<27} {:<16} {:>5} {:>5} {:>12} {:>7} {:>16}",
            "killed", "server", "runs", "ok", "needs login", "doubts", "presented again"
        )?;
        let mut sum = Row::default();
        for ((point, rotation), row) in &self.rows {
            line(f, point.words(), rotation.name(), row)?;
            sum.runs += row.runs;
            sum.ok += row.ok;
            sum.needs_login += row.needs_login;
            sum.doubts += row.doubts;
            sum.presented_again += row.presented_again;
        }
        line(f, "all", "all", &sum)
    }
}

fn line(f: &mut fmt::Formatter<'_>, point: &str, server: &str, row: &Row) -> fmt::Result {
    writeln!(
        f,
        "{point:<27} {server:<16} {:>5} {:>5} {:>12} {:>7} {:>16}",
        row.runs, row.ok, row.needs_login, row.doubts, row.presented_again
    )
}
