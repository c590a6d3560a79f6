//! `tidegate vault init`: makes the key that seals the tokens.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use super::{Exit, Failed, Output, print};
use crate::config::{self, KeySource};
use crate::remedy::Remedy;
use crate::seal;

#[derive(Serialize)]
struct Made {
    key_file: PathBuf,
}

pub(super) fn init(
    config: Option<&Path>,
    key_file: Option<PathBuf>,
    output: Output,
) -> Result<Exit, Failed> {
    let (path, vault) = match key_file {
        Some(path) => (path, None),
        None => {
            let config = config::load(&config::find(config))?;
            match &config.key {
                KeySource::File(path) => (path.clone(), Some(config.vault())),
                KeySource::Credential(name) => {
                    return Err(elsewhere(&format!("credential `{name}`")));
                }
                KeySource::Env(name) => return Err(elsewhere(&format!("variable `{name}`"))),
            }
        }
    };
    // A vault that is there was sealed with some key; a second key could not open it.
    if let Some(vault) = vault.filter(|vault| vault.exists()) {
        let error = format!("there is a vault already: `{}`", vault.display());
        let hint = "bring its key back, or move the vault away and sign in again everywhere";
        return Err(Failed::new(error, Remedy::EditConfig, Some(hint)));
    }
    make(&path)?;
    if output.json {
        print::json(&Made { key_file: path });
    } else {
        print::line(&format!("made the key {}", path.display()));
        print::line("  keep a copy somewhere safe: without it every token must be given again");
    }
    Ok(Exit::Done)
}

/// Makes a key file that only its owner can read. One that is there is left alone.
pub(super) fn make(path: &Path) -> Result<(), Failed> {
    let failed = |error: std::io::Error| {
        let hint = (error.kind() == std::io::ErrorKind::AlreadyExists)
            .then_some("a key that is there is never replaced");
        let error = format!("could not make `{}`: {error}", path.display());
        Failed::new(error, Remedy::EditConfig, hint)
    };
    let key = new_key()?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    file.write_all(key.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    Ok(())
}

/// Returns 32 random bytes as 64 letters and a newline.
fn new_key() -> Result<Zeroizing<String>, Failed> {
    let bytes = seal::random::<32>().map_err(|error| Failed::of(&error, Remedy::Report, None))?;
    let mut text = Zeroizing::new(String::with_capacity(65));
    for byte in bytes.iter() {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    Ok(text)
}

fn elsewhere(place: &str) -> Failed {
    let error = format!("the configuration takes the vault's key from the {place}");
    let hint =
        "make a key file with `tidegate vault init --key-file FILE` and put its content there";
    Failed::new(error, Remedy::EditConfig, Some(hint))
}
