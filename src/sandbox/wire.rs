//! Connections that can be cut, and that notice how far an answer got.
//!
//! An answer the kernel took is not yet an answer the client has. What the client's end does
//! afterwards tells: a socket closed with bytes still waiting in it answers with a reset, one that
//! was emptied closes in good order.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ledger::{Delivery, Ledger};

/// The most connections at once; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 256;

/// Takes connections in.
#[derive(Debug)]
pub(super) struct Door {
    listener: TcpListener,
    room: Arc<Semaphore>,
    ledger: Ledger,
}

impl Door {
    pub(super) fn new(listener: TcpListener, ledger: Ledger) -> Self {
        Self {
            listener,
            room: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            ledger,
        }
    }
}

impl Listener for Door {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let permit = self.room.clone().acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Only speed is lost if it does not work.
        let _ = stream.set_nodelay(true);
        let wire = Wire {
            ledger: self.ledger.clone(),
            state: Arc::default(),
        };
        (
            Line {
                stream,
                wire,
                _permit: permit,
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// One connection's bytes.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    wire: Wire,
    _permit: OwnedSemaphorePermit,
}

/// A request's handle on the connection it came by.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    ledger: Ledger,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The token request whose answer is watched.
    watched: Option<u64>,
    /// Whether bytes of its answer have left.
    begun: bool,
    /// Whether more of it comes than was handed over so far.
    held: bool,
    /// Whether all of it has left.
    written: bool,
    cut: bool,
}

impl Connected<IncomingStream<'_, Door>> for Wire {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().wire.clone()
    }
}

impl Wire {
    /// Begins to watch the answer to a token request.
    pub(super) fn watch(&self, number: u64) {
        *self.lock() = State {
            watched: Some(number),
            ..State::default()
        };
    }

    /// Closes the connection instead of sending what comes now.
    pub(super) fn cut(&self) {
        self.lost();
        self.lock().cut = true;
    }

    /// Gives up on the watched answer: its client is not to have it.
    pub(super) fn lost(&self) {
        if let Some(number) = self.lock().watched.take() {
            self.ledger.deliver(number, Delivery::Withheld);
        }
    }

    /// Says that the answer comes in pieces.
    pub(super) fn hold(&self) {
        self.lock().held = true;
    }

    /// Says that the last piece comes now.
    pub(super) fn release(&self) {
        let mut state = self.lock();
        state.held = false;
        state.begun = false;
    }

    fn flushed(&self) {
        let mut state = self.lock();
        if let Some(number) = state.watched
            && state.begun
            && !state.held
            && !state.written
        {
            state.written = true;
            self.ledger.deliver(number, Delivery::Written);
        }
    }

    /// Takes what the client's end did as its verdict on the watched answer.
    fn ended(&self, in_order: bool) {
        let mut state = self.lock();
        let Some(number) = state.watched.take() else {
            return;
        };
        let delivery = match (state.written, in_order) {
            (true, true) => Delivery::Read,
            (true, false) => Delivery::Unread,
            (false, _) => Delivery::Unwritten,
        };
        self.ledger.deliver(number, delivery);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one step, so what a panic left behind is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn sent(&self, sent: &Poll<io::Result<usize>>) {
        match sent {
            Poll::Ready(Ok(1..)) => self.wire.lock().begun = true,
            Poll::Ready(Err(_)) => self.wire.ended(false),
            Poll::Ready(Ok(0)) | Poll::Pending => {}
        }
    }

    fn is_cut(&self) -> Poll<io::Result<usize>> {
        match self.wire.lock().cut {
            true => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            false => Poll::Pending,
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut state = self.wire.lock();
        if let (Some(number), false) = (state.watched.take(), state.written) {
            self.wire.ledger.deliver(number, Delivery::Unwritten);
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        match &read {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                // A next request: whoever asks on has read what came before.
                if self.wire.lock().written {
                    self.wire.ended(true);
                }
            }
            // A reset that follows the client's own goodbye does not fail the read, but is noted.
            Poll::Ready(Ok(())) => {
                self.wire
                    .ended(matches!(self.stream.take_error(), Ok(None)));
            }
            Poll::Ready(Err(_)) => self.wire.ended(false),
            Poll::Pending => {}
        }
        read
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(cut) = self.is_cut() {
            return Poll::Ready(cut);
        }
        let sent = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sent(&sent);
        sent
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(cut) = self.is_cut() {
            return Poll::Ready(cut);
        }
        let sent = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.sent(&sent);
        sent
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if let Poll::Ready(Ok(())) = flushed {
            self.wire.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
