//! Where the records of a JSON body stand.

use super::{House, error, table};

#[test]
fn any_path_of_rfc_9535_finds_records_and_no_digit_is_lost() {
    let body = r#"{"groups":[
        {"name":"a","items":[{"id":12345678901234567890,"price":1234.50,"ok":true}]},
        {"name":"b","items":[{"id":2,"price":0.10,"ok":false},{"id":3,"price":1e2,"ok":true}]}]}"#;
    assert_eq!(
        table(r#"records = "$.groups[*].items[*]""#, body),
        [
            "id price ok",
            "12345678901234567890 1234.50 1",
            "2 0.10 0",
            "3 1e2 1"
        ]
    );
    assert_eq!(
        table(
            r#"records = "$..items[?@.ok == true && @.price > 200]""#,
            body
        ),
        ["id price ok", "12345678901234567890 1234.50 1"]
    );
    assert_eq!(
        table(r#"records = { path = "$.groups[-1:].items[0]" }"#, body)[1..],
        ["2 0.10 0"]
    );
}

#[test]
fn a_path_that_finds_nothing_is_a_page_without_records() {
    let house = House::new(
        r#"records = "$.a[?@.b]""#,
        "application/json",
        r#"{"a":[]}"#,
    );
    house.run().expect_code(0);
    let failed = error(r#"records = "$.a[*].b""#, r#"{"a":[{"b":1}]}"#);
    assert!(
        failed.contains("has a number as record 1; a record must be an object"),
        "{failed}"
    );
}

#[test]
fn a_path_that_does_not_stream_is_told_by_check() {
    let note = "takes each page into memory as a tree, several times its size; a plain path such as \
                \"data.items\" streams";
    for (keys, told) in [
        (r#"records = "$..items[*]""#, "`records`"),
        (r#"records = { jq = ".items[]" }"#, "`records.jq`"),
        (r#"records = { path = "$.a[1:]" }"#, "`path`"),
    ] {
        let house = House::new(keys, "application/json", "[]");
        let checked = house.house.run(&["check"]).expect_code(0);
        let all = checked.stdout + &checked.stderr;
        assert!(all.contains(note) && all.contains(told), "{keys}: {all}");
    }
    let house = House::new(r#"records = "$.items[*]""#, "application/json", "[]");
    let checked = house.house.run(&["check"]).expect_code(0);
    assert!(!(checked.stdout + &checked.stderr).contains(note));
}

#[test]
fn a_map_has_a_record_under_each_key() {
    let body = r#"{"data":{"a":{"n":1.50},"b \"x\"":{},"c":{ "n" : null }}}"#;
    assert_eq!(
        table(
            r#"records = { path = "data", shape = "map", key_as = "id" }"#,
            body
        ),
        ["id n", "a 1.50", "b \"x\" -", "c -"]
    );
    let body = r#"{"a":{"id":1},"b":{"id":2}}"#;
    assert_eq!(
        table(r#"records = { path = "$", shape = "map" }"#, body),
        ["id", "1", "2"]
    );

    for empty in ["{}", "[]", "null"] {
        let body = format!(r#"{{"data":{empty}}}"#);
        let keys = r#"records = { path = "data", shape = "map", key_as = "id" }"#;
        House::new(keys, "application/json", body)
            .run()
            .expect_code(0);
    }
}

#[test]
fn rows_take_their_names_from_the_first_or_from_the_configuration() {
    let sheet = r#"{"values":[["id","name","note"],[1,"Ann","x"],[2,"Bob"],[3]]}"#;
    assert_eq!(
        table(
            r#"records = { path = "values", shape = "rows", header = true }"#,
            sheet
        ),
        ["id name note", "1 Ann x", "2 Bob -", "3 - -"]
    );
    let plain = r#"[[1, 1234.50], [2, 0.10]]"#;
    assert_eq!(
        table(
            r#"records = { path = "$", shape = "rows", header = ["id", "price"] }"#,
            plain
        ),
        ["id price", "1 1234.50", "2 0.10"]
    );
    for empty in [
        r#"{"values":[]}"#,
        r#"{"values":null}"#,
        r#"{"values":[["id"]]}"#,
    ] {
        let keys = r#"records = { path = "values", shape = "rows", header = true }"#;
        House::new(keys, "application/json", empty)
            .run()
            .expect_code(0);
    }
}

#[test]
fn a_program_makes_records_of_a_body_and_keeps_their_digits() {
    let body = r#"{"ids":[1,2],"rates":{"EUR":1.10,"USD":12345678901234567890}}"#;
    let program = r#"records = { jq = ".rates | to_entries[] | { id: .key, rate: .value }" }"#;
    assert_eq!(
        table(program, body),
        ["id rate", "EUR 1.10", "USD 12345678901234567890"]
    );
    House::new(r#"records = { jq = "empty" }"#, "application/json", body)
        .run()
        .expect_code(0);
}

#[test]
fn paging_goes_by_the_body_as_it_came_and_by_the_records_of_the_source() {
    use crate::support::{Scripted, json};
    // Each page has two records of which one is filtered out: the positions must not care.
    let server = Scripted::start(|asked| {
        let target = asked.line.split(' ').nth(1).unwrap();
        match target.split('?').nth(1).unwrap() {
            "offset=0&limit=2" => json(r#"{"total":4,"data":{"a":{"n":1},"b":{"n":0}}}"#),
            "offset=2&limit=2" => json(r#"{"total":4,"data":{"c":{"n":0},"d":{"n":2}}}"#),
            _ => json("{}"),
        }
    });
    let house = House::at(
        server,
        "records = { path = \"data\", shape = \"map\", key_as = \"id\" }\nfilter = \".n > 0\"\n\
         paging = { style = \"offset\", param = \"offset\", limit_param = \"limit\", limit = 2, total_records = \"total\" }",
    );
    assert_eq!(house.table(), ["id n", "a 1", "d 2"]);
}
