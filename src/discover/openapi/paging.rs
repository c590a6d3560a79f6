//! How pages follow each other, as far as a document tells: by the names of parameters and fields.

use serde_json::Value;

use super::{Parameter, Spec};
use crate::discover::{Paging, plain};
use crate::record::FieldPath;

/// Parameters, without `_` and in small letters.
const PAGES: [&str; 4] = ["page", "pagenumber", "pageno", "pagenum"];
const OFFSETS: [&str; 5] = ["offset", "skip", "startat", "startindex", "start"];
const SIZES: [&str; 11] = [
    "limit",
    "pagesize",
    "perpage",
    "size",
    "maxresults",
    "count",
    "top",
    "take",
    "pagelimit",
    "resultsperpage",
    "maxrecords",
];
const CURSORS: [&str; 9] = [
    "cursor",
    "pagetoken",
    "nextpagetoken",
    "nexttoken",
    "continuationtoken",
    "pagecursor",
    "nextcursor",
    "startcursor",
    "after",
];
/// Fields that lead on by a URL, or by a word.
const LINKS: [&str; 5] = ["odatanextlink", "nextlink", "nexturl", "nexthref", "next"];
const WORDS: [&str; 8] = [
    "nextcursor",
    "nextpagetoken",
    "nexttoken",
    "continuationtoken",
    "nextpagecursor",
    "cursor",
    "endcursor",
    "after",
];
/// Objects in which such fields stand.
const AROUND: [&str; 7] = [
    "paging",
    "pagination",
    "meta",
    "links",
    "pageinfo",
    "cursors",
    "_links",
];
/// How many records a page has where the document sets no bound.
const SIZE: u64 = 100;

/// Returns how the pages follow that an operation answers with.
pub(super) fn of<'a>(
    spec: &Spec<'a>,
    answer: &'a Value,
    schema: &'a Value,
    query: &[&Parameter<'a>],
) -> Paging {
    let named = |names: &[&str]| {
        let find = |name: &&str| {
            query
                .iter()
                .find(|parameter| plain(parameter.name) == **name)
        };
        names.iter().find_map(find).copied()
    };
    let size = named(&SIZES);
    if let (Some(cursor), Some(path)) = (named(&CURSORS), leading(spec, schema, &WORDS)) {
        let query = cursor.name.to_owned();
        return Paging::Cursor { path, query };
    }
    if let Some(path) = leading(spec, schema, &LINKS) {
        return Paging::NextUrl { path };
    }
    let headers = answer.get("headers").and_then(Value::as_object);
    let has_link = |name: &String| name.eq_ignore_ascii_case("link");
    if headers.is_some_and(|headers| headers.keys().any(has_link)) {
        return Paging::LinkHeader;
    }
    if let Some(page) = named(&PAGES) {
        return Paging::Page {
            param: page.name.to_owned(),
            size: size.map(|size| (size.name.to_owned(), most(size))),
        };
    }
    match (named(&OFFSETS), size) {
        (Some(offset), Some(size)) => Paging::Offset {
            param: offset.name.to_owned(),
            limit_param: size.name.to_owned(),
            limit: most(size),
        },
        _ => Paging::Untold,
    }
}

/// Returns the parameters that a paging fills in.
pub(super) fn parameters(paging: &Paging) -> Vec<&str> {
    match paging {
        Paging::Untold | Paging::Odata | Paging::LinkHeader | Paging::NextUrl { .. } => Vec::new(),
        Paging::Cursor { query, .. } => vec![query],
        Paging::Page { param, size } => {
            let size = size.iter().map(|(name, _)| name.as_str());
            std::iter::once(param.as_str()).chain(size).collect()
        }
        Paging::Offset {
            param, limit_param, ..
        } => vec![param, limit_param],
    }
}

/// Returns the most records that a page may have.
fn most(size: &Parameter<'_>) -> u64 {
    let bound = |name| size.schema.get(name).and_then(Value::as_u64);
    let most = bound("maximum").or_else(|| bound("default"));
    most.filter(|most| (1..=10_000).contains(most))
        .unwrap_or(SIZE)
}

/// Returns where in a body a text leads on, at its top or in an object about the paging.
fn leading<'a>(spec: &Spec<'a>, schema: &'a Value, names: &[&str]) -> Option<String> {
    let members = spec.fields(schema);
    let text = |schema: &'a Value| {
        let schema = spec.seen(schema)?;
        let has = |word: &str| match schema.get("type") {
            Some(Value::Array(words)) => words.iter().any(|other| other == word),
            other => other.is_some_and(|other| other == word),
        };
        has("string").then_some(())
    };
    let among = |members: &[(&'a str, &'a Value)]| {
        names.iter().find_map(|wanted| {
            let member = members.iter().find(|(name, _)| plain(name) == *wanted)?;
            text(member.1).map(|()| member.0)
        })
    };
    if let Some(name) = among(&members) {
        return Some(FieldPath::of([name]).to_string());
    }
    members.iter().find_map(|(around, schema)| {
        let is_about = AROUND.iter().any(|name| plain(around) == plain(name));
        let inner = is_about.then(|| among(&spec.fields(schema)))??;
        Some(FieldPath::of([*around, inner]).to_string())
    })
}
