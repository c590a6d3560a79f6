//! The files of a database, before SQLite opens them.
//!
//! SQLite follows symbolic links and keeps whatever mode it finds. Neither is for a file that we
//! write as the user who owns the credentials.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tracing::warn;

use super::{Error, Schema};

/// What SQLite keeps beside a database, under its name with these endings.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];
/// What a group and others may do.
const OTHERS: u32 = 0o077;
/// An open flag: what another name leads to is not ours to write or to believe.
pub const NOT_THROUGH_LINKS: i32 = OFlags::NOFOLLOW.bits().cast_signed();

/// Makes the database file if it is not there, and sees to it that it and what stands beside it are
/// files of their own and, for a schema that is for us alone, closed to others.
///
/// # Errors
/// If one of them is a symbolic link or no regular file, or cannot be made or closed to others.
pub(super) fn prepare(path: &Path, schema: &Schema) -> Result<(), Error> {
    if !is_fit(path, schema)? {
        // Made by us rather than by SQLite, so that it never exists with a wider mode.
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(schema.mode)
            .open(path);
        made.map_err(|source| failed(path, source))?;
    }
    for ending in BESIDE {
        let mut name = OsString::from(path);
        name.push(ending);
        is_fit(&PathBuf::from(name), schema)?;
    }
    Ok(())
}

/// Returns false if there is no such file.
///
/// A file that is as it should be is not opened: closing it again would give up the locks that
/// another connection of this process holds on it.
fn is_fit(path: &Path, schema: &Schema) -> Result<bool, Error> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        found => found.map_err(|source| failed(path, source))?,
    };
    let kind = found.file_type();
    if !kind.is_file() {
        let what = match (kind.is_symlink(), kind.is_dir()) {
            (true, _) => "a symbolic link",
            (_, true) => "a directory",
            _ => "no regular file",
        };
        let path = path.to_owned();
        return Err(Error::NotAFile { path, what });
    }
    if schema.mode & OTHERS == 0 && found.permissions().mode() & OTHERS != 0 {
        close_to_others(path).map_err(|source| failed(path, source))?;
    }
    Ok(true)
}

fn close_to_others(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(NOT_THROUGH_LINKS)
        .open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o7777;
    file.set_permissions(Permissions::from_mode(mode & !OTHERS))?;
    let mode = format!("{mode:04o}");
    warn!(file = %path.display(), mode, "closed a file that was open to others");
    Ok(())
}

fn failed(path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    Error::Open { path, source }
}
