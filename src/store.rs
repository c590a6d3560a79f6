//! SQLite, opened the one way we use it.
//!
//! A [`Store`] is one database file with one writer thread. `write` runs a closure inside a
//! `BEGIN IMMEDIATE` transaction on that thread and commits if it returns `Ok`; `read` runs one on a
//! read-only connection. What happens inside either is plain synchronous code, and no transaction
//! can span a network call.

mod copy;
mod file;

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, ffi};
use tokio::sync::{mpsc, oneshot};

pub use self::copy::copy;
pub use self::file::NOT_THROUGH_LINKS;
use crate::remedy::Remedy;

/// A transaction that may write.
pub type Tx<'a> = rusqlite::Transaction<'a>;

/// How long a write waits for another program that holds the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);
/// How many writes may wait for the writer thread before callers wait too.
const QUEUE: usize = 64;
/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 64;
/// How many idle read connections are kept.
const READERS: usize = 2;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// What a database file is, and the numbered steps that make it.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// What the file is to a person: `data` or `vault`.
    pub name: &'static str,
    /// SQLite's `application_id`, so that `file` and we can tell whose database it is.
    pub application_id: i32,
    /// The files of `migrations/`, in order; the first brings `user_version` from 0 to 1.
    pub migrations: &'static [&'static str],
    /// The mode a new file gets.
    pub mode: u32,
    /// True if a commit must survive a power cut, false if it may be undone by one as a whole.
    pub durable: bool,
}

impl Schema {
    /// The newest version we know.
    fn version(&self) -> u32 {
        u32::try_from(self.migrations.len()).expect("there are few migrations")
    }
}

/// The data: bookmarks, runs, and the tables of the flows.
pub const DATA: Schema = Schema {
    name: "data",
    application_id: 0x7469_6461, // "tida"
    migrations: &[include_str!("../migrations/data/0001_start.sql")],
    mode: 0o640,
    durable: false,
};

/// The credentials, sealed.
pub const VAULT: Schema = Schema {
    name: "vault",
    application_id: 0x7469_6476, // "tidv"
    migrations: &[include_str!("../migrations/vault/0001_start.sql")],
    mode: 0o600,
    durable: true,
};

/// Why the database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be made or opened.
    #[error("could not open `{}`", path.display())]
    Open {
        /// The database file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else stands where the file should.
    #[error("`{}` is {what}, not a file of its own", path.display())]
    NotAFile {
        /// The database file, or one beside it.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The file was made by a newer tidegate.
    #[error(
        "`{}` has schema {found}, and this tidegate knows up to {known}: it was made by a newer version",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The schema version in the file.
        found: u32,
        /// The newest schema version we know.
        known: u32,
    },
    /// There is no such file yet.
    #[error("there is no `{}` yet", path.display())]
    Missing {
        /// The database file.
        path: PathBuf,
    },
    /// What is wrong with one file as a whole.
    #[error("`{}`: {problem}", path.display())]
    At {
        /// The database file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Box<Error>,
    },
    /// The file is some other program's database, or the other one of ours.
    #[error("`{}` is another database, not the {expected} of a tidegate", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was expected: `data` or `vault`.
        expected: &'static str,
    },
    /// The disk, or the room this process may use on it, is full.
    #[error("the disk is full")]
    Full,
    /// Another program holds the database.
    #[error("the database is in use by another program")]
    Busy,
    /// The database is damaged, or is no database.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The file or its directory may not be opened, or not be written.
    #[error("the database cannot be opened or written: {0}")]
    ReadOnly(String),
    /// The disk did not do what it was told, be it broken or a quota used up.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// Anything else SQLite says.
    #[error("SQLite: {}", plain_words(.0))]
    Sqlite(rusqlite::Error),
    /// The work panicked and was rolled back.
    #[error("a write broke off: {0}")]
    Panicked(String),
    /// The store was closed meanwhile.
    #[error("the database is closed")]
    Closed,
}

