//! From the file to a checked configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use super::connection::{self, Connection};
use super::flow::Flow;
use super::flow::read::{self as flow, Connections};
use super::key::read_key_in;
use super::lines::Lines;
use super::places::Places;
use super::reader::{Findings, Found, Item, Table};
use super::report::{Problem, Report};
use super::{Config, Environment, KeySource, Name, keys};
use crate::remedy::told;

/// The longest configuration file: thousands of flows fit, a log given by mistake does not.
const LONGEST: u64 = 1 << 20;
/// How many flows run at once unless the file says otherwise: enough to keep a source waiting for
/// another, few enough for a small machine.
const CONCURRENT: u64 = 4;
/// What `max_concurrent` may be.
const CONCURRENCY: RangeInclusive<u64> = 1..=64;
/// How long runs are kept unless the file says otherwise: a quarter year, for what happens monthly.
const KEEP_RUNS: Duration = Duration::from_secs(90 * 86_400);
/// What `keep_runs` may be.
const KEPT: RangeInclusive<Duration> =
    Duration::from_secs(3_600)..=Duration::from_secs(100 * 366 * 86_400);
/// The data's file in the state directory.
const DATABASE: &str = "tidegate.db";

/// Reads and checks the file at `path`.
pub(super) fn load(path: &Path, environment: &Environment) -> Result<Config, Report> {
    let (source, facts) = contents(path)?;
    // A configuration in a directory that is gone still has a name to tell.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let places = Places::of(&absolute, &facts, environment);

    let (table, syntax) = DeTable::parse_recoverable(&source);
    let findings = Findings::new(&source);
    let file = Table::root(&findings, table.get_ref());
    let read = config(absolute.clone(), &file, &places);

    let Found {
        problems,
        warnings,
        secrets,
        sealed,
    } = findings.found();
    let problems = with_syntax(&source, problems, &syntax);
    match read {
        Some(mut config) if problems.is_empty() => {
            config.sealed = sealed;
            let lines = Lines::of(&source);
            let named = |(at, text): (Option<usize>, String)| match at {
                Some(at) => format!("{}:{}: {text}", path.display(), lines.line(at)),
                None => text,
            };
            let doubts = doubtful_keys(&config, environment);
            config.warnings = doubts
                .into_iter()
                .chain(warnings.into_iter().map(named))
                .collect();
            Ok(config)
        }
        _ => Err(Report::new(path, &source, &secrets, problems)),
    }
}

/// Reads the file, and what the system knows of it, from one open file.
fn contents(path: &Path) -> Result<(String, Metadata), Report> {
    let refused = |why: &dyn Display, help: Option<&str>| {
        let problem = Problem::whole(format!("could not read {}: {why}", path.display()));
        Report::unread(path, problem.maybe_help(help.map(str::to_owned)))
    };
    let failed = |error: io::Error| {
        let help = match error.kind() {
            io::ErrorKind::NotFound => {
                Some("name the file with `--config`, or copy config.example.toml")
            }
            io::ErrorKind::PermissionDenied => {
                Some("the user this runs as must be able to read it")
            }
            _ => None,
        };
        refused(&error, help)
    };
    // Asked before it is opened, because opening a pipe waits for somebody to write to it.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(refused(&"it is not a regular file", None));
    }
    let mut file = File::open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    let mut bytes = Vec::new();
    let more = file.by_ref().take(LONGEST + 1).read_to_end(&mut bytes);
    if more.map_err(failed)? as u64 > LONGEST {
        return Err(refused(&"it is longer than 1 MiB", None));
    }
    match String::from_utf8(bytes) {
        Ok(source) => Ok((source, facts)),
        Err(error) => Err(not_text(path, &error)),
    }
}

fn not_text(path: &Path, error: &std::string::FromUtf8Error) -> Report {
    let at = error.utf8_error().valid_up_to();
    let source = String::from_utf8_lossy(error.as_bytes());
    let problem = Problem::at(at..at + '\u{fffd}'.len_utf8(), "the file is not UTF-8 text");
    let problem = problem.label("this byte").help("save the file as UTF-8");
    Report::new(path, &source, &[], vec![problem])
}

/// Adds the errors of the TOML parser, and takes away what is only their consequence.
fn with_syntax(
    source: &str,
    mut problems: Vec<Problem>,
    syntax: &[toml::de::Error],
) -> Vec<Problem> {
    if syntax.is_empty() {
        return problems;
    }
    let errors: Vec<Problem> = syntax
        .iter()
        .map(|error| syntax_problem(source, error))
        .collect();
    let lines = Lines::of(source);
    let lines_of = |problem: &Problem| problem.span.as_ref().map(|span| lines.lines(span));
    let broken: BTreeSet<usize> = errors.iter().filter_map(lines_of).flatten().collect();
    let stands_near =
        |problem: &Problem| lines_of(problem).is_some_and(|own| broken.range(own).next().is_some());
    problems.retain(|problem| !problem.absence && !stands_near(problem));
    problems.extend(errors);
    problems
}

