use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;

use super::{Activity, Decision, Planner, Reason};
use crate::config::{Name, Schedule};
use crate::journal::{SlotState, Trigger};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn cron(rule: &str) -> Option<Schedule> {
    let zone = TimeZone::get("Europe/Amsterdam").unwrap();
    Some(Schedule::Cron {
        rule: Box::new(rule.parse().unwrap()),
        zone,
    })
}

fn every(minutes: u64) -> Option<Schedule> {
    Some(Schedule::Every(Duration::from_secs(60 * minutes)))
}

fn seen(first_seen_at: &str) -> SlotState {
    SlotState {
        flow: "a".to_owned(),
        first_seen_at: at(first_seen_at),
        last_slot_at: None,
        resumes_at: None,
    }
}

fn ran(last_slot_at: &str) -> SlotState {
    SlotState {
        last_slot_at: Some(at(last_slot_at)),
        ..seen("2020-01-01T00:00:00Z")
    }
}

fn hourly(memory: SlotState, now: &str) -> Planner {
    Planner::new([(name("a"), every(60))], &[memory], 4, at(now))
}

/// Decisions as one line: `start a scheduled 10:00 +2`, `skip a 10:00 overlap`.
fn told(decisions: &[Decision]) -> String {
    let time = |slot: Timestamp| slot.strftime("%H:%M").to_string();
    let told = decisions.iter().map(|decision| match decision {
        Decision::Start(start) => {
            let trigger = start.trigger.word();
            let slot = start.slot.map_or("-".to_owned(), time);
            let missed = if start.missed > 0 {
                format!(" +{}", start.missed)
            } else {
                String::new()
            };
            format!("start {} {trigger} {slot}{missed}", start.flow)
        }
        Decision::Skip(skip) => {
            let reason = match skip.reason {
                Reason::Overlap => "overlap",
                Reason::Parked => "parked",
            };
            format!("skip {} {} {reason}", skip.flow, time(skip.slot))
        }
    });
    told.collect::<Vec<_>>().join(", ")
}

#[test]
fn what_was_missed_while_down_becomes_one_start() {
    // What is remembered, when we are back, and what follows.
    let cases = [
        (ran("2026-05-05T10:00:00Z"), "2026-05-05T10:59:59Z", ""),
        (
            ran("2026-05-05T10:00:00Z"),
            "2026-05-05T11:00:00Z",
            "start a scheduled 11:00",
        ),
        (
            ran("2026-05-05T10:00:00Z"),
            "2026-05-05T11:01:00Z",
            "start a scheduled 11:00",
        ),
        (
            ran("2026-05-05T10:00:00Z"),
            "2026-05-05T11:01:01Z",
            "start a catch_up 11:00",
        ),
        (
            ran("2026-05-05T10:00:00Z"),
            "2026-05-05T13:30:00Z",
            "start a catch_up 13:00 +2",
        ),
        (
            ran("2016-05-05T10:00:00Z"),
            "2026-05-05T13:30:00Z",
            "start a catch_up 13:00 +100",
        ),
        (seen("2026-05-05T10:30:00Z"), "2026-05-05T10:45:00Z", ""),
        (
            seen("2026-05-05T10:30:00Z"),
            "2026-05-05T11:45:00Z",
            "start a catch_up 11:00",
        ),
        // The clock had been ahead: by little, which is waited out, or by years.
        (ran("2026-05-05T12:00:00Z"), "2026-05-05T11:30:00Z", ""),
        (ran("2036-05-05T12:00:00Z"), "2026-05-05T11:30:00Z", ""),
    ];
    for (memory, now, expected) in cases {
        let mut planner = hourly(memory.clone(), now);
        assert_eq!(
            told(&planner.tick(at(now))),
            expected,
            "{memory:?} at {now}"
        );
        assert_eq!(
            told(&planner.tick(at(now))),
            "",
            "a second look decides nothing"
        );
    }
}

#[test]
fn a_flow_never_seen_waits_for_its_next_slot() {
    let now = at("2026-05-05T10:30:00Z");
    let planner = Planner::new([(name("a"), every(60))], &[], 4, now);
    assert_eq!(
        planner.next_slot(&name("a")),
        Some(at("2026-05-05T11:00:00Z"))
    );
    assert_eq!(planner.next_wake(), Some(at("2026-05-05T11:00:00Z")));
}

