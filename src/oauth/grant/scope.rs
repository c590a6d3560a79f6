//! Which of the scopes that were asked for were granted; pure.

/// Scopes that servers act on and often do not list (OpenID Connect Core 5.4 and 11).
const UNLISTED: [&str; 6] = [
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "offline_access",
];

/// Returns the scopes of `asked` that are not in `granted`, as a server lists those it granted
/// because they are not what was asked (RFC 6749 section 3.3).
pub(in crate::oauth) fn missing<'a>(asked: &'a [String], granted: &str) -> Vec<&'a str> {
    let granted: Vec<&str> = granted
        .split([' ', ','])
        .filter(|scope| !scope.is_empty())
        .collect();
    let is_missing = |scope: &&str| {
        !UNLISTED.contains(scope) && !granted.iter().any(|granted| is_same(scope, granted))
    };
    asked
        .iter()
        .map(String::as_str)
        .filter(is_missing)
        .collect()
}

/// Returns true if two spellings mean one scope: some servers list it with the address of its API
/// before it.
fn is_same(one: &str, other: &str) -> bool {
    let ends = |long: &str, short: &str| {
        let before = long.len().checked_sub(short.len());
        before.is_some_and(|at| {
            long.is_char_boundary(at)
                && long[at..].eq_ignore_ascii_case(short)
                && (at == 0 || long[..at].ends_with('/'))
        })
    };
    ends(one, other) || ends(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_granted_is_found_in_whatever_spelling() {
        let cases = [
            ("a b", vec![]),
            ("b,a", vec![]),
            ("A", vec!["b"]),
            ("https://graph.example/a https://graph.example/B", vec![]),
            ("ba bb", vec!["a", "b"]),
        ];
        let asked = ["a", "b", "offline_access"].map(str::to_owned);
        for (granted, expected) in cases {
            assert_eq!(missing(&asked, granted), expected, "{granted}");
        }
    }
}
