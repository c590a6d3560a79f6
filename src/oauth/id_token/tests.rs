use super::*;
use crate::config::SigningAlgorithm;
use crate::oauth::assertion::{Assertion, SigningKey, generate};
use serde_json::json;

const ISSUER: &str = "https://login.example.com/";
const CLIENT: &str = "tidegate";
const NOW: i64 = 1_900_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

#[test]
fn every_algorithm_is_verified() {
    for algorithm in [
        SigningAlgorithm::Rs256,
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
    ] {
        let pem = generate(algorithm).unwrap();
        let key = SigningKey::from_pem(&pem, Some(algorithm)).unwrap();
        let keys = json!({ "keys": [key.public_jwk()] }).to_string();
        let keys = Jwks::parse(keys.as_bytes()).unwrap();
        let claims = json!({ "iss": ISSUER, "sub": "7", "aud": CLIENT });
        let token = Assertion {
            key: &key,
            key_id: Some(&key.id()),
            certificate: None,
            claims: claims.as_object().unwrap(),
            issued_at: at(NOW),
            lifetime: Duration::from_secs(300),
        }
        .sign()
        .unwrap();
        let expected = Expected {
            proof: Proof::Signature {
                keys: &keys,
                algorithms: ALGORITHMS,
            },
            issuer: ISSUER,
            client_id: CLIENT,
            nonce: None,
            access_token: None,
            previous: None,
            now: at(NOW),
        };
        assert_eq!(verify(&token, &expected).unwrap().subject, "7");
    }
}
