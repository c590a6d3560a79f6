use jiff::SignedDuration;

use super::*;

const NOW: &str = "2026-03-01T10:00:00Z";

type Pairs<'a> = Vec<(&'static str, &'a str)>;

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
        let mut windows = Windows::default();
        windows.learn(at(NOW), status, &headers(&pairs));
        let taken = windows.take(at(NOW)).err().map(|spent| spent.until);
        assert_eq!(taken, until.map(at), "{status} {pairs:?}");
    }
}

#[test]
fn calls_under_way_count_before_the_source_says_so() {
    let mut windows = Windows::default();
    let told = |remaining: &str| {
        headers(&[
            ("x-ratelimit-minutely-remaining", remaining),
            ("x-ratelimit-minutely-reset", "30"),
        ])
    };
    windows.learn(at(NOW), 200, &told("2"));
    assert!(windows.take(at(NOW)).is_ok() && windows.take(at(NOW)).is_ok());
    assert!(windows.take(at(NOW)).is_err());
    // The first of the two answers leaves the second out.
    windows.learn(at(NOW), 200, &told("1"));
    assert!(windows.take(at(NOW)).is_err());
    windows.give_back();
    assert!(windows.take(at(NOW)).is_ok());
    assert!(windows.take(at("2026-03-01T10:00:31Z")).is_ok());
}

#[test]
fn a_stated_budget_is_never_exceeded_in_any_window() {
    let limits = Limits::new(&[Budget {
        calls: 10,
        per: Duration::from_secs(60),
    }]);
    let mut made: Vec<Timestamp> = Vec::new();
    let mut now = at(NOW);
    for step in 0..400_u64 {
        match limits.windows().take(now) {
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
    let budget = Budget {
        calls: 1,
        per: Duration::from_secs(3600),
    };
    let before = Limits::new(&[budget]);
    before.windows().take(at(NOW)).unwrap();
    let text = serde_json::to_string(&before.snapshot()).unwrap();
    let after = Limits::new(&[budget]);
    after.restore(serde_json::from_str(&text).unwrap());
    assert!(after.windows().take(at("2026-03-01T10:30:00Z")).is_err());
    assert!(after.windows().take(at("2026-02-01T10:30:00Z")).is_ok());
}
