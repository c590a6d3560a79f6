//! The secrets of a connection's configuration, read for one exchange.

use std::collections::BTreeMap;

use super::assertion::{KeyError, SigningKey};
use crate::config::{ClientKey, Grant, OAuth, SecretError, SecretSource};
use crate::http::{self, Identity};
use crate::secret::{ExposeSecret, Secret};

/// Everything secret that a client and its grant need besides what the vault holds.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The client's secret, if it has one.
    pub client: Option<Secret>,
    /// What signs the client's assertions.
    pub signer: Option<Signer>,
    /// What the client opens connections with.
    pub identity: Option<Identity>,
    /// The password of the password grant.
    pub password: Option<Secret>,
    /// What the requests of a session call `secret.NAME`.
    pub session: BTreeMap<String, Secret>,
    /// The private key as it was read, to notice that it has changed.
    pub private_key: Option<Secret>,
}

/// A key that signs assertions, and the certificate by which the server may know it.
#[derive(Debug)]
pub(super) struct Signer {
    pub key: SigningKey,
    /// The certificate's thumbprint, as `x5t#S256` has it.
    pub certificate: Option<String>,
}

/// Why a secret is not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// It could not be read.
    #[error("could not read the {what}")]
    Secret {
        /// What it is.
        what: &'static str,
        /// Why.
        #[source]
        source: SecretError,
    },
    /// It is no key that signs.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It is no certificate and key that a connection can be opened with.
    #[error("the `certificate` and `private_key` open no connection")]
    Identity(#[source] http::Error),
}

impl Secrets {
    /// Reads what `oauth` names, by `read`.
    ///
    /// # Errors
    /// If one is missing, or is no key.
    pub(super) fn read(
        oauth: &OAuth,
        read: impl Fn(&SecretSource) -> Result<Secret, SecretError>,
    ) -> Result<Self, Unusable> {
        let read = |what, source: Option<&SecretSource>| {
            let secret = source.map(&read).transpose();
            secret.map_err(|source| Unusable::Secret { what, source })
        };
        let key = oauth.client_key.as_ref();
        let password = match &oauth.grant {
            Grant::Password { password, .. } => Some(password),
            _ => None,
        };
        let private_key = read("private key", key.map(|key| &key.private_key))?;
        let certificate = key.and_then(|key| key.certificate.as_ref());
        let certificate = read("certificate", certificate)?;
        let (mut signer, mut identity) = (None, None);
        if let (Some(key), Some(private_key)) = (key, &private_key) {
            if oauth.signs() {
                signer = Some(Signer::new(key, private_key, certificate.as_ref())?);
            }
            if let Some(certificate) = certificate.as_ref().filter(|_| oauth.shows_certificate()) {
                let read = Identity::from_pem(private_key, certificate);
                identity = Some(read.map_err(Unusable::Identity)?);
            }
        }
        let mut session = BTreeMap::new();
        if let Grant::Session(login) = &oauth.grant {
            for (name, source) in &login.secrets {
                let secret = read("secret of the session", Some(source))?;
                session.extend(secret.map(|secret| (name.clone(), secret)));
            }
        }
        Ok(Self {
            session,
            client: read("client secret", oauth.client_secret.as_ref())?,
            password: read("password", password)?,
            signer,
            identity,
            private_key,
        })
    }

    /// Returns every secret as bytes, in an order that never changes; none is empty text.
    pub(super) fn bytes(&self) -> Vec<&[u8]> {
        let settings = [&self.client, &self.password, &self.private_key].into_iter();
        let settings = settings.map(Option::as_ref);
        let all = settings.chain(self.session.values().map(Some));
        all.map(|secret| secret.map_or("", ExposeSecret::expose_secret).as_bytes())
            .collect()
    }

    /// Returns what an answer must not repeat to anybody.
    pub(super) fn sent(&self) -> impl Iterator<Item = &Secret> {
        let stated = [&self.client, &self.password].into_iter().flatten();
        stated.chain(self.session.values())
    }
}

impl Signer {
    fn new(
        key: &ClientKey,
        private_key: &Secret,
        certificate: Option<&Secret>,
    ) -> Result<Self, KeyError> {
        let signing = SigningKey::from_pem(private_key, key.algorithm)?;
        let thumbprint = |pem: &Secret| signing.certificate_thumbprint(pem.expose_secret());
        let certificate = certificate.map(thumbprint).transpose()?;
        Ok(Self {
            key: signing,
            certificate,
        })
    }
}
