//! Copies of a house, and what brings them back.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::files::holding;
use crate::support::{Exact, eventually};
use tidegate::sandbox::Settings;

#[test]
fn a_backup_is_whole_private_and_can_be_brought_back_before_the_next_refresh() {
    let exact = Exact::new(Settings::default());
    let house = &exact.house;
    exact.sign_in();
    house.run(&["--run-now"]).expect_code(0);
    let daemon = house.start_daemon();
    let said = house.run(&["backup", "copy"]).expect_code(0).stdout;
    assert!(
        said.starts_with("copied tidegate.db and vault.db to copy\n"),
        "{said}"
    );
    assert!(said.contains("the key of the vault is not in it"), "{said}");
    assert!(
        said.contains("1 login in it may have to be repeated"),
        "{said}"
    );
    drop(daemon);

    let copy = house.path("copy");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&copy), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&copy).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    assert_eq!(names, ["backup.json", "tidegate.db", "vault.db"]);
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(copy.join("backup.json")).unwrap()).unwrap();
    assert_eq!(manifest["generations"][0]["connection"], "exact");
    assert_eq!(manifest["generations"][0]["generation"], 1);
    let key = fs::read_to_string(house.path("vault.key")).unwrap();
    assert_eq!(holding(&copy, key.trim()), Vec::<String>::new());
    let again = house.run(&["backup", "copy"]).expect_code(2);
    assert!(
        again.stderr.contains("`copy` is there already"),
        "{}",
        again.stderr
    );

    // Everything is lost but the backup and the key.
    let state = house.path("tidegate-state");
    fs::remove_dir_all(&state).unwrap();
    fs::create_dir(&state).unwrap();
    for name in ["tidegate.db", "vault.db"] {
        fs::copy(copy.join(name), state.join(name)).unwrap();
    }
    house.run(&["--run-now"]).expect_code(0);
    assert_eq!(exact.table(), exact.truth());
}

#[test]
fn a_backup_that_was_cut_short_has_another_name() {
    let exact = Exact::new(Settings::default());
    exact.sign_in();
    fs::create_dir(exact.house.path("copy.partial")).unwrap();
    let refused = exact.house.run(&["backup", "copy"]).expect_code(2);
    assert!(
        refused.stderr.contains("a backup was cut short there"),
        "{}",
        refused.stderr
    );
    assert!(!exact.house.path("copy").exists());
}

#[test]
fn nobody_of_the_same_user_looks_into_a_running_service() {
    let exact = Exact::new(Settings::default());
    let daemon = exact.house.start_daemon();
    let status = format!("/proc/{}/limits", daemon.id());
    let limits = || fs::read_to_string(&status).unwrap_or_default();
    let has_no_dumps = || {
        let core = limits();
        let line = core
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        line.is_some_and(|line| line.split_whitespace().nth(4) == Some("0"))
    };
    assert!(eventually(has_no_dumps), "{}", limits());
    // The files of a process that cannot be dumped belong to root, whoever runs it.
    use std::os::unix::fs::MetadataExt;
    let owner = fs::metadata(format!("/proc/{}/environ", daemon.id())).unwrap();
    assert_eq!(owner.uid(), 0);
}
