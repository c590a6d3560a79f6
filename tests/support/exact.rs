//! A house beside the emulated Exact Online, both on one clock that only the test moves.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidegate::sandbox::{Sandbox, Settings};
use tokio::runtime::Runtime;
use url::Url;

use super::{Asked, Ran, Scripted, TempHouse};

/// The longest a test waits for the provider to be asked.
const PATIENCE: Duration = Duration::from_secs(60);

/// A house with a connection `exact` and the provider it leads to.
#[derive(Debug)]
pub struct Exact {
    /// The house.
    pub house: TempHouse,
    /// The provider.
    pub sandbox: Sandbox,
    runtime: Runtime,
}

impl Exact {
    /// Starts a provider and moves in beside it, with one flow, `project`.
    pub fn new(settings: Settings) -> Self {
        let exact = Self::bare(settings);
        exact.configure("", "");
        exact
    }

    /// As [`new`](Self::new), but with these flows; see [`project_flow`](Self::project_flow).
    pub fn with_flows(settings: Settings, flows: &str) -> Self {
        let exact = Self::bare(settings);
        let config = format!("{}\n{flows}", exact.connection());
        exact.house.write_private("tidegate.toml", &config);
        exact
    }

    /// Returns a flow that reads the projects into a table of its own name, with the keys `more`.
    pub fn project_flow(name: &str, more: &str) -> String {
        let url = "/api/v1/123456/project/Projects";
        format!("[flow.{name}]\nconnection = \"exact\"\nurl = \"{url}\"\nkey = [\"ID\"]\n{more}\n")
    }

    fn bare(settings: Settings) -> Self {
        let house = TempHouse::new("");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let clock = Arc::new(house.clock());
        let sandbox = runtime.block_on(Sandbox::start(clock, settings)).unwrap();
        house.write_private("client-secret", &sandbox.client_secret());
        Self {
            house,
            sandbox,
            runtime,
        }
    }

    fn connection(&self) -> String {
        format!(
            r#"
[connection.exact]
provider = "exact-online"
base_url = "{base_url}"
client_id = "{client_id}"
client_secret = {{ file = "client-secret" }}
redirect_uri = "{redirect_uri}"
limits = []
"#,
            base_url = self.sandbox.base_url(),
            client_id = self.sandbox.client_id(),
            redirect_uri = self.sandbox.redirect_uri(),
        )
    }

    /// Writes the configuration anew, with more lines in front of it and more sections behind it.
    pub fn configure(&self, before: &str, after: &str) {
        let division = self.sandbox.divisions()[0];
        let config = format!(
            r#"{before}
{connection}
[flow.project]
connection = "exact"
vars = {{ division = {division} }}
every = "15m"
url = "/api/v1/{{{{ var.division }}}}/project/Projects"
query = {{ "$select" = "ID,Code,Description,Modified" }}
cursor = {{ field = "Modified", filter = "Modified ge datetime'{{{{ bookmark }}}}'" }}
key = ["ID"]
columns = {{ id = "ID", code = "Code", description = "Description", modified = "Modified" }}
{after}"#,
            connection = self.connection(),
        );
        self.house.write_private("tidegate.toml", &config);
    }

    /// Signs in as a person does: the URL is opened, consent is given, and the address the browser
    /// was sent back to is pasted.
    #[track_caller]
    pub fn sign_in(&self) {
        self.sign_in_with(Self::consent).expect_code(0);
    }

    /// As [`sign_in`](Self::sign_in), but what comes of the URL is for the test to say.
    pub fn sign_in_with(&self, browse: impl FnOnce(&Self, &Url) -> String) -> Ran {
        let mut login = self.house.start(&["login", "exact", "--no-browser"]);
        let url = login.wait_for_line(|line| line.starts_with("http"));
        login.type_line(&browse(self, &Url::parse(&url).unwrap()));
        login.finish()
    }

    /// Gives consent at an authorization URL; returns where the browser was sent back to.
    pub fn consent(&self, authorize_url: &Url) -> String {
        self.wait_for(Sandbox::consent(authorize_url))
            .unwrap()
            .into()
    }

