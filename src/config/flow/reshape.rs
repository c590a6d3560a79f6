//! What becomes of a record before it is merged, put together as one program.
//!
//! The steps are taken in this order, whichever are there: `filter` says whether the record counts,
//! `expand` makes a record of each entry of an array in it, `compute` adds fields, `drop` removes some,
//! `transform` makes of it whatever it likes.

use super::resource::field;
use crate::config::keys;
use crate::config::program::program;
use crate::config::reader::{Item, Table};
use crate::jq::{Program, WITHOUT};
use crate::record::FieldPath;

/// Reads one step as a part of the program.
type Step = fn(&Item<'_>) -> Option<String>;

/// Reads the steps of a flow; `None` if there are none.
pub(super) fn read(flow: &Table<'_>) -> Option<Program> {
    let steps: [(&str, Step); 5] = [
        ("filter", filter),
        ("expand", expand),
        ("compute", compute),
        ("drop", dropped),
        ("transform", transform),
    ];
    let steps = steps.map(|(key, step)| flow.get(key).and_then(|item| step(&item)));
    let steps: Vec<String> = steps.into_iter().flatten().collect();
    if steps.is_empty() {
        return None;
    }
    // Each part is a program by itself and stands in brackets, so together they are one.
    Program::parse(&steps.join("\n| ")).ok()
}

fn filter(item: &Item<'_>) -> Option<String> {
    let part = part(item, "filter")?;
    Some(format!("select(any({part}; .))"))
}

fn transform(item: &Item<'_>) -> Option<String> {
    part(item, "transform")
}

/// Fields that are computed, each from the record as it was before any of them.
fn compute(item: &Item<'_>) -> Option<String> {
    let fields = item.map()?;
    let fields = fields.iter().map(|field| {
        let name = format!("compute.{}", field.key);
        // One value each: none is null, and two would be two records.
        let part = part(field, &name)?;
        let one = format!(
            "([limit(2; {part})] | if length > 1 then error({}) else .[0] end)",
            literal(&format!("`{name}` has more than one result"))
        );
        Some(format!("{}: {one}", literal(field.key)))
    });
    let fields: Option<Vec<String>> = fields.collect();
    Some(format!(". + {{{}}}", fields?.join(", ")))
}

/// A part of the program that says in its errors which it is. Line breaks keep a comment at its end
/// from reaching what follows.
fn part(item: &Item<'_>, name: &str) -> Option<String> {
    let program = program(item)?;
    let message = format!("`{name}`: ");
    Some(format!(
        "(try (\n{}\n) catch error({} + tostring))",
        program.source(),
        literal(&message)
    ))
}

fn dropped(item: &Item<'_>) -> Option<String> {
    let items = item.list("an array of fields such as [\"attributes\"]")?;
    let paths: Option<Vec<FieldPath>> = items.iter().map(field).collect();
    let paths = paths?;
    let steps = paths.iter().map(|path| without(path.segments()));
    Some(steps.collect::<Vec<_>>().join("\n| "))
}

/// A program that removes a field, if everything on the way to it is there.
fn without(path: &[String]) -> String {
    match path {
        [] => ".".to_owned(),
        [name] => format!("{WITHOUT}([{}])", literal(name)),
        [name, rest @ ..] => {
            let (name, rest) = (literal(name), without(rest));
            format!("if (.[{name}] | type) == \"object\" then .[{name}] |= ({rest}) else . end")
        }
    }
}

/// Records made of the entries of an array, with fields of the record they stand in.
fn expand(item: &Item<'_>) -> Option<String> {
    let table = item.table(&keys::EXPAND, format!("{}: `expand`", item.what))?;
    let path = table.need("path", "the field that holds the array");
    let path = path.and_then(|item| field(&item));
    let prefix = table
        .get("prefix")
        .and_then(|item| item.text().map(str::to_owned));
    let prefix = prefix.unwrap_or_default();
    let parent = table.or("parent", Vec::new(), |item| {
        let items = item.list("an array of fields such as [\"ID\"]")?;
        items.iter().map(field).collect::<Option<Vec<_>>>()
    });
    let path = path?;
    let named = parent.iter().map(|path| {
        let last = path.segments().last().map_or("", String::as_str);
        (format!("{prefix}{last}"), path)
    });
    let named: Vec<_> = named.collect();
    for (index, (name, _)) in named.iter().enumerate() {
        if named[..index].iter().any(|(other, _)| other == name) {
            item.refuse(
                format!("`parent` would give two fields `{name}`"),
                "each name once",
            );
            return None;
        }
    }
    let not_list = literal(&format!("`expand`: `{path}` is no array but "));
    let no_object = literal(&format!("`expand`: an entry of `{path}` is no object but "));
    let mut steps = vec![
        format!(". as $parent\n| {}", of(&path)),
        format!(
            "if . == null then empty elif type == \"array\" then .[] else error({not_list} + type) end"
        ),
        format!("if type == \"object\" then . else error({no_object} + type) end"),
    ];
    for (name, _) in &named {
        let taken = literal(&format!(
            "`expand`: an entry of `{path}` has a field `{name}` of its own; give those of the parent \
             another name with `prefix`"
        ));
        steps.push(format!(
            "if has({}) then error({taken}) else . end",
            literal(name)
        ));
    }
    let fields: Vec<_> = named
        .iter()
        .map(|(name, path)| format!("{}: ($parent | {})", literal(name), of(path)))
        .collect();
    steps.push(format!("{{{}}} + .", fields.join(", ")));
    Some(format!("({})", steps.join("\n| ")))
}

/// A program that gives the field at a path.
fn of(path: &FieldPath) -> String {
    let names = path
        .segments()
        .iter()
        .map(|name| format!("[{}]", literal(name)));
    format!(".{}", names.collect::<String>())
}

/// Text as jq writes it, which is as JSON does.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
