//! Whether the paging and the rest of a request go together.

use super::{Paging, SendCursor, Style};
use crate::config::flow::{Cursor, Method};
use crate::config::reader::Table;
use crate::config::report::Problem;

/// Reports what is asked for in vain, or never asked for; `sends` tells what templates use.
pub(in crate::config::flow) fn check(
    flow: &Table<'_>,
    paging: &Paging,
    method: Method,
    cursor: Option<&Cursor>,
    sends: impl Fn(&str) -> bool,
) {
    if paging.restart_after.is_some() && !cursor.is_some_and(|cursor| cursor.ordered) {
        let help =
            "sort by the cursor's field and say so: cursor = { field = \"…\", ordered = true }";
        let message =
            "`restart_after` goes on from the last cursor value, and no `cursor` is ordered";
        report(flow, message, help);
    }
    if let (Some(variable), false) = (
        unsent(&paging.style),
        unsent(&paging.style).is_some_and(&sends),
    ) {
        let message = "nothing tells the source which page is asked for";
        let help = match variable {
            "page.cursor" => {
                "say where it goes with `query`, `header` or `body` of `paging`, or \
                              use {{ page.cursor }} in the request"
            }
            "page.number" => "say `param` in `paging`, or use {{ page.number }} in the request",
            _ => "say `param` in `paging`, or use {{ page.offset }} in the request",
        };
        report(flow, message, help);
    }
    if sends("page.cursor") && !has_cursor(&paging.style) {
        let help = "use {{ page.number }} or {{ page.offset }}, or another style of paging";
        report(flow, "`page.cursor` is never set by this paging", help);
    }
    if sends("page.limit") && !has_limit(&paging.style) {
        let help = "write the number, or use a paging with `size` or `limit`";
        report(flow, "`page.limit` is never set by this paging", help);
    }
    if let (Method::Get, Some(SendCursor::Body(_))) = (method, sent_as(&paging.style)) {
        let help = "use `method = \"POST\"`, with or without a `body`, or send it as `query`";
        report(
            flow,
            "the paging cursor goes into a body, and none is posted",
            help,
        );
    }
}

fn report(flow: &Table<'_>, message: &str, help: &str) {
    match flow.get("paging") {
        Some(item) => flow.contradiction(&item, message, help),
        // It is the connection's.
        None => {
            let message = format!("{}: {message}", flow.what);
            flow.findings
                .add(Problem::at(flow.at.clone(), message).help(help));
        }
    }
}

/// Returns the variable that must say which page is asked for, if the paging itself does not.
fn unsent(style: &Style) -> Option<&'static str> {
    match style {
        Style::Cursor { send: None, .. } | Style::Keyset { send: None, .. } => Some("page.cursor"),
        Style::Page { param: None, .. } => Some("page.number"),
        Style::Offset { param: None, .. } => Some("page.offset"),
        Style::Cursor { send: Some(_), .. }
        | Style::Keyset { send: Some(_), .. }
        | Style::Page { param: Some(_), .. }
        | Style::Offset { param: Some(_), .. }
        | Style::None
        | Style::OData
        | Style::LinkHeader
        | Style::NextUrl { .. }
        | Style::Continue { .. } => None,
    }
}

fn has_cursor(style: &Style) -> bool {
    matches!(style, Style::Cursor { .. } | Style::Keyset { .. })
}

fn has_limit(style: &Style) -> bool {
    matches!(
        style,
        Style::Page { size: Some(_), .. } | Style::Offset { .. }
    )
}

fn sent_as(style: &Style) -> Option<&SendCursor> {
    match style {
        Style::Cursor { send, .. } | Style::Keyset { send, .. } => send.as_ref(),
        Style::None
        | Style::OData
        | Style::LinkHeader
        | Style::NextUrl { .. }
        | Style::Continue { .. }
        | Style::Page { .. }
        | Style::Offset { .. } => None,
    }
}
