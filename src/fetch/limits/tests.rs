use jiff::SignedDuration;

use super::*;
use crate::config::Left;

const NOW: &str = "2026-03-01T10:00:00Z";

type Pairs<'a> = Vec<(&'static str, &'a str)>;

const ITEMS: &str = "https://api.example.com/items";

fn stating(calls: u64, per: Duration) -> Manners {
    Manners {
        budgets: vec![Budget { calls, per }],
        reserve: Reserve::Calls(0),
        ..Manners::default()
    }
}

fn take(limits: &Limits, now: &str) -> Result<(), Spent> {
    limits.windows().take(at(now), ITEMS, &limits.rules)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect()
}

#[test]
fn windows_are_learnt_from_headers() {
    let daily = |remaining, reset| {
        vec![
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", reset),
        ]
    };
    let minutely = |remaining, reset| {
        vec![
            ("x-ratelimit-minutely-limit", "60"),
            ("x-ratelimit-minutely-remaining", remaining),
            ("x-ratelimit-minutely-reset", reset),
        ]
    };
    let both = |a: Vec<_>, b: Vec<_>| [a, b].concat();
    // 2026-03-01T10:00:00Z is 1772359200 in Unix time.
    let cases: Vec<(u16, Pairs<'_>, Option<&str>)> = vec![
        (200, daily("4999", "1772409600000"), None),
        (
            200,
            daily("0", "1772409600000"),
            Some("2026-03-02T00:00:00Z"),
        ),
        (200, daily("0", "1772409600"), Some("2026-03-02T00:00:00Z")),
        (200, daily("0", "90"), Some("2026-03-01T10:01:30Z")),
        (200, daily("1", "1772409600"), Some("2026-03-02T00:00:00Z")), // the reserve
        (200, daily("1", "90"), None),
        (200, minutely("1", "1772359230000"), None),
        (
            200,
            minutely("0", "1772359230000"),
            Some("2026-03-01T10:00:30Z"),
        ),
        (
            200,
            both(daily("9", "1772409600000"), minutely("0", "30")),
            Some("2026-03-01T10:00:30Z"),
        ),
        (
            200,
            both(daily("0", "1772409600000"), minutely("0", "30")),
            Some("2026-03-02T00:00:00Z"),
        ),
        (
            200,
            vec![("x-ratelimit-minutely-remaining", "0")],
            Some("2026-03-01T10:01:00Z"),
        ),
        (200, vec![("x-ratelimit-remaining", "0")], None),
        (
            200,
            vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "7")],
            Some("2026-03-01T10:00:07Z"),
        ),
        (200, daily("0", "1772359100"), None), // already over
        (
            200,
            daily("0", "99999999999999"),
            Some("2026-03-02T10:00:00Z"),
        ), // beyond belief
        (429, minutely("3", "30"), Some("2026-03-01T10:00:30Z")),
        (
            429,
            vec![("retry-after", "45")],
            Some("2026-03-01T10:00:45Z"),
        ),
        (
            503,
            vec![("retry-after", "999999999")],
            Some("2026-03-02T10:00:00Z"),
        ),
        (500, vec![("retry-after", "45")], None),
        (429, vec![], Some("2026-03-01T10:01:00Z")),
    ];
    for (status, pairs, until) in cases {
        let limits = Limits::new(&Manners::default());
        limits.learn(at(NOW), ITEMS, status, &headers(&pairs));
        let taken = take(&limits, NOW).err().map(|spent| spent.until);
        assert_eq!(taken, until.map(at), "{status} {pairs:?}");
    }
}

#[test]
fn calls_under_way_count_before_the_source_says_so() {
    let limits = Limits::new(&Manners::default());
    let told = |remaining: &str| {
        headers(&[
            ("x-ratelimit-minutely-remaining", remaining),
            ("x-ratelimit-minutely-reset", "30"),
        ])
    };
    limits.learn(at(NOW), ITEMS, 200, &told("2"));
    assert!(take(&limits, NOW).is_ok() && take(&limits, NOW).is_ok());
    assert!(take(&limits, NOW).is_err());
    // The first of the two answers leaves the second out.
    limits.learn(at(NOW), ITEMS, 200, &told("1"));
    assert!(take(&limits, NOW).is_err());
    limits.give_back();
    assert!(take(&limits, NOW).is_ok());
    assert!(take(&limits, "2026-03-01T10:00:31Z").is_ok());
}

#[test]
fn a_stated_budget_is_never_exceeded_in_any_window() {
    let limits = Limits::new(&stating(10, Duration::from_secs(60)));
    let mut made: Vec<Timestamp> = Vec::new();
    let mut now = at(NOW);
    for step in 0..400_u64 {
        match limits.windows().take(now, ITEMS, &limits.rules) {
            Ok(()) => made.push(now),
            Err(spent) => assert!(spent.until > now),
        }
        now = clock::after(now, Duration::from_millis(700 + step * 13 % 1_000));
    }
    assert!(made.len() > 70, "{} calls", made.len());
    for window in made.windows(11) {
        assert!(window[10].duration_since(window[0]) >= SignedDuration::from_secs(60));
    }
}

