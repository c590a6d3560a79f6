use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config::{Auth, Caps, Cursor, Each, Format, Manners, Name, Placement, Records};
use crate::fetch::records::Scalar;

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn template(source: &str) -> Template {
    Template::parse(source).unwrap()
}

fn templates(pairs: &[(&str, &str)]) -> Vec<(String, Template)> {
    pairs
        .iter()
        .map(|(name, source)| ((*name).to_owned(), template(source)))
        .collect()
}

fn connection(base: Option<&str>) -> Connection {
    Connection {
        name: Name::parse("x").unwrap(),
        provider: None,
        base_url: base.map(|base| base.parse().unwrap()),
        base_url_template: None,
        auth: Auth::None,
        placement: Placement::default(),
        headers: templates(&[("x-tenant", "{{ var.division }}")]),
        allow_hosts: ["https://files.example.com", "https://b.example:8443"]
            .map(|url| url.parse::<Url>().unwrap().origin())
            .to_vec(),
        time_zone: None,
        manners: Manners::default(),
        timeout: Duration::from_secs(5),
    }
}

fn resource(url: &str, query: &[(&str, &str)]) -> Resource {
    Resource {
        method: config::Method::Get,
        url: template(url),
        query: templates(query),
        first_page_query: Vec::new(),
        headers: Vec::new(),
        body: None,
        format: Format::Json,
        records: Records::Usual,
        reshape: None,
        paging: Style::None.into(),
        tombstones: None,
        delta: None,
        asks_by_now: false,
        cursor: None,
        rules: Vec::new(),
        caps: Caps {
            pages: 10,
            page_bytes: 1_000,
        },
        tenant: None,
        vars: BTreeMap::from([
            ("division".to_owned(), 123_456.into()),
            ("code".to_owned(), "A&B +é'".into()),
            ("none".to_owned(), "".into()),
        ]),
    }
}

fn filtered(mut resource: Resource, filter: &str) -> Resource {
    resource.cursor = Some(Cursor {
        field: "Modified".parse().unwrap(),
        filter: Some(template(filter)),
        lookback: Duration::ZERO,
        start: None,
        ordered: false,
        newest_first: false,
        format: None,
        window: None,
    });
    resource
}

fn since(text: &str) -> Start {
    let since = (!text.is_empty()).then(|| CursorValue::read(text));
    Start {
        account: None,
        facts: Arc::default(),
        each: Each::new(),
        since,
        delta: None,
        until: CursorValue::read("2026-03-01T10:00:00Z"),
        now: "2026-03-01T10:00:00.75Z".parse().unwrap(),
    }
}

fn ask(way: Way) -> Ask {
    let turn = Turn::default();
    Ask { way, turn }
}

fn first(resource: &Resource, start: &Start) -> Result<String, String> {
    let connection = connection(Some("https://api.example.com"));
    Prototype::write(&connection, resource, start, &Turn::default())
        .and_then(|prototype| prototype.asking(&ask(Way::Query(Vec::new()))))
        .map(|request| request.url.to_string())
        .map_err(|error| error.to_string())
}

#[test]
fn a_relative_url_stands_below_the_base_url() {
    let cases = [
        (
            "https://a.example",
            "/api/v1/x",
            "https://a.example/api/v1/x",
        ),
        (
            "https://a.example/",
            "api/v1/x?b=1",
            "https://a.example/api/v1/x?b=1",
        ),
        (
            "https://a.example/v1.0",
            "/users",
            "https://a.example/v1.0/users",
        ),
        (
            "https://a.example/v1.0/",
            "users",
            "https://a.example/v1.0/users",
        ),
        (
            "https://a.example/v1?k=1#f",
            "/users",
            "https://a.example/v1/users",
        ),
        (
            "https://a.example/feed/",
            "?page=1",
            "https://a.example/feed/?page=1",
        ),
        ("https://a.example/feed", "", "https://a.example/feed"),
        (
            "https://a.example/v1",
            "//evil.example/x",
            "https://a.example/v1/evil.example/x",
        ),
        (
            "https://a.example/v1",
            "https://a.example/v2",
            "https://a.example/v2",
        ),
    ];
    for (base, text, url) in cases {
        assert_eq!(
            resolve(Some(&base.parse().unwrap()), text)
                .unwrap()
                .as_str(),
            url,
            "{text}"
        );
    }
    assert!(resolve(None, "/users").is_err());
}

