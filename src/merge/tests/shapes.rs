//! How a table is made, and how it follows its records.

use super::*;
use crate::remedy::Remedy;

#[tokio::test]
async fn a_table_has_every_field_in_order_of_appearance_without_the_protocols_noise() {
    let room = Room::new();
    let pages = [
        r#"[{"__metadata":{"uri":"x"},"ID":"a","@odata.etag":"w","Hours":1.5,"Contact":{"__deferred":{}}}]"#,
        r#"[{"ID":"b","Hours":2,"Name":"n","Name@odata.type":"x","Contact":null,"odata.id":"y"}]"#,
    ];
    room.merge(&table("project", &["ID"]), &pages)
        .await
        .unwrap();
    let sql = room
        .rows("SELECT sql FROM sqlite_schema WHERE name = 'project'")
        .await;
    let expected = "CREATE TABLE \"project\" (\n  \"ID\" TEXT NOT NULL,\n  \"Hours\" REAL,\n  \
        \"Name\" TEXT,\n  \"Contact\" TEXT,\n  sync_at TEXT NOT NULL,\n  PRIMARY KEY (\"ID\")\n) STRICT";
    assert_eq!(sql, [expected]);
    let kinds = room.kinds("project").await;
    assert_eq!(
        kinds,
        ["ID|text", "Hours|real", "Name|text", "Contact|unknown"]
    );
    let rows = room.rows("SELECT * FROM project").await;
    assert_eq!(
        rows,
        [
            "a|1.5|null|null|2026-03-01T06:00:00.000Z",
            "b|2.0|n|null|2026-03-01T06:00:00.000Z"
        ]
    );
}

