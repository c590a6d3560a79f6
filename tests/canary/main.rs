//! Every secret of a life full of trouble is looked for in everything that life left behind: what
//! was said, at the highest log level, with backtraces; every file; what other processes can see.
//!
//! The secrets are not ours to choose: the provider makes them, and tells the test all it ever made.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

mod life;
mod process;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use rustix::process::{Pid, Signal, kill_process};
use tidegate::config;
use tidegate::sandbox::{At, Canned, Fault, Settings};

use life::{
    KEY, LITERAL, Life, MACHINE_TOKEN, PASSWORD, PASSWORDS_TOKEN, QUERY_KEY, SESSION_PASSWORD,
    SESSION_TOKEN, SHOP_TOKEN, other_connections,
};
use support::{Asked, Canaries, Exact, Scripted, eventually};

#[test]
fn promise_6_no_secret_is_shown_or_left_in_clear() {
    let mut life = Life::begin();
    signing_in(&mut life);
    running_and_refreshing(&mut life);
    a_source_in_trouble(&mut life);
    a_token_endpoint_in_trouble(&mut life);
    looking_around(&mut life);
    a_service(&mut life);
    a_wrong_key(&mut life);
    signing_out(&mut life);
    life.look_at_what_was_said();
    life.look_at_files();

    // What was looked for was there to be found: tokens of several generations, and each kind.
    let secrets = life.secrets();
    let count = |what: &str| secrets.iter().filter(|(name, _)| name == what).count();
    assert!(
        count("client secret, code or token") > 20,
        "{}",
        secrets.len()
    );
    assert!(count("PKCE verifier") > 1 && count("state") > 3);
    assert!(count("assertion") > 1 && count("line of the private key") > 20);
    let sent = |needle: &str, to: &Scripted| {
        to.asked().iter().any(|asked| {
            let mut form = url::form_urlencoded::parse(&asked.body);
            let json: serde_json::Value = serde_json::from_slice(&asked.body).unwrap_or_default();
            asked.headers.contains(needle)
                || form.any(|(_, value)| value == needle)
                || json["password"] == needle
        })
    };
    for secret in [
        SHOP_TOKEN,
        MACHINE_TOKEN,
        PASSWORD,
        PASSWORDS_TOKEN,
        SESSION_PASSWORD,
        SESSION_TOKEN,
    ] {
        assert!(sent(secret, &life.shop), "{secret} was never sent");
    }
    let query = |asked: &Asked| {
        let (_, query) = asked.line.split_once('?')?;
        let mut values = url::form_urlencoded::parse(query.as_bytes());
        values.find(|(_, value)| value == QUERY_KEY).map(drop)
    };
    assert!(life.shop.asked().iter().any(|asked| query(asked).is_some()));
    assert!(sent(&life.exact.sandbox.client_secret(), &life.tokens));
    let log: Vec<u8> = life
        .said
        .iter()
        .flat_map(|(_, text)| text.clone())
        .collect();
    let log = String::from_utf8_lossy(&log);
    assert!(
        log.contains(" TRACE ") && log.contains(" DEBUG "),
        "nothing was logged"
    );
}

fn signing_in(life: &mut Life) {
    life.run(&["--run-now"]);
    life.sign_in(Exact::deny);
    life.sign_in(|exact, url| exact.consent(url).replace("state=", "state=x"));
    life.sign_in(|exact, url| format!("{} and some more", exact.consent(url)));
    life.exact
        .sandbox
        .inject(At::Token, Fault::Lose(Canned::Html(200)), 1);
    life.sign_in(Exact::consent);
    life.sign_in(Exact::consent);
}

fn running_and_refreshing(life: &mut Life) {
    for _ in 0..3 {
        life.run_all();
        life.run(&["--run-now", "--json"]);
        life.later();
    }
}

fn a_source_in_trouble(life: &mut Life) {
    let faults = [
        Fault::Refuse(Canned::Html(200)),
        Fault::Refuse(Canned::Garbled),
        Fault::Refuse(Canned::Empty(401)),
        Fault::Refuse(Canned::Empty(403)),
        Fault::Refuse(Canned::RetryAfter(7_200)),
        Fault::Cut,
        Fault::Drop,
    ];
    for fault in faults {
        life.exact.sandbox.inject(At::Api, fault, 5);
        life.run_all();
        life.exact.sandbox.calm();
        life.later();
    }
    life.echoes.store(true, Ordering::SeqCst);
    life.run_all();
    life.echoes.store(false, Ordering::SeqCst);
}

fn a_token_endpoint_in_trouble(life: &mut Life) {
    let faults = [
        Fault::Refuse(Canned::Gateway),
        Fault::Refuse(Canned::RetryAfter(30)),
        Fault::Refuse(Canned::Html(503)),
        Fault::Cut,
        Fault::Lose(Canned::Garbled),
    ];
    for fault in faults {
        life.later();
        life.exact.sandbox.inject(At::Token, fault, 1);
        life.run_all();
        life.run(&["connections"]);
        life.later();
        life.run_all();
        life.sign_in(Exact::consent);
    }
    life.later();
    life.echoes.store(true, Ordering::SeqCst);
    life.run_all();
    life.sign_in(Exact::consent);
    life.echoes.store(false, Ordering::SeqCst);
    life.later();
    life.exact.sandbox.withdraw_consent();
    life.run_all();
    life.sign_in(Exact::consent);
}

