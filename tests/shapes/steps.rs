//! What becomes of a record before it is merged.

use super::{House, error, table};

const ORDERS: &str = r#"[
    {"ID":"o1","Status":1,"Total":1234.50,"meta":{"x":1,"y":2},"Lines":[{"id":1,"Qty":2},{"id":2,"Qty":3}]},
    {"ID":"o2","Status":0,"Total":1,"meta":null,"Lines":[{"id":3,"Qty":9}]},
    {"ID":"o3","Status":1,"Total":5,"Lines":[]},
    {"ID":"o4","Status":1,"Total":7,"Lines":null},
    {"ID":"o5","Status":1,"Total":12345678901234567890,"Lines":[{"id":4,"Qty":1}]}]"#;

#[test]
fn a_filter_keeps_what_it_says() {
    let keys = "key = [\"ID\"]\nfilter = \".Status == 1 and (.Lines | length) > 0 # with lines\"\ncolumns = { ID = \"ID\", Total = \"Total\" }";
    assert_eq!(
        table(keys, ORDERS),
        ["ID Total", "o1 1234.50", "o5 12345678901234567890"]
    );
    // A filter with several results keeps a record once, if one of them holds.
    let keys = "filter = \".tags[] | . == 1\"\ncolumns = { id = \"id\" }";
    let body = r#"[{"id":1,"tags":[1,1,2]},{"id":2,"tags":[]},{"id":3,"tags":[0,1]}]"#;
    assert_eq!(table(keys, body), ["id", "1", "3"]);
}

#[test]
fn an_array_is_expanded_with_fields_of_its_parent() {
    let keys = "expand = { path = \"Lines\", parent = [\"ID\", \"meta.x\", \"Total\"], prefix = \"order_\" }";
    assert_eq!(
        table(keys, ORDERS),
        [
            "id order_ID order_x order_Total Qty",
            "1 o1 1 1234.50 2",
            "2 o1 1 1234.50 3",
            "3 o2 - 1 9",
            "4 o5 - 12345678901234567890 1"
        ]
    );
    let body = r#"[{"id":"p","c":[{"id":1}]},{"id":"q"}]"#;
    let keys = "expand = { path = \"c\", parent = [\"id\"], prefix = \"parent_\" }";
    assert_eq!(table(keys, body), ["id parent_id", "1 p"]);
}

#[test]
fn the_steps_are_taken_in_their_order() {
    // Computed from what stands before, dropped afterwards, transformed in the end.
    let keys = "\
        filter = \".Status == 1\"\n\
        expand = { path = \"Lines\", parent = [\"ID\", \"Total\", \"meta\"], prefix = \"order_\" }\n\
        compute = { amount = \".Qty * 10\", Qty = \".Qty + 1\", all = \"[.order_ID, .Qty] | join(\\\"-\\\")\", none = \"empty\" }\n\
        drop = [\"order_Total\", \"order_meta.x\", \"nothing.here\"]\n\
        transform = \"., (select(.id == 4) | .id = 5)\"\n";
    assert_eq!(
        table(keys, ORDERS),
        [
            "id order_ID order_meta Qty amount all none",
            "1 o1 {\"y\":2} 3 20 o1-2 -",
            "2 o1 {\"y\":2} 4 30 o1-3 -",
            "4 o5 - 2 10 o5-1 -",
            "5 o5 - 2 10 o5-1 -"
        ]
    );
}

#[test]
fn dropped_fields_leave_the_others_in_their_order() {
    let body = r#"[{"a":1,"attributes":{},"id":2,"b":3,"c":4}]"#;
    assert_eq!(
        table("drop = [\"attributes\", \"a\"]", body),
        ["id b c", "2 3 4"]
    );
}

#[test]
fn what_is_only_moved_keeps_every_digit() {
    let body = r#"[{"id":12345678901234567890,"price":1234.50},{"id":2,"price":0.10}]"#;
    let keys = "transform = \"{ id, net: .price, text: (.price | tostring) }\"";
    assert_eq!(
        table(keys, body),
        [
            "id net text",
            "12345678901234567890 1234.50 1234.50",
            "2 0.10 0.10"
        ]
    );
}

#[test]
fn steps_work_on_every_format() {
    let keys = "format = \"csv\"\ncompute = { n = \".n | tonumber\" }\nfilter = \".n != null\"";
    let house = House::new(keys, "text/csv", "id,n\n1,1.50\n2,\n3,2\n");
    assert_eq!(house.table(), ["id n", "1 1.50", "3 2"]);
    let keys = "format = \"json_lines\"\ntransform = \"select(.type == \\\"RECORD\\\") | .record\"";
    let body = "{\"type\":\"STATE\"}\n{\"type\":\"RECORD\",\"record\":{\"id\":1}}\n";
    assert_eq!(House::new(keys, "text/plain", body).table(), ["id", "1"]);
}

#[test]
fn a_step_that_fails_names_the_record_and_the_step_and_shows_little_of_it() {
    let long = format!(
        r#"[{{"id":1,"n":1}},{{"id":2,"n":"{}"}}]"#,
        "private ".repeat(200)
    );
    let failed = error("compute = { m = \".n + 1\" }", &long);
    let told = "has a record 2 that could not be reshaped: `compute.m`: cannot calculate \"private private";
    assert!(failed.contains(told), "{failed}");
    assert!(failed.matches("private").count() < 40, "{failed}");

    let cases = [
        (
            "filter = \".id | error\"",
            "record 1 that could not be reshaped: `filter`: 1",
        ),
        (
            "transform = \".id, .\"",
            "record 1 that could not be reshaped: it became a number, and a record must be an object",
        ),
        (
            "compute = { m = \"1, 2\" }",
            "record 1 that could not be reshaped: `compute.m` has more than one result",
        ),
        (
            "expand = { path = \"id\" }",
            "record 1 that could not be reshaped: `expand`: `id` is no array but number",
        ),
        (
            "expand = { path = \"l\" }",
            "record 1 that could not be reshaped: `expand`: an entry of `l` is no object but number",
        ),
        (
            "expand = { path = \"o\", parent = [\"id\"] }",
            "record 1 that could not be reshaped: `expand`: an entry of `o` has a field `id` of its own; give those of the \
             parent another name with `prefix`",
        ),
        (
            "transform = \"error(\\\"no rights\\\")\"",
            "record 1 that could not be reshaped: `transform`: no rights",
        ),
    ];
    for (keys, told) in cases {
        let failed = error(keys, r#"[{"id":1,"l":[1],"o":[{"id":2}]}]"#);
        assert!(failed.contains(told), "{keys}: {failed}");
        let hint =
            "check `filter`, `expand`, `compute` and `transform` against a record of the source";
        assert!(failed.contains(hint), "{keys}: {failed}");
    }
}
