//! A connection: one configured client at one source.

mod address;
mod base;
mod client;
mod endpoints;
mod grant;
mod login;
mod manners;
mod oauth;
mod placement;
mod read;
mod refresh;
mod session;
mod unattended;

use std::time::Duration;

use jiff::tz::TimeZone;
use reqwest::header::{AUTHORIZATION, HeaderName};
use serde_json::{Map, Value};
use url::{Origin, Url};

use super::facts::FactName;
use super::{Name, SecretSource};
use crate::record::FieldPath;
use crate::template::Template;

pub use base::{BaseError, BaseTemplate};
pub use endpoints::{Endpoints, Issuer};
pub use manners::{Budget, Left, LimitHeaders, Manners, Reserve};
pub use session::{Call, Session, SessionEnd, TokenAt};

pub(in crate::config) use address::below;
pub(in crate::config) use read::{Written, read, time_zone};

/// One source and the way in.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Its name in the configuration.
    pub name: Name,
    /// The catalogue entry it started from.
    pub provider: Option<String>,
    /// What relative flow URLs are resolved against.
    pub base_url: Option<Url>,
    /// What makes the base URL out of a login's facts; without it that is known beforehand.
    pub base_url_template: Option<BaseTemplate>,
    /// How requests are authorized.
    pub auth: Auth,
    /// Where a request carries the token, whichever way it is had.
    pub placement: Placement,
    /// Headers sent with every request of every flow.
    pub headers: Vec<(String, Template)>,
    /// Origins besides the base URL's own that may be sent the access token.
    pub allow_hosts: Vec<Origin>,
    /// The zone of wall-clock times this source sends; `None` if it was never said.
    pub time_zone: Option<TimeZone>,
    /// How politely the source is asked.
    pub manners: Manners,
    /// The longest one request may take, from connecting to the last byte.
    pub timeout: Duration,
}

impl Connection {
    /// Returns true if people sign in to it, so that it can have named accounts.
    #[must_use]
    pub fn has_accounts(&self) -> bool {
        matches!(&self.auth, Auth::OAuth(oauth) if oauth.grant.is_login())
    }

    /// Returns true if people sign in to it on another device.
    #[must_use]
    pub fn signs_in_elsewhere(&self) -> bool {
        matches!(&self.auth, Auth::OAuth(oauth) if matches!(oauth.grant, Grant::DeviceCode { .. }))
    }

    /// Returns the names of the facts that are kept with its credential.
    #[must_use]
    pub fn facts(&self) -> &[FactName] {
        self.auth.facts()
    }

    /// Returns every origin that may be sent the access token.
    #[must_use]
    pub fn origins(&self) -> Vec<Origin> {
        self.base_url
            .iter()
            .map(Url::origin)
            .chain(self.allow_hosts.iter().cloned())
            .collect()
    }
}

/// How requests to the source are authorized.
#[derive(Debug, Clone)]
pub enum Auth {
    /// They are not.
    None,
    /// By an access token that an authorization server issued.
    OAuth(Box<OAuth>),
    /// By a token that does not change.
    Token(SecretSource),
    /// By a user name and a password (RFC 7617).
    Basic(Box<Basic>),
}

impl Auth {
    fn facts(&self) -> &[FactName] {
        match self {
            Self::OAuth(oauth) => &oauth.facts,
            Self::None | Self::Token(_) | Self::Basic(_) => &[],
        }
    }
}

/// A user name and a password, as HTTP Basic wants them.
#[derive(Debug, Clone)]
pub struct Basic {
    /// Whose password it is. Many sources want their key here, so it counts as a secret.
    pub username: SecretSource,
    /// The password; `None` is an empty one.
    pub password: Option<SecretSource>,
}

/// Where a request carries its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// In a header.
    Header {
        /// Its name.
        name: HeaderName,
        /// The word before the token, if there is one.
        scheme: Option<String>,
    },
    /// In the query, as the parameter of this name.
    Query(String),
}

impl Placement {
    /// The word before a token in `Authorization` (RFC 6750 section 2.1).
    pub(in crate::config) const BEARER: &str = "Bearer";
}

impl Default for Placement {
    /// `Authorization: Bearer …`.
    fn default() -> Self {
        Self::Header {
            name: AUTHORIZATION,
            scheme: Some(Self::BEARER.to_owned()),
        }
    }
}

