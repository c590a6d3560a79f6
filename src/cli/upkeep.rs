//! `tidegate vault`, but for `init`: which keys open the vault, and what is done to it.

use std::sync::Arc;

use serde::Serialize;

use super::args::VaultCommand;
use super::owner::ask;
use super::{Exit, Failed, Output, print, vault};
use crate::clock::SharedClock;
use crate::config::{self, Config, KeySource};
use crate::control::{Adopted, Client};
use crate::oauth::vault::{Rewrapped, Survey, Verified};
use crate::seal::{KeyId, RootKey};
use crate::{daemon, lock, oauth, seal};

pub(super) async fn upkeep(
    config: &Arc<Config>,
    command: VaultCommand,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    match command {
        VaultCommand::Init { key_file } => vault::init(Some(&config.path), key_file, output),
        VaultCommand::Status => status(config, output),
        VaultCommand::Rewrap => {
            let done = ask(config, "vault rewrap", clock, async |owner| {
                owner.rewrap().await
            });
            Ok(rewrapped(&done.await?, output))
        }
        VaultCommand::Verify => {
            let done = ask(config, "vault verify", clock, async |owner| {
                owner.verify().await
            });
            Ok(verified(&done.await?, output))
        }
        VaultCommand::Drop { key } => {
            let dropped = async |owner: &Client| owner.drop_key(key).await;
            ask(config, "vault drop", clock, dropped).await?;
            Ok(gone(key, output))
        }
        VaultCommand::Adopt => {
            match daemon::adopt_machine(config) {
                // Whoever owns it has started on this machine.
                Ok(()) | Err(daemon::Error::Lock(lock::Error::Taken { .. })) => {}
                Err(error) => return Err(error.into()),
            }
            let done = ask(config, "vault adopt", clock, async |owner| {
                owner.adopt().await
            });
            Ok(adopted(done.await?, output))
        }
        VaultCommand::Reseal => {
            let done = ask(config, "vault reseal", clock, async |owner| {
                owner.reseal().await
            });
            Ok(resealed(&done.await?, output))
        }
    }
}

fn rewrapped(done: &Rewrapped, output: Output) -> Exit {
    if output.json {
        print::json(done);
    } else {
        let keys = print::many(done.data_keys, "data key");
        print::line(&format!("{keys} brought under the current key"));
        unreadable(&done.unreadable);
    }
    exit(&done.unreadable)
}

fn adopted(done: Adopted, output: Output) -> Exit {
    if output.json {
        print::json(&done);
    } else {
        let accounts = print::many(done.accounts, "account");
        print::line(&format!(
            "this vault is the one in use; {accounts} may refresh again"
        ));
    }
    Exit::Done
}

fn resealed(done: &Rewrapped, output: Output) -> Exit {
    if output.json {
        print::json(done);
    } else {
        let sealed = print::many(done.data_keys, "record");
        print::line(&format!(
            "{sealed} sealed anew, and the old ones wiped from the disk"
        ));
        print::line(
            "  whoever has an old copy and the old key still reads what was in it: sign in again \
             and replace client secrets at each provider",
        );
        unreadable(&done.unreadable);
    }
    exit(&done.unreadable)
}

fn verified(found: &Verified, output: Output) -> Exit {
    if output.json {
        print::json(found);
    } else {
        let counts = [
            (found.credentials, "credential"),
            (found.secrets, "secret"),
            (found.orphans, "orphan"),
            (found.answers, "kept answer"),
        ];
        let counts = counts.map(|(count, what)| print::many(count, what));
        print::line(&format!("these open: {}", counts.join(", ")));
        unreadable(&found.unreadable);
    }
    exit(&found.unreadable)
}

fn gone(key: KeyId, output: Output) -> Exit {
    #[derive(Serialize)]
    struct Dropped {
        dropped: String,
    }
    if output.json {
        print::json(&Dropped {
            dropped: key.to_string(),
        });
    } else {
        print::line(&format!("the vault has forgotten key {key}"));
        print::line(
            "  take it out of `old_keys`; keep the key itself as long as old backups matter",
        );
    }
    Exit::Done
}

fn unreadable(records: &[String]) {
    for record in records {
        print::talk(&format!("error: {record}"));
    }
}

fn exit(unreadable: &[String]) -> Exit {
    match unreadable.is_empty() {
        true => Exit::Done,
        false => Exit::Failed,
    }
}

/// A key: what the vault knows of it, and where the configuration takes it from.
#[derive(Serialize)]
struct Shown {
    key: String,
    state: &'static str,
    source: Option<String>,
    data_keys: u64,
    since: Option<String>,
}

fn status(config: &Config, output: Output) -> Result<Exit, Failed> {
    #[derive(Serialize)]
    struct Status<'a> {
        vault: String,
        keys: &'a [Shown],
        credentials: u64,
        secrets: u64,
        orphans: u64,
    }
    let survey = oauth::vault::survey(&config.vault()).map_err(oauth::Error::from)?;
    let keys = keys(config, &survey);
    let vault = config.vault().display().to_string();
    if output.json {
        print::json(&Status {
            vault,
            keys: &keys,
            credentials: survey.credentials,
            secrets: survey.secrets,
            orphans: survey.orphans,
        });
        return Ok(Exit::Done);
    }
    let counts = [
        (survey.credentials, "credential"),
        (survey.secrets, "secret"),
        (survey.orphans, "orphan"),
    ];
    let counts = counts.map(|(count, what)| print::many(count, what));
    print::line(&format!("{vault}: {}", counts.join(", ")));
    let rows = keys.iter().map(|key| {
        vec![
            key.key.clone(),
            key.state.to_owned(),
            key.data_keys.to_string(),
            key.source.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    print::table(&["KEY", "STATE", "WRAPS", "SOURCE"], rows.collect(), &[2]);
    Ok(Exit::Done)
}

/// Returns the keys the vault knows and those of the configuration.
fn keys(config: &Config, survey: &Survey) -> Vec<Shown> {
    let id = |source: &KeySource| {
        let bytes: Option<zeroize::Zeroizing<[u8; seal::KEY]>> = config::read_key(source).ok();
        bytes.map(|bytes| RootKey::new(&bytes).id().to_string())
    };
    let old = config.old_keys.iter().map(|source| ("old", source));
    let configured: Vec<(&str, String, Option<String>)> = std::iter::once(("current", &config.key))
        .chain(old)
        .map(|(state, source)| (state, source.to_string(), id(source)))
        .collect();
    let mut shown: Vec<Shown> = survey
        .keys
        .iter()
        .map(|known| {
            let has_it =
                |(_, _, id): &&(&str, String, Option<String>)| id.as_ref() == Some(&known.key);
            let found = configured.iter().find(has_it);
            let missing = if known.data_keys > 0 {
                "missing"
            } else {
                "not needed"
            };
            Shown {
                key: known.key.clone(),
                state: found.map_or(missing, |(state, ..)| state),
                source: found.map(|(_, source, _)| source.clone()),
                data_keys: known.data_keys,
                since: Some(known.since.clone()),
            }
        })
        .collect();
    for (_, source, id) in configured {
        let is_known = |known: &oauth::vault::KeyUse| Some(&known.key) == id.as_ref();
        if !survey.keys.iter().any(is_known) {
            shown.push(Shown {
                key: id.clone().unwrap_or_else(|| "?".to_owned()),
                state: if id.is_some() { "new" } else { "unreadable" },
                source: Some(source),
                data_keys: 0,
                since: None,
            });
        }
    }
    shown
}
