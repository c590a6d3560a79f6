//! `tidegate status`: is all well?

use std::sync::Arc;

use super::{Exit, Failed, Output, connections, owner, print};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::journal::{Outcome, RunRow};
use crate::status::{FlowStatus, Report};

pub(super) async fn status(
    config: &Arc<Config>,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    let report = owner::report(config, clock).await?;
    if output.json {
        print::json(&report);
    } else {
        show(&report);
    }
    Ok(if report.well {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn show(report: &Report) {
    print::line(&report.line);
    if !report.scheduled {
        print::line("the service is not running, so nothing runs by itself");
    }
    let rows = report.flows.iter().map(|flow| row(flow, report)).collect();
    print::line("");
    print::table(
        &["FLOW", "STATE", "LAST SUCCESS", "LAST RUN", "NEXT"],
        rows,
        &[],
    );
    if !report.connections.is_empty() {
        print::line("");
        connections::show(report);
    }
    for flow in &report.flows {
        let Some(run) = &flow.last_run else { continue };
        if let Some(error) = &run.error {
            print::line("");
            print::line(&format!("{}: {}", flow.flow, print::shown(error)));
            if let Some(hint) = &run.hint {
                print::line(&format!("  {hint}"));
            }
        }
    }
}

/// Says how a run ended, if it did not end well, and what became of its records, if it had any.
fn last_run(run: &RunRow) -> String {
    let counts = print::counts(&run.tally);
    match run.outcome {
        None | Some(Outcome::Succeeded) => counts,
        Some(outcome) if run.tally.records == 0 => outcome.word().to_owned(),
        Some(outcome) => format!("{}, {counts}", outcome.word()),
    }
}

fn row(flow: &FlowStatus, report: &Report) -> Vec<String> {
    let relative = |at| print::relative(at, report.as_of);
    let success = flow
        .last_success_at
        .map_or_else(|| "never".to_owned(), relative);
    let run = flow.last_run.as_ref().map_or_else(String::new, last_run);
    let next = flow.next_slot_at.map_or_else(|| "-".to_owned(), relative);
    vec![
        flow.flow.clone(),
        flow.state.word().to_owned(),
        success,
        run,
        next,
    ]
}
