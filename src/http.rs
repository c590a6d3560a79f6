//! One HTTP client for the whole house: time limits, size caps, no redirects, and credentials only
//! to the origins they belong to.
//!
//! Nothing here tries twice. Whether a request may be repeated is known only where its meaning is
//! known, so [`Error`] tells the one thing a caller must know: may the server have seen it?

mod authorization;
mod identity;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
pub use reqwest::Method;
pub use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::OnceCell;
pub use url::Origin;
use url::{Host, Url};
use zeroize::Zeroizing;

pub use self::authorization::Authorization;
use self::authorization::Parameter;
pub use self::identity::Identity;
use crate::remedy::Remedy;
use crate::secret::scrub;

/// How long a connection may take to stand, its TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may say nothing in the middle of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an unused connection is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The most that is set aside because a `Content-Length` says so; a longer body grows as it comes.
const PREALLOCATED: u64 = 4 << 20;
/// How much of one segment of a path is shown.
const LONGEST_SEGMENT: usize = 80;
/// How the TLS library begins to say that it does not trust a server.
const UNTRUSTED: &str = "invalid peer certificate";
/// What we call ourselves.
const USER_AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

/// What is asked. Its headers may hold a credential, so it has no `Debug`.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, wiped when dropped because token requests carry secrets.
    pub body: Option<Zeroizing<Vec<u8>>>,
    /// What the query carries besides what `url` says.
    credential: Option<Parameter>,
}

impl Request {
    /// Makes a request without headers or body.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            credential: None,
        }
    }

    /// Adds a credential, unless the request goes to an origin it does not belong to.
    ///
    /// # Errors
    /// If the origin is not among `allowed`, or the credential cannot be a header.
    pub fn authorize(&mut self, with: &Authorization, allowed: &[Origin]) -> Result<(), Error> {
        let origin = self.url.origin();
        if !allowed.contains(&origin) {
            return Err(Error::ForeignOrigin {
                origin: origin.ascii_serialization(),
            });
        }
        with.apply(self)
    }
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole, decompressed.
    pub body: Bytes,
    /// The URL that answered, without a credential.
    pub url: Url,
}

impl Answer {
    /// Returns a header as text, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The bounds of one request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From connecting to the last byte of the body.
    pub timeout: Duration,
    /// The most bytes of the body, decompressed.
    pub body: u64,
}

/// Why there is no answer. No variant carries a URL's query, a header or a body.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server never saw the request: no such host, refused, TLS, or no connection in time.
    #[error("could not connect to {origin}: {cause}")]
    NotSent {
        /// Scheme, host and port.
        origin: String,
        /// Why.
        cause: String,
    },
    /// The server never saw the request, because its certificate is not one to be trusted.
    #[error("could not trust {origin}: {cause}")]
    Untrusted {
        /// Scheme, host and port.
        origin: String,
        /// Why.
        cause: String,
    },
    /// The request was sent, and its answer did not come, or not whole.
    #[error("the answer of {origin} was lost: {cause}")]
    Lost {
        /// Scheme, host and port.
        origin: String,
        /// Why.
        cause: String,
    },
    /// The body was longer than allowed.
    #[error("the answer of {origin} is longer than {limit} bytes")]
    TooLarge {
        /// Scheme, host and port.
        origin: String,
        /// The cap.
        limit: u64,
    },
    /// The body came compressed though none was asked for.
    #[error("the answer of {origin} is encoded as something we did not ask for")]
    Encoded {
        /// Scheme, host and port.
        origin: String,
    },
    /// A credential was about to leave for an origin it does not belong to.
    #[error("refused to send the credential to {origin}, which is not the connection's own")]
    ForeignOrigin {
        /// Scheme, host and port.
        origin: String,
    },
    /// A credential holds characters that no header may hold.
    #[error(
        "the credential cannot be sent as a header: it has a line break or another control character"
    )]
    BadCredential,
    /// The client could not be made.
    #[error("could not set up HTTPS: {cause}")]
    Setup {
        /// Why.
        cause: String,
    },
}

impl Error {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::NotSent { .. } | Self::Lost { .. } | Self::Encoded { .. } => Remedy::Wait,
            Self::TooLarge { .. }
            | Self::Untrusted { .. }
            | Self::ForeignOrigin { .. }
            | Self::BadCredential
            | Self::Setup { .. } => Remedy::EditConfig,
        }
    }
}

/// Sends requests. Clones share connections.
#[derive(Debug, Clone, Default)]
pub struct Client {
    apis: Arc<Routes>,
    token_endpoints: Arc<Routes>,
}

/// One client per way out, each made when it is first needed: reading the machine's certificate
/// authorities takes longer than a short run does.
#[derive(Debug, Default)]
struct Routes {
    /// What TLS connections are opened with, if their servers want a certificate.
    identity: Option<Identity>,
    outside: OnceCell<reqwest::Client>,
    /// Plain HTTP to this machine: no proxy, no certificates.
    loopback: OnceCell<reqwest::Client>,
}

