//! How far the vault has got, written beside it, so that an older copy of it is found out.
//!
//! A copy of a vault cannot know which of its refresh tokens were spent after it was made, and a
//! server that is shown one of those may end the whole grant. So the number of the latest attempt
//! stands in a file that no backup holds, with a digest of the machine it belongs to. It is written
//! after the attempt is committed and never synced: it does not run ahead of the vault, and a power
//! cut takes some seconds of it at most.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::{Error, Keys, attempts, credentials, states};
use crate::oauth::standing::{Reason, Standing, State};
use crate::seal::{self, Keyring, Place, RootKey};
use crate::store::{self, NOT_THROUGH_LINKS, Tx};

/// The file, in the state directory.
const FILE: &str = "high-water";
/// The number of an attempt, and the digest of a machine.
const PLAIN: usize = 8 + seal::KEY;
/// How long the sealed record is; the file holds nothing else.
const RECORD: usize = PLAIN + seal::OVERHEAD;
/// What tells this machine from others (machine-id(5)).
const MACHINE_ID: &str = "/etc/machine-id";

/// The file.
pub(super) struct HighWater {
    path: PathBuf,
    /// The highest number that stands in it, and a handle to it once it was written.
    written: Mutex<(i64, Option<File>)>,
}

/// What stands in the file.
pub(super) struct Found {
    attempt: i64,
    /// True if another machine wrote it.
    is_foreign: bool,
}

impl HighWater {
    pub(super) fn of(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join(FILE),
            written: Mutex::default(),
        }
    }

    /// Returns what stands in the file; `None` if it is missing, or nothing of this vault's.
    fn found(&self, keys: &Keys) -> Option<Found> {
        let mut record = [0; RECORD];
        OpenOptions::new()
            .read(true)
            .custom_flags(NOT_THROUGH_LINKS)
            .open(&self.path)
            .and_then(|mut file| file.read_exact(&mut record))
            .ok()?;
        let place = place(keys);
        // The key's id stands in the record, so that none is tried in vain.
        let opened = keys.all().find_map(|key| {
            let plain = key.unseal_state(&place, &record).ok()?;
            Some((key, plain))
        });
        let (key, plain) = opened?;
        let (attempt, machine) = plain.split_first_chunk::<8>()?;
        let here = machine_digest(key);
        let is_known = |digest: &[u8]| digest.iter().any(|byte| *byte != 0);
        Some(Found {
            attempt: i64::from_be_bytes(*attempt),
            is_foreign: is_known(machine) && is_known(&here) && machine != here,
        })
    }

    /// Writes that the vault has got to `attempt` on this machine, unless it has got further.
    pub(super) fn raise(&self, keys: &Keys, attempt: i64) -> io::Result<()> {
        let Ok(key) = keys.current() else {
            return Ok(()); // without a key nothing was sealed, and nothing can be behind
        };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let (highest, file) = &mut *written;
        if file.is_some() && attempt <= *highest {
            return Ok(());
        }
        let mut plain = Vec::with_capacity(PLAIN);
        plain.extend_from_slice(&attempt.to_be_bytes());
        plain.extend_from_slice(&machine_digest(key));
        let record = key.seal_state(&place(keys), &plain);
        let record = record.map_err(io::Error::other)?;
        match file {
            Some(file) => file.write_all_at(&record, 0)?,
            None => *file = Some(self.first_written(&record)?),
        }
        *highest = attempt;
        Ok(())
    }

    /// Makes the file, durably: from then on one that is missing was taken away.
    fn first_written(&self, record: &[u8]) -> io::Result<File> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(NOT_THROUGH_LINKS)
            .open(&self.path)?;
        file.write_all_at(record, 0)?;
        file.sync_all()?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(file)
    }

    /// Compares the vault with the file, and returns the latest attempt the vault knows of.
    ///
    /// In a vault that is older, every account whose refresh token may have been spent since is in
    /// doubt, and numbers that were given since are not given again.
    ///
    /// # Errors
    /// [`Error::ForeignMachine`] if another machine may be using a copy of it.
    pub(super) fn check(&self, tx: &Tx<'_>, keys: &Keys, at: Timestamp) -> Result<i64, Error> {
        let latest = attempts::latest(tx)?;
        if keys.current().is_err() {
            return Ok(latest);
        }
        let found = self.found(keys);
        let at_risk = credentials::at_risk(tx)?;
        if found.as_ref().is_some_and(|found| found.is_foreign) && !at_risk.is_empty() {
            return Err(Error::ForeignMachine {
                path: keys.path.clone(),
            });
        }
        let is_older = match &found {
            Some(found) => latest < found.attempt,
            // A vault that never refreshed has spent nothing that a copy of it could hold.
            None => credentials::any_refreshed(tx)?,
        };
        if is_older {
            for account in at_risk {
                let before = states::read(tx, &account)?;
                if before.is_none_or(|before| before.state != State::NeedsLogin) {
                    tracing::error!(connection = %account, "the vault is an older copy of itself: this refresh token may have been spent since, and rests until `tidegate vault adopt`");
                    states::write(tx, &account, &restored(at))?;
                }
            }
            attempts::go_on_after(tx, found.map_or(latest, |found| found.attempt))?;
        }
        Ok(latest)
    }
}

fn restored(at: Timestamp) -> Standing {
    Standing {
        state: State::InDoubt,
        reason: Some(Reason::Restored),
        ..Standing::ok(at)
    }
}

/// Makes the vault at `path` this machine's, wherever it was used before. How far it has got there
/// stays known.
///
/// # Errors
/// If the vault is there and cannot be read, is another key's, or the file cannot be written.
pub fn adopt_machine(path: &Path, ring: Option<Keyring>) -> Result<(), Error> {
    let Some(ring) = ring.filter(|_| path.exists()) else {
        return Ok(()); // nothing was ever sealed
    };
    let conn = store::open_reader(path, &store::VAULT)?;
    let keys = Keys::known(&conn, path, ring)?;
    let mark = HighWater::of(path.parent().unwrap_or(Path::new(".")));
    let Some(found) = mark.found(&keys) else {
        return Ok(()); // the next start finds out what that means
    };
    mark.raise(&keys, found.attempt)
        .map_err(|source| Error::HighWater {
            path: mark.path,
            source,
        })
}

/// Where the record belongs.
fn place(keys: &Keys) -> Place<'_> {
    Place {
        vault: &keys.vault_id,
        table: FILE,
        row: ["", ""],
        column: "mark",
        generation: 0,
    }
}

/// Returns a digest of this machine's identity that only the holder of the key can make; zeros where
/// it has none.
fn machine_digest(key: &RootKey) -> [u8; seal::KEY] {
    let id = fs::read(machine_id()).unwrap_or_default();
    match id.trim_ascii() {
        [] => [0; seal::KEY],
        id => key.fingerprint(&[b"machine", id]),
    }
}

/// Returns where the machine's identity stands: where a test says, if one does.
#[cfg(feature = "test-clock")]
fn machine_id() -> PathBuf {
    std::env::var_os("TIDEGATE_TEST_MACHINE_ID").map_or_else(|| MACHINE_ID.into(), PathBuf::from)
}

/// Returns where the machine's identity stands.
#[cfg(not(feature = "test-clock"))]
fn machine_id() -> PathBuf {
    MACHINE_ID.into()
}
