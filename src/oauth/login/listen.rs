//! Waits on this machine for the browser that comes back from signing in (RFC 8252 section 7.3).
//!
//! Listens only while a login waits, only on a loopback address, and takes one answer. Nothing of
//! a request is logged: its first line holds the code.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use url::{Host, Url, form_urlencoded};

use super::{Error, digest, same};

/// The longest request head we read.
const HEAD: usize = 8 * 1024;
/// How long a browser may take to send it, and to read our answer.
const READING: Duration = Duration::from_secs(5);
/// How many connections may come before the one that answers: browsers open spare ones and ask
/// for icons, but nobody needs a thousand.
const CONNECTIONS: u32 = 1_000;

/// A listener that waits for one answer.
#[derive(Debug)]
pub struct Loopback {
    listener: TcpListener,
    redirect_uri: Url,
    /// The digest of the `state` that the right answer has.
    state_digest: String,
    /// What a request must name as its host, so that no other site's name can lead here.
    host: String,
}

/// Listens at `redirect_uri`, which must be an `http` URL of this machine by address, for the answer
/// whose `state` has `state_digest`.
///
/// # Errors
/// If it is not, or its port is taken.
pub async fn listen(redirect_uri: &Url, state_digest: &str) -> Result<Loopback, Error> {
    let refuse = |why: String| Error::CannotListen {
        redirect_uri: redirect_uri.to_string(),
        why,
    };
    let address = address(redirect_uri)
        .ok_or_else(|| refuse("it is not an http URL with a loopback address".to_owned()))?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| refuse(error.to_string()))?;
    Ok(Loopback {
        listener,
        redirect_uri: redirect_uri.clone(),
        state_digest: state_digest.to_owned(),
        host: redirect_uri[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
    })
}

/// Returns true if [`listen`] can listen at `redirect_uri`.
#[must_use]
pub fn can_listen(redirect_uri: &Url) -> bool {
    address(redirect_uri).is_some()
}

fn address(redirect_uri: &Url) -> Option<SocketAddr> {
    let address: IpAddr = match redirect_uri.host()? {
        Host::Ipv4(address) => address.into(),
        Host::Ipv6(address) => address.into(),
        // `localhost` may resolve to something else.
        Host::Domain(_) => return None,
    };
    let port = redirect_uri.port_or_known_default()?;
    let is_ours = redirect_uri.scheme() == "http" && address.is_loopback();
    is_ours.then(|| SocketAddr::new(address, port))
}

impl Loopback {
    /// Waits for the browser, and returns the URL it was sent to.
    ///
    /// Waits as long as it is polled: whoever waits has a limit.
    ///
    /// # Errors
    /// If nothing can be accepted any more.
    pub async fn redirected(self) -> Result<String, Error> {
        for _ in 0..CONNECTIONS {
            let accepted = self.listener.accept().await;
            let (mut stream, _) = accepted.map_err(|error| self.broken(&error.to_string()))?;
            // One browser, one connection at a time; a slow one is dropped.
            if let Ok(Some(url)) = timeout(READING, self.serve(&mut stream)).await {
                return Ok(url);
            }
        }
        Err(self.broken("too many connections without an answer"))
    }

    async fn serve(&self, stream: &mut TcpStream) -> Option<String> {
        let head = head(stream).await?;
        let target = self.target(&head);
        let right = target.filter(|target| self.is_right(target));
        let page = match (target, right) {
            (Some(_), Some(right)) if parameter(right, "code").is_some() => page(
                "200 OK",
                "Back to the terminal",
                "tidegate has the answer. You can close this window.",
            ),
            (Some(_), Some(_)) => page(
                "200 OK",
                "You are not signed in",
                "The server granted nothing. The terminal says why, and what to do.",
            ),
            (Some(_), None) => page(
                "400 Bad Request",
                "Not the login that waits",
                "This answer belongs to another login, and changes nothing. Open the address that \
                 the terminal shows.",
            ),
            (None, _) => page(
                "404 Not Found",
                "Nothing here",
                "This address waits for the answer of a login.",
            ),
        };
        // A browser that has gone away has still answered.
        let _ = stream.write_all(page.as_bytes()).await;
        let _ = stream.shutdown().await;
        let target = right?;
        Some(format!(
            "{}{target}",
            self.redirect_uri.origin().ascii_serialization()
        ))
    }