#[test]
fn a_restart_remembers_and_a_clock_set_back_forgets() {
    let hourly = stating(1, Duration::from_secs(3600));
    let before = Limits::new(&hourly);
    take(&before, NOW).unwrap();
    before.learn(at(NOW), ITEMS, 503, &headers(&[]));
    let text = serde_json::to_string(&before.snapshot()).unwrap();
    let after = Limits::new(&hourly);
    after.restore(serde_json::from_str(&text).unwrap());
    assert_eq!(after.snapshot(), before.snapshot());
    assert!(take(&after, "2026-03-01T10:30:00Z").is_err());
    assert!(take(&after, "2026-02-01T10:30:00Z").is_ok());
}

#[test]
fn windows_are_learnt_from_headers_of_the_configuration_and_of_the_draft() {
    let day = Duration::from_secs(24 * 60 * 60);
    let header = |name: &str| name.parse().unwrap();
    let manners = Manners {
        headers: vec![
            LimitHeaders {
                left: Left::Remaining(header("x-daylimit-remaining")),
                limit: None,
                reset: None,
                per: Some(day),
            },
            LimitHeaders {
                left: Left::Usage(header("sforce-limit-info")),
                limit: None,
                reset: None,
                per: Some(day),
            },
        ],
        reserve: Reserve::Percent(10),
        ..Manners::default()
    };
    let cases: [(Pairs<'_>, Option<&str>); 7] = [
        (vec![("x-daylimit-remaining", "1")], None), // of how many is not known
        (
            vec![("x-daylimit-remaining", "0")],
            Some("2026-03-02T10:00:00Z"),
        ),
        (vec![("sforce-limit-info", "api-usage=4499/5000")], None),
        (
            vec![("sforce-limit-info", "api-usage=4500/5000; per-app=1/2")],
            Some("2026-03-02T10:00:00Z"),
        ),
        (vec![("sforce-limit-info", "none")], None),
        (
            vec![("ratelimit", r#""minute";r=0;t=12, "day";r=400;t=3600"#)],
            Some("2026-03-01T10:00:12Z"),
        ),
        (vec![("ratelimit", "limit=10, remaining=0")], None), // an older draft
    ];
    for (pairs, until) in cases {
        let limits = Limits::new(&manners);
        limits.learn(at(NOW), ITEMS, 200, &headers(&pairs));
        let taken = take(&limits, NOW).err().map(|spent| spent.until);
        assert_eq!(taken, until.map(at), "{pairs:?}");
    }
}

#[test]
fn of_a_long_window_some_calls_are_left_to_others() {
    let reserving = |reserve| Manners {
        reserve,
        ..stating(10, Duration::from_secs(3600))
    };
    for (reserve, expected) in [
        (Reserve::Calls(0), 10),
        (Reserve::Calls(3), 7),
        (Reserve::Percent(20), 8),
        (Reserve::Calls(50), 1),
    ] {
        let limits = Limits::new(&reserving(reserve));
        let made = (0..20).take_while(|_| take(&limits, NOW).is_ok()).count();
        assert_eq!(made, expected, "{reserve:?}");
    }
    let minutely = Limits::new(&Manners {
        reserve: Reserve::Calls(3),
        ..stating(10, Duration::from_secs(60))
    });
    let made = (0..20).take_while(|_| take(&minutely, NOW).is_ok()).count();
    assert_eq!(made, 10, "a minute is soon over");
}

#[test]
fn an_endpoint_that_refuses_is_left_alone_before_the_source_blocks_us() {
    let limits = Limits::new(&Manners {
        error_budget: Some(Budget {
            calls: 3,
            per: Duration::from_secs(3600),
        }),
        ..Manners::default()
    });
    let none = headers(&[]);
    for status in [404, 408, 429, 500, 200, 400] {
        limits.learn(at(NOW), ITEMS, status, &none);
    }
    let later = "2026-03-01T10:02:00Z"; // the hold after the 429 is over
    let spent = take(&limits, later).unwrap_err();
    assert!(matches!(spent.reason, Reason::Refusals { errors: 3, .. }));
    assert_eq!(spent.until, at("2026-03-01T11:01:00Z"));
    let mut windows = limits.windows();
    assert!(
        windows
            .take(at(later), "https://a/other", &limits.rules)
            .is_ok()
    );
}

#[test]
fn an_overloaded_source_is_asked_more_slowly_until_it_has_recovered() {
    let limits = Limits::new(&Manners::default());
    let none = headers(&[]);
    let mut now = at(NOW);
    let pause = |now: Timestamp| match limits.windows().take(now, ITEMS, &limits.rules) {
        Ok(()) => Duration::ZERO,
        Err(spent) => clock::until(now, spent.until),
    };
    let mut pauses = Vec::new();
    for _ in 0..3 {
        limits.learn(now, ITEMS, 503, &none);
        pauses.push(pause(now).as_millis());
    }
    assert_eq!(pauses, [500, 1_000, 2_000]);
    // Ten good answers halve it each time.
    let mut answers = 0;
    while limits.snapshot().pace.is_some() {
        now = clock::after(now, pause(now));
        assert_eq!(pause(now), Duration::ZERO);
        limits.learn(now, ITEMS, 200, &none);
        answers += 1;
        assert!(answers < 100, "it never recovers");
    }
    assert_eq!(answers, 30);
}
