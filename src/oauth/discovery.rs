//! What an authorization server says of itself (RFC 8414, OpenID Connect Discovery 1.0); pure.

use serde::Deserialize;
use url::Url;

use crate::config::{Endpoints, Issuer, OAuth};
use crate::http;
use crate::remedy::Remedy;

/// The longest document we read.
pub(super) const LIMIT: u64 = 512 * 1024;
/// How much of another server's name is shown.
const LONGEST_NAME: usize = 200;
/// What stands in the name that Microsoft's servers for all tenants give themselves, where a name
/// of one tenant has its id.
const ANY_TENANT: &str = "{tenantid}";

/// Why it is not known where a server answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It could not be asked.
    #[error("{cause}")]
    Unreachable {
        /// Why.
        cause: String,
    },
    /// It has nothing to say there.
    #[error("{url} answered HTTP {status}")]
    Status {
        /// Where it was asked.
        url: String,
        /// What it answered.
        status: u16,
    },
    /// What it says is not used.
    #[error("what {url} says is not used: {unfit}")]
    Unfit {
        /// Where it was asked.
        url: String,
        /// Why.
        unfit: Unfit,
    },
    /// It was asked, and does not say where tokens are had.
    #[error("neither the configuration nor the server's metadata say where tokens are had")]
    NoTokenEndpoint,
}

impl Error {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Unreachable { .. } => Remedy::Wait,
            Self::Status { status, .. } if *status >= 500 => Remedy::Wait,
            Self::Status { .. } | Self::Unfit { .. } | Self::NoTokenEndpoint => Remedy::EditConfig,
        }
    }

    /// Says what to do about it, if there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unfit {
                unfit: Unfit::OtherIssuer { .. },
                ..
            } => {
                Some("write the `issuer` as the server does, or `token_url` and the others instead")
            }
            Self::NoTokenEndpoint => Some("write `token_url`"),
            Self::Status { status, .. } if *status >= 500 => None,
            Self::Status { .. } | Self::Unfit { .. } => {
                Some("check `issuer`, or write `token_url` and the others instead")
            }
            Self::Unreachable { .. } => None,
        }
    }
}

/// Why a document is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is no JSON object with the members of RFC 8414 section 2.
    #[error("it is not the metadata of an authorization server")]
    NoMetadata,
    /// It is about another server (RFC 8414 section 3.3).
    #[error("it is about `{found}`, which is not the `issuer` to the letter")]
    OtherIssuer {
        /// What the server calls itself, made fit to show.
        found: String,
    },
    /// An endpoint is no URL, or would be sent secrets unencrypted.
    #[error("its `{member}` is not an https URL")]
    Endpoint {
        /// The member.
        member: &'static str,
    },
    /// Something is missing that the server itself makes necessary.
    #[error("it has no `{member}`")]
    Missing {
        /// The member.
        member: &'static str,
    },
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    /// Its name, to the letter.
    pub issuer: String,
    /// Where it answers.
    pub endpoints: Endpoints,
    /// Whether it names itself when it sends a person back (RFC 9207 section 3).
    pub names_itself: bool,
    /// Whether the parameters of a login must be left beforehand (RFC 9126 section 5).
    pub requires_pushed_requests: bool,
}

/// What a server said of itself just now.
pub(super) struct Found {
    /// What it comes to.
    pub metadata: Metadata,
    /// The document, to be kept.
    pub document: String,
}

/// A server that somebody is about to sign in at.
pub(super) struct ForLogin {
    /// The server.
    pub server: Server,
    /// What it said of itself, to be kept once the login has worked.
    pub found: Option<Found>,
    /// What the person should know about it.
    pub notice: Option<String>,
}

/// The members we read.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    pushed_authorization_request_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    userinfo_endpoint: Option<String>,
    jwks_uri: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    require_pushed_authorization_requests: bool,
}

