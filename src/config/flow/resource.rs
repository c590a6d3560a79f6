//! What a flow reads, as written.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::{Accounts, Body, Caps, Cursor, Method, Paging, Resource, SendCursor, paging};
use crate::config::connection::Written;
use crate::config::keys;
use crate::config::reader::{Item, Table, quoted};
use crate::config::report::Problem;
use crate::config::templates::{Variables, json_uses};
use crate::record::{CursorValue, FieldPath};
use crate::template::Template;

/// The most pages of a run unless the flow says otherwise: past it, a loop is likelier than data.
const PAGES: u64 = 10_000;
/// The most bytes of a page unless the flow says otherwise; a thousand wide records are a tenth.
const PAGE_BYTES: u64 = 64_000_000;
/// What the cap of a page may be: a page is held in memory whole.
const PAGE_SIZES: RangeInclusive<u64> = 1_000..=1 << 30;
/// How far behind the bookmark a read starts unless the flow says otherwise: what a source commits
/// late, or stamps with a clock that lags, is found within minutes.
const LOOKBACK: Duration = Duration::from_secs(5 * 60);
/// What a lookback may be.
const LOOKBACKS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(366 * 86_400);

/// Reads the resource of a flow; `connection` is where it may take its paging from.
pub(super) fn read(
    flow: &Table<'_>,
    connection: Option<&Written>,
    accounts: &Accounts,
) -> Option<Resource> {
    let vars = flow.get("vars").map(|item| vars(&item)).unwrap_or_default();
    let variables = Variables::of_flow(
        &vars,
        connection.map(|written| written.connection.facts()),
        *accounts != Accounts::Nameless,
    );
    let url = flow.need("url", "a URL, or a path below the connection's `base_url`");
    let url = url.and_then(|item| variables.template(&item));
    let query = flow.or("query", Vec::new(), |item| variables.pairs(&item));
    let headers = flow.or("headers", Vec::new(), |item| variables.headers(&item));
    let body = flow.get("body").and_then(|item| body(&item, &variables));
    let method = flow.or("method", default_method(body.as_ref()), |item| {
        item.choice(&[("GET", Method::Get), ("POST", Method::Post)])
    });
    if let (Method::Get, Some(_), Some(item)) = (method, &body, flow.own("method")) {
        flow.contradiction(
            &item,
            "a GET has no body",
            "use `method = \"POST\"`, or remove `body`",
        );
    }
    let own_paging = flow.get("paging").and_then(|item| paging::read(&item));
    let paging = own_paging.or_else(|| default_paging(flow, connection));
    let cursor = flow
        .get("cursor")
        .and_then(|item| cursor(&item, &variables, &query, connection));

    let sends = |name: &str| {
        url.as_ref().is_some_and(|url| url.uses(name))
            || query
                .iter()
                .chain(&headers)
                .any(|(_, template)| template.uses(name))
            || match &body {
                Some(Body::Form(fields)) => fields.iter().any(|(_, field)| field.uses(name)),
                Some(Body::Json(json)) => json_uses(json, name),
                None => false,
            }
    };
    check_bookmark(flow, cursor.as_ref(), sends("bookmark"));
    check_first_url(flow, cursor.as_ref(), url.as_ref());
    check_posted_cursor(flow, paging.as_ref(), method, body.as_ref());
    let caps = Caps {
        pages: flow.or("max_pages", PAGES, |item| item.number(1..=u64::MAX)),
        page_bytes: flow.or("max_page_bytes", PAGE_BYTES, |item| item.size(PAGE_SIZES)),
    };
    let records = flow.get("records").and_then(|item| field_path(&item));
    Some(Resource {
        method,
        query,
        headers,
        body,
        records,
        cursor,
        caps,
        paging: paging?,
        url: url?,
        vars,
    })
}

fn default_method(body: Option<&Body>) -> Method {
    if body.is_some() {
        Method::Post
    } else {
        Method::Get
    }
}

/// Returns the connection's paging. A flow that has none is refused rather than read as one page:
/// records beyond the first page would be missed in silence.
fn default_paging(flow: &Table<'_>, connection: Option<&Written>) -> Option<Paging> {
    let given = connection.and_then(|connection| connection.paging.clone());
    if given.is_none() && connection.is_some() && flow.get("paging").is_none() {
        let expected = "how the next page is found, \"none\" if there is never one";
        flow.need("paging", expected);
    }
    given
}

fn vars(item: &Item<'_>) -> BTreeMap<String, Value> {
    let var = |item: Item<'_>| {
        item.hide_if_secret();
        let usable = item
            .key
            .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && item
                .key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !usable {
            let message = format!(
                "{}: {} is no name for a variable",
                item.what,
                quoted(item.key)
            );
            let problem = Problem::at(item.key_at.clone(), message);
            item.findings
                .add(problem.label("expected letters, digits and `_`"));
        }
        Some((item.key.to_owned(), item.json()?))
    };
    item.map()
        .unwrap_or_default()
        .into_iter()
        .filter_map(var)
        .collect()
}

fn body(item: &Item<'_>, variables: &Variables<'_>) -> Option<Body> {
    let table = item.table(&keys::BODY, format!("{}: `body`", item.what))?;
    match (table.get("json"), table.get("form")) {
        (Some(json), None) => variables.json(&json).map(Body::Json),
        (None, Some(form)) => variables.pairs(&form).map(Body::Form),
        (Some(_), Some(form)) => {
            table.contradiction(&form, "it is either `json` or `form`", "keep one of them");
            None
        }
        (None, None) => {
            item.refuse("`body` is empty", "{ json = { … } } or { form = { … } }");
            None
        }
    }
}

/// Reads where something stands in a record or a body.
pub(in crate::config) fn field_path(item: &Item<'_>) -> Option<FieldPath> {
    item.parsed(
        "a path such as \"$.data.items\" or \"data.items\"",
        |text| text.parse().map_err(|why| format!("is no path: {why}")),
    )
}

/// Reads the path of a field, which is somewhere inside.
pub(super) fn field(item: &Item<'_>) -> Option<FieldPath> {
    let path = field_path(item)?;
    if path.segments().is_empty() {
        item.refuse(
            format!("`{}` names no field", item.key),
            "the name of a field",
        );
        return None;
    }
    Some(path)
}

fn cursor(
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
fn check_bookmark(flow: &Table<'_>, cursor: Option<&Cursor>, sent: bool) {
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
fn check_first_url(flow: &Table<'_>, cursor: Option<&Cursor>, url: Option<&Template>) {
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

/// Reports a paging cursor that is to be put where nothing is posted.
fn check_posted_cursor(
    flow: &Table<'_>,
    paging: Option<&Paging>,
    method: Method,
    body: Option<&Body>,
) {
    let posts = method == Method::Post && !matches!(body, Some(Body::Form(_)));
    if let (Some(item), false) = (flow.get("paging"), posts)
        && matches!(
            paging,
            Some(Paging::Cursor {
                send: SendCursor::Body(_),
                ..
            })
        )
    {
        let help = "use `method = \"POST\"` with `body = { json = { … } }`, or send it as `query`";
        flow.contradiction(
            &item,
            "the paging cursor goes into a JSON body, and none is posted",
            help,
        );
    }
}
