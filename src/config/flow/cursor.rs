//! How a flow reads only what changed, as written.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::{Cursor, field_path};
use crate::config::connection::Written;
use crate::config::keys;
use crate::config::reader::{Item, Table};
use crate::config::report::Problem;
use crate::config::templates::Variables;
use crate::record::{CursorValue, FieldPath};
use crate::template::Template;

/// How far behind the bookmark a read starts unless the flow says otherwise: what a source commits
/// late, or stamps with a clock that lags, is found within minutes.
const LOOKBACK: Duration = Duration::from_secs(5 * 60);
/// What a lookback may be.
const LOOKBACKS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(366 * 86_400);

/// Reads `cursor`; `query` is what the flow sends besides.
pub(super) fn read(
    item: &Item<'_>,
    variables: &Variables<'_>,
    query: &[(String, Template)],
    connection: Option<&Written>,
) -> Option<Cursor> {
    let table = item.table(&keys::CURSOR, format!("{}: `cursor`", item.what))?;
    let field = table.need("field", "the field that grows as records change");
    let field = field.and_then(|item| field_path(&item).filter(|path| !path.segments().is_empty()));
    let filter = table
        .get("filter")
        .and_then(|item| filter(&item, variables));
    let start = table.get("start").and_then(|item| start(&item));
    let lookback = table.or("lookback", LOOKBACK, |item| item.duration(LOOKBACKS));
    let sorted = field.as_ref().and_then(|field| sorted_by(query, field));
    let ordered = table.or("ordered", sorted == Some(true), |item| item.boolean());
    if let (true, Some(false), Some(item)) = (ordered, sorted, table.get("ordered")) {
        let message = "`$orderby` does not sort by the cursor's field, ascending";
        table.contradiction(
            &item,
            message,
            "a bookmark moved by page would skip records",
        );
    }
    let naive = filter
        .as_ref()
        .is_some_and(|filter| filter.source().contains("datetime'"))
        || matches!(start, Some(CursorValue::Civil(_)));
    if let (true, Some(Written { connection, .. })) = (naive, connection)
        && connection.time_zone.is_none()
    {
        let text = format!(
            "{}: it holds wall-clock times, and connection `{}` has no `time_zone` to tell which",
            table.what, connection.name
        );
        item.findings.warn(Some(item.key_at.start), text);
    }
    Some(Cursor {
        field: field?,
        filter,
        lookback,
        start,
        ordered,
    })
}

fn filter(item: &Item<'_>, variables: &Variables<'_>) -> Option<Template> {
    let template = variables.template(item)?;
    if !template.uses("bookmark") {
        item.refuse(
            "`filter` does not use `bookmark`",
            "a filter with {{ bookmark }} in it",
        );
    }
    Some(template)
}

fn start(item: &Item<'_>) -> Option<CursorValue> {
    match item.json()? {
        Value::String(text) if !text.is_empty() => Some(CursorValue::read(&text)),
        Value::Number(number) if number.is_i64() => Some(CursorValue::read(&number.to_string())),
        _ => item.wrong_type("a time, a date, a whole number or text"),
    }
}

/// Returns whether `$orderby` sorts by `field`, ascending; `None` if there is no `$orderby`.
fn sorted_by(query: &[(String, Template)], field: &FieldPath) -> Option<bool> {
    let (_, order) = query
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("$orderby"))?;
    let first = order.source().split(',').next().unwrap_or_default();
    let mut words = first.split_whitespace();
    let by_field = words.next() == Some(field.segments().join("/").as_str());
    let ascending = matches!(words.next(), None | Some("asc"));
    Some(by_field && ascending)
}

/// Reports a cursor whose bookmark is never sent, and a bookmark that no cursor moves.
pub(super) fn check_bookmark(flow: &Table<'_>, cursor: Option<&Cursor>, sent: bool) {
    match (flow.get("cursor"), cursor) {
        (Some(item), Some(cursor)) if cursor.filter.is_none() && !sent => {
            let message = format!(
                "{}: `cursor` has no effect: its bookmark is never sent",
                flow.what
            );
            item.findings.add(
                Problem::at(item.key_at, message)
                    .label("expected `filter`, or {{ bookmark }} in the request")
                    .help("for OData: filter = \"Modified ge datetime'{{ bookmark }}'\""),
            );
        }
        (None, _) if sent => {
            let message = format!("{}: uses `bookmark`, but no `cursor` moves it", flow.what);
            flow.findings.add(
                Problem::at(flow.at.clone(), message)
                    .label("expected `cursor`")
                    .help("cursor = { field = \"…\" } names the field the bookmark is taken from")
                    .absence(),
            );
        }
        _ => {}
    }
}

/// Reports a URL that could not be made on the first run, when there is no bookmark. A parameter,
/// header or field that needs one is left out then; a URL cannot be.
pub(super) fn check_first_url(flow: &Table<'_>, cursor: Option<&Cursor>, url: Option<&Template>) {
    let starts = cursor.is_some_and(|cursor| cursor.start.is_some());
    if let (Some(item), Some(_), false) = (flow.get("url"), cursor, starts)
        && url.is_some_and(|url| url.uses("bookmark"))
    {
        let problem = item.problem("`url` uses `bookmark`, and the first run has none");
        let help = "say where the first read begins: cursor = { start = \"…\" }";
        item.findings.add(
            problem
                .label("cannot be made without a bookmark")
                .help(help),
        );
    }
}
