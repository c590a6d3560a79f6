//! Every secret of a life full of trouble is looked for in everything that life left behind: what
//! was said, at the highest log level, with backtraces; every file; what other processes can see.
//!
//! The secrets are not ours to choose: the provider makes them, and tells the test all it ever made.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

#[path = "canary/finder.rs"]
mod finder;
#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tidegate::config;
use tidegate::sandbox::{At, Canned, Fault, Settings};
use url::Url;

use finder::Canaries;
use support::{Asked, Exact, Ran, Running, Scripted, answer, eventually, json};

/// Longer than an access token lives.
const BREAK: Duration = Duration::from_secs(15 * 60);
const KEY: &str = "c0ffee11d00dfeed5eedfacebadc0de5a11ce0b0bca11ab1e0ddba11f005ba11";
const SHOP_TOKEN: &str = "shop-canary-8Kq2+vX/zP0w=Y7mJ4n";
const MACHINE_TOKEN: &str = "machine-canary-4fT9sL0xQ2";
const LITERAL: &str = "literal-canary-Zt5%r&9W#e1u!Qb";
/// Files that the test itself wrote a secret into.
const SOURCES: [&str; 3] = ["vault.key", "client-secret", "tidegate.toml"];

/// A house, what it may not show, and what it has shown.
struct Life {
    exact: Exact,
    tokens: Scripted,
    shop: Scripted,
    echoes: Arc<AtomicBool>,
    /// What only the person at the keyboard sees, by their own wish.
    states: Vec<String>,
    said: Vec<(String, Vec<u8>)>,
    seen: BTreeMap<String, Vec<u8>>,
}

impl Life {
    fn begin() -> Self {
        let exact = Exact::new(Settings::default());
        exact.house.write_private("vault.key", KEY);
        let echoes = Arc::new(AtomicBool::new(false));
        let shop = Scripted::start(shop(Arc::clone(&echoes)));
        exact.configure("", &other_connections(&shop.url));
        let pkce = fs::read_to_string(exact.house.config())
            .unwrap()
            .replace("limits = []\n", "limits = []\npkce = true\n");
        exact.house.write_private("tidegate.toml", &pkce);
        let echo = Arc::clone(&echoes);
        let tokens = exact.lead_tokens_over(move |asked, answer| {
            if echo.load(Ordering::SeqCst) {
                echoed(asked, 400)
            } else {
                answer
            }
        });
        let mut life = Self {
            exact,
            tokens,
            shop,
            echoes,
            states: Vec::new(),
            said: Vec::new(),
            seen: BTreeMap::new(),
        };
        fs::create_dir(life.exact.house.path("tmp")).unwrap();
        let tmp = life.exact.house.path("tmp").to_string_lossy().into_owned();
        let environment = [
            ("TIDEGATE_LOG", "trace"),
            ("RUST_BACKTRACE", "1"),
            ("SHOP_TOKEN", SHOP_TOKEN),
            ("TMPDIR", &tmp),
        ];
        for (name, value) in environment {
            life.exact.house.set_env(name, value);
        }
        life
    }

    /// Signs in, with what comes of the address for the test to say.
    fn sign_in(&mut self, browse: impl FnOnce(&Exact, &Url) -> String) {
        let mut state = String::new();
        let mut ran = self.exact.sign_in_with(|exact, url| {
            let found = url.query_pairs().find(|(name, _)| name == "state");
            state = found.unwrap().1.into_owned();
            browse(exact, url)
        });
        // The address is printed for the person to open, and a browser sends all of it.
        let printed = |line: &&str| !line.starts_with("http");
        ran.stdout = ran.stdout.lines().filter(printed).collect();
        self.states.push(state);
        self.hear("login", ran);
    }

    fn run(&mut self, words: &[&str]) {
        let ran = self.exact.house.run(words);
        self.hear(&words.join(" "), ran);
    }

    /// Runs everything while time passes, also the waits between tries.
    fn run_all(&mut self) {
        let ran = self.exact.house.run_as_time_passes(&["--run-now"]);
        self.hear("--run-now", ran);
    }

    fn later(&self) {
        self.exact.house.clock().advance(BREAK).unwrap();
    }

    fn hear(&mut self, what: &str, ran: Ran) {
        assert_ne!(ran.code, Some(101), "{what} panicked: {}", ran.stderr);
        let code = ran.code;
        for (name, text) in [("stdout", ran.stdout), ("stderr", ran.stderr)] {
            self.said.push((
                format!("{name} of {what}, exit {code:?}"),
                text.into_bytes(),
            ));
        }
        self.look_at_changed_files();
    }

    /// Every secret there has been so far, under the name it goes by.
    fn secrets(&self) -> Vec<(String, String)> {
        let made = self.exact.sandbox.secrets().into_iter();
        let verifiers = self.tokens.asked().into_iter().filter_map(|asked| {
            url::form_urlencoded::parse(&asked.body)
                .find(|(name, _)| name == "code_verifier")
                .map(|(_, value)| value.into_owned())
        });
        let fixed = [
            ("vault key", KEY),
            ("static token", SHOP_TOKEN),
            ("machine's token", MACHINE_TOKEN),
            ("literal secret", LITERAL),
        ];
        let named = |what: &'static str| move |secret| (what.to_owned(), secret);
        let states = self.states.iter().cloned();
        made.map(named("client secret, code or token"))
            .chain(verifiers.map(named("PKCE verifier")))
            .chain(states.map(named("state")))
            .chain(fixed.map(|(what, secret)| (what.to_owned(), secret.to_owned())))
            .collect()
    }

