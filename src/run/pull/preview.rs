//! One page, fetched as a run would and then only looked at.

use std::sync::Arc;

use super::ask::carried;
use super::{Pull, Standing};
use crate::fetch::{ShownRequest, Start, Waiting};
use crate::http::Authorization;
use crate::record::Page;
use crate::run::Error;
use crate::run::preview::{Next, Preview, Trouble};
use crate::run::stretch::Stretches;
use crate::{fetch, merge};

impl Pull<'_> {
    /// Fetches the first page of what the next run would read, and returns what would become of it.
    ///
    /// # Errors
    /// If there is nothing to ask, or no way to ask it. Once a request was sent, what goes wrong is
    /// part of the preview.
    pub(in crate::run) async fn preview(&self) -> Result<Preview, Error> {
        let (before, delta) = match self.has_table().await? {
            true => {
                let Standing {
                    bookmark,
                    must_read_all,
                    kept,
                    ..
                } = self.standing().await?;
                let word = kept.map(|kept| kept.value);
                (
                    bookmark.filter(|_| !must_read_all),
                    word.filter(|_| !must_read_all),
                )
            }
            // A run would read anew what fills a table that somebody dropped.
            false => (None, None),
        };
        let cursor = self.flow.resource.cursor.as_ref();
        let zone = self.connection.time_zone.clone();
        let stretches = Stretches::new(cursor, before, self.began, zone);
        let Some(stretch) = stretches.first() else {
            return Err(Error::NothingToPreview("`cursor.start` lies in the future"));
        };
        let facts = self.facts().await?;
        let located = self.connection.located(&facts);
        let connection = located.map_err(|error| Error::of_base(&self.item.account, error))?;
        let start = Start {
            account: self.flow.named(&self.item.account),
            facts,
            each: self.item.each.clone(),
            since: stretch.since,
            delta,
            until: stretch.until,
            now: self.began,
        };
        self.progress().given = Arc::new(self.given(&start)?);
        let mut source = self.source(&connection, &start).await?;
        let token = self.house.keeper.authorization(&self.item.account).await?;
        let placement = &self.connection.placement;
        let authorization = token.as_ref().map(|token| carried(token, placement));
        let authorization = authorization.as_ref();
        let request = source.pages.upcoming(authorization)?;
        let Some(request) = request else {
            return Err(Error::NothingToPreview("the paging asks for no page"));
        };
        let told = |waiting: Waiting| self.progress().waits(&waiting.reason);
        let page = self.authorized(&mut source, &told).await;
        let mut preview = self.looked_at(request, source.pages.status(), start.since.as_ref());
        match page {
            Ok(page) => {
                preview.next = Some(next(&source.pages, authorization));
                self.fill(&mut preview, page).await;
            }
            Err(error) => preview.problem = Some(Trouble::of(&error, self.flow)),
        }
        Ok(preview)
    }

    async fn has_table(&self) -> Result<bool, Error> {
        let table = self.flow.table.name.clone();
        let looking = self
            .house
            .data
            .read(move |data| merge::exists(data, &table));
        Ok(looking.await?)
    }

    fn looked_at(
        &self,
        request: ShownRequest,
        status: Option<u16>,
        since: Option<&crate::record::CursorValue>,
    ) -> Preview {
        Preview {
            flow: self.flow.name.to_string(),
            item: (!self.item.is_the_only_one()).then(|| self.item.to_string()),
            items: 1,
            since: since.map(ToString::to_string),
            request,
            status,
            records: None,
            next: None,
            table: None,
            problem: None,
        }
    }

    /// Adds what the records of the page would make of the table.
    async fn fill(&self, preview: &mut Preview, page: Option<Page>) {
        let pages: Vec<Page> = page.into_iter().collect();
        preview.records = Some(pages.iter().map(|page| page.records.len() as u64).sum());
        let table = self.flow.table.clone();
        let account = self.flow.named(&self.item.account);
        let tombstones = self.flow.resource.tombstones.clone();
        let (given, at) = (Arc::clone(&self.progress().given), self.began);
        let tried = self.house.data.read(move |data| {
            let batch = merge::Batch {
                pages: &pages,
                account: account.as_deref(),
                given: &given,
                watch: None,
                tombstones: tombstones.as_ref(),
                at,
            };
            merge::preview(data, &table, &batch)
        });
        match tried.await {
            Ok(table) => preview.table = Some(table),
            Err(error) => preview.problem = Some(Trouble::of(&error.into(), self.flow)),
        }
    }
}

fn next(pages: &fetch::Pages, authorization: Option<&Authorization>) -> Next {
    match pages.upcoming(authorization) {
        Ok(None) => Next::Last,
        Ok(Some(request)) => Next::AskedFor(request),
        Err(error) => Next::NoWay(crate::remedy::told(&error)),
    }
}
