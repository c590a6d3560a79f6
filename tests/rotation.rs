//! Several processes and one state directory: who owns it, who asks, and that they never ask the
//! provider for the same tokens twice.
//!
//! The long variant of the fifty callers takes about twenty minutes on two cores:
//!
//! ```text
//! TIDEGATE_GENERATIONS=1000 cargo test --features test-clock --test rotation -- --nocapture fifty
//! ```
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and its figures are its answer"
)]

mod support;

use std::fs;
use std::time::Duration;

use support::{
    Dice, Exact, Hold, Ran, RotatingServer, Rotation, Running, TempHouse, Vault, eventually,
    number, paste_login,
};
use tidegate::sandbox::{At, Canned, Delivery, Fault, Outcome, Settings};

/// How many projects there are: two pages.
const PROJECTS: usize = 80;
/// How many refreshes there are with two processes at work.
const ROTATIONS: u64 = 200;
/// From one token to the moment at which the next is wanted: the connection refreshes after 585 s,
/// and the provider takes nothing before 570.
const A_LIFE: Duration = Duration::from_secs(590);
/// How many callers ask for an access token at the same moment, the daemon's own schedule for half
/// of them and other processes for the rest.
const CALLERS: usize = 50;
const MOST_PROCESSES: u64 = 4;
/// How many generations they go through unless `TIDEGATE_GENERATIONS` says otherwise.
const GENERATIONS: u64 = 20;
/// From one generation to the next: the schedule of the flows, longer than a token lives.
const A_SLOT: Duration = Duration::from_secs(60 * 60);
/// How many seconds the provider asks for patience, where a test wants a run that waits.
const PATIENCE_S: u32 = 30;

fn house() -> Exact {
    let more = "every = \"10m\"\n\
        query = { \"$select\" = \"ID,Code,Description,Modified\" }\n\
        cursor = { field = \"Modified\", filter = \"Modified ge datetime'{{ bookmark }}'\" }";
    let settings = Settings {
        projects: PROJECTS,
        ..Settings::default()
    };
    let mut exact = Exact::with_flows(settings, &Exact::project_flow("project", more));
    exact.house.set_env("TIDEGATE_LOG", "info");
    exact.sign_in();
    exact
}

/// Makes the next run wait until the clock is moved.
fn hold_the_next_run(exact: &Exact) {
    let wait = Fault::Refuse(Canned::RetryAfter(PATIENCE_S));
    exact.sandbox.inject(At::Api, wait, 1);
}

/// Moves the clock until a program that waits for it ends.
fn as_time_passes(exact: &Exact, mut running: Running) -> Ran {
    while !running.has_ended_within(Duration::from_millis(50)) {
        exact.house.clock().advance(Duration::from_secs(1)).unwrap();
    }
    running.finish()
}

fn owner(exact: &Exact) -> String {
    fs::read_to_string(exact.house.path("tidegate-state/owner.lock")).unwrap()
}

fn stop(daemon: Running) -> String {
    daemon.terminate();
    daemon.finish().expect_code(0).stderr
}

#[test]
fn run_now_beside_a_daemon_is_served_by_the_daemon_which_streams_its_progress() {
    let exact = house();
    let daemon = exact.house.start_daemon();
    let service = format!("service, process {}", daemon.id());
    assert_eq!(owner(&exact), service);
    let running = || {
        exact
            .house
            .rows("SELECT 1 FROM _tidegate_runs WHERE ended_at IS NULL")
    };
    // The first slot is ten minutes away.
    assert!(running().is_empty());

    hold_the_next_run(&exact);
    let mut asking = exact.house.start(&["--run-now", "project", "--json"]);
    // The clock stands still, so the run cannot have ended when this is told.
    asking.wait_for_line(|line| line.contains("\"event\":\"waiting\""));
    assert_eq!(running().len(), 1);
    assert_eq!(owner(&exact), service);
    let asked = as_time_passes(&exact, asking).expect_code(0);
    assert!(!asked.stderr.contains("run started"), "{}", asked.stderr);

    // It was told what the journal has.
    let ended = &asked.ended()["project"];
    assert_eq!(ended["outcome"], "succeeded", "{ended}");
    let run = ended["run"].as_i64().unwrap();
    let outcome = format!("SELECT outcome FROM _tidegate_runs WHERE run = {run}");
    assert_eq!(
        exact.house.rows(&outcome),
        [["succeeded".to_owned().into()]]
    );
    assert_eq!(owner(&exact), service);
    let log = stop(daemon);
    assert!(log.contains(&format!("run={run}")), "{log}");
    assert_eq!(exact.expect_equal("project"), PROJECTS);
}

