//! Everything the emulated provider is at a moment, behind one lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::clock::SharedClock;

use super::authority::Authority;
use super::cell::Row;
use super::fault::Faults;
use super::ledger::Ledger;
use super::limits::{Calls, Errors};
use super::settings::Settings;
use super::source::Source;
use super::world;

/// The other divisions hold one project for this many of the first.
const SMALLER: usize = 10;
/// The most divisions there may be.
const MAX_DIVISIONS: usize = 50;

/// The provider as every request shares it.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<Provider>>);

/// The provider: its accounts, its records, its patience and its memory.
#[derive(Debug)]
pub(super) struct Provider {
    pub settings: Settings,
    pub clock: SharedClock,
    pub authority: Authority,
    pub sources: BTreeMap<i32, Source>,
    /// The divisions as records of their own.
    pub divisions: Vec<Row>,
    pub calls: BTreeMap<i32, Calls>,
    pub errors: Errors,
    pub faults: Faults,
    pub ledger: Ledger,
    zone: TimeZone,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Provider> {
        // Every change is one step, so what a panic left behind is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider {
    pub(super) fn new(clock: SharedClock, mut settings: Settings) -> Result<Self, jiff::Error> {
        let zone = TimeZone::get("Europe/Amsterdam")?;
        settings.divisions.truncate(MAX_DIVISIONS);
        let now = clock.now().to_zoned(zone.clone()).datetime();
        let sources = settings
            .divisions
            .iter()
            .enumerate()
            .map(|(index, division)| {
                let count = settings.projects / if index == 0 { 1 } else { SMALLER };
                (*division, Source::new(settings.seed, *division, count, now))
            });
        let mut faults = Faults::default();
        for (at, fault, times) in &settings.faults {
            faults.add(*at, fault.clone(), *times);
        }
        Ok(Self {
            sources: sources.collect(),
            divisions: world::divisions(&settings.divisions),
            authority: Authority::new(settings.clone()),
            calls: BTreeMap::new(),
            errors: Errors::default(),
            faults,
            ledger: Ledger::default(),
            clock,
            settings,
            zone,
        })
    }

    pub(super) fn shared(self) -> Shared {
        Shared(Arc::new(Mutex::new(self)))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns what a clock on a wall in Amsterdam shows.
    pub(super) fn wall_clock(&self) -> DateTime {
        self.now().to_zoned(self.zone.clone()).datetime()
    }
}
