//! The disk is full, or may not be written.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use insta::assert_snapshot;
use rusqlite::Connection;
use tidegate::sandbox::Settings;

use crate::support::{Exact, Gate, Ran, Running, eventually, skip};

/// Longer than an access token lives.
const BREAK: Duration = Duration::from_secs(15 * 60);
/// Room for a vault, a few hundred projects, and the answer of a token endpoint, in KiB. A
/// sixteenth of it must be free before a refresh token is spent: almost what one answer may need.
const SIZE: u64 = 4 << 10;
/// Room for ten times as many projects, and for the log of a run that writes them a page at a time.
const LARGE: u64 = 8 << 10;
/// So small that more than a sixteenth of it does not hold what a token endpoint may answer.
const SMALL: u64 = 3 << 10;

/// A disk of its own for the state directory, which a test can fill to the last byte.
struct Disk {
    path: PathBuf,
    size: u64,
}

impl Disk {
    /// Mounts it; `None`, and a line among the skips, where that is not allowed.
    fn mount(exact: &Exact, size: u64) -> Option<Self> {
        let path = exact.house.path("tidegate-state");
        fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        let options = format!("size={size}k,mode=0700");
        mount
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path);
        let mounted = mount.stderr(Stdio::null()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self { path, size });
        }
        skip("tests on a full and on a read-only disk: no tmpfs can be mounted here");
        None
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.path.join("filler")).unwrap();
        for piece in [64 << 10, 4 << 10, 1] {
            let bytes = vec![0x5A; piece];
            loop {
                match file.write_all(&bytes) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Gives that many bytes of a filled disk back.
    fn leave(&self, room: u64) {
        let path = self.path.join("filler");
        let file = fs::File::options().write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length - room).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }

    fn remount(&self, mode: &str) {
        let mut mount = Command::new("mount");
        mount
            .args(["-o", &format!("remount,{mode},size={}k", self.size)])
            .arg(&self.path);
        assert!(mount.status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because a program that a failed test left behind may still be in there.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// A house on a disk of its own that signed in and ran once.
fn lived_in() -> Option<(Exact, Disk)> {
    lived_in_on(SIZE)
}

/// The same on a disk of this many KiB.
fn lived_in_on(size: u64) -> Option<(Exact, Disk)> {
    let settings = Settings {
        calls_per_minute: 1_000,
        ..Settings::default()
    };
    let exact = Exact::new(settings);
    let disk = Disk::mount(&exact, size)?;
    exact.sign_in();
    exact.house.run(&["--run-now"]).expect_code(0);
    Some((exact, disk))
}

/// Leaves nothing in the logs, so that whatever is written next needs new room.
fn empty_the_logs(exact: &Exact) {
    for name in ["vault.db", "tidegate.db"] {
        let path = exact.house.path("tidegate-state").join(name);
        let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
        Connection::open(path)
            .unwrap()
            .query_row(truncate, [], |_| Ok(()))
            .unwrap();
    }
}

/// One refresh for every new generation, and the table is the source's.
fn assert_whole(exact: &Exact, generation: i64) {
    exact.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(exact.table(), exact.truth());
    assert_eq!(exact.generation(), Some(generation));
    let ledger = exact.sandbox.ledger();
    assert_eq!(
        ledger.token_requests().len(),
        usize::try_from(generation).unwrap()
    );
    assert!(ledger.reuses().is_empty());
    exact.house.run(&["status"]).expect_code(0);
}

#[test]
fn a_full_disk_stops_the_merge_and_keeps_what_was_there() {
    let Some((exact, disk)) = lived_in() else {
        return;
    };
    let before = exact.table();
    exact.sandbox.insert_projects(600);
    let run = |exact: &Exact| exact.house.run_as_time_passes(&["--run-now"]);
    disk.fill();
    let ran = run(&exact);
    assert_snapshot!(ran.timeless_block(&exact.house), @r"
    exit 1
    --- stdout
    project: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `project`: could not write the database: the disk is full
    hint: make room on the disk; what was written before is whole
    ");
    assert_eq!(exact.table(), before);
    disk.free();
    assert_whole(&exact, 1);
}

#[test]
fn a_disk_that_fills_up_in_the_middle_keeps_whole_pages() {
    let Some((exact, disk)) = lived_in_on(LARGE) else {
        return;
    };
    exact.sandbox.insert_projects(3_000);
    empty_the_logs(&exact);
    disk.fill();
    // For the journal and some of the fifty pages.
    disk.leave(1 << 20);
    let ran = exact.house.run(&["--run-now"]).expect_code(1);
    assert!(ran.stderr.contains("the disk is full"), "{ran:#?}");
    let rows = exact.table().len();
    let runs = exact.house.run(&["runs", "--json"]).json();
    let records = runs[0]["records"].as_u64().unwrap();
    assert!(
        records > 0 && records % 60 == 0,
        "{records} records are no whole pages"
    );
    assert_eq!(runs[0]["inserted"], rows - 300, "{runs:#}");
    disk.free();
    assert_whole(&exact, 1);
}

#[test]
fn no_refresh_token_is_spent_while_the_disk_is_nearly_full() {
    let Some((exact, disk)) = lived_in() else {
        return;
    };
    exact.house.clock().advance(BREAK).unwrap();
    disk.fill();
    // For the journal; the answer has the reserve of an earlier one.
    disk.leave(128 << 10);
    let ran = exact.house.run_as_time_passes(&["--run-now"]);
    assert_eq!(ran.code, Some(1), "{ran:#?}");
    for words in [
        "the vault could not be written, so nothing was sent",
        "KiB are free on the disk of",
        "and 256 KiB should be",
        "hint: make room on the disk",
    ] {
        assert!(ran.stderr.contains(words), "{words}: {ran:#?}");
    }
    assert_eq!(exact.sandbox.ledger().token_requests().len(), 1);
    disk.free();
    assert_whole(&exact, 2);
}

#[test]
fn no_refresh_token_is_spent_while_its_answer_would_have_no_room() {
    let Some((exact, disk)) = lived_in_on(SMALL) else {
        return;
    };
    exact.house.clock().advance(BREAK).unwrap();
    // A reserve of an earlier answer would do; a house that has none must make one.
    fs::remove_dir_all(exact.house.path("tidegate-state/reserve")).unwrap();
    disk.fill();
    // For the journal and more than a sixteenth, but not for what a token endpoint may answer.
    disk.leave(240 << 10);
    let ran = exact.house.run_as_time_passes(&["--run-now"]);
    assert_snapshot!(ran.timeless_block(&exact.house), @r"
    exit 1
    --- stdout
    project: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `project`: connection `exact` has no access token until WHEN: the vault could not be written, so nothing was sent (could not use `HOUSE/tidegate-state/rescue`: No space left on device (os error 28))
    hint: make room on the disk, and let tidegate write there
    ");
    assert_eq!(exact.sandbox.ledger().token_requests().len(), 1);
    disk.free();
    assert_whole(&exact, 2);
}

#[test]
fn a_start_on_a_full_disk_is_told_and_may_be_tried_again() {
    let Some((exact, disk)) = lived_in() else {
        return;
    };
    empty_the_logs(&exact);
    disk.fill();
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 1
    --- stderr
    error: `HOUSE/tidegate-state/vault.db`: the disk is full
    hint: make room on the disk; what was written before is whole
    ");
    disk.free();
    assert_whole(&exact, 1);
}

/// Lets the disk fill up while the answer to a refresh is on its way.
fn caught_in_the_middle(exact: &Exact, disk: &Disk) -> (Running, Gate) {
    exact.house.clock().advance(BREAK).unwrap();
    empty_the_logs(exact);
    let gate = exact.hold_token_endpoint();
    let run = exact.house.start(&["--run-now"]);
    gate.wait_for_answer();
    disk.fill();
    gate.release();
    let held_up = || {
        let told = exact.house.run(&["status", "--json"]).json();
        told["connections"][0]["reason"] == "vault_unwritable"
    };
    assert!(eventually(held_up), "the tokens could be stored");
    (run, gate)
}

#[test]
fn tokens_that_come_while_the_disk_is_full_are_stored_when_there_is_room() {
    let Some((exact, disk)) = lived_in() else {
        return;
    };
    let (mut run, _gate) = caught_in_the_middle(&exact, &disk);
    disk.free();
    while !run.has_ended_within(Duration::from_millis(20)) {
        exact
            .house
            .clock()
            .advance(Duration::from_millis(500))
            .unwrap();
    }
    run.finish().expect_code(0);
    assert_whole(&exact, 2);
}

#[test]
fn tokens_in_hand_on_a_full_disk_survive_a_kill() {
    let Some((exact, disk)) = lived_in() else {
        return;
    };
    let (run, _gate) = caught_in_the_middle(&exact, &disk);
    run.kill();
    disk.free();
    assert_whole(&exact, 2);
}

#[test]
fn tokens_in_hand_on_a_full_disk_survive_a_run_that_gave_up() {
    let Some((exact, disk)) = lived_in() else {
        return;
    };
    let (mut run, _gate) = caught_in_the_middle(&exact, &disk);
    while !run.has_ended_within(Duration::from_millis(5)) {
        exact.house.clock().advance(Duration::from_secs(1)).unwrap();
    }
    let ran = run.finish();
    assert_snapshot!(ran.timeless_block(&exact.house), @r"
    exit 1
    --- stdout
    project: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `project`: the refresh of connection `exact` is still under way (could not use the vault: the disk is full)
    hint: make room on the disk, and let tidegate write there
    ");
    disk.free();
    assert_whole(&exact, 2);
}

#[test]
fn a_read_only_disk_is_told() {
    let Some((exact, disk)) = lived_in() else {
        return;
    };
    disk.remount("ro");
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 2
    --- stderr
    error: could not lock `HOUSE/tidegate-state/owner.lock`: Read-only file system (os error 30)
    hint: the user that runs tidegate needs to write the state directory
    ");
    // Whoever only reads can.
    exact.house.run(&["runs"]).expect_code(0);
    exact
        .house
        .run(&["query", "SELECT count(*) FROM project"])
        .expect_code(0);
    disk.remount("rw");
    assert_whole(&exact, 1);
}

#[test]
fn a_quota_used_up_is_no_fault_of_the_program() {
    let exact = Exact::new(Settings::default());
    exact.sign_in();
    exact.house.run(&["--run-now"]).expect_code(0);
    empty_the_logs(&exact);
    exact.sandbox.insert_projects(1_200);
    let ran = limited(&exact);
    assert_snapshot!(ran.timeless_block(&exact.house), @r"
    exit 1
    --- stdout
    project: failed after TIME, 60 records: 60 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `project`: could not write the database: the disk failed: disk I/O error
    hint: look at the disk, its mount and the quotas on it
    ");
    assert_whole(&exact, 1);
}

/// Runs with no file allowed to grow beyond 200 blocks of 512 bytes.
fn limited(exact: &Exact) -> Ran {
    let program = exact.house.command(&["--run-now"]);
    let mut shell = Command::new("sh");
    // Without the trap the kernel would end the program rather than fail its write.
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" \"$@\"";
    shell.arg("-c").arg(script).arg(program.get_program());
    shell.args(program.get_args()).env_clear();
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell.current_dir(exact.house.path(""));
    Running::start(shell).finish()
}
