//! `tidegate connections`: each connection and how its tokens are.

use std::sync::Arc;

use super::{Exit, Failed, Output, owner, print};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::oauth::State;
use crate::oauth::id_token::Person;
use crate::status::{ConnectionStatus, Report};

pub(super) async fn connections(
    config: &Arc<Config>,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    let report = owner::report(config, clock).await?;
    if output.json {
        print::json(&report.connections);
    } else if report.connections.is_empty() {
        print::line("no connection needs a login");
    } else {
        show(&report);
    }
    Ok(exit(&report))
}

/// Someone must sign in, or something must be changed, or is not settled, or all is well.
fn exit(report: &Report) -> Exit {
    let in_state =
        |state: State| move |connection: &ConnectionStatus| connection.state == state.as_str();
    let mut unwell = report
        .connections
        .iter()
        .filter(|connection| !connection.well);
    if unwell.clone().next().is_none() {
        Exit::Done
    } else if unwell.clone().all(in_state(State::InDoubt)) {
        Exit::Failed
    } else if unwell.all(in_state(State::ClientRejected)) {
        Exit::Configuration
    } else {
        Exit::Login
    }
}

/// Prints a line per connection, and what ends each state that is not well.
pub(super) fn show(report: &Report) {
    let relative = |at| print::relative(at, report.as_of);
    let or_dash = |at: Option<_>| at.map_or_else(|| "-".to_owned(), relative);
    let has_accounts = report
        .connections
        .iter()
        .any(|connection| connection.account.is_some());
    let has_persons = report
        .connections
        .iter()
        .any(|connection| connection.person.is_some());
    let rows = report.connections.iter().map(|connection| {
        let reason = connection
            .reason
            .as_ref()
            .map(|word| word.replace('_', " "));
        let why: Vec<String> = reason
            .into_iter()
            .chain(connection.detail.clone())
            .collect();
        let account = connection.account.as_deref().unwrap_or("-").to_owned();
        let mut row = vec![connection.connection.clone()];
        row.extend(has_accounts.then_some(account));
        let person = connection.person.as_ref();
        let person = person.map_or_else(|| "-".to_owned(), Person::title);
        row.extend(has_persons.then_some(person));
        row.extend([
            connection.state.replace('_', " "),
            or_dash(connection.expires_at),
            or_dash(connection.refresh_expires_at),
            why.join(": "),
        ]);
        row
    });
    let mut heading = vec!["CONNECTION"];
    heading.extend(has_accounts.then_some("ACCOUNT"));
    heading.extend(has_persons.then_some("SIGNED IN"));
    heading.extend(["STATE", "ACCESS TOKEN ENDS", "LOGIN ENDS", "WHY"]);
    print::table(&heading, rows.collect(), &[]);
    for connection in &report.connections {
        for notice in &connection.notices {
            print::line(&format!("{}: {notice}", connection.title()));
        }
    }
    for connection in report
        .connections
        .iter()
        .filter(|connection| !connection.well)
    {
        if let Some(hint) = &connection.hint {
            print::line(&format!("{}: {hint}", connection.title()));
        }
    }
}
