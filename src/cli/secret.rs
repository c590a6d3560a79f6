//! `tidegate secret`: what the vault keeps sealed for the configuration.

use std::io::{self, BufRead, IsTerminal, Read};
use std::sync::Arc;

use rustix::termios::{self, LocalModes, OptionalActions, Termios};
use serde::Serialize;

use super::args::SecretCommand;
use super::owner::ask;
use super::{Exit, Failed, Output, input, print};
use crate::clock::SharedClock;
use crate::config::{self, Config, MOST_READ, Name};
use crate::control::Client;
use crate::oauth;
use crate::remedy::Remedy;
use crate::secret::Secret;

pub(super) async fn secret(
    config: &Arc<Config>,
    command: SecretCommand,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    match command {
        SecretCommand::Set { name } => set(config, &name, output, clock).await,
        SecretCommand::List => list(config, output),
        SecretCommand::Remove { name, force } => remove(config, &name, force, output, clock).await,
    }
}

/// What became of a secret.
#[derive(Serialize)]
struct Changed<'a> {
    secret: &'a Name,
}

async fn set(
    config: &Arc<Config>,
    name: &Name,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    let secret = given(name).await?;
    let set = async |owner: &Client| owner.set_secret(name, &secret).await;
    ask(config, "secret set", clock, set).await?;
    if output.json {
        print::json(&Changed { secret: name });
        return Ok(Exit::Done);
    }
    print::line(&format!("sealed `{name}`"));
    if !config.sealed.contains(name) {
        print::line(&format!(
            "  the configuration can take it as {{ vault = \"{name}\" }}"
        ));
    }
    Ok(Exit::Done)
}

fn list(config: &Config, output: Output) -> Result<Exit, Failed> {
    #[derive(Serialize)]
    struct Listed {
        #[serde(flatten)]
        secret: oauth::vault::SealedSecret,
        referred_to: bool,
    }
    let sealed = oauth::vault::sealed_secrets(&config.vault()).map_err(oauth::Error::from)?;
    let listed: Vec<Listed> = sealed
        .into_iter()
        .map(|secret| Listed {
            referred_to: config.sealed.contains(&secret.name),
            secret,
        })
        .collect();
    if output.json {
        print::json(&listed);
    } else if listed.is_empty() {
        print::line("no secret is sealed");
    } else {
        let yes_or_no = |is_so| if is_so { "yes" } else { "no" }.to_owned();
        let rows = listed.iter().map(|listed| {
            let name = listed.secret.name.to_string();
            let set_at = print::moment(listed.secret.set_at);
            vec![name, set_at, yes_or_no(listed.referred_to)]
        });
        print::table(&["SECRET", "SET", "REFERRED TO"], rows.collect(), &[]);
    }
    Ok(Exit::Done)
}

/// Returns a warning for each sealed secret that the configuration refers to and the vault lacks.
pub(super) fn missing(config: &Config) -> Vec<String> {
    let sealed = match oauth::vault::sealed_secrets(&config.vault()) {
        Ok(sealed) => sealed,
        Err(_) if config.sealed.is_empty() => return Vec::new(),
        Err(error) => {
            let error = crate::remedy::told(&error);
            return vec![format!("could not look for sealed secrets: {error}")];
        }
    };
    let is_missing = |name: &&Name| sealed.iter().all(|secret| secret.name != **name);
    let missing = config.sealed.iter().filter(is_missing);
    missing
        .map(|name| {
            format!("the vault has no secret `{name}` yet; type `tidegate secret set {name}`")
        })
        .collect()
}

async fn remove(
    config: &Arc<Config>,
    name: &Name,
    force: bool,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    let remove = async |owner: &Client| owner.remove_secret(name, force).await;
    ask(config, "secret remove", clock, remove).await?;
    if output.json {
        print::json(&Changed { secret: name });
    } else {
        print::line(&format!("removed `{name}`, and the key that sealed it"));
    }
    Ok(Exit::Done)
}

/// Reads a secret from the standard input: a line that is not shown, or all that is piped in.
async fn given(name: &Name) -> Result<Secret, Failed> {
    let unseen = io::stdin().is_terminal().then(|| {
        let unseen = Unseen::begin();
        print::talk(&format!("Type the secret `{name}`; it is not shown:"));
        unseen
    });
    let is_typed = unseen.is_some();
    let read = if is_typed {
        input::read(MOST_READ, |input, bytes| input.read_until(b'\n', bytes)).await
    } else {
        input::read(MOST_READ, |input, bytes| input.read_to_end(bytes)).await
    };
    // The terminal is the person's again, also if they gave up.
    drop(unseen);
    let bytes =
        read.map_err(|error| nothing(&format!("the standard input could not be read: {error}")))?;
    config::secret_of(&bytes).map_err(|what| nothing(&format!("the secret {what}")))
}

fn nothing(error: &str) -> Failed {
    let hint = "type it at the prompt, or pipe it in: `tidegate secret set NAME < FILE`";
    Failed::new(error, Remedy::EditConfig, Some(hint))
}

/// A terminal that does not show what is typed, until this is dropped.
struct Unseen {
    before: Option<Termios>,
}

impl Unseen {
    fn begin() -> Self {
        let before = termios::tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            silent.local_modes.insert(LocalModes::ECHONL); // but the end of the line is
            // A terminal that cannot be silenced is the person's to see.
            let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &silent);
        }
        Self { before }
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
