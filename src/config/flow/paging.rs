//! Where the next page is, as written.

use super::resource::{field, field_path};
use super::{Paging, SendCursor, Total};
use crate::config::keys::{self, Keys};
use crate::config::reader::{Item, Table};

#[derive(Debug, Clone, Copy)]
enum Style {
    None,
    OData,
    LinkHeader,
    NextUrl,
    Cursor,
    Page,
    Offset,
}

/// The styles, and whether they need settings.
const STYLES: [(&str, Style); 7] = [
    ("none", Style::None),
    ("odata", Style::OData),
    ("link_header", Style::LinkHeader),
    ("next_url", Style::NextUrl),
    ("cursor", Style::Cursor),
    ("page", Style::Page),
    ("offset", Style::Offset),
];

/// Reads `paging`: the name of a style, or a table with its settings.
pub(in crate::config) fn read(item: &Item<'_>) -> Option<Paging> {
    let (style, table) = if item.value.is_str() {
        (item.choice(&STYLES)?, None)
    } else {
        let inner = item
            .value
            .as_table()
            .is_some_and(|table| table.contains_key("style"));
        if !inner {
            let example = "\"odata\", or a table such as { style = \"page\", param = \"page\" }";
            return match item.value.is_table() {
                true => {
                    item.refuse("`paging` has no `style`", example);
                    None
                }
                false => item.wrong_type(example),
            };
        }
        let style = item
            .map()?
            .into_iter()
            .find(|item| item.key == "style")?
            .choice(&STYLES)?;
        (
            style,
            Some(item.table(keys_of(style), format!("{}: `paging`", item.what))?),
        )
    };
    match (style, table) {
        (Style::None, _) => Some(Paging::None),
        (Style::OData, _) => Some(Paging::OData),
        (Style::LinkHeader, _) => Some(Paging::LinkHeader),
        (Style::NextUrl, Some(table)) => {
            let path = table.need("path", "where the URL stands in the body")?;
            Some(Paging::NextUrl {
                path: field(&path)?,
            })
        }
        (Style::Cursor, Some(table)) => by_cursor(&table),
        (Style::Page, Some(table)) => by_page(&table),
        (Style::Offset, Some(table)) => by_offset(&table),
        (Style::NextUrl | Style::Cursor | Style::Page | Style::Offset, None) => {
            let style = item.text()?;
            let message = format!("paging style \"{style}\" needs settings");
            let names = keys_of(item.choice(&STYLES)?).names;
            item.refuse(
                message,
                format!(
                    "{{ style = \"{style}\", … }} with {}",
                    names[1..].join(", ")
                ),
            );
            None
        }
    }
}

fn keys_of(style: Style) -> &'static Keys {
    match style {
        Style::None | Style::OData | Style::LinkHeader => &keys::PAGING,
        Style::NextUrl => &keys::NEXT_URL,
        Style::Cursor => &keys::BY_CURSOR,
        Style::Page => &keys::BY_PAGE,
        Style::Offset => &keys::BY_OFFSET,
    }
}

fn by_cursor(table: &Table<'_>) -> Option<Paging> {
    let path = table.need("path", "where the cursor stands in the body");
    let path = path.and_then(|item| field(&item));
    let name = |key: &str| {
        table
            .get(key)
            .and_then(|item| item.text().map(str::to_owned))
    };
    let send = [
        name("query").map(SendCursor::Query),
        name("header").map(SendCursor::Header),
        table
            .get("body")
            .and_then(|item| field(&item))
            .map(SendCursor::Body),
    ];
    let written = ["query", "header", "body"].map(|key| table.get(key));
    let mut written = written.into_iter().flatten();
    match (written.next(), written.next()) {
        (None, _) => {
            table.need(
                "query",
                "the parameter the cursor is sent in, or `header` or `body`",
            );
        }
        (Some(_), Some(second)) => {
            let message = "the cursor is sent in one place";
            table.contradiction(&second, message, "keep one of `query`, `header` and `body`");
        }
        (Some(_), None) => {}
    }
    let more = table.get("more").and_then(|item| field(&item));
    Some(Paging::Cursor {
        path: path?,
        send: send.into_iter().flatten().next()?,
        more,
    })
}

fn by_page(table: &Table<'_>) -> Option<Paging> {
    let param = table.need("param", "the query parameter of the page number");
    let param = param.and_then(|item| item.text().map(str::to_owned));
    let size = table.get("size").and_then(|item| {
        let inner = item.table(&keys::PAGE_SIZE, format!("{}: `size`", table.what))?;
        let param = inner.need("param", "the query parameter of the page size");
        let value = inner.need("value", "the number of records per page");
        let param = param.and_then(|item| item.text().map(str::to_owned));
        Some((param?, value.and_then(|item| item.number(1..=u64::MAX))?))
    });
    Some(Paging::Page {
        first: table.or("first", 1, |item| item.number(0..=u64::MAX)),
        size,
        total: total(table, &["total_records", "total_pages", "more"]),
        param: param?,
    })
}

fn by_offset(table: &Table<'_>) -> Option<Paging> {
    let text = |item: Item<'_>| item.text().map(str::to_owned);
    let param = table
        .need("param", "the query parameter of the position")
        .and_then(text);
    let limit_param = table.need("limit_param", "the query parameter of the page size");
    let limit = table.need("limit", "the number of records per page");
    let (limit_param, limit) = (
        limit_param.and_then(text),
        limit.and_then(|item| item.number(1..=u64::MAX)),
    );
    Some(Paging::Offset {
        first: table.or("first", 0, |item| item.number(0..=u64::MAX)),
        total: total(table, &["total_records", "more"]),
        param: param?,
        limit_param: limit_param?,
        limit: limit?,
    })
}

/// Reads where the source says how much there is; one place at most.
fn total(table: &Table<'_>, keys: &[&str]) -> Option<Total> {
    let written: Vec<_> = keys.iter().filter_map(|key| table.get(key)).collect();
    if let [_, second, ..] = written.as_slice() {
        table.contradiction(
            second,
            "the end is told in one place",
            "keep one and remove the rest",
        );
    }
    let item = written.first()?;
    let path = field_path(item)?;
    Some(match item.key {
        "total_records" => Total::Records(path),
        "total_pages" => Total::Pages(path),
        _ => Total::More(path),
    })
}