impl Error {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Full | Self::Busy | Self::Closed => Remedy::Wait,
            Self::At { problem, .. } => problem.remedy(),
            Self::Open { .. }
            | Self::NotAFile { .. }
            | Self::Newer { .. }
            | Self::Missing { .. }
            | Self::Foreign { .. }
            | Self::Damaged(_)
            | Self::ReadOnly(_)
            | Self::Disk(_) => Remedy::EditConfig,
            Self::Sqlite(_) | Self::Panicked(_) => Remedy::Report,
        }
    }

    /// Says what a person can do, where that is not plain from the message.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::At { problem, .. } => problem.hint(),
            Self::Full => Some("make room on the disk; what was written before is whole"),
            Self::Newer { .. } => {
                Some("install the version that made it, or a newer one; nothing was changed")
            }
            Self::NotAFile { .. } => Some(
                "links are not followed; put the file itself there, or set `database` or `state_dir` \
                 to where it is",
            ),
            Self::Missing { .. } => Some("the first run makes it: `tidegate --run-now`"),
            Self::Foreign { .. } => Some("it was not touched; check `database` and `state_dir`"),
            Self::Damaged(_) => {
                Some("bring back a copy of the file, or move it away to begin without it")
            }
            Self::Open { .. } | Self::ReadOnly(_) => {
                Some("the user that runs tidegate needs to write the file and its directory")
            }
            Self::Disk(_) => Some("look at the disk, its mount and the quotas on it"),
            Self::Busy => Some("close the other program that writes to it"),
            Self::Sqlite(_) | Self::Panicked(_) | Self::Closed => None,
        }
    }

    fn at(self, path: &Path) -> Self {
        let path = path.to_owned();
        match self {
            named @ (Self::Open { .. }
            | Self::NotAFile { .. }
            | Self::Newer { .. }
            | Self::Missing { .. }
            | Self::At { .. }
            | Self::Foreign { .. }) => named,
            problem => Self::At {
                path,
                problem: Box::new(problem),
            },
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(plain_words(&error))
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Self::ReadOnly(plain_words(&error))
            }
            // The index of the log could not grow, for which SQLite has no better word.
            Some(ErrorCode::SystemIoFailure) if is(&error, ffi::SQLITE_IOERR_SHMSIZE) => Self::Full,
            Some(ErrorCode::SystemIoFailure) => Self::Disk(plain_words(&error)),
            _ => Self::Sqlite(error),
        }
    }
}

/// Returns what SQLite says, in words where rusqlite alone would give a number.
#[must_use]
pub fn plain_words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, None) => {
            ffi::code_to_str(code.extended_code).to_owned()
        }
        other => other.to_string(),
    }
}

fn is(error: &rusqlite::Error, extended_code: i32) -> bool {
    let found = error.sqlite_error().map(|error| error.extended_code);
    found == Some(extended_code)
}

/// Writes an instant as every table has it: UTC, RFC 3339, always with milliseconds, so that text
/// sorts as time does.
#[must_use]
pub fn instant(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// One open database file. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    path: Arc<Path>,
    jobs: mpsc::Sender<Job>,
    readers: Arc<Mutex<Vec<Connection>>>,
}

