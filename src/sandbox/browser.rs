//! What a person's browser does with an authorization page, for those who have no person.

use std::collections::HashMap;

use url::{Url, form_urlencoded};

/// Why nobody could be sent back to the app.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// The page could not be fetched, or the answer not sent.
    #[error("could not reach the authorization page")]
    Unreachable(#[source] reqwest::Error),
    /// The page was not one that asks a person, or it sent nobody back.
    #[error("the authorization page answered {0}")]
    Refused(u16),
}

/// What a person says to the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The app may.
    Allow,
    /// The app may not.
    Deny,
}

/// Opens the page at `authorize_url`, answers it, and returns where it sends the browser.
pub(super) async fn decide(authorize_url: &Url, decision: Decision) -> Result<Url, ConsentError> {
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // Plain HTTP to this machine: no proxy, and no certificates to read.
        .no_proxy()
        .tls_certs_only([])
        .build()
        .map_err(ConsentError::Unreachable)?;
    let shown = browser
        .get(authorize_url.clone())
        .send()
        .await
        .map_err(unreachable)?;
    if shown.status() != reqwest::StatusCode::OK {
        return sent_back(&shown);
    }
    // The page's form repeats what the address said; its fields need not be read from the HTML.
    let given: HashMap<_, _> = authorize_url.query_pairs().collect();
    let mut form = form_urlencoded::Serializer::new(String::new());
    for name in ["client_id", "redirect_uri", "state"] {
        if let Some(value) = given.get(name) {
            form.append_pair(name, value);
        }
    }
    form.append_pair(
        "decision",
        match decision {
            Decision::Allow => "Allow",
            Decision::Deny => "Deny",
        },
    );
    let mut page = authorize_url.clone();
    page.set_query(None);
    let answer = browser
        .post(page)
        .header(
            reqwest::header::CONTENT_TYPE,
            "application/x-www-form-urlencoded",
        )
        .body(form.finish())
        .send()
        .await
        .map_err(unreachable)?;
    sent_back(&answer)
}

fn sent_back(answer: &reqwest::Response) -> Result<Url, ConsentError> {
    let location = answer.headers().get(reqwest::header::LOCATION);
    location
        .and_then(|location| Url::parse(location.to_str().ok()?).ok())
        .ok_or(ConsentError::Refused(answer.status().as_u16()))
}

fn unreachable(error: reqwest::Error) -> ConsentError {
    // The address carries `state`, which is nobody's business.
    ConsentError::Unreachable(error.without_url())
}
