//! What an answer of a source means where its status alone does not tell, as written.

use std::ops::RangeInclusive;
use std::time::Duration;

use reqwest::header::HeaderName;

use super::keys;
use super::program::program;
use super::reader::{Item, Table, quoted};
use crate::jq::Program;

/// What `after` may be: no hold is believed to last longer than a day.
const WAITS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
/// What a status may be (RFC 9110 section 15).
const STATUSES: RangeInclusive<u16> = 100..=599;

/// What an answer means that meets every condition stated.
#[derive(Debug, Clone)]
pub struct ResponseRule {
    /// The statuses it is about; any if there are none.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// A header the answer has.
    pub header: Option<HeaderTest>,
    /// Text in the body, in lower case; case does not count.
    pub contains: Option<String>,
    /// Holds for the body, which is JSON.
    pub when: Option<Program>,
    /// What to do then.
    pub action: RuleAction,
    /// What a person is told, before what the source says itself.
    pub message: Option<String>,
}

/// A header of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderTest {
    /// Its name.
    pub name: HeaderName,
    /// Text in its value, in lower case; case does not count.
    pub contains: Option<String>,
}

/// What a rule does with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleAction {
    /// Asks again a little later, a few times.
    Retry,
    /// Leaves the source alone until it says, or for this long.
    Wait {
        /// How long if the source does not say; as after a status 429 if nothing is said.
        after: Option<Duration>,
    },
    /// Asks again with a newer access token, once.
    Refresh,
    /// Leaves out what was asked for.
    Skip,
    /// Reads anew from the first page.
    Restart,
    /// Takes the list to have ended before this answer.
    Stop,
    /// Fails.
    Fail,
}

/// Reads the rules of a connection or flow, in their order.
pub(super) fn read(table: &Table<'_>) -> Vec<ResponseRule> {
    let expected = "an array such as [{ status = 404, action = \"skip\" }]";
    let list = table
        .get("response_rules")
        .and_then(|item| item.list(expected));
    let rules = list.unwrap_or_default();
    rules.iter().filter_map(rule).collect()
}

fn rule(item: &Item<'_>) -> Option<ResponseRule> {
    let what = format!("{}: `response_rules`", item.what);
    let table = item.table(&keys::RESPONSE_RULE, what)?;
    let conditions = ["status", "header", "contains", "when"];
    if conditions.iter().all(|key| table.get(key).is_none()) {
        let expected = "a condition, or the rule would fit every answer: `status`, `header`, \
                        `contains` or `when`";
        table.need("status", expected);
        return None;
    }
    let action = table
        .need("action", "what to do when the rule fits")
        .and_then(|item| action(&table, &item));
    let text = |item: Item<'_>| item.text().map(str::to_owned);
    Some(ResponseRule {
        statuses: table.or("status", Vec::new(), |item| statuses(&item)),
        header: table.get("header").and_then(|item| header(&item)),
        contains: table.get("contains").and_then(|item| lowered(&item)),
        when: table.get("when").and_then(|item| program(&item)),
        message: table.get("message").and_then(text),
        action: action?,
    })
}

fn action(table: &Table<'_>, item: &Item<'_>) -> Option<RuleAction> {
    let after = table.get("after");
    let action = item.choice(&[
        ("retry", RuleAction::Retry),
        ("wait", RuleAction::Wait { after: None }),
        ("refresh", RuleAction::Refresh),
        ("skip", RuleAction::Skip),
        ("restart", RuleAction::Restart),
        ("stop", RuleAction::Stop),
        ("fail", RuleAction::Fail),
    ])?;
    match (action, after) {
        (RuleAction::Wait { .. }, Some(after)) => Some(RuleAction::Wait {
            after: Some(after.duration(WAITS)?),
        }),
        (_, Some(after)) => {
            let message = "`after` says how long to wait, and this rule does not wait";
            table.contradiction(
                &after,
                message,
                "use `action = \"wait\"`, or remove `after`",
            );
            None
        }
        (action, None) => Some(action),
    }
}

/// Reads a status, a class of them, or several of either.
fn statuses(item: &Item<'_>) -> Option<Vec<RangeInclusive<u16>>> {
    if item.value.is_array() {
        let items = item.list("")?;
        if items.is_empty() {
            item.refuse("`status` is empty", "at least one, or no `status`");
            return None;
        }
        return items.iter().map(status).collect();
    }
    Some(vec![status(item)?])
}

fn status(item: &Item<'_>) -> Option<RangeInclusive<u16>> {
    const EXPECTED: &str = "a status such as 404, a class such as \"5xx\", or an array of these";
    if item.value.is_str() {
        return item.parsed(EXPECTED, |text| {
            let class = text.strip_suffix("xx").and_then(|class| class.parse().ok());
            let class: Option<u16> = class.filter(|class| (1..=5).contains(class));
            let range = class.map(|class| class * 100..=class * 100 + 99);
            range.ok_or_else(|| format!("is no status: {}", quoted(text)))
        });
    }
    if !item.value.is_integer() {
        return item.wrong_type(EXPECTED);
    }
    let bounds = u64::from(*STATUSES.start())..=u64::from(*STATUSES.end());
    let status = u16::try_from(item.number(bounds)?).ok()?;
    Some(status..=status)
}

/// Reads the name of a header, or a table that says what is in it too.
fn header(item: &Item<'_>) -> Option<HeaderTest> {
    if !item.value.is_table() {
        let name = header_name(item)?;
        return Some(HeaderTest {
            name,
            contains: None,
        });
    }
    let table = item.table(&keys::RULE_HEADER, format!("{}: `header`", item.what))?;
    let name = table.need("name", "the name of the header");
    let contains = table.get("contains");
    Some(HeaderTest {
        contains: contains.and_then(|item| lowered(&item)),
        name: name.and_then(|item| header_name(&item))?,
    })
}

fn header_name(item: &Item<'_>) -> Option<HeaderName> {
    let expected = "the name of a header, or { name = \"…\", contains = \"…\" }";
    item.parsed(expected, |text| {
        HeaderName::try_from(text).map_err(|_| "is no name of a header".to_owned())
    })
}

fn lowered(item: &Item<'_>) -> Option<String> {
    item.text().map(str::to_lowercase)
}