impl Store {
    /// Opens the database at `path`, making it or bringing it up to date as `schema` says.
    ///
    /// # Errors
    /// If the file cannot be opened, is damaged, is not ours, or is newer than this program.
    pub fn open(path: &Path, schema: &Schema) -> Result<Self, Error> {
        let connection = open_writer(path, schema).and_then(|mut connection| {
            migrate(&mut connection, path, schema)?;
            Ok(connection)
        });
        let mut connection = connection.map_err(|error| error.at(path))?;
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        thread::Builder::new()
            .name(format!("{}-writer", schema.name))
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut connection);
                }
            })
            .map_err(|source| Error::Open {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            path: path.into(),
            jobs,
            readers: Arc::default(),
        })
    }

    /// Returns the path of the database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in a transaction, and commits it if it returns `Ok`.
    ///
    /// Once queued the work runs to its end, also if the caller goes away.
    ///
    /// # Errors
    /// What `work` returns, after a rollback, or why the transaction could not be had.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = catch_unwind(AssertUnwindSafe(|| transact(connection, work)));
            // A caller that no longer waits does not need the answer.
            let _ = answer.send(result.unwrap_or_else(|panic| Err(panicked(&*panic).into())));
        });
        self.jobs.send(job).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Runs `work` on a read-only connection.
    ///
    /// # Errors
    /// What `work` returns, or why the database could not be read.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let store = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let spare = store.readers().pop();
            let connection = match spare {
                Some(connection) => connection,
                None => connect_reader(&store.path)?,
            };
            let result = work(&connection);
            let mut readers = store.readers();
            if readers.len() < READERS {
                readers.push(connection);
            }
            result
        });
        match reading.await {
            Ok(result) => result,
            Err(error) => Err(match error.try_into_panic() {
                Ok(panic) => panicked(&*panic),
                Err(_) => Error::Closed,
            }
            .into()),
        }
    }

    /// Moves everything from the log into the database file and empties the log, so that what was
    /// deleted is gone from the disk. A reader that still looks at old pages keeps them in the log.
    ///
    /// # Errors
    /// If the log could not be moved.
    pub async fn truncate_log(&self) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let truncated = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            // As in `write`: nobody may be waiting any more.
            let _ = answer.send(truncated.map_err(Error::from));
        });
        self.jobs.send(job).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Rewrites the file without its free pages and empties the log, so that nothing of what was
    /// replaced is left on the disk.
    ///
    /// # Errors
    /// If there is no room for a second copy meanwhile, or the file cannot be written.
    pub async fn compact(&self) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // SQLite attaches the copy it makes; nothing else may.
            let compacted = connection
                .set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)
                .and_then(|_| connection.execute_batch("VACUUM"));
            let closed = connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0);
            // As in `write`: nobody may be waiting any more.
            let _ = answer.send(compacted.and(closed.map(drop)).map_err(Error::from));
        });
        self.jobs.send(job).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)??;
        self.truncate_log().await
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn transact<T, E: From<Error>>(
    connection: &mut Connection,
    work: impl FnOnce(&Tx<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let tx = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(Error::from)?;
    let value = work(&tx)?;
    tx.commit().map_err(Error::from)?;
    Ok(value)
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let words = panic
        .downcast_ref::<&str>()
        .map(|words| (*words).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    Error::Panicked(words.unwrap_or_else(|| "no message".to_owned()))
}

/// Opens the database at `path` for reading only, for commands that need no owner and ask for what
/// `schema` has.
///
/// # Errors
/// If there is no such file, it cannot be read, is not ours, or is newer than this program.
pub fn open_reader(path: &Path, schema: &Schema) -> Result<Connection, Error> {
    let connection = open_any(path)?;
    match version(&connection, path, schema) {
        Ok(_) => Ok(connection),
        Err(error) => Err(error.at(path)),
    }
}

/// Opens any database at `path` for reading only, also one that this program does not know.
///
/// # Errors
/// If there is no such file, or it cannot be read.
pub fn open_any(path: &Path) -> Result<Connection, Error> {
    match std::fs::metadata(path) {
        Ok(_) => connect_reader(path).map_err(|error| error.at(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Missing {
            path: path.to_owned(),
        }),
        Err(source) => Err(Error::Open {
            path: path.to_owned(),
            source,
        }),
    }
}

fn connect_reader(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    harden(&connection)?;
    Ok(connection)
}

fn open_writer(path: &Path, schema: &Schema) -> Result<Connection, Error> {
    file::prepare(path, schema)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    harden(&connection)?;
    // Before anything is written: WAL mode stands in the file itself.
    version(&connection, path, schema)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // In a WAL database NORMAL can lose the last commits to a power cut, but always whole ones:
    // a lost page of rows takes its bookmark with it and is fetched again. A lost token is lost.
    let synchronous = if schema.durable { "full" } else { "normal" };
    connection.pragma_update(None, "synchronous", synchronous)?;
    if schema.durable {
        connection.pragma_update(None, "fullfsync", true)?;
        connection.pragma_update(None, "secure_delete", true)?;
    }
    // The -wal and -shm files stay after a clean stop: without them another user, who may only
    // read, could not open the database.
    let mut keep = 1;
    connection.file_control(None::<&str>, rusqlite::FileControl::PersistWal(&mut keep))?;
    Ok(connection)
}

fn harden(connection: &Connection) -> Result<(), Error> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Flow tables may carry foreign keys for the reader's sake; rows arrive in any order.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(())
}

/// Returns the schema version of a database, which is 0 for an empty one.
fn version(connection: &Connection, path: &Path, schema: &Schema) -> Result<u32, Error> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get(0));
    let found = number("user_version")?;
    let application_id: i32 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let objects: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application_id != schema.application_id && (objects > 0 || found > 0) {
        return Err(Error::Foreign {
            path: path.to_owned(),
            expected: schema.name,
        });
    }
    let known = schema.version();
    if found > known {
        return Err(Error::Newer {
            path: path.to_owned(),
            found,
            known,
        });
    }
    Ok(found)
}

fn migrate(connection: &mut Connection, path: &Path, schema: &Schema) -> Result<(), Error> {
    let known = schema.version();
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Once more, because another process may have been faster.
    let found = version(&tx, path, schema)?;
    if found == known {
        return Ok(());
    }
    for step in schema.migrations.iter().skip(found as usize) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "application_id", schema.application_id)?;
    tx.pragma_update(None, "user_version", known)?;
    tx.commit()?;
    Ok(())
}
