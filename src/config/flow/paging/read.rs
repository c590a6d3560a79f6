//! Where the next page is, as written.

use reqwest::header::HeaderName;

use super::{End, Paging, PastEnd, SendCursor, Source, Style, Total};
use crate::config::flow::resource::{field, field_path};
use crate::config::keys::{self, Keys};
use crate::config::program::program;
use crate::config::reader::{Item, Table, quoted};
use crate::config::templates::Variables;

#[derive(Debug, Clone, Copy)]
enum Word {
    None,
    OData,
    LinkHeader,
    NextUrl,
    Cursor,
    Continue,
    Page,
    Offset,
    Keyset,
}

/// The styles.
const STYLES: [(&str, Word); 9] = [
    ("none", Word::None),
    ("odata", Word::OData),
    ("link_header", Word::LinkHeader),
    ("next_url", Word::NextUrl),
    ("cursor", Word::Cursor),
    ("continue", Word::Continue),
    ("page", Word::Page),
    ("offset", Word::Offset),
    ("keyset", Word::Keyset),
];

/// Reads `paging`: the name of a style, or a table with its settings. `variables` are those of the
/// flow; a connection has none for it.
pub(in crate::config) fn read(
    item: &Item<'_>,
    variables: Option<&Variables<'_>>,
) -> Option<Paging> {
    if item.value.is_str() {
        return by_name(item);
    }
    let has_style = item
        .value
        .as_table()
        .is_some_and(|table| table.contains_key("style"));
    if !has_style {
        let example = "\"odata\", or a table such as { style = \"page\", param = \"page\" }";
        return match item.value.is_table() {
            true => {
                item.refuse("`paging` has no `style`", example);
                None
            }
            false => item.wrong_type(example),
        };
    }
    let items = item.map()?;
    let word = items.iter().find(|item| item.key == "style")?;
    let word = word.choice(&STYLES)?;
    let table = item.table(keys_of(word), format!("{}: `paging`", item.what))?;
    let style = match word {
        Word::None => Some(Style::None),
        Word::OData => Some(Style::OData),
        Word::LinkHeader => Some(Style::LinkHeader),
        Word::NextUrl => source(&table, "the URL").map(|at| Style::NextUrl { at }),
        Word::Cursor => by_cursor(&table, variables),
        Word::Continue => {
            let path = table.need("path", "where the object stands in the body");
            path.and_then(|item| field(&item))
                .map(|path| Style::Continue { path })
        }
        Word::Page => by_page(&table),
        Word::Offset => by_offset(&table),
        Word::Keyset => by_keyset(&table),
    };
    let stop = table.get("stop").and_then(|item| program(&item));
    let restart_after = table.get("restart_after");
    Some(Paging {
        style: style?,
        stop,
        restart_after: restart_after.and_then(|item| item.number(1..=u64::MAX)),
    })
}

/// Reads the name of a style that needs no settings.
fn by_name(item: &Item<'_>) -> Option<Paging> {
    let word = item.choice(&STYLES)?;
    let style = match word {
        Word::None => Style::None,
        Word::OData => Style::OData,
        Word::LinkHeader => Style::LinkHeader,
        Word::NextUrl
        | Word::Cursor
        | Word::Continue
        | Word::Page
        | Word::Offset
        | Word::Keyset => {
            let style = item.text()?;
            let names = keys_of(word).names[1..].join(", ");
            item.refuse(
                format!("paging style \"{style}\" needs settings"),
                format!("{{ style = \"{style}\", … }} with {names}"),
            );
            return None;
        }
    };
    Some(style.into())
}

fn keys_of(word: Word) -> &'static Keys {
    match word {
        Word::None | Word::OData | Word::LinkHeader => &keys::PAGING,
        Word::NextUrl => &keys::NEXT_URL,
        Word::Cursor => &keys::BY_CURSOR,
        Word::Continue => &keys::BY_CONTINUE,
        Word::Page => &keys::BY_PAGE,
        Word::Offset => &keys::BY_OFFSET,
        Word::Keyset => &keys::BY_KEYSET,
    }
}

fn text(item: Item<'_>) -> Option<String> {
    item.text().map(str::to_owned)
}

fn header(item: &Item<'_>) -> Option<String> {
    item.parsed(
        "the name of a header",
        |text| match HeaderName::from_bytes(text.as_bytes()) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err(format!("is no header name: {}", quoted(text))),
        },
    )
}