#[test]
fn a_flow_starts_at_its_own_connection() {
    let goes = |base, url| {
        Prototype::write(
            &connection(base),
            &resource(url, &[]),
            &since(""),
            &Turn::default(),
        )
        .map(drop)
    };
    let base = Some("https://a.example");
    assert!(goes(base, "https://files.example.com/x").is_ok());
    assert!(goes(base, "https://b.example:8443/x").is_ok());
    assert!(goes(None, "https://anywhere.example/x").is_ok());
    for url in [
        "https://evil.example/x",
        "http://a.example/x",
        "https://b.example/x",
    ] {
        assert!(
            goes(base, url)
                .unwrap_err()
                .to_string()
                .contains("allow_hosts"),
            "{url}"
        );
    }
}

#[test]
fn promise_a_bookmark_does_not_lead_out_of_its_place_in_the_url() {
    let base = "https://a.example/tenant/1";
    let asked = |bookmark: &str| {
        let resource = resource("/items/{{ bookmark }}/lines?a=1", &[]);
        let written = Prototype::write(
            &connection(Some(base)),
            &resource,
            &since(bookmark),
            &Turn::default(),
        );
        written.map(|prototype| prototype.url().to_string())
    };
    assert_eq!(
        asked("../../2?x=y#z").unwrap(),
        format!("{base}/items/..%2F..%2F2%3Fx%3Dy%23z/lines?a=1")
    );
    let error = asked("..").unwrap_err().to_string();
    assert!(error.contains("`url`") && error.contains("`..`"), "{error}");
}

#[test]
fn parameters_are_spelled_as_odata_wants_them() {
    let query = [
        ("$select", "ID,Code"),
        ("code", "{{ var.code }}"),
        ("q", "a;b=c#d"),
    ];
    let url = first(
        &resource("/v1/{{ var.division }}/X?keep=%2c+a", &query),
        &since(""),
    )
    .unwrap();
    assert_eq!(
        url,
        "https://api.example.com/v1/123456/X?keep=%2c+a&$select=ID,Code\
         &code=A%26B%20%2B%C3%A9%27&q=a%3Bb%3Dc%23d"
    );
    let now = first(&resource("/x", &[("until", "{{ now }}")]), &since("")).unwrap();
    assert_eq!(now, "https://api.example.com/x?until=2026-03-01T10:00:00Z");
}

