//! Where `response_rules` have a read begin anew, or leave out what it was about.

use super::Pull;
use crate::fetch;
use crate::run::Error;

/// How often a read begins anew from its first page because a rule says so; a list that does not
/// hold still for that long is left to the next run.
const RESTARTS: usize = 2;

impl Pull<'_> {
    /// Reads every stretch. Where a rule says so, it begins anew, or leaves the rest out: nothing has
    /// failed then, but the read is not whole, and its bookmark stays.
    pub(super) async fn whole_list(&self) -> Result<(), Error> {
        let mut restarts = 0;
        loop {
            match self.stretches().await {
                Err(Error::Fetch(why @ fetch::Error::Restart { .. })) => {
                    self.forget().await?;
                    if restarts == RESTARTS {
                        return Err(why.into());
                    }
                    restarts += 1;
                    self.note(format!("the list was begun anew: {why}")).await;
                }
                Err(Error::Fetch(why @ fetch::Error::LeftOut { .. })) => {
                    self.forget().await?;
                    self.note(format!("left out this time: {why}")).await;
                    return Ok(());
                }
                ended => return ended,
            }
        }
    }
}
