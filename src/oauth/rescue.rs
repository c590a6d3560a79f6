//! Disk set aside for an answer before it is asked for.
//!
//! A server that rotates refresh tokens has forgotten the old one by the time we read the new one.
//! If the disk is full at that moment, the new one must still have a place to go: so each attempt
//! reserves a file that already is as long as its sealed answer could be. Once the answer stands in
//! the vault, the file becomes a spare: to use it again costs a rename instead of a quarter of a
//! megabyte.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::grant::ANSWER_LIMIT;
use crate::store::NOT_THROUGH_LINKS;
use crate::{clock, seal};

/// The directory beside the vault.
const DIRECTORY: &str = "rescue";
/// The directory of files that wait to be reserved.
const SPARES: &str = "reserve";
/// The extension of such a file.
const SPARE: &str = "spare";
/// The most spares that are kept, 32 MiB in all. There are never more than attempts were once open
/// together, which is one or two in most houses.
const MOST_SPARES: usize = 128;
/// The extension of a file whose answer may still be needed.
const RESERVED: &str = "rescue";
/// The extension of a file whose answer nobody could read.
const SET_ASIDE: &str = "kept";
/// How long an answer that nobody could read is kept for a person to look into.
const KEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The length of the record that follows, big-endian; zero while there is none.
const PREFIX: usize = 4;
/// What one file holds at most.
const RESERVE: usize = PREFIX + seal::OVERHEAD + ANSWER_LIMIT as usize;

/// How much of the disk must be free before something is asked for that comes only once: what a
/// busy machine writes while the answer is on its way.
const ROOM: u64 = 16 << 20;
/// The share of a small disk that is enough.
const ROOM_SHARE: u64 = 16;

/// How much of the disk is free, where that is too little, and how much should be; in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cramped {
    pub free: u64,
    pub needed: u64,
}

/// Judges a disk of `total` bytes of which `free` are free.
fn cramped(free: u64, total: u64) -> Option<Cramped> {
    let needed = ROOM.min(total / ROOM_SHARE);
    (free < needed).then_some(Cramped { free, needed })
}

/// The directory of reserved files.
#[derive(Debug, Clone)]
pub(super) struct Rescue {
    directory: PathBuf,
    spares: Arc<Mutex<Spares>>,
}

/// Files as long as a reserve that no attempt owns.
#[derive(Debug)]
struct Spares {
    directory: PathBuf,
    numbers: Vec<u64>,
    /// One more than the highest number ever used.
    next: u64,
}

impl Rescue {
    /// Opens the directories inside `state_dir`, making them if needed.
    pub(super) fn open(state_dir: &Path) -> io::Result<Self> {
        let directory = state_dir.join(DIRECTORY);
        let spares = Spares::open(state_dir.join(SPARES))?;
        make(&directory)?;
        Ok(Self {
            directory,
            spares: Arc::new(Mutex::new(spares)),
        })
    }

    /// Returns the directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Looks whether the disk is nearly full.
    pub(super) fn cramped(&self) -> io::Result<Option<Cramped>> {
        let disk = rustix::fs::statvfs(&self.directory)?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Ok(cramped(bytes(disk.f_bavail), bytes(disk.f_blocks)))
    }

    /// Reserves the disk for the answer of `attempt`, durably.
    pub(super) fn reserve(&self, attempt: i64) -> io::Result<()> {
        let path = self.path(attempt);
        if self.spares().take(&path) {
            return self.sync();
        }
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
        let path = self.path(attempt);
        match self.spares().put(&path) {
            Ok(true) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // Removing it is as good.
            Ok(false) | Err(_) => {}
        }
        fs::remove_file(path)
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

    fn spares(&self) -> MutexGuard<'_, Spares> {
        // A number that was lost on the way is a file that the next start finds.
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, attempt: i64) -> PathBuf {
        self.directory.join(format!("{attempt}.{RESERVED}"))
    }