    /// Refuses consent at an authorization URL; returns where the browser was sent back to.
    pub fn deny(&self, authorize_url: &Url) -> String {
        self.wait_for(Sandbox::deny(authorize_url)).unwrap().into()
    }

    /// Returns the number of the credential that the vault holds; `None` if it holds none.
    pub fn generation(&self) -> Option<i64> {
        self.house.generation("exact")
    }

    /// Returns every project of the source as `id, code, description`, by id.
    pub fn truth(&self) -> Vec<[String; 3]> {
        let text =
            |project: &serde_json::Value, name: &str| project[name].as_str().unwrap().to_owned();
        let mut projects: Vec<_> = self
            .sandbox
            .projects()
            .iter()
            .map(|project| ["ID", "Code", "Description"].map(|name| text(project, name)))
            .collect();
        projects.sort();
        projects
    }

    /// Returns every row of the table in the same words as [`truth`](Self::truth).
    pub fn table(&self) -> Vec<[String; 3]> {
        let rows = self
            .house
            .rows("SELECT id, code, description FROM project ORDER BY id");
        rows.into_iter()
            .map(|row| {
                let text = row.into_iter().map(|value| match value {
                    rusqlite::types::Value::Text(text) => text,
                    other => panic!("{other:?} is not text"),
                });
                <[String; 3]>::try_from(text.collect::<Vec<_>>()).unwrap()
            })
            .collect()
    }

    /// Compares a table whose columns have the source's names with the source, value by value, and
    /// fails the test where they differ; returns how many rows it compared.
    #[track_caller]
    pub fn expect_equal(&self, table: &str) -> usize {
        super::equal::expect_equal(&self.house.data(), table, &self.sandbox.projects())
    }

    /// Waits for something of the provider's.
    pub fn wait_for<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Stops the provider: nothing answers any more.
    pub fn stop(&mut self) {
        self.runtime.block_on(self.sandbox.stop());
    }

    /// Lets the provider answer again.
    pub fn resume(&mut self) {
        self.runtime.block_on(self.sandbox.resume()).unwrap();
    }
}

/// A way to the token endpoint on which an answer stays until the test lets it pass.
#[derive(Debug)]
pub struct Gate {
    answered: Receiver<()>,
    release: Sender<()>,
}

impl Gate {
    /// Waits until the provider has given an answer that is held back.
    #[track_caller]
    pub fn wait_for_answer(&self) {
        self.answered.recv_timeout(PATIENCE).unwrap();
    }

    /// Lets one answer pass.
    pub fn release(&self) {
        self.release.send(()).unwrap();
    }
}

impl Exact {
    /// Leads token requests over a gate from now on.
    pub fn hold_token_endpoint(&self) -> Gate {
        let (tell, answered) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let tells = Mutex::new((tell, released));
        self.lead_tokens_over(move |_, answer| {
            let (tell, released) = &*tells.lock().unwrap();
            // A test that is over waits for nobody.
            let _ = tell.send(());
            let _ = released.recv();
            answer
        });
        Gate { answered, release }
    }

    /// Leads token requests over a server that may change the provider's answers from now on.
    pub fn lead_tokens_over(
        &self,
        change: impl Fn(&Asked, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Scripted {
        let provider = self.sandbox.base_url().socket_addrs(|| None).unwrap()[0];
        let way = Scripted::start(move |asked| change(asked, passed_on(asked, provider)));
        let url = format!("token_url = \"{}/api/oauth2/token\"\n", way.url);
        let config = std::fs::read_to_string(self.house.config()).unwrap();
        let config = config.replace("limits = []\n", &format!("limits = []\n{url}"));
        self.house.write_private("tidegate.toml", &config);
        way
    }
}

/// Puts a request to `server` as it came, and returns its answer.
fn passed_on(asked: &Asked, server: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).unwrap();
    let headers: String = asked
        .headers
        .lines()
        .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with("connection:"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    write!(
        stream,
        "{} HTTP/1.1\r\n{headers}connection: close\r\n\r\n",
        asked.line
    )
    .unwrap();
    stream.write_all(&asked.body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}
