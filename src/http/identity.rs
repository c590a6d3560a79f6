//! The certificate by which a server knows who connects.

use zeroize::Zeroizing;

use super::Error;
use crate::secret::{ExposeSecret, Secret};

/// A private key with its certificate, shown when a connection is opened (RFC 8705 section 2).
#[derive(Clone)]
pub struct Identity(pub(super) reqwest::Identity);

impl Identity {
    /// Reads both from PEM.
    ///
    /// # Errors
    /// [`Error::Setup`] if either holds something else.
    pub fn from_pem(private_key: &Secret, certificate: &Secret) -> Result<Self, Error> {
        let (key, certificate) = (private_key.expose_secret(), certificate.expose_secret());
        let pem = Zeroizing::new(format!("{key}\n{certificate}"));
        let identity = reqwest::Identity::from_pem(pem.as_bytes());
        identity.map(Self).map_err(super::setup)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}