/// Makes a problem of an error of the TOML parser.
fn syntax_problem(source: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or_default();
    // The parser points between letters; a caret needs one to stand under, but not in the next line.
    let next = source[span.start..]
        .chars()
        .next()
        .filter(|letter| *letter != '\n');
    let end = span.end.max(span.start + next.map_or(0, char::len_utf8));
    let (what, expected) = match error.message().split_once(", expected ") {
        Some((what, expected)) => (what, format!("expected {expected}")),
        None => (error.message(), "here".to_owned()),
    };
    Problem::at(span.start..end, format!("not valid TOML: {what}")).label(expected)
}

/// Reads the whole file; `None` if a part of it could not be read.
fn config(path: PathBuf, file: &Table<'_>, places: &Places<'_>) -> Option<Config> {
    let state_dir = file.or("state_dir", places.state_directory(), |item| {
        places.path(&item)
    });
    let database = file.or("database", state_dir.join(DATABASE), |item| {
        places.path(&item)
    });
    let vault = file
        .get("vault")
        .and_then(|item| item.table(&keys::VAULT, "[vault]".to_owned()));
    let key = vault
        .as_ref()
        .and_then(|vault| vault.get("key"))
        .and_then(|item| places.read_key(&item));
    let old_keys = vault
        .as_ref()
        .and_then(|vault| vault.get("old_keys"))
        .map(|item| places.read_keys(&item));
    let max_concurrent = file.or("max_concurrent", CONCURRENT, |item| {
        item.number(CONCURRENCY)
    });

    let connections: Connections = named(file, "connection", |name, item| {
        Some((name.clone(), connection::read(name, &item, places)))
    });
    let flows: Vec<(Item<'_>, Flow)> = named(file, "flow", |name, item| {
        Some((item.clone(), flow::read(name, &item, &connections)?))
    });
    flow::check_tables(&flows);

    let connection =
        |(name, written): (Name, Option<connection::Written>)| Some((name, written?.connection));
    let connections: Option<BTreeMap<Name, Connection>> =
        connections.into_iter().map(connection).collect();
    Some(Config {
        path,
        state_dir,
        database,
        key: key.unwrap_or_else(|| places.key()),
        old_keys: old_keys.unwrap_or_default(),
        max_concurrent: usize::try_from(max_concurrent).ok()?,
        keep_runs: file.or("keep_runs", KEEP_RUNS, |item| item.duration(KEPT)),
        connections: connections?,
        flows: flows
            .into_iter()
            .map(|(_, flow)| (flow.name.clone(), flow))
            .collect(),
        sealed: BTreeSet::new(),
        warnings: Vec::new(),
    })
}

/// Reads `[section.NAME]` for every name.
fn named<'a, T, C: FromIterator<T>>(
    file: &Table<'a>,
    section: &str,
    read: impl Fn(Name, Item<'a>) -> Option<T>,
) -> C {
    let items = file
        .get(section)
        .and_then(|item| item.map())
        .unwrap_or_default();
    let is_named = items.iter().all(|item| item.value.is_table());
    if !is_named && let Some(item) = file.get(section) {
        let label = format!("expected [{section}.NAME]");
        let message = format!("[{section}] has settings of its own, but no name");
        item.findings
            .add(Problem::at(item.key_at, message).label(label));
    }
    let items = items.into_iter().filter(|item| item.value.is_table());
    let one = |item: Item<'a>| match Name::parse(item.key) {
        Ok(name) => read(name, item),
        Err(why) => {
            let message = format!("{section} {}: {why}", super::reader::quoted(item.key));
            let problem = Problem::at(item.key_at.clone(), message);
            item.findings.add(problem.label("expected another name"));
            None
        }
    };
    items.filter_map(one).collect()
}

/// Returns what a person should know about the vault's keys, if anything needs them.
fn doubtful_keys(config: &Config, environment: &Environment) -> Vec<String> {
    if !config.needs_key() {
        return Vec::new();
    }
    let keys = std::iter::once(&config.key).chain(&config.old_keys);
    keys.filter_map(|key| doubtful_key(key, environment))
        .collect()
}

/// Returns what a person should know about the vault's key before it is needed.
fn doubtful_key(key: &KeySource, environment: &Environment) -> Option<String> {
    if let Err(error) = read_key_in(key, environment) {
        let hint = error.hint().map(|hint| format!("; {hint}"));
        return Some(told(&error) + &hint.unwrap_or_default());
    }
    match key {
        KeySource::Env(name) => Some(format!(
            "the vault's key comes from environment variable `{name}`, which every process of this \
             user can read; prefer a file or a systemd credential"
        )),
        KeySource::Credential(_) | KeySource::File(_) => None,
    }
}
