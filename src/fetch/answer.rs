//! What an answer says: its body as text, and what it complains about.
//!
//! Words of a source that are to be shown pass through the [`Redactor`] of the credential that was
//! sent: some sources repeat it, and a short one looks like any other word.

use std::io::{ErrorKind, Read};

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::Document;
use super::records::Problem;
use super::shape::ShapeProblem;
use crate::http::Answer;
use crate::secret::Redactor;

/// How a gzip file with a deflated content begins (RFC 1952).
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];
/// How a ZIP archive begins.
const ZIP: [u8; 4] = *b"PK\x03\x04";
/// How much of a foreign text is shown.
pub(super) const SHOWN: usize = 200;
/// How much of a web page is shown; its title is enough.
const EXCERPT: usize = 80;
/// A complaint stands near the beginning; a longer body is no complaint.
pub(super) const COMPLAINT: usize = 64 << 10;
/// How many of the errors of one answer are shown.
const MOST_COMPLAINTS: usize = 3;
/// Where sources put the words that say what is wrong, the most telling first.
const COMPLAINTS: [&str; 8] = [
    "/error/message/value",
    "/error/message",
    "/odata.error/message/value",
    "/error_description",
    "/message",
    "/detail",
    "/errors/0/message",
    "/error",
];

/// Returns the body as UTF-8 without a byte order mark, unpacked if it is a gzip file, converted if its
/// headers say otherwise.
///
/// # Errors
/// If the body is not what its headers say, or is longer than `most` bytes unpacked.
pub(super) fn text(answer: &Answer, most: u64, redactor: &Redactor) -> Result<Bytes, Problem> {
    let body = unpacked(&answer.body, most)?;
    let encoding = match Encoding::for_bom(&body) {
        Some((encoding, length)) if encoding == UTF_8 => return checked(body.slice(length..)),
        Some((encoding, _)) => encoding,
        None => match charset(answer) {
            None => return checked(body),
            Some(label) => Encoding::for_label(label.as_bytes())
                .ok_or_else(|| Problem::Encoding(redactor.clean(label, SHOWN)))?,
        },
    };
    if encoding == UTF_8 {
        return checked(body);
    }
    let (text, _, is_damaged) = encoding.decode(&body);
    if is_damaged {
        return Err(Problem::Encoding(encoding.name().to_owned()));
    }
    Ok(Bytes::from(text.into_owned()))
}

/// Returns what is in a gzip file; any other body as it is. No text begins like one, whatever the
/// headers call it.
fn unpacked(body: &Bytes, most: u64) -> Result<Bytes, Problem> {
    if body.starts_with(&ZIP) {
        return Err(ShapeProblem::Archive.into());
    }
    if !body.starts_with(&GZIP) {
        return Ok(body.clone());
    }
    let mut content = Vec::new();
    let mut reader = MultiGzDecoder::new(body.as_ref()).take(most.saturating_add(1));
    match reader.read_to_end(&mut content) {
        Ok(_) if content.len() as u64 > most => Err(ShapeProblem::Unpacked(most).into()),
        Ok(_) => Ok(Bytes::from(content)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(Problem::Cut),
        Err(_) => Err(ShapeProblem::Gzip.into()),
    }
}

fn checked(body: Bytes) -> Result<Bytes, Problem> {
    match std::str::from_utf8(&body) {
        Ok(_) => Ok(body),
        // A letter may be cut in two; then the answer was cut, and can be asked for again.
        Err(error) if error.error_len().is_none() => Err(Problem::Cut),
        Err(_) => Err(Problem::Encoding(UTF_8.name().to_owned())),
    }
}

fn charset(answer: &Answer) -> Option<&str> {
    let parameters = answer.header("content-type")?.split(';').skip(1);
    parameters
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .map(|(_, label)| label.trim().trim_matches('"'))
}

/// Returns what the answer is instead of what is `wanted`, if it plainly is something else.
pub(super) fn foreign(
    answer: &Answer,
    body: &str,
    wanted: &'static str,
    redactor: &Redactor,
) -> Option<Document> {
    let begins = body.trim_start();
    let media = answer
        .header("content-type")
        .and_then(|media| media.split(';').next());
    let media = media.map(|media| redactor.clean(media, SHOWN));
    let says = |word: &str| media.as_deref().is_some_and(|media| media.contains(word));
    let kind = if wanted == "CSV" && says("json") {
        "JSON"
    } else if !begins.starts_with('<') {
        return None;
    } else if begins.starts_with("<?xml") && !says("html") {
        "XML"
    } else {
        "HTML"
    };
    Some(Document {
        kind,
        wanted,
        media,
        begins: redactor.clean(begins, EXCERPT),
    })
}

/// Returns the words with which a source refuses: from its body, or from a `Reason` header.
pub(super) fn complaint(answer: &Answer, redactor: &Redactor) -> Option<String> {
    let reason = answer.header("reason").map(str::to_owned);
    let words = in_body(&answer.body);
    let said = [reason, words]
        .into_iter()
        .flatten()
        .filter(|words| !words.is_empty());
    let said = said
        .map(|words| redactor.clean(&words, SHOWN))
        .collect::<Vec<_>>()
        .join(": ");
    (!said.is_empty()).then_some(said)
}

/// Returns what a GraphQL answer says went wrong (GraphQL specification, section 7.1.2): with status
/// 200, and `data` may stand beside it.
pub(super) fn graph_ql_errors(body: &str, redactor: &Redactor) -> Option<GraphQlErrors> {
    #[derive(serde::Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
        #[serde(borrow)]
        errors: Option<Vec<&'a RawValue>>,
    }
    #[derive(serde::Deserialize)]
    struct Complaint {
        message: String,
    }
    // A body that is none is told by whoever looks for its records.
    let Envelope { data, errors } = serde_json::from_str(body).ok()?;
    let errors = errors.filter(|errors| !errors.is_empty())?;
    let messages: Vec<_> = errors
        .iter()
        .take(MOST_COMPLAINTS)
        .filter_map(|error| serde_json::from_str::<Complaint>(error.get()).ok())
        .map(|complaint| redactor.clean(&complaint.message, SHOWN))
        .collect();
    Some(GraphQlErrors {
        has_data: data.is_some_and(|data| data.get() != "null"),
        message: (!messages.is_empty()).then(|| messages.join("; ")),
    })
}

