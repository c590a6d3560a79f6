//! Somebody must sign in, or tried to.

use std::time::Duration;

use insta::assert_snapshot;
use tidegate::sandbox::{At, Canned, Fault, Settings};
use url::Url;

use crate::support::{Exact, Ran};

/// Longer than an access token lives.
const BREAK: Duration = Duration::from_secs(15 * 60);

fn signed_in() -> Exact {
    let exact = Exact::new(Settings::default());
    exact.sign_in();
    exact.house.run(&["--run-now"]).expect_code(0);
    exact
}

/// Tries to sign in on a connection that has tokens; shows that they stay whatever comes of it.
fn tried(browse: impl FnOnce(&Exact, &Url) -> String) -> String {
    let exact = signed_in();
    let ran = exact.sign_in_with(browse);
    let block = shown(&exact, &ran);
    assert_eq!(exact.generation(), Some(1));
    exact.house.run(&["--run-now"]).expect_code(0);
    block
}

/// What is pinned of a login: the address is another each time.
fn shown(exact: &Exact, ran: &Ran) -> String {
    ran.block(&exact.house)
        .lines()
        .map(|line| match line.split_once('?') {
            Some((address, _)) if line.starts_with("http") => format!("{address}?…\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn whoever_never_signed_in_is_told_the_command() {
    let exact = Exact::new(Settings::default());
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 3
    --- stdout
    project: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `project`: connection `exact` needs a login: nobody has signed in yet
    hint: type `tidegate login exact`
    ");
    let status = exact.house.run(&["status"]);
    assert_snapshot!(status.block(&exact.house), @r"
    exit 1
    --- stdout
    not well: `project` needs login, `exact` needs login
    the service is not running, so nothing runs by itself

     FLOW     STATE        LAST SUCCESS  LAST RUN  NEXT
     project  needs login  never         failed    -

     CONNECTION  STATE        ACCESS TOKEN ENDS  LOGIN ENDS  WHY
     exact       needs login  -                  -           never signed in
    exact: type `tidegate login exact`

    project: connection `exact` needs a login: nobody has signed in yet
      type `tidegate login exact`
    ");
    let connections = exact.house.run(&["connections"]);
    assert_snapshot!(connections.block(&exact.house), @r"
    exit 3
    --- stdout
     CONNECTION  STATE        ACCESS TOKEN ENDS  LOGIN ENDS  WHY
     exact       needs login  -                  -           never signed in
    exact: type `tidegate login exact`
    ");
    assert!(exact.sandbox.ledger().api_requests().is_empty());
}

#[test]
fn a_withdrawn_consent_ends_in_a_login_and_loses_nothing() {
    let exact = signed_in();
    exact.sandbox.withdraw_consent();
    exact.house.clock().advance(BREAK).unwrap();
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 3
    --- stdout
    project: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `project`: connection `exact` needs a login: its refresh token was refused at its first use (HTTP 400, `invalid_grant`: Token is not allowed, because of invalid or empty chainId)
    hint: type `tidegate login exact`; if its first refresh is refused again, check whether the server lets this client refresh
    ");
    let status = exact.house.run(&["status"]);
    assert_snapshot!(status.block(&exact.house), @r"
    exit 1
    --- stdout
    not well: `project` needs login, `exact` needs login
    the service is not running, so nothing runs by itself

     FLOW     STATE        LAST SUCCESS  LAST RUN  NEXT
     project  needs login  15 min ago    failed    -

     CONNECTION  STATE        ACCESS TOKEN ENDS  LOGIN ENDS  WHY
     exact       needs login  5 min ago          -           never worked: HTTP 400, `invalid_grant`: Token is not allowed, because of invalid or empty chainId
    exact: type `tidegate login exact`; if its first refresh is refused again, check whether the server lets this client refresh

    project: connection `exact` needs a login: its refresh token was refused at its first use (HTTP 400, `invalid_grant`: Token is not allowed, because of invalid or empty chainId)
      type `tidegate login exact`; if its first refresh is refused again, check whether the server lets this client refresh
    ");

    // Nobody is asked again until somebody has signed in.
    let asked = exact.sandbox.ledger().token_requests().len();
    exact.house.clock().advance(BREAK).unwrap();
    exact.house.run(&["--run-now"]).expect_code(3);
    assert_eq!(exact.sandbox.ledger().token_requests().len(), asked);
    assert_eq!(exact.table(), exact.truth());

    exact.sign_in();
    exact.house.run(&["--run-now"]).expect_code(0);
    exact.house.run(&["status"]).expect_code(0);
    assert_eq!(exact.generation(), Some(2));
}

#[test]
fn whoever_says_no_is_believed() {
    assert_snapshot!(tried(Exact::deny), @r"
    exit 3
    --- stdout
    http://127.0.0.1:PORT/api/oauth2/auth?…
    --- stderr
    Open this address and sign in:


    Afterwards the browser goes to https://tidegate.example/oauth-callback, which may show nothing or an error.
    Copy the whole address from its address bar, paste it here and press Enter:
    error: the authorization server granted nothing: access_denied
    hint: nothing has changed; to agree after all, type `tidegate login exact` again
    ");
}

#[test]
fn the_answer_to_another_login_is_not_taken() {
    let told = tried(|exact, url| {
        let back = Url::parse(&exact.consent(url)).unwrap();
        let code = back.query_pairs().find(|(name, _)| name == "code").unwrap();
        format!(
            "{}?code={}&state=a-strangers",
            exact.sandbox.redirect_uri(),
            code.1
        )
    });
    assert_snapshot!(told, @r"
    exit 3
    --- stdout
    http://127.0.0.1:PORT/api/oauth2/auth?…
    --- stderr
    Open this address and sign in:


    Afterwards the browser goes to https://tidegate.example/oauth-callback, which may show nothing or an error.
    Copy the whole address from its address bar, paste it here and press Enter:
    error: that answer belongs to another login
    hint: paste the whole URL from the browser's address bar
    ");
}

#[test]
fn a_code_that_the_server_does_not_know_is_told() {
    let told = tried(|exact, url| {
        let (_, state) = url.query_pairs().find(|(name, _)| name == "state").unwrap();
        format!(
            "{}?code=made-up&state={state}",
            exact.sandbox.redirect_uri()
        )
    });
    assert_snapshot!(told, @r"
    exit 3
    --- stdout
    http://127.0.0.1:PORT/api/oauth2/auth?…
    --- stderr
    Open this address and sign in:


    Afterwards the browser goes to https://tidegate.example/oauth-callback, which may show nothing or an error.
    Copy the whole address from its address bar, paste it here and press Enter:
    error: the authorization server refused the code of connection `exact` (HTTP 400, `invalid_grant`: The authorization code is not valid.)
    hint: type `tidegate login exact` again: a code works once, and not for long
    ");
}

#[test]
fn an_empty_line_is_no_answer() {
    assert_snapshot!(tried(|_, _| String::new()), @r"
    exit 3
    --- stdout
    http://127.0.0.1:PORT/api/oauth2/auth?…
    --- stderr
    Open this address and sign in:


    Afterwards the browser goes to https://tidegate.example/oauth-callback, which may show nothing or an error.
    Copy the whole address from its address bar, paste it here and press Enter:
    error: nothing was pasted
    hint: begin again, and paste the whole address that the browser ended at
    ");
}

#[test]
fn a_login_whose_answer_is_lost_can_be_begun_again() {
    let told = tried(|exact, url| {
        exact.sandbox.inject(At::Token, Fault::Drop, 1);
        exact.consent(url)
    });
    assert_snapshot!(told, @r"
    exit 3
    --- stdout
    http://127.0.0.1:PORT/api/oauth2/auth?…
    --- stderr
    Open this address and sign in:


    Afterwards the browser goes to https://tidegate.example/oauth-callback, which may show nothing or an error.
    Copy the whole address from its address bar, paste it here and press Enter:
    error: the tokens of connection `exact` were lost on their way (the answer of http://127.0.0.1:PORT was lost: connection closed before message completed)
    hint: type `tidegate login exact` again: a code works once, and not for long
    ");
}

#[test]
fn a_web_page_in_the_place_of_tokens_is_told() {
    let told = tried(|exact, url| {
        exact
            .sandbox
            .inject(At::Token, Fault::Refuse(Canned::Html(200)), 1);
        exact.consent(url)
    });
    assert_snapshot!(told, @r"
    exit 3
    --- stdout
    http://127.0.0.1:PORT/api/oauth2/auth?…
    --- stderr
    Open this address and sign in:


    Afterwards the browser goes to https://tidegate.example/oauth-callback, which may show nothing or an error.
    Copy the whole address from its address bar, paste it here and press Enter:
    error: the tokens of connection `exact` were lost on their way (HTTP 200)
    hint: type `tidegate login exact` again: a code works once, and not for long
    ");
}

#[test]
fn a_wrong_client_secret_is_told_and_not_tried_over_and_over() {
    let exact = signed_in();
    let secret = exact.sandbox.client_secret();
    exact.house.write_private("client-secret", "not-the-secret");
    exact.house.clock().advance(BREAK).unwrap();
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 1
    --- stdout
    project: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `project`: the authorization server rejects the client of connection `exact` (HTTP 401, `invalid_client`: Client authentication failed.)
    hint: check `client_id` and `client_secret` of connection `exact`
    ");
    let connections = exact.house.run(&["connections"]);
    assert_snapshot!(connections.block(&exact.house), @r"
    exit 2
    --- stdout
     CONNECTION  STATE            ACCESS TOKEN ENDS  LOGIN ENDS  WHY
     exact       client rejected  5 min ago          -           client refused: HTTP 401, `invalid_client`: Client authentication failed.
    exact: check `client_id` and `client_secret` of connection `exact`
    ");
    let asked = exact.sandbox.ledger().token_requests().len();
    exact.house.run(&["--run-now"]).expect_code(1);
    assert_eq!(exact.sandbox.ledger().token_requests().len(), asked);

    // Another secret is tried at once, with the refresh token that was kept.
    exact.house.write_private("client-secret", &secret);
    exact.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(exact.generation(), Some(2));
}

#[test]
fn a_token_endpoint_that_is_away_is_waited_for() {
    let mut exact = signed_in();
    exact.house.clock().advance(BREAK).unwrap();
    exact.stop();
    let ran = exact.house.run_as_time_passes(&["--run-now"]);
    assert_snapshot!(ran.timeless_block(&exact.house), @r"
    exit 1
    --- stdout
    project: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `project`: connection `exact` has no access token until WHEN: the authorization server could not be reached (could not connect to http://127.0.0.1:PORT: Connection refused (os error 111))
    hint: nothing to do; the next run starts again from the bookmark
    ");
    assert_eq!(exact.generation(), Some(1));
    exact.resume();
    exact.house.clock().advance(BREAK).unwrap();
    exact.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(exact.generation(), Some(2));
    assert!(exact.sandbox.ledger().reuses().is_empty());
}

#[test]
fn a_missing_client_secret_is_named() {
    let exact = signed_in();
    std::fs::remove_file(exact.house.path("client-secret")).unwrap();
    exact.house.clock().advance(BREAK).unwrap();
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 1
    --- stdout
    project: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `project`: could not read the client secret of connection `exact`: could not read `HOUSE/client-secret`: No such file or directory (os error 2)
    hint: look at where `[connection.exact]` takes it from
    ");
    let login = exact.house.run(&["login", "exact", "--no-browser"]);
    assert_snapshot!(login.block(&exact.house), @r"
    exit 2
    --- stderr
    error: could not read the client secret of connection `exact`: could not read `HOUSE/client-secret`: No such file or directory (os error 2)
    hint: look at where `[connection.exact]` takes it from
    ");
    exact
        .house
        .write_private("client-secret", &exact.sandbox.client_secret());
    exact.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(exact.generation(), Some(2));
}
