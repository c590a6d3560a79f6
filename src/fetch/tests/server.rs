//! A source on loopback that follows a script and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One answer of the script.
pub(super) enum Line {
    /// A status, headers as they stand on the wire, and a body. `{base}` becomes our own origin.
    Say(u16, &'static str, String),
    /// A body that breaks off after half of it.
    Cut(String),
    /// A body without a length that breaks off after half of it, so that only its JSON tells.
    End(String),
}

pub(super) fn ok(body: impl Into<String>) -> Line {
    Line::Say(200, "content-type: application/json", body.into())
}

pub(super) fn say(status: u16, headers: &'static str, body: &str) -> Line {
    Line::Say(status, headers, body.to_owned())
}

/// What was asked, in order: the first line without its version, the headers, the body.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) line: String,
    pub(super) headers: String,
    pub(super) body: String,
}

pub(super) struct Server {
    pub(super) base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Starts a source that gives these answers in order and then 599.
    pub(super) async fn start(script: impl IntoIterator<Item = Line>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut script: VecDeque<Line> = script.into_iter().collect();
        let (own, seen) = (base.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let request = read(&mut socket).await;
                seen.lock().unwrap().push(request);
                let line = script.pop_front().unwrap_or_else(|| say(599, "x: y", ""));
                // The client may leave in the middle of an answer, as after a cap.
                let _ = socket.write_all(&spell(line, &own)).await;
                let _ = socket.shutdown().await;
            }
        });
        Self { base, asked }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The first lines of what was asked.
    pub(super) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

fn spell(line: Line, base: &str) -> Vec<u8> {
    let (status, headers, body, length, sent) = match line {
        Line::Say(status, headers, body) => {
            let body = body.replace("{base}", base);
            let length = format!("content-length: {}\r\n", body.len());
            let sent = body.len();
            (status, headers.replace("{base}", base), body, length, sent)
        }
        Line::Cut(body) => {
            let (length, sent) = (
                format!("content-length: {}\r\n", body.len()),
                body.len() / 2,
            );
            (200, "x: y".to_owned(), body, length, sent)
        }
        Line::End(body) => {
            let sent = body.len() / 2;
            (200, "x: y".to_owned(), body, String::new(), sent)
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\n{headers}\r\n{length}connection: close\r\n\r\n");
    [head.as_bytes(), &body.as_bytes()[..sent]].concat()
}

async fn read(socket: &mut TcpStream) -> Asked {
    let mut bytes = Vec::new();
    let head = loop {
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).await.unwrap();
        bytes.extend_from_slice(&chunk[..count]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        assert!(count > 0, "the request broke off");
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let (line, headers) = text.split_once("\r\n").unwrap();
    let headers = headers.to_ascii_lowercase();
    let length = headers
        .lines()
        .find_map(|header| header.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = bytes.split_off(head);
    while body.len() < length {
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).await.unwrap();
        body.extend_from_slice(&chunk[..count]);
    }
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    Asked {
        line,
        headers,
        body: String::from_utf8(body).unwrap(),
    }
}
