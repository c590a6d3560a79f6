//! Random histories of pages end as a map from key to record would.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// A field of a record: which one, and its JSON.
fn field() -> impl Strategy<Value = (usize, String)> {
    let value = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i16>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        (any::<i16>(), 1..9_u8).prop_map(|(whole, part)| format!("{whole}.{part}")),
        (any::<i16>(), 1..9_u8).prop_map(|(whole, part)| format!("{whole}.{part}0")),
        "[a-z\"\\\\é😀]{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        (-9_i64..9).prop_map(|days| format!("\"/Date({})/\"", days * 86_400_000)),
        any::<u8>().prop_map(|value| format!("{{\"a\": [{value}]}}")),
    ];
    (0..3_usize, value)
}

/// A record: its key, and some fields.
fn record() -> impl Strategy<Value = (u8, BTreeMap<usize, String>)> {
    (
        0..12_u8,
        prop::collection::btree_map(0..3_usize, field().prop_map(|(_, value)| value), 0..3),
    )
}

/// Returns what a value says, whatever kind its column has by now.
fn meaning(json: Option<&str>) -> String {
    let json = json.unwrap_or("null");
    let mut scratch = String::new();
    match json.as_bytes()[0] {
        b'"' => match super::super::text::odata_date(json, &mut scratch) {
            Some(iso) => iso.to_owned(),
            None => serde_json::from_str(json).unwrap(),
        },
        b'{' => json.replace(' ', ""),
        _ => json.to_owned(),
    }
}

/// Returns what SQLite holds, as [`meaning`] has it.
fn held(value: &str, json: Option<&str>) -> String {
    let (kind, text) = value.split_once(' ').unwrap_or((value, "null"));
    match (kind, json) {
        ("integer", Some("true")) if text == "1" => "true".to_owned(),
        ("integer", Some("false")) if text == "0" => "false".to_owned(),
        // A whole number in a column of floats, or one that was there for a while.
        ("real", _) => text.strip_suffix(".0").unwrap_or(text).to_owned(),
        _ => text.to_owned(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_history_of_pages_ends_as_a_map_would(
        history in prop::collection::vec(prop::collection::vec(record(), 0..8), 1..6)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut model: BTreeMap<u8, BTreeMap<usize, String>> = BTreeMap::new();
        runtime.block_on(async {
            let room = Room::new();
            let table = table("t", &["id"]);
            let mut pages = Vec::new();
            for records in history {
                let mut texts = Vec::new();
                for (id, fields) in records {
                    let named = fields.iter().map(|(field, json)| format!(",\"f{field}\":{json}"));
                    texts.push(format!("{{\"id\":{id}{}}}", named.collect::<String>()));
                    model.insert(id, fields);
                }
                pages.push(format!("[{}]", texts.join(",")));
                let page = pages.last().unwrap();
                let merged = room.merge(&table, &[page.as_str()]).await.unwrap();
                counts(&merged);
            }
            let columns = room.rows("SELECT name FROM pragma_table_info('t')").await;
            let rows = room.typed("SELECT * FROM t ORDER BY id").await;
            assert_eq!(rows.len(), model.len());
            for (row, (id, fields)) in rows.iter().zip(&model) {
                for (value, name) in row.iter().zip(&columns) {
                    let Some(field) = name.strip_prefix('f') else { continue };
                    let json = fields.get(&field.parse().unwrap()).map(String::as_str);
                    assert_eq!(held(value, json), meaning(json), "{id} {name} {row:?}");
                }
            }
            for (field, json) in model.values().flatten() {
                let name = format!("f{field}");
                assert!(json == "null" || columns.contains(&name), "{name}");
            }
        });
    }
}
