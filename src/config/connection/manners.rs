//! How politely a source is asked: its limits, as far as its own answers do not tell them.

use std::ops::RangeInclusive;
use std::time::Duration;

use reqwest::header::HeaderName;

use crate::config::keys;
use crate::config::reader::{Item, Table};

/// What the window of a budget may be: a month's quota is the longest seen.
const WINDOWS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(31 * 24 * 60 * 60);
/// How many requests one host is sent at a time unless the connection says otherwise. Few sources
/// mind, and more flows at once would hardly be faster.
const CONCURRENCY: usize = 4;
/// What that may be.
const CONCURRENCIES: RangeInclusive<u64> = 1..=64;

/// How politely a connection's source is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manners {
    /// Calls that may be made per window, where the source does not say so in headers.
    pub budgets: Vec<Budget>,
    /// What is left of a long window for people and other programs.
    pub reserve: Reserve,
    /// How many refusals of one endpoint the source forgives.
    pub error_budget: Option<Budget>,
    /// Headers that tell what is left, besides those that are known to everybody.
    pub headers: Vec<LimitHeaders>,
    /// How many requests one host is sent at a time.
    pub concurrency: usize,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            budgets: Vec::new(),
            reserve: Reserve::default(),
            error_budget: None,
            headers: Vec::new(),
            concurrency: CONCURRENCY,
        }
    }
}

/// How many calls may be made in how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The number of calls.
    pub calls: u64,
    /// The length of the window.
    pub per: Duration,
}

/// How many calls of a window are left to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// So many.
    Calls(u64),
    /// So many of a hundred.
    Percent(u64),
}

impl Default for Reserve {
    /// One call: enough for a person to see that the others are gone.
    fn default() -> Self {
        Self::Calls(1)
    }
}

impl Reserve {
    /// Returns how many calls of a window with `limit` calls are left to others, never all of them;
    /// where the source does not tell its limit, a share of it is not known either.
    #[must_use]
    pub fn of(self, limit: Option<u64>) -> u64 {
        let wanted = match self {
            Self::Calls(calls) => calls,
            Self::Percent(percent) => limit.map_or(0, |limit| {
                u64::try_from(u128::from(limit) * u128::from(percent) / 100).unwrap_or(u64::MAX)
            }),
        };
        limit.map_or(wanted, |limit| wanted.min(limit.saturating_sub(1)))
    }
}

/// Headers in which a source tells of one of its windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitHeaders {
    /// Holds how many calls are left; or, as `18/5000`, how many were made of how many.
    pub left: Left,
    /// Holds how many calls the window has.
    pub limit: Option<HeaderName>,
    /// Holds when it ends: Unix time in seconds or milliseconds, or seconds from now.
    pub reset: Option<HeaderName>,
    /// How long the window lasts, where no header tells when it ends.
    pub per: Option<Duration>,
}

/// The header that tells what is left of a window, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// As a number.
    Remaining(HeaderName),
    /// As what was used, a slash, and the limit.
    Usage(HeaderName),
}

impl Left {
    /// Returns the header's name, by which the window is known.
    #[must_use]
    pub fn header(&self) -> &HeaderName {
        match self {
            Self::Remaining(name) | Self::Usage(name) => name,
        }
    }
}

/// Reads what a connection says about the limits of its source.
pub(super) fn read(table: &Table<'_>) -> Manners {
    let list = |key: &str| table.get(key).map(|item| budgets(&item));
    let error_budget = table.get("error_budget").and_then(|item| {
        let table = item.table(
            &keys::ERROR_BUDGET,
            format!("{}: `error_budget`", item.what),
        )?;
        budget(&table, "errors", "a number of refused requests")
    });
    let concurrency = |item: Item<'_>| item.number(CONCURRENCIES);
    Manners {
        budgets: list("limits").unwrap_or_default(),
        reserve: table.or("reserve", Reserve::default(), |item| reserve(&item)),
        error_budget,
        headers: table.or("limit_headers", Vec::new(), |item| headers(&item)),
        concurrency: usize::try_from(table.or("concurrency", CONCURRENCY as u64, concurrency))
            .unwrap_or(CONCURRENCY),
    }
}

/// Reads how many calls may be made in how long.
pub(super) fn budgets(item: &Item<'_>) -> Vec<Budget> {
    let expected = "an array such as [{ calls = 60, per = \"1m\" }]";
    let one = |item: Item<'_>| {
        let table = item.table(&keys::LIMIT, format!("{}: `limits`", item.what))?;
        budget(&table, "calls", "a number of requests")
    };
    item.list(expected)
        .unwrap_or_default()
        .into_iter()
        .filter_map(one)
        .collect()
}

fn budget(table: &Table<'_>, count: &str, expected: &str) -> Option<Budget> {
    let calls = table.need(count, expected);
    let per = table.need("per", "a duration");
    let calls = calls.and_then(|item| item.number(1..=u64::MAX));
    let per = per.and_then(|item| item.duration(WINDOWS));
    Some(Budget {
        calls: calls?,
        per: per?,
    })
}

fn reserve(item: &Item<'_>) -> Option<Reserve> {
    const EXPECTED: &str = "a number of calls, or a share such as \"10%\"";
    if item.value.is_str() {
        return item.parsed(EXPECTED, |text| {
            let share = text.strip_suffix('%').and_then(|share| share.parse().ok());
            share
                .filter(|percent| (0..100).contains(percent))
                .map(Reserve::Percent)
                .ok_or_else(|| "is no share".to_owned())
        });
    }
    if !item.value.is_integer() {
        return item.wrong_type(EXPECTED);
    }
    item.number(0..=u64::MAX).map(Reserve::Calls)
}

fn headers(item: &Item<'_>) -> Option<Vec<LimitHeaders>> {
    let expected = "an array such as [{ remaining = \"X-DayLimit-Remaining\", per = \"1d\" }]";
    let one = |item: Item<'_>| {
        let table = item.table(
            &keys::LIMIT_HEADERS,
            format!("{}: `limit_headers`", item.what),
        )?;
        let name = |key: &str| table.get(key).and_then(|item| header(&item));
        let left = match (name("remaining"), name("usage")) {
            (Some(remaining), None) => Left::Remaining(remaining),
            (None, Some(usage)) => Left::Usage(usage),
            (Some(_), Some(_)) => {
                let usage = table.get("usage")?;
                let message = "a window is told by `remaining` or by `usage`";
                table.contradiction(&usage, message, "keep the one the source sends");
                return None;
            }
            (None, None) => {
                table.need("remaining", "the header that tells how many calls are left");
                return None;
            }
        };
        let (reset, per) = (name("reset"), table.get("per"));
        if reset.is_none() && per.is_none() {
            table.need(
                "reset",
                "the header that tells when the window ends, or `per`",
            );
            return None;
        }
        Some(LimitHeaders {
            left,
            limit: name("limit"),
            reset,
            per: per.and_then(|item| item.duration(WINDOWS)),
        })
    };
    let items = item.list(expected)?;
    Some(items.into_iter().filter_map(one).collect())
}

fn header(item: &Item<'_>) -> Option<HeaderName> {
    item.parsed("the name of a header", |text| {
        HeaderName::try_from(text).map_err(|_| "is no name of a header".to_owned())
    })
}
