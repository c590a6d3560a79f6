use super::*;
use crate::config::SigningAlgorithm::{self, EdDsa, Es256, Rs256};
use crate::secret::ExposeSecret;

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!("../../../tests/keys/", $name))
    };
}

/// The private key of RFC 8037 appendix A.1, as PKCS#8.
const RFC_8037: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

fn read(pem: &str) -> Result<SigningKey, KeyError> {
    SigningKey::from_pem(&Secret::from(pem), None)
}

fn part(token: &Secret, index: usize) -> Value {
    let part = token.expose_secret().split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn assertion<'a>(key: &'a SigningKey, claims: &'a Map<String, Value>) -> Assertion<'a> {
    Assertion {
        key,
        key_id: None,
        certificate: None,
        claims,
        issued_at: Timestamp::from_second(1_900_000_000).unwrap(),
        lifetime: Duration::from_secs(300),
    }
}

#[test]
fn keys_are_read_as_people_have_them() {
    let beside_its_certificate = [sample!("p256-certificate.pem"), sample!("p256.pem")].concat();
    let windows = sample!("rsa.pem").replace('\n', "\r\n");
    let cases: [(&str, SigningAlgorithm); 8] = [
        (sample!("rsa.pem"), Rs256),
        (sample!("rsa-pkcs1.pem"), Rs256),
        (sample!("p256.pem"), Es256),
        // OpenSSL puts the curve's parameters before it.
        (sample!("p256-sec1.pem"), Es256),
        (sample!("ed25519.pem"), EdDsa),
        (RFC_8037, EdDsa),
        (&beside_its_certificate, Es256),
        (&windows, Rs256),
    ];
    for (pem, algorithm) in cases {
        let key = SigningKey::from_pem(&Secret::from(pem), Some(algorithm)).unwrap();
        assert_eq!(key.algorithm(), algorithm, "{pem}");
        assert_eq!(read(pem).unwrap().algorithm(), algorithm, "{pem}");
    }
}

#[test]
fn two_spellings_of_a_key_are_one_key() {
    for (one, other) in [
        (sample!("rsa.pem"), sample!("rsa-pkcs1.pem")),
        (sample!("p256.pem"), sample!("p256-sec1.pem")),
    ] {
        assert_eq!(read(one).unwrap().id(), read(other).unwrap().id());
    }
}

#[test]
fn what_cannot_sign_is_refused_by_name() {
    let two = [sample!("rsa.pem"), sample!("p256.pem")].concat();
    let one_line = sample!("p256.pem").replace('\n', "\\n");
    let cut = &sample!("rsa.pem")[..900];
    let damaged = sample!("p256.pem").replace("MIGHAgEAMBMG", "MIGHAgEAMBMA");
    let cases: [(&str, &str); 16] = [
        ("", "the private key is not PEM text"),
        ("hunter2", "the private key is not PEM text"),
        (&one_line, "the private key is not PEM text"),
        (cut, "the private key is not PEM text"),
        (
            sample!("p256-encrypted.pem"),
            "the private key is encrypted",
        ),
        (
            sample!("p256-sec1-encrypted.pem"),
            "the private key is encrypted",
        ),
        (
            sample!("p256-certificate.pem"),
            "in place of a private key, there is a certificate",
        ),
        (
            sample!("p256-public.pem"),
            "in place of a private key, there is a public key",
        ),
        (
            sample!("p256-request.pem"),
            "in place of a private key, there is a certificate request",
        ),
        (
            sample!("openssh.pem"),
            "in place of a private key, there is a key in OpenSSH's own format",
        ),
        (
            "-----BEGIN PGP MESSAGE-----\nAAAA\n-----END PGP MESSAGE-----\n",
            "in place of a private key, there is something else",
        ),
        (&two, "there is more than one private key"),
        (
            &damaged,
            "the private key is damaged, or neither RSA, EC on P-256 nor Ed25519",
        ),
        (
            sample!("p384.pem"),
            "the private key is damaged, or neither RSA, EC on P-256 nor Ed25519",
        ),
        (
            sample!("p384-sec1.pem"),
            "the private key is damaged, or neither RSA, EC on P-256 nor Ed25519",
        ),
        (
            sample!("rsa-short.pem"),
            "the private key is RSA with less than 2048 bits",
        ),
    ];
    for (pem, words) in cases {
        let error = read(pem).unwrap_err();
        assert_eq!(error.to_string(), words, "{pem}");
        assert!(!error.hint().is_empty());
    }
}

#[test]
fn a_key_that_does_not_fit_the_stated_algorithm_is_refused() {
    let pem = Secret::from(sample!("p256.pem"));
    let error = SigningKey::from_pem(&pem, Some(Rs256)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the private key is for ES256, not for RS256"
    );
}

#[test]
fn a_key_that_was_made_can_be_read_again() {
    for algorithm in [Rs256, Es256, EdDsa] {
        let pem = generate(algorithm).unwrap();
        let key = SigningKey::from_pem(&pem, Some(algorithm)).unwrap();
        assert_eq!(
            format!("{key:?}"),
            format!("SigningKey({})", algorithm.name())
        );
    }
}

#[test]
fn the_public_half_is_as_openssl_and_rfc_8037_have_it() {
    let key = read(sample!("p256.pem")).unwrap();
    assert_eq!(key.public_pem(), sample!("p256-public.pem"));
    // Appendices A.2 and A.3.
    let thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    assert_eq!(
        read(RFC_8037).unwrap().public_jwk(),
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "alg": "EdDSA",
            "use": "sig",
            "kid": thumbprint,
        })
    );
}

