//! What the program's own user sees of its process, and what the kernel would write of it.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::TempHouse;

/// A user without rights, where the test has them all: root may look everywhere.
const NOBODY: u32 = 65_534;

/// A service that runs as a user who may not do everything.
struct Service {
    house: TempHouse,
    child: Child,
    user: Option<u32>,
}

impl Service {
    /// Starts one from a shell that lets core dumps be written.
    fn start() -> Self {
        let house = TempHouse::new("");
        let user = rustix::process::geteuid().is_root().then_some(NOBODY);
        let given = house.command(&[]);
        // Where this user can reach it.
        let program = house.path("tidegate");
        fs::copy(given.get_program(), &program).unwrap();
        let mut shell = as_user(Command::new("sh"), user);
        shell
            .args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""])
            .arg(&program)
            .args(given.get_args())
            .env_clear()
            .envs(
                given
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .current_dir(house.path(""))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(user) = user {
            give(&house.path(""), user);
        }
        let child = shell.spawn().unwrap();
        house.wait_until_served();
        Self { house, child, user }
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.child.id())
    }

    /// Tells whether the service's own user can read a file.
    fn can_its_user_read(&self, path: &str) -> bool {
        let mut reader = as_user(Command::new("cat"), self.user);
        let read = reader.arg(path).stdout(Stdio::null()).stderr(Stdio::null());
        read.status().unwrap().success()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nothing to do for one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn as_user(mut command: Command, user: Option<u32>) -> Command {
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command
}

/// Makes everything below a path a user's own.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

#[test]
fn the_programs_own_user_cannot_look_into_its_process() {
    let service = Service::start();
    assert!(service.can_its_user_read(&service.file("status")));
    // The same question as whether a debugger may be attached.
    for file in ["environ", "maps", "auxv"] {
        let file = service.file(file);
        assert!(!service.can_its_user_read(&file), "{file} can be read");
    }
}

#[test]
fn no_core_is_dumped_where_the_shell_would_allow_it() {
    let mut service = Service::start();
    let limits = fs::read_to_string(service.file("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");

    let id = Pid::from_child(&service.child);
    kill_process(id, Signal::ABORT).unwrap();
    let status = service.child.wait().unwrap();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
    assert!(!status.core_dumped());
    let cores = fs::read_dir(service.house.path(""))
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("core")
        });
    assert_eq!(cores.count(), 0);
}
