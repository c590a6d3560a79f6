//! Copies of a database that others use meanwhile.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::{Error, Schema, open_reader};

/// Copies the database at `from`, as it stands at one moment, into the new file `to`, which only its
/// owner may read. The copy is one file, whole and checked.
///
/// # Errors
/// If there is no such database, it is damaged, or the copy cannot be written.
pub fn copy(from: &Path, to: &Path, schema: &Schema) -> Result<(), Error> {
    let source = open_reader(from, schema)?;
    let open = |source| Error::Open {
        path: to.to_owned(),
        source,
    };
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(open)?;
    copy_pages(&source, to).map_err(|error| error.at(to))?;
    File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(open)
}

fn copy_pages(source: &Connection, to: &Path) -> Result<(), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(to, flags)?;
    // All pages in one step are one look at the source: nothing written meanwhile is among them.
    match Backup::new(source, &mut target)?.step(-1)? {
        StepResult::Done => {}
        _ => return Err(Error::Busy),
    }
    // A copy in WAL mode would get files of its own beside it as soon as somebody looks into it.
    target.pragma_update(None, "journal_mode", "delete")?;
    let verdict: String = target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(Error::Damaged(verdict)),
    }
}