/// Returns where the metadata of `issuer` may be, the likelier place first.
///
/// RFC 8414 puts its word between host and path (section 3.1), OpenID Connect appends its own.
pub(super) fn addresses(issuer: &Issuer, is_openid: bool) -> [Url; 2] {
    let path = issuer.url().path().trim_end_matches('/');
    let at = |path: String| {
        let mut url = issuer.url().clone();
        url.set_path(&path);
        url
    };
    let oauth = at(format!("/.well-known/oauth-authorization-server{path}"));
    let openid = at(format!("{path}/.well-known/openid-configuration"));
    if is_openid {
        [openid, oauth]
    } else {
        [oauth, openid]
    }
}

/// Reads the metadata of `issuer`.
///
/// # Errors
/// If the document is none, is about another server, or leads where no secret may be sent.
pub(super) fn read(issuer: &Issuer, body: &[u8]) -> Result<Metadata, Unfit> {
    let document: Document = serde_json::from_slice(body).map_err(|_| Unfit::NoMetadata)?;
    if !is_named(&document.issuer, issuer.as_str()) {
        let shown = document.issuer.chars().take(LONGEST_NAME);
        let shown = shown.map(|letter| if letter.is_control() { ' ' } else { letter });
        return Err(Unfit::OtherIssuer {
            found: shown.collect(),
        });
    }
    let endpoint = |member, text: Option<String>| {
        let url = text.map(|text| secure(&text, issuer).ok_or(Unfit::Endpoint { member }));
        url.transpose()
    };
    let endpoints = Endpoints {
        authorization: endpoint("authorization_endpoint", document.authorization_endpoint)?,
        token: endpoint("token_endpoint", document.token_endpoint)?,
        refresh: None,
        device_authorization: endpoint(
            "device_authorization_endpoint",
            document.device_authorization_endpoint,
        )?,
        pushed_authorization_request: endpoint(
            "pushed_authorization_request_endpoint",
            document.pushed_authorization_request_endpoint,
        )?,
        revocation: endpoint("revocation_endpoint", document.revocation_endpoint)?,
        userinfo: endpoint("userinfo_endpoint", document.userinfo_endpoint)?,
        jwks: endpoint("jwks_uri", document.jwks_uri)?,
    };
    let requires_pushed_requests = document.require_pushed_authorization_requests;
    if requires_pushed_requests && endpoints.pushed_authorization_request.is_none() {
        let member = "pushed_authorization_request_endpoint";
        return Err(Unfit::Missing { member });
    }
    Ok(Metadata {
        issuer: document.issuer,
        endpoints,
        names_itself: document.authorization_response_iss_parameter_supported,
        requires_pushed_requests,
    })
}

/// Compares byte by byte; where a server says that it has a name for every tenant, whatever stands
/// in the place of the tenant's is that tenant's name.
pub(super) fn is_named(found: &str, issuer: &str) -> bool {
    match found.split_once(ANY_TENANT) {
        None => found == issuer,
        Some((before, after)) => issuer
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('/')),
    }
}

/// Reads an endpoint. Only a server on this machine may say that it answers without encryption,
/// and only on this machine.
fn secure(text: &str, issuer: &Issuer) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_local = |url: &Url| url.scheme() == "http" && http::is_loopback(url);
    let is_secure = url.scheme() == "https" && url.has_host();
    let is_plain =
        url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (is_plain && (is_secure || (is_local(&url) && is_local(issuer.url())))).then_some(url)
}

/// Tells which endpoint that is sent secrets another host would now have, if any.
pub(super) fn moved(before: &Metadata, now: &Metadata) -> Option<String> {
    let of = |metadata: &Metadata| {
        let endpoints = &metadata.endpoints;
        [
            ("token", endpoints.token.clone()),
            ("revocation", endpoints.revocation.clone()),
        ]
    };
    let mut pairs = of(before).into_iter().zip(of(now));
    pairs.find_map(|((what, before), (_, now))| {
        let [before, now] = [before?, now?].map(|url| url.origin().ascii_serialization());
        (before != now).then(|| {
            format!("the server says that its {what} endpoint is at {now} now, not at {before}")
        })
    })
}

