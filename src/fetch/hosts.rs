//! How many requests one host is sent at a time, whichever flows and connections they come from.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use url::Origin;

/// The requests under way at every host; one for the whole process.
#[derive(Debug, Default)]
pub struct Hosts(Mutex<HashMap<Origin, Arc<watch::Sender<usize>>>>);

/// A place at a host, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<watch::Sender<usize>>);

impl Hosts {
    /// Waits until fewer than `most` requests are under way at `host`.
    ///
    /// Each caller brings a limit of its own: the strictest waits longest.
    pub(super) async fn enter(&self, host: Origin, most: usize) -> Seat {
        let under_way = Arc::clone(
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(host)
                .or_insert_with(|| Arc::new(watch::Sender::new(0))),
        );
        let mut changes = under_way.subscribe();
        loop {
            let taken = under_way.send_if_modified(|count| {
                let is_free = *count < most.max(1);
                *count += usize::from(is_free);
                is_free
            });
            if taken {
                return Seat(under_way);
            }
            // It cannot be closed: we hold its sender.
            let _ = changes.wait_for(|count| *count < most.max(1)).await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn origin(url: &str) -> Origin {
        url.parse::<url::Url>().unwrap().origin()
    }

    #[test]
    fn a_host_is_sent_no_more_requests_at_a_time_than_each_connection_says() {
        let hosts = Hosts::default();
        let enter = |most| {
            hosts
                .enter(origin("https://a.example"), most)
                .now_or_never()
        };
        let first = enter(2).unwrap();
        let second = enter(2).unwrap();
        assert!(enter(2).is_none());
        let third = enter(3).expect("another connection allows more");
        let elsewhere = hosts.enter(origin("https://b.example"), 1).now_or_never();
        assert!(elsewhere.is_some());
        drop((first, second));
        assert!(enter(1).is_none());
        drop(third);
        assert!(enter(1).is_some());
    }

    #[tokio::test]
    async fn who_waits_is_let_in_when_a_request_has_ended() {
        let hosts = Arc::new(Hosts::default());
        let first = hosts.enter(origin("https://a.example"), 1).await;
        let waiting = {
            let hosts = Arc::clone(&hosts);
            tokio::spawn(async move { hosts.enter(origin("https://a.example"), 1).await })
        };
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap();
    }
}
