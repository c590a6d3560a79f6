//! `tidegate runs [FLOW]`: the latest runs.

use super::{Exit, Failed, Output, print};
use crate::config::{self, Config};
use crate::journal::{self, Outcome, RunRow};
use crate::remedy::Remedy;
use crate::store;

pub(super) fn runs(
    config: &Config,
    flow: Option<String>,
    limit: u32,
    output: Output,
) -> Result<Exit, Failed> {
    if let Some(flow) = flow
        .as_deref()
        .filter(|flow| !config.flows.contains_key(*flow))
    {
        let error = config::no_such("flow", flow, config.flows.keys());
        return Err(Failed::new(error, Remedy::EditConfig, None));
    }
    let runs = match store::open_reader(&config.database, &store::DATA) {
        // The first run makes the database.
        Err(store::Error::Missing { .. }) => Vec::new(),
        connection => journal::recent(&connection?, flow.as_deref(), limit)?,
    };
    if output.json {
        print::json(&runs);
        return Ok(Exit::Done);
    }
    if runs.is_empty() {
        print::line("no runs yet; `tidegate --run-now` starts one");
        return Ok(Exit::Done);
    }
    let rows = runs.iter().map(row).collect();
    let heading = ["RUN", "FLOW", "WHY", "STARTED", "OUTCOME", "PAGES", "WHAT"];
    print::table(&heading, rows, &[0, 5]);
    Ok(Exit::Done)
}

fn row(run: &RunRow) -> Vec<String> {
    let outcome = run.outcome.map_or("running", Outcome::word);
    let mut what = match &run.error {
        Some(error) => error.clone(),
        None => print::counts(&run.tally),
    };
    for note in &run.notes {
        what = format!("{what}; {note}");
    }
    vec![
        run.run.to_string(),
        run.flow.clone(),
        run.trigger.word().replace('_', "-"),
        print::moment(run.started_at),
        outcome.to_owned(),
        run.tally.pages.to_string(),
        what,
    ]
}
