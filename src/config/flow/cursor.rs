//! How a flow reads only what changed, as written.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::{SignedDuration, Span, civil};
use serde_json::Value;

use super::{Cursor, field_path};
use crate::config::connection::Written;
use crate::config::keys;
use crate::config::reader::{Item, Table};
use crate::config::report::Problem;
use crate::config::templates::Variables;
use crate::config::units;
use crate::record::{CursorFormat, CursorValue, FieldPath};
use crate::template::Template;

/// How far behind the bookmark a read starts unless the flow says otherwise: what a source commits
/// late, or stamps with a clock that lags, is found within minutes.
const LOOKBACK: Duration = Duration::from_secs(5 * 60);
/// What a lookback may be.
const LOOKBACKS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(366 * 86_400);

/// The shortest window: shorter ones would only multiply requests.
const LEAST_WINDOW: Duration = Duration::from_secs(60);
/// What `format` may be.
const FORMATS: &str = "\"epoch\", \"epoch_ms\", or directives such as \"%d-%m-%Y %H:%M\"";

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
    let format = table
        .get("format")
        .and_then(|item| item.parsed(FORMATS, |text| text.parse::<CursorFormat>()));
    let start = table
        .get("start")
        .and_then(|item| start(&item, format.as_ref()));
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
    let newest_first = table.or("newest_first", false, |item| item.boolean());
    if let (true, true, Some(item)) = (newest_first, ordered, table.get("newest_first")) {
        let message = "records come either in the cursor's order or the newest first";
        table.contradiction(
            &item,
            message,
            "remove `ordered`, or sort by `$orderby = \"… desc\"`",
        );
    }
    let window = table.get("window").and_then(|item| {
        check_window(&table, &item, start.as_ref(), newest_first);
        item.parsed("a span such as \"1 day\", \"2 weeks\" or \"1 month\"", span)
    });
    let naive = filter
        .as_ref()
        .is_some_and(|filter| filter.source().contains("datetime'"))
        || matches!(start, Some(CursorValue::Civil(_)))
        || format.as_ref().is_some_and(CursorFormat::is_wall_clock);
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
        ordered: ordered && window.is_none(),
        newest_first,
        format,
        window,
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

/// Reads where the first read starts: as the source writes it, or as TOML and ISO 8601 do.
fn start(item: &Item<'_>, format: Option<&CursorFormat>) -> Option<CursorValue> {
    match item.json()? {
        Value::String(text) if !text.is_empty() => Some(
            format
                .and_then(|format| format.read(&text))
                .unwrap_or_else(|| CursorValue::read(&text)),
        ),
        Value::Number(number) if number.is_i64() => Some(CursorValue::read(&number.to_string())),
        _ => item.wrong_type("a time, a date, a whole number or text"),
    }
}

/// Reports a window that has no beginning, or that is read in an order which makes no sense of it.
fn check_window(
    table: &Table<'_>,
    item: &Item<'_>,
    start: Option<&CursorValue>,
    newest_first: bool,
) {
    match start {
        Some(CursorValue::Instant(_) | CursorValue::Civil(_)) => {}
        Some(CursorValue::Integer(_) | CursorValue::Text(_)) => {
            item.refuse(
                "`window` needs a `start` that is a time",
                "start = 2024-01-01T00:00:00Z",
            );
        }
        None => item.refuse(
            "`window` needs to know where the first one begins",
            "`start` besides",
        ),
    }
    let message = "a window is read whole, and its bookmark moves to its end";
    if newest_first {
        table.contradiction(item, message, "remove `newest_first`");
    }
    if let Some(ordered) = table.get("ordered")
        && ordered.boolean() == Some(true)
    {
        table.contradiction(&ordered, message, "remove `ordered`");
    }
}

/// Reads the length of a window.
fn span(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|_| "is no span".to_owned())?;
    match span.is_positive() && smallest(&span) {
        true => Ok(span),
        false => Err(format!(
            "is out of range; the least is {}",
            units::show(LEAST_WINDOW)
        )),
    }
}

/// Returns true if a window is at least the least one, counting months and days as their shortest.
fn smallest(span: &Span) -> bool {
    let from = civil::date(2026, 2, 1).at(0, 0, 0, 0);
    let least = SignedDuration::try_from(LEAST_WINDOW).unwrap_or(SignedDuration::MAX);
    from.checked_add(*span)
        .is_ok_and(|to| to.duration_since(from) >= least)
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

/// Reports windows whose end the request does not send: each would read everything after its start.
pub(super) fn check_until(flow: &Table<'_>, cursor: Option<&Cursor>, sent: bool) {
    let in_filter = cursor
        .and_then(|cursor| cursor.filter.as_ref())
        .is_some_and(|filter| filter.uses("until"));
    if let (
        Some(item),
        Some(Cursor {
            window: Some(_), ..
        }),
    ) = (flow.get("cursor"), cursor)
        && !sent
        && !in_filter
    {
        let message = format!("{}: the end of a `window` is never sent", flow.what);
        item.findings.add(
            Problem::at(item.key_at, message)
                .label("expected {{ until }} in the request")
                .help("for OData: filter = \"Modified ge {{ bookmark }} and Modified lt {{ until }}\""),
        );
    }
}

/// Reports a cursor whose bookmark is never sent, and a bookmark that no cursor moves. Where the newest
/// records come first, a run knows by itself where to stop.
pub(super) fn check_bookmark(flow: &Table<'_>, cursor: Option<&Cursor>, sent: bool) {
    match (flow.get("cursor"), cursor) {
        (Some(item), Some(cursor)) if !cursor.newest_first && cursor.filter.is_none() && !sent => {
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
