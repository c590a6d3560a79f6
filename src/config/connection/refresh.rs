//! When tokens are refreshed and what the server's errors mean, as written.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::manners::budgets;
use super::{Budget, ErrorRule, Meaning, RefreshPolicy, RefreshWindow, RetryInDoubt};
use crate::config::keys;
use crate::config::reader::{Item, Table};

/// What a moment in an access token's life may be: tokens of a year exist.
pub(super) const LIVES: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(366 * 86_400);

/// What the whole life of a login may be.
const LOGINS: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(10 * 366 * 86_400);

/// When and how a connection's tokens are refreshed.
#[derive(Debug)]
pub(super) struct Refresh {
    pub(super) window: RefreshWindow,
    pub(super) policy: RefreshPolicy,
    pub(super) retry_in_doubt: RetryInDoubt,
    pub(super) idle: Option<Duration>,
    pub(super) absolute: Option<Duration>,
    pub(super) limits: Vec<Budget>,
}

/// Reads `refresh` of a connection.
pub(super) fn read(connection: &Table<'_>) -> Refresh {
    let inner = connection
        .get("refresh")
        .and_then(|item| item.table(&keys::REFRESH, format!("{}: `refresh`", connection.what)));
    let Some(table) = inner else {
        return Refresh {
            window: RefreshWindow::default(),
            policy: RefreshPolicy::Ahead,
            retry_in_doubt: RetryInDoubt::AtOnce,
            idle: None,
            absolute: None,
            limits: Vec::new(),
        };
    };
    let life = |key: &str| table.get(key).and_then(|item| item.duration(LIVES));
    let window = RefreshWindow {
        not_before: life("not_before"),
        target: life("target"),
    };
    if let (Some(early), Some(target), Some(item)) =
        (window.not_before, window.target, table.get("target"))
        && target < early
    {
        let help = "the server refuses a refresh before `not_before`";
        table.contradiction(&item, "`target` is before `not_before`", help);
    }
    Refresh {
        window,
        policy: table.or("policy", RefreshPolicy::Ahead, |item| {
            item.choice(&[
                ("ahead", RefreshPolicy::Ahead),
                ("when_needed", RefreshPolicy::WhenNeeded),
            ])
        }),
        retry_in_doubt: table.or("retry_in_doubt", RetryInDoubt::AtOnce, |item| {
            item.choice(&[
                ("at_once", RetryInDoubt::AtOnce),
                ("after_expiry", RetryInDoubt::AfterExpiry),
                ("never", RetryInDoubt::Never),
            ])
        }),
        idle: life("idle"),
        absolute: table.get("absolute").and_then(|item| item.duration(LOGINS)),
        limits: table
            .get("limits")
            .map(|item| budgets(&item))
            .unwrap_or_default(),
    }
}

/// Reads `errors` of a connection.
pub(super) fn rules(item: &Item<'_>) -> Vec<ErrorRule> {
    let rule = |item: Item<'_>| {
        let table = item.table(&keys::ERROR_RULE, format!("{}: `errors`", item.what))?;
        let words = |key: &str| {
            table
                .get(key)
                .and_then(|item| item.text().map(str::to_owned))
        };
        let (error, contains) = (words("error"), words("contains"));
        if table.get("error").is_none() && table.get("contains").is_none() {
            item.refuse(
                "a rule that says neither `error` nor `contains`",
                "at least one of them",
            );
        }
        let means = table.need("means", "what the error means")?.choice(&[
            ("too_early", Meaning::TooEarly),
            ("transient", Meaning::Transient),
            ("configuration", Meaning::Configuration),
            ("dead_grant", Meaning::DeadGrant),
        ])?;
        Some(ErrorRule {
            error,
            contains,
            means,
        })
    };
    let expected = "an array such as [{ error = \"…\", means = \"transient\" }]";
    item.list(expected)
        .unwrap_or_default()
        .into_iter()
        .filter_map(rule)
        .collect()
}