#[test]
fn run_now_without_a_daemon_does_the_work_itself_and_a_second_one_joins_it() {
    let exact = house();
    hold_the_next_run(&exact);
    let working = exact.house.start(&["--run-now", "--json"]);
    let is_running = || {
        let data = exact.house.path("tidegate-state/tidegate.db");
        let running = "SELECT run FROM _tidegate_runs WHERE ended_at IS NULL";
        data.exists() && !exact.house.rows(running).is_empty()
    };
    assert!(eventually(is_running), "no run has begun");
    assert_eq!(owner(&exact), format!("run, process {}", working.id()));

    let mut joining = exact.house.start(&["--run-now", "--json"]);
    joining.wait_for_line(|line| line.contains("\"event\":\"joined\""));
    let working = as_time_passes(&exact, working).expect_code(0);
    let joined = joining.finish().expect_code(0);
    let ended = &working.ended()["project"];
    assert_eq!(ended["tally"]["inserted"], PROJECTS);
    assert!(working.stderr.contains("run started"), "{}", working.stderr);
    assert_eq!(joined.ended()["project"], *ended);
    assert_eq!(
        exact.house.rows("SELECT count(*) FROM _tidegate_runs"),
        [[1.into()]]
    );
    assert_eq!(exact.expect_equal("project"), PROJECTS);
}

