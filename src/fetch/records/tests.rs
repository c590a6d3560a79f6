use super::*;

fn at(path: &str) -> Place {
    Place::At(path.parse().unwrap())
}

fn texts(place: Place, body: &str) -> Result<Vec<&str>, Problem> {
    let found = Plan::new(place, None, &[]).find(body)?;
    Ok(found
        .records
        .into_iter()
        .map(|range| &body[range])
        .collect())
}

#[test]
fn records_are_found_wherever_sources_put_them() {
    let cases: [(Place, &str, &[&str]); 20] = [
        (
            Place::Root,
            r#" [{"a":1}, {"b":[{}]} ] "#,
            &[r#"{"a":1}"#, r#"{"b":[{}]}"#],
        ),
        (Place::Root, "[]", &[]),
        (at("$"), r#"[{"a":1}]"#, &[r#"{"a":1}"#]),
        (at("$"), r#" {"a":1} "#, &[r#"{"a":1}"#]),
        (at("$"), "null", &[]),
        (
            at("data.items"),
            r#"{"n":1,"data":{"x":[1],"items":[{}]},"z":"é"}"#,
            &["{}"],
        ),
        (
            at("data.items"),
            r#"{"data":{"items":{"id":"ø"}}}"#,
            &[r#"{"id":"ø"}"#],
        ),
        (at("data.items"), r#"{"data":{"items":null}}"#, &[]),
        (at("data.items"), r#"{"data":{}}"#, &[]),
        (at("data.items"), r#"{"data":null}"#, &[]),
        (at("data.items"), "{}", &[]),
        (at("['a.b']"), r#"{"a.b":[{}],"a":{"b":[{},{}]}}"#, &["{}"]),
        (at("tab"), r#"{"t\u0061b":[{}]}"#, &["{}"]),
        (
            Place::OData,
            r#"{"d":[{"ID":1},{"ID":2}]}"#,
            &[r#"{"ID":1}"#, r#"{"ID":2}"#],
        ),
        (
            Place::OData,
            r#"{"d":{"results":[{"ID":1}],"__next":"x"}}"#,
            &[r#"{"ID":1}"#],
        ),
        (
            Place::OData,
            r#"{"d":{"ID":1,"Lines":{"results":[]}}}"#,
            &[r#"{"ID":1,"Lines":{"results":[]}}"#],
        ),
        (Place::OData, r#"{"d":{"results":[]}}"#, &[]),
        (
            Place::OData,
            r#"{"odata.metadata":"m","value":[{"ID":1}]}"#,
            &[r#"{"ID":1}"#],
        ),
        (Place::OData, r#"{"value":[]}"#, &[]),
        (
            Place::OData,
            r#"{"@odata.context":"c","ID":1}"#,
            &[r#"{"@odata.context":"c","ID":1}"#],
        ),
    ];
    for (place, body, records) in cases {
        assert_eq!(
            texts(place.clone(), body).unwrap(),
            records,
            "{place:?} {body}"
        );
    }
}

#[test]
fn a_page_that_is_wrong_anywhere_fails_as_a_whole() {
    let cases: [(Place, &str, &str); 15] = [
        (
            Place::Root,
            r#"[{"a":1},{"a""#,
            "ended in the middle of its JSON",
        ),
        (Place::Root, " \n", "is empty"),
        (
            Place::Root,
            "[{}] [",
            "is not valid JSON at line 1, column 6",
        ),
        (
            Place::Root,
            "[{}]\n<!-- -->",
            "is not valid JSON at line 2, column 1",
        ),
        (
            Place::Root,
            r#"[{"a":01}]"#,
            "is not valid JSON at line 1, column 8",
        ),
        (
            Place::Root,
            r#"[{}, 3]"#,
            "has a number as record 2; a record must be an object",
        ),
        (
            Place::Root,
            r#"[null]"#,
            "has null as record 1; a record must be an object",
        ),
        (
            Place::Root,
            "{}",
            "has an object at the top, where records should be",
        ),
        (
            Place::Root,
            "7",
            "has a number at the top, where records should be",
        ),
        (
            at("a.b"),
            r#"{"a":[{"b":[]}]}"#,
            "has an array at `a.b`, where records should be",
        ),
        (
            at("a.b"),
            r#"{"a":{"b":"no"}}"#,
            "has text at `a.b`, where records should be",
        ),
        (
            at("a"),
            r#"{"a":false}"#,
            "has true or false at `a`, where records should be",
        ),
        (
            Place::OData,
            r#"{"error":{"code":""}}"#,
            "has no OData envelope: neither `d` nor `value` holds records",
        ),
        (
            Place::OData,
            "[{}]",
            "has an array in its OData envelope, where records should be",
        ),
        (
            at("a"),
            r#"{"a":[{}],"b":tru}"#,
            "is not valid JSON at line 1, column 18",
        ),
    ];
    for (place, body, message) in cases {
        assert_eq!(
            texts(place, body).unwrap_err().to_string(),
            message,
            "{body}"
        );
    }
}

#[test]
fn a_page_of_nothing_but_tiny_records_has_a_cap() {
    let most = format!("[{}{{}}]", "{},".repeat(MOST_RECORDS - 1));
    assert_eq!(
        texts(Place::Root, &most).map(|texts| texts.len()),
        Ok(MOST_RECORDS)
    );
    let more = most.replacen("[", "[{},", 1);
    assert_eq!(texts(Place::Root, &more), Err(Problem::TooMany));
    assert_eq!(
        Problem::TooMany.to_string(),
        "has more than 1000000 records, the most one page may have"
    );
}

#[test]
fn one_place_may_hold_two_of_the_values() {
    let paths = ["cursor", "more", "cursor"].map(|path| path.parse().unwrap());
    let plan = Plan::new(at("entries"), None, &paths);
    let found = plan.find(r#"{"cursor":"c1","entries":[]}"#).unwrap();
    let cursor = Some(Scalar::Text("c1".to_owned()));
    assert_eq!(found.values, [cursor.clone(), None, cursor]);
}

#[test]
fn values_keep_their_digits_and_their_meaning() {
    let paths = ["next", "meta.cursor", "meta.total", "more", "gone", "void"]
        .map(|path| path.parse().unwrap());
    let body = r#"{"more":true,"meta":{"total":12345678901234567890123.10,"cursor":"a\/b",
        "x":{"cursor":"no"}},"items":[{"next":"no"}],"next":"","void":null}"#;
    let found = Plan::new(at("items"), None, &paths).find(body).unwrap();
    assert_eq!(
        found.values,
        [
            Some(Scalar::Text(String::new())),
            Some(Scalar::Text("a/b".to_owned())),
            Some(Scalar::Number("12345678901234567890123.10".to_owned())),
            Some(Scalar::Flag(true)),
            None,
            None,
        ]
    );
    assert_eq!(&body[found.records[0].clone()], r#"{"next":"no"}"#);
    let deep = Plan::new(Place::Root, None, &["next".parse().unwrap()]);
    assert_eq!(deep.find("[{}]").unwrap().values, [None]);
    let wrong = Plan::new(at("items"), None, &["meta".parse().unwrap()]).find(body);
    assert_eq!(wrong, Err(Problem::NotScalar));
}

proptest::proptest! {
    #[test]
    fn a_page_cut_anywhere_is_never_half_a_page(cut in 1_usize..60) {
        let body = r#"{"d":{"results":[{"ID":"é"},{"ID":2}],"__next":"https://x"}}"#;
        let cut = (0..=cut).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(1);
        proptest::prop_assert_eq!(
            Plan::new(Place::OData, None, &[]).find(&body[..cut]),
            Err(Problem::Cut)
        );
    }
}