    /// Returns what was asked for, if it is our answer.
    fn target<'a>(&self, head: &'a str) -> Option<&'a str> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let path = target.split('?').next()?;
        let mut hosts = lines
            .filter_map(|line| line.split_once(':'))
            .filter(|(name, _)| name.eq_ignore_ascii_case("host"));
        let (_, host) = hosts.next()?;
        let is_ours = method == "GET"
            && path == self.redirect_uri.path()
            && target.contains('?')
            && host.trim() == self.host
            && hosts.next().is_none();
        is_ours.then_some(target)
    }

    /// Returns true if `target` answers the login that waits.
    fn is_right(&self, target: &str) -> bool {
        let state = parameter(target, "state");
        state.is_some_and(|state| same(&digest(&state), &self.state_digest))
    }

    fn broken(&self, why: &str) -> Error {
        Error::CannotListen {
            redirect_uri: self.redirect_uri.to_string(),
            why: why.to_owned(),
        }
    }
}

/// Returns the value of a parameter in the query of `target`.
fn parameter(target: &str, name: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let found = pairs.find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned())
}

/// Reads a request up to the empty line.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1024];
    while bytes.len() < HEAD {
        let read = stream
            .read(&mut chunk)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            bytes.truncate(end);
            return String::from_utf8(bytes).ok();
        }
    }
    None
}

fn page(status: &str, title: &str, words: &str) -> String {
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <body style=\"font:1.1em sans-serif;margin:4em auto;max-width:30em\">\
         <h1>{title}</h1><p>{words}</p></body></html>"
    );
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\n\
         content-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: SocketAddr, request: String) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_the_answer_itself_is_taken_and_strangers_change_nothing() {
        let spare = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = spare.local_addr().unwrap();
        drop(spare);
        let redirect_uri: Url = format!("http://{address}/callback").parse().unwrap();
        let loopback = listen(&redirect_uri, &digest("s")).await.unwrap();
        let waiting = tokio::spawn(loopback.redirected());
        let strangers = [
            format!("GET /favicon.ico HTTP/1.1\r\nHost: {address}\r\n\r\n"),
            format!("POST /callback?code=x HTTP/1.1\r\nHost: {address}\r\n\r\n"),
            "GET /callback?code=x HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
            "GET /callback?code=x HTTP/1.1\r\n\r\n".to_owned(),
            format!("GET /callback HTTP/1.1\r\nHost: {address}\r\n\r\n"),
            format!(
                "GET /callback?code=x HTTP/1.1\r\nHost: {address}\r\nHost: evil.example\r\n\r\n"
            ),
        ];
        for request in strangers {
            assert!(
                ask(address, request.clone())
                    .await
                    .starts_with("HTTP/1.1 404"),
                "{request}"
            );
        }
        for request in [
            format!("GET /callback?code=x HTTP/1.1\r\nHost: {address}\r\n\r\n"),
            format!("GET /callback?code=x&state=other HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        ] {
            let answer = ask(address, request).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        }
        // Longer than we read: dropped without an answer.
        let mut stream = TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(&vec![b'a'; HEAD + 1]).await;
        drop(stream);

        let request =
            format!("GET /callback?code=a%21b&state=s HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let answer = ask(address, request).await;
        assert!(
            answer.contains("no-store") && answer.contains("no-referrer"),
            "{answer}"
        );
        assert!(!answer.contains("a%21b"));
        assert_eq!(
            waiting.await.unwrap().unwrap(),
            format!("http://{address}/callback?code=a%21b&state=s")
        );
    }

    #[tokio::test]
    async fn it_listens_on_this_machine_by_address_only() {
        for refused in [
            "https://127.0.0.1:1/",
            "http://localhost:8/",
            "http://0.0.0.0:8/",
            "http://10.0.0.1/",
        ] {
            let url = refused.parse().unwrap();
            assert!(
                listen(&url, "").await.is_err() && !can_listen(&url),
                "{refused}"
            );
        }
        assert!(can_listen(&"http://[::1]:8400/callback".parse().unwrap()));
    }
}
