//! A key by which a connection signs, made here.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use url::form_urlencoded;

use crate::files::{holding, with_bytes};
use crate::support::{Ran, Scripted, TempHouse, json};

/// How every private key on P-256 begins as PKCS#8 version 1 (RFC 5208): all but the key itself.
const PRIVATE_P256: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg";
const KEYPAIR: [&str; 3] = ["connections", "keypair", "books"];

/// A house whose connection signs its way in with the key that is made for it.
struct Office {
    house: TempHouse,
    server: Scripted,
}

impl Office {
    fn new() -> Self {
        let server = Scripted::start(|asked| match asked.line.starts_with("POST") {
            true => json(r#"{"access_token":"t","token_type":"bearer","expires_in":600}"#),
            false => json(r#"[{"id":1}]"#),
        });
        let config = r#"
[connection.books]
base_url = "SERVER"
grant = "jwt_bearer"
token_url = "/token"
client_id = "me"
private_key = { vault = "books-key" }
signing_algorithm = "ES256"
claims = { sub = "jo", aud = "there" }
paging = "none"

[flow.order]
connection = "books"
url = "/orders"
key = ["id"]
"#;
        Self {
            house: TempHouse::new(&config.replace("SERVER", &server.url)),
            server,
        }
    }

    fn keypair(&self, more: &[&str]) -> Ran {
        self.house.run(&[&KEYPAIR, more].concat())
    }

    /// Returns the assertion of the last token request.
    fn assertion(&self) -> String {
        let asked = self.server.asked();
        let asked = asked.iter().rev().find(|it| it.line.starts_with("POST"));
        let form: BTreeMap<String, String> = form_urlencoded::parse(&asked.unwrap().body)
            .into_owned()
            .collect();
        form["assertion"].clone()
    }
}

/// Returns true if the key signed the token.
fn has_signed(jwk: &Value, token: &str) -> bool {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut point = vec![4]; // uncompressed (SEC 1 section 2.3.3)
    for coordinate in ["x", "y"] {
        point.extend(bytes(jwk[coordinate].as_str().unwrap()));
    }
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(message.as_bytes(), &bytes(signature))
        .is_ok()
}

#[test]
fn a_key_is_made_sealed_and_signs_while_nothing_shows_it() {
    let office = Office::new();
    let house = &office.house;
    house.run(&["--run-now"]).expect_code(1);
    assert!(office.server.asked().is_empty());

    let made = office.keypair(&["--json"]).expect_code(0);
    let told = made.json();
    assert_eq!(told["algorithm"], "ES256", "as the connection says");
    assert_eq!(told["secret"], "books-key");
    assert_eq!(
        told["configuration"],
        "private_key = { vault = \"books-key\" }"
    );
    assert!(told.get("registration").is_none());
    house.run(&["--run-now"]).expect_code(0);
    let jwk = &told["public_jwk"];
    assert!(has_signed(jwk, &office.assertion()), "{told}");

    // A key that is there is not lost by mistake, and one that would not be used is not made.
    let kept = office.keypair(&[]).expect_code(2);
    assert!(kept.stderr.contains("`--force` replaces it"));
    let unfit = office.keypair(&["--force", "--algorithm", "EdDSA"]);
    assert!(unfit.expect_code(2).stderr.contains("signing_algorithm"));

    // A running service signs with the next one at once.
    let daemon = house.start_daemon();
    let replaced = office.keypair(&["--force"]).expect_code(0);
    assert!(replaced.stdout.starts_with("sealed `books-key`, a new"));
    assert!(replaced.stdout.contains("-----BEGIN PUBLIC KEY-----"));
    house
        .clock()
        .advance(std::time::Duration::from_secs(3600))
        .unwrap();
    house.run(&["--run-now"]).expect_code(0);
    assert!(!has_signed(jwk, &office.assertion()), "by the new key");

    let said = daemon.kill();
    let private = STANDARD.decode(PRIVATE_P256).unwrap();
    let told = [made, replaced, said].map(|ran| ran.stdout + &ran.stderr);
    for trace in [PRIVATE_P256, "PRIVATE KEY"] {
        assert_eq!(holding(&house.path(""), trace), Vec::<String>::new());
        assert!(told.iter().all(|text| !text.contains(trace)));
    }
    assert_eq!(with_bytes(&house.path(""), &private), Vec::<String>::new());
}

#[test]
fn a_provider_that_registers_keys_is_told_how() {
    let house = TempHouse::new(
        r#"
[connection.anypoint]
provider = "mulesoft-anypoint"
grant = "jwt_bearer"
client_id = "not yet"
client_auth = "none"
private_key = { vault = "anypoint-key" }
claims = { sub = "1|provider|jo" }
"#,
    );
    let words = ["connections", "keypair", "anypoint", "--algorithm", "EdDSA"];
    let told = house.run(&[&words[..], &["--json"]].concat()).json();
    let body = &told["registration"]["body"];
    assert_eq!(body["public_keys"][0], told["public_pem"]);
    assert_eq!(
        body["grant_types"][0],
        "urn:ietf:params:oauth:grant-type:jwt-bearer"
    );
    let shown = house.run(&[&words[..], &["--force"]].concat());
    let shown = shown.expect_code(0).stdout;
    assert!(shown.contains("POST /accounts/api/connectedApplications"));
    assert!(shown.contains("Not certain: "));

    // The connection may be written afterwards, with the line that is printed.
    let early = house.run(&["connections", "keypair", "later", "--algorithm", "EdDSA"]);
    let early = early.expect_code(0).stdout;
    let line = "as this line of [connection.later]:\n\nprivate_key = { vault = \"later-key\" }\n";
    assert!(early.contains(line), "{early}");
}
