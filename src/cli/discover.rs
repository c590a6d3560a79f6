//! `tidegate discover CONNECTION`: flows from what a source says about itself.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::login::Who;
use super::{Exit, Failed, Output, owner, print};
use crate::clock::SharedClock;
use crate::config::{Config, Name};
use crate::control::{Client, WhichAccount};
use crate::discover::{self, Document, LONGEST, Offer, Place};
use crate::remedy::Remedy;
use crate::run::Description;

/// What to discover, and what to do with it.
pub(super) struct Wanted {
    pub(super) who: Who,
    pub(super) url: Option<String>,
    pub(super) file: Option<PathBuf>,
    pub(super) list: bool,
    pub(super) only: Vec<String>,
    pub(super) into: Option<PathBuf>,
}

pub(super) async fn discover(
    config: &Arc<Config>,
    wanted: Wanted,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    let connection = wanted.who.connection(config)?;
    let (text, url, base) = match &wanted.file {
        Some(file) => {
            let base = connection.base_url.as_ref();
            (read(file)?, None, base.map(ToString::to_string))
        }
        None => {
            let Description { url, base, text } =
                fetched(config, &connection.name, &wanted, clock).await?;
            (text, Some(url), base)
        }
    };
    let document = discover::read(&text)
        .map_err(|problem| Failed::of(&problem, Remedy::EditConfig, problem.hint()))?;
    let offers = chosen(&document, &wanted)?;
    if wanted.list {
        match output.json {
            true => print::json(&offers),
            false => list(&document, &offers),
        }
        return Ok(Exit::Done);
    }
    let place = Place {
        connection: connection.name.as_str(),
        base: base.as_deref(),
        url: url.as_deref(),
    };
    let flows = discover::flows(&document, &offers, &place);
    let left = document.offers.len() - offers.len();
    if left > 0 && wanted.only.is_empty() {
        print::talk(&format!(
            "{} left out, because something in the path must be filled in; ask with --only",
            print::many(left as u64, "list")
        ));
    }
    match wanted.into {
        None => print::line(flows.trim_end()),
        Some(file) => write(&file, &flows)?,
    }
    Ok(Exit::Done)
}

async fn fetched(
    config: &Arc<Config>,
    connection: &Name,
    wanted: &Wanted,
    clock: &SharedClock,
) -> Result<Description, Failed> {
    let which = WhichAccount {
        account: wanted.who.account().map(str::to_owned),
        ..WhichAccount::default()
    };
    let at = wanted.url.clone();
    let asking = async |client: &Client| client.description(connection, &which, at).await;
    owner::ask(config, "discover", clock, asking).await
}

/// Returns what is wanted of a document. Without a word that is all that needs nothing filled in.
fn chosen<'d>(document: &'d Document, wanted: &Wanted) -> Result<Vec<&'d Offer>, Failed> {
    let offers = &document.offers;
    if wanted.only.is_empty() {
        let is_ready = |offer: &&Offer| wanted.list || !offer.path.contains('{');
        return Ok(offers.iter().filter(is_ready).collect());
    }
    let mut chosen = Vec::new();
    for name in &wanted.only {
        let before = chosen.len();
        chosen.extend(offers.iter().filter(|offer| offer.name == *name));
        if chosen.len() == before {
            let error = format!("the document has no list `{}`", print::shown(name));
            let hint = "`--list` shows those it has; upper and lower case count";
            return Err(Failed::new(error, Remedy::EditConfig, Some(hint)));
        }
    }
    Ok(chosen)
}

fn list(document: &Document, offers: &[&Offer]) {
    let row = |offer: &&Offer| {
        let cursors = offer.cursors.iter().map(|cursor| cursor.field.as_str());
        vec![
            offer.name.clone(),
            offer.path.clone(),
            offer.key.join(", "),
            offer.columns.len().to_string(),
            cursors.collect::<Vec<_>>().join(", "),
            offer.paging.word().to_owned(),
        ]
    };
    let heading = [
        "NAME",
        "PATH",
        "KEY",
        "FIELDS",
        "MAY TELL CHANGES",
        "PAGING",
    ];
    print::table(&heading, offers.iter().map(row).collect(), &[3]);
    print::talk(&print::shown(&document.format));
}

fn read(path: &Path) -> Result<String, Failed> {
    let failed = |why: String| {
        let error = format!("could not read `{}`: {why}", path.display());
        Failed::new(error, Remedy::EditConfig, None)
    };
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    let mut start = file.take(LONGEST as u64 + 1);
    let read = start.read_to_string(&mut text);
    read.map_err(|error| failed(error.to_string()))?;
    match text.len() > LONGEST {
        true => Err(failed(format!("it is longer than {LONGEST} bytes"))),
        false => Ok(text),
    }
}

/// Writes a file that was not there.
fn write(path: &Path, flows: &str) -> Result<(), Failed> {
    let failed = |error: std::io::Error| {
        let hint = (error.kind() == std::io::ErrorKind::AlreadyExists)
            .then_some("nothing is written over; choose another name, or move the file away");
        let error = format!("could not make `{}`: {error}", path.display());
        Failed::new(error, Remedy::EditConfig, hint)
    };
    let mut file = File::create_new(path).map_err(failed)?;
    file.write_all(flows.as_bytes()).map_err(failed)?;
    print::talk(&format!("wrote {}", path.display()));
    Ok(())
}
