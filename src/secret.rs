//! Text that must never be shown.

use std::collections::HashSet;

pub use secrecy::ExposeSecret;
use zeroize::Zeroizing;

/// A secret: it cannot be printed, compared by accident, or left in memory when dropped.
pub type Secret = secrecy::SecretString;

/// What stands where a secret stood.
pub const REMOVED: &str = "[removed]";
/// The shortest run of token-like characters that [`scrub`] takes for a secret.
const TOKEN_LIKE: usize = 20;
/// The shortest part of a secret that is not shown either. Anything shorter is in ordinary words
/// too, and says little about the rest.
const TELLING: usize = 5;
/// The shortest secret that is looked for, and the shortest beginning of one where a text breaks off.
/// What is shorter anybody can guess, like the `x` that stands for no password, and without it no
/// word would be left whole.
const SHORTEST: usize = 3;

/// Returns `text` fit to be shown: control characters and anything that could be a token replaced.
///
/// For words that came from outside, such as an `error_description`, which some servers fill
/// with the very token they refuse. At most `limit` characters of it are kept. Where the secrets
/// that may stand in it are known, [`Redactor::clean`] is surer.
#[must_use]
pub fn scrub(text: &str, limit: usize) -> String {
    let is_token_like =
        |letter: char| letter.is_ascii_alphanumeric() || "-_.~+/=!%".contains(letter);
    let mut shown = String::new();
    let mut left = limit;
    let mut rest = text;
    while left > 0
        && let Some(letter) = rest.chars().next()
    {
        // Measured to its end, also where that lies beyond the limit.
        let run = rest
            .find(|letter| !is_token_like(letter))
            .unwrap_or(rest.len());
        if run >= TOKEN_LIKE {
            shown.push_str(REMOVED);
            left = left.saturating_sub(run);
            rest = &rest[run..];
        } else if run > 0 {
            let kept = run.min(left);
            shown.push_str(&rest[..kept]);
            left -= kept;
            rest = &rest[run..];
        } else {
            shown.push(if letter.is_control() { ' ' } else { letter });
            left -= 1;
            rest = &rest[letter.len_utf8()..];
        }
    }
    shown.trim_end().to_owned()
}

/// Takes secrets that were sent out of what comes back.
///
/// It knows each secret in every spelling it was sent in, and removes any telling part of it too:
/// some servers repeat the half of a key that they do not know.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    spellings: Vec<Secret>,
}

impl Redactor {
    /// Makes a redactor of these secrets; those of one or two letters count for nothing.
    #[must_use]
    pub fn new(spellings: impl IntoIterator<Item = Secret>) -> Self {
        let counts = |spelling: &Secret| spelling.expose_secret().len() >= SHORTEST;
        Self {
            spellings: spellings.into_iter().filter(counts).collect(),
        }
    }

    /// Returns `text` without the secrets, and otherwise cleaned as [`scrub`] does.
    ///
    /// The secrets go first: cut to `limit` or broken by what [`scrub`] replaces, they would no
    /// longer be recognized.
    #[must_use]
    pub fn clean(&self, text: &str, limit: usize) -> String {
        scrub(&self.redact(text), limit)
    }

    /// Returns `text` with each secret, and each telling part of one, replaced. Upper and lower case
    /// are the same, since servers change it.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let letters = lower(text);
        let mut hidden = vec![false; letters.len()];
        for spelling in &self.spellings {
            hide(&mut hidden, &letters, &lower(spelling.expose_secret()));
        }
        let mut shown = String::with_capacity(text.len());
        let mut was_hidden = false;
        for (at, letter) in text.char_indices() {
            let is_hidden = hidden[at..at + letter.len_utf8()].contains(&true);
            match (is_hidden, was_hidden) {
                (false, _) => shown.push(letter),
                (true, false) => shown.push_str(REMOVED),
                (true, true) => {}
            }
            was_hidden = is_hidden;
        }
        shown
    }
}

/// Marks the bytes of `text` that belong to `secret` or to a telling part of it.
fn hide(hidden: &mut [bool], text: &[u8], secret: &[u8]) {
    // A common part of any greater length is made of common parts of this one.
    let length = secret.len().min(TELLING);
    let parts: HashSet<&[u8]> = secret.windows(length).collect();
    for (at, window) in text.windows(length).enumerate() {
        if parts.contains(window) {
            hidden[at..at + length].fill(true);
        }
    }
    let mut begins = (SHORTEST..length).rev();
    if let Some(begun) = begins.find(|&begun| text.ends_with(&secret[..begun])) {
        hidden[text.len() - begun..].fill(true);
    }
}

fn lower(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.as_bytes().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_and_tokens_go() {
        let token = "gAAAAABk3vXyz0123456789abcdef";
        assert_eq!(
            scrub(&format!("token {token} has expired\r\nnow"), 200),
            "token [removed] has expired  now"
        );
    }

    #[test]
    fn a_token_at_the_cut_is_not_taken_for_a_word() {
        let token = "gAAAAABk3vXyz0123456789abcdef";
        for limit in 6..40 {
            let shown = scrub(&format!("token {token} has expired"), limit);
            assert!(!shown.contains("gA"), "{limit}: {shown}");
        }
        assert_eq!(scrub("a word", 4), "a wo");
    }

    #[test]
    fn a_known_secret_goes_whole_in_part_and_in_any_case() {
        let redactor = Redactor::new(["k3y-4-Acme", "x9z", "a", ""].map(Secret::from));
        let cases = [
            ("key k3y-4-Acme is not known", "key [removed] is not known"),
            ("key `K3Y-4-ACME`", "key `[removed]`"),
            ("begins with k3y-4-***", "begins with [removed]***"),
            ("ends with ***-Acme", "ends with ***[removed]"),
            ("two: k3y-4-Acmek3y-4-Acme", "two: [removed]"),
            ("éx9zé", "é[removed]é"),
            ("it breaks off at k3y", "it breaks off at [removed]"),
            ("a key of Acme", "a key of Acme"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(redactor.redact(text), expected);
        }
        for limit in 0..40 {
            let shown = redactor.clean("the key is k3y-4-Acme.", limit);
            assert!(!shown.contains("k3"), "{limit}: {shown}");
        }
        assert!(!format!("{redactor:?}").contains("Acme"));
    }

    #[test]
    fn a_secret_has_no_debug() {
        assert!(!format!("{:?}", Secret::from("hunter2")).contains("hunter2"));
    }
}
