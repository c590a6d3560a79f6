//! What follows when a source refuses an access token: one newer token at most, and never a loop.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod support;

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use support::{Asked, Ran, Scripted, TempHouse, answer, json, paste_login};

/// Longer than any token is brand-new.
const A_WHILE: Duration = Duration::from_secs(100);
/// How long a scripted answer is held back at most, so that a failed test ends.
const HELD_AT_MOST: Duration = Duration::from_secs(30);

/// A server that numbers the access tokens it issues, and a house signed in to it.
struct Shop {
    house: TempHouse,
    server: Scripted,
}

impl Shop {
    /// `judge` answers a request for `/FLOW` that carries the access token of that number; the first
    /// `lost` answers to refreshes do not arrive.
    fn new(
        flows: &[&str],
        lost: u32,
        judge: impl Fn(&str, u32) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let (issued, losing) = (AtomicU32::new(0), AtomicU32::new(lost));
        let server = Scripted::start(move |asked| {
            if !asked.line.starts_with("POST /token") {
                let flow = asked.line.trim_start_matches("GET /");
                return judge(flow, number(asked));
            }
            let is_refresh = asked.body.starts_with(b"grant_type=refresh_token");
            let is_lost = is_refresh
                && losing
                    .try_update(SeqCst, SeqCst, |left| left.checked_sub(1))
                    .is_ok();
            if is_lost {
                return Vec::new();
            }
            let number = issued.fetch_add(1, SeqCst) + 1;
            json(&format!(
                r#"{{"access_token":"access-{number}","refresh_token":"refresh-{number}",
                    "token_type":"Bearer","expires_in":3600}}"#
            ))
        });
        let url = &server.url;
        let flows: String = flows
            .iter()
            .map(|flow| {
                format!(
                    "[flow.{flow}]\nconnection = \"post\"\nurl = \"/{flow}\"\npaging = \"none\"\nkey = [\"id\"]\n"
                )
            })
            .collect();
        let house = TempHouse::new(&format!(
            "[connection.post]\nbase_url = \"{url}\"\nauthorize_url = \"/authorize\"\n\
             token_url = \"/token\"\nclient_id = \"tidegate\"\n\
             redirect_uri = \"https://post.example/callback\"\n{flows}"
        ));
        paste_login(&house, "post").expect_code(0);
        house.clock().advance(A_WHILE).unwrap();
        Self { house, server }
    }

    fn run(&self) -> Ran {
        self.house.run(&["--run-now"])
    }

    fn refreshes(&self) -> usize {
        let asked = self.server.asked();
        let is_refresh = |asked: &&Asked| asked.body.starts_with(b"grant_type=refresh_token");
        asked.iter().filter(is_refresh).count()
    }

    /// The numbers of the access tokens that `/FLOW` was asked with, in order.
    fn presented(&self, flow: &str) -> Vec<u32> {
        let target = format!("GET /{flow}");
        let asked = self.server.asked();
        let of_flow = asked.iter().filter(|asked| asked.line == target);
        of_flow.map(number).collect()
    }

    /// The connection is as good as before: nobody is sent to sign in.
    #[track_caller]
    fn expect_signed_in(&self) {
        let ran = self.house.run(&["connections", "--json"]).expect_code(0);
        assert_eq!(ran.json()[0]["state"], "ok");
    }
}

/// The number of the access token that a request carries.
fn number(asked: &Asked) -> u32 {
    let authorization = asked.header("authorization").unwrap();
    let number = authorization.strip_prefix("Bearer access-").unwrap();
    number.parse().unwrap()
}

fn rows() -> Vec<u8> {
    json(r#"[{"id":1}]"#)
}

fn refused(status: u16) -> Vec<u8> {
    answer(status, &[], "")
}

/// Refuses every access token up to the one of that number.
fn after(last: u32) -> impl Fn(&str, u32) -> Vec<u8> + Send + Sync + 'static {
    move |_, number| {
        if number > last { rows() } else { refused(401) }
    }
}

