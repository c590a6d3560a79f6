//! What is piped or typed into the program, where it may be secret.

use std::io::{self, Read, StdinLock, Take};

use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// Reads at most `most` bytes of the standard input, as `how` says; nothing if the person gives up
/// with Ctrl-C.
///
/// # Errors
/// If it cannot be read.
pub(super) async fn read(
    most: usize,
    how: impl FnOnce(&mut Take<StdinLock<'_>>, &mut Vec<u8>) -> io::Result<usize> + Send + 'static,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let (tell, told) = oneshot::channel();
    // A thread of its own rather than the runtime's, which would wait for it after Ctrl-C.
    std::thread::spawn(move || {
        // The room is made once, because a vector that grows leaves its old bytes behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(most));
        let read = how(&mut io::stdin().lock().take(most as u64), &mut bytes);
        // Nobody listens any more once the person has given up.
        let _ = tell.send(read.map(|_| bytes));
    });
    tokio::select! {
        read = told => read.unwrap_or_else(|ended| Err(io::Error::other(ended))),
        _ = tokio::signal::ctrl_c() => Ok(Zeroizing::default()),
    }
}
