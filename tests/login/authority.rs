//! An authorization server whose every answer a test writes, and a house beside it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use url::Url;

use crate::support::{Asked, Ran, Running, Scripted, TempHouse, answer, json};

/// Where the metadata is (RFC 8414 section 3).
pub(crate) const METADATA: &str = "/.well-known/oauth-authorization-server";
/// Longer than an access token lives.
pub(crate) const BREAK: Duration = Duration::from_secs(15 * 60);

/// What it answers, by path: what is queued first, then what it always says.
#[derive(Debug, Default)]
struct Script {
    next: BTreeMap<String, VecDeque<Vec<u8>>>,
    always: BTreeMap<String, Vec<u8>>,
}

/// The server, and a house with a connection `atlas` and a flow that reads from the same server.
pub(crate) struct Authority {
    pub(crate) house: TempHouse,
    pub(crate) server: Scripted,
    script: Arc<Mutex<Script>>,
}

impl Authority {
    /// Starts a server with a token endpoint and an API, and moves in beside it. `settings` are
    /// the connection's besides its client; `{url}` in them is where the server answers.
    pub(crate) fn new(settings: &str) -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let scripted = Arc::clone(&script);
        let server = Scripted::start(move |asked| scripted.lock().unwrap().answer(asked));
        let authority = Self {
            house: TempHouse::new(""),
            server,
            script,
        };
        authority.house.write_private("secret", "CANARY-secret");
        authority.configure(settings);
        authority.always("/token", json(&tokens(1)));
        authority.always("/api/things", json(r#"[{"id":1}]"#));
        authority
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, settings: &str) {
        let config = format!(
            "[connection.atlas]\nclient_id = \"tidegate\"\nclient_secret = {{ file = \"secret\" }}\n\
             client_auth = \"body\"\nbase_url = \"{{url}}/api\"\n{settings}\n\
             [flow.thing]\nconnection = \"atlas\"\nurl = \"/things\"\nkey = [\"id\"]\npaging = \"none\"\n"
        );
        let config = config.replace("{url}", &self.server.url);
        self.house.write_private("tidegate.toml", &config);
    }

    /// Says this once, before what it always says.
    pub(crate) fn next(&self, path: &str, answer: Vec<u8>) {
        let mut script = self.script.lock().unwrap();
        script
            .next
            .entry(path.into())
            .or_default()
            .push_back(answer);
    }

    /// Says this from now on.
    pub(crate) fn always(&self, path: &str, answer: Vec<u8>) {
        self.script
            .lock()
            .unwrap()
            .always
            .insert(path.into(), answer);
    }

    /// Publishes metadata with these members besides the issuer; `{url}` is where it answers.
    pub(crate) fn publish(&self, members: &str) {
        let body = format!(r#"{{"issuer":"{{url}}",{members}}}"#);
        let body = body.replace("{url}", &self.server.url);
        self.always(METADATA, json(&body));
    }

    /// Returns what was asked at `path`, in order: the query or the body, as pairs.
    pub(crate) fn asked(&self, path: &str) -> Vec<BTreeMap<String, String>> {
        let at_path = |asked: &Asked| {
            let target = asked.line.split(' ').nth(1)?.to_owned();
            let (found, query) = target.split_once('?').unwrap_or((&target, ""));
            let sent = if asked.body.is_empty() {
                query.as_bytes()
            } else {
                &asked.body
            };
            let pairs = url::form_urlencoded::parse(sent).into_owned().collect();
            (found == path).then_some(pairs)
        };
        self.server.asked().iter().filter_map(at_path).collect()
    }

    /// Begins a login; returns it with the address the person is sent to.
    pub(crate) fn begin(&self) -> (Running, Url) {
        let mut login = self.house.start(&["login", "atlas", "--no-browser"]);
        let url = login.wait_for_line(|line| line.starts_with("http"));
        (login, url.parse().unwrap())
    }

    /// Signs in; `more` comes with the code.
    pub(crate) fn sign_in(&self, more: &str) -> Ran {
        let (mut login, url) = self.begin();
        login.type_line(&back(&url, &format!("code=c1{more}")));
        login.finish()
    }
}

/// Returns where the browser is sent back to with these parameters.
pub(crate) fn back(url: &Url, more: &str) -> String {
    let find = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1;
    format!("{}?{more}&state={}", find("redirect_uri"), find("state"))
}

/// Spells tokens of ten minutes.
pub(crate) fn tokens(number: u32) -> String {
    tokens_with(number, "")
}

/// As [`tokens`], with more members.
pub(crate) fn tokens_with(number: u32, more: &str) -> String {
    format!(
        r#"{{"access_token":"CANARY-a{number}","refresh_token":"CANARY-r{number}",
            "token_type":"bearer","expires_in":600{more}}}"#
    )
}

impl Script {
    fn answer(&mut self, asked: &Asked) -> Vec<u8> {
        let target = asked.line.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let queued = self.next.get_mut(path).and_then(VecDeque::pop_front);
        queued
            .or_else(|| self.always.get(path).cloned())
            .unwrap_or_else(|| answer(404, &[], "nothing here"))
    }
}
