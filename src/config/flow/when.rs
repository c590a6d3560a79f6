//! When a flow runs, as written.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::config::Schedule;
use crate::config::connection::time_zone;
use crate::config::reader::{Item, Table};
use crate::config::report::Problem;

/// What an interval may be: the planner wakes by the second, and a year is for what never changes.
const INTERVALS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(366 * 86_400);
/// What the fields of a rule are, where all six are written.
const FIELDS: [&str; 6] = [
    "second",
    "minute",
    "hour",
    "day of the month",
    "month",
    "day of the week",
];

/// Reads `schedule` or `every`, with `time_zone`; a flow with neither runs only when asked.
pub(super) fn read(flow: &Table<'_>) -> Option<Schedule> {
    let zone = flow.get("time_zone");
    let rule = flow.get("schedule");
    let every = flow.get("every");
    if let (Some(_), Some(every)) = (&rule, &every) {
        flow.contradiction(
            every,
            "it has both `schedule` and `every`",
            "keep one of them",
        );
    }
    if let (None, Some(zone)) = (&rule, &zone) {
        let help =
            "`every` counts from midnight UTC, 1 January 1970; use `schedule` for local times";
        flow.contradiction(zone, "`time_zone` has no effect without `schedule`", help);
    }
    let zone = zone.map_or(Some(TimeZone::UTC), |item| time_zone(&item));
    if let Some(every) = every {
        return every.duration(INTERVALS).map(Schedule::Every);
    }
    let (item, zone) = (rule?, zone.unwrap_or(TimeZone::UTC));
    let rule = cron(&item, &zone)?;
    Some(Schedule::Cron {
        rule: Box::new(rule),
        zone,
    })
}

fn cron(item: &Item<'_>, zone: &TimeZone) -> Option<Cron> {
    const EXPECTED: &str = "five fields (minute hour day month weekday), or six with seconds first";
    let text = match item.value.as_str() {
        Some(text) if !text.trim().is_empty() => text,
        Some(_) => return item.parsed(EXPECTED, |_| Err("is empty".to_owned())),
        None => return item.wrong_type(EXPECTED),
    };
    let rule = match parser().parse(text) {
        Ok(rule) => rule,
        Err(error) => {
            item.findings
                .add(explained(item, text, &error).label(format!("expected {EXPECTED}")));
            return None;
        }
    };
    // A rule may be well formed and name no moment, such as 30 February; only a search tells.
    let somewhen = Timestamp::UNIX_EPOCH.to_zoned(zone.clone());
    if rule.find_next_occurrence(&somewhen, false).is_err() {
        item.refuse(
            format!(
                "`schedule` never comes: {}",
                rule.describe().trim_end_matches('.')
            ),
            "a day that exists",
        );
        return None;
    }
    Some(rule)
}

fn parser() -> CronParser {
    CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build()
}

/// Says what is wrong with a rule, and in which field.
fn explained(item: &Item<'_>, text: &str, error: &CronError) -> Problem {
    let fields = fields(text);
    let names = match fields.len() {
        5 => &FIELDS[1..],
        6 => &FIELDS[..],
        count => {
            let message = format!("`schedule` has {count} fields");
            return item
                .problem(message)
                .help("*/15 * * * * is every quarter of an hour");
        }
    };
    let alone = |at: usize| {
        let mut others = vec!["*"; fields.len()];
        others[at] = &text[fields[at].clone()];
        parser().parse(&others.join(" ")).is_err()
    };
    let why = reason(error);
    match (0..fields.len()).find(|at| alone(*at)) {
        Some(at) => {
            let message = format!("{}: `schedule` has a wrong {}: {why}", item.what, names[at]);
            Problem::at(item.part(fields[at].clone()), message)
        }
        None => item.problem(format!("`schedule` is no rule: {why}")),
    }
}

/// Returns where the fields of a rule stand in its text.
fn fields(text: &str) -> Vec<Range<usize>> {
    let mut end = 0;
    let place = |field: &str| {
        let start = end + text[end..].find(field).unwrap_or_default();
        end = start + field.len();
        start..end
    };
    text.split_whitespace().map(place).collect()
}

fn reason(error: &CronError) -> String {
    let text = match error {
        CronError::InvalidPattern(why) => why.clone(),
        CronError::IllegalCharacters(why) => why.replace("CronPattern contains ", ""),
        CronError::ComponentError(why) => why.clone(),
        other => other.to_string(),
    };
    let mut letters = text.trim_end_matches('.').chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(letters)
        .collect()
}