    fn canaries(&self) -> Canaries {
        let mut canaries = Canaries::default();
        for (what, secret) in self.secrets() {
            canaries.add(&what, secret.as_bytes());
        }
        let bytes: Vec<u8> = (0..KEY.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&KEY[at..at + 2], 16).unwrap())
            .collect();
        canaries.add("vault key's bytes", &bytes);
        canaries
    }

    /// Looks at every file that has changed since it was last looked at.
    fn look_at_changed_files(&mut self) {
        let canaries = self.canaries();
        for (path, content) in files(&self.exact.house.path("")) {
            if self.seen.get(&path) != Some(&content) {
                assert_clean(&canaries, &path, &content);
                self.seen.insert(path, content);
            }
        }
    }

    /// Looks at every file again, for what was not known to be a secret when it was written.
    fn look_at_files(&mut self) {
        self.seen.clear();
        self.look_at_changed_files();
    }

    fn look_at_what_was_said(&self) {
        let canaries = self.canaries();
        for (what, text) in &self.said {
            assert_clean(&canaries, what, text);
        }
    }

    /// What any user of the machine sees of a process, and what its own user sees.
    fn look_at_process(&self, running: &Running) {
        let of = |file: &str| fs::read(format!("/proc/{}/{file}", running.id())).unwrap();
        let canaries = self.canaries();
        assert_clean(&canaries, "the command line", &of("cmdline"));
        // A variable that holds a secret is there by its owner's choice; nothing else is.
        let given = format!("SHOP_TOKEN={SHOP_TOKEN}");
        let environment = of("environ");
        let others = environment.split(|byte| *byte == 0);
        for variable in others.filter(|variable| *variable != given.as_bytes()) {
            assert_clean(&canaries, "the environment", variable);
        }
    }
}

#[track_caller]
fn assert_clean(canaries: &Canaries, place: &str, content: &[u8]) {
    if let Some(found) = canaries.find(content) {
        panic!("{place} shows {found}");
    }
}

/// Every file below a directory, but those the test itself wrote a secret into.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        let is_source = SOURCES.iter().any(|name| entry.file_name() == *name);
        if is_source {
            continue;
        }
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file()
            && let Ok(content) = fs::read(entry.path())
        {
            found.push((entry.path().to_string_lossy().into_owned(), content));
        }
    }
    found
}

fn other_connections(shop: &str) -> String {
    format!(
        r#"
[connection.shop]
base_url = "{shop}"
token = {{ env = "SHOP_TOKEN" }}
paging = "odata"

[flow.order]
connection = "shop"
url = "/orders?page=0"
key = ["id"]

[connection.machine]
base_url = "{shop}"
grant = "client_credentials"
token_url = "/token"
client_id = "tidegate"
client_secret = "{LITERAL}"

[flow.report]
connection = "machine"
url = "/report"
paging = "none"
key = ["id"]
"#
    )
}

/// An API that, when it is ill, quotes what it was sent in its complaints, as some do.
fn shop(is_ill: Arc<AtomicBool>) -> impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static {
    move |asked| {
        if is_ill.load(Ordering::SeqCst) {
            return echoed(
                asked,
                if asked.line.contains("token") {
                    401
                } else {
                    422
                },
            );
        }
        match asked.line.split(' ').nth(1).unwrap() {
            "/token" => json(&format!(
                r#"{{"access_token": "{MACHINE_TOKEN}", "expires_in": 600}}"#
            )),
            "/report" => json(r#"[{"id": 1}]"#),
            _ => json(r#"{"value": [{"id": 1}]}"#),
        }
    }
}

/// A complaint that holds everything that was sent.
fn echoed(asked: &Asked, status: u16) -> Vec<u8> {
    let body = String::from_utf8_lossy(&asked.body);
    let sent = format!("{} {} {body}", asked.line, asked.headers);
    let complaint = serde_json::json!({
        "error": "invalid_request",
        "error_description": format!("cannot use {sent}"),
        "message": format!("cannot use {sent}"),
    });
    answer(
        status,
        &["content-type: application/json"],
        &complaint.to_string(),
    )
}

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
    let sent = |needle: &str, to: &Scripted| {
        to.asked().iter().any(|asked| {
            let mut form = url::form_urlencoded::parse(&asked.body);
            asked.headers.contains(needle) || form.any(|(_, value)| value == needle)
        })
    };
    assert!(sent(SHOP_TOKEN, &life.shop) && sent(MACHINE_TOKEN, &life.shop));
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
    assert!(ran.stderr.contains("panicked at"), "{}", ran.stderr);
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
    assert_clean(
        &canary,
        "Debug",
        format!("{config:?} {config:#?}").as_bytes(),
    );

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
        assert_clean(&canary, "the report", shown.as_bytes());
    }
}
