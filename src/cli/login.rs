//! `tidegate login` and `logout`.

mod browser;
mod device;
mod import;
mod scopes;

use std::sync::Arc;

use serde::Serialize;

pub(super) use self::import::import;
use self::scopes::Asked;
use super::owner::{Owner, ask};
use super::{Exit, Failed, Output, print};
use crate::clock::SharedClock;
use crate::config::{self, Config, Connection, Name};
use crate::control::{Client, LoginBegun, LoginDone, WhichAccount};
use crate::oauth::SignedOut;
use crate::remedy::Remedy;

/// Whose tokens a command is about, as words of the command line.
pub(super) struct Who {
    connection: String,
    account: Option<String>,
}

impl Who {
    /// Takes the words, if the account's could be a name.
    pub(super) fn parse(connection: String, account: Option<String>) -> Result<Self, Failed> {
        if let Some(name) = &account {
            Name::parse(name).map_err(|why| {
                let error = format!("`{name}` cannot name an account: {why}");
                Failed::new(error, Remedy::EditConfig, None)
            })?;
        }
        Ok(Self {
            connection,
            account,
        })
    }

    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Returns the connection.
    pub(super) fn connection<'c>(&self, config: &'c Config) -> Result<&'c Connection, Failed> {
        known(config, &self.connection)
    }

    /// Returns the words as they are typed.
    fn words(&self) -> String {
        match &self.account {
            None => self.connection.clone(),
            Some(account) => format!("{} --account {account}", self.connection),
        }
    }
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.account {
            None => f.write_str(&self.connection),
            Some(account) => write!(f, "{}/{account}", self.connection),
        }
    }
}

/// How a login goes about it.
pub(super) struct How {
    /// No browser is opened.
    pub(super) no_browser: bool,
    /// Another person may sign in than before.
    pub(super) another_person: bool,
    /// How it answers.
    pub(super) output: Output,
}

pub(super) async fn login(
    config: &Arc<Config>,
    who: &Who,
    how: &How,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    let asked = Asked::by(known(config, &who.connection)?);
    let owner = Owner::reach(config, "login", clock).await?;
    let done = sign_in(&owner, who, &asked, how).await;
    owner.leave().await;
    let done = done?;
    if how.output.json {
        print::json(&done);
        return Ok(Exit::Done);
    }
    match &done.person {
        Some(person) => print::line(&format!("signed in on `{who}` as {}", person.title())),
        None => print::line(&format!("signed in on `{who}`")),
    }
    if let Some(at) = done.expires_at {
        print::line(&format!("  access token until {}", print::moment(at)));
    }
    for notice in &done.notices {
        print::talk(&format!("warning: {notice}"));
    }
    warn_if_not_refreshable(&done);
    Ok(Exit::Done)
}

/// Tells that somebody must sign in again soon, where that is so.
fn warn_if_not_refreshable(done: &LoginDone) {
    if !done.refreshable {
        print::talk(
            "warning: the server gave no refresh token, so somebody must sign in again when this \
             access token ends; many servers give one for a scope such as `offline_access`",
        );
    }
}

async fn sign_in(
    owner: &Owner,
    who: &Who,
    asked: &Asked<'_>,
    how: &How,
) -> Result<LoginDone, Failed> {
    let which = WhichAccount {
        account: who.account.clone(),
        another_person: how.another_person,
        ..WhichAccount::default()
    };
    let begun = owner.client.begin_login(&who.connection, &which).await?;
    for notice in begun.notices() {
        print::talk(&format!("warning: {notice}"));
    }
    if !how.output.json {
        asked.tell();
    }
    let answer = match &begun {
        LoginBegun::Browser(begun) => browser::answer(who, begun, asked, how).await?,
        LoginBegun::Device(begun) => device::answer(begun, asked, how),
    };
    let done = owner
        .client
        .finish_login(&who.connection, begun.id(), &answer);
    Ok(done.await?)
}

pub(super) async fn logout(
    config: &Arc<Config>,
    who: &Who,
    offline: bool,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    #[derive(Serialize)]
    struct LoggedOut<'a> {
        connection: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        account: Option<&'a str>,
        #[serde(flatten)]
        tokens: &'a SignedOut,
    }
    known(config, &who.connection)?;
    let which = WhichAccount {
        account: who.account().map(str::to_owned),
        offline,
        ..WhichAccount::default()
    };
    let logout = async |owner: &Client| owner.logout(&who.connection, &which).await;
    let done = ask(config, "logout", clock, logout).await?;
    if output.json {
        print::json(&LoggedOut {
            connection: &who.connection,
            account: who.account(),
            tokens: &done,
        });
        return Ok(Exit::Done);
    }
    print::line(
        &match (done.revoked.as_slice(), done.remaining.is_empty()) {
            ([], _) => format!("the tokens of `{who}` are erased here"),
            (_, true) => {
                format!("the tokens of `{who}` are revoked at the server, and erased here")
            }
            ([token, ..], false) => format!(
                "the {token} of `{who}` is revoked at the server, and its tokens are erased here"
            ),
        },
    );
    for remaining in &done.remaining {
        print::talk(&format!("warning: {remaining}"));
    }
    Ok(Exit::Done)
}

fn known<'c>(config: &'c Config, connection: &str) -> Result<&'c Connection, Failed> {
    config.connections.get(connection).ok_or_else(|| {
        let error = config::no_such("connection", connection, config.connections.keys());
        Failed::new(error, Remedy::EditConfig, None)
    })
}
