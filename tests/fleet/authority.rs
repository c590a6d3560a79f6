//! An authorization server for many clients that rotates refresh tokens and complains.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tidegate::clock::{self, SharedClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::form_urlencoded;

/// One server: every client has one chain of refresh tokens, numbered from 1.
#[derive(Clone)]
pub(crate) struct Authority {
    pub(crate) url: String,
    clock: SharedClock,
    life: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    clients: BTreeMap<String, Issued>,
    refreshes: usize,
    complaints: Vec<String>,
}

struct Issued {
    number: u64,
    at: Timestamp,
}

impl Authority {
    pub(crate) async fn start(clock: SharedClock, life: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let authority = Self {
            url,
            clock,
            life,
            state: Arc::default(),
        };
        let serving = authority.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(stream).await });
            }
        });
        authority
    }

    pub(crate) fn refreshes(&self) -> usize {
        self.state.lock().unwrap().refreshes
    }

    /// Returns what should not have happened.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.state.lock().unwrap().complaints.clone()
    }

    async fn serve(&self, mut stream: TcpStream) {
        let Some(form) = read_form(&mut stream).await else {
            return;
        };
        let body = self.issue(&form);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            body.len()
        );
        // Whoever hung up is told by the next refresh.
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    }

    fn issue(&self, form: &BTreeMap<String, String>) -> String {
        let now = self.clock.now();
        let client = form["client_id"].clone();
        let mut state = self.state.lock().unwrap();
        let State {
            clients,
            refreshes,
            complaints,
        } = &mut *state;
        let issued = clients
            .entry(client.clone())
            .or_insert(Issued { number: 0, at: now });
        if let Some(token) = form.get("refresh_token") {
            *refreshes += 1;
            if *token != format!("refresh-{client}-{}", issued.number) {
                complaints.push(format!("{client} spent {token} after {}", issued.number));
            }
            if clock::after(issued.at, self.life) <= now {
                complaints.push(format!("{client} came at {now}, issued at {}", issued.at));
            }
        }
        issued.number += 1;
        issued.at = now;
        let number = issued.number;
        serde_json::json!({
            "access_token": format!("access-{client}-{number}"),
            "refresh_token": format!("refresh-{client}-{number}"),
            "token_type": "Bearer",
            "expires_in": self.life.as_secs(),
        })
        .to_string()
    }
}

async fn read_form(stream: &mut TcpStream) -> Option<BTreeMap<String, String>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let line = line.to_ascii_lowercase();
                line.strip_prefix("content-length: ")?.parse::<usize>().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                let pairs = form_urlencoded::parse(body.as_bytes());
                return Some(pairs.into_owned().collect());
            }
        }
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}
