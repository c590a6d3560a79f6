//! What a read goes on from where the source knows by itself what changed.

use jiff::Timestamp;

use crate::bookmark::Kept;
use crate::clock;
use crate::config::Delta;
use crate::record::Page;

/// Where a read begins that may go on from what the source gave before.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    /// What to ask with; everything is read if there is nothing.
    pub(super) word: Option<String>,
    /// Why it is not what was kept, if that is worth knowing.
    pub(super) note: Option<String>,
}

/// Decides what a read begins with at `now`; `must_read_all` if it has to be a whole one.
pub(super) fn beginning(
    delta: &Delta,
    kept: Option<Kept>,
    must_read_all: bool,
    now: Timestamp,
) -> Beginning {
    let Some(kept) = kept.filter(|kept| !must_read_all && !kept.owes_sweep) else {
        return Beginning::default();
    };
    let is_stale = |retention| clock::until(kept.at, now) > retention;
    if delta.retention.is_some_and(is_stale) {
        let note = format!(
            "the source was last read at {}, longer ago than it keeps what was deleted: everything is \
             read anew",
            kept.at
        );
        return Beginning {
            word: None,
            note: Some(note),
        };
    }
    Beginning {
        word: Some(kept.value),
        note: None,
    }
}

/// Returns what some merged pages give to go on from: the last page always, the others only where
/// every page may and nothing before them can be missed.
pub(super) fn given(delta: &Delta, pages: &[Page], may_go_on: bool) -> Option<String> {
    let gives = |page: &&Page| page.is_last || (delta.every_page && may_go_on);
    let mut giving = pages.iter().rev().filter(gives);
    giving.find_map(|page| page.delta.clone())
}
