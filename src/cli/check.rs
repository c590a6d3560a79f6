//! `tidegate check`: every mistake of the configuration, without any network.

use std::path::Path;

use serde::Serialize;

use super::{Exit, Failed, Output, print, secret};
use crate::clock::SharedClock;
use crate::config;

#[derive(Serialize)]
struct Checked {
    file: String,
    flows: Vec<Next>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Next {
    flow: String,
    next_slot_at: Option<jiff::Timestamp>,
}

pub(super) fn check(
    path: Option<&Path>,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    let path = config::find(path);
    let config = config::load(&path)?;
    let warnings: Vec<String> = config
        .warnings
        .iter()
        .cloned()
        .chain(secret::missing(&config))
        .collect();
    let now = clock.now();
    let flows: Vec<Next> = config
        .flows
        .values()
        .map(|flow| Next {
            flow: flow.name.to_string(),
            next_slot_at: flow
                .schedule
                .as_ref()
                .and_then(|schedule| schedule.next_after(now)),
        })
        .collect();
    if output.json {
        let file = path.display().to_string();
        print::json(&Checked {
            file,
            flows,
            warnings,
        });
        return Ok(Exit::Done);
    }
    for warning in &warnings {
        print::talk(&format!("warning: {warning}"));
    }
    print::line(&format!(
        "{} is right: {}, {}",
        path.display(),
        print::many(flows.len() as u64, "flow"),
        print::many(config.connections.len() as u64, "connection"),
    ));
    for flow in flows {
        let next = match flow.next_slot_at {
            Some(at) => format!("next at {}", print::moment(at)),
            None => "runs only when asked".to_owned(),
        };
        print::line(&format!("  {}: {next}", flow.flow));
    }
    Ok(Exit::Done)
}
