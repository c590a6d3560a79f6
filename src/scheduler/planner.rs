//! Decides which flow starts when; pure.
//!
//! The planner knows every flow's schedule and how far it has been decided, and answers one
//! question: it is now this late, what follows? It has no clock of its own, so a year of decisions
//! is a loop in a test.
//!
//! What holds for every flow: its slots are decided in order, each at most once, and either
//! started or skipped; several that passed unseen become one start. A start that finds no free
//! place waits for one and takes the flow's later slots along.

mod flow;
mod standing;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use flow::{Flow, Marks};
pub use standing::{Activity, Standing};

use crate::config::{Name, Schedule};
use crate::journal::{SlotState, Trigger};

/// What follows from the time that has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A run starts now.
    Start(Start),
    /// A slot goes by without a run.
    Skip(Skip),
}

/// A run that starts now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Whose.
    pub flow: Name,
    /// Why: its slot has come, or passed while nobody looked, or its parked run goes on.
    pub trigger: Trigger,
    /// The slot it stands for; none if a parked run goes on before the flow's next slot.
    pub slot: Option<Timestamp>,
    /// How many earlier slots it stands for as well, counted up to a hundred.
    pub missed: u64,
}

/// A slot that goes by without a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// Whose.
    pub flow: Name,
    /// The slot; the latest one if several passed at once.
    pub slot: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// Why a slot goes by without a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The flow still runs.
    Overlap,
    /// The flow's run is parked until later.
    Parked,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Overlap => "the flow was still running",
            Self::Parked => "the flow was parked until later",
        })
    }
}

/// Decides which flow starts when.
///
/// The indexes among its fields follow from the states of the flows. One method, `change`, keeps
/// them so.
#[derive(Debug)]
pub struct Planner {
    flows: BTreeMap<Name, Flow>,
    /// When each flow needs a decision next.
    alarms: BTreeSet<(Timestamp, Name)>,
    /// The flows that wait for a free place, the longest due first.
    waiting: BTreeSet<(Timestamp, Name)>,
    running: usize,
    changed: BTreeSet<Name>,
    max_concurrent: usize,
    seen_at: Timestamp,
}

impl Planner {
    /// Makes a planner for these flows, of which at most `max_concurrent` run at the same time.
    ///
    /// What the journal remembers of flows that are no longer there is left alone.
    ///
    /// A flow without a schedule starts only by [`started`](Self::started), but is parked and
    /// resumed like any other.
    #[must_use]
    pub fn new(
        flows: impl IntoIterator<Item = (Name, Option<Schedule>)>,
        remembered: &[SlotState],
        max_concurrent: usize,
        now: Timestamp,
    ) -> Self {
        let mut planner = Self {
            flows: BTreeMap::new(),
            alarms: BTreeSet::new(),
            waiting: BTreeSet::new(),
            running: 0,
            changed: BTreeSet::new(),
            max_concurrent: max_concurrent.max(1),
            seen_at: now,
        };
        let remembered: BTreeMap<&str, &SlotState> = remembered
            .iter()
            .map(|memory| (memory.flow.as_str(), memory))
            .collect();
        for (name, schedule) in flows {
            let memory = remembered.get(name.as_str()).copied();
            let flow = Flow::new(name.clone(), schedule, memory, now);
            planner.index(&name, Marks::default(), flow.marks());
            planner.flows.insert(name, flow);
        }
        planner
    }

    /// Returns when [`tick`](Self::tick) has something to decide.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Returns the first slot of a flow that is not decided yet.
    #[must_use]
    pub fn next_slot(&self, flow: &Name) -> Option<Timestamp> {
        self.standing(flow)?.next_slot_at
    }

    /// Returns where one flow stands; `None` if there is no such flow.
    #[must_use]
    pub fn standing(&self, flow: &Name) -> Option<Standing> {
        self.flows.get(flow).map(Flow::standing)
    }

    /// Returns where every flow stands.
    #[must_use]
    pub fn standings(&self) -> BTreeMap<Name, Standing> {
        self.flows
            .iter()
            .map(|(name, flow)| (name.clone(), flow.standing()))
            .collect()
    }

    /// Returns the flows that stand differently since the last time this was asked.
    pub fn take_changes(&mut self) -> Vec<(Name, Standing)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.standing(&name)?)))
            .collect()
    }

    /// Decides everything that is due at `now`.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Decision> {
        if now < self.seen_at {
            self.cope_with_step_back(now);
        }
        self.seen_at = now;
        let mut decisions = Vec::new();
        // Each round moves a flow's alarm past `now`, so there are as many rounds as flows at most.
        while let Some((at, name)) = self.alarms.first().cloned()
            && at <= now
        {
            let skip = self.change(&name, |flow| flow.decide(now)).flatten();
            decisions.extend(skip.map(Decision::Skip));
        }
        decisions.extend(self.fill_places());
        decisions
    }

    /// Learns that somebody else, such as a person, has started a run of `flow`.
    pub fn started(&mut self, flow: &Name) -> Vec<Decision> {
        let skip = self.change(flow, Flow::started).flatten();
        skip.map(Decision::Skip).into_iter().collect()
    }

    /// Learns that a run of `flow` has ended, or is parked until `resumes_at`.
    pub fn finished(
        &mut self,
        flow: &Name,
        resumes_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Vec<Decision> {
        self.change(flow, |flow| flow.finished(resumes_at, now));
        self.fill_places()
    }

    /// Starts the flows that have waited longest, as far as there are free places.
    fn fill_places(&mut self) -> Vec<Decision> {
        let mut decisions = Vec::new();
        while self.running < self.max_concurrent
            && let Some((_, name)) = self.waiting.first().cloned()
        {
            let start = self.change(&name, Flow::start).flatten();
            decisions.extend(start.map(Decision::Start));
        }
        decisions
    }

    fn cope_with_step_back(&mut self, now: Timestamp) {
        let back = self.seen_at.duration_since(now);
        let names: Vec<Name> = self.flows.keys().cloned().collect();
        for name in names {
            self.change(&name, |flow| flow.cope_with_step_back(back, now));
        }
    }

    /// Changes one flow, and the indexes with it.
    fn change<T>(&mut self, name: &Name, change: impl FnOnce(&mut Flow) -> T) -> Option<T> {
        let flow = self.flows.get_mut(name)?;
        let before = flow.marks();
        let result = change(flow);
        let after = flow.marks();
        self.index(name, before, after);
        self.changed.insert(name.clone());
        Some(result)
    }

    fn index(&mut self, name: &Name, before: Marks, after: Marks) {
        replace(&mut self.alarms, name, before.wakes_at, after.wakes_at);
        replace(
            &mut self.waiting,
            name,
            before.waits_since,
            after.waits_since,
        );
        self.running = self.running + usize::from(after.runs) - usize::from(before.runs);
    }
}

fn replace(
    index: &mut BTreeSet<(Timestamp, Name)>,
    name: &Name,
    before: Option<Timestamp>,
    after: Option<Timestamp>,
) {
    if before != after {
        before.map(|at| index.remove(&(at, name.clone())));
        after.map(|at| index.insert((at, name.clone())));
    }
}

#[cfg(test)]
mod tests;