#[test]
fn signatures_are_as_rfc_8037_has_them() {
    // Appendix A.4.
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = read(RFC_8037).unwrap().sign(message).unwrap();
    assert_eq!(
        URL_SAFE_NO_PAD.encode(signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

#[test]
fn a_certificate_is_named_by_its_thumbprint_if_it_is_the_keys_own() {
    let chain = [
        sample!("ed25519-certificate.pem"),
        sample!("rsa-certificate.pem"),
    ]
    .concat();
    // The thumbprints are OpenSSL's: `x509 -outform der | dgst -sha256`.
    let ed25519 = "ZKMKjB-zp4BczMTFDEDStXxJS6hoChIrF0ckuqJc5dI";
    let rsa = "VwDZ7rjk-RHnGPifeqs1bdPI7NSYk74f0F57Py6v5bo";
    let p256 = "D8F1fYOkxioYwwlCXd-04O2Kt8m3vTIhjfuPFJZ6QMQ";
    let cases = [
        (sample!("rsa.pem"), chain.as_str(), Ok(rsa)),
        (sample!("ed25519.pem"), &chain, Ok(ed25519)),
        (
            sample!("p256.pem"),
            sample!("p256-certificate.pem"),
            Ok(p256),
        ),
        (sample!("p256.pem"), &chain, Err(KeyError::OtherCertificate)),
        (
            sample!("p256.pem"),
            sample!("p256-public.pem"),
            Err(KeyError::NotCertificate),
        ),
        (sample!("p256.pem"), "text", Err(KeyError::NotCertificate)),
    ];
    for (key, certificate, named) in cases {
        let found = read(key).unwrap().certificate_thumbprint(certificate);
        assert_eq!(found, named.map(str::to_owned), "{certificate}");
    }
}

#[test]
fn an_assertion_says_what_was_configured_and_when_it_ends() {
    let key = read(sample!("ed25519.pem")).unwrap();
    let claims = json!({
        "iss": "client", "sub": "person", "aud": ["one", "two"], "admin": true, "level": 3,
        // None of these may be chosen.
        "jti": "always-the-same", "iat": 1, "exp": 2,
    });
    let token = Assertion {
        key_id: Some("key-1"),
        certificate: Some("thumb"),
        ..assertion(&key, claims.as_object().unwrap())
    }
    .sign()
    .unwrap();
    assert_eq!(
        part(&token, 0),
        json!({ "alg": "EdDSA", "typ": "JWT", "kid": "key-1", "x5t#S256": "thumb" })
    );
    let mut said = part(&token, 1);
    let jti = said.as_object_mut().unwrap().remove("jti").unwrap();
    assert_eq!(jti.as_str().unwrap().len(), 43);
    assert_eq!(
        said,
        json!({
            "iss": "client", "sub": "person", "aud": ["one", "two"], "admin": true, "level": 3,
            "iat": 1_900_000_000, "exp": 1_900_000_300,
        })
    );
}

#[test]
fn no_two_assertions_have_the_same_jti() {
    let key = read(sample!("ed25519.pem")).unwrap();
    let claims = client_claims("client", "https://login.example.com");
    let assertion = assertion(&key, &claims);
    let ids: std::collections::BTreeSet<String> = (0..100)
        .map(|_| part(&assertion.sign().unwrap(), 1)["jti"].to_string())
        .collect();
    assert_eq!(ids.len(), 100);
}

#[test]
fn a_client_speaks_for_itself() {
    assert_eq!(
        Value::Object(client_claims("client", "https://login.example.com")),
        json!({ "iss": "client", "sub": "client", "aud": "https://login.example.com" })
    );
}
