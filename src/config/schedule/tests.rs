use std::collections::BTreeSet;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use proptest::prelude::*;

use super::{Schedule, instant_of, is_rhythm};

const ZONES: [&str; 7] = [
    "Europe/Amsterdam",
    "America/New_York",
    "Australia/Lord_Howe", // half an hour of daylight saving
    "Asia/Kathmandu",      // 5:45, and none
    "America/Santiago",    // midnight itself is skipped
    "Pacific/Apia",        // left out a whole day in 2011
    "UTC",
];

fn cron(rule: &str, zone: &str) -> Schedule {
    Schedule::Cron {
        rule: Box::new(rule.parse().unwrap()),
        zone: TimeZone::get(zone).unwrap(),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn slots(schedule: &Schedule, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let next = |slot: &Timestamp| schedule.next_after(*slot);
    std::iter::successors(next(&from), next)
        .take_while(|slot| *slot <= until)
        .collect()
}

/// Every slot after the first instant and up to the second, as the clock on the wall shows it.
fn shown(rule: &str, zone: &str, from: &str, until: &str) -> String {
    let schedule = cron(rule, zone);
    let zone = TimeZone::get(zone).unwrap();
    let slots = slots(&schedule, at(from), at(until));
    let shown = slots
        .iter()
        .map(|slot| slot.to_zoned(zone.clone()).strftime("%H:%M%:z").to_string());
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn both_nights_of_daylight_saving_have_each_slot_once() {
    // Zone, the rule, a night, and its slots.
    let spring = ("2026-03-28T23:00:00Z", "2026-03-29T02:00:00Z");
    let autumn = ("2026-10-24T22:00:00Z", "2026-10-25T02:00:00Z");
    let ny_spring = ("2026-03-08T05:00:00Z", "2026-03-08T08:00:00Z");
    let ny_autumn = ("2026-11-01T04:00:00Z", "2026-11-01T07:30:00Z");
    let howe_spring = ("2026-10-03T14:30:00Z", "2026-10-03T17:00:00Z");
    let howe_autumn = ("2026-04-04T13:30:00Z", "2026-04-04T16:30:00Z");
    let cases = [
        ("Europe/Amsterdam", "30 2 * * *", spring, "03:00+02:00"),
        ("Europe/Amsterdam", "30 2 * * *", autumn, "02:30+02:00"),
        ("Europe/Amsterdam", "0 2,3 * * *", spring, "03:00+02:00"),
        (
            "Europe/Amsterdam",
            "0 2,3 * * *",
            autumn,
            "02:00+02:00 03:00+01:00",
        ),
        (
            "Europe/Amsterdam",
            "10,50 1-3 * * *",
            spring,
            "01:10+01:00 01:50+01:00 03:00+02:00 03:10+02:00 03:50+02:00",
        ),
        ("Europe/Amsterdam", "30 2,14 * * SUN", autumn, "02:30+02:00"),
        ("Europe/Amsterdam", "15 30 2 * * *", spring, "03:00+02:00"),
        (
            "Europe/Amsterdam",
            "*/30 * * * *",
            spring,
            "00:30+01:00 01:00+01:00 01:30+01:00 03:00+02:00 03:30+02:00 04:00+02:00",
        ),
        (
            "Europe/Amsterdam",
            "*/30 * * * *",
            autumn,
            "00:30+02:00 01:00+02:00 01:30+02:00 02:00+02:00 02:30+02:00 02:00+01:00 02:30+01:00 03:00+01:00",
        ),
        (
            "Europe/Amsterdam",
            "0 * * * *",
            autumn,
            "01:00+02:00 02:00+02:00 02:00+01:00 03:00+01:00",
        ),
        ("Europe/Amsterdam", "*/20 2 * * *", spring, ""),
        (
            "Europe/Amsterdam",
            "*/20 2 * * *",
            autumn,
            "02:00+02:00 02:20+02:00 02:40+02:00 02:00+01:00 02:20+01:00 02:40+01:00",
        ),
        ("America/New_York", "30 2 * * *", ny_spring, "03:00-04:00"),
        ("America/New_York", "30 1 * * *", ny_autumn, "01:30-04:00"),
        (
            "America/New_York",
            "0 * * * *",
            ny_autumn,
            "01:00-04:00 01:00-05:00 02:00-05:00",
        ),
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            howe_spring,
            "02:30+11:00",
        ),
        (
            "Australia/Lord_Howe",
            "0,30 2 * * *",
            howe_spring,
            "02:30+11:00",
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            howe_autumn,
            "01:45+11:00",
        ),
        (
            "Australia/Lord_Howe",
            "*/15 1,2 * * *",
            howe_autumn,
            "01:00+11:00 01:15+11:00 01:30+11:00 01:45+11:00 01:30+10:30 01:45+10:30 02:00+10:30 02:15+10:30 02:30+10:30 02:45+10:30",
        ),
        (
            "America/Santiago",
            "0 0 * * *",
            ("2026-09-06T00:00:00Z", "2026-09-06T12:00:00Z"),
            "01:00-03:00",
        ),
        (
            "Pacific/Apia",
            "30 6 * * *",
            ("2011-12-29T17:00:00Z", "2011-12-31T17:00:00Z"),
            "00:00+14:00 06:30+14:00 06:30+14:00",
        ),
        (
            "Asia/Kathmandu",
            "0 6 * * *",
            ("2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z"),
            "06:00+05:45 06:00+05:45",
        ),
        ("UTC", "30 2 * * *", spring, ""),
        ("UTC", "30 1 * * *", spring, "01:30+00:00"),
    ];
    for (zone, rule, (from, until), expected) in cases {
        assert_eq!(
            shown(rule, zone, from, until),
            expected,
            "`{rule}` in {zone} from {from}"
        );
    }
}

#[test]
fn a_year_of_six_in_the_morning_is_365_local_sixes() {
    for zone in ZONES {
        let schedule = cron("0 6 * * *", zone);
        let zone = TimeZone::get(zone).unwrap();
        let from = jiff::civil::date(2025, 1, 1)
            .to_zoned(zone.clone())
            .unwrap();
        let slots = slots(&schedule, from.timestamp(), (&from + 1.year()).timestamp());
        let days: BTreeSet<_> = slots
            .iter()
            .map(|slot| zone.to_datetime(*slot).date())
            .collect();
        assert_eq!((slots.len(), days.len()), (365, 365));
        assert!(slots.iter().all(|slot| zone.to_datetime(*slot).hour() == 6));
    }
}

#[test]
fn slots_are_found_far_away_and_at_the_end_of_time() {
    let cases = [
        (
            "0 12 29 2 *",
            "2097-01-01T00:00:00Z",
            Some("2104-02-29T12:00:00Z"),
        ),
        (
            "0 12 L * *",
            "2028-02-10T00:00:00Z",
            Some("2028-02-29T12:00:00Z"),
        ),
        ("0 0 30 2 *", "2026-01-01T00:00:00Z", None),
        ("* * 30 2 *", "2026-01-01T00:00:00Z", None),
        ("0 0 1 1 *", "5000-06-01T00:00:00Z", None),
        ("* * * * *", "9999-12-30T22:00:00.999999999Z", None),
        ("0 6 * * *", "9999-12-30T22:00:00.999999999Z", None),
        (
            "0 6 * * *",
            "-009999-01-02T01:59:59Z",
            Some("0001-01-01T06:00:00Z"),
        ),
    ];
    for (rule, after, expected) in cases {
        assert_eq!(
            cron(rule, "UTC").next_after(at(after)),
            expected.map(at),
            "`{rule}`"
        );
    }
}

#[test]
fn intervals_count_from_the_epoch() {
    let cases = [
        (
            900_000,
            "2026-01-01T00:00:00Z",
            Some("2026-01-01T00:15:00Z"),
        ),
        (
            900_000,
            "2026-01-01T00:14:59.999999999Z",
            Some("2026-01-01T00:15:00Z"),
        ),
        (7_000, "1970-01-01T00:00:00Z", Some("1970-01-01T00:00:07Z")),
        (7_000, "1969-12-31T23:59:59Z", Some("1970-01-01T00:00:00Z")),
        (1, "2026-01-01T00:00:00Z", Some("2026-01-01T00:00:00.001Z")),
        (0, "2026-01-01T00:00:00Z", None),
        (u64::MAX, "2026-01-01T00:00:00Z", None),
        (1_000, "9999-12-30T22:00:00.999999999Z", None),
    ];
    for (millis, after, expected) in cases {
        let schedule = Schedule::Every(Duration::from_millis(millis));
        assert_eq!(
            schedule.next_after(at(after)),
            expected.map(at),
            "{millis} ms after {after}"
        );
    }
    assert_eq!(
        Schedule::Every(Duration::MAX).next_after(at("2026-01-01T00:00:00Z")),
        None
    );
}

#[test]
fn the_last_slot_of_ten_years_is_found_without_walking_them() {
    let (from, until) = (at("2016-05-05T00:00:00.5Z"), at("2026-05-05T10:00:00.5Z"));
    let cases = [
        ("* * * * * *", "2026-05-05T10:00:00Z"),
        ("* * 6 * * *", "2026-05-05T06:59:59Z"),
        ("0 6 29 2 *", "2024-02-29T06:00:00Z"),
    ];
    for (rule, last) in cases {
        assert_eq!(
            cron(rule, "UTC").last_between(from, until),
            Some(at(last)),
            "`{rule}`"
        );
    }
    let never = cron("0 6 5 5 * ", "UTC").last_between(at("2026-05-05T06:00:00Z"), until);
    assert_eq!(never, None);
}

/// The slots of a stretch of time, found the slow way: by looking at every minute of it.
fn by_looking(schedule: &Schedule, from: Timestamp, until: Timestamp) -> BTreeSet<Timestamp> {
    let Schedule::Cron { rule, zone } = schedule else {
        unreachable!("only used for cron rules")
    };
    let minute = SignedDuration::from_mins(1);
    let local = |at: Timestamp| at.to_zoned(zone.clone());
    if is_rhythm(rule) {
        let minutes = std::iter::successors(Some(from), |at| Some(*at + minute));
        let minutes = minutes.take_while(|at| *at <= until).skip(1);
        return minutes
            .filter(|at| rule.is_time_matching(&local(*at)).unwrap())
            .collect();
    }
    let day = 25.hours();
    let (first, last): (Zoned, Zoned) = (local(from) - day, local(until) + day);
    let wall = std::iter::successors(Some(first.datetime()), |wall| Some(*wall + minute));
    wall.take_while(|wall| *wall <= last.datetime())
        .filter(|wall| rule.is_time_matching(wall).unwrap())
        .filter_map(|wall| instant_of(wall, zone))
        .filter(|slot| from < *slot && *slot <= until)
        .collect()
}

fn any_rule() -> impl Strategy<Value = String> {
    let minute = prop_oneof![
        Just("*/15"),
        Just("*/7"),
        Just("0"),
        Just("30"),
        Just("5,35,59")
    ];
    let hour = prop_oneof![
        Just("*"),
        Just("*/2"),
        Just("2"),
        Just("0,1,2,3"),
        Just("1-4"),
        Just("0")
    ];
    (minute, hour).prop_map(|(minute, hour)| format!("{minute} {hour} * * *"))
}

/// A moment on a whole minute, at most four hours before or one after a change of the clock if
/// the zone has one that year.
fn any_night() -> impl Strategy<Value = (usize, Timestamp)> {
    (0..ZONES.len(), 2000..2037_i16, 0..2_usize, -4 * 60..60_i64).prop_map(
        |(zone, year, which, minutes)| {
            let new_year = at(&format!("{year}-01-01T00:00:00Z"));
            let changes = TimeZone::get(ZONES[zone]).unwrap();
            let change = changes.following(new_year).nth(which);
            let near = change
                .map(|change| change.timestamp())
                .filter(|change| change.as_second() % 60 == 0)
                .unwrap_or(new_year);
            (zone, near + SignedDuration::from_mins(minutes))
        },
    )
}

proptest! {
    #[test]
    fn searching_finds_what_looking_finds(rule in any_rule(), (zone, from) in any_night()) {
        let schedule = cron(&rule, ZONES[zone]);
        let until = from + SignedDuration::from_hours(4);
        let found = slots(&schedule, from, until);
        prop_assert!(found.is_sorted());
        prop_assert_eq!(schedule.last_between(from, until), found.last().copied());
        let found: BTreeSet<_> = found.into_iter().collect();
        prop_assert_eq!(found, by_looking(&schedule, from, until));
    }
}
