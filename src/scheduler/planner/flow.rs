//! One flow as the planner sees it: how far its slots are decided, and what it does.

use jiff::{SignedDuration, Timestamp};

use super::{Activity, Reason, Skip, Standing, Start};
use crate::config::{Name, Schedule};
use crate::journal::{SlotState, Trigger};

/// A slot seen later than this was missed: whoever is awake looks at the clock twice as often.
const PUNCTUAL: SignedDuration = SignedDuration::from_secs(60);

/// The least a parked run waits, whatever it asked for: a source that parks every run at once
/// must not keep us busy.
const SHORTEST_PARK: SignedDuration = SignedDuration::from_secs(1);

/// The furthest the clock may be set back before the slots of that future are forgotten.
///
/// Below it, a flow waits until the clock gets there again, so that no slot runs twice. Beyond it
/// the clock was simply wrong, by years perhaps, and waiting would silence the flow for as long.
const FORGIVEN: SignedDuration = SignedDuration::from_hours(24);

/// How many missed slots are counted one by one; more are passed over in one step.
const MISSED_COUNTED: u64 = 100;

/// A flow's slots and its state.
#[derive(Debug)]
pub(super) struct Flow {
    name: Name,
    schedule: Option<Schedule>,
    /// No slot up to this one will be decided again.
    decided: Timestamp,
    /// The first slot after `decided`.
    next_slot: Option<Timestamp>,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Waiting {
        since: Timestamp,
        start: Start,
    },
    /// A person's run and the schedule's may join into one, whose end is then reported twice.
    Running {
        reports: usize,
    },
    Parked {
        until: Timestamp,
    },
}

/// What the planner finds a flow by.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    pub(super) wakes_at: Option<Timestamp>,
    pub(super) waits_since: Option<Timestamp>,
    pub(super) runs: bool,
}

/// The slots that have come since the last look.
#[derive(Debug, Clone, Copy)]
struct Due {
    first: Timestamp,
    last: Timestamp,
    /// How many came before the last.
    missed: u64,
}

impl Flow {
    pub(super) fn new(
        name: Name,
        schedule: Option<Schedule>,
        memory: Option<&SlotState>,
        now: Timestamp,
    ) -> Self {
        let last_slot = memory.map(|memory| memory.last_slot_at.unwrap_or(memory.first_seen_at));
        let decided = last_slot
            .filter(|slot| !is_from_a_wrong_clock(*slot, now))
            .unwrap_or(now);
        let next_slot = slot_after(schedule.as_ref(), decided);
        let resumes_at = memory.and_then(|memory| memory.resumes_at);
        let state = resumes_at.map_or(State::Idle, |until| State::Parked { until });
        Self {
            name,
            schedule,
            decided,
            next_slot,
            state,
        }
    }

    /// Decides every slot up to `now`: skips them, or waits for a free place on their behalf.
    pub(super) fn decide(&mut self, now: Timestamp) -> Option<Skip> {
        let due = self.take_due(now);
        let (since, trigger) = match &mut self.state {
            State::Running { .. } => return self.skip(due?.last, Reason::Overlap),
            State::Parked { until } if *until > now => {
                return self.skip(due?.last, Reason::Parked);
            }
            State::Waiting { start, .. } => {
                start.take_along(due?);
                return None;
            }
            State::Parked { until } => (*until, Trigger::Resume),
            State::Idle => {
                let first = due?.first;
                let is_late = now.duration_since(first) > PUNCTUAL;
                let trigger = if is_late {
                    Trigger::CatchUp
                } else {
                    Trigger::Scheduled
                };
                (first, trigger)
            }
        };
        let mut start = Start {
            flow: self.name.clone(),
            trigger,
            slot: None,
            missed: 0,
        };
        if let Some(due) = due {
            start.take_along(due);
        }
        self.state = State::Waiting { since, start };
        None
    }