impl Client {
    /// Makes a client that trusts the system's certificate authorities, or, where the system has
    /// none, the ones this program carries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a client that opens its connections to APIs with `identity`, and shares none of them
    /// with others.
    #[must_use]
    pub fn showing(&self, identity: Identity) -> Self {
        let apis = Routes {
            identity: Some(identity),
            ..Routes::default()
        };
        Self {
            apis: Arc::new(apis),
            token_endpoints: Arc::clone(&self.token_endpoints),
        }
    }

    /// Sends a request to an API and returns whatever it answers, redirects and errors included. The
    /// answer may come compressed, by gzip, brotli or zstd.
    ///
    /// # Errors
    /// If there is no whole answer within the limits.
    pub async fn send(&self, request: Request, limits: Limits) -> Result<Answer, Error> {
        let builder = || builder().pool_idle_timeout(IDLE_TIMEOUT);
        let client = self.apis.to(&request.url, builder).await?;
        exchange(client, request, limits).await
    }

    /// Sends a request to a token endpoint: on a connection of its own, without compression, and
    /// opened with `identity` if the server knows its clients by their certificates.
    ///
    /// # Errors
    /// If there is no whole answer within the limits; [`Error::NotSent`] only if the server
    /// cannot have seen the request.
    pub async fn exchange(
        &self,
        request: Request,
        identity: Option<&Identity>,
        limits: Limits,
    ) -> Result<Answer, Error> {
        // A pooled connection that the server closes meanwhile would leave us not knowing whether
        // it saw a refresh token; a fresh one for each exchange has no such moment.
        let builder = || {
            let plain = builder().gzip(false).brotli(false).zstd(false);
            plain.http1_only().pool_max_idle_per_host(0)
        };
        let Some(Identity(identity)) = identity else {
            let client = self.token_endpoints.to(&request.url, builder).await?;
            return exchange(client, request, limits).await;
        };
        // One that shows a certificate is made each time, so that a renewed one counts at once.
        let client = trusting(&|| builder().identity(identity.clone()))?;
        exchange(&client, request, limits).await
    }
}

impl Routes {
    async fn to(
        &self,
        url: &Url,
        builder: impl Fn() -> reqwest::ClientBuilder,
    ) -> Result<&reqwest::Client, Error> {
        if url.scheme() == "http" && is_loopback(url) {
            let plain = || async { plain(builder()) };
            self.loopback.get_or_try_init(plain).await
        } else {
            let builder = || match &self.identity {
                Some(Identity(identity)) => builder().identity(identity.clone()),
                None => builder(),
            };
            let trusting = || async { trusting(&builder) };
            self.outside.get_or_try_init(trusting).await
        }
    }
}

