//! Two processes and one state directory: who owns it, who asks, and that they never ask the
//! provider for the same tokens twice.
#![cfg(feature = "test-clock")]
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

mod support;

use std::fs;
use std::time::Duration;

use support::{Exact, Ran, Running, eventually};
use tidegate::sandbox::{At, Canned, Delivery, Fault, Outcome, Settings};

/// How many projects there are: two pages.
const PROJECTS: usize = 80;
/// How many refreshes there are with two processes at work.
const ROTATIONS: u64 = 200;
/// From one token to the moment at which the next is wanted: the connection refreshes after 585 s,
/// and the provider takes nothing before 570.
const A_LIFE: Duration = Duration::from_secs(590);
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
