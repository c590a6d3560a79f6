//! What the integration tests share: a house to live in for a test, the real program run inside
//! it, and servers to talk to.

// Every test binary compiles all of this and uses a part.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test uses a part"
)]
// A test that cannot be set up has failed, and its backtrace says where.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "only tests come here"
)]

mod canaries;
mod dice;
mod equal;
#[cfg(feature = "test-clock")]
mod exact;
mod golden;
mod loopback;
mod process;
#[cfg(feature = "test-clock")]
mod rotating;
mod scripted;
mod servers;
#[cfg(feature = "test-clock")]
mod vault;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

pub use canaries::{Canaries, files};
pub use dice::{Dice, number};
#[cfg(feature = "test-clock")]
pub use exact::{Exact, Gate};
pub use loopback::{Reply, call};
pub use process::{Ran, Running};
#[cfg(feature = "test-clock")]
pub use rotating::{GRACE, Hold, LIFE, Presented, RotatingServer, Rotation, Trouble};
pub use scripted::{Asked, Scripted, answer, json};
pub use servers::{AuthorizationServer, node, skip};
#[cfg(feature = "test-clock")]
pub use vault::{OnRecord, RescueFile, Vault};

/// A vault key. Worth nothing: whatever it seals is made by a test and thrown away.
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
/// When a test begins, on the clock that only it moves: a Monday morning in winter.
#[cfg(feature = "test-clock")]
const BEGINNING: &str = "2026-01-05T08:00:00Z";

/// Signs in as a person does who pastes where the browser was sent back to, at a server that takes
/// any code.
pub fn paste_login(house: &TempHouse, connection: &str) -> Ran {
    let mut login = house.start(&["login", connection, "--no-browser"]);
    let url = login.wait_for_line(|line| line.starts_with("http"));
    let url = url::Url::parse(&url).unwrap();
    let asked = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1;
    let (redirect_uri, state) = (asked("redirect_uri"), asked("state"));
    login.type_line(&format!("{redirect_uri}?code=good&state={state}"));
    login.finish()
}

/// Looks again and again, for as long as a machine may need, whether something has come to be.
pub fn eventually(is_so: impl Fn() -> bool) -> bool {
    const LOOKS: u32 = 6_000;
    const BETWEEN: std::time::Duration = std::time::Duration::from_millis(5);
    (0..LOOKS).any(|_| {
        is_so() || {
            // What happens in another process wakes nobody here.
            #[expect(
                clippy::disallowed_methods,
                reason = "another process knows no other clock"
            )]
            std::thread::sleep(BETWEEN);
            false
        }
    })
}

/// A directory with a configuration, a key and room for the state, gone when the test is.
#[derive(Debug)]
pub struct TempHouse {
    dir: TempDir,
    environment: Vec<(String, String)>,
}

impl TempHouse {
    /// Moves in with this configuration, under the default names: `tidegate.toml`, `vault.key` and
    /// `tidegate-state` in one directory.
    pub fn new(config: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("tidegate-")
            .tempdir()
            .unwrap();
        // Whoever finds a literal secret in a file that others can read refuses it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let house = Self {
            dir,
            environment: Vec::new(),
        };
        house.write_private("tidegate.toml", config);
        house.write_private("vault.key", KEY);
        #[cfg(feature = "test-clock")]
        house.clock().set(BEGINNING.parse().unwrap()).unwrap();
        house
    }

    /// Returns a path inside the house.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("tidegate.toml")
    }

    /// Writes a file that only we may read, over one that may be there.
    pub fn write_private(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Sets an environment variable for every program run in this house from now on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Returns the clock of this house, which stands still until the test moves it.
    #[cfg(feature = "test-clock")]
    pub fn clock(&self) -> tidegate::clock::FileClock {
        tidegate::clock::FileClock::new(self.path("clock"))
    }

    /// Prepares `tidegate --config … ARGUMENTS`, with nothing of the tester's own environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("TZ", "UTC")
            .env("LANG", "C.UTF-8")
            .current_dir(self.dir.path())
            .arg("--config")
            .arg(self.config())
            .args(arguments);
        #[cfg(feature = "test-clock")]
        command.env(tidegate::clock::FileClock::VARIABLE, self.path("clock"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the program to its end, without input.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Running::start(self.command(arguments)).finish()
    }

    /// Starts the program; it is killed if the test ends first.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command(arguments))
    }

    /// Runs the program to its end while the house's clock goes on: for a program that waits for a
    /// moment which only the test can bring about.
    #[cfg(feature = "test-clock")]
    pub fn run_as_time_passes(&self, arguments: &[&str]) -> Ran {
        use std::time::Duration;

        const STEP: Duration = Duration::from_millis(500);
        let mut running = self.start(arguments);
        while !running.has_ended_within(Duration::from_millis(20)) {
            self.clock().advance(STEP).unwrap();
        }
        running.finish()
    }

    /// Waits until a program in this house answers on its socket.
    #[track_caller]
    pub fn wait_until_served(&self) {
        let socket = self.path("tidegate-state/tidegate.sock");
        let answers = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
        assert!(
            eventually(answers),
            "nobody answers on {}",
            socket.display()
        );
    }

    /// Starts the daemon and waits until it answers.
    #[track_caller]
    pub fn start_daemon(&self) -> Running {
        let daemon = self.start(&[]);
        self.wait_until_served();
        daemon
    }

    /// Returns the number of the credential that the vault holds for a connection, if it holds one.
    pub fn generation(&self, connection: &str) -> Option<i64> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let vault = Connection::open_with_flags(self.path("tidegate-state/vault.db"), flags);
        let vault = vault.unwrap();
        let mut statement = vault
            .prepare("SELECT generation FROM credentials WHERE connection = ?1")
            .unwrap();
        let mut rows = statement.query([connection]).unwrap();
        rows.next().unwrap().map(|row| row.get(0).unwrap())
    }

    /// Opens the synced database as any other program would.
    pub fn data(&self) -> Connection {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        Connection::open_with_flags(self.path("tidegate-state/tidegate.db"), flags).unwrap()
    }

    /// Returns what a query over the synced database answers.
    pub fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        let data = self.data();
        let mut statement = data.prepare(sql).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect());
        rows.unwrap().map(Result::unwrap).collect()
    }
}
