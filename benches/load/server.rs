//! Serves ready bodies on loopback, with as little work as a server can do.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

type Bodies = Arc<Vec<Vec<u8>>>;

/// A server of `/page/N`, for as long as the process lives.
pub(crate) struct Server {
    address: String,
    bodies: Arc<Mutex<Bodies>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let bodies = Arc::new(Mutex::new(Bodies::default()));
        let shared = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let bodies = Arc::clone(&shared);
                std::thread::spawn(move || answer(&socket.unwrap(), &bodies));
            }
        });
        Self { address, bodies }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn serve(&self, bodies: Bodies) {
        *self.bodies.lock().unwrap() = bodies;
    }
}

/// Answers requests on one connection until the other side closes it.
fn answer(socket: &TcpStream, bodies: &Mutex<Bodies>) {
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let page: usize = line
            .split_whitespace()
            .nth(1)
            .and_then(|path| path.rsplit('/').next()?.parse().ok())
            .unwrap();
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        let bodies = Arc::clone(&bodies.lock().unwrap());
        let body = &bodies[page - 1];
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut socket = socket;
        if socket
            .write_all(head.as_bytes())
            .and_then(|()| socket.write_all(body))
            .is_err()
        {
            return;
        }
    }
}
