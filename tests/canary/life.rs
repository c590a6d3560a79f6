//! A house whose secrets are known, and everything that it has said and left behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate::sandbox::Settings;
use url::Url;

use crate::support::{Asked, Canaries, Exact, Ran, Running, Scripted, answer, files, json};

/// Longer than an access token lives.
pub(crate) const BREAK: Duration = Duration::from_secs(15 * 60);
pub(crate) const KEY: &str = "c0ffee11d00dfeed5eedfacebadc0de5a11ce0b0bca11ab1e0ddba11f005ba11";
pub(crate) const SHOP_TOKEN: &str = "shop-canary-8Kq2+vX/zP0w=Y7mJ4n";
pub(crate) const MACHINE_TOKEN: &str = "machine-canary-4fT9sL0xQ2";
pub(crate) const PASSWORD: &str = "password-canary-ö9&Vr+2sK x7Q%3d";
pub(crate) const PASSWORDS_TOKEN: &str = "password-token-canary-6Hd0pZ1";
pub(crate) const SESSION_PASSWORD: &str = "session-password-canary-\"7\\Gt'4Zq";
pub(crate) const SESSION_TOKEN: &str = "session-token-canary-Wm3+Lk8/Rv";
pub(crate) const QUERY_KEY: &str = "query-canary-2w/E+r=t&Y%u8Io";
pub(crate) const LITERAL: &str = "literal-canary-Zt5%r&9W#e1u!Qb";
/// Files that the test itself wrote a secret into.
pub(crate) const SOURCES: [&str; 6] = [
    "vault.key",
    "client-secret",
    "query-key",
    "session-password",
    "client.pem",
    "tidegate.toml",
];

/// A house, what it may not show, and what it has shown.
pub(crate) struct Life {
    pub(crate) exact: Exact,
    pub(crate) tokens: Scripted,
    pub(crate) shop: Scripted,
    pub(crate) echoes: Arc<AtomicBool>,
    /// What only the person at the keyboard sees, by their own wish.
    states: Vec<String>,
    pub(crate) said: Vec<(String, Vec<u8>)>,
    seen: BTreeMap<String, Vec<u8>>,
}

impl Life {
    pub(crate) fn begin() -> Self {
        let exact = Exact::new(Settings::default());
        exact.house.write_private("vault.key", KEY);
        exact.house.write_private("query-key", QUERY_KEY);
        exact
            .house
            .write_private("session-password", SESSION_PASSWORD);
        exact.house.write_private("client.pem", &private_key());
        let echoes = Arc::new(AtomicBool::new(false));
        let shop = Scripted::start(shop(Arc::clone(&echoes)));
        exact.configure("", &other_connections(&shop.url));
        let pkce = fs::read_to_string(exact.house.config())
            .unwrap()
            .replace("limits = []\n", "limits = []\npkce = true\n");
        exact.house.write_private("tidegate.toml", &pkce);
        let echo = Arc::clone(&echoes);
        let tokens = exact.lead_tokens_over(move |asked, answer| {
            if echo.load(Ordering::SeqCst) {
                echoed(asked, 400)
            } else {
                answer
            }
        });
        let mut life = Self {
            exact,
            tokens,
            shop,
            echoes,
            states: Vec::new(),
            said: Vec::new(),
            seen: BTreeMap::new(),
        };
        fs::create_dir(life.exact.house.path("tmp")).unwrap();
        let tmp = life.exact.house.path("tmp").to_string_lossy().into_owned();
        let environment = [
            ("TIDEGATE_LOG", "trace"),
            ("RUST_BACKTRACE", "1"),
            ("SHOP_TOKEN", SHOP_TOKEN),
            ("TMPDIR", &tmp),
        ];
        for (name, value) in environment {
            life.exact.house.set_env(name, value);
        }
        life.seal_the_password();
        life
    }

    /// Types the password of a connection, which its configuration only names.
    fn seal_the_password(&mut self) {
        let mut sealing = self.exact.house.start(&["secret", "set", "legacy"]);
        sealing.type_line(PASSWORD);
        let ran = sealing.finish().expect_code(0);
        self.hear("secret set", ran);
    }

