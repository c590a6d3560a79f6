//! What is posted, as written.

use serde_json::{Map, Value};

use super::{Body, GraphQl, Payload};
use crate::config::keys;
use crate::config::reader::{Item, Table};
use crate::config::templates::Variables;

/// Reads `body`: JSON, form fields or a GraphQL request.
pub(super) fn read(item: &Item<'_>, variables: &Variables<'_>) -> Option<Payload> {
    let table = item.table(&keys::BODY, format!("{}: `body`", item.what))?;
    let written: Vec<_> = keys::BODY
        .names
        .iter()
        .filter_map(|key| table.get(key))
        .collect();
    match written.as_slice() {
        [json] if json.key == "json" => variables.json(json).map(|json| Body::Json(json).into()),
        [form] if form.key == "form" => variables.pairs(form).map(|form| Body::Form(form).into()),
        [graphql] => graph_ql(graphql, variables).map(Payload::GraphQl),
        [] => {
            item.refuse(
                "`body` is empty",
                "{ json = { … } }, { form = { … } } or { graphql = { query = \"…\" } }",
            );
            None
        }
        [_, second, ..] => {
            let message = "it is one of `json`, `form` and `graphql`";
            table.contradiction(second, message, "keep one of them");
            None
        }
    }
}

fn graph_ql(item: &Item<'_>, variables: &Variables<'_>) -> Option<GraphQl> {
    let table = item.table(&keys::GRAPHQL, format!("{}: `graphql`", item.what))?;
    let query = query(&table);
    let values = table.get("variables");
    let values = values.map_or_else(
        || Some(Value::Object(Map::new())),
        |item| {
            item.map()?;
            variables.json(&item)
        },
    );
    Some(GraphQl {
        partial: table.or("partial", false, |item| item.boolean()),
        query: query?,
        variables: values?,
    })
}

/// Reads the query. What a run fills in goes into variables, which the server keeps apart from the
/// query, so braces of ours in it are a mistake.
fn query(table: &Table<'_>) -> Option<String> {
    let item = table.need("query", "the GraphQL query")?;
    let query = item.text()?;
    if query.contains("{{") {
        item.refuse(
            "`query` is sent as it stands, and `{{` is not GraphQL",
            "a variable, as in query($after: String) { … }, with its value in `variables`",
        );
        return None;
    }
    Some(query.to_owned())
}