/// One client at one authorization server (RFC 6749).
#[derive(Debug, Clone)]
pub struct OAuth {
    /// How access is obtained.
    pub grant: Grant,
    /// The authorization server's name, by which it is asked for what `endpoints` does not say.
    pub issuer: Option<Issuer>,
    /// Where the authorization server answers; the token endpoint is here or `issuer` is there.
    pub endpoints: Endpoints,
    /// The client's name at the server.
    pub client_id: String,
    /// Its secret; `None` for a public client.
    pub client_secret: Option<SecretSource>,
    /// How the client proves who it is.
    pub client_auth: ClientAuth,
    /// The private key by which it signs or connects; `None` if nothing needs one.
    pub client_key: Option<ClientKey>,
    /// How token requests are written.
    pub body: BodyFormat,
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// What stands between them.
    pub scope_separator: String,
    /// The APIs the access token is for (RFC 8707), to the letter.
    pub resources: Vec<String>,
    /// Parameters added to every token request.
    pub token_params: Vec<(String, String)>,
    /// When a refresh is due.
    pub window: RefreshWindow,
    /// Whether a token is kept fresh or fetched when needed.
    pub policy: RefreshPolicy,
    /// What to do after an answer was lost.
    pub retry_in_doubt: RetryInDoubt,
    /// How long a refresh token lives unused, if the provider says so.
    pub refresh_token_idle: Option<Duration>,
    /// How long a login lasts whatever is done, if the provider says so.
    pub refresh_token_absolute: Option<Duration>,
    /// How many token requests the provider allows.
    pub refresh_limits: Vec<Budget>,
    /// The access token's life where the answer does not say.
    pub default_lifetime: Duration,
    /// Where the tokens stand in an answer, if they are not its own members.
    pub token_path: Option<FieldPath>,
    /// What is kept of the redirect and the token answers beside the tokens.
    pub facts: Vec<FactName>,
    /// What this server calls tokens that are sent as bearer tokens are, besides that.
    pub token_types: Vec<String>,
    /// Where this server's errors mean something else than RFC 6749 says; the first match counts.
    pub errors: Vec<ErrorRule>,
}

impl OAuth {
    /// Returns the URL by which its authorization server is told from others: the token endpoint,
    /// or the server's name where it must be asked for that.
    #[must_use]
    pub fn authority(&self) -> &Url {
        let named = self.issuer.as_ref().map(Issuer::url);
        let authority = self.endpoints.token.as_ref().or(named);
        authority.expect("a connection without a token endpoint names its authorization server")
    }

    /// Returns true if both are at the same authorization server.
    #[must_use]
    pub fn is_same_server(&self, other: &Self) -> bool {
        self.authority().origin() == other.authority().origin()
    }

    /// Returns true if `other` is the same client at the same server: what refuses one refuses both.
    #[must_use]
    pub fn is_same_client(&self, other: &Self) -> bool {
        self.authority() == other.authority()
            && self.client_id == other.client_id
            && self.client_auth == other.client_auth
    }

    /// Returns true if connections to the authorization server are opened with the client's
    /// certificate: to be known by it, or to have tokens bound to it (RFC 8705 sections 2 and 3).
    #[must_use]
    pub fn shows_certificate(&self) -> bool {
        self.client_auth == ClientAuth::TlsClientAuth || self.shows_certificate_to_api()
    }

    /// Returns true if connections to the API are opened with the client's certificate.
    #[must_use]
    pub fn shows_certificate_to_api(&self) -> bool {
        let key = self.client_key.as_ref();
        key.is_some_and(|key| key.is_shown_to_api)
    }

    /// Returns true if the client signs assertions.
    #[must_use]
    pub fn signs(&self) -> bool {
        self.client_auth == ClientAuth::PrivateKeyJwt
            || matches!(self.grant, Grant::JwtBearer { .. })
    }
}

/// How access is obtained (RFC 6749 section 1.3).
#[derive(Debug, Clone)]
pub enum Grant {
    /// A person signs in; a refresh token keeps the connection alive.
    AuthorizationCode {
        /// Where the server sends the person back to, exactly as registered.
        redirect_uri: Url,
        /// Whether the code is bound to us by PKCE S256 (RFC 7636).
        pkce: bool,
        /// Parameters added to the authorization request.
        params: Vec<(String, String)>,
    },
    /// A person signs in on another device, with a code that we show (RFC 8628).
    DeviceCode {
        /// Parameters added to the device authorization request.
        params: Vec<(String, String)>,
    },
    /// The client itself is the resource owner.
    ClientCredentials,
    /// A person's user name and password are sent (RFC 6749 section 4.3).
    Password {
        /// Whose password it is.
        username: String,
        /// The password.
        password: SecretSource,
    },
    /// An assertion of our own is sent in place of a person's consent (RFC 7523 section 2.1). It
    /// is signed with the client's key.
    JwtBearer {
        /// What it says, besides when it was made and when it ends.
        claims: Map<String, Value>,
    },
    /// A refresh token that was obtained elsewhere and brought in keeps the connection alive.
    RefreshToken,
    /// A login of the source's own making, without OAuth. Its token is kept as an access token is.
    Session(Box<Session>),
}

