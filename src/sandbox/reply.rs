//! An answer before it is sent: status, headers and a whole body.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;

use super::cell::write_quoted;

/// An answer that is ready to be sent, or to be spoiled.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// Makes an answer without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Makes an answer of JSON text.
    pub(super) fn json(status: StatusCode, text: impl Into<String>) -> Self {
        Self::of(status, "application/json; charset=utf-8", text.into())
    }

    /// Makes an answer for a person's browser.
    pub(super) fn html(status: StatusCode, text: impl Into<String>) -> Self {
        Self::of(status, "text/html; charset=utf-8", text.into())
    }

    /// Makes an answer of this content type.
    pub(super) fn of(status: StatusCode, kind: &'static str, text: String) -> Self {
        let mut reply = Self {
            body: Bytes::from(text),
            ..Self::empty(status)
        };
        reply
            .headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        reply
    }

    /// Makes an error in the API's own words.
    pub(super) fn error(status: StatusCode, words: &str) -> Self {
        let mut text = r#"{"error":{"code":"","message":{"lang":"","value":"#.to_owned();
        write_quoted(&mut text, words);
        text.push_str("}}}");
        Self::json(status, text)
    }

    /// Adds a header. A value that cannot be one is left out.
    pub(super) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
