//! A person signs in on another device, with a code that we show (RFC 8628).

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Error, LIFE, Whom, identifier, refusal};
use crate::clock;
use crate::config::{Account, Grant, OAuth};
use crate::http::{Answer, is_loopback};
use crate::oauth::discovery::{ForLogin, Found, Server};
use crate::oauth::grant::{Ask, Check, Class, Fields, Refusal};
use crate::oauth::settle::Ending;
use crate::secret::{Redactor, Secret};

/// How often the server is asked unless it says (section 3.2), and how much less often each time
/// it finds that too often (section 3.5).
const INTERVAL: Duration = Duration::from_secs(5);
/// The least often it is asked, however little it answers.
const SELDOM: Duration = Duration::from_secs(60);
/// The longest a person is given.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// The most characters of a code that a person types.
const LONGEST_CODE: usize = 64;

/// What the person does elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceStart {
    /// What the login is waited for with.
    pub id: String,
    /// What the person types there. It is for the person alone: no log, no error.
    pub user_code: String,
    /// Where the person goes.
    pub verification_uri: Url,
    /// The same with the code in it, for a browser on this machine.
    pub verification_uri_complete: Option<Url>,
    /// What the person should know before.
    pub notices: Vec<String>,
    /// When the login ends unfinished.
    pub ends_at: Timestamp,
}

/// A login that is waited for.
#[derive(Clone)]
pub(in crate::oauth) struct Waiting {
    pub account: Account,
    id: String,
    device_code: Secret,
    interval: Duration,
    server: Server,
    whom: Whom,
    ends_at: Timestamp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    device_code: Option<String>,
    user_code: Option<String>,
    #[serde(alias = "verification_url")]
    verification_uri: Option<Url>,
    verification_uri_complete: Option<Url>,
    expires_in: Option<u64>,
    interval: Option<u64>,
    error: Option<String>,
    error_description: Option<String>,
}

/// Returns where a login of `oauth` begins.
///
/// # Errors
/// If nobody says so.
pub(in crate::oauth) fn endpoint<'a>(
    server: &'a Server,
    account: &Account,
) -> Result<&'a Url, Error> {
    let endpoint = server.device_authorization.as_ref();
    endpoint.ok_or_else(|| Error::NoEndpoint {
        account: account.clone(),
        key: "device_authorization_url",
    })
}

/// Returns what is asked there (section 3.1).
pub(in crate::oauth) fn fields(oauth: &OAuth) -> Fields {
    let mut fields = Fields::default();
    fields.put("scope", &oauth.scopes.join(&oauth.scope_separator));
    if let Grant::DeviceCode { params } = &oauth.grant {
        for (name, value) in params {
            fields.put(name, value);
        }
    }
    fields
}

/// Reads the answer (section 3.2).
///
/// # Errors
/// If the server begins no login.
pub(in crate::oauth) fn begin(
    (account, whom): (&Account, Whom),
    there: ForLogin,
    answer: &Answer,
    sent: &Redactor,
    now: Timestamp,
) -> Result<(DeviceStart, Waiting, Option<Found>), Error> {
    let message = serde_json::from_slice::<Message>(&answer.body).unwrap_or_default();
    if let Some(code) = &message.error {
        let description = message.error_description.as_deref();
        let description = description.map(|words| sent.redact(words));
        return Err(refusal::refusal(account, code, description.as_deref()));
    }
    let detail = format!("HTTP {}", answer.status);
    let unusable = || match answer.status {
        429 | 500.. => Error::ServerTrouble {
            account: account.clone(),
            detail: detail.clone(),
        },
        _ => Error::RequestRefused {
            account: account.clone(),
            detail: detail.clone(),
            look_at: "`device_authorization_url`",
        },
    };
    let device_code = message.device_code.filter(|code| !code.is_empty());
    let user_code = message.user_code.filter(|code| is_typable(code));
    let verification_uri = message.verification_uri.filter(is_safe_to_visit);
    let (Some(device_code), Some(user_code), Some(verification_uri)) =
        (device_code, user_code, verification_uri)
    else {
        return Err(unusable());
    };
    let id = identifier()?;
    let life = message.expires_in.map_or(LIFE, Duration::from_secs);
    let ends_at = clock::after(now, life.min(LONGEST));
    let start = DeviceStart {
        id: id.clone(),
        user_code,
        verification_uri,
        verification_uri_complete: message.verification_uri_complete.filter(is_safe_to_visit),
        notices: there.notice.into_iter().collect(),
        ends_at,
    };
    let waiting = Waiting {
        account: account.clone(),
        id,
        device_code: Secret::from(device_code),
        interval: message.interval.map_or(INTERVAL, Duration::from_secs),
        server: there.server,
        whom,
        ends_at,
    };
    Ok((start, waiting, there.found))
}

/// A person types it, and a terminal shows it.
fn is_typable(code: &str) -> bool {
    (1..=LONGEST_CODE).contains(&code.chars().count()) && !code.contains(char::is_control)
}