#[test]
fn a_slot_during_a_run_is_skipped_and_told() {
    let mut planner = hourly(ran("2026-05-05T09:00:00Z"), "2026-05-05T09:30:00Z");
    assert_eq!(
        told(&planner.tick(at("2026-05-05T10:00:00Z"))),
        "start a scheduled 10:00"
    );
    assert_eq!(
        told(&planner.tick(at("2026-05-05T11:00:00Z"))),
        "skip a 11:00 overlap"
    );
    assert_eq!(
        told(&planner.tick(at("2026-05-05T13:00:00Z"))),
        "skip a 13:00 overlap"
    );
    assert_eq!(
        planner.finished(&name("a"), None, at("2026-05-05T13:30:00Z")),
        []
    );
    assert_eq!(
        told(&planner.tick(at("2026-05-05T14:00:00Z"))),
        "start a scheduled 14:00"
    );
}

#[test]
fn a_run_that_a_person_started_counts_as_a_run() {
    let mut planner = hourly(ran("2026-05-05T09:00:00Z"), "2026-05-05T09:30:00Z");
    assert_eq!(planner.started(&name("a")), []);
    assert_eq!(
        told(&planner.tick(at("2026-05-05T10:00:00Z"))),
        "skip a 10:00 overlap"
    );
    // A second person joins the same run: it ends when both have been told so.
    assert_eq!(planner.started(&name("a")), []);
    planner.finished(&name("a"), None, at("2026-05-05T10:10:00Z"));
    assert_eq!(
        planner.standing(&name("a")).unwrap().activity,
        Activity::Running
    );
    planner.finished(&name("a"), None, at("2026-05-05T10:10:00Z"));
    assert_eq!(
        planner.standing(&name("a")).unwrap().activity,
        Activity::Idle
    );
    // More ends than starts, and strangers, change nothing.
    assert_eq!(
        planner.finished(&name("a"), None, at("2026-05-05T10:10:00Z")),
        []
    );
    assert_eq!(
        planner.finished(&name("b"), None, at("2026-05-05T10:10:00Z")),
        []
    );
    assert_eq!(planner.started(&name("b")), []);
    assert_eq!(
        told(&planner.tick(at("2026-05-05T11:00:00Z"))),
        "start a scheduled 11:00"
    );
}

#[test]
fn a_parked_run_goes_on_at_its_time() {
    let mut planner = hourly(ran("2026-05-05T09:00:00Z"), "2026-05-05T09:30:00Z");
    planner.tick(at("2026-05-05T10:00:00Z"));
    planner.finished(
        &name("a"),
        Some(at("2026-05-05T11:30:00Z")),
        at("2026-05-05T10:05:00Z"),
    );
    assert_eq!(planner.next_wake(), Some(at("2026-05-05T11:00:00Z")));
    assert_eq!(
        told(&planner.tick(at("2026-05-05T11:00:00Z"))),
        "skip a 11:00 parked"
    );
    assert_eq!(planner.next_wake(), Some(at("2026-05-05T11:30:00Z")));
    assert_eq!(
        told(&planner.tick(at("2026-05-05T11:30:00Z"))),
        "start a resume -"
    );
    // It parks again, for no time at all, which would be a busy loop.
    planner.finished(
        &name("a"),
        Some(at("2026-05-05T11:30:00Z")),
        at("2026-05-05T11:31:00Z"),
    );
    assert_eq!(told(&planner.tick(at("2026-05-05T11:31:00Z"))), "");
    assert_eq!(
        told(&planner.tick(at("2026-05-05T12:00:00Z"))),
        "start a resume 12:00"
    );
    // A person is not kept waiting, and then nothing is left to go on with.
    planner.finished(
        &name("a"),
        Some(at("2026-05-06T00:00:00Z")),
        at("2026-05-05T12:01:00Z"),
    );
    assert_eq!(planner.started(&name("a")), []);
    planner.finished(&name("a"), None, at("2026-05-05T12:02:00Z"));
    assert_eq!(
        told(&planner.tick(at("2026-05-05T13:00:00Z"))),
        "start a scheduled 13:00"
    );
}

#[test]
fn a_parked_run_goes_on_after_a_restart() {
    let parked = |resumes_at| SlotState {
        resumes_at: Some(at(resumes_at)),
        ..ran("2026-05-05T10:00:00Z")
    };
    let cases = [
        ("2026-05-05T10:30:00Z", "2026-05-05T10:20:00Z", ""),
        (
            "2026-05-05T10:30:00Z",
            "2026-05-05T10:40:00Z",
            "start a resume -",
        ),
        (
            "2026-05-05T10:30:00Z",
            "2026-05-05T12:40:00Z",
            "start a resume 12:00 +1",
        ),
        (
            "2026-05-05T13:30:00Z",
            "2026-05-05T12:40:00Z",
            "skip a 12:00 parked",
        ),
    ];
    for (resumes_at, now, expected) in cases {
        let mut planner = hourly(parked(resumes_at), now);
        assert_eq!(
            told(&planner.tick(at(now))),
            expected,
            "parked until {resumes_at}, back at {now}"
        );
    }
}

