//! `tidegate login` and `logout`.

use std::io::{BufRead, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use url::Url;

use super::owner::Owner;
use super::{Exit, Failed, Output, print};
use crate::clock::{self, SharedClock, SystemClock};
use crate::config::{self, Config, Name};
use crate::control::{LoginBegun, LoginDone};
use crate::oauth::login::{self, Loopback};
use crate::remedy::Remedy;

/// How long a browser is waited for: as long as the login itself lasts.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// The longest line a person may paste, in bytes.
const LONGEST_PASTE: u64 = 64 << 10;

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

    fn account(&self) -> Option<&str> {
        self.account.as_deref()
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

pub(super) async fn login(
    config: &Arc<Config>,
    who: &Who,
    no_browser: bool,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    known(config, &who.connection)?;
    let owner = Owner::reach(config, "login", clock).await?;
    let done = sign_in(&owner, who, no_browser, output).await;
    owner.leave().await;
    let done = done?;
    if output.json {
        print::json(&done);
        return Ok(Exit::Done);
    }
    print::line(&format!("signed in on `{who}`"));
    if let Some(at) = done.expires_at {
        print::line(&format!("  access token until {}", print::moment(at)));
    }
    if !done.refreshable {
        print::talk(
            "warning: the server gave no refresh token, so somebody must sign in again when this \
             access token ends; many servers give one for a scope such as `offline_access`",
        );
    }
    Ok(Exit::Done)
}

async fn sign_in(
    owner: &Owner,
    who: &Who,
    no_browser: bool,
    output: Output,
) -> Result<LoginDone, Failed> {
    let begun = owner.client.begin_login(&who.connection, who.account());
    let begun = begun.await?;
    let redirected = redirected(&begun, no_browser, output).await?;
    Ok(owner
        .client
        .finish_login(&who.connection, &begun.id, redirected)
        .await?)
}

/// Sends the person to the server and returns the URL the server sent them back to.
async fn redirected(
    begun: &LoginBegun,
    no_browser: bool,
    output: Output,
) -> Result<String, Failed> {
    // The listener stands before the person is sent away.
    let listener = match login::can_listen(&begun.redirect_uri) {
        true => Some(listen(&begun.redirect_uri).await?),
        false => None,
    };
    for notice in &begun.notices {
        print::talk(&format!("warning: {notice}"));
    }
    print::talk("Open this address and sign in:\n");
    if output.json {
        print::json(begun);
    } else {
        print::line(begun.authorize_url.as_str());
    }
    if !no_browser
        && std::io::stderr().is_terminal()
        && open::that_detached(begun.authorize_url.as_str()).is_err()
    {
        print::talk("\n(no browser could be opened here)");
    }
    match listener {
        Some(listener) => {
            print::talk(&format!(
                "\nWaiting for the answer on {} …",
                begun.redirect_uri
            ));
            answered(listener).await
        }
        None => {
            print::talk(&format!(
                "\nAfterwards the browser goes to {}, which may show nothing or an error.\n\
                 Copy the whole address from its address bar, paste it here and press Enter:",
                begun.redirect_uri
            ));
            pasted().await
        }
    }
}

/// Waits for the browser as long as the login itself lasts.
async fn answered(listener: Loopback) -> Result<String, Failed> {
    tokio::select! {
        answer = listener.redirected() => {
            answer.map_err(|error| Failed::of(&error, error.remedy(), error.hint().as_deref()))
        }
        () = clock::sleep(&SystemClock, PATIENCE) => {
            Err(Failed::new("nobody signed in within ten minutes", Remedy::Login, None))
        }
    }
}

async fn listen(redirect_uri: &Url) -> Result<Loopback, Failed> {
    login::listen(redirect_uri).await.map_err(|error| {
        let hint = error.hint();
        Failed::of(&error, error.remedy(), hint.as_deref())
    })
}

async fn pasted() -> Result<String, Failed> {
    let reading = tokio::task::spawn_blocking(|| {
        use std::io::Read;
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .take(LONGEST_PASTE)
            .read_line(&mut line)
            .map(|_| line)
    });
    let nothing = || {
        let hint = "begin again, and paste the whole address that the browser ended at";
        Failed::new("nothing was pasted", Remedy::Login, Some(hint))
    };
    let line = reading
        .await
        .map_err(|_| nothing())?
        .map_err(|_| nothing())?;
    let line = line.trim();
    if line.is_empty() {
        Err(nothing())
    } else {
        Ok(line.to_owned())
    }
}

pub(super) async fn logout(
    config: &Arc<Config>,
    who: &Who,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    #[derive(Serialize)]
    struct LoggedOut<'a> {
        connection: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        account: Option<&'a str>,
    }
    known(config, &who.connection)?;
    let owner = Owner::reach(config, "logout", clock).await?;
    let done = owner.client.logout(&who.connection, who.account()).await;
    owner.leave().await;
    done?;
    if output.json {
        print::json(&LoggedOut {
            connection: &who.connection,
            account: who.account(),
        });
    } else {
        print::line(&format!("the tokens of `{who}` are erased here"));
    }
    Ok(Exit::Done)
}

fn known(config: &Config, connection: &str) -> Result<(), Failed> {
    if config.connections.contains_key(connection) {
        return Ok(());
    }
    let error = config::no_such("connection", connection, config.connections.keys());
    Err(Failed::new(error, Remedy::EditConfig, None))
}
