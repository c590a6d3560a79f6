//! Next links, spelled as the service spells them.

use std::fmt::Write as _;

use crate::sandbox::cell::Cell;

/// Spells the next page's query: what was `given`, in its order, and the values of the last record
/// sent, after which to go on. Where a `$top` was asked for, what is left of it comes first.
pub(super) fn next(given: &[(String, String)], top: Option<usize>, last: &[&Cell]) -> String {
    let marks: Vec<String> = last.iter().map(|cell| cell.literal()).collect();
    let token = ("$skiptoken".to_owned(), marks.join(","));
    let mut parts: Vec<(String, String)> = given
        .iter()
        .filter(|(name, _)| name != "$skiptoken" && name != "$top")
        .cloned()
        .collect();
    match top {
        Some(left) => {
            parts.splice(0..0, [token, ("$top".to_owned(), left.to_string())]);
        }
        None => parts.push(token),
    }
    let spelled = parts
        .iter()
        .map(|(name, value)| format!("{}={}", half_encoded(name), half_encoded(value)));
    spelled.collect::<Vec<_>>().join("&")
}

/// Encodes as the service's own links do: blanks and colons in percent, `$ , '` and brackets raw.
/// A client that takes such a link apart and builds it again changes it.
fn half_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$,'()".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let written = write!(out, "%{byte:02X}");
            debug_assert!(written.is_ok(), "writing into a string cannot fail");
        }
    }
    out
}
