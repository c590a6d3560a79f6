//! What tidegate signs, judged by a library that is not ours, in another language.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod support;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use support::{Running, node};
use tidegate::config::SigningAlgorithm;
use tidegate::oauth::assertion::{Assertion, SigningKey, client_claims, generate};
use tidegate::secret::{ExposeSecret, Secret};

const ISSUED_AT: i64 = 1_900_000_000;
const LIFETIME: i64 = 300;
const AUDIENCE: &str = "https://login.example.com/token";

/// A key made by us, and what an assertion of it looks like to `jose`.
struct Signed {
    key: SigningKey,
    question: Value,
}

impl Signed {
    fn by(algorithm: SigningAlgorithm) -> Self {
        let key = SigningKey::from_pem(&generate(algorithm).unwrap(), None).unwrap();
        let mut claims = client_claims("client", AUDIENCE);
        claims.insert("roles".to_owned(), json!(["reader", "écrivain"]));
        let token = Assertion {
            key: &key,
            key_id: Some(&key.id()),
            certificate: None,
            claims: &claims,
            issued_at: Timestamp::from_second(ISSUED_AT).unwrap(),
            lifetime: Duration::from_secs(LIFETIME.unsigned_abs()),
        }
        .sign()
        .unwrap();
        let question = json!({
            "token": token.expose_secret(),
            "algorithm": algorithm.name(),
            "jwk": key.public_jwk(),
            "spki": key.public_pem(),
            "issuer": "client",
            "audience": AUDIENCE,
            "at": ISSUED_AT,
        });
        Self { key, question }
    }

    /// Asks with one member of the question replaced.
    fn asked(&self, verifier: &mut Running, member: &str, value: Value) -> Value {
        let mut question = self.question.clone();
        question[member] = value;
        ask(verifier, &question)
    }
}

fn ask(verifier: &mut Running, question: &Value) -> Value {
    verifier.type_line(&question.to_string());
    let answer = verifier.wait_for_line(|line| line.starts_with('{'));
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn assertions_are_good_in_the_eyes_of_another_library() {
    let Some(verifier) = node("oidc", "verify.mjs", "assertions judged by jose") else {
        return;
    };
    let mut verifier = Running::start(verifier);
    for (algorithm, stranger) in [
        (SigningAlgorithm::Rs256, include_str!("keys/rsa.pem")),
        (SigningAlgorithm::Es256, include_str!("keys/p256.pem")),
        (SigningAlgorithm::EdDsa, include_str!("keys/ed25519.pem")),
    ] {
        let signed = Signed::by(algorithm);
        let answer = ask(&mut verifier, &signed.question);
        let id = signed.key.id();
        assert_eq!(
            answer["header"],
            json!({ "alg": algorithm.name(), "typ": "JWT", "kid": id }),
            "{answer}"
        );
        assert_eq!(answer["thumbprint"], json!(id));
        assert_eq!(answer["claims"]["sub"], "client");
        assert_eq!(answer["claims"]["roles"], json!(["reader", "écrivain"]));
        assert_eq!(answer["claims"]["iat"], ISSUED_AT);

        // So that the verdict above means something.
        let ended = signed.asked(&mut verifier, "at", json!(ISSUED_AT + LIFETIME));
        assert_eq!(ended["error"], "ERR_JWT_EXPIRED", "{ended}");
        let stranger = SigningKey::from_pem(&Secret::from(stranger), None).unwrap();
        let forged = signed.asked(&mut verifier, "jwk", stranger.public_jwk());
        assert_eq!(
            forged["error"], "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
            "{forged}"
        );
    }
}