/// An authorization server as one connection uses it: what the configuration says, and for the
/// rest what the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Its name to the letter, if it has one.
    pub issuer: Option<String>,
    /// Whether it always names itself when it sends a person back.
    pub names_itself: bool,
    /// Where tokens are had.
    pub token: Url,
    /// Where they are refreshed.
    pub refresh: Url,
    /// Where a person signs in.
    pub authorization: Option<Url>,
    /// Where the parameters of a login are left beforehand, if they are to be.
    pub pushed_requests: Option<Url>,
    /// Where a login on another device begins.
    pub device_authorization: Option<Url>,
    /// Where tokens are given back.
    pub revocation: Option<Url>,
    /// Who tells about the person who signed in.
    pub userinfo: Option<Url>,
    /// Where its public keys are.
    pub jwks: Option<Url>,
}

impl Server {
    /// Returns the server of `oauth`, or nothing if nobody says where tokens are had.
    pub(super) fn of(oauth: &OAuth, metadata: Option<&Metadata>) -> Option<Self> {
        let said = oauth.endpoints.clone();
        let told = metadata.cloned();
        let found = told.as_ref().map(|told| told.endpoints.clone());
        let found = found.unwrap_or_default();
        let named = || {
            oauth
                .issuer
                .as_ref()
                .map(|issuer| issuer.as_str().to_owned())
        };
        let must_push = told
            .as_ref()
            .is_some_and(|told| told.requires_pushed_requests);
        let pushed = found.pushed_authorization_request.filter(|_| must_push);
        let token = said.token.or(found.token)?;
        Some(Self {
            names_itself: told.as_ref().is_some_and(|told| told.names_itself),
            issuer: told.map(|told| told.issuer).or_else(named),
            refresh: said.refresh.unwrap_or_else(|| token.clone()),
            token,
            authorization: said.authorization.or(found.authorization),
            pushed_requests: said.pushed_authorization_request.or(pushed),
            device_authorization: said.device_authorization.or(found.device_authorization),
            revocation: said.revocation.or(found.revocation),
            userinfo: said.userinfo.or(found.userinfo),
            jwks: said.jwks.or(found.jwks),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::oauth;

    fn issuer(text: &str) -> Issuer {
        Issuer::parse(text).unwrap()
    }

    fn document(issuer: &str, members: &str) -> Vec<u8> {
        format!(r#"{{"issuer":"{issuer}","other":[1]{members}}}"#).into_bytes()
    }

    #[test]
    fn the_well_known_word_stands_before_the_path_or_behind_it() {
        // issuer, RFC 8414 section 3.1, OpenID Connect Discovery 4.1
        let cases = [
            (
                "https://example.com",
                "https://example.com/.well-known/oauth-authorization-server",
                "https://example.com/.well-known/openid-configuration",
            ),
            (
                "https://example.com/issuer1",
                "https://example.com/.well-known/oauth-authorization-server/issuer1",
                "https://example.com/issuer1/.well-known/openid-configuration",
            ),
            (
                "https://example.com:8443/a/b/",
                "https://example.com:8443/.well-known/oauth-authorization-server/a/b",
                "https://example.com:8443/a/b/.well-known/openid-configuration",
            ),
        ];
        for (name, oauth, openid) in cases {
            let name = issuer(name);
            let shown = |is_openid| addresses(&name, is_openid).map(|url| url.to_string());
            assert_eq!(shown(false), [oauth, openid]);
            assert_eq!(shown(true), [openid, oauth]);
        }
    }

    #[test]
    fn the_issuer_must_be_the_same_to_the_letter() {
        let tenants = "https://login.example.com/{tenantid}/v2.0";
        // configured, found, the same
        let cases = [
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "https://a.example/", false),
            ("https://a.example/", "https://a.example", false),
            ("https://a.example/x", "https://a.example/X", false),
            ("https://a.example", "https://a.example:443", false),
            ("https://login.example.com/common/v2.0", tenants, true),
            ("https://login.example.com//v2.0", tenants, false),
            ("https://login.example.com/a/b/v2.0", tenants, false),
            ("https://evil.example/common/v2.0", tenants, false),
        ];
        for (configured, found, is_same) in cases {
            let read = read(&issuer(configured), &document(found, ""));
            match read {
                Ok(metadata) => assert!(is_same && metadata.issuer == found, "{configured}"),
                Err(unfit) => {
                    assert!(!is_same, "{configured}");
                    assert_eq!(
                        unfit,
                        Unfit::OtherIssuer {
                            found: found.to_owned()
                        }
                    );
                }
            }
        }
    }

    #[test]
    fn an_endpoint_is_https_unless_the_server_is_on_this_machine() {
        let cases = [
            ("https://a.example", "https://b.example/token", true),
            ("https://a.example", "http://a.example/token", false),
            ("https://a.example", "http://127.0.0.1/token", false),
            ("https://a.example", "/token", false),
            ("https://a.example", "https://me:pw@a.example/token", false),
            ("https://a.example", "https://a.example/token#x", false),
            ("http://127.0.0.1:1", "http://127.0.0.1:2/token", true),
            ("http://127.0.0.1:1", "https://a.example/token", true),
            ("http://127.0.0.1:1", "http://a.example/token", false),
        ];
        for (name, endpoint, is_fit) in cases {
            let members = format!(r#","token_endpoint":"{endpoint}""#);
            let read = read(&issuer(name), &document(name, &members));
            assert_eq!(read.is_ok(), is_fit, "{name} {endpoint}");
        }
        let name = issuer("https://a.example");
        for body in [&b"<html>"[..], b"[]", b"{}", br#"{"issuer":7}"#] {
            assert_eq!(read(&name, body), Err(Unfit::NoMetadata));
        }
        let must = document(
            name.as_str(),
            r#","require_pushed_authorization_requests":true"#,
        );
        assert!(matches!(read(&name, &must), Err(Unfit::Missing { .. })));
    }

    #[test]
    fn what_the_configuration_says_wins() {
        let name = issuer("https://a.example");
        let members = r#","token_endpoint":"https://a.example/token",
            "authorization_endpoint":"https://a.example/authorize",
            "pushed_authorization_request_endpoint":"https://a.example/par",
            "authorization_response_iss_parameter_supported":true"#;
        let metadata = read(&name, &document(name.as_str(), members)).unwrap();
        let mut oauth = oauth("https://c.example/token");
        oauth.endpoints.authorization = None;
        oauth.endpoints.refresh = Some("https://c.example/refresh".parse().unwrap());
        let server = Server::of(&oauth, Some(&metadata)).unwrap();
        assert_eq!(server.token.as_str(), "https://c.example/token");
        assert_eq!(server.refresh.as_str(), "https://c.example/refresh");
        let authorization = server.authorization.unwrap();
        assert_eq!(authorization.as_str(), "https://a.example/authorize");
        assert_eq!(server.pushed_requests, None, "offered, but not required");
        assert!(server.names_itself);

        oauth.endpoints = Endpoints::default();
        assert_eq!(Server::of(&oauth, None), None);
        let server = Server::of(&oauth, Some(&metadata)).unwrap();
        assert_eq!(server.refresh.as_str(), "https://a.example/token");
    }

    #[test]
    fn a_move_to_another_host_is_noticed_and_one_on_the_same_is_not() {
        let name = issuer("https://a.example");
        let with = |token: &str| {
            let members = format!(r#","token_endpoint":"{token}""#);
            read(&name, &document(name.as_str(), &members)).unwrap()
        };
        let before = with("https://a.example/token");
        assert_eq!(moved(&before, &with("https://a.example/v2/token")), None);
        let told = moved(&before, &with("https://b.example/token")).unwrap();
        assert_eq!(
            told,
            "the server says that its token endpoint is at https://b.example now, \
             not at https://a.example"
        );
    }
}
