//! What keeps the program from starting: keys, files and directories that are not as they should be.
//!
//! Every one of these refuses to start with exit code 2, changes nothing, and once it is put right
//! the next run goes well with the tokens that were there.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use insta::assert_snapshot;
use rusqlite::Connection;
use tidegate::sandbox::Settings;

use crate::support::{Exact, Ran};

const VAULT: &str = "tidegate-state/vault.db";
const DATA: &str = "tidegate-state/tidegate.db";
/// A key that is none of ours.
const OTHER_KEY: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfefff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\n";

/// A house that signed in and ran once.
fn lived_in() -> Exact {
    let exact = Exact::new(Settings::default());
    exact.sign_in();
    exact.house.run(&["--run-now"]).expect_code(0);
    exact
}

/// Breaks a house that has lived, tells what every way of starting says to that, mends it, and
/// shows that nothing was lost.
fn refused(break_it: impl FnOnce(&Exact), mend_it: impl FnOnce(&Exact)) -> String {
    let exact = lived_in();
    let asked = requests(&exact);
    break_it(&exact);
    let ran = exact.house.run(&["--run-now"]);
    let block = ran.block(&exact.house);
    let service = exact.house.run(&[]);
    assert_eq!(told(&service), told(&ran));
    let login = exact.house.run(&["login", "exact"]);
    assert_eq!(told(&login), told(&ran));
    assert_eq!(requests(&exact), asked, "somebody was asked something");
    mend_it(&exact);
    assert_whole(&exact);
    block
}

fn told(ran: &Ran) -> (Option<i32>, &str, Vec<&str>) {
    // The service also logs; what it tells a person is the same.
    let words = |line: &&str| line.starts_with("error: ") || line.starts_with("hint: ");
    (
        ran.code,
        &ran.stdout,
        ran.stderr.lines().filter(words).collect(),
    )
}

fn requests(exact: &Exact) -> (usize, usize) {
    let ledger = exact.sandbox.ledger();
    (ledger.token_requests().len(), ledger.api_requests().len())
}

/// The credential is the one of the first login, and the table is the source's.
fn assert_whole(exact: &Exact) {
    exact.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(exact.generation(), Some(1));
    assert_eq!(exact.table(), exact.truth());
    assert_eq!(exact.sandbox.ledger().token_requests().len(), 1);
    exact.house.run(&["status"]).expect_code(0);
}

/// Changes a database as no careful person would, with all of it in the one file afterwards.
fn meddle(path: &Path, sql: &str) {
    let database = Connection::open(path).unwrap();
    database.execute_batch(sql).unwrap();
    let into_the_file = "PRAGMA wal_checkpoint(TRUNCATE)";
    database.query_row(into_the_file, [], |_| Ok(())).unwrap();
}

#[test]
fn a_wrong_key_is_told_from_a_damaged_vault() {
    let key = fs::read_to_string(lived_in().house.path("vault.key")).unwrap();
    let block = refused(
        |exact| exact.house.write_private("vault.key", OTHER_KEY),
        |exact| exact.house.write_private("vault.key", &key),
    );
    assert_snapshot!(block, @r"
    exit 2
    --- stderr
    error: the key does not open the vault `HOUSE/tidegate-state/vault.db`: it was sealed with another one (key 72f61028; tried: file `HOUSE/vault.key`, key 2a2f088b)
    hint: bring back the key it was sealed with; without it, move the vault away and sign in again everywhere
    ");
}

#[test]
fn databases_behind_symbolic_links_are_refused() {
    for file in [VAULT, DATA, "tidegate-state/vault.db-wal"] {
        let aside = "aside.db";
        let block = refused(
            |exact| {
                fs::rename(exact.house.path(file), exact.house.path(aside)).unwrap();
                symlink(exact.house.path(aside), exact.house.path(file)).unwrap();
            },
            |exact| fs::rename(exact.house.path(aside), exact.house.path(file)).unwrap(),
        );
        let told = format!("error: `HOUSE/{file}` is a symbolic link, not a file of its own\n");
        assert!(block.contains(&told), "{block}");
        assert!(block.contains("\nhint: links are not followed"), "{block}");
    }
}

#[test]
fn a_rescue_directory_behind_a_symbolic_link_is_refused() {
    let (file, aside) = ("tidegate-state/rescue", "aside");
    let block = refused(
        |exact| {
            fs::rename(exact.house.path(file), exact.house.path(aside)).unwrap();
            symlink(exact.house.path(aside), exact.house.path(file)).unwrap();
        },
        |exact| {
            fs::remove_file(exact.house.path(file)).unwrap();
            fs::rename(exact.house.path(aside), exact.house.path(file)).unwrap();
        },
    );
    assert!(
        block.contains("rescue` is not a directory of its own"),
        "{block}"
    );
}

#[test]
fn a_vault_that_others_can_read_is_closed_to_them() {
    let exact = lived_in();
    let files = ["", "-wal", "-shm"].map(|ending| exact.house.path(format!("{VAULT}{ending}")));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in &files {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let data = exact.house.path(DATA);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o644)).unwrap();
    assert_whole(&exact);
    assert_eq!(files.each_ref().map(|file| mode(file)), [0o600; 3]);
    assert_eq!(
        mode(&data),
        0o644,
        "who may read the data is for its owner to say"
    );
}

