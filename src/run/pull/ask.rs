//! Asking for one page, with a credential that is let in.

use tokio::sync::watch;

use super::{Pull, Source};
use crate::config::Placement;
use crate::fetch::{self, Waiting, World};
use crate::http::Authorization;
use crate::oauth::{self, AccessToken};
use crate::record::Page;
use crate::run::{Error, Event};
use crate::secret::ExposeSecret;

impl Pull<'_> {
    /// Fetches one page, unless the house is told to stop while nothing is on its way.
    pub(super) async fn next_page(&self, source: &mut Source) -> Result<Option<Page>, Error> {
        let idle = watch::Sender::new(false);
        let told = |waiting: Waiting| {
            idle.send_replace(true);
            let Waiting { until, reason } = waiting;
            self.progress().waits(&reason);
            let reason = reason.to_string();
            let flow = self.flow.name.to_string();
            self.told.say(Event::Waiting {
                flow,
                until,
                reason,
            });
        };
        let stopped = async {
            self.house.stop.gently.cancelled().await;
            // A request under way is waited for; a pause before the next one is not.
            let _ = idle.subscribe().wait_for(|idle| *idle).await;
        };
        if self.house.stop.gently.is_cancelled() {
            return Err(Error::Interrupted);
        }
        tokio::select! {
            page = self.authorized(source, &told) => page,
            () = stopped => Err(Error::Interrupted),
        }
    }

    /// Asks with a usable access token, and once more with a newer one if that is refused.
    pub(super) async fn authorized(
        &self,
        source: &mut Source,
        told: &(dyn Fn(Waiting) + Send + Sync),
    ) -> Result<Option<Page>, Error> {
        let account = &self.item.account;
        let token = self.house.keeper.authorization(account).await?;
        let first = self.ask(source, token.as_ref(), told).await;
        let Some(token) = &token else {
            return Ok(first?);
        };
        let keeper = &self.house.keeper;
        let newer = match &first {
            Err(fetch::Error::Unauthorized { .. }) => {
                Some(keeper.rejected(account, token.generation).await?)
            }
            Err(fetch::Error::Forbidden { .. }) => keeper.newer(account, token.generation).await?,
            _ => None,
        };
        let Some(newer) = newer else {
            return Ok(first?);
        };
        match self.ask(source, Some(&newer), told).await {
            // Not for its age, then: a third would fare no better.
            Err(fetch::Error::Unauthorized { .. }) => {
                Err(Error::OAuth(oauth::Error::AccessRefused {
                    account: account.clone(),
                }))
            }
            second => Ok(second?),
        }
    }

    async fn ask(
        &self,
        source: &mut Source,
        token: Option<&AccessToken>,
        told: &(dyn Fn(Waiting) + Send + Sync),
    ) -> Result<Option<Page>, fetch::Error> {
        let placement = &self.connection.placement;
        let authorization = token.map(|token| carried(token, placement));
        let world = World {
            http: &source.http,
            clock: &*self.house.clock,
            limits: &source.budget.limits,
            hosts: &self.house.hosts,
            authorization: authorization.as_ref(),
            told,
        };
        source.pages.next(&world).await
    }
}

/// Puts a credential where the source wants it.
pub(in crate::run) fn carried(credential: &AccessToken, placement: &Placement) -> Authorization {
    let AccessToken {
        token, username, ..
    } = credential;
    match (username, placement) {
        (Some(username), _) => Authorization::basic(username.expose_secret(), token),
        (None, Placement::Header { name, scheme }) => {
            Authorization::header(name.clone(), scheme.as_deref(), token)
        }
        (None, Placement::Query(name)) => Authorization::query(name, token),
    }
}
