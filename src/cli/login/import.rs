//! `tidegate login NAME --import`: tokens that were obtained elsewhere.

use std::io::{self, IsTerminal, Read};
use std::sync::Arc;

use super::super::owner::ask;
use super::super::{Exit, Failed, Output, input, print};
use super::{Who, known, warn_if_not_refreshable};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::control::Client;
use crate::oauth::LONGEST_IMPORT;
use crate::remedy::Remedy;
use crate::secret::Secret;

pub(in crate::cli) async fn import(
    config: &Arc<Config>,
    who: &Who,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    known(config, &who.connection)?;
    let brought = brought(who).await?;
    let import = async |owner: &Client| {
        let (connection, account) = (&who.connection, who.account());
        owner.import(connection, account, &brought).await
    };
    let done = ask(config, "login", clock, import).await?;
    if output.json {
        print::json(&done);
        return Ok(Exit::Done);
    }
    print::line(&format!("brought in the tokens of `{who}`"));
    match done.expires_at {
        Some(at) if at > clock.now() => {
            print::line(&format!("  access token until {}", print::moment(at)));
        }
        Some(_) if done.refreshable => {
            print::line("  the first use of the refresh token gets an access token");
        }
        Some(_) | None => {}
    }
    warn_if_not_refreshable(&done);
    Ok(Exit::Done)
}

/// Reads what is piped in. It is never an argument: others see those.
async fn brought(who: &Who) -> Result<Secret, Failed> {
    if io::stdin().is_terminal() {
        return Err(nothing(who, "nothing is piped in"));
    }
    // One byte more tells that it is too long.
    let read = input::read(LONGEST_IMPORT + 1, |input, bytes| input.read_to_end(bytes)).await;
    let bytes = read.map_err(|error| {
        nothing(
            who,
            &format!("the standard input could not be read: {error}"),
        )
    })?;
    match bytes.len() {
        0 => Err(nothing(who, "the standard input is empty")),
        1..=LONGEST_IMPORT => {
            let text = std::str::from_utf8(&bytes);
            text.map(Secret::from)
                .map_err(|_| nothing(who, "what is piped in is not UTF-8 text"))
        }
        _ => Err(nothing(who, "what is piped in is longer than 256 KiB")),
    }
}

fn nothing(who: &Who, error: &str) -> Failed {
    let words = who.words();
    let hint = format!("pipe a token answer in, as JSON: `tidegate login {words} --import < FILE`");
    Failed::new(error, Remedy::EditConfig, Some(&hint))
}
