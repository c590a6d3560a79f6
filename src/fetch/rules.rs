//! Rules by which an answer means something else than its status says.

use std::time::Duration;

use jiff::Timestamp;

use super::error::{Asked, Error};
use super::failure::{Cause, Failure};
use super::{answer, retry};
use crate::clock;
use crate::config::{HeaderTest, ResponseRule, RuleAction};
use crate::http::{Answer, HeaderMap};
use crate::jq::{self, Allowance, Program};
use crate::secret::Redactor;

/// How often one page is waited for at the word of a rule, before the source is given up on.
pub(super) const HOLDS: u32 = 5;
/// How long to stay away if neither the source nor the rule says.
const UNTOLD: Duration = Duration::from_secs(60);
/// The least we stay away, whatever the source says.
const LEAST_WAIT: Duration = Duration::from_secs(1);
/// What marks the byte order at the beginning of a text, and is no part of it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Returns the first rule that an answer meets.
///
/// A program that fails on a body is not met by it, nor is one by a body that is no JSON.
///
/// # Errors
/// If a program goes on and on.
pub(super) async fn first<'r>(
    rules: &'r [ResponseRule],
    answer: &Answer,
) -> Result<Option<&'r ResponseRule>, jq::Error> {
    for rule in rules {
        if meets(rule, answer) && holds(rule.when.as_ref(), answer).await? {
            return Ok(Some(rule));
        }
    }
    Ok(None)
}

/// Returns true if an answer meets every condition that takes no program to tell.
fn meets(rule: &ResponseRule, answer: &Answer) -> bool {
    let ResponseRule {
        statuses,
        header,
        contains,
        ..
    } = rule;
    let is_about = |text: &String| body(answer).to_lowercase().contains(text.as_str());
    (statuses.is_empty() || statuses.iter().any(|range| range.contains(&answer.status)))
        && header
            .as_ref()
            .is_none_or(|test| has(&answer.headers, test))
        && contains.as_ref().is_none_or(is_about)
}

fn has(headers: &HeaderMap, test: &HeaderTest) -> bool {
    headers.get_all(&test.name).iter().any(|value| {
        let value = String::from_utf8_lossy(value.as_bytes()).to_lowercase();
        let contains = test.contains.as_ref();
        contains.is_none_or(|text| value.contains(text.as_str()))
    })
}

async fn holds(program: Option<&Program>, answer: &Answer) -> Result<bool, jq::Error> {
    let Some(program) = program.cloned() else {
        return Ok(true);
    };
    let body = body(answer).into_owned();
    let holds = jq::apart(move |stop| program.test(&body, &Allowance::new(1, 0, stop))).await;
    match holds {
        Err(jq::Error::NotJson { .. } | jq::Error::Nested | jq::Error::Failed(_)) => Ok(false),
        holds => holds,
    }
}

/// Returns a body as text; letters that are none in UTF-8 meet no condition.
fn body(answer: &Answer) -> std::borrow::Cow<'_, str> {
    match String::from_utf8_lossy(&answer.body) {
        std::borrow::Cow::Borrowed(text) => text.trim_start_matches(BYTE_ORDER_MARK).into(),
        text => text,
    }
}

/// Says what becomes of an answer that meets `rule`: nothing if the list ended before it, otherwise
/// why it is no page.
pub(super) fn obeyed(
    rule: &ResponseRule,
    answer: &Answer,
    asked: Asked,
    redactor: &Redactor,
    now: Timestamp,
) -> Result<(), Failure> {
    let status = answer.status;
    let message = said(rule.message.clone(), answer::complaint(answer, redactor));
    match rule.action {
        RuleAction::Stop => Ok(()),
        RuleAction::Retry => Err(Failure::Later(Cause::Status {
            asked,
            status,
            message,
        })),
        RuleAction::Wait { after } => Err(Failure::Held {
            until: until(answer, after, now),
            cause: Cause::Status {
                asked,
                status,
                message,
            },
        }),
        RuleAction::Refresh => Err(Failure::Final(Error::Unauthorized {
            asked,
            status,
            message,
        })),
        RuleAction::Skip => Err(Failure::Final(Error::LeftOut {
            asked,
            status,
            message,
        })),
        RuleAction::Restart => Err(Failure::Final(Error::Restart {
            asked,
            status,
            message,
        })),
        RuleAction::Fail => Err(Failure::Final(Error::Rejected {
            asked,
            status,
            message,
        })),
    }
}

/// Joins a rule's words and the source's.
fn said(own: Option<String>, source: Option<String>) -> Option<String> {
    match (own, source) {
        (Some(own), Some(source)) => Some(format!("{own}: {source}")),
        (own, source) => own.or(source),
    }
}

/// Returns until when to stay away: as the source says, else as the rule does.
fn until(answer: &Answer, after: Option<Duration>, now: Timestamp) -> Timestamp {
    let told = retry::retry_after(&answer.headers, now);
    let until = told.unwrap_or_else(|| clock::after(now, after.unwrap_or(UNTOLD)));
    until.max(clock::after(now, LEAST_WAIT))
}
