//! Bodies that are not what they should be. Nothing of them reaches the table.

use super::{House, error, gzip};

#[track_caller]
fn told(keys: &str, media: &'static str, body: impl Into<Vec<u8>>, words: &str) {
    let house = House::new(keys, media, body);
    let failed = house.error();
    assert!(failed.contains(words), "{keys}: expected {words}\n{failed}");
    let table = "SELECT 1 FROM sqlite_schema WHERE name = 'thing'";
    assert!(house.house.rows(table).is_empty(), "{keys}: {failed}");
}

#[test]
fn another_kind_of_document_is_named() {
    told(
        "format = \"csv\"",
        "text/html",
        "<!doctype html><p>Sign in",
        "HTML, not CSV: content type `text/html`",
    );
    told(
        "format = \"json_lines\"",
        "application/xml",
        "<?xml version=\"1.0\"?><a/>",
        "XML, not JSON Lines",
    );
    told(
        "format = \"csv\"",
        "application/json",
        "{\"error\":\"busy\"}",
        "JSON, not CSV: content type `application/json`",
    );
    told(
        "",
        "text/csv",
        "id,name\n1,2\n",
        "is not valid JSON at line 1, column 1",
    );
    told(
        "format = \"csv\"",
        "application/zip",
        b"PK\x03\x04rest".to_vec(),
        "is a ZIP archive, and only gzip is unpacked",
    );
}

#[test]
fn a_cut_body_is_asked_for_again_and_never_half_read() {
    let cases: [(&str, &[u8], &str); 5] = [
        (
            "format = \"json_lines\"",
            b"{\"id\":1}\n{\"id\":",
            "ended in the middle",
        ),
        (
            "format = \"csv\"",
            b"id,name\n1,Ann\n2",
            "ended in the middle",
        ),
        (
            "format = \"csv\"",
            b"id,name\n1,\"An",
            "ended in the middle",
        ),
        (
            "records = { path = \"d\", shape = \"map\" }",
            b"{\"d\":{\"a\":{\"id\":1}",
            "ended in the middle",
        ),
        (
            "records = { jq = \".[]\" }",
            b"[{\"id\":1}",
            "ended in the middle",
        ),
    ];
    for (keys, body, words) in cases {
        told(keys, "text/plain", body, words);
    }
    let whole = gzip(b"id,name\n1,Ann\n");
    told(
        "format = \"csv\"",
        "application/gzip",
        &whole[..whole.len() - 9],
        "ended in the middle",
    );
}

#[test]
fn a_damaged_line_is_named() {
    told(
        "format = \"json_lines\"",
        "text/plain",
        "{\"id\":1}\n{\"id\":}\n",
        "is not valid JSON at line 2, column 7",
    );
    told(
        "format = \"json_lines\"",
        "text/plain",
        "{\"id\":1}\n{\"id\":\n{}\n",
        "is not valid JSON at line 2, column 6",
    );
    told(
        "format = \"json_lines\"",
        "text/plain",
        "{\"id\":1}\n[1]\n",
        "has an array as record 2; a record must be an object",
    );
    told(
        "format = \"csv\"",
        "text/csv",
        "id,name\n1,Ann\n2\n3,Bob\n",
        "has only 1 values in row 3, where there are names for 2",
    );
    told(
        "format = \"csv\"",
        "text/csv",
        "id,name\n1,Ann,x\n",
        "has 3 values in row 2, but names for 2",
    );
    told(
        "format = \"csv\"",
        "text/csv",
        "id,name\n1,\"a\"b\n",
        "has text behind a closing quote in row 2",
    );
}