/// What a GraphQL answer says went wrong.
pub(super) struct GraphQlErrors {
    /// True if there is data beside the errors.
    pub(super) has_data: bool,
    /// Their messages, cleaned.
    pub(super) message: Option<String>,
}

fn in_body(body: &[u8]) -> Option<String> {
    if body.len() > COMPLAINT {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let words = COMPLAINTS
        .iter()
        .find_map(|place| body.pointer(place)?.as_str());
    Some(words?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeaderMap;

    fn answer(headers: &[(&'static str, &str)], body: &[u8]) -> Answer {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let url = "https://api.example.com/".parse().unwrap();
        Answer {
            status: 200,
            headers,
            body: Bytes::copy_from_slice(body),
            url,
        }
    }

    #[test]
    fn bodies_become_utf_8() {
        let typed = |kind| [("content-type", kind)];
        let utf_16 = [
            b"\xff\xfe".as_slice(),
            &"[\"é\"]"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<_>>(),
        ]
        .concat();
        let cases: [(&str, &[u8], Result<&str, &str>); 9] = [
            ("application/json", "[\"é\"]".as_bytes(), Ok("[\"é\"]")),
            ("application/json", b"\xef\xbb\xbf[]", Ok("[]")),
            (
                "application/json; charset=UTF-8",
                "[\"é\"]".as_bytes(),
                Ok("[\"é\"]"),
            ),
            (
                "application/json;odata=verbose; Charset=\"iso-8859-1\"",
                b"[\"\xe9\"]",
                Ok("[\"é\"]"),
            ),
            (
                "text/plain; charset=windows-1252",
                b"[\"\x80\"]",
                Ok("[\"€\"]"),
            ),
            ("application/json", &utf_16, Ok("[\"é\"]")),
            (
                "application/json",
                b"[\"\xe9\"]",
                Err("is not valid UTF-8 text"),
            ),
            (
                "application/json",
                b"[\"\xc3",
                Err("ended in the middle of its JSON"),
            ),
            (
                "application/json; charset=klingon",
                b"[]",
                Err("is not valid klingon text"),
            ),
        ];
        for (kind, body, expected) in cases {
            let text = text(&answer(&typed(kind), body), 1_000, &Redactor::default())
                .map_err(|problem| problem.to_string());
            let text = text.as_ref().map(|text| std::str::from_utf8(text).unwrap());
            assert_eq!(text.map_err(String::as_str), expected, "{kind}");
        }
    }

    #[test]
    fn complaints_are_found_and_cleaned() {
        let cases = [
            (
                r#"{"error":{"code":"","message":{"lang":"","value":"No  such field 'X'"}}}"#,
                Some("No  such field 'X'"),
            ),
            (
                r#"{"error":{"code":"Forbidden","message":"Insufficient privileges"}}"#,
                Some("Insufficient privileges"),
            ),
            (
                r#"{"error":"invalid_scope","error_description":"no"}"#,
                Some("no"),
            ),
            (r#"{"errors":[{"message":"a"},{"message":"b"}]}"#, Some("a")),
            (
                r#"{"error":"gAAAAABk3vXyz0123456789abcdef"}"#,
                Some("[removed]"),
            ),
            (r#"{"ok":false}"#, None),
            ("<html>", None),
            ("", None),
        ];
        for (body, words) in cases {
            assert_eq!(
                complaint(&answer(&[], body.as_bytes()), &Redactor::default()).as_deref(),
                words,
                "{body}"
            );
        }
        let reason = answer(&[("reason", "NoDivisionAccess")], b"");
        assert_eq!(
            complaint(&reason, &Redactor::default()).as_deref(),
            Some("NoDivisionAccess")
        );
    }
}
