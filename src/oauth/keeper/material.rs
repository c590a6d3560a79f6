//! What a request for new tokens needs, read when it is about to be sent.

use serde_json::{Map, Value};

use super::entry::Entry;
use super::{Inner, start};
use crate::config::{Grant, OAuth, Session};
use crate::oauth::grant::Ask;
use crate::oauth::secrets::Secrets;
use crate::oauth::standing::Reason;
use crate::oauth::vault::{self, Kind};
use crate::secret::Secret;

/// What a request for new tokens spends, or that it spends nothing.
pub(super) enum Material {
    Refresh(Secret),
    ClientCredentials,
    Password { username: String, password: Secret },
    JwtBearer(Map<String, Value>),
    Session(Box<Session>),
}

impl Material {
    /// Returns what the configuration alone gives access by, if it does.
    fn unattended(oauth: &OAuth, secrets: &Secrets) -> Option<Self> {
        match &oauth.grant {
            Grant::ClientCredentials => Some(Self::ClientCredentials),
            Grant::Password { username, .. } => Some(Self::Password {
                username: username.clone(),
                password: secrets.password.clone()?,
            }),
            Grant::JwtBearer { claims } => Some(Self::JwtBearer(claims.clone())),
            Grant::Session(session) => Some(Self::Session(session.clone())),
            Grant::AuthorizationCode { .. } | Grant::DeviceCode { .. } | Grant::RefreshToken => {
                None
            }
        }
    }

    pub(super) fn ask(&self) -> Ask<'_> {
        match self {
            Self::Refresh(token) => Ask::Refresh(token),
            Self::ClientCredentials => Ask::ClientCredentials,
            Self::Password { username, password } => Ask::Password { username, password },
            Self::JwtBearer(claims) => Ask::JwtBearer(claims),
            Self::Session(session) => Ask::Session(session, None),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Refresh(_) => Kind::Refresh,
            Self::ClientCredentials => Kind::ClientCredentials,
            Self::Password { .. } => Kind::Password,
            Self::JwtBearer(_) => Kind::JwtBearer,
            Self::Session(_) => Kind::Session,
        }
    }
}

impl Inner {
    /// Reads what the request needs; says why in the entry if it is not to be had.
    pub(super) async fn material(
        &self,
        entry: &Entry,
        oauth: &OAuth,
        generation: Option<u64>,
    ) -> Option<(Secrets, Material)> {
        let secrets = match entry.secrets(oauth) {
            Ok(secrets) => secrets,
            Err(error) => {
                self.hold_off(entry, Reason::SecretMissing, &error);
                return None;
            }
        };
        let spends_refresh_token = entry
            .view(oauth, &entry.live(), self.clock.now())
            .spends_refresh_token();
        if !spends_refresh_token && let Some(material) = Material::unattended(oauth, &secrets) {
            return Some((secrets, material));
        }
        match self.vault.refresh_token(&entry.account, generation?).await {
            Ok(Some(token)) => Some((secrets, Material::Refresh(token))),
            Ok(None) => {
                self.look_into_vault(entry, oauth).await;
                None
            }
            Err(error @ vault::Error::Unreadable { .. }) => {
                let now = self.clock.now();
                match start::unreadable(&self.vault, &entry.account, &error, now).await {
                    Ok(standing) => entry.live().standing = standing,
                    Err(error) => self.hold_off(entry, Reason::VaultUnwritable, &error),
                }
                None
            }
            Err(error) => {
                self.hold_off(entry, Reason::VaultUnwritable, &error);
                None
            }
        }
    }
}