#[test]
fn a_missing_key_is_asked_for() {
    let aside = "vault.key.aside";
    let block = refused(
        |exact| fs::rename(exact.house.path("vault.key"), exact.house.path(aside)).unwrap(),
        |exact| fs::rename(exact.house.path(aside), exact.house.path("vault.key")).unwrap(),
    );
    assert_snapshot!(block, @r"
    exit 2
    --- stderr
    error: the vault's key cannot be used: could not read `HOUSE/vault.key`: No such file or directory (os error 2)
    hint: make the first key with `tidegate vault init`; a vault that is there needs its own
    ");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let mode = |exact: &Exact, mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(exact.house.path("vault.key"), mode).unwrap();
    };
    let block = refused(|exact| mode(exact, 0o644), |exact| mode(exact, 0o600));
    assert_snapshot!(block, @r"
    exit 2
    --- stderr
    error: the vault's key cannot be used: `HOUSE/vault.key` is open to others (mode 0644); type `chmod 600 HOUSE/vault.key`
    ");
}

#[test]
fn a_missing_key_beside_a_vault_is_not_made_anew() {
    let exact = lived_in();
    fs::remove_file(exact.house.path("vault.key")).unwrap();
    let ran = exact.house.run(&["vault", "init"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 2
    --- stderr
    error: there is a vault already: `HOUSE/tidegate-state/vault.db`
    hint: bring its key back, or move the vault away and sign in again everywhere
    ");
    assert!(!exact.house.path("vault.key").exists());
}

#[test]
fn a_vault_cut_short_is_told_from_a_wrong_key() {
    let exact = lived_in();
    let vault = exact.house.path(VAULT);
    meddle(&vault, "");
    let whole = fs::read(&vault).unwrap();
    fs::write(&vault, &whole[..whole.len() / 2]).unwrap();
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 2
    --- stderr
    error: `HOUSE/tidegate-state/vault.db`: the database is damaged: database disk image is malformed
    hint: bring back a copy of the file, or move it away to begin without it
    ");
    assert_eq!(fs::read(&vault).unwrap().len(), whole.len() / 2);
    fs::write(&vault, whole).unwrap();
    assert_whole(&exact);
}

#[test]
fn a_vault_that_is_no_database_is_told_so() {
    let exact = lived_in();
    let vault = exact.house.path(VAULT);
    meddle(&vault, "");
    let whole = fs::read(&vault).unwrap();
    fs::write(
        &vault,
        "not a database at all, but a page of text\n".repeat(100),
    )
    .unwrap();
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 2
    --- stderr
    error: `HOUSE/tidegate-state/vault.db`: the database is damaged: file is not a database
    hint: bring back a copy of the file, or move it away to begin without it
    ");
    fs::write(&vault, whole).unwrap();
    assert_whole(&exact);
}

#[test]
fn a_sealed_value_with_flipped_bits_costs_one_login_and_no_data() {
    let exact = lived_in();
    let sealed: Vec<u8> = Connection::open(exact.house.path(VAULT))
        .unwrap()
        .query_row("SELECT access_token FROM credentials", [], |row| row.get(0))
        .unwrap();
    flip(&exact.house.path(VAULT), &sealed);
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 3
    --- stdout
    project: failed after TIME, 0 records: 0 inserted, 0 updated, 0 unchanged
    --- stderr
    error: flow `project`: connection `exact` needs attention: its sealed credential cannot be opened (the sealed access_token of connection `exact` cannot be opened)
    hint: type `tidegate login exact`
    ");
    let status = exact.house.run(&["status"]);
    assert_snapshot!(status.block(&exact.house), @r"
    exit 1
    --- stdout
    not well: `project` needs login, `exact` needs attention
    the service is not running, so nothing runs by itself

     FLOW     STATE        LAST SUCCESS  LAST RUN  NEXT
     project  needs login  just now      failed    -

     CONNECTION  STATE            ACCESS TOKEN ENDS  LOGIN ENDS  WHY
     exact       needs attention  in TIME          -           unreadable: the sealed access_token of connection `exact` cannot be opened
    exact: type `tidegate login exact`

    project: connection `exact` needs attention: its sealed credential cannot be opened (the sealed access_token of connection `exact` cannot be opened)
      type `tidegate login exact`
    ");
    assert_eq!(exact.table(), exact.truth());

    exact.sign_in();
    exact.house.run(&["--run-now"]).expect_code(0);
    assert_eq!(exact.table(), exact.truth());
}

/// Flips a bit in the middle of `sealed`, on the disk.
fn flip(path: &Path, sealed: &[u8]) {
    meddle(path, "");
    let mut content = Vec::new();
    let mut file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    file.read_to_end(&mut content).unwrap();
    let at = content
        .windows(sealed.len())
        .position(|window| window == sealed)
        .expect("a short value lies in one piece");
    let middle = at + sealed.len() / 2;
    file.seek(SeekFrom::Start(middle as u64)).unwrap();
    file.write_all(&[content[middle] ^ 0x10]).unwrap();
}

#[test]
fn newer_data_is_left_alone() {
    let block = refused(
        |exact| meddle(&exact.house.path(DATA), "PRAGMA user_version = 99"),
        |exact| meddle(&exact.house.path(DATA), "PRAGMA user_version = 1"),
    );
    assert_snapshot!(block, @r"
    exit 2
    --- stderr
    error: `HOUSE/tidegate-state/tidegate.db` has schema 99, and this tidegate knows up to 1: it was made by a newer version
    hint: install the version that made it, or a newer one; nothing was changed
    ");
}

#[test]
fn a_newer_vault_is_left_alone() {
    let block = refused(
        |exact| meddle(&exact.house.path(VAULT), "PRAGMA user_version = 99"),
        |exact| meddle(&exact.house.path(VAULT), "PRAGMA user_version = 1"),
    );
    assert_snapshot!(block, @r"
    exit 2
    --- stderr
    error: `HOUSE/tidegate-state/vault.db` has schema 99, and this tidegate knows up to 1: it was made by a newer version
    hint: install the version that made it, or a newer one; nothing was changed
    ");
}

#[test]
fn newer_files_are_not_read_either() {
    let exact = lived_in();
    meddle(&exact.house.path(DATA), "PRAGMA user_version = 99");
    for words in [&["status"][..], &["runs"], &["tables"]] {
        let ran = exact.house.run(words).expect_code(2);
        assert!(ran.stderr.contains("made by a newer version"), "{ran:#?}");
    }
    // A query names its own tables, which need no knowledge of ours.
    exact
        .house
        .run(&["query", "SELECT count(*) FROM project"])
        .expect_code(0);
}

#[test]
fn somebody_elses_database_is_not_written_to() {
    let exact = lived_in();
    let other = exact.house.path("other.db");
    let sql = "CREATE TABLE project (name TEXT); INSERT INTO project VALUES ('mine')";
    meddle(&other, sql);
    let before = fs::read(&other).unwrap();
    exact.configure("database = \"other.db\"", "");
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 2
    --- stderr
    error: `HOUSE/other.db` is another database, not the data of a tidegate
    hint: it was not touched; check `database` and `state_dir`
    ");
    assert!(fs::read(&other).unwrap() == before, "it was written to");

    fs::write(&other, "Dear diary,\n").unwrap();
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 2
    --- stderr
    error: `HOUSE/other.db`: the database is damaged: file is not a database
    hint: bring back a copy of the file, or move it away to begin without it
    ");
    assert_eq!(fs::read_to_string(&other).unwrap(), "Dear diary,\n");

    exact.configure("", "");
    assert_whole(&exact);
}

#[test]
fn the_vault_in_the_place_of_the_data_is_not_taken_for_it() {
    let exact = lived_in();
    exact.configure("database = \"tidegate-state/vault.db\"", "");
    let ran = exact.house.run(&["--run-now"]);
    assert_snapshot!(ran.block(&exact.house), @r"
    exit 2
    --- stderr
    error: `HOUSE/tidegate-state/vault.db` is another database, not the data of a tidegate
    hint: it was not touched; check `database` and `state_dir`
    ");
    exact.configure("", "");
    assert_whole(&exact);
}

#[test]
fn a_state_directory_that_is_a_file_is_told() {
    let block = refused(
        |exact| {
            exact.house.write_private("in-the-way", "");
            exact.configure("state_dir = \"in-the-way\"", "");
        },
        |exact| exact.configure("", ""),
    );
    assert_snapshot!(block, @r"
    exit 2
    --- stderr
    error: could not make the state directory `HOUSE/in-the-way`: File exists (os error 17)
    hint: choose another `state_dir`, or one where the user that runs tidegate may write
    ");
}

#[test]
fn a_second_service_names_the_first() {
    let exact = lived_in();
    let first = exact.house.start(&[]);
    exact.house.wait_until_served();
    let second = exact.house.run(&[]);
    assert_snapshot!(second.block(&exact.house), @r"
    exit 2
    --- stderr
    error: `HOUSE/tidegate-state` is in use by another tidegate (service, process PID)
    hint: ask the running one: `tidegate status`, `tidegate --run-now`
    ");
    // Whoever only wants something done asks the first.
    exact.house.run(&["--run-now"]).expect_code(0);
    drop(first);
    assert_whole(&exact);
}