#[test]
fn a_refused_token_is_renewed_once_and_the_page_asked_for_again() {
    let shop = Shop::new(&["mail"], 0, after(1));
    shop.run().expect_code(0);
    assert_eq!(shop.presented("mail"), [1, 2]);
    assert_eq!(shop.refreshes(), 1);
}

/// The request of `slow` is under way while `fast` has the token renewed. Its refusal, whichever way
/// the source says it, is about a token that is not the present one any more.
#[test]
fn a_refusal_of_a_token_that_was_replaced_meanwhile_asks_for_no_other() {
    for status in [401, 403] {
        let stage = Arc::new((Mutex::new([false; 2]), Condvar::new()));
        let shop = Shop::new(&["slow", "fast"], 0, move |flow, number| {
            let (reached, changed) = &*stage;
            let reach = |place: usize| {
                reached.lock().unwrap()[place] = true;
                changed.notify_all();
            };
            let until = |place: usize| {
                let held =
                    changed.wait_timeout_while(reached.lock().unwrap(), HELD_AT_MOST, |reached| {
                        !reached[place]
                    });
                drop(held.unwrap());
            };
            match (flow, number) {
                ("slow", 1) => {
                    reach(0);
                    until(1);
                    refused(status)
                }
                ("fast", 1) => {
                    until(0);
                    refused(401)
                }
                ("fast", _) => {
                    reach(1);
                    rows()
                }
                _ => rows(),
            }
        });
        shop.run().expect_code(0);
        assert_eq!(shop.presented("slow"), [1, 2], "{status}");
        assert_eq!(shop.presented("fast"), [1, 2], "{status}");
        assert_eq!(shop.refreshes(), 1, "{status}");
    }
}

#[test]
fn a_brand_new_token_that_is_refused_ends_the_run_and_not_the_login() {
    let shop = Shop::new(&["mail"], 0, after(u32::MAX));
    let ran = shop.run().expect_code(1);
    let words = "the source refuses the brand-new access token of connection `post`";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(shop.presented("mail"), [1, 2]);
    assert_eq!(shop.refreshes(), 1);
    shop.expect_signed_in();

    // The next run at once does not have another made.
    let ran = shop.run().expect_code(1);
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(shop.presented("mail"), [1, 2, 2]);
    assert_eq!(shop.refreshes(), 1);
    shop.expect_signed_in();
}

#[test]
fn a_scope_that_is_missing_is_named_and_no_token_is_asked_for() {
    let shop = Shop::new(&["mail"], 0, |_, _| {
        let challenge = r#"www-authenticate: Bearer error="insufficient_scope", scope="mail.read""#;
        answer(403, &[challenge], "")
    });
    let ran = shop.run().expect_code(3);
    let words = "the access token lacks the scope `mail.read`";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(shop.presented("mail"), [1]);
    assert_eq!(shop.refreshes(), 0);
    shop.expect_signed_in();
}

#[test]
fn a_right_that_is_missing_has_no_token_made() {
    let shop = Shop::new(&["mail"], 0, |_, _| refused(403));
    let ran = shop.run().expect_code(1);
    assert!(ran.stderr.contains("answered 403"), "{}", ran.stderr);
    assert_eq!(shop.presented("mail"), [1]);
    assert_eq!(shop.refreshes(), 0);
    shop.expect_signed_in();
}

#[test]
fn a_refused_token_waits_for_the_end_of_a_doubt() {
    let shop = Shop::new(&["mail"], 1, after(1));
    shop.house.run_as_time_passes(&["--run-now"]).expect_code(0);
    assert_eq!(shop.presented("mail"), [1, 2]);
    assert_eq!(shop.refreshes(), 2);
    shop.expect_signed_in();
}

#[test]
fn a_doubt_that_does_not_end_is_not_waited_for_without_end() {
    let shop = Shop::new(&["mail"], u32::MAX, after(1));
    let ran = shop.house.run_as_time_passes(&["--run-now"]).expect_code(1);
    let words = "connection `post` has no access token until";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(shop.presented("mail"), [1]);
}
