//! Asks the owner of a state directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::{
    Adopted, DescriptionWanted, Failure, LoginAnswer, LoginBegun, LoginDone, RunRequest,
    WhichAccount,
};
use crate::config::Name;
use crate::oauth::SignedOut;
use crate::oauth::vault::{Rewrapped, Verified};
use crate::run::{Description, Event, Preview};
use crate::seal::KeyId;
use crate::secret::{ExposeSecret, Secret};
use crate::status;

/// How long the owner may take to answer a short question. A login waits for a token endpoint,
/// which is given 90 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// How long signing out may take: an exchange under way, the search for the server, and the half
/// minute in which it is asked.
const LOGOUT_TIMEOUT: Duration = Duration::from_secs(180);
/// How long fetching a long document from a slow source may take, looked for in several places.
const DESCRIPTION_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How long a login on another device may take: longer than any code lives.
const ELSEWHERE_TIMEOUT: Duration = Duration::from_secs(40 * 60);
/// How long the upkeep of the vault may take: a durable write per record, for 10,000 accounts on a
/// slow disk, and the exchanges under way.
const UPKEEP_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// The most bytes of one event line.
const LONGEST_LINE: usize = 1 << 20;

/// A way to the owner.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    socket: PathBuf,
}

/// Why the owner did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Nobody answers on the socket.
    #[error("nobody answers on `{}`: {cause}", socket.display())]
    NoOwner {
        /// The socket.
        socket: PathBuf,
        /// Why.
        cause: String,
    },
    /// The owner says no.
    #[error("{}", .0.error)]
    Refused(Failure),
    /// The owner went away in the middle, or speaks another version.
    #[error("the running tidegate broke off: {0}")]
    Broken(String),
}

