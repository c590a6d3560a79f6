//! What a run would do, seen from its first page; nothing of it is written.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pull::{Pull, SoFar};
use super::{Error, Inner, Runner, Told, fan_out};
use crate::config::Flow;
use crate::fetch::ShownRequest;
use crate::remedy::Remedy;
use crate::{clock, merge};

/// How long a preview may take. Somebody is waiting for it, and asks again if the source is slow.
const LONGEST: Duration = Duration::from_secs(100);

/// The first page of what the next run would read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The flow.
    pub flow: String,
    /// The account or item whose page this is, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// How many of them a run would read.
    pub items: usize,
    /// From where on: the bookmark less the lookback, or the configured start.
    pub since: Option<String>,
    /// The request, without its secrets.
    pub request: ShownRequest,
    /// The status of the answer, if one came.
    pub status: Option<u16>,
    /// How many records the page has.
    pub records: Option<u64>,
    /// What comes after it.
    pub next: Option<Next>,
    /// What would become of its records.
    pub table: Option<merge::Preview>,
    /// What would end the run.
    pub problem: Option<Trouble>,
}

/// What comes after a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Nothing: it is the last.
    Last,
    /// Another page, asked for so.
    AskedFor(ShownRequest),
    /// Another page, for which there is no way to ask: why.
    NoWay(String),
}

/// Why a run would fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What would fail and why.
    pub error: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Who must act.
    pub remedy: Remedy,
}

impl Trouble {
    pub(super) fn of(error: &Error, flow: &Flow) -> Self {
        Self {
            error: error.told(flow),
            hint: error.hint(flow),
            remedy: error.remedy(),
        }
    }
}

impl Runner {
    /// Fetches the first page that the next run of `flow` would read, and tells what would become of
    /// it. Nothing is written; the request counts towards the source's limits like any other.
    ///
    /// # Errors
    /// If there is no such flow, nothing to ask for, or no usable access token.
    pub async fn preview(&self, flow: &str) -> Result<Preview, Error> {
        let flow = self.known(flow)?;
        let inner = &self.0;
        if inner.stop.gently.is_cancelled() {
            return Err(Error::Interrupted);
        }
        let limit = flow.timeout.min(LONGEST);
        let deadline = clock::after(inner.clock.now(), limit);
        tokio::select! {
            preview = inner.preview(flow) => preview,
            () = inner.clock.sleep_until(deadline) => Err(Error::TimedOut { limit, why: None }),
            () = inner.stop.now.cancelled() => Err(Error::Interrupted),
        }
    }
}

impl Inner {
    async fn preview(&self, flow: &Flow) -> Result<Preview, Error> {
        let accounts = self.accounts(flow);
        let items = fan_out::items(flow, accounts, &self.config, &self.data).await?;
        let Some(item) = items.first() else {
            return Err(Error::NothingToPreview("`for_each` gives no items now"));
        };
        let told = Told::nobody();
        let pull = Pull::new(
            self,
            flow,
            item,
            0,
            &told,
            self.clock.now(),
            SoFar::default(),
        );
        let preview = pull.preview().await?;
        Ok(Preview {
            items: items.len(),
            ..preview
        })
    }
}
