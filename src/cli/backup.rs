//! `tidegate backup`: a copy of both databases that can be brought back.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::{Exit, Failed, Output, print};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::oauth;
use crate::remedy::Remedy;
use crate::store;

/// What a backup says of itself.
const MANIFEST: &str = "backup.json";

/// What was copied, as the manifest has it.
#[derive(Serialize)]
struct Backup {
    made_at: Timestamp,
    version: &'static str,
    files: Vec<&'static str>,
    /// How far each login had got: a later refresh makes the copied refresh token worthless.
    generations: Vec<oauth::vault::Mark>,
}

pub(super) fn backup(
    config: &Config,
    directory: &Path,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    if directory.exists() {
        let error = format!("`{}` is there already", directory.display());
        let hint = "a backup makes a directory of its own; name a new one";
        return Err(Failed::new(error, Remedy::EditConfig, Some(hint)));
    }
    // A backup that is cut short never has the name of a whole one.
    let partial = beside(directory);
    let failed = |error: io::Error| could_not_write(&partial, &error);
    DirBuilder::new()
        .mode(0o700)
        .create(&partial)
        .map_err(failed)?;
    let made = copy(config, &partial, clock.now())?;
    fs::rename(&partial, directory).map_err(failed)?;
    sync(directory.parent()).map_err(|error| could_not_write(directory, &error))?;
    if output.json {
        print::json(&made);
    } else {
        tell(&made, directory);
    }
    Ok(Exit::Done)
}

fn tell(made: &Backup, directory: &Path) {
    let files = made.files.join(" and ");
    print::line(&format!("copied {files} to {}", directory.display()));
    print::line("  the key of the vault is not in it: keep a copy of that somewhere else");
    let logins = made.generations.len() as u64;
    if logins > 0 {
        print::line(&format!(
            "  {} in it may have to be repeated after a restore: a provider that gives a new \
             refresh token each time forgets the copied one at the next refresh",
            print::many(logins, "login")
        ));
    }
}

fn copy(config: &Config, to: &Path, now: Timestamp) -> Result<Backup, Failed> {
    let wanted = [
        (config.database.clone(), "tidegate.db", &store::DATA),
        (config.vault(), "vault.db", &store::VAULT),
    ];
    let present = wanted.into_iter().filter(|(from, ..)| from.exists());
    let mut files = Vec::new();
    for (from, name, schema) in present {
        store::copy(&from, &to.join(name), schema)?;
        files.push(name);
    }
    if files.is_empty() {
        // Nothing was put into it.
        let _ = fs::remove_dir(to);
        return Err(store::Error::Missing {
            path: config.database.clone(),
        }
        .into());
    }
    let made = Backup {
        made_at: now,
        version: env!("TIDEGATE_VERSION"),
        files,
        generations: oauth::vault::marks(&to.join("vault.db")).map_err(oauth::Error::from)?,
    };
    let manifest = to.join(MANIFEST);
    let written = write(&manifest, &made).and_then(|()| sync(Some(to)));
    written.map_err(|error| could_not_write(&manifest, &error))?;
    Ok(made)
}

fn write(path: &Path, made: &Backup) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(made)?;
    text.push(b'\n');
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&text)?;
    file.sync_all()
}

/// Makes the names in a directory durable.
fn sync(directory: Option<&Path>) -> io::Result<()> {
    match directory {
        Some(directory) if !directory.as_os_str().is_empty() => File::open(directory)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

fn beside(directory: &Path) -> PathBuf {
    let mut name = directory.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn could_not_write(path: &Path, error: &io::Error) -> Failed {
    let hint = match error.kind() {
        io::ErrorKind::AlreadyExists => "a backup was cut short there; remove it and try again",
        _ => "name a directory whose parent is there and can be written",
    };
    let error = format!("could not make `{}`: {error}", path.display());
    Failed::new(error, Remedy::EditConfig, Some(hint))
}
