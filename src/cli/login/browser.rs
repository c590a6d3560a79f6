//! A login in a browser that comes back, by itself or in what a person pastes.

use std::io::{BufRead, IsTerminal, Read};
use std::time::Duration;

use super::super::{Failed, print};
use super::scopes::Asked;
use super::{How, Who};
use crate::clock::{self, SystemClock};
use crate::control::LoginAnswer;
use crate::oauth::LoginStart;
use crate::oauth::login::{self, Loopback};
use crate::remedy::Remedy;

/// How long a browser is waited for: as long as the login itself lasts.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// The longest line a person may paste, in bytes.
const LONGEST_PASTE: u64 = 64 << 10;

/// Sends the person to the server and returns what they come back with.
pub(super) async fn answer(
    who: &Who,
    begun: &LoginStart,
    asked: &Asked<'_>,
    how: &How,
) -> Result<LoginAnswer, Failed> {
    // The listener stands before the person is sent away.
    let listener = match login::can_listen(&begun.redirect_uri) {
        true => Some(listen(begun).await?),
        false => None,
    };
    print::talk("Open this address and sign in:\n");
    if how.output.json {
        print::json(&asked.beside(begun));
    } else {
        print::line(begun.authorize_url.as_str());
    }
    open(begun.authorize_url.as_str(), how);
    match listener {
        Some(listener) => {
            print::talk(&format!(
                "\nWaiting for the answer on {} …",
                begun.redirect_uri
            ));
            answered(who, begun, listener).await
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

/// Opens a browser where somebody sits before it.
pub(super) fn open(address: &str, how: &How) {
    if !how.no_browser && std::io::stderr().is_terminal() && open::that_detached(address).is_err() {
        print::talk("\n(no browser could be opened here)");
    }
}

/// Waits for the browser as long as the login itself lasts.
async fn answered(
    who: &Who,
    begun: &LoginStart,
    listener: Loopback,
) -> Result<LoginAnswer, Failed> {
    tokio::select! {
        answer = listener.redirected() => {
            let answer = answer.map_err(|error| of(&error))?;
            Ok(LoginAnswer::Redirected(answer))
        }
        () = clock::sleep(&SystemClock, PATIENCE) => Err(abandoned(who, begun)),
    }
}

/// The browser never came back.
fn abandoned(who: &Who, begun: &LoginStart) -> Failed {
    let error = format!(
        "nobody came back to {} within ten minutes",
        begun.redirect_uri
    );
    let hint = format!(
        "type `tidegate login {}` again; if the server shows a page instead of going back, read \
         it: often that address is not registered to the letter, or an administrator must approve \
         the client first",
        who.words()
    );
    Failed::new(error, Remedy::Login, Some(&hint))
}

async fn listen(begun: &LoginStart) -> Result<Loopback, Failed> {
    let listening = login::listen(&begun.redirect_uri, &begun.state_digest).await;
    listening.map_err(|error| of(&error))
}

fn of(error: &login::Error) -> Failed {
    Failed::of(error, error.remedy(), error.hint().as_deref())
}

/// Reads the address that a person pastes; for anything else they are asked whether it is the code.
async fn pasted() -> Result<LoginAnswer, Failed> {
    let text = line().await.filter(|line| !line.is_empty());
    let text = text.ok_or_else(|| {
        let hint = "begin again, and paste the whole address that the browser ended at";
        Failed::new("nothing was pasted", Remedy::Login, Some(hint))
    })?;
    let is_one_word = !text.contains(['?', '=', ' ']) && !text.contains("://");
    if !is_one_word {
        return Ok(LoginAnswer::Redirected(text));
    }
    print::talk(
        "That is one word rather than an address. An address tells whether the answer belongs to \
         this login; a code alone does not. If you copied it from the page that this login led \
         to, type `yes` and press Enter:",
    );
    match line().await.as_deref() {
        Some("yes" | "y") => Ok(LoginAnswer::Code(text)),
        _ => {
            let hint = "begin again, and paste the whole address that the browser ended at";
            Err(Failed::new("that is no address", Remedy::Login, Some(hint)))
        }
    }
}

/// Reads a line that a person types.
async fn line() -> Option<String> {
    let reading = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let mut input = std::io::stdin().lock().take(LONGEST_PASTE);
        input.read_line(&mut line).map(|_| line)
    });
    let line = reading.await.ok()?.ok()?;
    Some(line.trim().to_owned())
}
