//! `tidegate demo`: the whole way, end to end, against a provider inside this program.
//!
//! What it shows is real: the configuration is a file, the login goes through the consent page,
//! every run goes through the same socket, and the files stay. Only the provider is emulated, and
//! only the clock leaps.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::owner::Owner;
use super::{Exit, Failed, Output, print, query, vault};
use crate::clock::{LeapClock, SharedClock};
use crate::config::{self, Config};
use crate::control::{LoginAnswer, LoginBegun, WhichAccount};
use crate::journal::Outcome;
use crate::remedy::Remedy;
use crate::run::{Ended, Event};
use crate::sandbox::{Sandbox, Settings};
use crate::status::ConnectionStatus;

/// How many projects the emulated division begins with: a few pages of sixty.
const PROJECTS: usize = 320;
/// What happens at the source while nobody looks.
const CHANGED: usize = 12;
const ADDED: usize = 5;
const DELETED: usize = 3;
/// How long the demo's afternoon break is: longer than an access token lives.
const BREAK: Duration = Duration::from_secs(15 * 60);
/// A moment between the first run and the changes, so that they are later.
const MOMENT: Duration = Duration::from_secs(60);

pub(super) async fn demo(directory: Option<PathBuf>, output: Output) -> Result<Exit, Failed> {
    let directory = make_directory(directory)?;
    let clock = LeapClock::new();
    let shared: SharedClock = Arc::new(clock.clone());
    let settings = Settings {
        projects: PROJECTS,
        ..Settings::default()
    };
    let sandbox = Sandbox::start(Arc::clone(&shared), settings)
        .await
        .map_err(|error| {
            Failed::new(
                format!("could not start the emulated provider: {error}"),
                Remedy::Wait,
                None,
            )
        })?;

    say("tidegate demo: an emulated Exact Online, inside this program, on");
    say(&format!("  {}", sandbox.base_url()));
    step(1, "A configuration");
    let config = configure(&directory, &sandbox)?;
    let key = directory.join("vault.key");
    vault::make(&key)?;
    say("  and a key, which will seal the tokens:");
    say(&format!("  {}", key.display()));

    let config = Arc::new(config::load(&config)?);
    let owner = Owner::reach(&config, "demo", &shared).await?;
    let story = tell(&owner, &config, &sandbox, &clock).await;
    owner.leave().await;
    story?;

    step(6, "What is there now");
    let sql = "SELECT code, description, account_name, budgeted_amount, modified, sync_at \
               FROM project ORDER BY modified DESC LIMIT 6";
    query::query(&config, sql, false, output)?;
    say("");
    say("The files stay. Any SQLite tool opens the database, and so does this program:");
    let (database, config) = (config.database.display(), config.path.display());
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("tidegate"));
    let program = program.display();
    say(&format!(
        "  sqlite3 {database} 'SELECT count(*) FROM project'"
    ));
    say(&format!("  {program} --config {config} tables"));
    say(&format!("  {program} --config {config} runs"));
    say("Nothing of this needed an account. README.md goes on with the real Exact Online.");
    Ok(Exit::Done)
}

/// Signs in, and runs while the source changes and a token ends.
async fn tell(
    owner: &Owner,
    config: &Config,
    sandbox: &Sandbox,
    clock: &LeapClock,
) -> Result<(), Failed> {
    step(2, "Signing in on `exact`, as a person would in a browser");
    let LoginBegun::Browser(begun) = owner
        .client
        .begin_login("exact", &WhichAccount::default())
        .await?
    else {
        return Err(Failed::new(
            "the demo signs in in a browser",
            Remedy::Report,
            None,
        ));
    };
    say(&format!("  {}", shortened(begun.authorize_url.as_str())));
    let redirected = consent(&begun.authorize_url).await?;
    say(&format!(
        "  allowed; sent back to {}",
        shortened(redirected.as_str())
    ));
    owner
        .client
        .finish_login(
            "exact",
            &begun.id,
            &LoginAnswer::Redirected(redirected.into()),
        )
        .await?;
    say("  signed in; both tokens are sealed in");
    say(&format!("  {}", config.vault().display()));

    step(3, "The first run");
    run(owner).await?;

    clock.leap(MOMENT);
    step(4, "Meanwhile at the source");
    sandbox.change_projects(CHANGED);
    sandbox.insert_projects(ADDED);
    sandbox.delete_projects(DELETED);
    say(&format!(
        "  {CHANGED} projects changed, {ADDED} added, {DELETED} deleted; run again:"
    ));
    run(owner).await?;
    say("  (the deleted ones are told by the source's own feed of deletions)");

    step(5, "A quarter of an hour later");
    let before = health(owner).await?;
    clock.leap(BREAK);
    say("  the access token, good for ten minutes, has ended; run again:");
    run(owner).await?;
    let after = health(owner).await?;
    say(&format!(
        "  it was refreshed on the way: token {} gave way to token {}, and {} token requests were \
         made in all",
        before.generation,
        after.generation,
        sandbox.ledger().token_requests().len(),
    ));
    Ok(())
}