#[test]
fn promise_one_owner_per_state_directory_and_a_second_daemon_is_told_who() {
    let exact = house();
    let daemon = exact.house.start_daemon();
    let refused = exact.house.run(&[]).expect_code(2);
    let owner = format!("service, process {}", daemon.id());
    assert!(refused.stderr.contains(&owner), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
    // The first has noticed nothing.
    exact.house.run(&["--run-now"]).expect_code(0);
    stop(daemon);
}

#[test]
fn promise_two_processes_at_work_make_one_token_request_per_generation() {
    let exact = house();
    let daemon = exact.house.start_daemon();
    let ledger = exact.sandbox.ledger();
    let run_now = || exact.house.start(&["--run-now", "--json"]);
    for rotation in 1..=ROTATIONS {
        exact.sandbox.change_projects(3);
        let pass = || exact.house.clock().advance(A_LIFE).unwrap();
        let asked = || ledger.token_requests().len() as u64;
        let refreshed = || assert!(eventually(|| asked() > rotation), "no refresh {rotation}");
        let asking = match rotation % 4 {
            // The daemon and who asks it wake to the same moment.
            0 => {
                pass();
                vec![run_now()]
            }
            // The moment comes while somebody is asking.
            1 => {
                let asking = run_now();
                pass();
                vec![asking]
            }
            2 => {
                pass();
                vec![run_now(), run_now()]
            }
            // The daemon is alone at first.
            _ => {
                pass();
                refreshed();
                vec![run_now()]
            }
        };
        for asking in asking {
            let ran = asking.finish().expect_code(0);
            assert_eq!(ran.ended()["project"]["outcome"], "succeeded", "{ran:#?}");
        }
        refreshed();
        assert_eq!(
            asked(),
            rotation + 1,
            "{:#?}",
            ledger.token_requests().last()
        );
    }
    let status = exact
        .house
        .run(&["connections", "--json"])
        .expect_code(0)
        .json();
    assert_eq!(status[0]["generation"], ROTATIONS + 1, "{status}");
    stop(daemon);

    let requests = ledger.token_requests();
    assert_eq!(
        requests.len() as u64,
        ROTATIONS + 1,
        "a login, and one request per rotation"
    );
    for request in &requests {
        assert!(
            matches!(request.outcome, Outcome::Granted(_)),
            "{request:?}"
        );
        assert_eq!(request.delivery, Delivery::Read, "{request:?}");
    }
    assert_eq!(ledger.reuses(), []);
    assert_eq!(ledger.peak_parallel_token_requests(), 1);
    assert_eq!(exact.expect_equal("project"), PROJECTS);
}

/// A house in which so many flows need the access token of one connection: the first half at every
/// full hour, the others when somebody asks for them.
fn full_house(server_url: impl FnOnce(&TempHouse) -> String) -> TempHouse {
    let house = TempHouse::new("");
    let flow = |number: usize| {
        let schedule = if number < CALLERS / 2 {
            "every = \"1h\""
        } else {
            ""
        };
        format!(
            "[flow.f{number}]\nconnection = \"one\"\nurl = \"/items\"\npaging = \"none\"\n\
             records = \"items\"\nkey = [\"id\"]\n{schedule}\n"
        )
    };
    let flows: String = (0..CALLERS).map(flow).collect();
    let config = format!(
        r#"
max_concurrent = {CALLERS}
[connection.one]
base_url = "{url}"
authorize_url = "/authorize"
token_url = "/token"
client_id = "tidegate"
client_auth = "none"
redirect_uri = "https://tidegate.example/callback"
{flows}"#,
        url = server_url(&house)
    );
    house.write_private("tidegate.toml", &config);
    house
}

#[test]
fn promise_fifty_callers_at_once_make_one_token_request_per_generation() {
    let generations = number("TIDEGATE_GENERATIONS").unwrap_or(GENERATIONS);
    let seed = number("TIDEGATE_SEED").unwrap_or_else(Dice::any_seed);
    println!("TIDEGATE_GENERATIONS={generations} TIDEGATE_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut server = None;
    let house = full_house(|house| {
        let started = RotatingServer::start(house, "one", Rotation::Strict);
        server.insert(started).url().to_owned()
    });
    let server = server.unwrap();
    paste_login(&house, "one").expect_code(0);
    let daemon = house.start_daemon();
    let count = |which: &str| {
        let counted = house.rows(&format!(
            "SELECT count(*) FROM _tidegate_runs WHERE {which}"
        ));
        match counted[0][0] {
            rusqlite::types::Value::Integer(count) => count.cast_unsigned(),
            ref other => panic!("{other:?} is no count"),
        }
    };
    for generation in 1..=generations {
        // Nobody gets an answer before all are waiting for it.
        server.hold_next(Hold::BeforeCommit);
        house.clock().advance(A_SLOT).unwrap();
        let asked_for: Vec<String> = (CALLERS / 2..CALLERS)
            .map(|flow| format!("f{flow}"))
            .collect();
        let processes = 1 + usize::try_from(dice.below(MOST_PROCESSES)).unwrap();
        let asking: Vec<Running> = asked_for
            .chunks(asked_for.len().div_ceil(processes))
            .map(|flows| {
                let flows = flows.iter().map(String::as_str);
                let arguments: Vec<&str> =
                    ["--run-now", "--json"].into_iter().chain(flows).collect();
                house.start(&arguments)
            })
            .collect();
        // A slot that comes as the last run of its flow still closes its books goes by.
        let all_wait = || server.is_held() && count("true") == generation * CALLERS as u64;
        assert!(
            eventually(all_wait),
            "{} runs by generation {generation}",
            count("true")
        );
        server.let_go(true);
        for asking in asking {
            asking.finish().expect_code(0);
        }
        assert!(
            eventually(|| count("ended_at IS NULL") == 0),
            "a run does not end"
        );
    }
    stop(daemon);

    let presented = server.presented();
    assert_eq!(presented.len() as u64, generations);
    assert!(presented.iter().all(|one| one.times == 1 && one.is_granted));
    assert_eq!(server.most_in_flight(), 1);
    let record = Vault::of_dead(&house.path("tidegate-state")).on_record("one");
    assert_eq!(record.generation as u64, 1 + generations);
    let (succeeded, skipped) = (count("outcome = 'succeeded'"), count("outcome = 'skipped'"));
    assert_eq!(succeeded + skipped, generations * CALLERS as u64);
    assert!(skipped * 100 <= succeeded, "{skipped} of {succeeded} runs");
    println!(
        "{succeeded} runs by {CALLERS} callers at once, {skipped} slots skipped, {} token requests",
        presented.len()
    );
}
