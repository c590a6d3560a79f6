//! One owner per state directory.
//!
//! The lock is the kernel's (`flock`), so it ends with the process that holds it, however that
//! process ends. There is no pid file to go stale; the file's text only tells a person who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::remedy::Remedy;

/// The file inside the state directory that carries the lock.
const FILE: &str = "owner.lock";

/// Proof that this process owns a state directory; dropping it gives the directory up.
#[derive(Debug)]
pub struct Ownership {
    _file: File,
}

/// Why a state directory could not be owned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process owns it.
    #[error("`{}` is in use by another tidegate ({owner})", directory.display())]
    Taken {
        /// The state directory.
        directory: PathBuf,
        /// What the owner wrote about itself.
        owner: String,
    },
    /// The directory or its lock file could not be used.
    #[error("could not lock `{}`", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        Remedy::EditConfig
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Taken { .. } => "ask the running one: `tidegate status`, `tidegate --run-now`",
            Self::Io { .. } => "the user that runs tidegate needs to write the state directory",
        })
    }
}

/// Takes `directory` for this process, or says who has it.
///
/// `purpose` is what the owner is doing, for the message another process will show.
///
/// # Errors
/// [`Error::Taken`] if another process has it, [`Error::Io`] if the lock file cannot be used.
pub fn own(directory: &Path, purpose: &str) -> Result<Ownership, Error> {
    let path = directory.join(FILE);
    let io = |source| Error::Io {
        path: path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // What another name leads to is not ours to write.
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // The text is a courtesy; a lock without it is still a lock.
            let _ = file.read_to_string(&mut owner);
            let owner = match owner.trim() {
                "" => "its process is starting".to_owned(),
                owner => owner.to_owned(),
            };
            return Err(Error::Taken {
                directory: directory.to_owned(),
                owner,
            });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    let about = format!("{purpose}, process {}", std::process::id());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(about.as_bytes()))
        .map_err(io)?;
    Ok(Ownership { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let first = own(directory.path(), "daemon").unwrap();
        let refused = own(directory.path(), "run").unwrap_err();
        assert!(refused.to_string().contains("daemon, process"), "{refused}");
        drop(first);
        own(directory.path(), "run").unwrap();
    }
}