/// A person signs in there, so nobody may listen.
fn is_safe_to_visit(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

impl Waiting {
    /// Returns true if this is the login `id`.
    pub(in crate::oauth) fn is(&self, id: &str) -> bool {
        super::same(&self.id, id)
    }

    /// Returns the server that is asked for tokens.
    pub(in crate::oauth) fn server(&self) -> &Server {
        &self.server
    }

    /// Returns who may sign in.
    pub(in crate::oauth) fn check(&self) -> Check<'_> {
        self.whom.check(None)
    }

    /// Returns what the token endpoint is asked.
    pub(in crate::oauth) fn ask(&self) -> Ask<'_> {
        Ask::Device(&self.device_code)
    }

    /// Returns when the server is asked next.
    ///
    /// # Errors
    /// If the login has ended by then.
    pub(in crate::oauth) fn next_at(&self, now: Timestamp) -> Result<Timestamp, Error> {
        let next_at = clock::after(now, self.interval);
        if next_at >= self.ends_at {
            return Err(self.abandoned());
        }
        Ok(next_at)
    }

    /// Learns from an answer that brought no tokens when to ask again (section 3.5).
    ///
    /// # Errors
    /// If the answer ends the login; nothing if it is for the caller to say how.
    pub(in crate::oauth) fn learn(&mut self, ending: &Ending) -> Result<(), Option<Error>> {
        let refusal = match ending {
            Ending::Refused(refusal) => refusal,
            // A server that cannot keep up is given time.
            Ending::NotSent(_) | Ending::Lost(_) => {
                self.slow_down();
                return Ok(());
            }
            Ending::Untrusted(_) => return Err(None),
        };
        match (refusal.code.as_deref(), refusal.class) {
            (Some("authorization_pending"), _) => {}
            (Some("slow_down"), _) => self.interval += INTERVAL,
            (Some("expired_token"), _) => return Err(Some(self.abandoned())),
            (Some("access_denied"), _) => return Err(Some(self.denied(refusal))),
            (_, Class::Transient { .. } | Class::InDoubt) => self.slow_down(),
            _ => return Err(None),
        }
        Ok(())
    }

    fn slow_down(&mut self) {
        self.interval = (self.interval * 2).min(SELDOM.max(self.interval));
    }

    fn abandoned(&self) -> Error {
        let account = self.account.clone();
        Error::Abandoned { account }
    }

    fn denied(&self, refusal: &Refusal) -> Error {
        let description = refusal.description.as_deref();
        refusal::refusal(&self.account, "access_denied", description)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Name;
    use crate::http::HeaderMap;
    use crate::oauth::testing::oauth;

    fn begun(body: &str) -> Result<(DeviceStart, Waiting), Error> {
        let there = ForLogin {
            server: Server::of(&oauth("http://127.0.0.1:1/token"), None).unwrap(),
            found: None,
            notice: None,
        };
        let answer = Answer {
            status: 200,
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
            url: "http://127.0.0.1:1/device".parse().unwrap(),
        };
        let account = Account::of(&Name::parse("exact").unwrap());
        let sent = Redactor::default();
        let begun = begin(
            (&account, Whom::SamePerson),
            there,
            &answer,
            &sent,
            Timestamp::UNIX_EPOCH,
        );
        begun.map(|(start, waiting, _)| (start, waiting))
    }

    const ANSWER: &str = r#"{"device_code":"CANARY-d","user_code":"WDJB-MJHT",
        "verification_uri":"https://example.com/device","expires_in":60}"#;

    #[test]
    fn what_a_person_needs_is_read_and_nothing_else_is_taken_for_it() {
        let (start, waiting) = begun(ANSWER).unwrap();
        assert_eq!(start.user_code, "WDJB-MJHT");
        assert_eq!(start.ends_at.as_second(), 60);
        assert!(!format!("{start:?}").contains("CANARY"));
        let first = waiting.next_at(Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(first.as_second(), 5);
        for (from, to) in [
            ("https://", "http://"),
            ("WDJB-MJHT", ""),
            ("CANARY-d", ""),
            ("WDJB-MJHT", "\\u001b[2J"),
            ("user_code", "code"),
        ] {
            assert!(begun(&ANSWER.replace(from, to)).is_err(), "{from} {to}");
        }
        let google = ANSWER.replace("verification_uri", "verification_url");
        assert!(begun(&google).is_ok());
    }

    #[test]
    fn the_server_says_how_often_it_is_asked() {
        let refused = |code: &str, class| {
            Ending::Refused(Refusal {
                class,
                status: 400,
                code: Some(code.to_owned()),
                description: None,
                clock_off: None,
            })
        };
        let (_, mut waiting) = begun(ANSWER).unwrap();
        let mut seconds = |ending: &Ending| {
            let learnt = waiting.learn(ending);
            learnt
                .map(|()| waiting.interval.as_secs())
                .map_err(|error| error.map_or_else(String::new, |error| error.to_string()))
        };
        let other = Class::Unclassified;
        assert_eq!(seconds(&refused("authorization_pending", other)), Ok(5));
        assert_eq!(seconds(&refused("slow_down", other)), Ok(10));
        assert_eq!(seconds(&refused("authorization_pending", other)), Ok(10));
        assert_eq!(seconds(&Ending::Lost("timed out".into())), Ok(20));
        assert_eq!(seconds(&Ending::NotSent("away".into())), Ok(40));
        assert_eq!(seconds(&refused("x", Class::InDoubt)), Ok(60));
        assert_eq!(seconds(&Ending::NotSent("away".into())), Ok(60));
        assert_eq!(
            seconds(&refused("expired_token", other)),
            Err("nobody entered the code for connection `exact` in time".to_owned())
        );
        assert_eq!(
            seconds(&refused("access_denied", other)),
            Err("the authorization server granted nothing: access_denied".to_owned())
        );
        assert_eq!(
            seconds(&refused("invalid_client", Class::Configuration)),
            Err(String::new())
        );
    }
}
