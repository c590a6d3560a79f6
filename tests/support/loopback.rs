//! HTTP on loopback in the plainest way, for the test's own questions to its servers.

use std::io::{Read, Write};
use std::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Returns the body as JSON; fails the test if the status is no success.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        let text = String::from_utf8_lossy(&self.body);
        assert!(
            (200..300).contains(&self.status),
            "answered {}: {text}",
            self.status
        );
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"))
    }
}

/// Sends one request to an `http://` URL on loopback and waits for the answer.
///
/// In HTTP/1.0, so that the server closes the connection after a body sent as it is.
#[track_caller]
pub fn call(method: &str, url: &str, body: Option<&serde_json::Value>) -> Reply {
    let (host, path) = url
        .strip_prefix("http://")
        .map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len())))
        .unwrap_or_else(|| panic!("`{url}` is not an http URL"));
    let path = if path.is_empty() { "/" } else { path };
    let body = body.map(ToString::to_string).unwrap_or_default();
    let length = body.len();
    let mut stream =
        TcpStream::connect(host).unwrap_or_else(|error| panic!("could not reach {host}: {error}"));
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let head = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no head in the answer of {url}"));
    let status = std::str::from_utf8(&answer[..head])
        .ok()
        .and_then(|head| head.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no status in the answer of {url}"));
    Reply {
        status,
        body: answer.split_off(head + 4),
    }
}