    /// Makes the directory's entries durable.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

impl Spares {
    /// Finds the spares in `directory`, making it if needed.
    fn open(directory: PathBuf) -> io::Result<Self> {
        make(&directory)?;
        let mut spares = Self {
            directory,
            numbers: Vec::new(),
            next: 0,
        };
        for entry in fs::read_dir(&spares.directory)? {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let Some(number) = stem.and_then(|stem| stem.parse::<u64>().ok()) else {
                continue; // not ours to judge
            };
            spares.next = spares.next.max(number.saturating_add(1));
            match spares.numbers.len() < MOST_SPARES && empty(&path).is_ok() {
                true => spares.numbers.push(number),
                false => fs::remove_file(&path)?,
            }
        }
        Ok(spares)
    }

    /// Makes a spare the file `path`; returns false if there is none.
    fn take(&mut self, path: &Path) -> bool {
        while let Some(number) = self.numbers.pop() {
            if fs::rename(self.path(number), path).is_ok() {
                return true;
            }
        }
        false
    }

    /// Makes the file `path` a spare; returns false if there are enough, or it is too short.
    fn put(&mut self, path: &Path) -> io::Result<bool> {
        if self.numbers.len() >= MOST_SPARES || fs::symlink_metadata(path)?.len() != RESERVE as u64
        {
            return Ok(false);
        }
        empty(path)?;
        let number = self.next;
        fs::rename(path, self.path(number))?;
        self.next += 1;
        self.numbers.push(number);
        Ok(true)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number}.{SPARE}"))
    }
}

/// Makes a directory that only we may look into, unless it is there.
fn make(directory: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if fs::symlink_metadata(directory)?.is_dir() {
        return Ok(());
    }
    let message = format!("`{}` is not a directory of its own", directory.display());
    Err(io::Error::new(io::ErrorKind::NotADirectory, message))
}

/// Makes the file at `path` say that it holds no answer. Its place in the seal keeps an old one from
/// being taken for that of another attempt, should a power cut undo this.
fn empty(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(NOT_THROUGH_LINKS)
        .open(path)?;
    if file.metadata()?.len() != RESERVE as u64 {
        return Err(io::Error::other("a reserve of another length"));
    }
    file.write_all_at(&[0; PREFIX], 0)
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
    fn a_sixteenth_of_a_small_disk_is_room_enough_and_16_mib_of_any() {
        let (mib, gib) = (1 << 20, 1 << 30);
        assert_eq!(cramped(mib, 16 * mib), None);
        assert!(cramped(mib - 1, 16 * mib).is_some());
        assert_eq!(cramped(16 * mib, 1000 * gib), None);
        let (free, needed) = (16 * mib - 1, 16 * mib);
        assert_eq!(cramped(free, 1000 * gib), Some(Cramped { free, needed }));
        // Some network file systems tell neither.
        assert_eq!(cramped(0, 0), None);
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
    fn a_reserve_is_used_again_and_holds_no_earlier_answer() {
        let directory = tempfile::tempdir().unwrap();
        let spares = || fs::read_dir(directory.path().join(SPARES)).unwrap().count();
        let rescue = Rescue::open(directory.path()).unwrap();
        rescue.reserve(1).unwrap();
        rescue.keep(1, b"an answer").unwrap();
        rescue.remove(1).unwrap();
        assert_eq!((rescue.list(now()).unwrap().len(), spares()), (0, 1));

        let rescue = Rescue::open(directory.path()).unwrap();
        rescue.reserve(2).unwrap();
        assert_eq!((rescue.read(2).unwrap(), spares()), (None, 0));
        assert_eq!(fs::metadata(rescue.path(2)).unwrap().len(), RESERVE as u64);
        let more = 2..MOST_SPARES as i64 + 5;
        for attempt in more.clone().skip(1) {
            rescue.reserve(attempt).unwrap();
        }
        for attempt in more {
            rescue.remove(attempt).unwrap();
        }
        assert_eq!(
            (rescue.list(now()).unwrap().len(), spares()),
            (0, MOST_SPARES)
        );
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