async fn exchange(
    client: &reqwest::Client,
    request: Request,
    limits: Limits,
) -> Result<Answer, Error> {
    let url = request.url;
    let origin = url.origin().ascii_serialization();
    let target = match &request.credential {
        Some(parameter) => parameter.put_into(url.clone()),
        None => url.clone(),
    };
    let mut sending = client
        .request(request.method, target)
        .headers(request.headers)
        .timeout(limits.timeout);
    if let Some(body) = request.body {
        sending = sending.body(body.to_vec());
    }
    let failed = |error| lost_or_not_sent(&origin, error);
    let mut response = sending.send().await.map_err(failed)?;
    let too_large = || Error::TooLarge {
        origin: origin.clone(),
        limit: limits.body,
    };
    let length = response.content_length().unwrap_or(0);
    if length > limits.body {
        return Err(too_large());
    }
    let mut body = BytesMut::with_capacity(length.min(PREALLOCATED) as usize);
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if (body.len() + chunk.len()) as u64 > limits.body {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    let encoding = response.headers().get(reqwest::header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err(Error::Encoded { origin });
    }
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    Ok(Answer {
        status,
        headers,
        body: body.freeze(),
        url,
    })
}

/// Returns true if `url` names this machine by address or as `localhost`.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Returns `url` as it may be shown: without user, query and fragment, and without what could be a
/// token in its path, as a next link may have one.
#[must_use]
pub fn shown(url: &Url) -> String {
    let segments = url.path().split('/');
    let path: Vec<String> = segments
        .map(|segment| scrub(segment, LONGEST_SEGMENT))
        .collect();
    format!("{}{}", url.origin().ascii_serialization(), path.join("/"))
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
}

/// A client for this machine: never through a proxy, and without reading certificates.
fn plain(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, Error> {
    builder.no_proxy().tls_certs_only([]).build().map_err(setup)
}

/// A client for the world. A container without a trust store cannot build the first; the second
/// brings Mozilla's roots.
fn trusting(builder: &impl Fn() -> reqwest::ClientBuilder) -> Result<reqwest::Client, Error> {
    builder().build().or_else(|_| {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|root| reqwest::Certificate::from_der(root).ok());
        builder().tls_certs_only(roots).build().map_err(setup)
    })
}

fn setup(error: reqwest::Error) -> Error {
    Error::Setup {
        cause: cause(&error),
    }
}

fn lost_or_not_sent(origin: &str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    let origin = origin.to_owned();
    let cause = if error.is_timeout() && !error.is_connect() {
        "it took too long".to_owned()
    } else {
        cause(&error)
    };
    if error.is_connect() && cause.starts_with(UNTRUSTED) {
        Error::Untrusted { origin, cause }
    } else if error.is_connect() || error.is_builder() {
        Error::NotSent { origin, cause }
    } else {
        Error::Lost { origin, cause }
    }
}

/// The innermost reason, which is the useful one: `Connection refused` rather than `error sending`.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const LIMITS: Limits = Limits {
        timeout: Duration::from_secs(5),
        body: 1_000,
    };

    /// Answers one connection with `bytes` and returns the URL to ask.
    async fn serve(bytes: Vec<u8>) -> Url {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a?secret=1", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await.unwrap();
            socket.write_all(&bytes).await.unwrap();
        });
        url.parse().unwrap()
    }

    async fn get(bytes: Vec<u8>) -> Result<Answer, Error> {
        let url = serve(bytes).await;
        Client::new()
            .send(Request::new(Method::GET, url), LIMITS)
            .await
    }

    #[tokio::test]
    async fn a_refused_connection_was_not_sent_and_a_cut_answer_was() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}/", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        drop(listener);
        let request = Request::new(Method::GET, url);
        let refused = Client::new()
            .exchange(request, None, LIMITS)
            .await
            .unwrap_err();
        assert!(matches!(refused, Error::NotSent { .. }), "{refused}");

        let cut = get(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec()).await;
        let cut = cut.unwrap_err();
        assert!(matches!(cut, Error::Lost { .. }), "{cut}");
        assert!(!cut.to_string().contains("secret"), "{cut}");
    }

    #[tokio::test]
    async fn a_body_has_a_cap_and_a_redirect_is_an_answer() {
        let mut long = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        long.resize(2_000, b'x');
        assert!(matches!(
            get(long).await.unwrap_err(),
            Error::TooLarge { limit: 1_000, .. }
        ));

        let moved =
            b"HTTP/1.1 302 Found\r\nlocation: http://example.com/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(get(moved.to_vec()).await.unwrap().status, 302);
    }

    /// Answers with a body that is encoded as `encoding`, here written in base64.
    async fn encoded(encoding: &str, body: &str) -> Result<Answer, Error> {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD
            .decode(body)
            .unwrap();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {length}\r\n\r\n"
        );
        get([head.as_bytes(), &body].concat()).await
    }

    #[tokio::test]
    async fn bodies_come_decompressed_and_the_cap_holds_for_what_they_become() {
        let record = [
            ("gzip", "H4sIAAAAAAACA4uuVspMUbIyrI0FAGSo5WgKAAAA"),
            ("br", "iwSAW3siaWQiOjF9XQM="),
            ("zstd", "KLUv/SAKUQAAW3siaWQiOjF9XQ=="),
        ];
        for (encoding, body) in record {
            let answer = encoded(encoding, body).await.unwrap();
            assert_eq!(answer.body, r#"[{"id":1}]"#, "{encoding}");
        }
        // Spaces, 60,000 and a million: far below the cap while they are on their way.
        let gzip = format!(
            "H4sIAAAAAAACA+3BMQEAAADCoCrrn9IaHkAB{}fBn8wZ3JYOoAAA==",
            "A".repeat(80)
        );
        let bombs = [
            ("gzip", gzip.as_str()),
            ("br", "W///j18CJB4LBHLvHwA="),
            (
                "zstd",
                "KLUv/QA4AgAQIAIAECACABAgAgAQIAIAECACABAgAgAQIAMAECA=",
            ),
        ];
        for (encoding, body) in bombs {
            let error = encoded(encoding, body).await.unwrap_err();
            assert!(
                matches!(error, Error::TooLarge { limit: 1_000, .. }),
                "{encoding}: {error}"
            );
        }
        let error = encoded("compress", "AAAA").await.unwrap_err();
        assert!(matches!(error, Error::Encoded { .. }), "{error}");
    }

    #[test]
    fn a_credential_goes_to_its_own_origin_only() {
        let with = Authorization::bearer(&Secret::from("canary"));
        let own: Url = "https://api.example.com/a".parse().unwrap();
        let allowed = [own.origin()];
        let mut request = Request::new(Method::GET, own);
        request.authorize(&with, &allowed).unwrap();
        assert!(!format!("{:?}", request.headers).contains("canary"));

        for other in [
            "http://api.example.com/a",
            "https://api.example.com:444/",
            "https://evil.example/",
        ] {
            let mut request = Request::new(Method::GET, other.parse().unwrap());
            assert!(request.authorize(&with, &allowed).is_err(), "{other}");
            assert!(request.headers.is_empty());
        }
    }
}
