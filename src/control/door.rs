//! Who is let in at the socket, and for how long: nobody who says nothing, or too many at once, keeps
//! others out.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Failure;
use crate::remedy::Remedy;

/// How long the next attempt is put off when no connection can be accepted, as when the process has
/// too many files open.
const RETRY: Duration = Duration::from_secs(1);

/// What a visitor may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// From the connection, or the end of an answer, to the end of the next request's header. An idle
    /// connection is closed by it too.
    pub(super) header: Duration,
    /// From there to the end of the request's body.
    pub(super) body: Duration,
    /// The most bytes of any body.
    pub(super) body_bytes: usize,
    /// How many connections are served at once. A run or a login that somebody waits for is one.
    pub(super) connections: usize,
    /// How many more are told so; others wait until one of these is.
    pub(super) told: usize,
}

/// Serves `router` until `stop`, and then until the requests under way are answered.
pub(super) async fn serve(
    listener: UnixListener,
    router: Router,
    bounds: Bounds,
    stop: CancellationToken,
) {
    let inside = router.layer(from_fn_with_state(bounds, whole_body));
    let outside = Router::new().fallback(move || async move { full(bounds.connections) });
    let seats = Arc::new(Semaphore::new(bounds.connections));
    let steps = Arc::new(Semaphore::new(bounds.told));
    let visits = TaskTracker::new();
    while let Some(stream) = next(&listener, &stop).await {
        let (seat, router) = match Arc::clone(&seats).try_acquire_owned() {
            Ok(seat) => (seat, inside.clone()),
            Err(_) => {
                tracing::warn!(
                    connections = bounds.connections,
                    "the control socket is full, and turns somebody away"
                );
                match Arc::clone(&steps).acquire_owned().await {
                    Ok(step) => (step, outside.clone()),
                    // It is never closed.
                    Err(_) => break,
                }
            }
        };
        visits.spawn(visit(stream, router, bounds.header, stop.clone(), seat));
    }
    visits.close();
    visits.wait().await;
}

/// Returns the next connection; `None` once nobody is to be let in any more.
async fn next(listener: &UnixListener, stop: &CancellationToken) -> Option<UnixStream> {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return None,
        };
        match accepted {
            Ok((stream, _)) => return Some(stream),
            // Whoever came has gone.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "could not let anybody in at the control socket");
                // Runs out unless the house stops meanwhile, which the loop sees.
                let _ = timeout(RETRY, stop.cancelled()).await;
            }
        }
    }
}

/// Answers one connection until it ends, keeping its `_seat`.
async fn visit(
    stream: UnixStream,
    router: Router,
    header: Duration,
    stop: CancellationToken,
    _seat: OwnedSemaphorePermit,
) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(header);
    let service = TowerToHyperService::new(router);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the control socket broke off");
    }
}

/// Reads the body before anybody works on the request, so that only reading it has a limit.
async fn whole_body(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    match timeout(bounds.body, to_bytes(body, bounds.body_bytes)).await {
        Ok(Ok(body)) => {
            let request = Request::from_parts(head, Body::from(body));
            next.run(request).await
        }
        Ok(Err(_)) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

/// Tells somebody that there is no room.
fn full(connections: usize) -> Response {
    let failure = Failure {
        error: format!("{connections} others are being served by the running tidegate"),
        remedy: Remedy::Wait,
        hint: Some("try again when some of the commands that run have ended".to_owned()),
    };
    let mut answer = failure.into_response();
    let close = header::HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    answer
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(600);
    /// Runs out in every test that waits for it.
    const SHORT: Duration = Duration::from_millis(50);
    const BOUNDS: Bounds = Bounds {
        header: LONG,
        body: LONG,
        body_bytes: 10,
        connections: 2,
        told: 1,
    };
    const PING: &str = "GET /ping HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

    struct Door {
        directory: tempfile::TempDir,
        stop: CancellationToken,
        served: tokio::task::JoinHandle<()>,
    }

    impl Door {
        fn open(bounds: Bounds) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let listener = UnixListener::bind(directory.path().join("s")).unwrap();
            let router = Router::new()
                .route("/ping", get(|| async { "pong" }))
                .route("/echo", post(|body: String| async { body }));
            let stop = CancellationToken::new();
            let served = tokio::spawn(serve(listener, router, bounds, stop.clone()));
            Self {
                directory,
                stop,
                served,
            }
        }

        /// Comes in and says `words`.
        async fn say(&self, words: &str) -> UnixStream {
            let path = self.directory.path().join("s");
            let mut stream = UnixStream::connect(path).await.unwrap();
            stream.write_all(words.as_bytes()).await.unwrap();
            stream
        }

        async fn ask(&self, words: &str) -> String {
            rest(self.say(words).await).await
        }
    }

    /// Returns what is said until the connection is closed.
    async fn rest(mut stream: UnixStream) -> String {
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        said
    }

    #[tokio::test]
    async fn whoever_does_not_finish_a_header_is_shown_out() {
        let door = Door::open(Bounds {
            header: SHORT,
            ..BOUNDS
        });
        for half_open in ["", "GET /ping HT", "GET /ping HTTP/1.1\r\nhost: a\r\n"] {
            let said = door.ask(half_open).await;
            assert!(!said.contains("pong"), "{half_open}: {said}");
        }
        // An idle connection is one that does not begin the next.
        let idle = door.ask("GET /ping HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(idle.ends_with("pong"), "{idle}");
    }

    #[tokio::test]
    async fn a_body_comes_whole_and_in_time_or_not_at_all() {
        let ask = |length: usize, body: &str| {
            format!(
                "POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
                 content-length: {length}\r\n\r\n{body}"
            )
        };
        let door = Door::open(Bounds {
            body: SHORT,
            ..BOUNDS
        });
        let late = door.ask(&ask(5, "abc")).await;
        assert!(late.starts_with("HTTP/1.1 408 "), "{late}");
        let long = door.ask(&ask(11, "abcdefghijk")).await;
        assert!(long.starts_with("HTTP/1.1 413 "), "{long}");
        let whole = door.ask(&ask(3, "abc")).await;
        assert!(whole.ends_with("\r\n\r\nabc"), "{whole}");
    }

    #[tokio::test]
    async fn more_than_fit_are_told_so_and_let_in_once_others_have_gone() {
        let door = Door::open(BOUNDS);
        let [first, _second] = [door.say("GET").await, door.say("GET").await];
        for _ in 0..3 {
            let told = door.ask(PING).await;
            assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
            assert!(told.contains("2 others are being served"), "{told}");
        }
        drop(first);
        // That it has gone is noticed on another task, before long.
        while !door.ask(PING).await.ends_with("pong") {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_under_way_at_a_stop_is_answered_and_nobody_else_is() {
        let door = Door::open(BOUNDS);
        let mut begun = door.say("GET /ping HTTP/1.1\r\n").await;
        // The first has been let in when the second, behind it, is answered.
        assert!(door.ask(PING).await.ends_with("pong"));
        door.stop.cancel();
        begun.write_all(b"host: a\r\n\r\n").await.unwrap();
        assert!(rest(begun).await.ends_with("pong"));
        door.served.await.unwrap();
        let path = door.directory.path().join("s");
        assert!(UnixStream::connect(path).await.is_err());
    }
}