    /// Moves past the slots up to `now`, and tells which they are.
    fn take_due(&mut self, now: Timestamp) -> Option<Due> {
        let schedule = self.schedule.as_ref()?;
        let first = self.next_slot.filter(|slot| *slot <= now)?;
        let mut due = Due {
            first,
            last: first,
            missed: 0,
        };
        let mut next = schedule.next_after(first);
        while let Some(slot) = next.filter(|slot| *slot <= now) {
            due.last = slot;
            due.missed += 1;
            if due.missed == MISSED_COUNTED {
                due.last = schedule.last_between(slot, now).unwrap_or(slot);
            }
            next = schedule.next_after(due.last);
        }
        self.decided = due.last;
        self.next_slot = next;
        Some(due)
    }

    /// Takes a free place, if it waits for one.
    pub(super) fn start(&mut self) -> Option<Start> {
        match std::mem::replace(&mut self.state, State::Running { reports: 1 }) {
            State::Waiting { start, .. } => Some(start),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Learns of a run that somebody else started, which a start of its own would only repeat.
    pub(super) fn started(&mut self) -> Option<Skip> {
        if let State::Running { reports } = &mut self.state {
            *reports += 1;
            return None;
        }
        let start = self.start();
        self.state = State::Running { reports: 1 };
        self.skip(start?.slot?, Reason::Overlap)
    }

    /// Learns of the end of a run.
    pub(super) fn finished(&mut self, resumes_at: Option<Timestamp>, now: Timestamp) {
        let State::Running { reports } = &mut self.state else {
            return;
        };
        *reports -= 1;
        if *reports == 0 {
            let soonest = now.checked_add(SHORTEST_PARK).unwrap_or(Timestamp::MAX);
            self.state = resumes_at.map_or(State::Idle, |resumes_at| State::Parked {
                until: resumes_at.max(soonest),
            });
        }
    }

    /// Forgets what was decided ahead of a clock that turned out to be wrong.
    pub(super) fn cope_with_step_back(&mut self, back: SignedDuration, now: Timestamp) {
        if is_from_a_wrong_clock(self.decided, now) {
            self.decided = now;
            self.next_slot = slot_after(self.schedule.as_ref(), now);
        }
        if let State::Parked { until } = &mut self.state
            && back > FORGIVEN
        {
            // It was to wait so long, not until that date.
            *until = until.checked_sub(back).unwrap_or(now);
        }
    }

    pub(super) fn marks(&self) -> Marks {
        let slot = self.next_slot;
        let (wakes_at, waits_since, runs) = match self.state {
            State::Idle => (slot, None, false),
            State::Waiting { since, .. } => (slot, Some(since), false),
            State::Running { .. } => (slot, None, true),
            State::Parked { until } => (
                Some(slot.map_or(until, |slot| slot.min(until))),
                None,
                false,
            ),
        };
        Marks {
            wakes_at,
            waits_since,
            runs,
        }
    }

    pub(super) fn standing(&self) -> Standing {
        let activity = match &self.state {
            State::Idle => Activity::Idle,
            State::Waiting { since, .. } => Activity::Waiting { since: *since },
            State::Running { .. } => Activity::Running,
            State::Parked { until } => Activity::Parked { until: *until },
        };
        Standing {
            next_slot_at: self.next_slot,
            activity,
        }
    }

    fn skip(&self, slot: Timestamp, reason: Reason) -> Option<Skip> {
        Some(Skip {
            flow: self.name.clone(),
            slot,
            reason,
        })
    }
}

impl Start {
    /// Makes this start stand for later slots as well.
    fn take_along(&mut self, due: Due) {
        let own = u64::from(self.slot.is_some());
        self.missed = (self.missed + own + due.missed).min(MISSED_COUNTED);
        self.slot = Some(due.last);
    }
}

fn slot_after(schedule: Option<&Schedule>, after: Timestamp) -> Option<Timestamp> {
    schedule?.next_after(after)
}

fn is_from_a_wrong_clock(slot: Timestamp, now: Timestamp) -> bool {
    slot.duration_since(now) > FORGIVEN
}
