//! What the state directory lives on becomes read-only while the answer to a refresh is on its way.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tidegate::sandbox::Settings;

use crate::support::{Exact, Gate, Ran, Running, eventually, skip};

/// Longer than an access token lives.
const BREAK: Duration = Duration::from_secs(15 * 60);
/// Parts of the state directory, by what their paths contain.
const VAULT: &str = "/tidegate-state/vault.db";
const RESCUE: &str = "/tidegate-state/rescue";

/// A house that signed in and ran once, in which files can be made read-only.
struct World {
    exact: Exact,
}

impl World {
    /// Moves in; `None`, and a line among the skips, where that cannot be done.
    fn new() -> Option<Self> {
        let mut exact = Exact::new(Settings::default());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/read_only.c");
        let library = exact.house.path("read_only.so");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(source);
        let is_made = cfg!(target_os = "linux")
            && compiler
                .arg("-ldl")
                .status()
                .is_ok_and(|status| status.success());
        if !is_made {
            skip("tests on a file system that becomes read-only: they need Linux and a C compiler");
            return None;
        }
        let order = exact.house.path("read-only");
        exact
            .house
            .set_env("LD_PRELOAD", &library.display().to_string());
        exact
            .house
            .set_env("TIDEGATE_TEST_READ_ONLY", &order.display().to_string());
        exact.sign_in();
        exact.house.run(&["--run-now"]).expect_code(0);
        Some(Self { exact })
    }

    fn make_read_only(&self, paths: &[&str]) {
        let order = self.exact.house.path("read-only");
        fs::write(order, paths.join("\n")).unwrap();
    }

    fn make_writable(&self) {
        fs::remove_file(self.exact.house.path("read-only")).unwrap();
    }

    /// Starts a run that refreshes, and makes these paths read-only before the answer is there.
    fn caught_in_the_middle(&self, paths: &[&str]) -> (Running, Gate) {
        self.exact.house.clock().advance(BREAK).unwrap();
        let gate = self.exact.hold_token_endpoint();
        let run = self.exact.house.start(&["--run-now"]);
        gate.wait_for_answer();
        self.make_read_only(paths);
        gate.release();
        (run, gate)
    }

    /// Waits until the program says that it cannot store what it has.
    fn wait_for_the_alarm(&self) {
        let held_up = || {
            let told = self.exact.house.run(&["status", "--json"]).json();
            told["connections"][0]["reason"] == "vault_unwritable"
        };
        assert!(eventually(held_up), "the tokens could be stored");
    }

    fn to_the_end(&self, mut run: Running) -> Ran {
        while !run.has_ended_within(Duration::from_millis(20)) {
            let step = Duration::from_millis(500);
            self.exact.house.clock().advance(step).unwrap();
        }
        run.finish()
    }

    /// Fails the test unless the second generation is there, and no refresh token was used twice.
    #[track_caller]
    fn expect_whole(&self) {
        self.exact.house.run(&["--run-now"]).expect_code(0);
        assert_eq!(self.exact.generation(), Some(2));
        let ledger = self.exact.sandbox.ledger();
        assert_eq!(ledger.token_requests().len(), 2);
        assert!(ledger.reuses().is_empty());
        assert_eq!(self.exact.table(), self.exact.truth());
    }
}

#[test]
fn tokens_that_come_while_all_is_read_only_are_stored_when_it_is_writable_again() {
    let Some(world) = World::new() else {
        return;
    };
    let (run, _gate) = world.caught_in_the_middle(&[VAULT, RESCUE]);
    world.wait_for_the_alarm();
    world.make_writable();
    world.to_the_end(run).expect_code(0);
    world.expect_whole();
}

#[test]
fn tokens_in_hand_survive_a_kill_while_the_vault_is_read_only() {
    let Some(world) = World::new() else {
        return;
    };
    let (run, _gate) = world.caught_in_the_middle(&[VAULT]);
    world.wait_for_the_alarm();
    run.kill();
    world.make_writable();
    world.expect_whole();
}

#[test]
fn tokens_need_no_rescue_file_where_the_vault_can_be_written() {
    let Some(world) = World::new() else {
        return;
    };
    let (run, _gate) = world.caught_in_the_middle(&[RESCUE]);
    run.finish().expect_code(0);
    world.make_writable();
    world.expect_whole();
}

#[test]
fn tokens_that_could_be_written_nowhere_before_a_kill_are_told_to_be_lost() {
    let Some(world) = World::new() else {
        return;
    };
    let (run, gate) = world.caught_in_the_middle(&[VAULT, RESCUE]);
    world.wait_for_the_alarm();
    run.kill();
    world.make_writable();

    // For the answer to the old refresh token, once the access token has ended.
    gate.release();
    world.exact.house.clock().advance(BREAK).unwrap();
    let ran = world.to_the_end(world.exact.house.start(&["--run-now"]));
    assert!(ran.stderr.contains("tidegate login exact"), "{ran:#?}");
    let ran = ran.expect_code(3);
    let shown = world.exact.house.run(&["connections", "--json"]).json();
    assert_eq!(shown[0]["reason"], "rotation_answer_lost", "{ran:#?}");
}

#[test]
fn nothing_is_sent_where_the_attempt_cannot_be_written_down() {
    let Some(world) = World::new() else {
        return;
    };
    world.exact.house.clock().advance(BREAK).unwrap();
    for paths in [[RESCUE], [VAULT]] {
        world.make_read_only(&paths);
        let ran = world.to_the_end(world.exact.house.start(&["--run-now"]));
        assert!(matches!(ran.code, Some(1 | 2)), "{ran:#?}");
        let says = |words: &str| ran.stderr.contains(words);
        let is_told = says("Read-only file system") || says("readonly database");
        assert!(is_told, "{ran:#?}");
        world.make_writable();
        assert_eq!(world.exact.sandbox.ledger().token_requests().len(), 1);
    }
    world.expect_whole();
}