    /// Signs in, with what comes of the address for the test to say.
    pub(crate) fn sign_in(&mut self, browse: impl FnOnce(&Exact, &Url) -> String) {
        let mut state = String::new();
        let mut ran = self.exact.sign_in_with(|exact, url| {
            let found = url.query_pairs().find(|(name, _)| name == "state");
            state = found.unwrap().1.into_owned();
            browse(exact, url)
        });
        // The address is printed for the person to open, and a browser sends all of it.
        let printed = |line: &&str| !line.starts_with("http");
        ran.stdout = ran.stdout.lines().filter(printed).collect();
        self.states.push(state);
        self.hear("login", ran);
    }

    pub(crate) fn run(&mut self, words: &[&str]) {
        let ran = self.exact.house.run(words);
        self.hear(&words.join(" "), ran);
    }

    /// Runs everything while time passes, also the waits between tries.
    pub(crate) fn run_all(&mut self) {
        let ran = self.exact.house.run_as_time_passes(&["--run-now"]);
        self.hear("--run-now", ran);
    }

    pub(crate) fn later(&self) {
        self.exact.house.clock().advance(BREAK).unwrap();
    }

    pub(crate) fn hear(&mut self, what: &str, ran: Ran) {
        assert_ne!(ran.code, Some(101), "{what} panicked: {}", ran.stderr);
        let code = ran.code;
        for (name, text) in [("stdout", ran.stdout), ("stderr", ran.stderr)] {
            self.said.push((
                format!("{name} of {what}, exit {code:?}"),
                text.into_bytes(),
            ));
        }
        self.look_at_changed_files();
    }

    /// Every secret there has been so far, under the name it goes by.
    pub(crate) fn secrets(&self) -> Vec<(String, String)> {
        let made = self.exact.sandbox.secrets().into_iter();
        let verifiers = sent(&self.tokens, "code_verifier");
        let assertions = sent(&self.shop, "client_assertion");
        let key = private_key();
        let lines = key.lines().filter(|line| !line.starts_with('-'));
        let lines = lines.map(str::to_owned);
        let fixed = [
            ("vault key", KEY),
            ("static token", SHOP_TOKEN),
            ("machine's token", MACHINE_TOKEN),
            ("sealed password", PASSWORD),
            ("password's token", PASSWORDS_TOKEN),
            ("query key", QUERY_KEY),
            ("session's password", SESSION_PASSWORD),
            ("session's token", SESSION_TOKEN),
            ("literal secret", LITERAL),
        ];
        let named = |what: &'static str| move |secret| (what.to_owned(), secret);
        let states = self.states.iter().cloned();
        made.map(named("client secret, code or token"))
            .chain(verifiers.into_iter().map(named("PKCE verifier")))
            .chain(assertions.into_iter().map(named("assertion")))
            .chain(lines.map(named("line of the private key")))
            .chain(states.map(named("state")))
            .chain(fixed.map(|(what, secret)| (what.to_owned(), secret.to_owned())))
            .collect()
    }

    pub(crate) fn canaries(&self) -> Canaries {
        let mut canaries = Canaries::default();
        for (what, secret) in self.secrets() {
            canaries.add(&what, secret.as_bytes());
        }
        let bytes: Vec<u8> = (0..KEY.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&KEY[at..at + 2], 16).unwrap())
            .collect();
        canaries.add("vault key's bytes", &bytes);
        canaries
    }

    /// Looks at every file that has changed since it was last looked at.
    pub(crate) fn look_at_changed_files(&mut self) {
        let canaries = self.canaries();
        for (path, content) in files(&self.exact.house.path(""), &SOURCES) {
            if self.seen.get(&path) != Some(&content) {
                canaries.assert_clean(&path, &content);
                self.seen.insert(path, content);
            }
        }
    }

    /// Looks at every file again, for what was not known to be a secret when it was written.
    pub(crate) fn look_at_files(&mut self) {
        self.seen.clear();
        self.look_at_changed_files();
    }

    pub(crate) fn look_at_what_was_said(&self) {
        let canaries = self.canaries();
        for (what, text) in &self.said {
            canaries.assert_clean(what, text);
        }
    }

    /// What any user of the machine sees of a process, and what its own user sees.
    pub(crate) fn look_at_process(&self, running: &Running) {
        let of = |file: &str| fs::read(format!("/proc/{}/{file}", running.id()));
        let canaries = self.canaries();
        canaries.assert_clean("the command line", &of("cmdline").unwrap());
        let environment = match of("environ") {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return,
            environment => environment.unwrap(),
        };
        // A variable that holds a secret is there by its owner's choice; nothing else is.
        let given = format!("SHOP_TOKEN={SHOP_TOKEN}");
        let others = environment.split(|byte| *byte == 0);
        for variable in others.filter(|variable| *variable != given.as_bytes()) {
            canaries.assert_clean("the environment", variable);
        }
    }
}