#[test]
fn a_flow_without_a_schedule_is_resumed_too() {
    let now = at("2026-05-05T10:00:00Z");
    let mut planner = Planner::new([(name("a"), None)], &[], 4, now);
    assert_eq!(planner.next_wake(), None);
    planner.started(&name("a"));
    planner.finished(&name("a"), Some(at("2026-05-05T11:00:00Z")), now);
    assert_eq!(
        told(&planner.tick(at("2026-05-05T11:00:00Z"))),
        "start a resume -"
    );
}

#[test]
fn starts_without_a_free_place_wait_in_the_order_of_their_slots() {
    let flows =
        [("a", 15), ("b", 10), ("c", 12)].map(|(flow, minutes)| (name(flow), every(minutes)));
    let mut planner = Planner::new(flows, &[], 1, at("2026-05-05T10:05:00Z"));
    assert_eq!(
        told(&planner.tick(at("2026-05-05T10:10:00Z"))),
        "start b scheduled 10:10"
    );
    assert_eq!(told(&planner.tick(at("2026-05-05T10:12:00Z"))), "");
    assert_eq!(told(&planner.tick(at("2026-05-05T10:15:00Z"))), "");
    let standing = planner.standing(&name("c")).unwrap();
    assert_eq!(
        standing.activity,
        Activity::Waiting {
            since: at("2026-05-05T10:12:00Z")
        }
    );
    assert_eq!(standing.next_run_at(), Some(at("2026-05-05T10:12:00Z")));
    // `c` has waited longer than `a`, and takes its next slot along.
    assert_eq!(
        told(&planner.tick(at("2026-05-05T10:24:00Z"))),
        "skip b 10:20 overlap"
    );
    let done = at("2026-05-05T10:25:00Z");
    assert_eq!(
        told(&planner.finished(&name("b"), None, done)),
        "start c scheduled 10:24 +1"
    );
    assert_eq!(
        told(&planner.finished(&name("c"), None, done)),
        "start a scheduled 10:15"
    );
    // A person does not wait for a place, and takes the start that waited.
    planner.tick(at("2026-05-05T10:30:00Z"));
    assert_eq!(told(&planner.started(&name("b"))), "skip b 10:30 overlap");
}

#[test]
fn a_clock_that_jumps_runs_no_slot_twice_and_silences_nobody() {
    let mut planner = hourly(ran("2026-05-05T09:00:00Z"), "2026-05-05T09:30:00Z");
    let mut tick = |now: &str| {
        let decisions = told(&planner.tick(at(now)));
        planner.finished(&name("a"), None, at(now));
        decisions
    };
    assert_eq!(tick("2026-05-05T10:00:00Z"), "start a scheduled 10:00");
    assert_eq!(tick("2026-05-05T08:00:00Z"), "");
    assert_eq!(tick("2026-05-05T10:00:00Z"), "");
    assert_eq!(tick("2026-05-05T14:00:01Z"), "start a catch_up 14:00 +3");
    assert_eq!(tick("2031-01-01T00:00:00Z"), "start a catch_up 00:00 +100");
    assert_eq!(tick("2026-05-05T14:30:00Z"), "");
    assert_eq!(tick("2026-05-05T15:00:00Z"), "start a scheduled 15:00");
}

#[test]
fn a_parked_run_outlives_a_clock_that_was_years_ahead() {
    let mut planner = hourly(ran("2026-05-05T10:00:00Z"), "2026-05-05T10:30:00Z");
    planner.tick(at("2031-01-01T00:00:00Z"));
    planner.finished(
        &name("a"),
        Some(at("2031-01-01T00:20:00Z")),
        at("2031-01-01T00:00:00Z"),
    );
    assert_eq!(told(&planner.tick(at("2026-05-05T10:30:00Z"))), "");
    assert_eq!(
        told(&planner.tick(at("2026-05-05T10:50:00Z"))),
        "start a resume -"
    );
}

