//! What a source says about itself, fetched with the credential of an account.

use serde::{Deserialize, Serialize};

use super::pull::ask::carried;
use super::{Error, Inner, Runner};
use crate::config::{Account, Connection};
use crate::discover;
use crate::fetch::{self, Waiting, World};
use crate::oauth::AccessToken;

/// Where such documents usually are, below the base URL.
const USUAL: [&str; 3] = ["/$metadata", "/openapi.json", "/swagger.json"];

/// A document about a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Where it was, without the query.
    pub url: String,
    /// The connection's base URL, if it has one.
    pub base: Option<String>,
    /// The document.
    pub text: String,
}

impl Runner {
    /// Fetches what a source says about itself: at `at`, or where that usually is.
    ///
    /// # Errors
    /// If it cannot be had, or there is no usable access token.
    pub async fn description(
        &self,
        account: &Account,
        at: Option<&str>,
    ) -> Result<Description, Error> {
        let inner = &self.0;
        let connection = &inner.config.connections[&account.connection];
        let token = inner.keeper.authorization(account).await?;
        let facts = token.as_ref().map(|token| token.facts.clone());
        let located = connection.located(&facts.unwrap_or_default());
        let connection = located.map_err(|error| Error::of_base(account, error))?;
        let Some(at) = at else {
            let mut last = Err(Error::NothingToPreview("no document was found"));
            for at in USUAL {
                last = inner.described(account, &connection, at).await;
                let is_missing = matches!(&last, Err(Error::Fetch(fetch::Error::Refused { .. })));
                if !is_missing {
                    break;
                }
            }
            return last;
        };
        inner.described(account, &connection, at).await
    }
}

impl Inner {
    /// Asks with a usable access token, and once more with a newer one if that is refused.
    async fn described(
        &self,
        account: &Account,
        connection: &Connection,
        at: &str,
    ) -> Result<Description, Error> {
        let token = self.keeper.authorization(account).await?;
        let first = self.document(account, connection, at, token.as_ref()).await;
        let (Err(Error::Fetch(fetch::Error::Unauthorized { .. })), Some(token)) = (&first, &token)
        else {
            return first;
        };
        let newer = self.keeper.rejected(account, token.generation).await?;
        self.document(account, connection, at, Some(&newer)).await
    }

    async fn document(
        &self,
        account: &Account,
        connection: &Connection,
        at: &str,
        token: Option<&AccessToken>,
    ) -> Result<Description, Error> {
        let budget = self.budgets.of(&self.data, connection, "").await?;
        let http = match self.keeper.identity(account)? {
            Some(identity) => self.http.showing(identity),
            None => self.http.clone(),
        };
        let authorization = token.map(|token| carried(token, &connection.placement));
        let world = World {
            http: &http,
            clock: &*self.clock,
            limits: &budget.limits,
            hosts: &self.hosts,
            authorization: authorization.as_ref(),
            // Nobody follows: the answer comes in the end.
            told: &|_: Waiting| {},
        };
        let most = discover::LONGEST as u64;
        let (mut url, text) = fetch::document(connection, at, most, &world).await?;
        url.set_query(None);
        url.set_fragment(None);
        let base = connection.base_url.as_ref().map(ToString::to_string);
        Ok(Description {
            url: url.into(),
            base,
            text,
        })
    }
}
