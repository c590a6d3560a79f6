//! Paints secrets over before a line of the configuration is shown to anybody.
//!
//! It works on the text, not on the parsed file, because a line with a syntax error is shown too.

use std::ops::Range;

/// A key whose name holds one of these is taken to hold a secret.
const SECRET_WORDS: [&str; 10] = [
    "secr",
    "private_key",
    "token",
    "passw",
    "passphrase",
    "authorization",
    "cookie",
    "api_key",
    "api-key",
    "apikey",
];
/// The shortest word on a line of its own that is taken for a key.
const SHORTEST_KEY: usize = 20;
/// Unless it ends like a setting that is about a secret and holds none.
const NO_SECRET: [&str; 9] = [
    "_url", "_body", "_params", "_header", "_scheme", "_query", "_cookie", "_types", "_path",
];

/// Returns `source` with every literal secret replaced by asterisks, byte for byte, so that places
/// in it stay where they are. `known` are the places of secrets that were found by reading it.
pub(super) fn without_secrets(source: &str, known: &[Range<usize>]) -> String {
    let mut hidden: Vec<Range<usize>> = known.to_vec();
    hidden.extend(assignments(source));
    hidden.extend(bare_keys(source));
    hidden.sort_by_key(|range| range.start);
    let mut hidden = hidden.into_iter().peekable();
    let mut hidden_until = 0;
    let mut text = String::with_capacity(source.len());
    for (at, letter) in source.char_indices() {
        while let Some(range) = hidden.next_if(|range| range.start <= at) {
            hidden_until = hidden_until.max(range.end);
        }
        let keep = letter == '\n' || letter == '"' || letter == '\'';
        if !keep && at < hidden_until {
            text.extend(std::iter::repeat_n('*', letter.len_utf8()));
        } else {
            text.push(letter);
        }
    }
    text
}

/// Finds lines that are one long word and nothing else, as in a key file or a PEM file that was
/// given for the configuration. TOML has no such lines.
fn bare_keys(source: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    source.split_inclusive('\n').filter_map(move |line| {
        let from = at;
        at += line.len();
        let word = line.trim_end();
        // The end of base64 may be padded; a `=` anywhere else makes a setting of it.
        let unpadded = word.trim_end_matches('=');
        let is_of_a_key = |letter: char| letter.is_ascii_alphanumeric() || "+/-_".contains(letter);
        let is_key = unpadded.len() >= SHORTEST_KEY && unpadded.chars().all(is_of_a_key);
        is_key.then(|| from..from + word.len())
    })
}

/// Finds the string values of keys that are called like a secret.
fn assignments(source: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (equals, _) in source.match_indices('=') {
        let key = source[..equals].trim_end().trim_end_matches(['"', '\'']);
        let start = key
            .rfind(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == '-'))
            .map_or(0, |before| {
                before + key[before..].chars().next().map_or(1, char::len_utf8)
            });
        if !is_secret_name(&key[start..]) {
            continue;
        }
        let after = &source[equals + 1..];
        let value = after.trim_start_matches([' ', '\t', '[']);
        let from = source.len() - value.len();
        let quotes = ["\"\"\"", "'''", "\"", "'"];
        if let Some(quote) = quotes.into_iter().find(|quote| value.starts_with(quote)) {
            let body = &value[quote.len()..];
            let end = if quote.len() == 3 {
                body.find(quote)
            } else {
                end_of_line_string(body, quote)
            };
            found.push(from..from + quote.len() + end.unwrap_or(body.len()));
        } else if !value.starts_with(['{', '[']) {
            // A value that lacks its quotes is a syntax error, and still a secret.
            found.push(from..from + value.find('\n').unwrap_or(value.len()));
        }
    }
    found
}

/// Returns where a string of one line ends: at its quote, or with the line if it has none.
fn end_of_line_string(body: &str, quote: &str) -> Option<usize> {
    let mut escaped = false;
    body.char_indices()
        .find(|(_, letter)| {
            let ends = *letter == '\n' || (!escaped && quote.starts_with(*letter));
            escaped = quote == "\"" && *letter == '\\' && !escaped;
            ends
        })
        .map(|(at, _)| at)
}

/// Returns true if a key of this name may hold a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
        && !NO_SECRET.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_painted_over_and_nothing_else_is() {
        let cases = [
            (
                "client_secret = \"hünter2\" # x",
                "client_secret = \"********\" # x",
            ),
            (
                "a = { token = 'a#b', token_url = 'https://x' }",
                "a = { token = '***', token_url = 'https://x' }",
            ),
            ("client_secret = \"open", "client_secret = \"****"),
            ("client_secret = bare\nx = 1", "client_secret = ****\nx = 1"),
            ("\"X-Api-Key\" = \"a\\\"b\"", "\"X-Api-Key\" = \"**\"*\""),
            (
                "client_secret = { env = \"NAME\" }",
                "client_secret = { env = \"NAME\" }",
            ),
            (
                "000102030405060708090a0b0c0d0e0f\r\n",
                "********************************\r\n",
            ),
            ("AAECAwQFBgcICQoLDA0ODw==", "************************"),
            (
                "a_long_name_of_a_setting=1234",
                "a_long_name_of_a_setting=1234",
            ),
            ("token = '''a\nb''' # c", "token = '''*\n*''' # c"),
            (
                "é = \"x\"\nclient_id = \"me\"",
                "é = \"x\"\nclient_id = \"me\"",
            ),
        ];
        for (source, shown) in cases {
            let masked = without_secrets(source, &[]);
            assert_eq!(masked, shown);
            assert_eq!(masked.len(), source.len());
        }
    }
}
