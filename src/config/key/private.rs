//! Files that are nobody else's.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::{MOST_READ, SecretError};

/// Reads a file that only its owner, and the group of a credential, may read.
///
/// Everything is asked of the open file, so that what was checked is what is read.
pub(super) fn read_private(
    path: &Path,
    forbidden: u32,
    must_be_ours: bool,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let unreadable = |source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = open_unfollowed(path)?;
    let facts = file.metadata().map_err(unreadable)?;
    if !facts.is_file() {
        return Err(SecretError::NotAFile {
            path: path.to_owned(),
        });
    }
    let (us, owner) = (rustix::process::geteuid().as_raw(), facts.uid());
    if must_be_ours && owner != us && owner != 0 {
        return Err(SecretError::NotOurs {
            path: path.to_owned(),
            owner,
            us,
        });
    }
    if facts.mode() & forbidden != 0 {
        let mode = facts.mode() & 0o7777;
        return Err(SecretError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    // The room is made once, because a vector that grows leaves its old bytes behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_READ));
    file.take(MOST_READ as u64)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

fn open_unfollowed(path: &Path) -> Result<File, SecretError> {
    // A pipe would otherwise hold us until somebody writes to it.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).expect("open flags fit the C int they are");
    OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(|source| match source.raw_os_error() {
            Some(code) if code == rustix::io::Errno::LOOP.raw_os_error() => SecretError::NotAFile {
                path: path.to_owned(),
            },
            _ => SecretError::Unreadable {
                path: path.to_owned(),
                source,
            },
        })
}
