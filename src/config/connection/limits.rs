//! How many calls may be made in how long, as written.

use std::time::Duration;

use super::Budget;
use crate::config::keys;
use crate::config::reader::Item;

/// What the window of a budget may be: a month's quota is the longest seen.
const WINDOWS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(31 * 24 * 60 * 60);

/// Reads how many calls may be made in how long.
pub(super) fn budgets(item: &Item<'_>) -> Vec<Budget> {
    let expected = "an array such as [{ calls = 60, per = \"1m\" }]";
    let budget = |item: Item<'_>| {
        let table = item.table(&keys::LIMIT, format!("{}: `limits`", item.what))?;
        let calls = table.need("calls", "a number of requests");
        let per = table.need("per", "a duration");
        let calls = calls.and_then(|item| item.number(1..=u64::MAX));
        let per = per.and_then(|item| item.duration(WINDOWS));
        Some(Budget {
            calls: calls?,
            per: per?,
        })
    };
    item.list(expected)
        .unwrap_or_default()
        .into_iter()
        .filter_map(budget)
        .collect()
}
