//! The server tells where it answers.

use crate::authority::{Authority, BREAK, METADATA, tokens};
use crate::support::{answer, json};

/// A connection that names its server and nothing else of it.
const ISSUER: &str = "issuer = \"{url}\"\nredirect_uri = \"https://tidegate.example/callback\"\n";
/// Where the server says that it answers.
const ENDPOINTS: &str =
    r#""authorization_endpoint":"{url}/authorize","token_endpoint":"{url}/token""#;

#[test]
fn a_connection_needs_no_more_than_the_name_of_its_server() {
    let atlas = Authority::new(ISSUER);
    atlas.publish(ENDPOINTS);
    let (mut login, url) = atlas.begin();
    assert_eq!(url.path(), "/authorize");
    login.type_line(&crate::authority::back(&url, "code=c1"));
    login.finish().expect_code(0);
    atlas.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(atlas.asked("/token").len(), 1);
    assert_eq!(atlas.asked(METADATA).len(), 1);
}

#[test]
fn openid_connect_has_its_own_place_for_it() {
    let atlas = Authority::new(&format!("{ISSUER}scopes = [\"openid\"]\n"));
    let body = format!(r#"{{"issuer":"{{url}}",{ENDPOINTS}}}"#).replace("{url}", &atlas.server.url);
    atlas.always("/.well-known/openid-configuration", json(&body));
    let (_, url) = atlas.begin();
    assert_eq!(url.path(), "/authorize");
    assert!(
        atlas.asked(METADATA).is_empty(),
        "the likelier place comes first"
    );
}

#[test]
fn no_refresh_waits_for_a_document_that_is_not_to_be_had() {
    let atlas = Authority::new(ISSUER);
    atlas.publish(ENDPOINTS);
    atlas.sign_in("").expect_code(0);
    atlas.always(METADATA, answer(503, &[], "down"));
    // So long that the document is looked at again.
    for generation in 2..4 {
        atlas.house.clock().advance(BREAK * 100).unwrap();
        atlas.always("/token", json(&tokens(generation)));
        atlas.house.run(&["--run-now"]).expect_code(0);
    }
    assert_eq!(atlas.asked("/token").len(), 3);
    assert!(atlas.asked(METADATA).len() > 2);
}

#[test]
fn a_move_to_another_host_is_told_and_followed_only_after_a_login() {
    let atlas = Authority::new(ISSUER);
    let elsewhere = Authority::new(ISSUER);
    atlas.publish(ENDPOINTS);
    atlas.sign_in("").expect_code(0);
    let moved = format!(
        r#""authorization_endpoint":"{{url}}/authorize","token_endpoint":"{}/token""#,
        elsewhere.server.url
    );
    atlas.publish(&moved);
    atlas.house.clock().advance(BREAK * 100).unwrap();
    let daemon = atlas.house.start_daemon();
    atlas.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(
        (atlas.asked("/token").len(), elsewhere.asked("/token").len()),
        (2, 0)
    );
    let shown = atlas.house.run(&["connections"]).expect_code(0).stdout;
    let told = format!(
        "atlas: the server says that its token endpoint is at {} now, not at {}",
        elsewhere.server.url, atlas.server.url
    );
    assert!(shown.contains(&told), "{shown}");
    drop(daemon);

    let ran = atlas.sign_in("").expect_code(0);
    assert!(
        ran.stderr
            .contains("warning: the server says that its token endpoint")
    );
    assert_eq!(elsewhere.asked("/token").len(), 1);
    atlas.house.clock().advance(BREAK).unwrap();
    atlas.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(
        (atlas.asked("/token").len(), elsewhere.asked("/token").len()),
        (2, 2)
    );
}

#[test]
fn a_token_endpoint_that_is_gone_is_looked_for_once_and_found() {
    let atlas = Authority::new(ISSUER);
    atlas.publish(ENDPOINTS);
    atlas.sign_in("").expect_code(0);
    atlas.always("/token", answer(404, &[], "gone"));
    atlas.always("/v2/token", json(&tokens(2)));
    atlas
        .publish(r#""authorization_endpoint":"{url}/authorize","token_endpoint":"{url}/v2/token""#);
    atlas.house.clock().advance(BREAK).unwrap();
    atlas.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(atlas.asked("/v2/token").len(), 1);
}

#[test]
fn a_document_about_another_server_is_not_used() {
    let atlas = Authority::new(ISSUER);
    let body =
        format!(r#"{{"issuer":"{{url}}/",{ENDPOINTS}}}"#).replace("{url}", &atlas.server.url);
    atlas.next(METADATA, json(&body));
    let ran = atlas.house.run(&["login", "atlas"]).expect_code(2);
    let url = &atlas.server.url;
    assert_eq!(
        ran.stderr,
        format!(
            "error: could not find out where the authorization server of connection `atlas` answers: \
             what {url}{METADATA} says is not used: it is about `{url}/`, which is not the `issuer` \
             to the letter\n\
             hint: write the `issuer` as the server does, or `token_url` and the others instead\n"
        )
    );
}