impl Client {
    /// Makes a client of the owner that listens on `socket`. Nothing is sent yet.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn new(socket: &Path) -> Result<Self, Problem> {
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            // The owner closes idle connections, and a new one costs nothing.
            .pool_max_idle_per_host(0)
            .no_proxy()
            .tls_certs_only([])
            .build()
            .map_err(|error| Problem::Broken(error.to_string()))?;
        Ok(Self {
            http,
            socket: socket.to_owned(),
        })
    }

    /// Asks whether anybody is there.
    ///
    /// # Errors
    /// If nobody answers.
    pub async fn ping(&self) -> Result<(), Problem> {
        let request = self.http.get(url("ping")).timeout(ANSWER_TIMEOUT);
        self.send(request).await.map(drop)
    }

    /// Asks how the house is.
    ///
    /// # Errors
    /// If nobody answers, or not well.
    pub async fn status(&self) -> Result<status::Report, Problem> {
        let request = self.http.get(url("status")).timeout(ANSWER_TIMEOUT);
        read(self.send(request).await?).await
    }

    /// Starts or joins runs, and hands every event to `heard` until all have ended.
    ///
    /// # Errors
    /// If the owner refuses, or goes away before the end.
    pub async fn run(
        &self,
        flows: Vec<String>,
        mut heard: impl FnMut(Event),
    ) -> Result<(), Problem> {
        let request = json(self.http.post(url("runs")), &RunRequest { flows });
        let mut answer = self.send(request).await?;
        let mut waiting = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            waiting.extend_from_slice(&chunk);
            while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = waiting.drain(..=end).collect();
                let event = serde_json::from_slice(&line);
                heard(event.map_err(|error| Problem::Broken(error.to_string()))?);
            }
            if waiting.len() > LONGEST_LINE {
                return Err(Problem::Broken("an event is too long".to_owned()));
            }
        }
        Ok(())
    }

    /// Asks for the first page that the next run of `flow` would read.
    ///
    /// # Errors
    /// If there is nothing to ask for, or no usable access token.
    pub async fn preview(&self, flow: &Name) -> Result<Preview, Problem> {
        let request = self.http.post(url(&format!("flows/{flow}/preview")));
        read(self.send(request.timeout(ANSWER_TIMEOUT)).await?).await
    }

    /// Asks for what the source of `connection` says about itself, at `at` or where that usually is.
    ///
    /// # Errors
    /// If it cannot be had.
    pub async fn description(
        &self,
        connection: &Name,
        which: &WhichAccount,
        at: Option<String>,
    ) -> Result<Description, Problem> {
        let path = format!("connections/{connection}/description");
        let wanted = DescriptionWanted { at };
        let request = json(self.http.post(url_for(&path, which)), &wanted);
        read(self.send(request.timeout(DESCRIPTION_TIMEOUT)).await?).await
    }

    /// Begins a login on `connection`, on the account and by whom `which` says.
    ///
    /// # Errors
    /// If the owner refuses.
    pub async fn begin_login(
        &self,
        connection: &str,
        which: &WhichAccount,
    ) -> Result<LoginBegun, Problem> {
        let path = format!("connections/{connection}/login");
        let request = self.http.post(url_for(&path, which));
        let request = request.timeout(ANSWER_TIMEOUT);
        read(self.send(request).await?).await
    }

    /// Finishes a login with what the server sent the person back with, or waits for one elsewhere.
    ///
    /// # Errors
    /// If the owner, or the authorization server, refuses.
    pub async fn finish_login(
        &self,
        connection: &str,
        id: &str,
        answer: &LoginAnswer,
    ) -> Result<LoginDone, Problem> {
        let path = format!("connections/{connection}/login/{id}");
        let request = json(self.http.post(url(&path)), answer);
        let patience = match answer {
            LoginAnswer::Elsewhere => ELSEWHERE_TIMEOUT,
            LoginAnswer::Redirected(_) | LoginAnswer::Code(_) => ANSWER_TIMEOUT,
        };
        read(self.send(request.timeout(patience)).await?).await
    }

    /// Signs in with tokens that were obtained elsewhere, as the JSON text `brought`.
    ///
    /// # Errors
    /// If the owner refuses.
    pub async fn import(
        &self,
        connection: &str,
        account: Option<&str>,
        brought: &Secret,
    ) -> Result<LoginDone, Problem> {
        let path = format!("connections/{connection}/import");
        let which = WhichAccount {
            account: account.map(str::to_owned),
            ..WhichAccount::default()
        };
        let request = self.http.post(url_for(&path, &which));
        let request = request.body(brought.expose_secret().as_bytes().to_vec());
        read(self.send(request.timeout(ANSWER_TIMEOUT)).await?).await
    }

    /// Has the server revoke the tokens of `connection`, of the account that `which` says, and
    /// forgets them.
    ///
    /// # Errors
    /// If the owner refuses.
    pub async fn logout(
        &self,
        connection: &str,
        which: &WhichAccount,
    ) -> Result<SignedOut, Problem> {
        let path = format!("connections/{connection}/logout");
        let request = self.http.post(url_for(&path, which));
        read(self.send(request.timeout(LOGOUT_TIMEOUT)).await?).await
    }

    /// Seals `secret` under `name`.
    ///
    /// # Errors
    /// If the owner refuses.
    pub async fn set_secret(&self, name: &Name, secret: &Secret) -> Result<(), Problem> {
        let request = self.http.put(url(&format!("secrets/{name}")));
        let request = request.body(secret.expose_secret().as_bytes().to_vec());
        self.send(request.timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    /// Removes the sealed secret `name`; `force`: also if the configuration refers to it.
    ///
    /// # Errors
    /// If there is none, or the owner refuses.
    pub async fn remove_secret(&self, name: &Name, force: bool) -> Result<(), Problem> {
        let request = self
            .http
            .delete(url(&format!("secrets/{name}?force={force}")));
        self.send(request.timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    /// Brings every data key of the vault under the current key.
    ///
    /// # Errors
    /// If the owner refuses.
    pub async fn rewrap(&self) -> Result<Rewrapped, Problem> {
        read(self.send(self.upkeep("rewrap")).await?).await
    }

    /// Seals everything in the vault anew.
    ///
    /// # Errors
    /// If the owner refuses.
    pub async fn reseal(&self) -> Result<Rewrapped, Problem> {
        read(self.send(self.upkeep("reseal")).await?).await
    }

    /// Takes the vault for the only copy in use.
    ///
    /// # Errors
    /// If the owner refuses.
    pub async fn adopt(&self) -> Result<Adopted, Problem> {
        read(self.send(self.upkeep("adopt")).await?).await
    }

    /// Opens every record of the vault.
    ///
    /// # Errors
    /// If the owner refuses.
    pub async fn verify(&self) -> Result<Verified, Problem> {
        read(self.send(self.upkeep("verify")).await?).await
    }

    /// Forgets a key of the vault.
    ///
    /// # Errors
    /// If something needs it.
    pub async fn drop_key(&self, key: KeyId) -> Result<(), Problem> {
        let request = self.http.delete(url(&format!("vault/keys/{key}")));
        self.send(request.timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    fn upkeep(&self, what: &str) -> reqwest::RequestBuilder {
        let request = self.http.post(url(&format!("vault/{what}")));
        request.timeout(UPKEEP_TIMEOUT)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Problem> {
        let answer = request.send().await.map_err(|error| {
            if error.is_connect() {
                let cause = error.without_url().to_string();
                Problem::NoOwner {
                    socket: self.socket.clone(),
                    cause,
                }
            } else {
                broken(error)
            }
        })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        match read::<Failure>(answer).await {
            Ok(failure) => Err(Problem::Refused(failure)),
            Err(_) => Err(Problem::Broken(format!("it answered {status}"))),
        }
    }
}

/// The host is only there because HTTP wants one.
fn url(path: &str) -> String {
    format!("http://tidegate/v1/{path}")
}

/// Adds which account is meant, and how, to the URL of `path`.
fn url_for(path: &str, which: &WhichAccount) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(account) = &which.account {
        query.append_pair("account", account);
    }
    let said = [
        ("another_person", which.another_person),
        ("offline", which.offline),
    ];
    for (name, _) in said.into_iter().filter(|(_, is_so)| *is_so) {
        query.append_pair(name, "true");
    }
    format!("{}?{}", url(path), query.finish())
}

fn json(request: reqwest::RequestBuilder, body: &impl Serialize) -> reqwest::RequestBuilder {
    // These bodies are plain data, which always has a JSON form.
    let body = serde_json::to_vec(body).unwrap_or_default();
    request
        .header(reqwest::header::CONTENT_TYPE, "application/json")
        .body(body)
}

async fn read<T: DeserializeOwned>(answer: reqwest::Response) -> Result<T, Problem> {
    let bytes = answer.bytes().await.map_err(broken)?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::Broken(error.to_string()))
}

fn broken(error: reqwest::Error) -> Problem {
    Problem::Broken(error.without_url().to_string())
}
