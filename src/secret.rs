//! Text that must never be shown.

pub use secrecy::ExposeSecret;

/// A secret: it cannot be printed, compared by accident, or left in memory when dropped.
pub type Secret = secrecy::SecretString;

/// The shortest run of token-like characters that [`scrub`] takes for a secret.
const TOKEN_LIKE: usize = 20;

/// Returns `text` fit to be shown: control characters and anything that could be a token replaced.
///
/// For words that came from outside, such as an `error_description`, which some servers fill
/// with the very token they refuse. At most `limit` characters are kept.
#[must_use]
pub fn scrub(text: &str, limit: usize) -> String {
    let mut shown = String::new();
    let mut run = String::new();
    for letter in text.chars().take(limit).chain(std::iter::once(' ')) {
        if letter.is_ascii_alphanumeric() || "-_.~+/=!%".contains(letter) {
            run.push(letter);
            continue;
        }
        match run.chars().count() {
            count if count >= TOKEN_LIKE => shown.push_str("[removed]"),
            _ => shown.push_str(&run),
        }
        run.clear();
        shown.push(if letter.is_control() { ' ' } else { letter });
    }
    shown.trim_end().to_owned()
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
    fn a_secret_has_no_debug() {
        assert!(!format!("{:?}", Secret::from("hunter2")).contains("hunter2"));
    }
}