async fn run(owner: &Owner) -> Result<(), Failed> {
    let mut failed: Option<Ended> = None;
    let heard = |event: Event| {
        let Event::Ended(end) = event else { return };
        print::ended(&end);
        if end.outcome != Outcome::Succeeded {
            failed = Some(end);
        }
    };
    owner.client.run(Vec::new(), heard).await?;
    match failed {
        None => Ok(()),
        Some(end) => {
            let error = end
                .error
                .unwrap_or_else(|| "a run did not succeed".to_owned());
            Err(Failed::new(error, Remedy::Report, end.hint.as_deref()))
        }
    }
}

async fn health(owner: &Owner) -> Result<ConnectionStatus, Failed> {
    let report = owner.client.status().await?;
    let gone = || Failed::new("the connection is gone", Remedy::Report, None);
    report.connections.into_iter().next().ok_or_else(gone)
}

async fn consent(authorize_url: &Url) -> Result<Url, Failed> {
    Sandbox::consent(authorize_url)
        .await
        .map_err(|error| Failed::new(format!("could not sign in: {error}"), Remedy::Report, None))
}

fn make_directory(directory: Option<PathBuf>) -> Result<PathBuf, Failed> {
    let failed = |path: &Path, error: std::io::Error| {
        let hint = (error.kind() == std::io::ErrorKind::AlreadyExists)
            .then_some("choose a directory that is not there yet");
        let error = format!("could not make `{}`: {error}", path.display());
        Failed::new(error, Remedy::EditConfig, hint)
    };
    let directory = directory.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()))
    });
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(&directory)
        .map_err(|error| failed(&directory, error))?;
    Ok(directory)
}

/// Writes the configuration, which holds the emulated app's secret and so is ours alone to read.
fn configure(directory: &Path, sandbox: &Sandbox) -> Result<PathBuf, Failed> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let division = sandbox.divisions().first().copied().unwrap_or_default();
    let text = format!(
        r#"# What `tidegate demo` wrote. Its provider lives only while the demo runs.

[connection.exact]
provider      = "exact-online"
base_url      = "{base_url}"
client_id     = "{client_id}"
client_secret = {{ file = "client-secret" }}
redirect_uri  = "{redirect_uri}"

[flow.project]
connection = "exact"
vars       = {{ division = {division} }}
schedule   = "*/15 * * * *"
url        = "/api/v1/{{{{ var.division }}}}/project/Projects"
query      = {{ "$select" = "ID,Code,Description,AccountName,BudgetedAmount,StartDate,Modified" }}
paging     = "odata"
cursor     = {{ field = "Modified", filter = "Modified ge datetime'{{{{ bookmark }}}}'" }}
key        = ["ID"]
columns    = {{ id = "ID", code = "Code", description = "Description", account_name = "AccountName", budgeted_amount = "BudgetedAmount", start_date = "StartDate", modified = "Modified" }}

# What was deleted at the source, as it tells by itself.
[flow.deleted]
connection = "exact"
vars       = {{ division = {division} }}
schedule   = "*/15 * * * *"
url        = "/api/v1/{{{{ var.division }}}}/sync/Deleted"
query      = {{ "$select" = "ID,EntityKey,EntityType,DeletedDate,Timestamp" }}
paging     = "odata"
cursor     = {{ field = "Timestamp", filter = "Timestamp gt {{{{ bookmark }}}}L", start = "1", ordered = true }}
key        = ["ID"]
"#,
        base_url = sandbox.base_url(),
        client_id = sandbox.client_id(),
        redirect_uri = sandbox.redirect_uri(),
    );
    let write = |name: &str, text: &str| -> Result<PathBuf, Failed> {
        let path = directory.join(name);
        let mut options = std::fs::OpenOptions::new();
        let written = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => Ok(path),
            Err(error) => {
                let error = format!("could not write `{}`: {error}", path.display());
                Err(Failed::new(error, Remedy::EditConfig, None))
            }
        }
    };
    write("client-secret", &sandbox.client_secret())?;
    let path = write("tidegate.toml", &text)?;
    say(&format!("  {}", path.display()));
    Ok(path)
}

/// An address without what may be a secret in its query.
fn shortened(address: &str) -> String {
    match address.split_once('?') {
        Some((address, _)) => format!("{address}?…"),
        None => address.to_owned(),
    }
}

/// Narration goes where messages go, but it is the answer here.
fn say(text: &str) {
    print::line(text);
}

fn step(number: u32, text: &str) {
    say("");
    say(&format!("{number}. {text}"));
}
