use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::planner::{Activity, Reason};
use super::*;
use crate::clock::SimClock;
use crate::config::Schedule;
use crate::journal::Trigger;

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Started(Start),
    Skipped(Skip),
}

type Ends = Arc<Mutex<BTreeMap<Name, oneshot::Sender<Ended>>>>;

/// A scheduler at work, whose runs last until the test ends them.
struct House {
    clock: SimClock,
    handle: Handle,
    events: mpsc::UnboundedReceiver<Event>,
    ends: Ends,
    stop: CancellationToken,
    work: JoinHandle<()>,
}

impl House {
    /// Opens at 10:05 with flows that run every so many minutes, two at a time.
    fn open<const N: usize>(flows: [(&str, u64); N]) -> Self {
        let clock = SimClock::new(at("10:05"));
        let flows = flows.map(|(flow, minutes)| {
            (
                name(flow),
                Some(Schedule::Every(Duration::from_secs(60 * minutes))),
            )
        });
        let planner = Planner::new(flows, &[], 2, at("10:05"));
        let (scheduler, handle) =
            Scheduler::new(planner, Arc::new(clock.clone()), Heartbeat::silent());
        let (tell, events) = mpsc::unbounded_channel();
        let ends = Ends::default();
        let hooks = Hooks {
            start: {
                let (tell, ends) = (tell.clone(), Arc::clone(&ends));
                move |start: Start| {
                    let (end, ended) = oneshot::channel();
                    ends.lock().unwrap().insert(start.flow.clone(), end);
                    tell.send(Event::Started(start)).unwrap();
                    async move { ended.await.expect("the test wants this run to die") }
                }
            },
            skip: move |skip| {
                tell.send(Event::Skipped(skip)).unwrap();
                std::future::ready(())
            },
        };
        let stop = CancellationToken::new();
        let work = tokio::spawn(scheduler.run(hooks, stop.clone()));
        Self {
            clock,
            handle,
            events,
            ends,
            stop,
            work,
        }
    }

    fn take_end(&self, flow: &str) -> oneshot::Sender<Ended> {
        self.ends.lock().unwrap().remove(flow).expect("it runs")
    }

    fn end(&self, flow: &str, resumes_at: Option<&str>) {
        self.take_end(flow)
            .send(Ended {
                resumes_at: resumes_at.map(at),
            })
            .unwrap();
    }

    async fn stands(&self, flow: &str, activity: Activity) {
        let is_so = |plan: &Plan| plan[flow].activity == activity;
        self.handle.plan().wait_for(is_so).await.unwrap();
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn at(time: &str) -> Timestamp {
    format!("2026-05-05T{time}:00Z").parse().unwrap()
}

fn started(flow: &str, trigger: Trigger, slot: Option<&str>) -> Option<Event> {
    let slot = slot.map(at);
    Some(Event::Started(Start {
        flow: name(flow),
        trigger,
        slot,
        missed: 0,
    }))
}

fn skipped(flow: &str, slot: &str, reason: Reason) -> Option<Event> {
    Some(Event::Skipped(Skip {
        flow: name(flow),
        slot: at(slot),
        reason,
    }))
}

#[tokio::test]
async fn runs_start_as_time_passes_and_places_become_free() {
    let mut house = House::open([("a", 10), ("b", 15), ("c", 15)]);
    house.clock.set(at("10:10"));
    assert_eq!(
        house.events.recv().await,
        started("a", Trigger::Scheduled, Some("10:10"))
    );
    house.clock.set(at("10:15"));
    assert_eq!(
        house.events.recv().await,
        started("b", Trigger::Scheduled, Some("10:15"))
    );
    house
        .stands("c", Activity::Waiting { since: at("10:15") })
        .await;
    house.end("a", None);
    assert_eq!(
        house.events.recv().await,
        started("c", Trigger::Scheduled, Some("10:15"))
    );
    house.stands("a", Activity::Idle).await;
    house.clock.set(at("10:30"));
    assert_eq!(
        house.events.recv().await,
        skipped("b", "10:30", Reason::Overlap)
    );
    assert_eq!(
        house.events.recv().await,
        skipped("c", "10:30", Reason::Overlap)
    );
    assert_eq!(
        house.handle.plan().borrow()["b"].next_slot_at,
        Some(at("10:45"))
    );
}

#[tokio::test]
async fn a_parked_run_goes_on_at_its_time() {
    let mut house = House::open([("a", 60)]);
    house.clock.set(at("11:00"));
    assert_eq!(
        house.events.recv().await,
        started("a", Trigger::Scheduled, Some("11:00"))
    );
    house.end("a", Some("11:20"));
    house
        .stands("a", Activity::Parked { until: at("11:20") })
        .await;
    house.clock.set(at("11:20"));
    assert_eq!(
        house.events.recv().await,
        started("a", Trigger::Resume, None)
    );
}

#[tokio::test]
async fn a_slot_during_a_persons_run_is_skipped() {
    let mut house = House::open([("a", 60)]);
    house.handle.started(name("a")).await;
    house.stands("a", Activity::Running).await;
    house.clock.set(at("11:00"));
    assert_eq!(
        house.events.recv().await,
        skipped("a", "11:00", Reason::Overlap)
    );
    house
        .handle
        .ended(name("a"), Ended { resumes_at: None })
        .await;
    house.stands("a", Activity::Idle).await;
    house.clock.set(at("12:00"));
    assert_eq!(
        house.events.recv().await,
        started("a", Trigger::Scheduled, Some("12:00"))
    );
}

#[tokio::test]
async fn a_run_that_dies_leaves_its_place() {
    let mut house = House::open([("a", 60)]);
    house.clock.set(at("11:00"));
    assert_eq!(
        house.events.recv().await,
        started("a", Trigger::Scheduled, Some("11:00"))
    );
    drop(house.take_end("a"));
    house.stands("a", Activity::Idle).await;
    house.clock.set(at("12:00"));
    assert_eq!(
        house.events.recv().await,
        started("a", Trigger::Scheduled, Some("12:00"))
    );
}

#[tokio::test]
async fn stopping_waits_for_the_runs_under_way_and_starts_no_other() {
    let mut house = House::open([("a", 60), ("b", 60), ("c", 60)]);
    house.clock.set(at("11:00"));
    assert_eq!(
        house.events.recv().await,
        started("a", Trigger::Scheduled, Some("11:00"))
    );
    assert_eq!(
        house.events.recv().await,
        started("b", Trigger::Scheduled, Some("11:00"))
    );
    house.stop.cancel();
    house.end("a", None);
    assert!(!house.work.is_finished());
    house.end("b", None);
    house.work.await.unwrap();
    assert_eq!(
        house.events.recv().await,
        None,
        "`c` waits for the next start of the program"
    );
    // Whoever still talks to it is not kept.
    house.handle.started(name("a")).await;
}
