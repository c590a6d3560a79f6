//! `tidegate vault init`: makes the key that seals the tokens.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use super::{Exit, Failed, Output, print};
use crate::config::{self, Config, KeySource};
use crate::oauth;
use crate::remedy::Remedy;
use crate::seal::{self, RootKey};

#[derive(Serialize)]
struct Made {
    key_file: PathBuf,
}

pub(super) fn init(
    config: Option<&Path>,
    key_file: Option<PathBuf>,
    output: Output,
) -> Result<Exit, Failed> {
    let path = match key_file {
        Some(path) => path,
        None => {
            let config = config::load(&config::find(config))?;
            if let Some(words) = is_there(&config)? {
                print::talk(&words);
                return Ok(Exit::Done);
            }
            match config.key {
                KeySource::File(path) => path,
                KeySource::Credential(name) => {
                    return Err(elsewhere(&format!("credential `{name}`")));
                }
                KeySource::Env(name) => return Err(elsewhere(&format!("variable `{name}`"))),
            }
        }
    };
    make(&path)?;
    if output.json {
        print::json(&Made { key_file: path });
    } else {
        print::line(&format!("made the key {}", path.display()));
        print::line("  keep a copy somewhere safe: without it every token must be given again");
    }
    Ok(Exit::Done)
}

/// Says that there is nothing to make, if the key that is configured is there and opens the vault.
fn is_there(config: &Config) -> Result<Option<String>, Failed> {
    let (source, vault) = (&config.key, config.vault());
    match (config::read_key(source), vault.exists()) {
        (Ok(key), true) => {
            let ring = RootKey::new(&key).read_from(source).into();
            oauth::vault::recognised(&vault, &ring).map_err(oauth::Error::from)?;
            let vault = vault.display();
            Ok(Some(format!(
                "nothing to do: the key is in the {source}, and opens `{vault}`"
            )))
        }
        (Ok(_), false) => Ok(Some(format!("nothing to do: the key is in the {source}"))),
        // A vault that knows a key was sealed with it; another key could not open it.
        (Err(_), true) if knows_a_key(&vault)? => {
            let error = format!("there is a vault already: `{}`", vault.display());
            let hint = "bring its key back, or move the vault away and sign in again everywhere";
            Err(Failed::new(error, Remedy::EditConfig, Some(hint)))
        }
        (Err(_), _) => Ok(None),
    }
}

fn knows_a_key(vault: &Path) -> Result<bool, oauth::Error> {
    let survey = oauth::vault::survey(vault)?;
    Ok(!survey.keys.is_empty())
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
