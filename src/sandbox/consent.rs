//! Where a person says yes: the authorization endpoint and its page.

use std::collections::HashMap;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use url::{Url, form_urlencoded};

use super::provider::{Provider, Shared};
use super::reply::Reply;

/// The longest query or form that is read.
const MAX_FORM: usize = 16 * 1024;

/// Shows the page on which a person allows the app in, or not.
pub(super) async fn ask(State(provider): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let given = fields(query.unwrap_or_default().as_bytes());
    let provider = provider.lock();
    match provider.asked_rightly(&given) {
        Err(words) => refuse(words).into_response(),
        Ok(back) if given.get("response_type").map(String::as_str) != Some("code") => {
            send_back(back, &[("error", "unsupported_response_type")], &given).into_response()
        }
        Ok(_) => Reply::html(StatusCode::OK, page(&given)).into_response(),
    }
}

/// Takes the person's word and sends them back to the app.
pub(super) async fn decide(State(provider): State<Shared>, body: Bytes) -> Response {
    let given = fields(&body);
    let mut provider = provider.lock();
    let back = match provider.asked_rightly(&given) {
        Err(words) => return refuse(words).into_response(),
        Ok(back) => back,
    };
    if given.get("decision").map(String::as_str) != Some("Allow") {
        return send_back(back, &[("error", "access_denied")], &given).into_response();
    }
    let now = provider.now();
    let redirect_uri = given
        .get("redirect_uri")
        .map(String::as_str)
        .unwrap_or_default();
    let code = provider.authority.consent(redirect_uri, now);
    send_back(back, &[("code", &code)], &given).into_response()
}

impl Provider {
    /// Checks what must hold before anybody is sent anywhere.
    fn asked_rightly(&self, given: &HashMap<String, String>) -> Result<Url, &'static str> {
        if given.get("client_id") != Some(&self.authority.client_id) {
            return Err("This app is not known.");
        }
        let uri = given
            .get("redirect_uri")
            .map(String::as_str)
            .unwrap_or_default();
        match Url::parse(uri) {
            Ok(url) if self.authority.sends_back_to(uri) => Ok(url),
            _ => Err("The redirect URI is not the registered one."),
        }
    }
}

/// Reads a query or a form; of a name given twice, the last counts.
fn fields(bytes: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(&bytes[..bytes.len().min(MAX_FORM)])
        .into_owned()
        .collect()
}

/// Says no on a page: whoever asked wrongly is not sent anywhere.
fn refuse(words: &str) -> Reply {
    let page = format!("<!DOCTYPE html><title>Error</title><p>{words}");
    Reply::html(StatusCode::UNAUTHORIZED, page)
}

fn send_back(mut uri: Url, outcome: &[(&str, &str)], given: &HashMap<String, String>) -> Reply {
    uri.query_pairs_mut().extend_pairs(outcome);
    if let Some(state) = given.get("state") {
        uri.query_pairs_mut().append_pair("state", state);
    }
    Reply::empty(StatusCode::SEE_OTHER)
        .with(header::LOCATION, uri.as_str())
        .with(header::CACHE_CONTROL, "no-store")
        .with(HeaderName::from_static("referrer-policy"), "no-referrer")
}

fn page(given: &HashMap<String, String>) -> String {
    let hidden: String = ["client_id", "redirect_uri", "state"]
        .iter()
        .filter_map(|name| Some((name, given.get(*name)?)))
        .map(|(name, value)| {
            format!(
                "<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n",
                escaped(value)
            )
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><title>Sandbox: allow access</title>\n\
         <h1>Allow tidegate to read your projects?</h1>\n\
         <p>This is the sandbox: nobody's data, on this machine only.\n\
         <form method=\"post\" action=\"/api/oauth2/auth\">\n{hidden}\
         <button name=\"decision\" value=\"Allow\">Allow</button>\n\
         <button name=\"decision\" value=\"Deny\">Deny</button>\n</form></html>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