/// Returns every value of a form's field that a server was sent.
fn sent(to: &Scripted, field: &str) -> Vec<String> {
    let values = to.asked().into_iter().filter_map(|asked| {
        url::form_urlencoded::parse(&asked.body)
            .find(|(name, _)| name == field)
            .map(|(_, value)| value.into_owned())
    });
    values.collect()
}

fn private_key() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa.pem");
    fs::read_to_string(path).unwrap()
}

pub(crate) fn other_connections(shop: &str) -> String {
    format!(
        r#"
[connection.shop]
base_url = "{shop}"
token = {{ env = "SHOP_TOKEN" }}
paging = "odata"

[flow.order]
connection = "shop"
url = "/orders?page=0"
key = ["id"]

[connection.machine]
base_url = "{shop}"
grant = "client_credentials"
token_url = "/token"
client_id = "tidegate"
client_secret = "{LITERAL}"

[flow.report]
connection = "machine"
url = "/report"
paging = "none"
key = ["id"]

[connection.signer]
base_url = "{shop}"
grant = "client_credentials"
token_url = "/token"
client_id = "tidegate"
client_auth = "private_key_jwt"
private_key = {{ file = "client.pem" }}

[flow.signed]
connection = "signer"
url = "/report"
paging = "none"
key = ["id"]

[connection.legacy]
base_url = "{shop}"
grant = "password"
token_url = "/password-token"
client_id = "tidegate"
username = "zoë"
password = {{ vault = "legacy" }}

[flow.legacy]
connection = "legacy"
url = "/report"
paging = "none"
key = ["id"]

[connection.session]
base_url = "{shop}"
token_header = "X-Session"

[connection.session.session]
url = "/session"
json = {{ user = "reports", password = "{{{{ secret.password }}}}" }}
secrets = {{ password = {{ file = "session-password" }} }}
token = "session"
lifetime = "10m"

[flow.session]
connection = "session"
url = "/report"
paging = "none"
key = ["id"]

[connection.keyed]
base_url = "{shop}"
token = {{ file = "query-key" }}
token_query = "api_key"

[flow.keyed]
connection = "keyed"
url = "/report"
paging = "none"
key = ["id"]
"#
    )
}

/// An API that, when it is ill, quotes what it was sent in its complaints, as some do.
pub(crate) fn shop(is_ill: Arc<AtomicBool>) -> impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static {
    move |asked| {
        if is_ill.load(Ordering::SeqCst) {
            return echoed(
                asked,
                if asked.line.contains("token") {
                    401
                } else {
                    422
                },
            );
        }
        let target = asked.line.split(' ').nth(1).unwrap();
        match target.split('?').next().unwrap() {
            "/password-token" => json(&format!(
                r#"{{"access_token": "{PASSWORDS_TOKEN}", "expires_in": 600}}"#
            )),
            "/session" => json(&format!(r#"{{"session": "{SESSION_TOKEN}"}}"#)),
            "/token" => json(&format!(
                r#"{{"access_token": "{MACHINE_TOKEN}", "expires_in": 600}}"#
            )),
            "/report" => json(r#"[{"id": 1}]"#),
            _ => json(r#"{"value": [{"id": 1}]}"#),
        }
    }
}

/// A complaint that holds everything that was sent.
pub(crate) fn echoed(asked: &Asked, status: u16) -> Vec<u8> {
    let body = String::from_utf8_lossy(&asked.body);
    let sent = format!("{} {} {body}", asked.line, asked.headers);
    let complaint = serde_json::json!({
        "error": "invalid_request",
        "error_description": format!("cannot use {sent}"),
        "message": format!("cannot use {sent}"),
    });
    answer(
        status,
        &["content-type: application/json"],
        &complaint.to_string(),
    )
}
