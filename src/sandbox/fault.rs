//! What goes wrong on purpose.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use super::reply::Reply;
use super::wire::Wire;

/// How many pieces a slow body comes in.
const PIECES: u32 = 8;
/// How long the first half of a cut body is given to leave, in real time.
const FIRST_HALF: Duration = Duration::from_millis(20);

/// Where something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// At the token endpoint.
    Token,
    /// At the API.
    Api,
}

/// Something that goes wrong with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The work is done, then the connection is closed without a byte of answer.
    Drop,
    /// The work is done, and the answer leaves this much real time later.
    Delay(Duration),
    /// Nothing is done; this is answered.
    Refuse(Canned),
    /// The work is done, but this is answered in place of what came of it.
    Lose(Canned),
    /// The work is done, and the body trickles out over this much real time.
    Slow(Duration),
    /// The work is done, and the connection closes after half of the body.
    Cut,
}

/// An answer that has nothing to do with the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canned {
    /// This status with an empty body.
    Empty(u16),
    /// This status with a page for people.
    Html(u16),
    /// A 500 with the gateway's own JSON.
    Gateway,
    /// A 429 that asks for so many seconds of patience.
    RetryAfter(u32),
    /// A 200 that is not JSON to its end.
    Garbled,
    /// A 200 with an empty list, as the API answers who has lost the right to read a resource.
    NoRecords,
}

/// Faults that wait for their requests.
#[derive(Debug, Default)]
pub(super) struct Faults(VecDeque<(At, Fault, u32)>);

impl Faults {
    /// Adds a fault for the next `times` requests at a place, after those already waiting there.
    pub(super) fn add(&mut self, at: At, fault: Fault, times: u32) {
        if times > 0 {
            self.0.push_back((at, fault, times));
        }
    }

    /// Forgets all faults.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the fault of the next request at a place.
    pub(super) fn take(&mut self, at: At) -> Option<Fault> {
        let index = self.0.iter().position(|(place, ..)| *place == at)?;
        let (_, fault, left) = &mut self.0[index];
        let fault = fault.clone();
        *left -= 1;
        if *left == 0 {
            self.0.remove(index);
        }
        Some(fault)
    }
}

impl Fault {
    /// Returns what is answered without doing anything.
    pub(super) fn refusal(&self) -> Option<Reply> {
        match self {
            Self::Refuse(canned) => Some(canned.reply()),
            Self::Drop | Self::Delay(_) | Self::Lose(_) | Self::Slow(_) | Self::Cut => None,
        }
    }
}

impl Canned {
    fn reply(self) -> Reply {
        let status = |code| StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        match self {
            Self::Empty(code) => Reply::empty(status(code)),
            Self::Html(code) => Reply::html(
                status(code),
                "<!DOCTYPE html><title>Maintenance</title><h1>We will be back soon</h1>",
            ),
            Self::Gateway => Reply::json(
                StatusCode::INTERNAL_SERVER_ERROR,
                r#"{"fault":{"faultstring":"Unable to identify proxy for host","detail":{"errorcode":"messaging.adaptors.http.flow.ApplicationNotFound"}}}"#,
            ),
            Self::RetryAfter(seconds) => Reply::empty(StatusCode::TOO_MANY_REQUESTS)
                .with(header::RETRY_AFTER, &seconds.to_string()),
            Self::Garbled => Reply::json(StatusCode::OK, r#"{"access_token":"#),
            Self::NoRecords => Reply::json(StatusCode::OK, r#"{"d":{"results":[]}}"#),
        }
    }
}

/// Sends a reply, with what goes wrong on its way.
pub(super) async fn send(reply: Reply, fault: Option<Fault>, wire: &Wire) -> Response {
    match fault {
        None | Some(Fault::Refuse(_)) => reply.into_response(),
        Some(Fault::Drop) => {
            wire.cut();
            reply.into_response()
        }
        Some(Fault::Delay(wait)) => {
            pause(wait).await;
            reply.into_response()
        }
        Some(Fault::Lose(canned)) => {
            wire.lost();
            canned.reply().into_response()
        }
        Some(Fault::Slow(wait)) => {
            wire.hold();
            trickle(reply, wait / PIECES, PIECES, Last::Sent(wire.clone()))
        }
        Some(Fault::Cut) => {
            wire.lost();
            trickle(reply, FIRST_HALF, 2, Last::Withheld)
        }
    }
}

/// What becomes of the last piece of a body.
enum Last {
    Sent(Wire),
    Withheld,
}

fn trickle(reply: Reply, wait: Duration, pieces: u32, last: Last) -> Response {
    let length = reply.body.len();
    let size = length.div_ceil(pieces as usize).max(1);
    let rest = reply.body.clone();
    let body = stream::unfold((rest, last), move |(mut rest, last)| async move {
        if rest.is_empty() {
            return None;
        }
        if rest.len() < length {
            pause(wait).await;
        }
        let piece = rest.split_to(size.min(rest.len()));
        match &last {
            Last::Sent(wire) if rest.is_empty() => wire.release(),
            Last::Withheld if rest.is_empty() => {
                let cut = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
                return Some((Err(cut), (Bytes::new(), last)));
            }
            Last::Sent(_) | Last::Withheld => {}
        }
        Some((Ok(piece), (rest, last)))
    });
    let mut response = reply.into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    *response.body_mut() = Body::from_stream(body);
    response
}

/// Waits in real time.
#[expect(
    clippy::disallowed_methods,
    reason = "a wire is slow in real time, also where the clock of the story stands still"
)]
pub(super) async fn pause(wait: Duration) {
    tokio::time::sleep(wait).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_wait_for_requests_at_their_place() {
        let mut faults = Faults::default();
        faults.add(At::Token, Fault::Drop, 2);
        faults.add(At::Api, Fault::Cut, 1);
        faults.add(At::Token, Fault::Cut, 0);
        assert_eq!(faults.take(At::Api), Some(Fault::Cut));
        assert_eq!(faults.take(At::Api), None);
        assert_eq!(faults.take(At::Token), Some(Fault::Drop));
        assert_eq!(faults.take(At::Token), Some(Fault::Drop));
        assert_eq!(faults.take(At::Token), None);
    }
}