#[test]
fn a_year_with_both_nights_has_every_slot_once() {
    let new_year = at("2026-01-01T00:00:00+01:00");
    let end = at("2027-01-01T00:00:00+01:00");
    let rules = [
        ("six", "0 6 * * *"),
        ("night", "30 2 * * *"),
        ("quarter", "*/15 * * * *"),
    ];
    let flows = rules.map(|(flow, rule)| (name(flow), cron(rule)));
    let mut planner = Planner::new(flows, &[], 4, new_year);
    let mut starts: BTreeMap<Name, Vec<Timestamp>> = BTreeMap::new();
    while let Some(now) = planner.next_wake().filter(|wake| *wake < end) {
        for decision in planner.tick(now) {
            let Decision::Start(start) = decision else {
                panic!("{decision:?} in a quiet year")
            };
            assert_eq!((start.trigger, start.slot), (Trigger::Scheduled, Some(now)));
            planner.finished(&start.flow, None, now);
            starts.entry(start.flow).or_default().push(now);
        }
    }
    let count = |flow: &str| starts[flow].len();
    assert_eq!((count("six"), count("night")), (365, 365));
    assert_eq!(
        count("quarter"),
        365 * 96 - 1,
        "the year's own hours, less its first slot"
    );
    assert!(
        starts
            .values()
            .all(|slots| slots.windows(2).all(|pair| pair[0] < pair[1]))
    );
}

#[test]
fn ten_thousand_flows_keep_up() {
    let start = at("2026-05-05T00:00:00Z");
    let flows = (0..10_000).map(|number| {
        let rule = format!("{} */{} * * *", number % 60, 1 + number % 24);
        (name(&format!("flow_{number}")), cron(&rule))
    });
    let mut planner = Planner::new(flows, &[], 4, start);
    let mut starts = 0;
    while let Some(now) = planner.next_wake().filter(|wake| *wake < start + 4.hours()) {
        let mut decisions = planner.tick(now);
        while let Some(decision) = decisions.pop() {
            let Decision::Start(start) = decision else {
                panic!("{decision:?} of a quick flow")
            };
            starts += 1;
            decisions.extend(planner.finished(&start.flow, None, now));
        }
    }
    assert!(starts > 3_000, "{starts}");
}

/// What happens to a house, as far as its planner sees it.
#[derive(Debug, Clone)]
enum Event {
    Wait(i64),
    WaitForAlarm,
    Finish(usize, Option<i64>),
    Person(usize),
    StepBack(i64),
    Restart,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..7_200_i64).prop_map(Event::Wait),
        1 => (0..400_000_i64).prop_map(Event::Wait),
        4 => Just(Event::WaitForAlarm),
        4 => (0..3_usize, prop::option::weighted(0.2, 0..20_000_i64)).prop_map(|(flow, park)| Event::Finish(flow, park)),
        1 => (0..3_usize).prop_map(Event::Person),
        1 => (0..80_000_i64).prop_map(Event::StepBack),
        1 => Just(Event::Restart),
    ]
}

/// A house around a planner: a clock, a journal, and the runs under way.
struct House {
    planner: Planner,
    now: Timestamp,
    furthest: Timestamp,
    journal: BTreeMap<Name, SlotState>,
    runs: BTreeMap<Name, usize>,
    started: BTreeSet<(Name, Timestamp)>,
}

const PLACES: usize = 2;

impl House {
    fn flows() -> [(Name, Option<Schedule>); 3] {
        [
            (name("a"), every(15)),
            (name("b"), cron("0 */2 * * *")),
            (name("c"), cron("30 2 * * *")),
        ]
    }

    fn new(now: Timestamp) -> Self {
        let first = |flow: &Name| SlotState {
            flow: flow.to_string(),
            first_seen_at: now,
            last_slot_at: None,
            resumes_at: None,
        };
        let journal = Self::flows().map(|(flow, _)| (flow.clone(), first(&flow)));
        let mut house = Self {
            planner: Planner::new([], &[], PLACES, now),
            now,
            furthest: now,
            journal: journal.into(),
            runs: BTreeMap::new(),
            started: BTreeSet::new(),
        };
        house.restart();
        house
    }

    fn restart(&mut self) {
        let remembered: Vec<SlotState> = self.journal.values().cloned().collect();
        self.runs.clear();
        self.planner = Planner::new(Self::flows(), &remembered, PLACES, self.now);
    }

    fn flow(number: usize) -> Name {
        Self::flows()[number].0.clone()
    }