#[test]
fn names_that_are_none_are_told() {
    told("format = \"csv\"", "text/csv", "", "is empty");
    told(
        "format = \"csv\"",
        "text/csv",
        "id,name,id\n1,a,2\n",
        "has the name \"id\" twice in its first row",
    );
    told(
        "format = \"csv\"",
        "text/csv",
        "id,,b\n1,a,2\n",
        "has nothing as name 2 in its first row",
    );
    // The first row is data: what it is taken for lacks the key.
    told("format = \"csv\"", "text/csv", "1,Ann\n2,Bob\n", "`id`");
    let rows = "records = { path = \"$\", shape = \"rows\", header = true }";
    told(
        rows,
        "application/json",
        "[[1,2],[3,4]]",
        "has a number in its first row, where the names of the columns should be",
    );
    told(
        rows,
        "application/json",
        "[[]]",
        "has nothing in its first row",
    );
    told(
        rows,
        "application/json",
        "[[\"id\",\"id\"]]",
        "has the name \"id\" twice",
    );
    told(
        rows,
        "application/json",
        "[[\"id\"],[1],{}]",
        "has an object as row 3; a row must be an array",
    );
    told(
        rows,
        "application/json",
        "[[\"id\"],[1,2]]",
        "has 2 values in row 2, but names for 1",
    );
}

#[test]
fn a_place_without_records_is_named() {
    let map = "records = { path = \"data\", shape = \"map\", key_as = \"id\" }";
    told(
        map,
        "application/json",
        "{\"data\":[{}]}",
        "has an array at `data`, where records should be",
    );
    told(
        map,
        "application/json",
        "{\"dat\":{}}",
        "has nothing at `data`, where records should be",
    );
    told(
        map,
        "application/json",
        "{\"data\":{\"a\":1}}",
        "has a number as record 1",
    );
    told(
        map,
        "application/json",
        "{\"data\":{\"a\":{\"id\":1}}}",
        "has a field `id` in record 1 already, which `key_as` would hide",
    );
    told(
        "records = { jq = \".a\" }",
        "application/json",
        "{\"a\":[]}",
        "has an array as record 1",
    );
    told(
        "records = { jq = \".a.b\" }",
        "application/json",
        "{\"a\":1}",
        "could not be read with `records.jq`: cannot index 1 with \"b\"",
    );
}

#[test]
fn a_bomb_goes_off_nowhere() {
    let bomb = gzip(&vec![b' '; 3_000_000]);
    assert!(bomb.len() < 10_000);
    told(
        "max_page_bytes = \"1MB\"",
        "application/gzip",
        bomb,
        "is longer than 1000000 bytes unpacked",
    );
    // Names that stand once in a header stand in every record.
    let wide = format!("{}\n{}", "n".repeat(5_000), "1\n".repeat(40_000));
    let keys = "max_page_bytes = \"1MB\"\nformat = \"csv\"\nkey = [\"n\"]";
    told(
        keys,
        "text/csv",
        wide,
        "is longer than 8000000 bytes as JSON records",
    );
    let failed = error(
        "max_page_bytes = \"1MB\"\ntransform = \"{ id, a: (\\\"x\\\" * 9000000) }\"",
        "[{\"id\":1}]",
    );
    assert!(
        failed.contains(
            "record 1 that could not be reshaped: its results are longer than 8000000 bytes"
        ),
        "{failed}"
    );
}

#[test]
fn what_a_source_repeats_of_a_credential_is_taken_out() {
    let server = crate::support::Scripted::start(|_| {
        crate::support::json(r#"[{"id":1,"t":"token-canary-7d1f"}]"#)
    });
    let house = House::at(server, "transform = \".t + 1\"");
    let text = std::fs::read_to_string(house.house.config()).unwrap();
    house.house.write_private("token", "token-canary-7d1f");
    let text = text.replace(
        "[connection.shop]",
        "[connection.shop]\ntoken = { file = \"token\" }",
    );
    std::fs::write(house.house.config(), text).unwrap();
    let failed = house.error();
    assert!(
        failed.contains("could not be reshaped: `transform`: cannot calculate"),
        "{failed}"
    );
    assert!(!failed.contains("canary"), "{failed}");
}
