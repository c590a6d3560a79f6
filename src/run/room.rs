//! How much a run may hold of what it has fetched and not yet merged.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that pages of one run may take up between being fetched and being merged. Pages of the
/// usual size are read ahead; of very large ones, one is merged while the next is fetched.
const BYTES: u32 = 16 << 20;

/// A share of the memory for pages, given back when dropped.
pub(super) type Share = OwnedSemaphorePermit;

/// The memory for pages of one run.
#[derive(Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(BYTES as usize)))
    }

    /// Waits until there is room for `bytes`. What is larger than the whole room waits until it has
    /// the room to itself, so nothing waits for ever.
    pub(super) async fn take(&self, bytes: usize) -> Option<Share> {
        let share = u32::try_from(bytes).map_or(BYTES, |bytes| bytes.min(BYTES));
        let room = Arc::clone(&self.0);
        // It fails only for a room that was closed, and none is.
        room.acquire_many_owned(share).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn pages_ahead_are_bounded_by_their_bytes() {
        let room = Room::new();
        let half = BYTES as usize / 2;
        let first = room.take(half).now_or_never().flatten();
        let second = room.take(half).now_or_never().flatten();
        assert!(first.is_some() && second.is_some());
        assert!(room.take(1).now_or_never().is_none());
        assert!(room.take(0).now_or_never().is_some());
        drop(first);
        assert!(room.take(usize::MAX).now_or_never().is_none());
        drop(second);
        let all = room.take(usize::MAX).now_or_never().flatten();
        assert!(all.is_some(), "a page larger than the room gets all of it");
        assert!(room.take(1).now_or_never().is_none());
    }
}