/// Reads where an answer says what leads on: `path` or `from_header`.
fn source(table: &Table<'_>, what: &str) -> Option<Source> {
    match (table.get("path"), table.get("from_header")) {
        (Some(_), Some(second)) => {
            let message = format!("{what} stands in one place");
            table.contradiction(&second, message, "keep one of `path` and `from_header`");
            None
        }
        (None, Some(item)) => header(&item).map(Source::Header),
        (_, None) => {
            let expected = format!("where {what} stands in the body, or `from_header`");
            let item = table.need("path", &expected)?;
            field(&item).map(Source::Body)
        }
    }
}

/// Reads where a cursor goes: one place at most.
fn send(table: &Table<'_>) -> Option<SendCursor> {
    let written: Vec<_> = ["query", "header", "body"]
        .iter()
        .filter_map(|key| table.get(key))
        .collect();
    if let [_, second, ..] = written.as_slice() {
        let message = "the cursor is sent in one place";
        table.contradiction(second, message, "keep one of `query`, `header` and `body`");
    }
    let item = written.into_iter().next()?;
    match item.key {
        "query" => text(item).map(SendCursor::Query),
        "header" => header(&item).map(SendCursor::Header),
        _ => field(&item).map(SendCursor::Body),
    }
}

fn by_cursor(table: &Table<'_>, variables: Option<&Variables<'_>>) -> Option<Style> {
    let at = source(table, "the cursor");
    let send = send(table);
    let continue_url = table.get("continue_url").and_then(|item| {
        let Some(variables) = variables else {
            item.refuse(
                "`continue_url` belongs to one flow",
                "it in the `paging` of a flow",
            );
            return None;
        };
        variables.template(&item)
    });
    Some(Style::Cursor {
        at: at?,
        send,
        more: table.get("more").and_then(|item| field(&item)),
        continue_url,
    })
}

fn by_page(table: &Table<'_>) -> Option<Style> {
    let size = table.get("size").and_then(|item| {
        let inner = item.table(&keys::PAGE_SIZE, format!("{}: `size`", table.what))?;
        let param = inner.need("param", "the query parameter of the page size");
        let value = inner.need("value", "the number of records per page");
        let param = param.and_then(text);
        Some((param?, value.and_then(|item| item.number(1..=u64::MAX))?))
    });
    Some(Style::Page {
        param: table.get("param").and_then(text),
        first: table.or("first", 1, |item| item.number(0..=u64::MAX)),
        size,
        end: end(table, &["total_records", "total_pages", "more"]),
    })
}

fn by_offset(table: &Table<'_>) -> Option<Style> {
    let limit = table.need("limit", "the number of records per page");
    let limit = limit.and_then(|item| item.number(1..=u64::MAX))?;
    // What is asked for again must leave room for what is new.
    let overlaps = 0..=limit - 1;
    Some(Style::Offset {
        param: table.get("param").and_then(text),
        first: table.or("first", 0, |item| item.number(0..=u64::MAX)),
        limit_param: table.get("limit_param").and_then(text),
        limit,
        overlap: table.or("overlap", 0, |item| item.number(overlaps)),
        end: end(table, &["total_records", "more"]),
    })
}

fn by_keyset(table: &Table<'_>) -> Option<Style> {
    let key = table.need(
        "field",
        "the field of the last record that the next page begins after",
    );
    let send = send(table);
    Some(Style::Keyset {
        field: key.and_then(|item| field(&item))?,
        send,
        more: table.get("more").and_then(|item| field(&item)),
    })
}

/// Reads what the last page is known by: what the source tells, or what it answers past the end.
fn end(table: &Table<'_>, told: &[&str]) -> End {
    let untold = ["short_page_ends", "past_end"];
    let written: Vec<_> = told.iter().filter_map(|key| table.get(key)).collect();
    let clash = match written.as_slice() {
        [_, second, ..] => Some(second.clone()),
        [_] => untold.iter().find_map(|key| table.get(key)),
        [] => None,
    };
    if let Some(second) = clash {
        table.contradiction(
            &second,
            "the end is told in one place",
            "keep one and remove the rest",
        );
    }
    let Some(item) = written.first() else {
        return End::Untold {
            short_page: table.or("short_page_ends", false, |item| item.boolean()),
            past_end: table.get("past_end").and_then(|item| past_end(&item)),
        };
    };
    // A place that is wrong has been reported.
    field_path(item).map_or(End::EMPTY, |path| {
        End::Told(match item.key {
            "total_records" => Total::Records(path),
            "total_pages" => Total::Pages(path),
            _ => Total::More(path),
        })
    })
}

fn past_end(item: &Item<'_>) -> Option<PastEnd> {
    if item.value.is_str() {
        return item.choice(&[("repeats", PastEnd::Repeats)]);
    }
    if item.value.as_integer().is_none() {
        return item.wrong_type("\"repeats\" or a status such as 404");
    }
    let status = item.number(400..=499)?;
    u16::try_from(status).ok().map(PastEnd::Status)
}