#[tokio::test]
async fn a_page_without_records_makes_a_table_that_records_can_use() {
    let room = Room::new();
    let table = table("t", &["ID", "Line"]);
    assert_eq!(
        counts(&room.merge(&table, &["[]"]).await.unwrap()),
        [0, 0, 0]
    );
    assert_eq!(room.kinds("t").await, ["ID|unknown", "Line|unknown"]);
    room.merge(&table, &[r#"[{"Name":"x","Line":1,"ID":7}]"#])
        .await
        .unwrap();
    let rows = room.typed("SELECT ID, Line, Name FROM t").await;
    assert_eq!(rows, [["integer 7", "integer 1", "text x"]]);
}

#[tokio::test]
async fn a_new_field_gets_a_column_also_if_it_is_the_watched_one() {
    let room = Room::new();
    let table = table("t", &["id"]);
    let pages = [r#"[{"id":1}]"#, r#"[{"id":2,"at":5,"@odata.etag":"a"}]"#];
    for (page, watch) in [
        (pages[0], "at"),
        (pages[1], "at"),
        (pages[1], "@odata.etag"),
    ] {
        room.merge_watching(&table, Some(watch), FIRST, &[page])
            .await
            .unwrap();
    }
    assert_eq!(room.kinds("t").await, ["id|integer", "at|integer"]);
}

#[tokio::test]
async fn widening_keeps_every_value_as_it_would_be_read_today() {
    let cases = [
        (
            &["1", "-9007199254740992"][..],
            "2.5",
            "real 1.0, real -9007199254740992.0, real 2.5",
        ),
        (
            &["1", "9007199254740993"],
            "2.5",
            "text 1, text 9007199254740993, text 2.5",
        ),
        (&["1", "null"], "1.50", "text 1, null, text 1.50"),
        (
            &["1.5", "0.00001"],
            "1.50",
            "text 1.5, text 0.00001, text 1.50",
        ),
        (&["true", "false"], "3", "text true, text false, text 3"),
        (&["1", "2"], "\"x\"", "text 1, text 2, text x"),
        (&["1.50", "2"], "\"x\"", "text 1.50, text 2, text x"),
        (
            &["\"/Date(0)/\"", "null"],
            "\"never\"",
            "text 1970-01-01T00:00:00, null, text never",
        ),
        (&["true", "1.50"], "{}", "text true, text 1.50, text {}"),
        (&["7", "8"], "[1, 2]", "text 7, text 8, text [1,2]"),
        (
            &["{\"a\":1}", "null"],
            "\"x\"",
            "text {\"a\":1}, null, text x",
        ),
        (&["null", "null"], "3", "null, null, integer 3"),
        (&["null", "null"], "\"x\"", "null, null, text x"),
    ];
    for (before, after, expected) in cases {
        let room = Room::new();
        let table = table("t", &["id"]);
        let first = format!(
            r#"[{{"id":1,"v":{}}},{{"id":2,"v":{}}}]"#,
            before[0], before[1]
        );
        let second = format!(r#"[{{"id":3,"v":{after}}}]"#);
        room.merge(&table, &[&first]).await.unwrap();
        let merged = room.merge_at(&table, LATER, &[&second]).await.unwrap();
        assert_eq!(counts(&merged), [1, 0, 0], "{before:?} {after}");
        let rows: Vec<String> = room
            .typed("SELECT v FROM t ORDER BY id")
            .await
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(rows.join(", "), expected, "{before:?} {after}");
        let again = room
            .merge_at(&table, LATER, &[&first, &second])
            .await
            .unwrap();
        let whole_real = before.iter().any(|value| value.contains("0.00001"));
        assert!(
            whole_real || counts(&again) == [0, 0, 3],
            "{before:?} {after} {again:?}"
        );
        assert_eq!(room.rows("SELECT count(*) FROM t").await, ["3"]);
    }
}

#[tokio::test]
async fn a_table_is_widened_in_the_middle_of_a_page_without_losing_count() {
    let room = Room::new();
    let table = table("t", &["id"]);
    room.merge(&table, &[r#"[{"id":1,"v":1},{"id":2,"v":2}]"#])
        .await
        .unwrap();
    let page = r#"[{"id":1,"v":1},{"id":2,"v":3},{"id":12345678901234567890,"v":2.5,"more":true},{"id":4,"v":"y"}]"#;
    let merged = room
        .merge_watching(&table, Some("id"), LATER, &[page])
        .await
        .unwrap();
    assert_eq!(counts(&merged), [2, 1, 1]);
    assert_eq!(merged.span.missing, 0);
    let rows = room
        .rows("SELECT id, v, more, sync_at > '2026-03-01T06:10' FROM t")
        .await;
    assert_eq!(
        rows,
        [
            "1|1|null|0",
            "2|3|null|1",
            "12345678901234567890|2.5|1|1",
            "4|y|null|1"
        ]
    );
}

#[tokio::test]
async fn what_people_made_on_a_table_survives_its_rebuilding() {
    let room = Room::new();
    let table = table("t", &["id"]);
    room.merge(&table, &[r#"[{"id":1,"v":1}]"#]).await.unwrap();
    room.execute(
        "CREATE INDEX t_by_v ON t (v DESC);
         CREATE VIEW seen AS SELECT id, v FROM t;
         CREATE TABLE log (id TEXT) STRICT;
         ALTER TABLE t ADD COLUMN note TEXT NOT NULL DEFAULT 'none';
         UPDATE t SET note = 'mine'",
    )
    .await;
    room.execute(
        "CREATE TRIGGER t_log AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.id); END",
    )
    .await;
    let merged = room
        .merge(&table, &[r#"[{"id":2,"v":"wide"}]"#])
        .await
        .unwrap();
    assert_eq!(counts(&merged), [1, 0, 0]);
    assert_eq!(
        room.rows("SELECT id, v, note FROM t ORDER BY id").await,
        ["1|1|mine", "2|wide|none"]
    );
    assert_eq!(
        room.rows("SELECT * FROM seen ORDER BY id").await,
        ["1|1", "2|wide"]
    );
    assert_eq!(room.rows("SELECT * FROM log").await, ["2"]);
    let index = room
        .rows("SELECT sql FROM sqlite_schema WHERE name = 't_by_v'")
        .await;
    assert_eq!(index, ["CREATE INDEX t_by_v ON t (v DESC)"]);
    assert_eq!(room.rows("PRAGMA integrity_check").await, ["ok"]);
}

#[tokio::test]
async fn a_generated_column_in_the_way_of_a_rebuilding_is_named() {
    let room = Room::new();
    let table = table("t", &["id"]);
    room.merge(&table, &[r#"[{"id":1,"v":1}]"#]).await.unwrap();
    room.execute("ALTER TABLE t ADD COLUMN twice INTEGER AS (v * 2)")
        .await;
    let error = room
        .merge(&table, &[r#"[{"id":1,"v":"x"}]"#])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("the generated column `twice`"),
        "{error}"
    );
    assert_eq!(room.rows("SELECT v, twice FROM t").await, ["1|2"]);
}

#[tokio::test]
async fn odd_names_become_columns_and_names_that_sqlite_confuses_get_a_number() {
    let room = Room::new();
    let page = r#"[{"id":1,"ID":2,"Id":3,"select":4,"a \"q\" b":5,"it's":6,"":7,"n\u0000l":8,
        "sync_at":9,"_rowid_":10,"rowid":11,"a.b":12,"présent":13,"excluded":14,"present":15,"$x[*]?":16}]"#;
    let table = table("order \"of\" things", &["id"]);
    room.merge(&table, &[page]).await.unwrap();
    let names = room
        .rows("SELECT name FROM pragma_table_info('order \"of\" things')")
        .await;
    let expected = [
        "id",
        "ID_2",
        "Id_3",
        "select",
        "a \"q\" b",
        "it's",
        "_",
        "n_l",
        "sync_at_2",
        "_rowid__2",
        "rowid",
        "a.b",
        "présent",
        "excluded",
        "present",
        "$x[*]?",
        "sync_at",
    ];
    assert_eq!(names, expected);
    let merged = room.merge_at(&table, LATER, &[page]).await.unwrap();
    assert_eq!(counts(&merged), [0, 0, 1]);
    let changed = page.replace(":16", ":\"sixteen\"").replace(":11", ":99");
    let merged = room.merge_at(&table, LATER, &[&changed]).await.unwrap();
    assert_eq!(counts(&merged), [0, 1, 0]);
    let sql = "SELECT rowid, \"$x[*]?\", \"a.b\" FROM \"order \"\"of\"\" things\"";
    assert_eq!(room.rows(sql).await, ["99|sixteen|12"]);
}

#[tokio::test]
async fn two_thousand_columns_are_too_many_and_fewer_are_not() {
    let page = |fields: usize| {
        let fields: Vec<String> = (0..fields)
            .map(|field| format!("\"f{field}\":{field}"))
            .collect();
        format!("[{{\"id\":1,{}}}]", fields.join(","))
    };
    let room = Room::new();
    let error = room
        .merge(&table("t", &["id"]), &[&page(5000)])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("SQLite allows 2000"), "{error}");
    assert!(error.hint().unwrap().contains("`columns`"));
    let most = page(1998);
    let merged = room.merge(&table("t", &["id"]), &[&most]).await.unwrap();
    assert_eq!(counts(&merged), [1, 0, 0]);
    assert_eq!(
        counts(&room.merge(&table("t", &["id"]), &[&most]).await.unwrap()),
        [0, 0, 1]
    );
    let error = room
        .merge(&table("t", &["id"]), &[&page(1999)])
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::TooManyColumns { columns: 2001, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn names_that_are_data_are_not_all_remembered() {
    let fields: Vec<String> = (0..100_000).map(|name| format!("\"n{name}\":1")).collect();
    let page = format!("[{{{},\"id\":1,\"a\":{{{0}}}}}]", fields.join(","));
    let room = Room::new();
    let error = room.merge(&table("t", &["id"]), &[&page]).await;
    let error = error.unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooManyColumns {
                columns: 2001..11_000,
                ..
            }
        ),
        "{error}"
    );
    let listed = listed("t", &["id"], &[("id", "id", None), ("b", "a.n99999", None)]);
    let merged = room.merge(&listed, &[&page]).await.unwrap();
    assert_eq!(counts(&merged), [1, 0, 0]);
    assert_eq!(room.rows("SELECT id, b FROM t").await, ["1|1"]);

    let keyless = page.replace("\"id\"", "\"ID\"");
    let error = room.merge(&listed, &[&keyless]).await.unwrap_err();
    assert!(error.to_string().ends_with("`n6`, `n7`, …"), "{error}");
}

#[tokio::test]
async fn promise_keys_that_differ_never_become_one_row() {
    let pairs = [
        ("1", r#""1""#),
        (r#""1""#, "1"),
        ("true", r#""true""#),
        ("1", "true"),
        ("{}", r#""{}""#),
        (r#""/Date(0)/""#, r#""1970-01-01T00:00:00""#),
        (r#""1970-01-01T00:00:00""#, r#""/Date(0)/""#),
    ];
    for (first, second) in pairs {
        let (first, second) = (
            format!(r#"[{{"id":{first}}}]"#),
            format!(r#"[{{"id":{second}}}]"#),
        );
        for pages in [vec![&*first, &*second], vec![&*first]] {
            let room = Room::new();
            let merged = room.merge(&table("t", &["id"]), &pages).await;
            let error = match merged {
                Err(error) => error,
                Ok(_) => room
                    .merge(&table("t", &["id"]), &[&second])
                    .await
                    .unwrap_err(),
            };
            assert!(
                matches!(error, Error::KeyBlurred { .. }),
                "{first} {second}: {error}"
            );
            assert_eq!(error.remedy(), Remedy::EditConfig);
            assert!(error.hint().unwrap().contains("type \"text\""));
        }
    }
    let declared = listed("t", &["id"], &[("id", "id", Some(Kind::Text))]);
    let page = r#"[{"id":1},{"id":"1"}]"#;
    let merged = Room::new().merge(&declared, &[page]).await.unwrap();
    assert_eq!(counts(&merged), [1, 0, 1], "said to be the same");

    let apart = r#"[{"id":{"a":1}},{"id":1},{"id":true},{"id":1.0}]"#;
    let merged = Room::new().merge(&table("t", &["id"]), &[apart]).await;
    assert_eq!(counts(&merged.unwrap()), [4, 0, 0]);

    for table in [table("t", &["id"]), declared] {
        let halves = r#"[{"id":"\ud83d\ude00"},{"id":"a\ud800"},{"id":"a\uDFFF"}]"#;
        let error = Room::new().merge(&table, &[halves]).await.unwrap_err();
        assert!(
            matches!(error, Error::KeyBroken { position: 2, .. }),
            "{error}"
        );
    }
}

#[tokio::test]
async fn keys_may_be_composite_nested_or_all_there_is() {
    let room = Room::new();
    let two = table("two", &["division", "line.no"]);
    let page = r#"[{"division":1,"line":{"no":1},"v":"a"},{"division":1,"line":{"no":2},"v":"b"},
        {"division":2,"line":{"no":1},"v":"c"},{"division":1,"line":{"no":1},"v":"d"}]"#;
    assert_eq!(counts(&room.merge(&two, &[page]).await.unwrap()), [3, 1, 0]);
    let rows = room
        .rows("SELECT division, line_no, line, v FROM two ORDER BY 1, 2")
        .await;
    assert_eq!(
        rows,
        [
            r#"1|1|{"no":1}|d"#,
            r#"1|2|{"no":2}|b"#,
            r#"2|1|{"no":1}|c"#
        ]
    );
    let bare = listed("bare", &["id"], &[("id", "id", None)]);
    let merged = room
        .merge(&bare, &[r#"[{"id":"a"},{"id":"b"},{"id":"a"}]"#])
        .await
        .unwrap();
    assert_eq!(counts(&merged), [2, 0, 1]);
}

#[tokio::test]
async fn integer_keys_are_counted_right_whatever_was_inserted_before() {
    let room = Room::new();
    let table = table("t", &["id"]);
    room.merge(&table, &[r#"[{"id":1,"v":0}]"#]).await.unwrap();
    for number in [5, 6] {
        let other = format!(
            "INSERT INTO _tidegate_runs (run, flow, trigger, started_at) VALUES ({number}, 'f', 'm', '')"
        );
        room.execute(&other).await;
        let page = r#"[{"id":1,"v":N},{"id":5,"v":N},{"id":1,"v":"N"},{"id":5,"v":N}]"#;
        let page = page.replace('N', &number.to_string());
        let merged = room.merge(&table, &[&page]).await.unwrap();
        let expected = if number == 5 { [1, 1, 2] } else { [0, 2, 2] };
        assert_eq!(counts(&merged), expected, "{number}");
    }
}

#[tokio::test]
async fn a_record_without_its_key_is_named_by_place_and_fields_not_by_its_values() {
    let room = Room::new();
    for record in [
        r#"{"Code":"canary","Name":1}"#,
        r#"{"Code":"canary","Name":1,"ID":null}"#,
    ] {
        let pages = [r#"[{"ID":"a"}]"#, &format!(r#"[{{"ID":"b"}},{record}]"#)];
        let error = room.merge(&table("t", &["ID"]), &pages).await.unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("table `t`: record 2 of page 2 has no `ID`"),
            "{said}"
        );
        assert!(
            said.contains("`Code`, ") && !said.contains("canary"),
            "{said}"
        );
        assert_eq!(error.remedy(), Remedy::EditConfig);
    }
    assert!(
        room.rows("SELECT name FROM sqlite_schema WHERE name = 't'")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn records_must_be_objects() {
    let room = Room::new();
    let error = room
        .merge(&table("t", &["ID"]), &[r#"["canary"]"#])
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "table `t`: could not read record 1 of page 1: it is not a JSON object"
    );
}

#[tokio::test]
async fn a_table_that_is_not_ours_is_left_alone() {
    let room = Room::new();
    room.execute("CREATE TABLE Mine (id INTEGER); CREATE VIEW look AS SELECT 1 AS id")
        .await;
    for (name, what) in [("mine", "table `mine`"), ("Look", "view `Look`")] {
        let error = room
            .merge(&table(name, &["id"]), &[r#"[{"id":1}]"#])
            .await
            .unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains(what) && said.contains("did not make"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn another_primary_key_is_refused() {
    let room = Room::new();
    room.merge(&table("t", &["a"]), &[r#"[{"a":1,"b":2}]"#])
        .await
        .unwrap();
    let error = room
        .merge(&table("t", &["a", "b"]), &[r#"[{"a":1,"b":2}]"#])
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("has the primary key `a`, and the configuration says `a`, `b`"),
        "{said}"
    );
    assert!(error.hint().unwrap().contains("drop `t`"));
}

#[tokio::test]
async fn a_dropped_table_is_made_anew() {
    let room = Room::new();
    room.merge(&table("t", &["a"]), &[r#"[{"a":1,"b":2}]"#])
        .await
        .unwrap();
    room.execute("DROP TABLE t").await;
    room.merge(&table("t", &["a"]), &[r#"[{"a":"x","c":true}]"#])
        .await
        .unwrap();
    assert_eq!(room.kinds("t").await, ["a|text", "c|boolean"]);
}

#[tokio::test]
async fn the_configuration_may_list_more_fewer_and_other_columns_later() {
    let room = Room::new();
    let page = r#"[{"ID":1,"Hours":"7","Name":"x"}]"#;
    let at_first = listed(
        "t",
        &["ID"],
        &[("id", "ID", None), ("hours", "Hours", None)],
    );
    room.merge(&at_first, &[page]).await.unwrap();
    let later = listed(
        "t",
        &["ID"],
        &[
            ("id", "ID", None),
            ("name", "Name", None),
            ("hours", "Hours", Some(Kind::Integer)),
        ],
    );
    let merged = room.merge(&later, &[page]).await.unwrap();
    assert_eq!(counts(&merged), [0, 1, 0]);
    assert_eq!(
        room.typed("SELECT hours, name FROM t").await,
        [["integer 7", "text x"]]
    );
    assert_eq!(
        counts(&room.merge(&at_first, &[page]).await.unwrap()),
        [0, 0, 1]
    );
    assert_eq!(
        room.typed("SELECT hours, name FROM t").await,
        [["text 7", "text x"]]
    );
    let wrong = listed(
        "t",
        &["ID"],
        &[("id", "ID", None), ("name", "Name", Some(Kind::Integer))],
    );
    let error = room.merge(&wrong, &[page]).await.unwrap_err().to_string();
    assert!(
        error.contains("column `name` is declared integer, but a stored row has"),
        "{error}"
    );
    let taken = listed(
        "t",
        &["ID"],
        &[("id", "ID", None), ("sync_at", "Name", None)],
    );
    let error = room.merge(&taken, &[page]).await.unwrap_err().to_string();
    assert!(
        error.contains("the name of column `sync_at` is taken"),
        "{error}"
    );
}

#[tokio::test]
async fn an_index_that_refuses_a_row_is_told_from_a_fault() {
    let room = Room::new();
    let table = table("t", &["id"]);
    room.merge(&table, &[r#"[{"id":1,"v":1}]"#]).await.unwrap();
    room.execute("CREATE UNIQUE INDEX one ON t (v)").await;
    let error = room
        .merge(&table, &[r#"[{"id":2,"v":1}]"#])
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("refused the row with `id` `2`"),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::EditConfig);
}

#[tokio::test]
async fn tables_tell_rows_columns_and_the_last_write() {
    let room = Room::new();
    room.merge(&table("t", &["id"]), &[r#"[{"id":1,"v":"/Date(0)/"}]"#])
        .await
        .unwrap();
    room.merge(&table("empty", &["id"]), &["[]"]).await.unwrap();
    room.execute("CREATE TABLE theirs (x); ALTER TABLE t ADD COLUMN note TEXT")
        .await;
    let found = room.store.read(super::super::tables).await.unwrap();
    let names: Vec<_> = found
        .iter()
        .map(|table| (table.name.as_str(), table.rows))
        .collect();
    assert_eq!(names, [("empty", 0), ("t", 1)]);
    assert_eq!(
        found[1].last_sync_at.as_deref(),
        Some("2026-03-01T06:00:00.000Z")
    );
    let columns: Vec<_> = found[1]
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.kind.as_deref(), c.is_key))
        .collect();
    let expected = [
        ("id", Some("integer"), true),
        ("v", Some("timestamp"), false),
        ("sync_at", None, false),
        ("note", None, false),
    ];
    assert_eq!(columns, expected);
}
