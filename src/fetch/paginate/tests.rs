use super::super::records::{Place, Plan};
use super::*;

const BASE: &str = "https://api.example.com/v1/items?%24select=ID%2cCode&x='a'%20b";

fn path(text: &str) -> FieldPath {
    text.parse().unwrap()
}

fn pager(style: Style) -> Pager {
    Pager::new(&style.into(), 100)
}

/// Where the source may send us.
fn allowed() -> [Origin; 2] {
    ["https://api.example.com", "https://files.example.com:8443"]
        .map(|origin| origin.parse::<Url>().unwrap().origin())
}

/// Feeds one body to a pager, as the answer of `url`.
fn feed(pager: &mut Pager, place: Place, url: &str, body: &str) -> Result<Option<Way>, Problem> {
    feed_with(pager, place, url, body, &HeaderMap::new())
}

fn feed_with(
    pager: &mut Pager,
    place: Place,
    url: &str,
    body: &str,
    headers: &HeaderMap,
) -> Result<Option<Way>, Problem> {
    let found = Plan::new(place, None, &pager.values()).find(body).unwrap();
    let url = url.parse().unwrap();
    let next = pager.next(&Answered {
        url: &url,
        authorization: None,
        allowed: &allowed(),
        headers,
        came: body.as_bytes(),
        body: body.as_bytes(),
        found: &found,
    });
    Ok(next?.map(|ask| ask.way))
}

fn by_cursor(at: &str, send: SendCursor) -> Style {
    Style::Cursor {
        at: Source::Body(path(at)),
        send: Some(send),
        more: None,
        continue_url: None,
    }
}

/// Positions from `first`, with pages of `limit`.
fn positions(first: u64, limit: u64, overlap: u64, end: End) -> Style {
    Style::Offset {
        param: Some("offset".into()),
        first,
        limit_param: Some("limit".into()),
        limit,
        overlap,
        end,
    }
}

fn items() -> Place {
    Place::At(path("items"))
}

fn query<const N: usize>(pairs: [(&str, &str); N]) -> Way {
    Way::Query(
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
    )
}

