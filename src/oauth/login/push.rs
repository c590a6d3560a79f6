//! The parameters of a login, left with the server beforehand (RFC 9126), so that the browser carries
//! only a reference to them.

use std::time::Duration;

use serde::Deserialize;

use super::{Error, refusal};
use crate::config::Account;
use crate::http::Answer;
use crate::secret::Redactor;

/// The most characters of a reference: it goes into an address.
const LONGEST_URI: usize = 1024;

/// Where the parameters are.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::oauth) struct Pushed {
    /// The reference.
    pub request_uri: String,
    /// How long it is good for.
    pub lifetime: Duration,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    request_uri: Option<String>,
    expires_in: Option<u64>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Reads the answer (RFC 9126 sections 2.2 and 2.3).
///
/// # Errors
/// If the server did not take them.
pub(in crate::oauth) fn read(
    account: &Account,
    answer: &Answer,
    sent: &Redactor,
) -> Result<Pushed, Error> {
    let message = serde_json::from_slice::<Message>(&answer.body).unwrap_or_default();
    match (answer.status, message) {
        // 201 by the standard; some say 200.
        (
            200 | 201,
            Message {
                request_uri: Some(uri),
                expires_in,
                ..
            },
        ) if is_reference(&uri) => Ok(Pushed {
            request_uri: uri,
            lifetime: Duration::from_secs(expires_in.unwrap_or(60)),
        }),
        (
            _,
            Message {
                error: Some(code),
                error_description,
                ..
            },
        ) => {
            let description = error_description.map(|words| sent.redact(&words));
            Err(refusal::refusal(account, &code, description.as_deref()))
        }
        (status, _) => {
            let (account, detail) = (account.clone(), format!("HTTP {status}"));
            Err(match status {
                429 | 500.. => Error::ServerTrouble { account, detail },
                _ => Error::RequestRefused {
                    account,
                    detail,
                    look_at: "`pushed_authorization_request_url`",
                },
            })
        }
    }
}

fn is_reference(uri: &str) -> bool {
    (1..=LONGEST_URI).contains(&uri.len()) && uri.bytes().all(|byte| byte.is_ascii_graphic())
}
