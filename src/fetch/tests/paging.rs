//! Paging styles beside the plain ones, as a source sees them.

use super::*;
use crate::config::PastEnd;

fn numbered(past_end: Option<PastEnd>) -> Resource {
    let style = Style::Page {
        param: Some("page".into()),
        first: 1,
        size: None,
        end: End::Untold {
            short_page: false,
            past_end,
        },
    };
    resource(style, "items")
}

fn items(ids: &[u64], rest: &str) -> Line {
    let records: Vec<_> = ids.iter().map(|id| format!(r#"{{"id":{id}}}"#)).collect();
    ok(format!(r#"{{"items":[{}]{rest}}}"#, records.join(",")))
}

fn posting(mut resource: Resource, body: serde_json::Value) -> Resource {
    resource.url = template("/items");
    resource.method = Method::Post;
    resource.body = Some(Body::Json(body).into());
    resource
}

#[tokio::test]
async fn a_status_past_the_end_ends_only_where_that_is_said() {
    let none = r#"{"detail":"Invalid page."}"#;
    let script = || [items(&[1, 2], ""), items(&[3], ""), say(404, "x: y", none)];
    let server = Server::start(script()).await;
    let told = numbered(Some(PastEnd::Status(404)));
    let pages = Reader::new(&server, &told).all().await.unwrap();
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 0]);

    let server = Server::start(script()).await;
    let mut reader = Reader::new(&server, &numbered(None));
    let error = reader.all().await.unwrap_err();
    let told = "answered 404 for page 3: Invalid page.";
    assert_eq!(
        error.to_string(),
        format!("GET {}/items {told}", server.base)
    );
    assert_eq!(error.remedy(), Remedy::EditConfig);
    assert!(error.hint().unwrap().contains("past_end = 404"));

    // The first page is no page past the end, and another status is not the one that was said.
    let server = Server::start([say(404, "x: y", "")]).await;
    let told = numbered(Some(PastEnd::Status(404)));
    let error = Reader::new(&server, &told).all().await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    let server = Server::start([items(&[1], ""), say(400, "x: y", "")]).await;
    let error = Reader::new(&server, &told).all().await.unwrap_err();
    assert!(
        matches!(error, Error::RefusedPage { page: 2, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_page_that_comes_for_ever_is_told() {
    let last = || items(&[3, 4], "");
    let server = Server::start([items(&[1, 2], ""), last(), last(), last()]).await;
    let repeats = numbered(Some(PastEnd::Repeats));
    let pages = Reader::new(&server, &repeats).all().await.unwrap();
    assert_eq!((pages.len(), server.lines().len()), (3, 3));

    let server = Server::start([items(&[1, 2], ""), last(), last(), last()]).await;
    let error = Reader::new(&server, &numbered(None))
        .all()
        .await
        .unwrap_err();
    let told = format!(
        "page 3, the answer to GET {}/items, has the same records as an earlier page of this run: \
         either the source does not know the parameters of the paging, or it gives its last page \
         again past the end",
        server.base
    );
    assert_eq!(error.to_string(), told);
    assert!(error.hint().unwrap().contains("past_end = \"repeats\""));
}

#[tokio::test]
async fn what_was_asked_first_is_not_asked_again_where_reading_continues() {
    let server = Server::start([
        items(&[1], r#","cursor":"c1","more":true"#),
        items(&[2], r#","cursor":"c2","more":true"#),
        items(&[], r#","cursor":"c3","more":false"#),
    ])
    .await;
    let style = Style::Cursor {
        at: Source::Body("cursor".parse().unwrap()),
        send: Some(SendCursor::Body("cursor".parse().unwrap())),
        more: Some("more".parse().unwrap()),
        continue_url: Some(template("/items/continue")),
    };
    let mut listing = posting(resource(style, "items"), serde_json::json!({"path": ""}));
    listing.query = vec![("deep".into(), template("1"))];
    listing.headers = vec![("x-app".into(), template("a"))];
    let mut reader = Reader::new(&server, &listing).bearing("t");
    reader.all().await.unwrap();
    assert_eq!(
        server.lines(),
        [
            "POST /items?deep=1",
            "POST /items/continue",
            "POST /items/continue"
        ]
    );
    let asked = server.asked();
    let bodies = asked.iter().map(|asked| asked.body.as_str());
    let expected = [r#"{"path":""}"#, r#"{"cursor":"c1"}"#, r#"{"cursor":"c2"}"#];
    assert!(bodies.eq(expected), "{asked:?}");
    for asked in &asked {
        assert!(asked.headers.contains("x-app: a"), "{asked:?}");
        assert!(asked.headers.contains("content-type: application/json"));
        assert!(asked.headers.contains("authorization: bearer t"));
    }
}

#[tokio::test]
async fn an_object_that_leads_on_is_merged_into_the_query() {
    let server = Server::start([
        items(&[1], r#","continue":{"apfrom":"B c","continue":"-||"}"#),
        items(&[2], r#","continue":{"apfrom":"D","continue":"-||"}"#),
        items(&[3], ""),
    ])
    .await;
    let path = "continue".parse().unwrap();
    let mut listing = resource(Style::Continue { path }, "items");
    listing.url = template("/api?action=query&continue=");
    Reader::new(&server, &listing).all().await.unwrap();
    assert_eq!(
        server.lines(),
        [
            "GET /api?action=query&continue=",
            "GET /api?action=query&apfrom=B%20c&continue=-%7C%7C",
            "GET /api?action=query&apfrom=D&continue=-%7C%7C",
        ]
    );
}

#[tokio::test]
async fn positions_may_stand_inside_a_query_language() {
    let server = Server::start([items(&[1, 2], ""), items(&[3], ""), items(&[], "")]).await;
    let style = Style::Offset {
        param: None,
        first: 1,
        limit_param: None,
        limit: 2,
        overlap: 0,
        end: End::EMPTY,
    };
    let mut listing = resource(style, "items");
    listing.url = template("/query");
    let question = "select * from Item startposition {{ page.offset }} maxresults {{ page.limit }}";
    listing.query = vec![("query".into(), template(question))];
    Reader::new(&server, &listing).all().await.unwrap();
    let at = |position| {
        format!(
            "GET /query?query=select%20*%20from%20Item%20startposition%20{position}%20maxresults%202"
        )
    };
    assert_eq!(server.lines(), [at(1), at(3), at(4)]);
}

#[tokio::test]
async fn the_last_record_or_a_template_carries_the_cursor() {
    let server = Server::start([
        items(&[1, 2], r#","more":true"#),
        items(&[3], r#","more":false"#),
    ])
    .await;
    let style = Style::Keyset {
        field: "id".parse().unwrap(),
        send: None,
        more: Some("more".parse().unwrap()),
    };
    let body = serde_json::json!({"filter": {"after": "{{ page.cursor }}"}, "sort": "id"});
    let listing = posting(resource(style, "items"), body);
    Reader::new(&server, &listing).all().await.unwrap();
    let bodies: Vec<_> = server.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(
        bodies,
        [
            r#"{"filter":{},"sort":"id"}"#,
            r#"{"filter":{"after":2},"sort":"id"}"#
        ]
    );
}

#[tokio::test]
async fn a_program_may_know_the_last_page() {
    let stopping = |program: &str| {
        let mut resource = next_url();
        resource.paging.stop = Some(Program::parse(program).unwrap());
        resource
    };
    let script = || {
        [
            items(&[1], r#","next":"?p=2","info":{"left":3}"#),
            items(&[2], r#","next":"?p=3","info":{"left":0}"#),
        ]
    };
    let server = Server::start(script()).await;
    let listing = stopping(".info.left == 0");
    let pages = Reader::new(&server, &listing).all().await.unwrap();
    assert_eq!((pages.len(), server.lines().len()), (2, 2));

    let server = Server::start(script()).await;
    let mut reader = Reader::new(&server, &stopping(".info + 1"));
    assert!(reader.next().await.unwrap().is_some());
    let error = reader.next().await.unwrap_err();
    let told = format!(
        "page 1, the answer to GET {}/items, is nothing `stop` can judge: ",
        server.base
    );
    assert!(error.to_string().starts_with(&told), "{error}");
    assert!(error.hint().unwrap().contains("check `stop`"));
    assert_eq!(error.remedy(), Remedy::EditConfig);
}