    fn live_through(&mut self, event: &Event) -> Result<(), TestCaseError> {
        let mut decisions = Vec::new();
        match event {
            Event::Wait(seconds) => self.now += SignedDuration::from_secs(*seconds),
            Event::StepBack(seconds) => {
                self.furthest = self.furthest.max(self.now);
                let forgiven = self.furthest - SignedDuration::from_hours(24);
                self.now = forgiven.max(self.now - SignedDuration::from_secs(*seconds));
            }
            Event::WaitForAlarm => {
                let wake = self.planner.next_wake().unwrap();
                prop_assert!(wake > self.planner.seen_at, "an alarm was left behind");
                self.now = self.now.max(wake);
            }
            Event::Finish(number, park) => {
                let flow = Self::flow(*number);
                let resumes_at = park.map(|seconds| self.now + SignedDuration::from_secs(seconds));
                let reports = self.runs.get(&flow).copied().unwrap_or(0);
                if reports == 1 {
                    self.journal.get_mut(&flow).unwrap().resumes_at = resumes_at;
                }
                self.runs.insert(flow.clone(), reports.saturating_sub(1));
                decisions = self.planner.finished(&flow, resumes_at, self.now);
            }
            Event::Person(number) => {
                let flow = Self::flow(*number);
                *self.runs.entry(flow.clone()).or_default() += 1;
                decisions = self.planner.started(&flow);
            }
            Event::Restart => self.restart(),
        }
        decisions.extend(self.planner.tick(self.now));
        decisions
            .iter()
            .try_for_each(|decision| self.carry_out(decision))
    }

    fn carry_out(&mut self, decision: &Decision) -> Result<(), TestCaseError> {
        let (flow, slot) = match decision {
            Decision::Start(start) => (&start.flow, start.slot),
            Decision::Skip(skip) => (&skip.flow, Some(skip.slot)),
        };
        let memory = self.journal.get_mut(flow).unwrap();
        if let Some(slot) = slot {
            prop_assert!(memory.last_slot_at < Some(slot), "{decision:?} goes back");
            memory.last_slot_at = Some(slot);
        }
        if let Decision::Start(start) = decision {
            memory.resumes_at = None;
            let reports = self.runs.entry(flow.clone()).or_default();
            prop_assert_eq!(*reports, 0, "{:?} overlaps", start);
            *reports = 1;
            prop_assert!(
                self.planner.running
                    <= PLACES.max(self.runs.values().filter(|runs| **runs > 0).count())
            );
            let new = slot.is_none_or(|slot| self.started.insert((flow.clone(), slot)));
            prop_assert!(new, "{start:?} for a second time");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_happens_no_slot_is_decided_twice_and_none_is_left(
        events in prop::collection::vec(any_event(), 1..50),
        start in 0..31_536_000_i64,
    ) {
        let mut house = House::new(at("2026-01-01T00:00:00Z") + SignedDuration::from_secs(start));
        for event in &events {
            house.live_through(event)?;
        }
        // Let everything come to rest: then the journal has each flow's last slot.
        house.now += SignedDuration::from_secs(200_000);
        for number in (0..3).cycle().take(30) {
            house.live_through(&Event::Finish(number, None))?;
        }
        for (flow, schedule) in House::flows() {
            let last = schedule.unwrap().last_between(Timestamp::UNIX_EPOCH, house.now);
            prop_assert_eq!(house.journal[&flow].last_slot_at, last, "{}", flow);
            prop_assert_eq!(house.planner.standing(&flow).unwrap().activity, Activity::Idle);
        }
    }

    #[test]
    fn any_time_away_is_caught_up_by_one_start(away in 61..400_000_000_i64, number in 0..3_usize) {
        let (flow, schedule) = House::flows()[number].clone();
        let last = schedule.as_ref().unwrap().next_after(at("2015-01-01T00:00:00Z")).unwrap();
        let now = last + SignedDuration::from_secs(away);
        let flow_name = flow.to_string();
        let memory = SlotState { flow: flow_name, first_seen_at: last, last_slot_at: Some(last), resumes_at: None };
        let expected = schedule.as_ref().unwrap().last_between(last, now);
        let mut planner = Planner::new([(flow, schedule)], &[memory], 1, now);
        let decisions = planner.tick(now);
        let slots: Vec<_> = decisions.iter().map(|decision| match decision {
            Decision::Start(start) => start.slot,
            Decision::Skip(_) => None,
        }).collect();
        prop_assert_eq!(slots, expected.into_iter().map(Some).collect::<Vec<_>>());
    }
}
