//! What no example shows: every text that can be written is read back as it was.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::config::{Csv, Header};

const MOST: usize = 1_000_000;

fn csv(delimiter: u8, quote: u8) -> Csv {
    Csv {
        delimiter,
        quote,
        header: Header::Given(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]),
        empty_is_null: true,
    }
}

/// The records of a body that was made, as JSON values.
fn records(outputs: &Outputs) -> Vec<Value> {
    let record = |range: &Range<usize>| serde_json::from_slice(&outputs.text[range.clone()]);
    outputs
        .ranges
        .iter()
        .map(record)
        .collect::<Result<_, _>>()
        .unwrap()
}

proptest! {
    #[test]
    fn csv_that_another_writes_is_read_as_it_was_meant(
        rows in prop::collection::vec(prop::array::uniform3("[a-c,;'\"\r\n é]{0,6}"), 0..8),
        semicolon: bool,
        crlf: bool,
    ) {
        let delimiter = if semicolon { b';' } else { b',' };
        let end = if crlf { ::csv::Terminator::CRLF } else { ::csv::Terminator::Any(b'\n') };
        let mut writer = ::csv::WriterBuilder::new()
            .delimiter(delimiter)
            .terminator(end)
            .quote_style(::csv::QuoteStyle::Always)
            .from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let made = csv::rebuild(&text, &csv(delimiter, b'"'), MOST).unwrap();
        let meant: Vec<Value> = rows
            .iter()
            .map(|[a, b, c]| serde_json::json!({ "a": a, "b": b, "c": c }))
            .collect();
        prop_assert_eq!(records(&made), meant);
    }

    /// Whatever a path finds in a tree is what is cut out of the text, nested finds and keys that
    /// stand twice too.
    #[test]
    fn what_a_path_finds_is_cut_out_whole(text in nested()) {
        for path in ["$..[?@.x]", "$.*", "$.x..*", "$[0]", "$..x", "$[1:]['x','y']"] {
            let path = serde_json_path::JsonPath::parse(path).unwrap();
            let tree: Value = serde_json::from_str(&text).unwrap();
            let meant = path.query(&tree).all();
            match json::query(&text, &path) {
                Ok(found) => {
                    let cut: Vec<Value> = found
                        .into_iter()
                        .map(|range| serde_json::from_str(&text[range]).unwrap())
                        .collect();
                    prop_assert_eq!(cut.iter().collect::<Vec<_>>(), meant);
                }
                Err(Problem::NotAnObject { number, .. }) => {
                    prop_assert!(!meant[number - 1].is_object());
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}

/// JSON texts with spaces, arrays, and objects whose keys may stand twice.
fn nested() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec!["1", "1.50", "null", "\"x\"", "true", "{}", "[]"]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 24, 4, |inner| {
            let key = prop::sample::select(vec!["x", "y", "\\u0078"]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("[ {} ]", items.join(" , "))),
                prop::collection::vec((key, inner), 0..4).prop_map(|fields| {
                    let fields = fields
                        .iter()
                        .map(|(key, value)| format!("\"{key}\" : {value}"));
                    format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
                }),
            ]
        })
}

#[test]
fn csv_without_quotes_keeps_quotes_and_tells_nothing_from_text() {
    let made = csv::rebuild("a\"b,,\"\"\n,x,\r\n", &csv(b',', b'"'), MOST).unwrap();
    let expected = [
        serde_json::json!({ "a": "a\"b", "b": null, "c": "" }),
        serde_json::json!({ "a": null, "b": "x", "c": null }),
    ];
    assert_eq!(records(&made), expected);
}

#[test]
fn json_lines_are_ranges_of_the_body() {
    let text = " {\"a\":1}\r\n\r\n{\"a\":2}";
    let found = lines::find(text).unwrap();
    let cut: Vec<&str> = found.into_iter().map(|range| &text[range]).collect();
    assert_eq!(cut, ["{\"a\":1}", "{\"a\":2}"]);
}
