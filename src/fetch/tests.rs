mod paging;
mod secrets;
mod server;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::SignedDuration;

use self::server::{Line, Server, ok, say};
use super::*;
use crate::clock::SimClock;
use crate::config::{
    Auth, Body, Budget, Caps, Cursor, End, Format, GraphQl, Manners, Method, Name, Payload,
    Placement, Records, SendCursor, Source, Style, Total,
};
use crate::remedy::Remedy;
use crate::secret::Secret;
use crate::template::Template;

const NOW: &str = "2026-03-01T10:00:00Z";

fn template(source: &str) -> Template {
    Template::parse(source).unwrap()
}

fn connection(base: &str) -> Connection {
    Connection {
        name: Name::parse("x").unwrap(),
        provider: None,
        base_url: Some(base.parse().unwrap()),
        base_url_template: None,
        auth: Auth::None,
        placement: Placement::default(),
        headers: Vec::new(),
        allow_hosts: Vec::new(),
        time_zone: None,
        manners: Manners::default(),
        timeout: Duration::from_secs(5),
    }
}

fn resource(style: Style, records: &str) -> Resource {
    Resource {
        method: Method::Get,
        url: template("/items?secret=canary"),
        query: Vec::new(),
        first_page_query: Vec::new(),
        headers: Vec::new(),
        body: None,
        format: Format::Json,
        records: match records {
            "" => Records::Usual,
            path => Records::At(path.parse().unwrap()),
        },
        reshape: None,
        paging: style.into(),
        tombstones: None,
        delta: None,
        asks_by_now: false,
        cursor: None,
        rules: Vec::new(),
        caps: Caps {
            pages: 20,
            page_bytes: 10_000,
        },
        tenant: None,
        vars: BTreeMap::new(),
    }
}

fn by_cursor(send: SendCursor) -> Style {
    Style::Cursor {
        at: Source::Body("next".parse().unwrap()),
        send: Some(send),
        more: None,
        continue_url: None,
    }
}

fn next_url() -> Resource {
    resource(
        Style::NextUrl {
            at: Source::Body("next".parse().unwrap()),
        },
        "items",
    )
}

/// A reader whose clock jumps to the end of every wait.
struct Reader {
    pages: Pages,
    http: Client,
    clock: SimClock,
    limits: Limits,
    hosts: Hosts,
    authorization: Option<Authorization>,
    waits: Mutex<Vec<Waiting>>,
}

impl Reader {
    fn new(server: &Server, resource: &Resource) -> Self {
        Self::of(&connection(&server.base), resource)
    }

    fn of(connection: &Connection, resource: &Resource) -> Self {
        let clock = SimClock::new(NOW.parse().unwrap());
        let start = Start {
            account: None,
            facts: Arc::default(),
            each: Each::new(),
            since: None,
            delta: None,
            until: CursorValue::read(NOW),
            now: clock.now(),
        };
        Self {
            pages: pages(connection, resource, &start).unwrap(),
            http: Client::new(),
            clock,
            limits: Limits::new(&connection.manners),
            hosts: Hosts::default(),
            authorization: None,
            waits: Mutex::default(),
        }
    }

    fn bearing(mut self, token: &str) -> Self {
        self.authorization = Some(Authorization::bearer(&Secret::from(token)));
        self
    }

    async fn next(&mut self) -> Result<Option<Page>, Error> {
        let told = |waiting: Waiting| {
            self.clock.set(waiting.until);
            self.waits.lock().unwrap().push(waiting);
        };
        let world = World {
            http: &self.http,
            clock: &self.clock,
            limits: &self.limits,
            hosts: &self.hosts,
            authorization: self.authorization.as_ref(),
            told: &told,
        };
        // A run moves between threads, and so must the reading of a page.
        let next: futures_util::future::BoxFuture<'_, _> = Box::pin(self.pages.next(&world));
        next.await
    }