/// A body with `count` records that no other body has.
fn page(start: u64, count: u64, rest: &str) -> String {
    let records: Vec<_> = (start..start + count)
        .map(|id| format!(r#"{{"id":{id}}}"#))
        .collect();
    format!(r#"{{"items":[{}]{rest}}}"#, records.join(","))
}

#[test]
fn links_are_followed_as_given() {
    let cases = [
        (
            "https://api.example.com/v1/items?$skiptoken=guid'a',5L",
            "https://api.example.com/v1/items?$skiptoken=guid%27a%27,5L",
        ),
        (
            "https://API.example.com:443/b?t=2018-09-21T04%3A18%3A55.617%2c&x=a+b%20c",
            "https://api.example.com/b?t=2018-09-21T04%3A18%3A55.617%2c&x=a+b%20c",
        ),
        (
            "/v1/items?page=2",
            "https://api.example.com/v1/items?page=2",
        ),
        ("../v2/items?a=;", "https://api.example.com/v2/items?a=;"),
        (
            "?page=2&$top=5",
            "https://api.example.com/v1/items?page=2&$top=5",
        ),
        (
            "https://files.example.com:8443/x",
            "https://files.example.com:8443/x",
        ),
    ];
    for (link, followed) in cases {
        let body = page(0, 1, &format!(r#","next":"{link}""#));
        let next = feed(
            &mut pager(Style::NextUrl {
                at: Source::Body(path("next")),
            }),
            items(),
            BASE,
            &body,
        );
        assert_eq!(
            next,
            Ok(Some(Way::Link(followed.parse().unwrap()))),
            "{link}"
        );
        let Ok(Some(Way::Link(url))) = next else {
            unreachable!()
        };
        assert_eq!(url.as_str(), followed);
    }
}

#[test]
fn a_link_elsewhere_is_not_followed() {
    let foreign = |origin: &str| Problem::Foreign {
        origin: origin.to_owned(),
    };
    let cases = [
        ("https://evil.example/a", foreign("https://evil.example")),
        ("//evil.example/a", foreign("https://evil.example")),
        (
            "https://api.example.com:444/a",
            foreign("https://api.example.com:444"),
        ),
        (
            "https://api.example.com@evil.example/",
            foreign("https://evil.example"),
        ),
        (
            "https://me:pw@api.example.com/",
            foreign("https://api.example.com"),
        ),
        (
            "http://api.example.com/a",
            Problem::Downgrade {
                origin: "http://api.example.com".to_owned(),
            },
        ),
        ("https://", Problem::NotALink),
    ];
    for (link, problem) in cases {
        let body = page(0, 1, &format!(r#","next":"{link}""#));
        let mut pager = pager(Style::NextUrl {
            at: Source::Body(path("next")),
        });
        assert_eq!(
            feed(&mut pager, items(), BASE, &body),
            Err(problem),
            "{link}"
        );
    }
}

#[test]
fn absent_null_and_empty_links_end_and_an_empty_page_with_a_link_does_not() {
    for rest in ["", r#","next":null"#, r#","next":"""#, r#","next":false"#] {
        let mut pager = pager(Style::NextUrl {
            at: Source::Body(path("next")),
        });
        assert_eq!(
            feed(&mut pager, items(), BASE, &page(0, 3, rest)),
            Ok(None),
            "{rest}"
        );
    }
    let mut pager = pager(Style::NextUrl {
        at: Source::Body(path("next")),
    });
    for number in 2..6 {
        let body = page(0, 0, &format!(r#","next":"?page={number}""#));
        assert!(feed(&mut pager, items(), BASE, &body).unwrap().is_some());
    }
}

#[test]
fn odata_links_of_all_versions_are_known() {
    let link = "https://api.example.com/v1/items?$skiptoken=2";
    let bodies = [
        format!(r#"{{"d":{{"results":[{{"ID":1}}],"__next":"{link}"}}}}"#),
        format!(r#"{{"odata.metadata":"m","value":[{{"ID":1}}],"odata.nextLink":"{link}"}}"#),
        format!(r#"{{"@odata.context":"m","value":[],"@odata.nextLink":"{link}"}}"#),
        format!(r#"{{"value":[{{"ID":1}}],"@nextLink":"{link}"}}"#),
    ];
    for body in bodies {
        let next = feed(&mut pager(Style::OData), Place::OData, BASE, &body);
        assert_eq!(next, Ok(Some(Way::Link(link.parse().unwrap()))), "{body}");
    }
    let last = r#"{"d":[{"ID":1}]}"#;
    assert_eq!(
        feed(&mut pager(Style::OData), Place::OData, BASE, last),
        Ok(None)
    );
}

#[test]
fn the_link_header_names_the_next_page() {
    let mut headers = HeaderMap::new();
    headers.insert("link", r#"</v1/items?page=2>; rel="next""#.parse().unwrap());
    let next = feed_with(
        &mut pager(Style::LinkHeader),
        Place::Root,
        BASE,
        "[{}]",
        &headers,
    );
    let link = "https://api.example.com/v1/items?page=2".parse().unwrap();
    assert_eq!(next, Ok(Some(Way::Link(link))));
    assert_eq!(
        feed(&mut pager(Style::LinkHeader), Place::Root, BASE, "[{}]"),
        Ok(None)
    );
}

#[test]
fn a_cursor_goes_where_it_is_wanted() {
    let cases = [
        (
            SendCursor::Query("after".into()),
            r#""a b""#,
            query([("after", "a b")]),
        ),
        (
            SendCursor::Header("x-next".into()),
            "17",
            Way::Header("x-next".into(), "17".into()),
        ),
        (
            SendCursor::Body(path("page.cursor")),
            "17",
            Way::Body(path("page.cursor"), Scalar::Number("17".into())),
        ),
    ];
    for (send, word, ask) in cases {
        let mut pager = pager(by_cursor("meta.next", send));
        assert_eq!(pager.first().way, query([]));
        let body = page(0, 1, &format!(r#","meta":{{"next":{word}}}"#));
        assert_eq!(feed(&mut pager, items(), BASE, &body), Ok(Some(ask)));
        assert_eq!(feed(&mut pager, items(), BASE, &page(1, 1, "")), Ok(None));
    }
}

#[test]
fn a_flag_beside_a_cursor_decides() {
    let cases = [
        (r#","next":"a","more":false"#, Ok(None)),
        (r#","next":"a","more":true"#, Ok(Some(query([("c", "a")])))),
        (r#","next":"a""#, Ok(Some(query([("c", "a")])))),
        (r#","more":true"#, Err(Problem::NoCursor)),
        (r#","next":true"#, Err(Problem::NotACursor)),
        ("", Ok(None)),
    ];
    for (rest, next) in cases {
        let send = SendCursor::Query("c".into());
        let more = Some(path("more"));
        let mut pager = pager(Style::Cursor {
            at: Source::Body(path("next")),
            send: Some(send),
            more,
            continue_url: None,
        });
        assert_eq!(
            feed(&mut pager, items(), BASE, &page(0, 1, rest)),
            next,
            "{rest}"
        );
    }
}

/// What the last page is known by, and the counts of successive pages with what each says beside
/// its records.
type Numbered = (End, Vec<(u64, &'static str)>);

#[test]
fn numbered_pages_end_when_the_source_has_no_more() {
    let records = || End::Told(Total::Records(path("total")));
    let pages = || End::Told(Total::Pages(path("total")));
    let more = || End::Told(Total::More(path("more")));
    let short = End::Untold {
        short_page: true,
        past_end: None,
    };
    let cases: Vec<Numbered> = vec![
        // Nothing is said: only an empty page is the last. A short one in the middle is none.
        (End::EMPTY, vec![(10, ""), (10, ""), (3, ""), (0, "")]),
        (End::EMPTY, vec![(10, ""), (3, ""), (10, ""), (0, "")]),
        (End::EMPTY, vec![(0, "")]),
        // A short page is the last if that is said; but not the first page, since the source may
        // not give as many as we want.
        (short.clone(), vec![(10, ""), (10, ""), (3, "")]),
        (short.clone(), vec![(100, ""), (100, ""), (57, "")]),
        (short, vec![(4, ""), (0, "")]),
        // A total saves the last question, whatever the lengths.
        (
            records(),
            vec![(10, r#","total":13"#), (3, r#","total":13"#)],
        ),
        (
            records(),
            vec![(5, r#","total":"8""#), (3, r#","total":"8""#)],
        ),
        (
            records(),
            vec![(10, r#","total":50"#), (0, r#","total":50"#)],
        ),
        (pages(), vec![(10, r#","total":2"#), (2, r#","total":2"#)]),
        // A flag decides, over empty pages too; where it is missing an empty page does.
        (
            more(),
            vec![
                (0, r#","more":true"#),
                (2, r#","more":true"#),
                (9, r#","more":false"#),
            ],
        ),
        (more(), vec![(10, ""), (9, ""), (0, "")]),
        (records(), vec![(10, ""), (9, ""), (0, "")]),
    ];
    for (end, pages) in cases {
        let label = format!("{end:?} {pages:?}");
        let mut pager = pager(Style::Page {
            param: Some("page".into()),
            first: 1,
            size: Some(("size".to_owned(), 10)),
            end,
        });
        assert!(matches!(pager.first().way, Way::Query(query) if query[0].1 == "1"));
        let (last, others) = pages.split_last().unwrap();
        for (index, (count, rest)) in others.iter().enumerate() {
            let body = page(1_000 * index as u64, *count, rest);
            let next = feed(&mut pager, items(), BASE, &body).unwrap();
            let Some(Way::Query(query)) = next else {
                panic!("{label}: ended at {index}")
            };
            assert_eq!(
                query[0],
                ("page".to_owned(), (index + 2).to_string()),
                "{label}"
            );
        }
        let body = page(90_000, last.0, last.1);
        assert_eq!(feed(&mut pager, items(), BASE, &body), Ok(None), "{label}");
    }
}

#[test]
fn positions_move_by_what_came() {
    let mut pager = pager(positions(1, 500, 0, End::EMPTY));
    assert_eq!(
        pager.first().way,
        query([("offset", "1"), ("limit", "500")])
    );
    for (at, count, next) in [(0, 100, "101"), (100, 7, "108"), (107, 100, "208")] {
        let asked = feed(&mut pager, items(), BASE, &page(at, count, ""));
        assert_eq!(asked, Ok(Some(query([("offset", next), ("limit", "500")]))));
    }
    assert_eq!(feed(&mut pager, items(), BASE, &page(207, 0, "")), Ok(None));
}

#[test]
fn pages_that_overlap_ask_again_for_what_may_have_moved() {
    // 103 records in pages of 50, each with the last 5 of the one before.
    let end = || End::Told(Total::Records(path("total")));
    for (end, rest) in [(End::EMPTY, ""), (end(), r#","total":103"#)] {
        let is_told = matches!(end, End::Told(_));
        let mut pager = pager(positions(0, 50, 5, end));
        assert_eq!(pager.first().turn.offset, 0);
        let mut position = 0;
        for next in [45, 90] {
            let body = page(position, 50, rest);
            let asked = feed(&mut pager, items(), BASE, &body);
            let next_text = next.to_string();
            assert_eq!(
                asked,
                Ok(Some(query([("offset", &next_text), ("limit", "50")])))
            );
            position = next;
        }
        let asked = feed(&mut pager, items(), BASE, &page(90, 13, rest));
        if is_told {
            assert_eq!(asked, Ok(None));
            continue;
        }
        // What comes now has come before: that is what an empty page is without an overlap.
        assert_eq!(asked, Ok(Some(query([("offset", "98"), ("limit", "50")]))));
        assert_eq!(feed(&mut pager, items(), BASE, &page(98, 5, "")), Ok(None));
    }
}

#[test]
fn a_last_page_that_comes_for_ever_ends_only_where_that_is_said() {
    let paging = |past_end| Style::Page {
        param: Some("p".into()),
        first: 0,
        size: None,
        end: End::Untold {
            short_page: false,
            past_end,
        },
    };
    let last = page(10, 7, "");
    for count in [0, 2] {
        let mut told = pager(paging(Some(PastEnd::Repeats)));
        let mut untold = pager(paging(None));
        for number in 0..count {
            let body = page(1_000 * (number + 1), 7, "");
            assert!(feed(&mut told, items(), BASE, &body).unwrap().is_some());
            assert!(feed(&mut untold, items(), BASE, &body).unwrap().is_some());
        }
        assert!(feed(&mut told, items(), BASE, &last).unwrap().is_some());
        assert_eq!(feed(&mut told, items(), BASE, &last), Ok(None));
        assert!(feed(&mut untold, items(), BASE, &last).unwrap().is_some());
        assert_eq!(feed(&mut untold, items(), BASE, &last), Err(Problem::Again));
    }
    // A page that only begins and ends like the one before is another one.
    let mut told = pager(paging(Some(PastEnd::Repeats)));
    let like = last.replace("12", "99");
    assert!(feed(&mut told, items(), BASE, &last).unwrap().is_some());
    assert_eq!(feed(&mut told, items(), BASE, &like), Err(Problem::Again));
}

#[test]
fn headers_may_say_what_leads_on() {
    let answer = |name: &'static str, value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    };
    let next = |style: Style, headers: &HeaderMap| {
        feed_with(&mut pager(style), items(), BASE, &page(0, 1, ""), headers)
    };
    let url = || Style::NextUrl {
        at: Source::Header("X-Next".into()),
    };
    let link = "https://api.example.com/v1/more?p=2".parse().unwrap();
    assert_eq!(
        next(url(), &answer("x-next", "/v1/more?p=2")),
        Ok(Some(Way::Link(link)))
    );
    assert_eq!(next(url(), &answer("x-next", " ")), Ok(None));
    assert_eq!(next(url(), &HeaderMap::new()), Ok(None));
    let foreign = next(url(), &answer("x-next", "https://evil.example/"));
    assert!(
        matches!(foreign, Err(Problem::Foreign { .. })),
        "{foreign:?}"
    );

    let cursor = || Style::Cursor {
        at: Source::Header("Sforce-Locator".into()),
        send: Some(SendCursor::Query("locator".into())),
        more: None,
        continue_url: None,
    };
    let asked = next(cursor(), &answer("sforce-locator", "MTAw"));
    assert_eq!(asked, Ok(Some(query([("locator", "MTAw")]))));
    assert_eq!(next(cursor(), &HeaderMap::new()), Ok(None));
}

#[test]
fn an_object_of_parameters_leads_on() {
    let style = || Style::Continue {
        path: path("continue"),
    };
    let next = |rest: &str| feed(&mut pager(style()), items(), BASE, &page(0, 1, rest));
    assert_eq!(
        next(r#","continue":{"apcontinue":"A|b","continue":"-||","n":7}"#),
        Ok(Some(query([
            ("apcontinue", "A|b"),
            ("continue", "-||"),
            ("n", "7")
        ])))
    );
    for rest in ["", r#","continue":null"#, r#","continue":{}"#] {
        assert_eq!(next(rest), Ok(None), "{rest}");
    }
    let path = path("continue");
    for rest in [
        r#","continue":"x""#,
        r#","continue":{"a":{"b":1}}"#,
        r#","continue":[1]"#,
    ] {
        let path = path.clone();
        assert_eq!(next(rest), Err(Problem::NotParameters { path }), "{rest}");
    }
}

#[test]
fn the_last_record_leads_on() {
    let style = |more: Option<&str>| Style::Keyset {
        field: path("ref.id"),
        send: Some(SendCursor::Query("after".into())),
        more: more.map(path),
    };
    let body = |ids: &[&str], rest: &str| {
        let records: Vec<_> = ids
            .iter()
            .map(|id| format!(r#"{{"ref":{{"id":{id}}}}}"#))
            .collect();
        format!(r#"{{"items":[{}]{rest}}}"#, records.join(","))
    };
    let mut untold = pager(style(None));
    assert_eq!(untold.first().way, query([]));
    for (ids, after) in [(["1", "2"], "2"), (["\"a\"", "\"a b\""], "a b")] {
        let asked = feed(&mut untold, items(), BASE, &body(&ids, ""));
        assert_eq!(asked, Ok(Some(query([("after", after)]))));
    }
    assert_eq!(feed(&mut untold, items(), BASE, &body(&[], "")), Ok(None));

    let mut told = pager(style(Some("more")));
    let last = body(&["5"], r#","more":false"#);
    assert_eq!(feed(&mut told, items(), BASE, &last), Ok(None));
    let none = body(&[], r#","more":true"#);
    assert_eq!(
        feed(&mut pager(style(Some("more"))), items(), BASE, &none),
        Err(Problem::NoCursor)
    );
    let field = path("ref.id");
    for record in [r#"{"ref":{}}"#, r#"{"ref":{"id":null}}"#, r#"{"ref":7}"#] {
        let body = format!(r#"{{"items":[{record}]}}"#);
        let field = field.clone();
        assert_eq!(
            feed(&mut pager(style(None)), items(), BASE, &body),
            Err(Problem::NoKey { field })
        );
    }
    // The same value again would ask for the same page again.
    let mut stuck = pager(style(None));
    assert!(feed(&mut stuck, items(), BASE, &body(&["1", "2"], "")).is_ok());
    assert_eq!(
        feed(&mut stuck, items(), BASE, &body(&["3", "2"], "")),
        Err(Problem::Circle)
    );
}

#[test]
fn circles_are_noticed_and_caps_hold() {
    let link = |number: u64, to: &str| page(number, 1, &format!(r#","next":"{to}""#));
    let paging = || {
        pager(Style::NextUrl {
            at: Source::Body(path("next")),
        })
    };
    let at = |page: &str| format!("https://api.example.com/{page}");

    let mut own = paging();
    assert_eq!(
        feed(&mut own, items(), &at("a"), &link(1, "/a")),
        Err(Problem::Circle)
    );

    let mut longer = paging();
    assert!(feed(&mut longer, items(), &at("a"), &link(1, "/b")).is_ok());
    assert!(feed(&mut longer, items(), &at("b"), &link(2, "/c")).is_ok());
    assert_eq!(
        feed(&mut longer, items(), &at("c"), &link(3, "/b")),
        Err(Problem::Circle)
    );

    let mut same = paging();
    assert!(feed(&mut same, items(), &at("a"), &link(1, "/b")).is_ok());
    assert_eq!(
        feed(&mut same, items(), &at("b"), &link(1, "/c")),
        Err(Problem::Repeated)
    );

    let send = SendCursor::Query("c".into());
    let mut cursor = pager(by_cursor("next", send));
    assert!(feed(&mut cursor, items(), BASE, &link(1, "x")).is_ok());
    assert_eq!(
        feed(&mut cursor, items(), BASE, &link(2, "x")),
        Err(Problem::Circle)
    );

    let mut capped = paging();
    for number in 1..100 {
        let body = link(number, &format!("/{}", number + 1));
        assert!(feed(&mut capped, items(), &at(&number.to_string()), &body).is_ok());
    }
    let last = feed(&mut capped, items(), &at("100"), &link(100, "/101"));
    assert_eq!(last, Err(Problem::TooMany { cap: 100 }));
}

#[test]
fn templates_are_told_where_the_pages_have_got() {
    let turn = |pager: &mut Pager, body: &str| {
        let found = Plan::new(items(), None, &pager.values())
            .find(body)
            .unwrap();
        let url = BASE.parse().unwrap();
        let headers = HeaderMap::new();
        let answered = Answered {
            url: &url,
            authorization: None,
            allowed: &allowed(),
            headers: &headers,
            came: body.as_bytes(),
            body: body.as_bytes(),
            found: &found,
        };
        pager.next(&answered).unwrap().unwrap().turn
    };
    let counts = |turn: &Turn| (turn.number, turn.offset, turn.limit);

    let mut numbered = pager(Style::Page {
        param: None,
        first: 0,
        size: Some(("size".into(), 3)),
        end: End::EMPTY,
    });
    assert_eq!(counts(&numbered.first().turn), (0, 0, Some(3)));
    assert_eq!(
        counts(&turn(&mut numbered, &page(0, 3, ""))),
        (1, 3, Some(3))
    );

    let mut positioned = pager(positions(1, 5, 0, End::EMPTY));
    assert_eq!(counts(&positioned.first().turn), (1, 1, Some(5)));
    assert_eq!(
        counts(&turn(&mut positioned, &page(0, 4, ""))),
        (2, 5, Some(5))
    );

    let mut by_cursor = pager(by_cursor("next", SendCursor::Query("c".into())));
    let first = by_cursor.first().turn;
    assert_eq!((counts(&first), first.cursor.clone()), ((1, 0, None), None));
    assert!(first.is_first());
    let second = turn(&mut by_cursor, &page(0, 4, r#","next":17"#));
    let cursor = Some(Scalar::Number("17".into()));
    assert_eq!((counts(&second), second.cursor), ((2, 4, None), cursor));
}

#[test]
fn a_url_keeps_what_we_rely_on() {
    // Following a link "as given" holds as far as the parser of URLs lets it: it writes a raw
    // quote as %27, which every server reads as the same, and leaves the rest alone.
    let url: Url = "https://x.example/a?$skiptoken=guid'0',5L&t=a%20b%3Ac%2C+d&u=~!*()"
        .parse()
        .unwrap();
    assert_eq!(
        url.as_str(),
        "https://x.example/a?$skiptoken=guid%270%27,5L&t=a%20b%3Ac%2C+d&u=~!*()"
    );
}
