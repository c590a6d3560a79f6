//! How a source is asked for what changed since it was last asked, as written.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Delta, Method, Resource, SendCursor, SendDelta, field};
use crate::config::keys;
use crate::config::reader::{Item, Table};
use crate::config::templates::Variables;

/// How long a source may be said to keep what was deleted.
pub(super) const RETENTIONS: RangeInclusive<Duration> =
    Duration::from_secs(60 * 60)..=Duration::from_secs(100 * 366 * 86_400);

/// Reads `delta`: where the source gives a link or a word to ask with the next time.
pub(super) fn read(item: &Item<'_>, variables: &Variables<'_>) -> Option<Delta> {
    let table = item.table(&keys::DELTA, format!("{}: `delta`", item.what))?;
    let retention = table.get("retention");
    let retention = retention.and_then(|item| item.duration(RETENTIONS));
    let every_page = table.or("every_page", false, |item| item.boolean());
    let (path, send) = match (table.get("link"), table.get("token")) {
        (Some(link), None) => {
            for key in ["query", "header", "body", "continue_url", "every_page"] {
                if let Some(item) = table.get(key) {
                    let help = "a link is followed as it is, and comes with the last page";
                    table.contradiction(&item, format!("`{key}` belongs to `token`"), help);
                }
            }
            (field(&link), Some(SendDelta::Link))
        }
        (None, Some(token)) => {
            let continue_url = table
                .get("continue_url")
                .and_then(|item| variables.template(&item));
            let send = place(&table).map(|send| SendDelta::Token { send, continue_url });
            (field(&token), send)
        }
        (Some(_), Some(token)) => {
            let message = "it is either a link or a word";
            table.contradiction(&token, message, "keep one of `link` and `token`");
            return None;
        }
        (None, None) => {
            let expected =
                "{ link = \"['@odata.deltaLink']\" }, or { token = \"…\", query = \"…\" }";
            item.refuse("`delta` names neither `link` nor `token`", expected);
            return None;
        }
    };
    Some(Delta {
        path: path?,
        send: send?,
        every_page,
        retention,
    })
}

/// Reads where a word goes; it goes to one place.
fn place(table: &Table<'_>) -> Option<SendCursor> {
    let written = ["query", "header", "body"].map(|key| table.get(key));
    let mut written = written.into_iter().flatten();
    let Some(first) = written.next() else {
        table.need(
            "query",
            "the parameter the word is sent in, or `header` or `body`",
        );
        return None;
    };
    if let Some(second) = written.next() {
        let help = "keep one of `query`, `header` and `body`";
        table.contradiction(&second, "the word is sent in one place", help);
    }
    Some(match first.key {
        "query" => SendCursor::Query(first.text()?.to_owned()),
        "header" => SendCursor::Header(first.text()?.to_owned()),
        _ => SendCursor::Body(field(&first)?),
    })
}

/// Reports a way of reading less that contradicts `delta`.
pub(super) fn check(flow: &Table<'_>, resource: &Resource) {
    let (Some(item), Some(delta)) = (flow.get("delta"), &resource.delta) else {
        return;
    };
    if let Some(cursor) = flow.get("cursor") {
        let help = "the source itself knows what changed: keep one of `delta` and `cursor`";
        flow.contradiction(&cursor, "it has both `delta` and `cursor`", help);
    }
    let is_posted = matches!(
        delta.send,
        SendDelta::Token {
            send: SendCursor::Body(_),
            ..
        }
    );
    if is_posted && resource.method == Method::Get {
        let help = "use `method = \"POST\"` with `body = { json = { … } }`, or send it as `query`";
        flow.contradiction(
            &item,
            "its word goes into a JSON body, and none is posted",
            help,
        );
    }
}
