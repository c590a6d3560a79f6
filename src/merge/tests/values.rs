//! A table of values: what a source sends, and what SQLite then holds.

use super::*;

#[tokio::test]
async fn values_keep_their_meaning() {
    let cases = [
        ("null", "null"),
        ("true", "integer 1"),
        ("false", "integer 0"),
        ("0", "integer 0"),
        ("-9223372036854775808", "integer -9223372036854775808"),
        ("9223372036854775807", "integer 9223372036854775807"),
        ("9223372036854775808", "text 9223372036854775808"),
        ("12345678901234567890123", "text 12345678901234567890123"),
        ("-0", "text -0"),
        ("-0.0", "text -0.0"),
        ("1.5", "real 1.5"),
        ("5.0", "real 5.0"),
        ("0.1", "real 0.1"),
        ("1.50", "text 1.50"),
        ("0.1000000000000000055", "text 0.1000000000000000055"),
        ("1e5", "real 100000.0"),
        ("1e400", "text 1e400"),
        (r#""plain""#, "text plain"),
        (r#""""#, "text "),
        (r#""  padded ""#, "text   padded "),
        (r#""Zoë 😀 \"q\" \\ \/ \n""#, "text Zoë 😀 \"q\" \\ / \n"),
        (r#""e\u0301 \ud83d\ude00""#, "text e\u{301} 😀"),
        (r#""a\u0000b""#, "text a\0b"),
        (r#""\ud800 alone""#, "text \u{fffd} alone"),
        (r#""0123""#, "text 0123"),
        (r#""9007199254740993""#, "text 9007199254740993"),
        (
            r#""2026-03-29T02:30:00+02:00""#,
            "text 2026-03-29T02:30:00+02:00",
        ),
        (
            r#""{3F2504E0-4F89-11D3-9A0C-0305E82C3301}""#,
            "text {3F2504E0-4F89-11D3-9A0C-0305E82C3301}",
        ),
        (r#""/Date(1640995200000)/""#, "text 2022-01-01T00:00:00"),
        (
            r#""\/Date(1640995200250)\/""#,
            "text 2022-01-01T00:00:00.250",
        ),
        (r#""/Date(-1000)/""#, "text 1969-12-31T23:59:59"),
        (
            r#""/Date(1640995200000+0100)/""#,
            "text 2022-01-01T00:00:00.000Z",
        ),
        (r#"{ "a" : [ 1.50, " x " ] }"#, r#"text {"a":[1.50," x "]}"#),
        ("[ ]", "text []"),
        (r#"{"__deferred":{"uri":"x"}}"#, "null"),
    ];
    let room = Room::new();
    let fields: Vec<String> = cases
        .iter()
        .zip(0..)
        .map(|((json, _), index)| format!("\"f{index}\":{json}"))
        .collect();
    let page = format!("[{{\"id\":1,{}}}]", fields.join(","));
    let listed_columns: Vec<(String, String)> = (0..cases.len())
        .map(|index| (format!("f{index}"), format!("f{index}")))
        .collect();
    let mut columns = vec![("id", "id", None)];
    columns.extend(
        listed_columns
            .iter()
            .map(|(name, field)| (name.as_str(), field.as_str(), None)),
    );
    room.merge(&listed("t", &["id"], &columns), &[&page])
        .await
        .unwrap();
    let row = room.typed("SELECT * FROM t").await.remove(0);
    for ((json, expected), found) in cases.iter().zip(&row[1..]) {
        assert_eq!(found, expected, "{json}");
    }
}

#[tokio::test]
async fn declared_columns_take_what_can_be_read_as_their_kind_and_nothing_else() {
    let guid = "text 3f2504e0-4f89-11d3-9a0c-0305e82c3301";
    let cases: [(Kind, &str, Option<&str>); 41] = [
        (Kind::Integer, "7", Some("integer 7")),
        (Kind::Integer, "\"493115\"", Some("integer 493115")),
        (Kind::Integer, "7.00", Some("integer 7")),
        (Kind::Integer, "7.5", None),
        (Kind::Integer, "\"x\"", None),
        (Kind::Integer, "\"\"", None),
        (Kind::Integer, "true", None),
        (Kind::Integer, "9223372036854775808", None),
        (Kind::Real, "7", Some("real 7.0")),
        (Kind::Real, "1.50", Some("real 1.5")),
        (Kind::Real, "\"1.5\"", Some("real 1.5")),
        (Kind::Real, "1e400", None),
        (Kind::Real, "\"inf\"", None),
        (Kind::Decimal, "7", Some("text 7")),
        (Kind::Decimal, "1.50", Some("text 1.50")),
        (Kind::Decimal, "\"1.50\"", Some("text 1.50")),
        (Kind::Decimal, "\"1,50\"", None),
        (Kind::Text, "1.50", Some("text 1.50")),
        (Kind::Text, "true", Some("text true")),
        (Kind::Text, "{\"a\": 1}", Some("text {\"a\":1}")),
        (Kind::Text, "\"/Date(0)/\"", Some("text /Date(0)/")),
        (Kind::Boolean, "true", Some("integer 1")),
        (Kind::Boolean, "0", Some("integer 0")),
        (Kind::Boolean, "\"False\"", Some("integer 0")),
        (Kind::Boolean, "2", None),
        (Kind::Date, "\"2026-02-28\"", Some("text 2026-02-28")),
        (
            Kind::Date,
            "\"2026-02-28T00:00:00Z\"",
            Some("text 2026-02-28"),
        ),
        (
            Kind::Date,
            "\"/Date(1640995200000)/\"",
            Some("text 2022-01-01"),
        ),
        (Kind::Date, "\"2026-02-30\"", None),
        (
            Kind::Timestamp,
            "\"2026-02-28T01:02:03Z\"",
            Some("text 2026-02-28T01:02:03Z"),
        ),
        (
            Kind::Timestamp,
            "\"2026-02-28 01:02:03.5\"",
            Some("text 2026-02-28 01:02:03.5"),
        ),
        (
            Kind::Timestamp,
            "\"/Date(0)/\"",
            Some("text 1970-01-01T00:00:00"),
        ),
        (Kind::Timestamp, "\"soon\"", None),
        (Kind::Timestamp, "1640995200", None),
        (Kind::Json, "{ \"a\": 1 }", Some("text {\"a\":1}")),
        (Kind::Json, "\"a b\"", Some("text \"a b\"")),
        (
            Kind::Guid,
            "\"{3F2504E0-4F89-11D3-9A0C-0305E82C3301}\"",
            Some(guid),
        ),
        (
            Kind::Guid,
            "\"3F2504E04F8911D39A0C0305E82C3301\"",
            Some(guid),
        ),
        (Kind::Guid, "\"3f2504e0-4f89-11d3-9a0c-0305e82c330\"", None),
        (
            Kind::Guid,
            "\"3f2504e0-4f89-11d3-9a0c-0305e82c3301x\"",
            None,
        ),
        (Kind::Guid, "5", None),
    ];
    let room = Room::new();
    for (number, (kind, json, expected)) in cases.into_iter().enumerate() {
        let name = format!("t{number}");
        let table = listed(
            &name,
            &["id"],
            &[("id", "id", None), ("value", "v", Some(kind))],
        );
        let page = format!(r#"[{{"id":"k\"1","v":{json}}}]"#);
        match (room.merge(&table, &[&page]).await, expected) {
            (Ok(_), Some(expected)) => {
                let row = room
                    .typed(&format!("SELECT value FROM {name}"))
                    .await
                    .remove(0);
                assert_eq!(row[0], expected, "{kind:?} {json}");
            }
            (Err(error @ Error::Misfit { .. }), None) => {
                let said = error.to_string();
                assert!(said.contains("column `value` is declared"), "{said}");
                assert!(said.contains("`id` `k"), "{said}");
            }
            (result, expected) => panic!("{kind:?} {json}: {result:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn nested_fields_become_columns_and_a_missing_one_is_null() {
    let room = Room::new();
    let columns = [
        ("id", "id", None),
        ("city", "address.city", None),
        ("address", "address", None),
    ];
    let pages = [
        r#"[{"id":1,"address":{"city":"Leiden","x":{}}},{"id":2,"address":null},
        {"address":{"city":"Zoë"},"id":3},{"id":4,"address":"none"},{"id":5}]"#,
    ];
    room.merge(&listed("t", &["id"], &columns), &pages)
        .await
        .unwrap();
    let rows = room.rows("SELECT id, city, address FROM t").await;
    let expected = [
        r#"1|Leiden|{"city":"Leiden","x":{}}"#,
        "2|null|null",
        r#"3|Zoë|{"city":"Zoë"}"#,
        "4|null|none",
        "5|null|null",
    ];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn a_field_named_twice_in_a_record_has_its_last_value() {
    let room = Room::new();
    room.merge(&table("t", &["id"]), &[r#"[{"id":1,"a":1,"a":2}]"#])
        .await
        .unwrap();
    assert_eq!(room.rows("SELECT a FROM t").await, ["2"]);
}

#[tokio::test]
async fn the_watched_field_is_read_as_a_cursor_also_if_it_is_no_column() {
    let room = Room::new();
    let table = listed("t", &["id"], &[("id", "id", None)]);
    let pages = [
        r#"[{"id":1,"meta":{"at":"/Date(1640995200000)/"}},{"id":2,"meta":{"at":null}}]"#,
        r#"[{"id":3,"meta":{"at":"\/Date(1640995199000)\/"}},{"id":4}]"#,
    ];
    let merged = room
        .merge_watching(&table, Some("meta.at"), FIRST, &pages)
        .await
        .unwrap();
    let span = merged.span;
    assert_eq!(span.first.unwrap().to_string(), "2022-01-01T00:00:00");
    assert_eq!(span.greatest.unwrap().to_string(), "2022-01-01T00:00:00");
    assert!(span.disordered);
    assert_eq!(span.missing, 2);
    let versions = [r#"[{"id":1,"v":"41"},{"id":2,"v":42}]"#];
    let merged = room
        .merge_watching(&table, Some("v"), FIRST, &versions)
        .await
        .unwrap();
    assert_eq!(
        merged.span.greatest,
        Some(crate::record::CursorValue::Integer(42))
    );
}
