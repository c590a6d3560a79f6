//! What a process left on disk.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};
use tempfile::TempDir;

use crate::support::TempHouse;

/// The files of a state directory as they are now, in a copy: what recovers the originals must be
/// the program itself.
#[derive(Debug)]
pub(crate) struct Files {
    vault: Connection,
    /// `None` as long as no run has made it.
    data: Option<Connection>,
    rescue: PathBuf,
    _copy: TempDir,
}

/// How the connection stands, as the vault has it.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) state: String,
    pub(crate) reason: Option<String>,
    /// Nothing is sent before.
    pub(crate) next_at: Option<jiff::Timestamp>,
}

/// What the vault says of the tries to spend one refresh token.
#[derive(Debug)]
pub(crate) struct Tries {
    pub(crate) count: u32,
    pub(crate) in_doubt: bool,
}

impl Files {
    pub(crate) fn of(house: &TempHouse) -> Self {
        let state = house.path("tidegate-state");
        let copy = tempfile::tempdir().unwrap();
        let opened = |name: &str| -> Option<Connection> {
            let copied = copy.path().join(name);
            let log = format!("{name}-wal");
            copied_if_there(&state.join(&log), &copy.path().join(&log));
            copied_if_there(&state.join(name), &copied).then(|| Connection::open(copied).unwrap())
        };
        Self {
            vault: opened("vault.db").expect("a login has made the vault"),
            data: opened("tidegate.db"),
            rescue: state.join("rescue"),
            _copy: copy,
        }
    }

    /// Returns the number of the credential.
    pub(crate) fn generation(&self) -> usize {
        let generation: i64 = self
            .vault
            .query_row("SELECT generation FROM credentials", [], |row| row.get(0))
            .unwrap();
        usize::try_from(generation).unwrap()
    }

    pub(crate) fn standing(&self) -> Standing {
        let standing = |row: &rusqlite::Row<'_>| {
            let next_at: Option<String> = row.get(2)?;
            Ok(Standing {
                state: row.get(0)?,
                reason: row.get(1)?,
                next_at: next_at.map(|at| at.parse().unwrap()),
            })
        };
        self.vault
            .query_row("SELECT state, reason, next_at FROM states", [], standing)
            .unwrap()
    }

    /// Returns what was written down before the refresh token of `generation` was sent.
    pub(crate) fn tries(&self, generation: usize) -> Tries {
        let tries = |row: &rusqlite::Row<'_>| {
            Ok(Tries {
                count: row.get(0)?,
                in_doubt: row.get(1)?,
            })
        };
        self.vault
            .query_row(
                "SELECT coalesce(sum(tries), 0), coalesce(max(doubt_at IS NOT NULL), 0)
                 FROM refreshes WHERE kind = 'refresh' AND generation = ?1",
                [i64::try_from(generation).unwrap()],
                tries,
            )
            .unwrap()
    }

    /// Returns the attempts in doubt that are still on record.
    pub(crate) fn doubts(&self) -> Vec<i64> {
        numbers(
            &self.vault,
            "SELECT attempt FROM refreshes WHERE kind = 'refresh' AND doubt_at IS NOT NULL",
        )
    }

    /// Tells whether the answer to the attempt that is open has been kept on disk.
    pub(crate) fn is_answer_kept(&self) -> bool {
        let open: Option<i64> = self
            .vault
            .query_row(
                "SELECT attempt FROM refreshes WHERE kind = 'refresh' AND ended_at IS NULL",
                [],
                |row| row.get(0),
            )
            .optional()
            .unwrap();
        // The file begins with the length of what was kept, and holds zeros until then.
        open.and_then(|attempt| fs::read(self.rescue.join(format!("{attempt}.rescue"))).ok())
            .and_then(|content| content.first_chunk::<4>().copied())
            .is_some_and(|length| length != [0; 4])
    }

    /// Returns the runs that have no end, and how many runs there are.
    pub(crate) fn runs(&self) -> (Vec<i64>, i64) {
        let Some(data) = &self.data else {
            return (Vec::new(), 0);
        };
        let open = numbers(
            data,
            "SELECT run FROM _tidegate_runs WHERE ended_at IS NULL",
        );
        let last = numbers(data, "SELECT coalesce(max(run), 0) FROM _tidegate_runs");
        (open, last[0])
    }

    /// Returns how many pages the runs with no end have merged.
    pub(crate) fn pages_of_open_runs(&self) -> i64 {
        let pages = "SELECT coalesce(sum(pages), 0) FROM _tidegate_runs WHERE ended_at IS NULL";
        let pages = self.data.as_ref().map(|data| numbers(data, pages));
        pages.map_or(0, |pages| pages[0])
    }

    /// Returns how a run ended.
    pub(crate) fn outcome(&self, run: i64) -> Option<String> {
        let data = self.data.as_ref().expect("there was a run");
        let outcome = "SELECT outcome FROM _tidegate_runs WHERE run = ?1";
        data.query_row(outcome, [run], |row| row.get(0)).unwrap()
    }

    /// Fails the test if SQLite finds anything wrong with either file.
    pub(crate) fn expect_whole(&self) {
        for file in self.data.iter().chain([&self.vault]) {
            let found: String = file
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(found, "ok");
        }
    }
}

fn copied_if_there(from: &Path, to: &Path) -> bool {
    match fs::copy(from, to) {
        Ok(_) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => panic!("could not copy {}: {error}", from.display()),
    }
}

fn numbers(file: &Connection, sql: &str) -> Vec<i64> {
    let mut statement = file.prepare(sql).unwrap();
    let numbers = statement.query_map([], |row| row.get(0)).unwrap();
    numbers.map(Result::unwrap).collect()
}
