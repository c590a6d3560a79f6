//! What a person comes back with from the server's page.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::authority::{Authority, back};
use crate::support::{answer, json};

const CODE: &str = "authorize_url = \"{url}/authorize\"\ntoken_url = \"{url}/token\"\n\
                    redirect_uri = \"https://tidegate.example/callback\"\n";

/// Signs in as `more` says; returns the exit code and the last two lines that were said.
fn told(atlas: &Authority, more: &str) -> (Option<i32>, String) {
    let (mut login, url) = atlas.begin();
    login.type_line(&back(&url, more));
    let ran = login.finish();
    let lines: Vec<&str> = ran.stderr.lines().rev().take(2).collect();
    (ran.code, format!("{}\n{}", lines[1], lines[0]))
}

#[test]
fn each_way_of_not_granting_has_its_own_words() {
    let atlas = Authority::new(CODE);
    let cases = [
        (
            "error=access_denied",
            3,
            "error: the authorization server granted nothing: access_denied\n\
             hint: nothing has changed; to agree after all, type `tidegate login atlas` again",
        ),
        (
            // A code beside an error is none.
            "code=c1&error=interaction_required&error_description=AADSTS90094%3A+consent",
            3,
            "error: an administrator must approve the client of connection `atlas` first \
             (interaction_required: AADSTS90094: consent)\n\
             hint: ask an administrator of your organization to approve it, then type \
             `tidegate login atlas` again",
        ),
        (
            "error=invalid_scope",
            2,
            "error: the authorization server refuses what connection `atlas` asks for \
             (invalid_scope)\nhint: check `scopes` of connection `atlas`",
        ),
        (
            "error=temporarily_unavailable",
            1,
            "error: the authorization server cannot sign anybody in just now \
             (temporarily_unavailable)\n\
             hint: nothing has changed; type `tidegate login atlas` later",
        ),
    ];
    for (more, code, words) in cases {
        assert_eq!(told(&atlas, more), (Some(code), words.to_owned()));
    }
    assert!(atlas.asked("/token").is_empty());
}

#[test]
fn the_servers_own_page_is_no_answer() {
    let atlas = Authority::new(CODE);
    let (mut login, url) = atlas.begin();
    login.type_line(url.as_str());
    let ran = login.finish().expect_code(3);
    assert!(
        ran.stderr.ends_with(
            "error: that is a page of the authorization server, which has not sent you back yet\n\
             hint: read what the page says; if it is an error, register \
             https://tidegate.example/callback with the provider to the letter, or ask an \
             administrator to approve the client\n"
        ),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_word_is_taken_for_the_code_only_if_the_person_says_so() {
    let atlas = Authority::new(CODE);
    let (mut login, _) = atlas.begin();
    login.type_line("4/0A-the-code%21");
    login.type_line("no");
    let ran = login.finish().expect_code(3);
    assert!(
        ran.stderr.contains("error: that is no address"),
        "{}",
        ran.stderr
    );
    assert!(atlas.asked("/token").is_empty());

    let (mut login, _) = atlas.begin();
    login.type_line("4/0A-the-code%21");
    login.type_line("yes");
    login.finish().expect_code(0);
    assert_eq!(atlas.asked("/token")[0]["code"], "4/0A-the-code!");
}

#[test]
fn an_answer_from_another_server_is_refused_and_so_is_one_that_hides_its_name() {
    let atlas = Authority::new(&format!("issuer = \"{{url}}\"\n{CODE}"));
    let members = r#""authorization_response_iss_parameter_supported":true,
                     "token_endpoint":"{url}/token""#;
    atlas.publish(members);
    let refused = |more: &str| {
        let (code, words) = told(&atlas, more);
        assert_eq!(code, Some(3));
        assert!(words.contains("does not come from the authorization server that was asked"));
        assert!(words.contains("nothing was sent and nothing has changed"));
    };
    refused("code=c1&iss=https%3A%2F%2Fevil.example");
    refused("code=c1");
    assert!(atlas.asked("/token").is_empty());
    let own: String = url::form_urlencoded::byte_serialize(atlas.server.url.as_bytes()).collect();
    atlas.sign_in(&format!("&iss={own}")).expect_code(0);
}

#[test]
fn pushed_parameters_stay_out_of_the_browser() {
    let settings = "pushed_authorization_request_url = \"{url}/par\"\nscopes = [\"read\"]\n\
                    authorize_params = { prompt = \"consent\" }\n";
    let atlas = Authority::new(&format!("{CODE}{settings}"));
    let pushed = r#"{"request_uri":"urn:ietf:params:oauth:request_uri:6esc","expires_in":60}"#;
    atlas.always("/par", answer(201, &[], pushed));
    let (mut login, url) = atlas.begin();
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        pairs,
        [
            pair("client_id", "tidegate"),
            pair("request_uri", "urn:ietf:params:oauth:request_uri:6esc"),
        ]
    );
    let asked = atlas.asked("/par").pop().unwrap();
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "tidegate"),
        ("client_secret", "CANARY-secret"),
        ("redirect_uri", "https://tidegate.example/callback"),
        ("scope", "read"),
        ("prompt", "consent"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(asked[name], value);
    }
    login.type_line(&format!(
        "https://tidegate.example/callback?code=c1&state={}",
        asked["state"]
    ));
    let ran = login.finish().expect_code(0);
    assert!(
        ran.stderr
            .contains("warning: the address works once, and only within the next 60 s")
    );

    // A server may demand it.
    let atlas = Authority::new(&format!("issuer = \"{{url}}\"\n{CODE}"));
    atlas.publish(
        r#""require_pushed_authorization_requests":true,
           "pushed_authorization_request_endpoint":"{url}/par""#,
    );
    let refused = r#"{"error":"invalid_request","error_description":"CANARY-secret is wrong"}"#;
    atlas.always("/par", answer(400, &[], refused));
    let ran = atlas.house.run(&["login", "atlas"]).expect_code(2);
    assert!(
        ran.stderr
            .contains("refuses what connection `atlas` asks for (invalid_request:")
    );
    assert!(!ran.stderr.contains("CANARY"), "{}", ran.stderr);
    atlas.always("/par", json("{}"));
    atlas.house.run(&["login", "atlas"]).expect_code(2);
}

#[test]
fn the_answer_to_another_login_gets_no_friendly_page() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let atlas = Authority::new(&format!(
        "authorize_url = \"{{url}}/authorize\"\ntoken_url = \"{{url}}/token\"\n\
         redirect_uri = \"http://{address}/callback\"\n"
    ));
    let (login, url) = atlas.begin();
    let visit = |target: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    };
    let strange = visit("/callback?code=c1&state=a-strangers");
    assert!(strange.starts_with("HTTP/1.1 400"), "{strange}");
    assert!(strange.contains("another login"), "{strange}");
    let right = back(&url, "code=c1");
    let right = right.strip_prefix(&format!("http://{address}")).unwrap();
    assert!(visit(right).contains("Back to the terminal"));
    login.finish().expect_code(0);
}