#[test]
fn the_cursors_filter_joins_whatever_filter_there_is() {
    let cursor = "Modified ge datetime'{{ bookmark }}'";
    let at = "2026-01-02T03:04:05";
    let spelled = "Modified%20ge%20datetime%272026-01-02T03:04:05%27";
    let cases: [(&str, Pairs<'_>, String); 4] = [
        ("/x", &[], format!("/x?$filter={spelled}")),
        (
            "/x",
            &[("$filter", "A eq 1 or B")],
            format!("/x?$filter=(A%20eq%201%20or%20B)%20and%20{spelled}"),
        ),
        (
            "/x?a=1&%24filter=A+eq+1",
            &[],
            format!("/x?a=1&$filter=A%20eq%201%20and%20{spelled}"),
        ),
        ("/x", &[("$filter", "")], format!("/x?$filter={spelled}")),
    ];
    for (url, query, expected) in cases {
        let resource = filtered(resource(url, query), cursor);
        let asked = first(&resource, &since(at)).unwrap();
        assert_eq!(asked, format!("https://api.example.com{expected}"));
    }
}

#[test]
fn what_needs_a_bookmark_is_left_out_until_there_is_one() {
    let query = [
        ("since", "{{ bookmark }}"),
        ("$filter", "A eq 1"),
        ("other", "1"),
    ];
    let resource = filtered(resource("/x", &query), "M ge {{ bookmark }}");
    assert_eq!(
        first(&resource, &since("")).unwrap(),
        "https://api.example.com/x?$filter=A%20eq%201&other=1"
    );
    assert_eq!(
        first(&resource, &since("17")).unwrap(),
        "https://api.example.com/x?since=17&$filter=A%20eq%201%20and%20M%20ge%2017&other=1"
    );
    let always = filtered(super::tests::resource("/x", &[]), "Timestamp gt 1");
    assert_eq!(
        first(&always, &since("")).unwrap(),
        "https://api.example.com/x?$filter=Timestamp%20gt%201"
    );
    let in_url = super::tests::resource("/x/{{ bookmark }}", &[]);
    assert!(
        first(&in_url, &since(""))
            .unwrap_err()
            .contains("cursor.start")
    );
    let unknown = super::tests::resource("/x/{{ var.region }}", &[]);
    assert!(
        first(&unknown, &since(""))
            .unwrap_err()
            .starts_with("could not write the request: `url`")
    );
}

#[test]
fn paging_puts_its_values_where_they_belong() {
    let mut posted = resource("/search?page=1&%24top=5", &[]);
    posted.method = config::Method::Post;
    posted.body = Some(
        Body::Json(serde_json::json!({
            "query": "code = {{ var.code | odata }}",
            "since": "{{ bookmark }}",
            "ids": ["{{ var.division }}", "no. {{ var.division }}", "{{ bookmark }}", 7, null],
        }))
        .into(),
    );
    let connection = connection(Some("https://api.example.com"));
    let prototype = Prototype::write(&connection, &posted, &since(""), &Turn::default()).unwrap();
    let body = |way| {
        let request = prototype.asking(&ask(way)).unwrap();
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.headers["accept"], "application/json");
        assert_eq!(request.headers["x-tenant"], "123456");
        serde_json::from_slice::<Value>(&request.body.unwrap()).unwrap()
    };
    let written =
        serde_json::json!({"query": "code = 'A&B +é'''", "ids": [123456, "no. 123456", 7, null]});
    assert_eq!(body(Way::Query(Vec::new())), written);
    let with = body(Way::Body(
        "page.after".parse().unwrap(),
        Scalar::Number("42".into()),
    ));
    assert_eq!(with["page"]["after"], 42);
    let long = "12345678901234567890";
    let with = body(Way::Body(
        "after".parse().unwrap(),
        Scalar::Number(long.into()),
    ));
    assert_eq!(with["after"], long);
    assert!(
        prototype
            .asking(&ask(Way::Body(
                "ids.x".parse().unwrap(),
                Scalar::Flag(true)
            )))
            .is_err()
    );

    let next = Way::Query(vec![
        ("page".into(), "2".into()),
        ("$top".into(), "9".into()),
    ]);
    assert_eq!(
        prototype.asking(&ask(next)).unwrap().url.as_str(),
        "https://api.example.com/search?page=2&$top=9"
    );
    let header = prototype
        .asking(&ask(Way::Header("x-next".into(), "a b".into())))
        .unwrap();
    assert_eq!(header.headers["x-next"], "a b");
    assert!(
        prototype
            .asking(&ask(Way::Header("x-next".into(), "a\nb".into())))
            .is_err()
    );
    let link: Url = "https://api.example.com/o?c=a%2Fb".parse().unwrap();
    assert_eq!(
        prototype.asking(&ask(Way::Link(link.clone()))).unwrap().url,
        link
    );
}

#[test]
fn forms_are_encoded_and_take_cursors_too() {
    let mut posted = resource("/query", &[]);
    posted.body = Some(
        Body::Form(templates(&[
            ("q", "a b&c"),
            ("after", "{{ bookmark }}"),
            ("code", "{{ var.none }}"),
            ("empty", ""),
        ]))
        .into(),
    );
    let connection = connection(Some("https://api.example.com"));
    let prototype = Prototype::write(&connection, &posted, &since(""), &Turn::default()).unwrap();
    let body = |way| prototype.asking(&ask(way)).unwrap().body.unwrap().to_vec();
    assert_eq!(body(Way::Query(Vec::new())), b"q=a+b%26c&empty=");
    let next = Way::Body("after".parse().unwrap(), Scalar::Text("x=".into()));
    assert_eq!(body(next), b"q=a+b%26c&empty=&after=x%3D");
}