impl Grant {
    /// Returns true if people grant access by signing in, so that there may be several accounts.
    #[must_use]
    pub fn is_login(&self) -> bool {
        match self {
            Self::AuthorizationCode { .. } | Self::DeviceCode { .. } => true,
            Self::RefreshToken
            | Self::ClientCredentials
            | Self::Password { .. }
            | Self::JwtBearer { .. }
            | Self::Session(_) => false,
        }
    }

    /// Returns true if access can be had again at any time without a person, because the
    /// configuration holds all it takes.
    #[must_use]
    pub fn is_unattended(&self) -> bool {
        match self {
            Self::ClientCredentials
            | Self::Password { .. }
            | Self::JwtBearer { .. }
            | Self::Session(_) => true,
            Self::AuthorizationCode { .. } | Self::DeviceCode { .. } | Self::RefreshToken => false,
        }
    }
}

/// How the client proves who it is at the token endpoint (RFC 6749 section 2.3, RFC 7523, RFC 8705).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// HTTP Basic, id and secret form-encoded first.
    Basic,
    /// `client_id` and `client_secret` in the body.
    Body,
    /// `client_id` in the body and no secret.
    None,
    /// `client_id` in the body, with an assertion signed by the client's key (RFC 7523 section 2.2).
    PrivateKeyJwt,
    /// `client_id` in the body, over a connection opened with the client's certificate (RFC 8705
    /// section 2).
    TlsClientAuth,
}

/// A private key of ours, and how a server knows it.
#[derive(Debug, Clone)]
pub struct ClientKey {
    /// The key, as PEM.
    pub private_key: SecretSource,
    /// Its certificate, as PEM.
    pub certificate: Option<SecretSource>,
    /// Whether the API is shown the certificate too, because its access tokens are good only with it
    /// (RFC 8705 section 3).
    pub is_shown_to_api: bool,
    /// The server's name for it, sent as `kid`.
    pub id: Option<String>,
    /// The algorithm the person named; the key decides it.
    pub algorithm: Option<SigningAlgorithm>,
    /// Whom assertions are for; the issuer, or the token endpoint, unless said.
    pub audience: Option<String>,
    /// How long an assertion is good for.
    pub lifetime: Duration,
}

/// How what we sign ourselves is signed (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    /// Returns its registered name, as it stands in a token's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// How token requests are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFormat {
    /// `application/x-www-form-urlencoded`, as RFC 6749 has it.
    Form,
    /// A JSON object, as some servers want it.
    Json,
}

/// When, in the life of an access token, a refresh may and should happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RefreshWindow {
    /// The earliest moment after the last token request at which the server accepts another.
    pub not_before: Option<Duration>,
    /// When we refresh, counted from the last token request; derived from the token's life unless set.
    pub target: Option<Duration>,
}

/// Whether an access token is kept fresh while nobody uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshPolicy {
    /// Refreshed whenever its window opens.
    Ahead,
    /// Refreshed ahead only when a run is due before it expires, and to keep the refresh token
    /// alive: for providers that count token requests.
    WhenNeeded,
}

/// What happens to the old refresh token after an answer was lost on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryInDoubt {
    /// It is tried again at once, while a grace period may be open.
    AtOnce,
    /// The access token is used until it ends, then it is tried again: for servers that revoke
    /// everything when a consumed refresh token is seen again.
    AfterExpiry,
    /// It is never tried again: for servers that alarm people when they see it. The access token is
    /// used until it ends, then somebody must sign in.
    Never,
}

/// One way in which a server's error answers differ from the standard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorRule {
    /// The `error` code this rule is about, or any.
    pub error: Option<String>,
    /// Words the answer must contain, whatever their case, or any.
    pub contains: Option<String>,
    /// What it means.
    pub means: Meaning,
}

/// What an error answer of a token endpoint means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Asked too early; nothing was consumed.
    TooEarly,
    /// It may work later.
    Transient,
    /// The client or the request is configured wrongly.
    Configuration,
    /// The grant is gone; a person must sign in.
    DeadGrant,
}
