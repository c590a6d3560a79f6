//! Servers we did not write, started for one test. `tests/servers/README.md` says what they are.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use url::Url;

use super::TempHouse;
use super::loopback::call;
use super::process::Running;

/// Names the file that tells which tests were left out, and why.
const SKIPS: &str = "TIDEGATE_TEST_SKIPS";

/// The oldest Node that the servers run on.
const OLDEST_NODE: u32 = 20;

/// An authorization server that is not ours, a breakable line to its token endpoint, and an API
/// behind it.
#[derive(Debug)]
pub struct AuthorizationServer {
    _running: Running,
    /// The issuer.
    pub issuer: String,
    /// The authorization endpoint.
    pub authorize_url: String,
    /// The token endpoint, at the end of the line.
    pub token_url: String,
    /// The API.
    pub api: String,
    admin: String,
    told: Value,
}

impl AuthorizationServer {
    /// Starts `oidc-provider`, with an API that has real records.
    pub fn oidc_provider(house: &TempHouse) -> Option<Self> {
        Self::start(house, "oidc")
    }

    /// Starts `@node-oauth/oauth2-server`.
    pub fn oauth2_server(house: &TempHouse) -> Option<Self> {
        Self::start(house, "oauth2-server")
    }

    /// Starts the servers of a directory on the clock of `house`; `None`, and a line among the
    /// skips, if Node or its packages are not to be had.
    #[cfg_attr(
        not(feature = "test-clock"),
        expect(
            unused_variables,
            unused_mut,
            reason = "without a test clock there is none to share"
        )
    )]
    fn start(house: &TempHouse, name: &str) -> Option<Self> {
        let what = format!("tests against the server {name}");
        let mut command = node(name, "server.mjs", &what)?;
        #[cfg(feature = "test-clock")]
        command.env(tidegate::clock::FileClock::VARIABLE, house.path("clock"));
        let mut running = Running::start(command);
        let line = running.wait_for_line(|line| line.starts_with('{'));
        let told: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        Some(Self {
            _running: running,
            issuer: text("issuer"),
            authorize_url: text("authorize_url"),
            token_url: text("token_url"),
            api: text("api"),
            admin: text("admin"),
            told,
        })
    }

    /// Returns the secret of a confidential client.
    pub fn secret_of(&self, client: &str) -> &str {
        self.told["secrets"][client].as_str().unwrap()
    }

    /// Returns what else the server told of itself.
    pub fn told(&self, name: &str) -> &Value {
        &self.told[name]
    }

    /// Asks the admin interface for something.
    pub fn admin(&self, method: &str, path: &str) -> Value {
        call(method, &format!("{}/{path}", self.admin), None).json()
    }

    /// Signs in at the provider's real pages as a person with a browser would, and returns the URL
    /// the browser is sent back to.
    pub fn sign_in(&self, authorize_url: &str) -> String {
        let redirect = self.browse(&[("url", authorize_url)]);
        redirect.as_str().unwrap().to_owned()
    }

    /// Signs in at the page where the code of a device is typed, until a page says that it is done.
    pub fn approve(&self, verification_url: &str, user_code: &str) {
        let typed = [("url", verification_url), ("user_code", user_code)];
        assert_eq!(self.browse(&typed), Value::Null);
    }

    fn browse(&self, what: &[(&str, &str)]) -> Value {
        let mut url = Url::parse(&format!("{}/sign-in", self.admin)).unwrap();
        url.query_pairs_mut().extend_pairs(what);
        call("POST", url.as_str(), None).json()["redirect"].clone()
    }

    /// Returns the source's own truth about a record set, whole.
    pub fn records(&self, set: &str) -> Vec<Value> {
        array(call("GET", &format!("{}/records/{set}", self.admin), None).json())
    }

    /// Changes records at the source, or adds ones; each is named by its key.
    pub fn change(&self, set: &str, records: &[Value]) {
        call(
            "POST",
            &format!("{}/records/{set}", self.admin),
            Some(&json!(records)),
        )
        .json();
    }

    /// Removes records at the source.
    pub fn remove(&self, set: &str, keys: &[Value]) {
        call(
            "DELETE",
            &format!("{}/records/{set}", self.admin),
            Some(&json!(keys)),
        )
        .json();
    }

    /// Lets records arrive at the source that were held back, and returns them.
    pub fn arrive(&self, set: &str, count: usize) -> Vec<Value> {
        array(
            call(
                "POST",
                &format!("{}/arrive/{set}?count={count}", self.admin),
                None,
            )
            .json(),
        )
    }

    /// Breaks the line for the next token requests; `line.mjs` says how it can break.
    pub fn fail_next(&self, fault: &Value) {
        call("POST", &format!("{}/fault", self.admin), Some(fault)).json();
    }

    /// Mends the line.
    pub fn heal(&self) {
        call("POST", &format!("{}/heal", self.admin), None).json();
    }

    /// Returns the token requests, in the order they came.
    pub fn ledger(&self) -> Vec<Value> {
        array(call("GET", &format!("{}/ledger", self.admin), None).json())
    }
}

fn array(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        other => panic!("expected an array, found {other}"),
    }
}

/// Returns the command that runs `script` in the directory `name` of `tests/servers`; `None`, and a
/// line among the skips that names `what`, if Node or its packages are not to be had.
pub fn node(name: &str, script: &str, what: &str) -> Option<Command> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/servers")
        .join(name);
    if let Err(why) = install(&dir, name) {
        skip(&format!("{what}: {why}"));
        return None;
    }
    let mut command = Command::new("node");
    command.arg(script).current_dir(&dir);
    Some(command)
}

/// Installs the packages that the lock file names, unless they are there: once, whatever the number
/// of tests that start at the same time.
fn install(dir: &Path, name: &str) -> Result<(), String> {
    let version =
        works(Command::new("node").arg("--version")).map_err(|why| format!("node {why}"))?;
    let major = version
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|it| it.parse().ok());
    if major.is_none_or(|major: u32| major < OLDEST_NODE) {
        return Err(format!(
            "node {OLDEST_NODE} or newer is needed, found {}",
            version.trim()
        ));
    }
    let guard =
        File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("npm-{name}.lock")))
            .map_err(|error| error.to_string())?;
    guard.lock().map_err(|error| error.to_string())?;
    if is_installed(dir) {
        return Ok(());
    }
    works(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(dir),
    )
    .map(drop)
    .map_err(|why| format!("npm ci {why}"))
}

/// npm writes its own copy of the lock file last, so a broken installation has none.
fn is_installed(dir: &Path) -> bool {
    let modified = |path: PathBuf| fs::metadata(path).and_then(|found| found.modified());
    let asked = modified(dir.join("package-lock.json"));
    let found = modified(dir.join("node_modules/.package-lock.json"));
    matches!((asked, found), (Ok(asked), Ok(found)) if found >= asked)
}

/// Runs a command and returns its answer, or why there is none.
fn works(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|_| "is not installed".to_owned())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said
        .lines()
        .find(|line| line.contains("error"))
        .unwrap_or("without a word");
    Err(format!("failed: {line}"))
}

/// Tells that something was left out, to the person who looks at the test and to `./test`.
pub fn skip(what: &str) {
    eprintln!("left out: {what}");
    if let Some(path) = std::env::var_os(SKIPS) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        writeln!(file, "{what}").unwrap();
    }
}
