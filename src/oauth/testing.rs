//! What the tests of this room share.

use std::time::Duration;

use crate::config::{
    BodyFormat, ClientAuth, Grant, OAuth, RefreshPolicy, RefreshWindow, RetryInDoubt, SecretSource,
};
use crate::secret::Secret;

/// A plain client of the token endpoint at `token_url`.
pub(super) fn oauth(token_url: &str) -> OAuth {
    OAuth {
        grant: Grant::AuthorizationCode {
            authorize_url: "https://login.example.com/authorize?tenant=7"
                .parse()
                .unwrap(),
            redirect_uri: "https://test.local/callback".parse().unwrap(),
            pkce: true,
            params: vec![("prompt".into(), "login".into())],
        },
        token_url: token_url.parse().unwrap(),
        client_id: "client".into(),
        client_secret: Some(SecretSource::Literal(Secret::from("CANARY-client-secret"))),
        client_auth: ClientAuth::Body,
        body: BodyFormat::Form,
        scopes: Vec::new(),
        scope_separator: " ".into(),
        token_params: Vec::new(),
        window: RefreshWindow::default(),
        policy: RefreshPolicy::Ahead,
        retry_in_doubt: RetryInDoubt::AtOnce,
        refresh_token_idle: None,
        default_lifetime: Duration::from_secs(3600),
        errors: Vec::new(),
    }
}
