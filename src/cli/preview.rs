//! `tidegate preview FLOW`: one page, and what a run would do with it.

use std::sync::Arc;

use serde_json::Value;

use super::{Exit, Failed, Output, owner, print};
use crate::clock::SharedClock;
use crate::config::{self, Config};
use crate::fetch::ShownRequest;
use crate::merge;
use crate::remedy::Remedy;
use crate::run::{Next, Preview};

/// How many letters of a value a table on a terminal shows.
const LONGEST_CELL: usize = 40;

pub(super) async fn preview(
    config: &Arc<Config>,
    flow: &str,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    let Some((name, _)) = config.flows.get_key_value(flow) else {
        let error = config::no_such("flow", flow, config.flows.keys());
        return Err(Failed::new(error, Remedy::EditConfig, None));
    };
    let asking = async |client: &crate::control::Client| client.preview(name).await;
    let preview = owner::ask(config, "preview", clock, asking).await?;
    match output.json {
        true => print::json(&preview),
        false => show(&preview),
    }
    let Some(problem) = preview.problem else {
        return Ok(Exit::Done);
    };
    if output.json {
        return Ok(Exit::of(problem.remedy));
    }
    let hint = problem.hint.as_deref();
    Err(Failed::new(problem.error, problem.remedy, hint))
}

fn show(preview: &Preview) {
    if let Some(item) = &preview.item {
        let of = preview.items;
        print::line(&format!("{} (the first of {of})", print::shown(item)));
    }
    request(&preview.request, "");
    let status = preview.status.map_or_else(
        || "no answer came".to_owned(),
        |status| format!("answered {status}"),
    );
    let records = preview.records.map_or_else(String::new, |records| {
        format!(" with {}", print::many(records, "record"))
    });
    print::line(&format!("{status}{records}"));
    match &preview.next {
        None => {}
        Some(Next::Last) => print::line("this is the last page"),
        Some(Next::AskedFor(next)) => {
            print::line("the next page would be asked for with");
            request(next, "  ");
        }
        Some(Next::NoWay(why)) => print::line(&format!("no way on: {}", print::shown(why))),
    }
    if let Some(made) = &preview.table {
        table(made);
    }
    print::line("\nNothing was written.");
}

fn request(request: &ShownRequest, indent: &str) {
    let ShownRequest {
        method,
        url,
        headers,
        credential,
        body,
    } = request;
    let line = |text: &str| print::line(&format!("{indent}{}", print::shown(text)));
    line(&format!("{method} {url}"));
    for (name, value) in headers {
        line(&format!("  {name}: {value}"));
    }
    if let Some(place) = credential {
        line(&format!("  (the credential is in {place})"));
    }
    if let Some(body) = body {
        line(&format!("  {body}"));
    }
}

fn table(made: &merge::Preview) {
    let is_new = if made.is_new { ", which is new" } else { "" };
    let rows = print::many(made.rows, "row");
    print::line(&format!("\n{rows} for table `{}`{is_new}", made.table));
    if made.repeated > 0 {
        let records = print::many(made.repeated, "record");
        print::line(&format!(
            "{records} with the key of an earlier one, which is replaced: is `key` right?"
        ));
    }
    made.widened.iter().for_each(|words| print::line(words));
    let columns = made.columns.iter().map(|shown| {
        let column = &shown.column;
        vec![
            column.name.clone(),
            column.kind.clone().unwrap_or_default(),
            column.storage.clone(),
            column.field.clone().unwrap_or_default(),
            if column.is_key { "key" } else { "" }.to_owned(),
            if shown.is_new { "new" } else { "" }.to_owned(),
        ]
    });
    let heading = ["COLUMN", "HOLDS", "TYPE", "FIELD", "KEY", "NEW"];
    print::table(&heading, columns.collect(), &[]);
    if made.first_rows.is_empty() {
        return;
    }
    print::line("");
    let names: Vec<&str> = made
        .columns
        .iter()
        .map(|shown| shown.column.name.as_str())
        .collect();
    let rows = made.first_rows.iter();
    let rows = rows.map(|row| row.iter().map(cell).collect());
    print::table(&names, rows.collect(), &[]);
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST_CELL) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
