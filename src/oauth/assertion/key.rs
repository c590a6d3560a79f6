//! Private keys that sign: read from PEM as people have it, made, and shown by their public half.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pem::{EncodeConfig, LineEnding, Pem};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::SignError;
use crate::config::SigningAlgorithm;
use crate::remedy::Remedy;
use crate::secret::{ExposeSecret, Secret};

/// The size of the RSA keys we make. 2048 bits are advised against for use after 2030
/// (NIST SP 800-57 part 1), and 4096 make every signature several times slower for strength that
/// the rest of the exchange does not have.
const RSA_SIZE: KeySize = KeySize::Rsa3072;

/// How the library says that an RSA key has less than 2048 bits.
const TOO_SMALL: &str = "TooSmall";

/// Why a key cannot sign. Nothing of the key is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is no PEM block.
    #[error("the private key is not PEM text")]
    NotPem,
    /// The key is encrypted under a passphrase.
    #[error("the private key is encrypted")]
    Encrypted,
    /// What is there is not a private key.
    #[error("in place of a private key, there is {found}")]
    NotPrivate {
        /// What is there.
        found: &'static str,
    },
    /// There is more than one key.
    #[error("there is more than one private key")]
    Several,
    /// The key is damaged, or of a kind that fits no algorithm of ours.
    #[error("the private key is damaged, or neither RSA, EC on P-256 nor Ed25519")]
    Unusable,
    /// The RSA key is too short to be accepted anywhere.
    #[error("the private key is RSA with less than 2048 bits")]
    TooShort,
    /// The key fits another algorithm than was stated.
    #[error("the private key is for {}, not for {}", found.name(), stated.name())]
    Mismatch {
        /// The algorithm that was stated.
        stated: SigningAlgorithm,
        /// The algorithm of the key.
        found: SigningAlgorithm,
    },
    /// The certificate is none.
    #[error("the certificate is not a PEM certificate")]
    NotCertificate,
    /// The certificate is about another key.
    #[error("the certificate belongs to another key")]
    OtherCertificate,
    /// No key could be made.
    #[error("could not make a key pair")]
    NotMade,
}

impl KeyError {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::NotMade => Remedy::Report,
            _ => Remedy::EditConfig,
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotPem => {
                "give the whole file, from `-----BEGIN PRIVATE KEY-----` to \
                 `-----END PRIVATE KEY-----`, with its line breaks"
            }
            Self::Encrypted => {
                "decrypt it first: `openssl pkey -in encrypted.pem -out key.pem`; it is best kept \
                 with `tidegate secret set`"
            }
            Self::NotPrivate { .. } => {
                "give the private half of the pair, a file that begins with \
                 `-----BEGIN PRIVATE KEY-----`"
            }
            Self::Several => "leave the one that the server knows",
            Self::Unusable | Self::TooShort => {
                "make a new pair with `tidegate connections keypair` and register its public key"
            }
            Self::Mismatch { .. } => {
                "leave out the algorithm, which the key decides, or give the key that fits"
            }
            Self::NotCertificate => {
                "give a file that begins with `-----BEGIN CERTIFICATE-----`; one in DER is turned \
                 by `openssl x509 -inform der -in FILE -out certificate.pem`"
            }
            Self::OtherCertificate => "give the certificate that was made from this private key",
            Self::NotMade => "try again; if it stays so, please report it",
        }
    }
}

/// A private key that signs assertions, and the algorithm that it decides.
pub struct SigningKey(Pair);

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.algorithm().name())
    }
}

impl SigningKey {
    /// Reads a key from PEM: PKCS#8 of all three kinds, PKCS#1 (RSA) or SEC 1 (P-256). Blocks that
    /// are public, as the certificates that some tools put beside a key, are passed over.
    ///
    /// # Errors
    /// If there is no such key, or it does not fit the algorithm that was `stated`.
    pub fn from_pem(text: &Secret, stated: Option<SigningAlgorithm>) -> Result<Self, KeyError> {
        let (label, der) = private_block(text.expose_secret())?;
        let pair = match label {
            Label::Pkcs8 => pkcs8(&der),
            Label::Pkcs1 => rsa(RsaKeyPair::from_der(&der)),
            Label::Sec1 => {
                EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
                    .map(Pair::Ec)
                    .map_err(|_| KeyError::Unusable)
            }
        };
        let key = Self(pair?);
        let found = key.algorithm();
        match stated {
            Some(stated) if stated != found => Err(KeyError::Mismatch { stated, found }),
            _ => Ok(key),
        }
    }

