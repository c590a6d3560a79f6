//! What a flow reads, as written.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::{
    Accounts, Caps, Format, Method, Paging, Payload, Records, Resource, body, cursor, delta,
    paging, records, reshape,
};
use crate::config::connection::Written;
use crate::config::reader::{Item, Table, quoted};
use crate::config::report::Problem;
use crate::config::templates::{EachNames, Variables};
use crate::config::{ResponseRule, response};
use crate::record::FieldPath;

/// The most pages of a run unless the flow says otherwise: past it, a loop is likelier than data.
const PAGES: u64 = 10_000;
/// The most bytes of a page unless the flow says otherwise; a thousand wide records are a tenth.
const PAGE_BYTES: u64 = 64_000_000;
/// What the cap of a page may be: a page is held in memory whole.
const PAGE_SIZES: RangeInclusive<u64> = 1_000..=1 << 30;

/// Reads the resource of a flow; `connection` is where it may take its paging from.
pub(super) fn read(
    flow: &Table<'_>,
    connection: Option<&Written>,
    accounts: &Accounts,
    each: &EachNames,
) -> Option<Resource> {
    let vars = flow.get("vars").map(|item| vars(&item)).unwrap_or_default();
    let variables = Variables::of_flow(
        &vars,
        connection.map(|written| written.connection.facts()),
        *accounts != Accounts::Nameless,
        each,
    );
    let url = flow.need("url", "a URL, or a path below the connection's `base_url`");
    let url = url.and_then(|item| variables.template(&item));
    let query = flow.or("query", Vec::new(), |item| variables.pairs(&item));
    let first_page_query = flow.or("first_page_query", Vec::new(), |item| {
        variables.pairs(&item)
    });
    let headers = flow.or("headers", Vec::new(), |item| variables.headers(&item));
    let body = flow
        .get("body")
        .and_then(|item| body::read(&item, &variables));
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
    let own_paging = flow
        .get("paging")
        .and_then(|item| paging::read(&item, Some(&variables)));
    let paging = own_paging.or_else(|| default_paging(flow, connection));
    let cursor = flow
        .get("cursor")
        .and_then(|item| cursor::read(&item, &variables, &query, connection));

    let sends = |name: &str| {
        url.as_ref().is_some_and(|url| url.uses(name))
            || query
                .iter()
                .chain(&first_page_query)
                .chain(&headers)
                .any(|(_, template)| template.uses(name))
            || body.as_ref().is_some_and(|body| body.uses(name))
    };
    let delta = flow
        .get("delta")
        .and_then(|item| delta::read(&item, &variables));
    let asks_by_now = sends("now");
    cursor::check_bookmark(flow, cursor.as_ref(), sends("bookmark"));
    cursor::check_until(flow, cursor.as_ref(), sends("until"));
    cursor::check_first_url(flow, cursor.as_ref(), url.as_ref());
    if let Some(paging) = &paging {
        paging::check(flow, paging, method, cursor.as_ref(), sends);
    }
    let caps = Caps {
        pages: flow.or("max_pages", PAGES, |item| item.number(1..=u64::MAX)),
        page_bytes: flow.or("max_page_bytes", PAGE_BYTES, |item| item.size(PAGE_SIZES)),
    };
    let format = flow.or("format", Format::Json, |item| records::format(&item));
    records::check_format(flow, &format, paging.as_ref());
    let records = flow.or("records", Records::Usual, |item| records::read(&item));
    let tenant = flow
        .get("tenant")
        .and_then(|item| variables.template(&item));
    Some(Resource {
        method,
        query,
        first_page_query,
        headers,
        body,
        format,
        records,
        reshape: reshape::read(flow),
        cursor,
        tombstones: None,
        delta,
        asks_by_now,
        rules: rules(flow, connection),
        caps,
        tenant,
        paging: paging?,
        url: url?,
        vars,
    })
}

fn default_method(body: Option<&Payload>) -> Method {
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

/// Reads the flow's rules; those of its connection come behind them.
fn rules(flow: &Table<'_>, connection: Option<&Written>) -> Vec<ResponseRule> {
    let behind = connection.map(|written| written.rules.as_slice());
    let mut rules = response::read(flow);
    rules.extend_from_slice(behind.unwrap_or_default());
    rules
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

/// Reads where something stands in a record or a body.
pub(in crate::config) fn field_path(item: &Item<'_>) -> Option<FieldPath> {
    item.parsed(
        "a path such as \"$.data.items\" or \"data.items\"",
        |text| text.parse().map_err(|why| format!("is no path: {why}")),
    )
}

/// Reads the path of a field, which is somewhere inside.
pub(in crate::config) fn field(item: &Item<'_>) -> Option<FieldPath> {
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
