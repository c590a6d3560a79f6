//! How sources say that they no longer know what they were asked to go on from; as data.

/// An answer that means so: its status, and a word that its body must have, if the status alone may
/// mean something else.
type Sign = (u16, Option<&'static str>);

/// The answers that mean so.
const SIGNS: [Sign; 7] = [
    // Microsoft Graph, Google.
    (410, None),
    // Asana.
    (412, None),
    // Dropbox.
    (409, Some("reset")),
    // Microsoft Graph, by resource.
    (400, Some("syncStateNotFound")),
    (400, Some("syncStateInvalid")),
    (400, Some("resyncRequired")),
    // Google People.
    (400, Some("EXPIRED_SYNC_TOKEN")),
];

/// The most bytes of a body that are looked through; an error is short.
const LOOKED_AT: usize = 64 << 10;

/// Returns true if an answer means that the source no longer knows the link or word it was sent, and
/// wants to be read anew.
pub(super) fn is_reset(status: u16, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&body[..body.len().min(LOOKED_AT)]).to_lowercase();
    SIGNS.iter().any(|(of, word)| {
        *of == status && word.is_none_or(|word| text.contains(&word.to_lowercase()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_start_over_is_told_from_other_refusals() {
        let cases = [
            (410, "", true),
            (412, r#"{"message":"Sync token invalid"}"#, true),
            (409, r#"{"error_summary":"reset/.."}"#, true),
            (409, r#"{"error_summary":"path/not_found/.."}"#, false),
            (400, r#"{"error":{"code":"SyncStateNotFound"}}"#, true),
            (400, r#"{"error":{"code":"resyncRequired"}}"#, true),
            (400, r#"{"error":{"code":"BadRequest"}}"#, false),
            (404, "", false),
            (200, "reset", false),
        ];
        for (status, body, expected) in cases {
            assert_eq!(
                is_reset(status, body.as_bytes()),
                expected,
                "{status} {body}"
            );
        }
    }
}
