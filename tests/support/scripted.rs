//! A server on loopback that answers as a test says, byte by byte, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The method and the target, as `GET /orders?page=2`.
    pub line: String,
    /// The headers, lines as they came.
    pub headers: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Asked {
    /// Returns the value of a header, whatever the case of its name.
    pub fn header(&self, wanted: &str) -> Option<String> {
        self.headers.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case(wanted)
                .then(|| value.trim().to_owned())
        })
    }
}

/// A server that answers what a function says. It ends with the test's process.
#[derive(Debug, Clone)]
pub struct Scripted {
    /// Where it answers, as `http://127.0.0.1:40123`.
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    /// Starts a server; `answer` gets each request and returns all bytes of the answer, after which
    /// the connection is closed. It may block as long as it likes.
    pub fn start(answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || {
                    // The client may leave in the middle; that is its right.
                    let _ = serve(stream, &seen, &*answer);
                });
            }
        });
        Self { url, asked }
    }

    /// Returns what it was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked) -> Vec<u8>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = String::new();
    while reader.read_line(&mut headers)? > 2 {}
    let length = headers.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length:")?
            .trim()
            .parse()
            .ok()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let asked = Asked {
        line,
        headers,
        body,
    };
    seen.lock().unwrap().push(asked.clone());
    stream.write_all(&answer(&asked))?;
    stream.shutdown(Shutdown::Both)
}

/// Spells an answer. `headers` are whole lines without their ends.
pub fn answer(status: u16, headers: &[&str], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Spells an answer of JSON.
pub fn json(body: &str) -> Vec<u8> {
    answer(200, &["content-type: application/json"], body)
}
