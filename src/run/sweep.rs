//! Whether the reads of a run may tell which rows are gone, and what becomes of them.

use std::collections::BTreeSet;

use tracing::info;

use super::{Error, Inner};
use crate::config::{Account, DeleteMode, Flow, Sweep};
use crate::merge::{self, Cover, Scope, Seen, Swept};
use crate::record::Tally;
use crate::{bookmark, clock, journal};

/// What the reads of one account have brought, where that may tell which rows are gone.
///
/// A row that any read has brought is there, whether or not that read came to its end; a row that
/// none has brought is gone only if the reads that should have brought it were all whole.
#[derive(Debug)]
pub(super) struct Broom<'a> {
    account: &'a Account,
    seen: Seen,
    /// The items all of whose reads were whole, as the merge calls them.
    whole: BTreeSet<String>,
    /// The parts of the flow that were read whole, each with its item.
    parts: Vec<(String, String)>,
    /// The items some read of which was not.
    partial: BTreeSet<String>,
    /// True if it is not known which item a read was about that was not whole.
    is_spoilt: bool,
}

impl<'a> Broom<'a> {
    /// Returns a broom for the flow's rows of an account, if it sweeps at all.
    pub(super) fn new(flow: &Flow, account: &'a Account) -> Option<Self> {
        let deletes = &flow.table.deletes;
        let sweeps = deletes.mode != DeleteMode::Ignore && deletes.sweep != Sweep::Never;
        sweeps.then(|| Self {
            account,
            seen: Seen::default(),
            whole: BTreeSet::new(),
            parts: Vec::new(),
            partial: BTreeSet::new(),
            is_spoilt: false,
        })
    }

    /// Returns the broom of an account, made if it is the first of its reads.
    pub(super) fn of<'b>(
        brooms: &'b mut Vec<Self>,
        flow: &Flow,
        account: &'a Account,
    ) -> Option<&'b mut Self> {
        match brooms.iter().position(|broom| broom.account == account) {
            Some(index) => brooms.get_mut(index),
            None => {
                brooms.push(Self::new(flow, account)?);
                brooms.last_mut()
            }
        }
    }

    /// Lends the rows seen so far to a read, which takes note of more.
    pub(super) fn lend(&mut self) -> Seen {
        std::mem::take(&mut self.seen)
    }

    /// Takes note of what a read has brought.
    pub(super) fn take(&mut self, watched: Watched, part: String) {
        let Watched {
            seen,
            group,
            is_whole,
        } = watched;
        // A read that broke in the middle of a transaction took with it what others had seen.
        self.is_spoilt |= seen.is_none() || group.is_none();
        self.seen = seen.unwrap_or_default();
        if let (Some(group), true) = (&group, is_whole) {
            self.parts.push((group.clone(), part));
        }
        let items = if is_whole {
            &mut self.whole
        } else {
            &mut self.partial
        };
        items.extend(group);
    }

    /// Takes note that something was not even tried.
    pub(super) fn spoil(&mut self) {
        self.is_spoilt = true;
    }

    /// Returns what the reads know to be whole: everything, or some items, or nothing.
    fn covered(self) -> Option<Covered> {
        let Self { whole, partial, .. } = self;
        let whole: BTreeSet<String> = whole.difference(&partial).cloned().collect();
        match (self.is_spoilt, partial.is_empty(), whole.is_empty()) {
            (true, ..) | (_, _, true) => None,
            (_, true, _) => Some(Covered::All),
            (_, false, _) => Some(Covered::Groups(whole)),
        }
    }
}

/// What is known to be whole.
enum Covered {
    All,
    Groups(BTreeSet<String>),
}

impl Covered {
    fn has(&self, group: &str) -> bool {
        match self {
            Self::All => true,
            Self::Groups(groups) => groups.contains(group),
        }
    }
}

/// What one read has brought.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// The rows, with those of the reads before.
    pub(super) seen: Option<Seen>,
    /// What the merge calls the item that was read, if the read came that far.
    pub(super) group: Option<String>,
    /// True if the read brought everything there is.
    pub(super) is_whole: bool,
}

impl Inner {
    /// Removes for good what has been marked longer than the flow keeps it.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub(super) async fn purge(&self, flow: &Flow) -> Result<(), Error> {
        let Some(kept) = flow.table.deletes.purge_after else {
            return Ok(());
        };
        let before = clock::before(self.clock.now(), kept);
        let table = flow.table.name.clone();
        let purged = self.data.write(move |tx| merge::purge(tx, &table, before));
        Ok(purged.await?)
    }

    /// Deletes what whole reads did not bring; returns how many rows that were.
    ///
    /// # Errors
    /// If it would be too much, and nothing was deleted; or if the database cannot be written.
    pub(super) async fn sweep(
        &self,
        flow: &Flow,
        run: i64,
        mut broom: Broom<'_>,
    ) -> Result<Tally, Error> {
        let account = flow.named(broom.account);
        let seen = broom.lend();
        let parts = std::mem::take(&mut broom.parts);
        let Some(covered) = broom.covered() else {
            return Ok(Tally::default());
        };
        let (of, at) = (flow.clone(), self.clock.now());
        let swept = self.data.write(move |tx| -> Result<_, Error> {
            let scope = Scope {
                account: account.as_deref(),
                cover: match &covered {
                    Covered::All => Cover::All,
                    Covered::Groups(groups) => Cover::Groups(groups),
                },
                sweep: of.table.deletes.sweep,
                run,
                at,
            };
            let swept = merge::sweep(tx, &of.table, &scope, &seen)?;
            if let Swept::Done { deleted, .. } = swept {
                if deleted > 0 {
                    journal::progress(tx, run, &tally(deleted))?;
                }
                for (_, part) in parts.iter().filter(|(group, _)| covered.has(group)) {
                    bookmark::swept(tx, &of.name, part)?;
                }
            }
            Ok(swept)
        });
        match swept.await? {
            Swept::Done { deleted, waiting } => {
                if waiting > 0 {
                    info!(flow = %flow.name, run, rows = waiting,
                        "rows did not come; they are gone if the next whole read does not bring them");
                }
                Ok(tally(deleted))
            }
            Swept::Stopped(too_many) => Err(Error::Guarded(too_many)),
        }
    }
}

fn tally(deleted: u64) -> Tally {
    Tally {
        deleted,
        ..Tally::default()
    }
}
