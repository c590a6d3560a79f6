//! Words in; words and an exit code out. The only room that prints.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is where printing happens"
)]

mod args;
mod backup;
mod check;
mod connections;
mod demo;
mod discover;
mod failed;
mod hardening;
mod input;
mod keypair;
mod login;
mod owner;
mod plan;
mod preview;
mod print;
mod providers;
mod query;
mod run_now;
mod runs;
mod secret;
mod service;
mod signals;
mod status;
mod tables;
mod upkeep;
mod vault;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use self::args::{Args, Command, ConnectionsCommand, ProvidersCommand, VaultCommand};
use self::failed::Failed;
use crate::clock;
use crate::config::{self, Config};
use crate::remedy::Remedy;

/// What is shown of the log unless `TIDEGATE_LOG` says otherwise. The heartbeat's own notes say nothing.
const LOG_FILTER: &str = "info,tokio_cron_scheduler=warn";
/// The same for commands a person waits for: what they need to know is in the answer.
const QUIET_LOG_FILTER: &str = "off";

/// The most threads for work that blocks, which is reading the database and files. The service's
/// unit allows 128 tasks in all.
const BLOCKING_THREADS: usize = 16;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done,
    /// A run failed, was parked or interrupted.
    Failed,
    /// A person must change something before a start can succeed.
    Configuration,
    /// A person must sign in.
    Login,
}

impl Exit {
    /// Returns how the program ends when somebody must act so.
    fn of(remedy: Remedy) -> Self {
        match remedy {
            Remedy::Wait | Remedy::Report => Self::Failed,
            Remedy::EditConfig => Self::Configuration,
            Remedy::Login => Self::Login,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Configuration => 2,
            Exit::Login => 3,
        })
    }
}

/// How answers are printed.
#[derive(Debug, Clone, Copy)]
struct Output {
    /// As JSON.
    json: bool,
}

/// True if what is said to `stream` may have colour: on a terminal, unless the person minds.
fn may_color(stream: &impl IsTerminal) -> bool {
    let minds = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !minds
}

/// Does what the words say.
pub fn main(words: impl IntoIterator<Item = OsString>) -> Exit {
    hardening::begin();
    let args = match Args::try_parse_from(args::flags_first(words)) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are answers, which clap prints to stdout; the rest is for stderr.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Configuration
            } else {
                Exit::Done
            };
        }
    };
    let output = Output { json: args.json };
    start_log(&args);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(answer(args, output)),
        Err(error) => Err(Failed::of(&error, Remedy::Report, None)),
    };
    match result {
        Ok(exit) => exit,
        Err(failed) => failed.print(output),
    }
}

async fn answer(args: Args, output: Output) -> Result<Exit, Failed> {
    let clock = clock::of_process();
    let path = args.config.as_deref();
    let Some(command) = args.command else {
        let config = load(path)?;
        return match args.run_now {
            Some(flows) => run_now::run_now(&config, flows, output, &clock).await,
            None => service::serve(&config, &clock).await,
        };
    };
    match command {
        Command::Check => check::check(path, output, &clock),
        Command::Login {
            connection,
            account,
            no_browser,
            another_person,
            import,
        } => {
            let who = login::Who::parse(connection, account)?;
            let how = login::How {
                no_browser,
                another_person,
                output,
            };
            let config = load(path)?;
            match import {
                true => login::import(&config, &who, output, &clock).await,
                false => login::login(&config, &who, &how, &clock).await,
            }
        }
        Command::Logout {
            connection,
            account,
            offline,
        } => {
            let who = login::Who::parse(connection, account)?;
            login::logout(&load(path)?, &who, offline, output, &clock).await
        }
        Command::Connections { command: None } => {
            connections::connections(&load(path)?, output, &clock).await
        }
        Command::Connections {
            command:
                Some(ConnectionsCommand::Keypair {
                    connection,
                    algorithm,
                    force,
                }),
        } => {
            let wanted = keypair::Wanted {
                connection,
                algorithm,
                force,
            };
            keypair::keypair(&load(path)?, &wanted, output, &clock).await
        }
        Command::Providers { command: None } => Ok(providers::list(output)),
        Command::Providers {
            command: Some(ProvidersCommand::Show { provider }),
        } => providers::show(&provider, output),
        Command::Status => status::status(&load(path)?, output, &clock).await,
        Command::Runs { flow, limit } => runs::runs(&*load(path)?, flow, limit, output),
        Command::Tables => tables::tables(&*load(path)?, output),
        Command::Query { sql, csv } => query::query(&*load(path)?, &sql, csv, output),
        Command::Discover {
            connection,
            url,
            file,
            account,
            list,
            only,
            output: into,
        } => {
            let wanted = discover::Wanted {
                who: login::Who::parse(connection, account)?,
                url,
                file,
                list,
                only,
                into,
            };
            discover::discover(&load(path)?, wanted, output, &clock).await
        }
        Command::Plan { flows } => plan::plan(&*load(path)?, &flows, output, &clock),
        Command::Preview { flow } => preview::preview(&load(path)?, &flow, output, &clock).await,
        Command::Secret { command } => secret::secret(&load(path)?, command, output, &clock).await,
        Command::Vault {
            command: VaultCommand::Init { key_file },
        } => vault::init(path, key_file, output),
        Command::Vault { command } => upkeep::upkeep(&load(path)?, command, output, &clock).await,
        Command::Backup { directory } => backup::backup(&*load(path)?, &directory, output, &clock),
        Command::Demo { directory } => demo::demo(directory, output).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "tidegate", &mut script);
            print::line(String::from_utf8_lossy(&script).trim_end());
            Ok(Exit::Done)
        }
    }
}

/// Loads the configuration. Its warnings are for `check` and for the service's log.
fn load(path: Option<&Path>) -> Result<Arc<Config>, Failed> {
    Ok(Arc::new(config::load(&config::find(path))?))
}

fn start_log(args: &Args) {
    let service = args.command.is_none() && args.run_now.is_none();
    let unless_said = if service {
        LOG_FILTER
    } else {
        QUIET_LOG_FILTER
    };
    let filter =
        EnvFilter::try_from_env("TIDEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(unless_said));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(may_color(&std::io::stderr()));
    // Under systemd the journal stamps each line itself.
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().init();
    } else {
        log.init();
    }
}
