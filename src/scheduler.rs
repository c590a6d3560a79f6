//! Waits for what is due, and starts its run.
//!
//! The [`Planner`] decides; this loop brings it the time, and carries out what it says through the
//! two [`Hooks`]. It looks at the clock at every beat of the heart, when the
//! next decision is due, when a run ends, and at least every [`LOOK_AGAIN`].

pub mod heartbeat;
pub mod planner;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::{LOOK_AGAIN, SharedClock, after};
use crate::config::Name;
use heartbeat::Heartbeat;
use planner::{Decision, Planner, Skip, Standing, Start};

/// How many pieces of news may wait for the scheduler before whoever brings more waits too.
const NEWS: usize = 64;

/// Where every flow stands.
pub type Plan = BTreeMap<Name, Standing>;

/// How the end of a run concerns the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// When the run goes on, if it is parked.
    pub resumes_at: Option<Timestamp>,
}

/// How decisions are carried out.
#[derive(Debug)]
pub struct Hooks<S, K> {
    /// Starts a run, and completes when the run has ended.
    pub start: S,
    /// Records a slot that goes by without a run. The scheduler waits for it, so that a flow's
    /// slots reach the journal in their order.
    pub skip: K,
}

/// Starts runs when they are due.
#[derive(Debug)]
pub struct Scheduler {
    planner: Planner,
    clock: SharedClock,
    heartbeat: Heartbeat,
    news: mpsc::Receiver<News>,
    plan: watch::Sender<Plan>,
}

/// What others tell the scheduler, and what it tells them.
#[derive(Debug, Clone)]
pub struct Handle {
    news: mpsc::Sender<News>,
    plan: watch::Receiver<Plan>,
}

/// What happened outside the schedule.
#[derive(Debug)]
enum News {
    Started(Name),
    Ended(Name, Ended),
}

impl Handle {
    /// Returns where every flow stands, now and as it changes.
    #[must_use]
    pub fn plan(&self) -> watch::Receiver<Plan> {
        self.plan.clone()
    }

    /// Tells that somebody else, such as a person, has started a run of `flow`.
    ///
    /// Each call wants one of [`ended`](Self::ended).
    pub async fn started(&self, flow: Name) {
        self.tell(News::Started(flow)).await;
    }

    /// Tells that a run somebody else started has ended.
    pub async fn ended(&self, flow: Name, ended: Ended) {
        self.tell(News::Ended(flow, ended)).await;
    }

    async fn tell(&self, news: News) {
        // It fails once the scheduler has stopped, and then nobody needs to know.
        let _ = self.news.send(news).await;
    }
}

impl Scheduler {
    /// Makes a scheduler, and the handle by which others reach it.
    #[must_use]
    pub fn new(planner: Planner, clock: SharedClock, heartbeat: Heartbeat) -> (Self, Handle) {
        let (news, heard) = mpsc::channel(NEWS);
        let (plan, published) = watch::channel(planner.standings());
        let scheduler = Self {
            planner,
            clock,
            heartbeat,
            news: heard,
            plan,
        };
        let handle = Handle {
            news,
            plan: published,
        };
        (scheduler, handle)
    }

    /// Starts what is due until `stop`, then waits for the runs under way.
    ///
    /// Dropping the future drops those runs.
    pub async fn run<S, R, K, J>(mut self, hooks: Hooks<S, K>, stop: CancellationToken)
    where
        S: Fn(Start) -> R,
        R: Future<Output = Ended> + Send + 'static,
        K: Fn(Skip) -> J,
        J: Future<Output = ()>,
    {
        let clock = SharedClock::clone(&self.clock);
        let mut runs = Runs::default();
        let mut decisions = Vec::new();
        loop {
            let now = clock.now();
            decisions.extend(self.planner.tick(now));
            self.publish();
            for decision in decisions {
                match decision {
                    Decision::Start(start) => runs.spawn(start.flow.clone(), (hooks.start)(start)),
                    Decision::Skip(skip) => (hooks.skip)(skip).await,
                }
            }
            let look_again = after(now, LOOK_AGAIN);
            let wake = self
                .planner
                .next_wake()
                .map_or(look_again, |wake| wake.min(look_again));
            decisions = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some((flow, ended)) = runs.next() => {
                    self.planner.finished(&flow, ended.resumes_at, clock.now())
                }
                Some(news) = self.news.recv() => self.hear(&news),
                () = self.heartbeat.beat() => Vec::new(),
                () = clock.sleep_until(wake) => Vec::new(),
            };
        }
        while runs.next().await.is_some() {}
        self.heartbeat.stop().await;
    }

    fn hear(&mut self, news: &News) -> Vec<Decision> {
        match news {
            News::Started(flow) => self.planner.started(flow),
            News::Ended(flow, ended) => {
                self.planner
                    .finished(flow, ended.resumes_at, self.clock.now())
            }
        }
    }

    fn publish(&mut self) {
        let changes = self.planner.take_changes();
        if !changes.is_empty() {
            self.plan.send_modify(|plan| plan.extend(changes));
        }
    }
}

/// The runs under way.
#[derive(Debug, Default)]
struct Runs {
    tasks: JoinSet<Ended>,
    flows: HashMap<Id, Name>,
}

impl Runs {
    fn spawn(&mut self, flow: Name, run: impl Future<Output = Ended> + Send + 'static) {
        let task = self.tasks.spawn(run);
        self.flows.insert(task.id(), flow);
    }

    /// Returns the next run that ends, or `None` if there is none under way.
    ///
    /// A run that dies of its own fault has ended too: it must not hold its place for ever.
    async fn next(&mut self) -> Option<(Name, Ended)> {
        let joined = self.tasks.join_next_with_id().await?;
        let task = joined
            .as_ref()
            .map_or_else(JoinError::id, |(task, _)| *task);
        let flow = self
            .flows
            .remove(&task)
            .expect("a run is listed when it is spawned");
        let ended = joined.map_or_else(
            |error| {
                tracing::error!(%flow, %error, "a run died without an outcome");
                Ended { resumes_at: None }
            },
            |(_, ended)| ended,
        );
        Some((flow, ended))
    }
}

#[cfg(test)]
mod tests;
