//! Going on from what the source gave, and reading everything anew where it has forgotten that.

use super::Pull;
use crate::bookmark::{self, Kept};
use crate::config::Connection;
use crate::fetch::{self, Start};
use crate::run::Error;
use crate::run::delta::{self, Beginning};

impl Pull<'_> {
    /// Returns what to ask with for what changed; everything is read if there is nothing.
    pub(super) async fn word(&self, kept: Option<Kept>, must_read_all: bool) -> Option<String> {
        let delta = self.flow.resource.delta.as_ref()?;
        let Beginning { word, note } = delta::beginning(delta, kept, must_read_all, self.began);
        if let Some(note) = note {
            self.note(note).await;
        }
        word
    }

    /// Fetches and merges every page of a stretch, or everything where the source no longer knows
    /// what it was to go on from.
    pub(super) async fn pages_since(
        &self,
        connection: &Connection,
        start: Start,
    ) -> Result<(), Error> {
        match self.pages(connection, &start, None).await {
            Err(Error::Fetch(reset @ fetch::Error::Reset { .. })) => {
                self.start_over(&reset).await?;
                let start = Start {
                    delta: None,
                    ..start
                };
                self.pages(connection, &start, None).await
            }
            read => read,
        }
    }

    /// Forgets what the source gave to go on from, since the source has: everything is read anew, and
    /// what that does not bring is deleted at its end.
    async fn start_over(&self, reset: &fetch::Error) -> Result<(), Error> {
        let note = format!(
            "the source no longer knows where it was to go on from ({reset}): everything is read anew"
        );
        self.note(note).await;
        let (name, part) = (self.flow.name.clone(), self.item.part());
        let cleared = self
            .house
            .data
            .write(move |tx| bookmark::clear(tx, &name, &part));
        cleared.await.map_err(Error::Store)?;
        let mut progress = self.progress();
        progress.is_from_start = true;
        // Pages before the refusal may have brought rows.
        progress.table_was_empty = false;
        Ok(())
    }
}