fn looking_around(life: &mut Life) {
    let commands: [&[&str]; 9] = [
        &["check"],
        &["status"],
        &["connections"],
        &["runs"],
        &["runs", "project", "--limit", "100"],
        &["tables"],
        &["query", "SELECT * FROM _tidegate_runs"],
        &["query", "SELECT * FROM project"],
        &["query", "SELECT nothing"],
    ];
    for words in commands {
        life.run(words);
        life.run(&[words, &["--json"]].concat());
    }
    life.run(&["vault", "init"]);
}

/// A service that refreshes, is killed in the middle of it, and breaks.
fn a_service(life: &mut Life) {
    life.later();
    let service = life.exact.house.start(&[]);
    life.exact.house.wait_until_served();
    life.run(&["--run-now"]);
    life.look_at_process(&service);
    let pid = Pid::from_raw(i32::try_from(service.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    life.hear("the service", service.finish());

    life.later();
    life.exact
        .sandbox
        .inject(At::Token, Fault::Delay(Duration::from_secs(20)), 1);
    let asked = life.tokens.asked().len();
    let run = life.exact.house.start(&["--run-now", "project"]);
    assert!(eventually(|| life.tokens.asked().len() > asked));
    life.look_at_process(&run);
    life.hear("a run that was killed", run.kill());

    // Time itself breaks, in the middle of everything.
    let service = life.exact.house.start(&[]);
    life.exact.house.wait_until_served();
    let clock = life.exact.house.path("clock");
    fs::rename(&clock, clock.with_extension("gone")).unwrap();
    let mut broken = service;
    broken.has_ended_within(Duration::from_secs(1));
    let ran = broken.kill();
    assert!(
        ran.stderr.contains("broke off at src/clock.rs"),
        "{}",
        ran.stderr
    );
    fs::rename(clock.with_extension("gone"), &clock).unwrap();
    life.said
        .push(("a panic".to_owned(), ran.stderr.into_bytes()));
    life.look_at_files();
}

fn a_wrong_key(life: &mut Life) {
    life.exact
        .house
        .write_private("vault.key", &KEY.replace('0', "1"));
    life.run(&["--run-now"]);
    life.exact.house.write_private("vault.key", &KEY[1..]);
    life.run(&["--run-now"]);
    life.run(&["check"]);
    life.exact.house.write_private("vault.key", KEY);
}

fn signing_out(life: &mut Life) {
    life.run(&["logout", "exact"]);
    life.run(&["status", "--json"]);
}

#[test]
fn a_configuration_with_a_literal_secret_does_not_show_it() {
    let exact = Exact::new(Settings::default());
    exact.configure("", &other_connections("http://127.0.0.1:1"));
    let config = config::load(&exact.house.config()).unwrap();
    let mut canary = Canaries::default();
    canary.add("literal secret", LITERAL.as_bytes());
    canary.assert_clean("Debug", format!("{config:?} {config:#?}").as_bytes());

    // Nor when the file is wrong in the very line that has it.
    let line = format!("client_secret = \"{LITERAL}\"");
    for wrong in [
        format!("{line} x"),
        line.replace("= ", "= 1"),
        line.replace("secret", "secrt"),
        line.replace("client_secret", "token"),
        line.trim_end_matches('"').to_owned(),
        format!("client_secret = {{ envy = \"{LITERAL}\" }}"),
        format!("client_secret = [\"{LITERAL}\"]"),
        format!("client_secret = [\"{LITERAL}\" x"),
    ] {
        let text = fs::read_to_string(exact.house.config()).unwrap();
        exact
            .house
            .write_private("wrong.toml", &text.replace(&line, &wrong));
        let report = config::load(&exact.house.path("wrong.toml")).unwrap_err();
        let shown = format!(
            "{report} {report:?} {}",
            serde_json::to_string(&report).unwrap()
        );
        canary.assert_clean("the report", shown.as_bytes());
    }
}

#[test]
fn a_secret_is_found_in_every_form() {
    let secret = b"s3cr+t/with?more&than=letters and\"more";
    let mut canaries = Canaries::default();
    canaries.add("secret", secret);
    let text = String::from_utf8_lossy(secret);
    let around = |middle: &str| format!("before {middle} after");
    let hidden = [
        around(&text),
        around(&text[..20]),
        around(&text[20..]),
        around(
            &secret
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>(),
        ),
        STANDARD.encode(around(&text)),
        STANDARD.encode(format!("x{}", around(&text))),
        URL_SAFE.encode(format!("xy{}", around(&text))),
        url::form_urlencoded::byte_serialize(secret).collect(),
        serde_json::json!({ "a": text }).to_string(),
        secret.iter().map(|byte| format!("%{byte:02X}")).collect(),
    ];
    for content in hidden {
        assert!(canaries.find(content.as_bytes()).is_some(), "{content}");
    }
    assert_eq!(canaries.find(b"s3cr+t/with? other words"), None);
}