#[test]
fn a_template_that_comes_out_empty_is_left_out_and_an_empty_text_is_sent() {
    let query = [
        ("a", "{{ var.none }}"),
        ("b", ""),
        ("c", "{% if var.division == 1 %}x{% endif %}"),
        ("d", "{{ var.code if var.division == 123456 else '' }}"),
    ];
    let mut asking = resource("/x", &query);
    asking.headers = templates(&[("x-none", "{{ var.none }}"), ("x-empty", "")]);
    let connection = connection(Some("https://api.example.com"));
    let prototype = Prototype::write(&connection, &asking, &since(""), &Turn::default()).unwrap();
    let request = prototype.asking(&ask(Way::Query(Vec::new()))).unwrap();
    let url = "https://api.example.com/x?b=&d=A%26B%20%2B%C3%A9%27";
    assert_eq!(request.url.as_str(), url);
    assert!(!request.headers.contains_key("x-none"));
    assert_eq!(request.headers["x-empty"], "");
}

#[test]
fn each_page_has_templates_of_its_own() {
    let mut paged = resource(
        "/x/{{ page.number }}",
        &[
            (
                "q",
                "startposition {{ page.offset }} maxresults {{ page.limit }}",
            ),
            ("after", "{{ page.cursor }}"),
        ],
    );
    paged.first_page_query = templates(&[("begin", "{{ now | date('%Y') }}")]);
    paged.headers = templates(&[("x-page", "{{ page.number }}")]);
    paged.method = config::Method::Post;
    paged.body = Some(
        Body::Json(serde_json::json!({ "from": "{{ page.offset }}", "id": "{{ page.cursor }}" }))
            .into(),
    );
    let connection = connection(Some("https://api.example.com"));
    let at = |before, cursor| Ask {
        way: Way::Query(Vec::new()),
        turn: Turn {
            before,
            number: before + 1,
            offset: before * 20,
            limit: Some(20),
            cursor,
        },
    };
    let start = at(0, None).turn;
    let prototype = Prototype::write(&connection, &paged, &since(""), &start).unwrap();
    let base = "https://api.example.com/x";
    let first = prototype.asking(&at(0, None)).unwrap();
    let query = "q=startposition%200%20maxresults%2020&begin=2026";
    assert_eq!(first.url.as_str(), format!("{base}/1?{query}"));
    assert_eq!(*first.body.unwrap(), br#"{"from":0}"#);

    let third = prototype.asking(&at(2, Some(Scalar::Number("7".into()))));
    let third = third.unwrap();
    let query = "q=startposition%2040%20maxresults%2020&after=7";
    assert_eq!(third.url.as_str(), format!("{base}/3?{query}"));
    assert_eq!(third.headers["x-page"], "3");
    assert_eq!(*third.body.unwrap(), br#"{"from":40,"id":7}"#);

    let in_url = resource("/x/{{ page.cursor }}", &[]);
    let error = first_error(&in_url);
    assert!(
        error.contains("there is no `page.cursor` on the first page"),
        "{error}"
    );
}

fn first_error(resource: &Resource) -> String {
    first(resource, &since("")).unwrap_err()
}

#[test]
fn a_graphql_query_goes_out_as_written_with_its_variables_filled_in() {
    let mut asking = resource("/graphql", &[]);
    asking.method = config::Method::Post;
    asking.body = Some(Payload::GraphQl(GraphQl {
        query: "query($n: Int) {# {% not ours %}\n things(first: $n) { id }}".to_owned(),
        variables: serde_json::json!({ "n": "{{ var.division }}", "after": "{{ page.cursor }}" }),
        partial: false,
    }));
    let connection = connection(Some("https://api.example.com"));
    let prototype = Prototype::write(&connection, &asking, &since(""), &Turn::default()).unwrap();
    let request = prototype.asking(&ask(Way::Query(Vec::new()))).unwrap();
    assert_eq!(request.headers["content-type"], "application/json");
    let body: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
    let query = "query($n: Int) {# {% not ours %}\n things(first: $n) { id }}";
    assert_eq!(
        body,
        serde_json::json!({ "query": query, "variables": { "n": 123456 } })
    );

    let cursor = Way::Body("variables.after".parse().unwrap(), Scalar::Text("c".into()));
    let request = prototype.asking(&ask(cursor)).unwrap();
    let body: Value = serde_json::from_slice(&request.body.unwrap()).unwrap();
    assert_eq!(
        body["variables"],
        serde_json::json!({ "n": 123456, "after": "c" })
    );
}
