//! The systemd units: what they promise the program, and what systemd says of them.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const UNITS: [&str; 3] = [
    "tidegate.service",
    "tidegate-run.service",
    "tidegate-run.timer",
];

/// Where packages put the program.
const PROGRAM: &str = "/usr/bin/tidegate";

/// The most exposure a service may have, as `systemd-analyze security` counts: tenths.
const EXPOSURE: &str = "11";

/// Directives that say what a service runs and when it is started again; the others are its room.
const ERRAND: [&str; 7] = [
    "Type",
    "NotifyAccess",
    "ExecStart",
    "TimeoutStartSec",
    "Restart",
    "RestartSec",
    "RestartPreventExitStatus",
];

fn unit(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("systemd")
        .join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of the section `[Service]`.
fn service(name: &str) -> BTreeSet<String> {
    let unit = unit(name);
    let lines = unit.lines().skip_while(|line| *line != "[Service]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_service_promises_what_the_program_counts_on() {
    let service = service("tidegate.service");
    for line in [
        "Type=notify",
        "ExecStart=/usr/bin/tidegate --config /etc/tidegate/tidegate.toml",
        "StateDirectory=tidegate",
        "LoadCredentialEncrypted=tidegate-key",
        // A refresh under way may take 90 s, and is never cut off.
        "TimeoutStopSec=120s",
        "KillMode=mixed",
        "Restart=on-failure",
        // A person must change something first.
        "RestartPreventExitStatus=2",
        "UMask=0027",
        // No core dump holds a token.
        "LimitCORE=0",
    ] {
        assert!(service.contains(line), "`{line}` is missing");
    }
}

#[test]
fn a_run_by_timer_lives_in_the_same_room_as_the_daemon() {
    let room = |name: &str| -> BTreeSet<String> {
        let is_errand = |line: &String| ERRAND.contains(&line.split('=').next().unwrap_or(line));
        service(name)
            .into_iter()
            .filter(|line| !is_errand(line))
            .collect()
    };
    assert_eq!(room("tidegate.service"), room("tidegate-run.service"));
    assert!(
        service("tidegate-run.service")
            .contains("ExecStart=/usr/bin/tidegate --config /etc/tidegate/tidegate.toml --run-now")
    );
}

/// Copies the units to `dir`, with the program where it was built: systemd looks whether it exists.
fn installed(dir: &Path) -> Vec<PathBuf> {
    let install = |name: &str| {
        let path = dir.join(name);
        fs::write(
            &path,
            unit(name).replace(PROGRAM, env!("CARGO_BIN_EXE_tidegate")),
        )
        .unwrap();
        path
    };
    UNITS.map(install).to_vec()
}

fn has_systemd() -> bool {
    let version = Command::new("systemd-analyze")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    let found = version.is_ok_and(|status| status.success());
    if !found {
        support::skip("units: systemd-analyze is not installed");
    }
    found
}

fn analyze(arguments: &[&str], units: &[PathBuf]) {
    let said = Command::new("systemd-analyze")
        .args(arguments)
        .args(units)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&said.stderr);
    assert!(
        said.status.success(),
        "{complaint}{}",
        String::from_utf8_lossy(&said.stdout)
    );
    assert_eq!(complaint, "");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if has_systemd() {
        let dir = tempfile::tempdir().unwrap();
        analyze(&["verify", "--man=no"], &installed(dir.path()));
    }
}

#[test]
fn the_services_are_hardly_exposed() {
    if has_systemd() {
        let dir = tempfile::tempdir().unwrap();
        let threshold = format!("--threshold={EXPOSURE}");
        for unit in installed(dir.path()) {
            if unit.extension().is_some_and(|kind| kind == "service") {
                analyze(
                    &["security", "--offline=true", "--no-pager", &threshold],
                    &[unit],
                );
            }
        }
    }
}
