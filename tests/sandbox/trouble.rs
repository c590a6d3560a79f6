//! Limits, and what goes wrong to order.

use std::time::Duration;

use serde_json::Value;
use tidegate::sandbox::{At, Canned, Delivery, Fault, Outcome, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::guest::{Guest, header, json, tokens};

const PROJECTS: &str = "/api/v1/123456/project/Projects?$select=ID&$top=1";
/// How often, and how long, a test looks whether the other side has noticed.
const LOOKS: u32 = 1_000;
const BETWEEN: Duration = Duration::from_millis(2);

/// Waits until the last token request's answer is known to have got this far.
async fn delivered(guest: &Guest, wanted: Delivery) {
    for _ in 0..LOOKS {
        let requests = guest.sandbox.ledger().token_requests();
        if requests.last().unwrap().delivery == wanted {
            return;
        }
        // Whatever the test did is done; the other side only has to be told by the kernel.
        #[expect(clippy::disallowed_methods, reason = "the kernel knows no other clock")]
        tokio::time::sleep(BETWEEN).await;
    }
    panic!(
        "{:?} is not {wanted:?}",
        guest.sandbox.ledger().token_requests().last()
    );
}

#[tokio::test]
async fn calls_are_counted_by_minute_and_by_day() {
    let settings = Settings {
        calls_per_minute: 2,
        calls_per_day: 3,
        ..Settings::default()
    };
    let guest = Guest::arrive(settings).await;
    let access = guest.sign_in().await.access;
    let first = guest.get(PROJECTS, &access).await;
    assert_eq!(header(&first, "x-ratelimit-remaining"), "2");
    assert_eq!(header(&first, "x-ratelimit-minutely-remaining"), "1");
    // The next full minute, in milliseconds.
    assert_eq!(
        header(&first, "x-ratelimit-minutely-reset"),
        "1767600060000"
    );
    guest.get(PROJECTS, &access).await;
    let spent = guest.get(PROJECTS, &access).await;
    assert_eq!(
        (spent.status().as_u16(), header(&spent, "x-ratelimit-limit")),
        (429, "")
    );
    assert_eq!(header(&spent, "x-ratelimit-minutely-remaining"), "0");
    assert!(spent.bytes().await.unwrap().is_empty());
    guest.pass(60);
    assert_eq!(guest.get(PROJECTS, &access).await.status(), 200);
    let spent = guest.get(PROJECTS, &access).await;
    assert_eq!(
        (
            spent.status().as_u16(),
            header(&spent, "x-ratelimit-minutely-limit")
        ),
        (429, "")
    );
    assert_eq!(header(&spent, "x-ratelimit-reset"), "1767657600000");
    let other = PROJECTS.replace("123456", "123457");
    assert_eq!(guest.get(&other, &access).await.status(), 200);
}

#[tokio::test]
async fn too_many_errors_block_an_endpoint_for_an_hour() {
    let guest = Guest::arrive(Settings::default()).await;
    let access = guest.sign_in().await.access;
    for _ in 0..10 {
        let answer = guest
            .get("/api/v1/123456/project/Projects?$select=Colour", &access)
            .await;
        assert_eq!(answer.status(), 400);
    }
    assert_eq!(guest.get(PROJECTS, &access).await.status(), 403);
    let other = "/api/v1/123456/sync/Deleted";
    assert_eq!(guest.get(other, &access).await.status(), 200);
}

#[tokio::test]
async fn asking_on_with_an_expired_token_blocks_too() {
    let guest = Guest::arrive(Settings::default()).await;
    let access = guest.sign_in().await.access;
    guest.pass(600);
    for _ in 0..10 {
        assert_eq!(guest.get(PROJECTS, &access).await.status(), 401);
    }
    let access = guest.sign_in().await.access;
    assert_eq!(guest.get(PROJECTS, &access).await.status(), 403);
}

#[tokio::test]
async fn a_dropped_answer_was_committed_and_is_known_to_be_withheld() {
    let guest = Guest::arrive(Settings::default()).await;
    let first = guest.sign_in().await;
    guest.pass(600);
    guest.sandbox.inject(At::Token, Fault::Drop, 1);
    assert!(guest.try_refresh(&first.refresh).await.is_err());
    let consumed = guest.sandbox.ledger().consumed_refresh_tokens();
    assert_eq!(consumed[0].delivery, Delivery::Withheld);
    assert_eq!(guest.refresh(&first.refresh).await.status(), 401);
}

#[tokio::test]
async fn a_refusal_by_fault_touches_nothing_and_a_lost_answer_does() {
    let guest = Guest::arrive(Settings::default()).await;
    let first = guest.sign_in().await;
    guest.pass(600);
    for (canned, status) in [
        (Canned::Gateway, 500),
        (Canned::Empty(503), 503),
        (Canned::Html(200), 200),
        (Canned::RetryAfter(30), 429),
    ] {
        guest.sandbox.inject(At::Token, Fault::Refuse(canned), 1);
        assert_eq!(guest.refresh(&first.refresh).await.status(), status);
    }
    let untouched = guest.sandbox.ledger().token_requests();
    assert!(
        untouched[1..]
            .iter()
            .all(|request| request.outcome == Outcome::Untouched)
    );
    guest
        .sandbox
        .inject(At::Token, Fault::Lose(Canned::Gateway), 1);
    assert_eq!(guest.refresh(&first.refresh).await.status(), 500);
    assert_eq!(guest.refresh(&first.refresh).await.status(), 401);
}

#[tokio::test]
async fn bodies_come_slowly_or_half_to_order() {
    let faults = vec![
        (At::Api, Fault::Slow(Duration::from_millis(40)), 1),
        (At::Api, Fault::Cut, 1),
    ];
    let guest = Guest::arrive(Settings {
        faults,
        ..Settings::default()
    })
    .await;
    let access = guest.sign_in().await.access;
    let all = "/api/v1/123456/project/Projects";
    let slow: Value = guest.get_json(all, &access).await;
    assert_eq!(slow["d"]["results"].as_array().unwrap().len(), 60);
    let cut = guest.get(all, &access).await;
    assert_eq!(cut.status(), 200);
    assert!(cut.bytes().await.is_err());
    assert_eq!(guest.get_json(all, &access).await, slow);
    guest.sandbox.inject(At::Api, Fault::Drop, 5);
    guest.sandbox.calm();
    assert_eq!(guest.get(all, &access).await.status(), 200);
}

#[tokio::test]
async fn parallel_token_requests_are_seen() {
    let guest = Guest::arrive(Settings::default()).await;
    let first = guest.sign_in().await;
    guest.pass(600);
    guest
        .sandbox
        .inject(At::Token, Fault::Delay(Duration::from_millis(100)), 2);
    let (one, other) = tokio::join!(guest.refresh(&first.refresh), guest.refresh(&first.refresh));
    let mut statuses = [one.status().as_u16(), other.status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    assert_eq!(guest.sandbox.ledger().peak_parallel_token_requests(), 2);
}

/// Sends a refresh by hand, so that the test holds the socket.
async fn refresh_by_hand(guest: &Guest, token: &str) -> TcpStream {
    let address = guest.sandbox.base_url().socket_addrs(|| None).unwrap()[0];
    let mut socket = TcpStream::connect(address).await.unwrap();
    let body = format!(
        "grant_type=refresh_token&refresh_token={token}&client_id={}&client_secret={}",
        guest.sandbox.client_id(),
        guest.sandbox.client_secret(),
    );
    let head = format!(
        "POST /api/oauth2/token HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n",
        body.len()
    );
    socket
        .write_all(format!("{head}{body}").as_bytes())
        .await
        .unwrap();
    socket
}

#[tokio::test]
async fn the_ledger_knows_whether_an_answer_was_read() {
    let guest = Guest::arrive(Settings::default()).await;
    let mut refresh = guest.sign_in().await.refresh;
    guest.pass(600);
    let answer = guest.refresh(&refresh).await;
    refresh = tokens(&json(answer).await).refresh;
    delivered(&guest, Delivery::Read).await;

    guest.pass(600);
    let mut socket = refresh_by_hand(&guest, &refresh).await;
    socket.readable().await.unwrap();
    delivered(&guest, Delivery::Written).await;
    let mut answer = vec![0; 16 * 1024];
    let length = socket.read(&mut answer).await.unwrap();
    drop(socket);
    delivered(&guest, Delivery::Read).await;
    let answer = String::from_utf8(answer[..length].to_vec()).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    refresh = tokens(&serde_json::from_str(body).unwrap()).refresh;

    guest.pass(600);
    let socket = refresh_by_hand(&guest, &refresh).await;
    socket.readable().await.unwrap();
    drop(socket);
    delivered(&guest, Delivery::Unread).await;
}

#[tokio::test]
async fn the_ledger_sees_through_slow_and_cut_answers() {
    let guest = Guest::arrive(Settings::default()).await;
    let slow = |millis| Fault::Slow(Duration::from_millis(millis));
    let first = guest.sign_in().await;
    guest.pass(600);
    guest.sandbox.inject(At::Token, slow(16), 1);
    let second = tokens(&json(guest.refresh(&first.refresh).await).await);
    delivered(&guest, Delivery::Read).await;

    guest.pass(600);
    guest.sandbox.inject(At::Token, slow(60_000), 1);
    let begun = guest.refresh(&second.refresh).await;
    assert_eq!(begun.status(), 200);
    drop(begun);
    delivered(&guest, Delivery::Unwritten).await;

    let third = guest.sign_in().await;
    guest.pass(600);
    guest.sandbox.inject(At::Token, Fault::Cut, 1);
    assert!(guest.refresh(&third.refresh).await.bytes().await.is_err());
    delivered(&guest, Delivery::Withheld).await;
}

#[tokio::test]
async fn a_client_that_left_before_the_answer_has_not_got_it() {
    let guest = Guest::arrive(Settings::default()).await;
    let refresh = guest.sign_in().await.refresh;
    guest.pass(600);
    guest
        .sandbox
        .inject(At::Token, Fault::Delay(Duration::from_secs(60)), 1);
    let socket = refresh_by_hand(&guest, &refresh).await;
    delivered(&guest, Delivery::UnderWay).await;
    drop(socket);
    delivered(&guest, Delivery::Unwritten).await;
    let requests = guest.sandbox.ledger().token_requests();
    assert!(matches!(requests[1].outcome, Outcome::Granted(_)));
}

#[tokio::test]
async fn a_stopped_sandbox_answers_nobody_and_forgets_nothing() {
    let mut guest = Guest::arrive(Settings::default()).await;
    let first = guest.sign_in().await;
    guest.sandbox.stop().await;
    assert!(
        guest
            .try_refresh(&first.refresh)
            .await
            .unwrap_err()
            .is_connect()
    );
    guest.sandbox.resume().await.unwrap();
    assert_eq!(guest.get(PROJECTS, &first.access).await.status(), 200);
}