    /// Reads to the end and returns every page's records.
    async fn all(&mut self) -> Result<Vec<Vec<String>>, Error> {
        let mut all = Vec::new();
        while let Some(page) = self.next().await? {
            assert_eq!(page.number, all.len() as u64 + 1);
            all.push(page.texts().map(str::to_owned).collect());
        }
        Ok(all)
    }

    fn waits(&self) -> Vec<Waiting> {
        self.waits.lock().unwrap().clone()
    }
}

fn seconds(from: &str, to: Timestamp) -> SignedDuration {
    to.duration_since(from.parse().unwrap())
}

#[tokio::test]
async fn every_paging_style_reads_to_the_end() {
    let two = [r#"{"id":1}"#, r#"{"id":2}"#];
    let pages = |rest: &str| {
        vec![
            ok(format!(r#"{{"items":[{}]{rest}}}"#, two[0])),
            ok(format!(r#"{{"items":[{}]}}"#, two[1])),
        ]
    };
    let cases: Vec<(Resource, Vec<Line>, &str)> = vec![
        (
            resource(Style::OData, ""),
            vec![
                ok(
                    r#"{"d":{"results":[{"id":1}],"__next":"{base}/items?$skiptoken=guid'1',5L&x=%20"}}"#,
                ),
                ok(r#"{"d":{"results":[{"id":2}]}}"#),
            ],
            "GET /items?$skiptoken=guid%271%27,5L&x=%20",
        ),
        (
            resource(Style::OData, ""),
            vec![
                ok(
                    r#"{"@odata.context":"c","value":[{"id":1}],"@odata.nextLink":"items?$skip=1"}"#,
                ),
                ok(r#"{"@odata.context":"c","value":[{"id":2}]}"#),
            ],
            "GET /items?$skip=1",
        ),
        (
            resource(Style::LinkHeader, ""),
            vec![
                say(200, "link: </items?page=2>; rel=\"next\"", r#"[{"id":1}]"#),
                ok(r#"[{"id":2}]"#),
            ],
            "GET /items?page=2",
        ),
        (
            next_url(),
            pages(r#","next":"{base}/more?p=2""#),
            "GET /more?p=2",
        ),
        (
            resource(by_cursor(SendCursor::Query("after".into())), "items"),
            pages(r#","next":"a b=""#),
            "GET /items?secret=canary&after=a%20b%3D",
        ),
        (
            resource(by_cursor(SendCursor::Header("x-next".into())), "items"),
            pages(r#","next":"a b=""#),
            "GET /items?secret=canary",
        ),
        (
            resource(
                Style::Page {
                    param: Some("page".into()),
                    first: 1,
                    size: Some(("per".into(), 1)),
                    end: End::Told(Total::Pages("total".parse().unwrap())),
                },
                "items",
            ),
            vec![
                ok(r#"{"items":[{"id":1}],"total":2}"#),
                ok(r#"{"items":[{"id":2}],"total":2}"#),
            ],
            "GET /items?secret=canary&page=2&per=1",
        ),
        (
            resource(
                Style::Offset {
                    param: Some("skip".into()),
                    first: 0,
                    limit_param: Some("top".into()),
                    limit: 1,
                    overlap: 0,
                    end: End::Told(Total::More("more".parse().unwrap())),
                },
                "items",
            ),
            vec![
                ok(r#"{"items":[{"id":1}],"more":true}"#),
                ok(r#"{"items":[{"id":2}],"more":false}"#),
            ],
            "GET /items?secret=canary&skip=1&top=1",
        ),
    ];
    for (resource, script, second) in cases {
        let server = Server::start(script).await;
        let mut reader = Reader::new(&server, &resource).bearing("t");
        assert_eq!(
            reader.all().await.unwrap(),
            two.map(|record| vec![record.to_owned()])
        );
        assert_eq!(server.lines()[1], second);
        assert_eq!(reader.pages.requests(), 2);
        assert!(
            server.asked()[1]
                .headers
                .contains("authorization: bearer t")
        );
        if second == "GET /items?secret=canary" {
            assert!(server.asked()[1].headers.contains("x-next: a b="));
        }
        assert!(
            reader.next().await.unwrap().is_none(),
            "it stays at its end"
        );
    }
}

#[tokio::test]
async fn a_cursor_goes_into_a_posted_body() {
    let server = Server::start([
        ok(r#"{"items":[],"next":7}"#),
        ok(r#"{"items":[{"id":2}]}"#),
    ])
    .await;
    let send = SendCursor::Body("page.after".parse().unwrap());
    let mut resource = resource(by_cursor(send), "items");
    resource.method = Method::Post;
    resource.body = Some(Body::Json(serde_json::json!({"q": "x"})).into());
    Reader::new(&server, &resource).all().await.unwrap();
    let bodies: Vec<_> = server.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(bodies, [r#"{"q":"x"}"#, r#"{"page":{"after":7},"q":"x"}"#]);
    assert_eq!(server.lines(), ["POST /items?secret=canary"; 2]);
}

#[tokio::test]
async fn a_graphql_answer_with_errors_is_no_page() {
    let graph_ql = |partial| {
        let mut resource = resource(Style::None, "data.things");
        resource.method = Method::Post;
        resource.body = Some(Payload::GraphQl(GraphQl {
            query: "{ things { id } }".to_owned(),
            variables: serde_json::json!({}),
            partial,
        }));
        resource
    };
    let refused =
        r#"{"errors":[{"message":"no field for t0ps3cr3t"},{"message":"b"}],"data":null}"#;
    let part = r#"{"data":{"things":[{"id":1}]},"errors":[{"message":"hidden","path":["a"]}]}"#;
    let whole = r#"{"data":{"things":[{"id":1}]},"errors":[]}"#;
    let cases = [
        (
            refused,
            false,
            "answered with GraphQL errors: no field for [removed]; b",
        ),
        (
            refused,
            true,
            "answered with GraphQL errors: no field for [removed]; b",
        ),
        (r#"{"errors":[7]}"#, false, "answered with GraphQL errors"),
        (part, false, "answered with GraphQL errors: hidden"),
    ];
    for (body, partial, told) in cases {
        let server = Server::start([ok(body)]).await;
        let mut reader = Reader::new(&server, &graph_ql(partial)).bearing("t0ps3cr3t");
        let error = reader.all().await.unwrap_err();
        let asked = format!("POST {}/items", server.base);
        assert_eq!(error.to_string(), format!("{asked} {told}"));
        assert_eq!(error.remedy(), Remedy::EditConfig);
        let hint = error.hint().unwrap();
        assert_eq!(hint.contains("partial = true"), body == part, "{hint}");
        assert_eq!(server.lines().len(), 1);
    }
    for (body, partial) in [(part, true), (whole, false)] {
        let server = Server::start([ok(body)]).await;
        let mut reader = Reader::new(&server, &graph_ql(partial));
        assert_eq!(reader.all().await.unwrap(), [[r#"{"id":1}"#]]);
    }
}

#[tokio::test]
async fn a_run_reads_from_its_bookmark() {
    let server = Server::start([ok("[]")]).await;
    let mut resource = resource(Style::None, "");
    resource.url = template("/items");
    resource.query = vec![("$filter".into(), template("Type eq 1"))];
    resource.cursor = Some(Cursor {
        field: "Modified".parse().unwrap(),
        filter: Some(template("Modified ge datetime'{{ bookmark }}'")),
        lookback: Duration::ZERO,
        start: None,
        ordered: false,
        newest_first: false,
        format: None,
        window: None,
    });
    let mut reader = Reader::new(&server, &resource);
    let since = Some(CursorValue::read("2026-01-02T03:04:05"));
    let start = Start {
        account: None,
        facts: Arc::default(),
        each: Each::new(),
        since,
        delta: None,
        until: CursorValue::read(NOW),
        now: reader.clock.now(),
    };
    reader.pages = pages(&connection(&server.base), &resource, &start).unwrap();
    reader.all().await.unwrap();
    let filter = "$filter=Type%20eq%201%20and%20Modified%20ge%20datetime%272026-01-02T03:04:05%27";
    assert_eq!(server.lines(), [format!("GET /items?{filter}")]);
}

#[tokio::test]
async fn what_may_succeed_later_is_tried_again() {
    let half = r#"{"items":[{"id":1},{"id":2}]}"#;
    let failures: Vec<Vec<Line>> = vec![
        vec![
            say(503, "x: y", "down"),
            say(500, "x: y", ""),
            say(408, "x: y", ""),
        ],
        vec![Line::Cut(half.into())],
        vec![Line::End(half.into())],
        vec![say(200, "x: y", "")],
    ];
    for mut script in failures {
        let failed = script.len();
        script.push(ok(half));
        let server = Server::start(script).await;
        let mut reader = Reader::new(&server, &next_url());
        assert_eq!(
            reader.all().await.unwrap(),
            [[r#"{"id":1}"#, r#"{"id":2}"#]]
        );
        let waits = reader.waits();
        let failures = waits
            .iter()
            .filter(|wait| matches!(wait.reason, Reason::Failed { .. }));
        assert_eq!(
            (server.lines().len(), failures.count()),
            (failed + 1, failed)
        );
    }
}

#[tokio::test]
async fn an_outage_is_given_up_after_five_tries() {
    let server = Server::start([]).await;
    let mut reader = Reader::new(&server, &next_url());
    let error = reader.next().await.unwrap_err();
    assert_eq!(server.lines().len(), 5);
    let over = seconds(NOW, reader.clock.now()).as_secs();
    let told = format!(
        "GET {}/items answered 599, five times in {over} s",
        server.base
    );
    assert_eq!(error.to_string(), told);
    assert_eq!(error.remedy(), Remedy::Wait);

    let refused = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let mut reader = Reader::of(&connection(&format!("http://{refused}")), &next_url());
    let error = reader.next().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::NoAnswer {
                tries: Tries { count: 5, .. },
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(reader.pages.requests(), 5);
}

#[tokio::test]
async fn a_refusal_is_told_and_not_repeated() {
    let message = r#"{"error":{"code":"","message":{"lang":"","value":"No right to read"}}}"#;
    let cases = [
        (
            say(403, "x: y", message),
            "answered 403: No right to read",
            Remedy::EditConfig,
        ),
        (
            say(403, "reason: NoDivisionAccess", ""),
            "answered 403: NoDivisionAccess",
            Remedy::EditConfig,
        ),
        (
            say(404, "x: y", "<html>"),
            "answered 404",
            Remedy::EditConfig,
        ),
        (
            say(400, "x: y", message),
            "answered 400: No right to read",
            Remedy::EditConfig,
        ),
        (
            say(302, "location: https://login.example/?next=canary", ""),
            "answered 302, which leads to https://login.example; redirects are not followed",
            Remedy::EditConfig,
        ),
        (
            say(
                200,
                "content-type: text/html; charset=utf-8",
                "\n<!doctype html><title>Back soon</title>",
            ),
            "answered 200 with HTML, not JSON: content type `text/html`, beginning \
             `<!doctype html><title>Back soon</title>`",
            Remedy::Wait,
        ),
    ];
    for (line, told, remedy) in cases {
        let server = Server::start([line]).await;
        let mut reader = Reader::new(&server, &next_url());
        let error = reader.next().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("GET {}/items {told}", server.base)
        );
        assert_eq!((error.remedy(), error.hint().is_some()), (remedy, true));
        assert_eq!(server.lines().len(), 1);
        assert!(!format!("{error:?}").contains("canary"));
    }
}

#[tokio::test]
async fn a_lacking_scope_is_named_and_no_other_403_is_taken_for_one() {
    const LACKING: &str = r#"www-authenticate: Bearer error="insufficient_scope", scope="a:read""#;
    let (next, last) = (r#"{"items":[],"next":"?p=2"}"#, r#"{"items":[]}"#);
    let body = r#"{"message":"nothing for you"}"#;
    for status in [401, 403] {
        let server = Server::start([say(status, LACKING, body)]).await;
        let error = Reader::new(&server, &next_url()).next().await.unwrap_err();
        let told = format!(
            "GET {}/items answered {status}: the access token lacks the scope `a:read`: \
             nothing for you",
            server.base
        );
        assert_eq!(error.to_string(), told);
        assert!(matches!(error, Error::InsufficientScope { .. }));
        assert_eq!(error.remedy(), Remedy::Login);
    }

    let server = Server::start([ok(next), say(403, "x: y", body), ok(last)]).await;
    let mut reader = Reader::new(&server, &next_url()).bearing("old");
    reader.next().await.unwrap().unwrap();
    let error = reader.next().await.unwrap_err();
    assert!(matches!(error, Error::Forbidden { .. }), "{error}");
    let page = reader.bearing("new").next().await.unwrap().unwrap();
    assert_eq!(page.number, 2, "a newer token asks for the same page again");
    assert_eq!(server.lines()[1], server.lines()[2]);
}

#[tokio::test]
async fn a_damaged_page_is_not_delivered() {
    let cases = [
        (
            r#"{"items":[{"id":1}]} x"#,
            "is not valid JSON at line 1, column 22",
        ),
        (
            r#"{"items":[{"id":1},2]}"#,
            "has a number as record 2; a record must be an object",
        ),
        (
            r#"{"items":7}"#,
            "has a number at `items`, where records should be",
        ),
    ];
    for (body, told) in cases {
        let server = Server::start([ok(body)]).await;
        let error = Reader::new(&server, &next_url()).next().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the answer to GET {}/items {told}", server.base)
        );
        assert_eq!(server.lines().len(), 1);
    }
}

#[tokio::test]
async fn nothing_at_all_is_an_empty_page() {
    let server = Server::start([say(204, "link: </b>; rel=next", ""), ok("[]")]).await;
    let mut reader = Reader::new(&server, &resource(Style::LinkHeader, ""));
    assert_eq!(
        reader.all().await.unwrap(),
        [Vec::<String>::new(), Vec::new()]
    );
}

#[tokio::test]
async fn a_new_token_continues_at_the_same_page() {
    let server = Server::start([
        ok(r#"{"items":[{"id":1}],"next":"?p=2"}"#),
        say(401, "x: y", r#"{"error_description":"expired"}"#),
        ok(r#"{"items":[{"id":2}]}"#),
    ])
    .await;
    let mut reader = Reader::new(&server, &next_url()).bearing("old");
    assert!(reader.next().await.unwrap().is_some());
    let error = reader.next().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert_eq!(error.remedy(), Remedy::Login);
    let mut reader = reader.bearing("new");
    assert_eq!(reader.next().await.unwrap().unwrap().number, 2);
    let asked = server.asked();
    assert_eq!(asked[1].line, asked[2].line);
    assert!(asked[2].headers.contains("bearer new"));
}

#[tokio::test]
async fn a_token_never_leaves_for_a_foreign_host() {
    let stranger = Server::start([ok(r#"{"items":[]}"#)]).await;
    let page = format!(
        r#"{{"items":[{{"id":1}}],"next":"{}/x?canary"}}"#,
        stranger.base
    );
    let server = Server::start([ok(page.clone()), ok(page)]).await;

    let mut reader = Reader::new(&server, &next_url()).bearing("t");
    assert!(reader.next().await.unwrap().is_some());
    let error = reader.next().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "page 1, the answer to GET {}/items, names a next page at {}, which is not the \
             connection's own host",
            server.base, stranger.base
        )
    );
    assert!(error.hint().unwrap().contains("allow_hosts"));
    assert!(stranger.lines().is_empty());

    let mut named = connection(&server.base);
    named.allow_hosts = vec![stranger.base.parse::<url::Url>().unwrap().origin()];
    let mut reader = Reader::of(&named, &next_url()).bearing("t");
    assert_eq!(reader.all().await.unwrap().len(), 2);
    assert!(stranger.asked()[0].headers.contains("bearer t"));
}

#[tokio::test]
async fn no_run_goes_in_circles_or_beyond_its_caps() {
    let page = |id: u64, next: &str| ok(format!(r#"{{"items":[{{"id":{id}}}],"next":"{next}"}}"#));
    let server = Server::start([page(1, "/b"), page(2, "/c"), page(3, "/b")]).await;
    let mut reader = Reader::new(&server, &next_url());
    let error = reader.all().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Astray {
                page: 3,
                problem: PagingProblem::Circle,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(server.lines().len(), 3);

    let endless = (0..50).map(|id| page(id, &format!("/{id}")));
    let server = Server::start(endless).await;
    let error = Reader::new(&server, &next_url()).all().await.unwrap_err();
    assert!(matches!(
        error,
        Error::Astray {
            problem: PagingProblem::TooMany { cap: 20 },
            ..
        }
    ));
    assert_eq!(server.lines().len(), 20);

    let server = Server::start([ok(format!("[{}]", " ".repeat(10_000)))]).await;
    let error = Reader::new(&server, &resource(Style::None, ""))
        .all()
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        Error::NoAnswer {
            source: http::Error::TooLarge { .. },
            ..
        }
    ));
    assert_eq!(error.remedy(), Remedy::EditConfig);
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn a_source_that_asks_for_time_gets_it() {
    let server = Server::start([
        say(429, "retry-after: 90", ""),
        say(503, "retry-after: Sun, 01 Mar 2026 10:04:00 GMT", ""),
        ok("[]"),
    ])
    .await;
    let mut reader = Reader::new(&server, &resource(Style::None, ""));
    reader.all().await.unwrap();
    assert_eq!(
        seconds(NOW, reader.clock.now()),
        SignedDuration::from_secs(240)
    );
    let asked = reader
        .waits()
        .into_iter()
        .filter(|wait| wait.reason == Reason::Asked);
    assert_eq!(asked.count(), 2);
}

#[tokio::test]
async fn a_spent_minute_is_waited_for_and_a_spent_day_parks() {
    const MINUTE: &str = "x-ratelimit-minutely-limit: 60\r\nx-ratelimit-minutely-remaining: 0\r\n\
                          x-ratelimit-minutely-reset: 1772359230000";
    const DAY: &str = "x-ratelimit-limit: 5000\r\nx-ratelimit-remaining: 0\r\n\
                       x-ratelimit-reset: 1772409600000";
    let next = r#"{"items":[],"next":"/b"}"#;
    let server = Server::start([say(200, MINUTE, next), say(429, DAY, ""), ok("[]")]).await;
    let mut reader = Reader::new(&server, &next_url());
    reader.next().await.unwrap().unwrap();
    let error = reader.next().await.unwrap_err();
    let quota = Reason::Window { calls: Some(60) };
    let until = "2026-03-01T10:00:30Z".parse().unwrap();
    assert_eq!(
        reader.waits()[0],
        Waiting {
            until,
            reason: quota
        }
    );
    let Error::Parked { resumes_at, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(resumes_at.to_string(), "2026-03-02T00:00:00Z");
    assert_eq!(server.lines().len(), 2);
}

#[tokio::test]
async fn a_stated_budget_holds_for_all_flows_of_a_connection() {
    let next = |number: u64| ok(format!(r#"{{"items":[],"next":"/{number}"}}"#));
    let server = Server::start((0..9).map(next).chain([ok("[]")])).await;
    let mut connection = connection(&server.base);
    connection.manners.budgets = vec![Budget {
        calls: 5,
        per: Duration::from_secs(60),
    }];
    let mut first = Reader::of(&connection, &next_url());
    for _ in 0..4 {
        first.next().await.unwrap().unwrap();
    }
    let mut second = Reader::of(&connection, &next_url());
    second.limits = first.limits;
    second.next().await.unwrap().unwrap();
    assert!(second.waits().is_empty());
    second.next().await.unwrap().unwrap();
    assert_eq!(second.waits().len(), 1);
    assert_eq!(
        seconds(NOW, second.waits()[0].until),
        SignedDuration::from_secs(61)
    );
}
