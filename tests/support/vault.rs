//! What stands in the vault about a connection, as far as it is not sealed.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use tempfile::TempDir;

/// The vault of a state directory.
#[derive(Debug)]
pub struct Vault {
    db: Connection,
    rescue: PathBuf,
    _copy: Option<TempDir>,
}

/// What stands there about the present credential of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnRecord {
    /// The number of the credential.
    pub generation: i64,
    /// How often it was written down that its refresh token is about to be sent.
    pub tries: u32,
    /// True if it was written down that this refresh token may be spent.
    pub in_doubt: bool,
    /// The attempt that no definite answer has ended.
    pub open: Option<i64>,
    /// How the connection stands, and why.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
}

impl Vault {
    /// Looks into the vault of a program that lives.
    pub fn of_living(state_dir: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        Self {
            db: Connection::open_with_flags(state_dir.join("vault.db"), flags).unwrap(),
            rescue: state_dir.join("rescue"),
            _copy: None,
        }
    }

    /// Looks into the vault of a program that is dead, in a copy: what recovers the original must
    /// be the program itself.
    pub fn of_dead(state_dir: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for name in ["vault.db", "vault.db-wal"] {
            fs::copy(state_dir.join(name), copy.path().join(name)).unwrap();
        }
        Self {
            db: Connection::open(copy.path().join("vault.db")).unwrap(),
            rescue: state_dir.join("rescue"),
            _copy: Some(copy),
        }
    }

    /// Returns what stands there about a connection that has signed in.
    pub fn on_record(&self, connection: &str) -> OnRecord {
        let sql = "SELECT c.generation, coalesce(sum(r.tries), 0),
                          coalesce(max(r.doubt_at IS NOT NULL), 0),
                          max(r.attempt) FILTER (WHERE r.ended_at IS NULL),
                          s.state, s.reason
                   FROM credentials c
                   JOIN states s USING (connection, account)
                   LEFT JOIN refreshes r ON r.connection = c.connection
                        AND r.generation = c.generation AND r.kind = 'refresh'
                   WHERE c.connection = ?1";
        let found = self.db.query_row(sql, [connection], |row| {
            Ok(OnRecord {
                generation: row.get(0)?,
                tries: row.get(1)?,
                in_doubt: row.get(2)?,
                open: row.get(3)?,
                state: row.get(4)?,
                reason: row.get(5)?,
            })
        });
        found.unwrap()
    }

    /// Returns how many attempts to spend `generation` were in doubt.
    pub fn doubts(&self, connection: &str, generation: i64) -> u32 {
        let sql = "SELECT count(*) FROM refreshes WHERE connection = ?1 AND generation = ?2
                   AND kind = 'refresh' AND doubt_at IS NOT NULL";
        let count = self
            .db
            .query_row(sql, (connection, generation), |row| row.get(0));
        count.unwrap()
    }

    /// Returns the last attempt to spend `generation`.
    pub fn attempt(&self, connection: &str, generation: i64) -> Option<i64> {
        let sql = "SELECT max(attempt) FROM refreshes WHERE connection = ?1 AND generation = ?2
                   AND kind = 'refresh'";
        let attempt = self
            .db
            .query_row(sql, (connection, generation), |row| row.get(0));
        attempt.optional().unwrap().flatten()
    }

    /// Returns what the rescue file of an attempt is good for.
    pub fn rescue_file(&self, attempt: i64) -> RescueFile {
        match fs::read(self.rescue.join(format!("{attempt}.rescue"))) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => RescueFile::None,
            // It begins with the length of what was kept, and holds zeros until then.
            content => match content.unwrap().first_chunk() {
                Some([0, 0, 0, 0]) => RescueFile::Reserved,
                _ => RescueFile::Kept,
            },
        }
    }
}

/// What the rescue file of an attempt is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RescueFile {
    /// There is none.
    None,
    /// It keeps room for an answer.
    Reserved,
    /// It holds an answer.
    Kept,
}