    /// Returns the algorithm it signs by.
    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        match self.0 {
            Pair::Rsa(_) => SigningAlgorithm::Rs256,
            Pair::Ec(_) => SigningAlgorithm::Es256,
            Pair::Ed(_) => SigningAlgorithm::EdDsa,
        }
    }

    /// Signs, in the form RFC 7518 section 3 and RFC 8037 section 3.1 want.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        let signature = match &self.0 {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
            Pair::Ec(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec()),
            Pair::Ed(pair) => pair
                .try_sign(message)
                .map(|signature| signature.as_ref().to_vec()),
        };
        signature.map_err(|Unspecified| SignError::Failed)
    }

    /// Returns the public key as PEM (SubjectPublicKeyInfo), which most servers take.
    #[must_use]
    pub fn public_pem(&self) -> String {
        pem_text("PUBLIC KEY", self.public_der())
    }

    /// Returns the public key as a JSON Web Key (RFC 7517), named by its [`id`](Self::id).
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        let mut jwk = self.required_members();
        jwk["alg"] = json!(self.algorithm().name());
        jwk["kid"] = json!(self.id());
        jwk["use"] = json!("sig");
        jwk
    }

    /// Returns the key's thumbprint (RFC 7638), a name that anybody can derive from the public key.
    #[must_use]
    pub fn id(&self) -> String {
        // `serde_json` writes members in the order of their names, without spaces, as section 3.3
        // asks.
        let canonical = self.required_members().to_string();
        URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
    }

    /// Returns the name of this key's certificate, as `x5t#S256` has it (RFC 7515 section 4.1.8).
    /// Of several certificates, the one of this key counts.
    ///
    /// # Errors
    /// If there is no certificate, or only ones of other keys.
    pub fn certificate_thumbprint(&self, pem: &str) -> Result<String, KeyError> {
        let blocks = pem::parse_many(pem).map_err(|_| KeyError::NotCertificate)?;
        let mut certificates = blocks
            .iter()
            .filter(|block| block.tag() == "CERTIFICATE")
            .map(Pem::contents)
            .peekable();
        certificates.peek().ok_or(KeyError::NotCertificate)?;
        // A certificate holds the public key in the very bytes in which we write it.
        let public = self.public_der();
        certificates
            .find(|der| der.windows(public.len()).any(|part| part == public))
            .map(|der| URL_SAFE_NO_PAD.encode(Sha256::digest(der)))
            .ok_or(KeyError::OtherCertificate)
    }

    fn public_der(&self) -> Vec<u8> {
        let der: Result<PublicKeyX509Der<'_>, _> = match &self.0 {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Ec(pair) => pair.public_key().as_der(),
            Pair::Ed(pair) => pair.public_key().as_der(),
        };
        der.expect("the public half of a key that was read can be written")
            .as_ref()
            .to_vec()
    }

    /// The members of the JSON Web Key without which it is not one (RFC 7638 section 3.2).
    fn required_members(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &self.0 {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let modulus = public.modulus().big_endian_without_leading_zero();
                let exponent = public.exponent().big_endian_without_leading_zero();
                json!({ "kty": "RSA", "n": encode(modulus), "e": encode(exponent) })
            }
            Pair::Ec(pair) => {
                // One byte that says "uncompressed", then both coordinates.
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) })
            }
            Pair::Ed(pair) => {
                let public = pair.public_key().as_ref();
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(public) })
            }
        }
    }
}

/// Makes a new private key, as PKCS#8 PEM.
///
/// # Errors
/// If the library fails to make one.
pub fn generate(algorithm: SigningAlgorithm) -> Result<Secret, KeyError> {
    let made = match algorithm {
        SigningAlgorithm::Rs256 => RsaKeyPair::generate(RSA_SIZE).and_then(|pair| {
            let der: Pkcs8V1Der<'_> = pair.as_der()?;
            Ok(der.as_ref().to_vec())
        }),
        SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .and_then(|pair| Ok(pair.to_pkcs8v1()?.as_ref().to_vec())),
        // Version 1, because many tools do not read the version that holds the public key too.
        SigningAlgorithm::EdDsa => {
            Ed25519KeyPair::generate().and_then(|pair| Ok(pair.to_pkcs8v1()?.as_ref().to_vec()))
        }
    };
    made.map(|der| Secret::from(pem_text("PRIVATE KEY", der)))
        .map_err(|Unspecified| KeyError::NotMade)
}

fn pem_text(label: &str, der: Vec<u8>) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new(label, der), config)
}

/// What a block of PEM says a private key is written in.
#[derive(Debug, Clone, Copy)]
enum Label {
    Pkcs8,
    Pkcs1,
    Sec1,
}

/// Returns the one private key among the blocks of `text`.
fn private_block(text: &str) -> Result<(Label, Zeroizing<Vec<u8>>), KeyError> {
    let blocks = pem::parse_many(text).map_err(|_| KeyError::NotPem)?;
    let first = blocks.first().ok_or(KeyError::NotPem)?;
    let mut found = Err(KeyError::NotPrivate {
        found: what_it_is(first.tag()),
    });
    for block in blocks {
        let label = match block.tag() {
            "PRIVATE KEY" => Label::Pkcs8,
            "RSA PRIVATE KEY" => Label::Pkcs1,
            "EC PRIVATE KEY" => Label::Sec1,
            "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
            _ => continue,
        };
        // How OpenSSL marked encrypted keys before PKCS#8 (RFC 1421 section 4.6.1.1).
        if block.headers().get("Proc-Type").is_some() {
            return Err(KeyError::Encrypted);
        }
        if found.is_ok() {
            return Err(KeyError::Several);
        }
        found = Ok((label, Zeroizing::new(block.into_contents())));
    }
    found
}

fn what_it_is(label: &str) -> &'static str {
    match label {
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => "a certificate",
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => "a certificate request",
        "PUBLIC KEY" | "RSA PUBLIC KEY" => "a public key",
        "OPENSSH PRIVATE KEY" => "a key in OpenSSH's own format",
        "DSA PRIVATE KEY" => "a DSA key",
        _ => "something else",
    }
}

fn pkcs8(der: &[u8]) -> Result<Pair, KeyError> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
        return Ok(Pair::Ed(pair));
    }
    if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
        return Ok(Pair::Ec(pair));
    }
    rsa(RsaKeyPair::from_pkcs8(der))
}

fn rsa(read: Result<RsaKeyPair, KeyRejected>) -> Result<Pair, KeyError> {
    read.map(|pair| Pair::Rsa(Box::new(pair))).map_err(|error| {
        if error.to_string() == TOO_SMALL {
            KeyError::TooShort
        } else {
            KeyError::Unusable
        }
    })
}
