//! The rest of a read that an earlier run has begun.

use std::sync::Arc;

use super::{Pull, Standing};
use crate::config::{Connection, Facts};
use crate::remedy::Remedy;
use crate::run::Error;
use crate::run::resume::{self, BrokenOff};
use crate::{bookmark, clock};

impl Pull<'_> {
    /// Has no run go on behind what only a person can set right.
    pub(super) async fn settled(&self, result: Result<(), Error>) -> Result<(), Error> {
        let is_stuck = |error: &Error| match error.remedy() {
            Remedy::Wait | Remedy::Login => false,
            Remedy::EditConfig | Remedy::Report => true,
        };
        if result.as_ref().is_err_and(is_stuck) {
            self.forget().await?;
        }
        result
    }

    /// Returns the read of an earlier run that this one may go on with: one that asked for the same
    /// not too long ago.
    pub(super) async fn broken_off(&self, asks: &str) -> Result<Option<BrokenOff>, Error> {
        let (name, part) = (self.flow.name.clone(), self.item.part());
        let data = &self.house.data;
        let kept = data.read(move |connection| bookmark::kept(connection, &name, &part));
        let kept: Option<bookmark::Position> = kept.await.map_err(Error::Store)?;
        let is_fresh = |position: &bookmark::Position| {
            clock::until(position.kept_at, self.began) < self.flow.resume_within
        };
        Ok(kept
            .filter(|position| position.asks == asks && is_fresh(position))
            // What another version kept may not be understood.
            .and_then(|position| serde_json::from_str(&position.state).ok()))
    }

    /// Reads the rest of what an earlier run has begun; false if the source no longer knows where
    /// that was. It tells nothing of rows that are gone: which ones the earlier run saw is not kept.
    pub(super) async fn rest(
        &self,
        connection: &Connection,
        facts: &Arc<Facts>,
        asks: &str,
        broken_off: BrokenOff,
    ) -> Result<bool, Error> {
        let BrokenOff {
            position,
            asked,
            so_far,
        } = broken_off;
        let page = position.page();
        self.note(format!("resumed at page {page}")).await;
        let order = asked.order(self.flow.resource.cursor.as_ref());
        let start = self.start(facts, &asked);
        let Standing { bookmark, .. } = self.standing().await?;
        self.begin(bookmark, asked, order, asks);
        let reach = self.progress().reach.take();
        self.progress().reach = reach.map(|reach| reach.going_on(so_far));
        let pages = self.tally().pages;
        match self.pages(connection, &start, Some(position)).await {
            Ok(()) => {
                self.complete().await?;
                Ok(true)
            }
            Err(error) => match resume::refusal(&error) {
                Some(status) if self.tally().pages == pages => {
                    let note = format!(
                        "the source no longer knows page {page} (answered {status}): starting over"
                    );
                    self.note(note).await;
                    self.forget().await?;
                    Ok(false)
                }
                _ => Err(error),
            },
        }
    }

    /// Forgets where the read was broken off.
    pub(super) async fn forget(&self) -> Result<(), Error> {
        let (name, part) = (self.flow.name.clone(), self.item.part());
        let forgotten = self
            .house
            .data
            .write(move |tx| bookmark::forget(tx, &name, &part));
        forgotten.await.map_err(Error::Store)
    }
}
