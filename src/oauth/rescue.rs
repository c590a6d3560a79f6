//! Disk set aside for an answer before it is asked for.
//!
//! A server that rotates refresh tokens has forgotten the old one by the time we read the new one.
//! If the disk is full at that moment, the new one must still have a place to go: so each attempt
//! reserves a file that already holds as many zeros as its sealed answer could be long. The file is
//! removed once the answer stands in the vault.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::grant::ANSWER_LIMIT;
use crate::{clock, seal};

/// The directory beside the vault.
const DIRECTORY: &str = "rescue";
/// The extension of a file whose answer may still be needed.
const RESERVED: &str = "rescue";
/// The extension of a file whose answer nobody could read.
const SET_ASIDE: &str = "kept";
/// How long an answer that nobody could read is kept for a person to look into.
const KEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// What another name leads to is not ours to write or to believe.
const NOT_THROUGH_LINKS: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
/// The length of the record that follows, big-endian; zero while there is none.
const PREFIX: usize = 4;
/// What one file holds at most.
const RESERVE: usize = PREFIX + seal::OVERHEAD + ANSWER_LIMIT as usize;

/// The directory of reserved files.
#[derive(Debug, Clone)]
pub(super) struct Rescue {
    directory: PathBuf,
}

impl Rescue {
    /// Opens the directory inside `state_dir`, making it if needed.
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        let directory = state_dir.join(DIRECTORY);
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if !fs::symlink_metadata(&directory)?.is_dir() {
            let message = format!("`{}` is not a directory of its own", directory.display());
            return Err(io::Error::new(io::ErrorKind::NotADirectory, message));
        }
        Ok(Self { directory })
    }

    /// Returns the directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Reserves the disk for the answer of `attempt`, durably.
    pub(super) fn reserve(&self, attempt: i64) -> io::Result<()> {
        let path = self.path(attempt);
        let reserved = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .custom_flags(NOT_THROUGH_LINKS)
                .open(&path)?;
            file.write_all(&vec![0; RESERVE])?;
            file.sync_all()?;
            self.sync()
        })();
        if reserved.is_err() {
            // Half a reserve is none, and the disk is short.
            let _ = fs::remove_file(&path);
        }
        reserved
    }

    /// Writes the sealed answer of `attempt` into its reserve, durably.
    pub(super) fn keep(&self, attempt: i64, record: &[u8]) -> io::Result<()> {
        let length = u32::try_from(record.len()).map_err(io::Error::other)?;
        let mut content = Vec::with_capacity(PREFIX + record.len());
        content.extend_from_slice(&length.to_be_bytes());
        content.extend_from_slice(record);
        let path = self.path(attempt);
        // Opened without truncation: the reserved blocks are the point of it.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(NOT_THROUGH_LINKS)
            .open(path)?;
        file.write_all_at(&content, 0)?;
        file.sync_data()
    }

    /// Returns the sealed answer of `attempt`, if one was kept.
    pub(super) fn read(&self, attempt: i64) -> io::Result<Option<Vec<u8>>> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(NOT_THROUGH_LINKS)
            .open(self.path(attempt));
        let mut content = Vec::new();
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // A file of ours is no longer than this; what follows is none of our business.
            file => file?.take(RESERVE as u64).read_to_end(&mut content)?,
        };
        let Some((length, rest)) = content.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        Ok(rest
            .get(..length)
            .filter(|record| !record.is_empty())
            .map(<[u8]>::to_vec))
    }

    /// Puts the answer of `attempt` where a later try does not overwrite it.
    pub(super) fn set_aside(&self, attempt: i64, at: Timestamp) -> io::Result<()> {
        let name = format!("{attempt}-{}.{SET_ASIDE}", at.as_millisecond());
        fs::rename(self.path(attempt), self.directory.join(name))?;
        self.sync()
    }

    /// Gives the reserve of `attempt` back.
    pub(super) fn remove(&self, attempt: i64) -> io::Result<()> {
        match fs::remove_file(self.path(attempt)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Returns the attempts that have a file, and removes what was set aside long before `now`.
    pub(super) fn list(&self, now: Timestamp) -> io::Result<Vec<i64>> {
        let mut attempts = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let stem = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(RESERVED) => attempts.extend(stem.parse::<i64>()),
                Some(SET_ASIDE) if is_old(stem, now) => fs::remove_file(&path)?,
                // Not ours to judge.
                _ => {}
            }
        }
        attempts.sort_unstable();
        Ok(attempts)
    }

    fn path(&self, attempt: i64) -> PathBuf {
        self.directory.join(format!("{attempt}.{RESERVED}"))
    }

    /// Makes the directory's entries durable.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

fn is_old(stem: &str, now: Timestamp) -> bool {
    let set_aside_at = stem
        .split_once('-')
        .and_then(|(_, millisecond)| millisecond.parse().ok())
        .and_then(|millisecond| Timestamp::from_millisecond(millisecond).ok());
    set_aside_at.is_some_and(|at| clock::after(at, KEEP) < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2025-03-02T06:00:00Z".parse().unwrap()
    }

    #[test]
    fn an_answer_takes_no_more_disk_than_was_reserved() {
        let directory = tempfile::tempdir().unwrap();
        let rescue = Rescue::open(directory.path()).unwrap();
        rescue.reserve(7).unwrap();
        assert_eq!(rescue.read(7).unwrap(), None);
        let longest = vec![0xAB; RESERVE - PREFIX];
        rescue.keep(7, &longest).unwrap();
        assert_eq!(fs::metadata(rescue.path(7)).unwrap().len(), RESERVE as u64);
        assert_eq!(rescue.read(7).unwrap(), Some(longest));
        assert_eq!(rescue.list(now()).unwrap(), [7]);
        rescue.remove(7).unwrap();
        rescue.remove(7).unwrap();
        assert!(rescue.list(now()).unwrap().is_empty());
    }

    #[test]
    fn what_is_set_aside_outlives_the_next_try_and_goes_after_a_month() {
        let directory = tempfile::tempdir().unwrap();
        let rescue = Rescue::open(directory.path()).unwrap();
        rescue.reserve(7).unwrap();
        rescue.keep(7, b"nobody can read this").unwrap();
        rescue.set_aside(7, now()).unwrap();
        assert_eq!(rescue.read(7).unwrap(), None);
        let files = || fs::read_dir(rescue.directory()).unwrap().count();
        rescue.list(now()).unwrap();
        assert_eq!(files(), 1);
        rescue
            .list(clock::after(now(), KEEP + Duration::from_secs(1)))
            .unwrap();
        assert_eq!(files(), 0);
    }
}
