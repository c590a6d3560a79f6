use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header as TokenHeader, encode};
use serde_json::json;

use super::*;

const ISSUER: &str = "https://login.example.com";
const CLIENT: &str = "tidegate";
const NOW: i64 = 1_900_000_000;

/// A server's key, and the name it publishes it under.
struct ServerKey {
    id: &'static str,
    key: EncodingKey,
}

impl ServerKey {
    /// The key of a kind that signs by `algorithm`.
    fn of(algorithm: Algorithm) -> Self {
        macro_rules! sample {
            ($name:literal) => {
                pem::parse(include_str!(concat!("../../../tests/keys/", $name)))
                    .unwrap()
                    .into_contents()
            };
        }
        let (id, key) = match algorithm {
            Algorithm::ES256 => ("p256", EncodingKey::from_ec_der(&sample!("p256.pem"))),
            Algorithm::ES384 => ("p384", EncodingKey::from_ec_der(&sample!("p384.pem"))),
            Algorithm::EdDSA => ("ed", EncodingKey::from_ed_der(&sample!("ed25519.pem"))),
            _ => ("rsa", EncodingKey::from_rsa_der(&sample!("rsa-pkcs1.pem"))),
        };
        Self { id, key }
    }

    fn sign(&self, header: &TokenHeader, claims: &Value) -> Secret {
        Secret::from(encode(header, claims, &self.key).unwrap())
    }

    fn public(&self, algorithm: Algorithm) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, algorithm).unwrap()).unwrap();
        let members = jwk.as_object_mut().unwrap();
        members.remove("alg");
        members.insert("kid".to_owned(), json!(self.id));
        jwk
    }
}

fn header(algorithm: Algorithm) -> TokenHeader {
    TokenHeader {
        kid: Some(ServerKey::of(algorithm).id.to_owned()),
        ..TokenHeader::new(algorithm)
    }
}

/// The server's keys, one of each kind.
fn keys() -> Jwks {
    jwks(&[
        ServerKey::of(Algorithm::RS256).public(Algorithm::RS256),
        ServerKey::of(Algorithm::ES256).public(Algorithm::ES256),
        ServerKey::of(Algorithm::ES384).public(Algorithm::ES384),
        ServerKey::of(Algorithm::EdDSA).public(Algorithm::EdDSA),
    ])
}

fn jwks(keys: &[Value]) -> Jwks {
    Jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// The claims of a good token, with those of `edit` in their place; a null takes one away.
fn claims(edit: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "person-7", "aud": CLIENT, "iat": NOW - 5, "exp": NOW + 300,
        "nonce": "n-0S6", "name": "Ada", "email": "ada@example.com",
    });
    for (claim, value) in edit.as_object().unwrap() {
        claims[claim] = value.clone();
    }
    claims
}

fn token(edit: Value) -> Secret {
    ServerKey::of(Algorithm::ES256).sign(&header(Algorithm::ES256), &claims(edit))
}

/// A token in which nothing is signed by anybody.
fn unsigned(header: &Value, claims: &Value) -> Secret {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    Secret::from(format!("{}.{}.c2ln", encode(header), encode(claims)))
}

fn expected(keys: &Jwks) -> Expected<'_> {
    Expected {
        proof: Proof::Signature {
            keys,
            algorithms: ALGORITHMS,
        },
        issuer: ISSUER,
        client_id: CLIENT,
        nonce: Some("n-0S6"),
        access_token: None,
        previous: None,
        now: at(NOW),
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn ada() -> Person {
    Person {
        issuer: ISSUER.to_owned(),
        subject: "person-7".to_owned(),
        name: Some("Ada".to_owned()),
        email: Some("ada@example.com".to_owned()),
    }
}

fn missing(claim: &'static str) -> IdTokenError {
    IdTokenError::Claim { claim }
}

fn refused(algorithm: &str) -> IdTokenError {
    IdTokenError::Algorithm {
        algorithm: algorithm.to_owned(),
    }
}

#[test]
fn every_accepted_algorithm_is_verified_and_a_changed_token_is_not() {
    let keys = keys();
    for &algorithm in ALGORITHMS {
        let good = ServerKey::of(algorithm).sign(&header(algorithm), &claims(json!({})));
        assert_eq!(verify(&good, &expected(&keys)), Ok(ada()), "{algorithm:?}");

        let good = good.expose_secret();
        let (message, signature) = good.rsplit_once('.').unwrap();
        let (head, _) = message.split_once('.').unwrap();
        let other = URL_SAFE_NO_PAD.encode(claims(json!({ "sub": "person-8" })).to_string());
        for forged in [
            format!("{head}.{other}.{signature}"),
            format!("{message}."),
            format!("{message}.{}", &signature[..signature.len() / 2]),
            format!("{message}.%"),
        ] {
            let found = verify(&Secret::from(forged), &expected(&keys));
            assert_eq!(found, Err(IdTokenError::Signature), "{algorithm:?}");
        }
    }
}

#[test]
fn each_claim_that_is_not_as_expected_is_refused() {
    let issuer = |found: &str| IdTokenError::Issuer {
        expected: ISSUER.to_owned(),
        found: found.to_owned(),
    };
    let long = "x".repeat(256);
    let cases = [
        (json!({ "iss": null }), missing("iss")),
        (json!({ "iss": [ISSUER] }), missing("iss")),
        (
            json!({ "iss": "https://evil.example" }),
            issuer("https://evil.example"),
        ),
        // Issuers are compared byte by byte.
        (
            json!({ "iss": "https://login.example.com/" }),
            issuer("https://login.example.com/"),
        ),
        (json!({ "aud": null }), missing("aud")),
        (json!({ "aud": 7 }), missing("aud")),
        (json!({ "aud": [CLIENT, 7] }), missing("aud")),
        (json!({ "aud": "other" }), IdTokenError::Audience),
        (json!({ "aud": [] }), IdTokenError::Audience),
        (
            json!({ "aud": ["other"], "azp": CLIENT }),
            IdTokenError::Audience,
        ),
        (json!({ "aud": [CLIENT, "other"] }), IdTokenError::Audience),
        (
            json!({ "aud": [CLIENT, "other"], "azp": "other" }),
            IdTokenError::Audience,
        ),
        (json!({ "azp": "other" }), IdTokenError::Audience),
        (json!({ "azp": 7 }), IdTokenError::Audience),
        (json!({ "exp": null }), missing("exp")),
        (json!({ "exp": (NOW + 300).to_string() }), missing("exp")),
        (json!({ "iat": 1e300 }), IdTokenError::NotYet),
        (json!({ "exp": NOW - 60 }), IdTokenError::Expired),
        (json!({ "iat": null }), missing("iat")),
        (json!({ "iat": NOW + 61 }), IdTokenError::NotYet),
        (json!({ "nbf": NOW + 61 }), IdTokenError::NotYet),
        (json!({ "nbf": "now" }), missing("nbf")),
        (json!({ "nonce": null }), IdTokenError::Nonce),
        (json!({ "nonce": "n-0S7" }), IdTokenError::Nonce),
        (json!({ "sub": null }), missing("sub")),
        (json!({ "sub": 7 }), missing("sub")),
        (json!({ "sub": "" }), missing("sub")),
        (json!({ "sub": "a\u{1b}[2J" }), missing("sub")),
        (json!({ "sub": long }), missing("sub")),
    ];
    let keys = keys();
    for (edit, error) in cases {
        let found = verify(&token(edit.clone()), &expected(&keys));
        assert_eq!(found, Err(error), "{edit}");
    }
}

#[test]
fn what_may_differ_between_servers_is_accepted() {
    let cases = [
        json!({ "exp": NOW - 59 }),
        json!({ "exp": 1_900_000_300.5 }),
        json!({ "exp": 253_402_300_799_i64 }),
        json!({ "iat": NOW + 60, "nbf": NOW + 60 }),
        json!({ "aud": [CLIENT] }),
        json!({ "aud": [CLIENT, "other"], "azp": CLIENT }),
        json!({ "aud": CLIENT, "azp": CLIENT }),
        json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ", "unknown": { "claim": [1] } }),
    ];
    let keys = keys();
    for edit in cases {
        let found = verify(&token(edit.clone()), &expected(&keys));
        assert_eq!(found, Ok(ada()), "{edit}");
    }
}

#[test]
fn algorithms_that_were_not_agreed_are_refused() {
    let keys = keys();
    let claims = claims(json!({}));
    for algorithm in [
        "none", "NONE", "nOnE", "HS256", "ES512", "RSA-OAEP", "", "\u{7}",
    ] {
        let token = unsigned(&json!({ "alg": algorithm, "kid": "rsa" }), &claims);
        let found = verify(&token, &expected(&keys));
        assert_eq!(
            found,
            Err(refused(algorithm.trim_matches('\u{7}'))),
            "{algorithm}"
        );
    }
    let agreed = Expected {
        proof: Proof::Signature {
            keys: &keys,
            algorithms: &[Algorithm::RS256],
        },
        ..expected(&keys)
    };
    assert_eq!(verify(&token(json!({})), &agreed), Err(refused("ES256")));
}

#[test]
fn a_public_key_is_never_taken_for_a_shared_secret() {
    let keys = keys();
    let public = ServerKey::of(Algorithm::RS256)
        .public(Algorithm::RS256)
        .to_string();
    let forger = ServerKey {
        id: "rsa",
        key: EncodingKey::from_secret(public.as_bytes()),
    };
    let token = forger.sign(&TokenHeader::new(Algorithm::HS256), &claims(json!({})));
    let everything = Expected {
        proof: Proof::Signature {
            keys: &keys,
            algorithms: &[Algorithm::HS256, Algorithm::RS256],
        },
        ..expected(&keys)
    };
    assert_eq!(verify(&token, &expected(&keys)), Err(refused("HS256")));
    // Not even where somebody has agreed to it.
    assert_eq!(verify(&token, &everything), Err(IdTokenError::UnknownKey));
}

#[test]
fn what_is_no_signed_token_is_refused() {
    let keys = keys();
    let claims = claims(json!({}));
    let critical = unsigned(&json!({ "alg": "ES256", "crit": ["b64"] }), &claims);
    assert_eq!(
        verify(&critical, &expected(&keys)),
        Err(IdTokenError::Critical)
    );
    let good = token(json!({})).expose_secret().to_owned();
    let encrypted = format!("{good}.a.b");
    let padded = good.replacen('.', "=.", 1);
    let no_object = unsigned(&json!({ "alg": "ES256" }), &json!([1]));
    let no_algorithm = unsigned(&json!({ "kid": "p256" }), &claims);
    for text in [
        "",
        "..",
        "opaque",
        "a.b.c",
        &encrypted,
        &padded,
        no_object.expose_secret(),
        no_algorithm.expose_secret(),
    ] {
        let found = verify(&Secret::from(text), &expected(&keys));
        assert_eq!(found, Err(IdTokenError::NotAToken), "{text}");
    }
}

#[test]
fn the_access_token_must_be_the_one_it_came_with() {
    let keys = keys();
    // OpenID Connect Core appendix A.3.
    let access_token = Secret::from("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
    let other = Secret::from("another");
    let with = |access_token| Expected {
        access_token: Some(access_token),
        ..expected(&keys)
    };
    let bound = json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" });
    assert_eq!(
        verify(&token(bound.clone()), &with(&access_token)),
        Ok(ada())
    );
    for (edit, access_token) in [
        (bound, &other),
        (json!({ "at_hash": "" }), &access_token),
        (json!({ "at_hash": 7 }), &access_token),
    ] {
        let found = verify(&token(edit), &with(access_token));
        assert_eq!(found, Err(IdTokenError::AccessToken));
    }
    // The hash is that of the signature's algorithm, of which half is kept.
    for (algorithm, length) in [("RS256", 22), ("PS384", 32), ("RS512", 43), ("EdDSA", 43)] {
        assert_eq!(half_hash(algorithm, &access_token).unwrap().len(), length);
    }
}

#[test]
fn another_person_than_before_is_refused() {
    let keys = keys();
    let before = |edit: fn(&mut Person)| {
        let mut person = ada();
        edit(&mut person);
        person
    };
    for (person, accepted) in [
        (before(|_| ()), true),
        // People may change their names.
        (
            before(|person| person.name = Some("Augusta".to_owned())),
            true,
        ),
        (
            before(|person| person.subject = "person-8".to_owned()),
            false,
        ),
        (
            before(|person| person.issuer = "https://other.example".to_owned()),
            false,
        ),
    ] {
        // As on a refresh, which has no nonce.
        let again = Expected {
            previous: Some(&person),
            nonce: None,
            ..expected(&keys)
        };
        let found = verify(&token(json!({ "nonce": null })), &again);
        let wanted = if accepted {
            Ok(ada())
        } else {
            Err(IdTokenError::OtherPerson)
        };
        assert_eq!(found, wanted, "{person:?}");
    }
}

#[test]
fn without_published_keys_the_channel_vouches_for_the_signature_only() {
    let keys = jwks(&[]);
    let channel = Expected {
        proof: Proof::Channel,
        ..expected(&keys)
    };
    for algorithm in ["RS256", "HS256"] {
        let token = unsigned(&json!({ "alg": algorithm }), &claims(json!({})));
        assert_eq!(verify(&token, &channel), Ok(ada()), "{algorithm}");
    }
    let head = json!({ "alg": "HS256" });
    let cases = [
        (json!({ "alg": "none" }), json!({}), refused("none")),
        (
            json!({ "alg": "HS256", "crit": [] }),
            json!({}),
            IdTokenError::Critical,
        ),
        (
            head.clone(),
            json!({ "aud": "other" }),
            IdTokenError::Audience,
        ),
        (
            head.clone(),
            json!({ "exp": NOW - 60 }),
            IdTokenError::Expired,
        ),
        (head, json!({ "nonce": "other" }), IdTokenError::Nonce),
    ];
    for (header, edit, error) in cases {
        let token = unsigned(&header, &claims(edit));
        assert_eq!(verify(&token, &channel), Err(error), "{header}");
    }
}

#[test]
fn an_issuer_for_all_tenants_stands_for_the_tenant_that_the_token_names() {
    const TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
    let keys = keys();
    let everybody = Expected {
        issuer: "https://login.microsoftonline.com/{tenantid}/v2.0",
        ..expected(&keys)
    };
    let issued_by = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let good = token(json!({ "iss": issued_by, "tid": TENANT }));
    assert_eq!(verify(&good, &everybody).unwrap().issuer, issued_by);
    for (issuer, tenant) in [
        (issued_by.as_str(), json!(null)),
        (
            issued_by.as_str(),
            json!("11111111-6c67-4c5b-b112-36a304b66dad"),
        ),
        (
            "https://login.microsoftonline.com/../evil/v2.0",
            json!("../evil"),
        ),
    ] {
        let found = verify(&token(json!({ "iss": issuer, "tid": tenant })), &everybody);
        assert!(
            matches!(found, Err(IdTokenError::Issuer { .. })),
            "{found:?}"
        );
    }
}

#[test]
fn a_key_is_found_by_name_or_by_being_the_only_one_that_fits() {
    let key = |edit: Value| {
        let mut key = ServerKey::of(Algorithm::ES256).public(Algorithm::ES256);
        for (member, value) in edit.as_object().unwrap() {
            key[member] = value.clone();
        }
        key
    };
    let rsa = || ServerKey::of(Algorithm::RS256).public(Algorithm::RS256);
    let alien = || json!({ "kty": "ML-KEM", "kid": "p256", "pub": "AAAA" });
    let damaged = || json!({ "kty": "EC", "crv": "P-256", "kid": "p256" });
    let named = Some("p256");
    let unknown = Err(IdTokenError::UnknownKey);
    let ambiguous = Err(IdTokenError::AmbiguousKey);
    // the keys, the name in the header, what comes of it
    let cases = [
        (vec![key(json!({}))], named, Ok(ada())),
        (vec![key(json!({}))], None, Ok(ada())),
        (vec![alien(), damaged(), key(json!({}))], named, Ok(ada())),
        (vec![rsa(), key(json!({ "kid": null }))], None, Ok(ada())),
        (
            vec![key(json!({ "alg": "ES256", "use": "sig" }))],
            named,
            Ok(ada()),
        ),
        (vec![], named, unknown.clone()),
        (vec![key(json!({ "kid": "next" }))], named, unknown.clone()),
        (vec![key(json!({ "kid": null }))], named, unknown.clone()),
        (vec![key(json!({ "use": "enc" }))], named, unknown.clone()),
        (
            vec![key(json!({ "alg": "ECDH-ES" }))],
            named,
            unknown.clone(),
        ),
        (vec![key(json!({ "crv": "P-384" }))], named, unknown.clone()),
        (vec![key(json!({ "x": "!" }))], named, unknown.clone()),
        (
            vec![key(json!({ "x": "AAAA" }))],
            named,
            Err(IdTokenError::Signature),
        ),
        (vec![rsa()], None, unknown.clone()),
        // A symmetric key has no business among public ones.
        (
            vec![json!({ "kty": "oct", "k": "AAAA", "kid": "p256" })],
            named,
            unknown,
        ),
        (
            vec![key(json!({})), key(json!({ "kid": "next" }))],
            None,
            ambiguous.clone(),
        ),
        (vec![key(json!({})), key(json!({}))], named, ambiguous),
    ];
    for (published, id, wanted) in cases {
        let header = TokenHeader {
            kid: id.map(str::to_owned),
            ..TokenHeader::new(Algorithm::ES256)
        };
        let token = ServerKey::of(Algorithm::ES256).sign(&header, &claims(json!({})));
        let keys = jwks(&published);
        assert_eq!(verify(&token, &expected(&keys)), wanted, "{published:?}");
    }
}

#[test]
fn a_key_set_that_is_none_or_too_large_is_refused() {
    let many = |count| json!({ "keys": vec![json!({ "kty": "x" }); count] }).to_string();
    let padding = " ".repeat(Jwks::LIMIT);
    let long = format!("{}{padding}", many(1));
    for (body, error) in [
        ("", Some(JwksError::Malformed)),
        ("<html>", Some(JwksError::Malformed)),
        ("{}", Some(JwksError::Malformed)),
        (r#"{"keys":{}}"#, Some(JwksError::Malformed)),
        (&long, Some(JwksError::TooLong)),
        (&many(101), Some(JwksError::TooMany)),
        (&many(100), None),
    ] {
        assert_eq!(Jwks::parse(body.as_bytes()).err(), error);
    }
}

#[test]
fn userinfo_adds_to_the_same_person_only() {
    let bare = Person {
        name: None,
        email: None,
        ..ada()
    };
    let told = br#"{"sub":"person-7","name":"Ada","email":"ada@example.com","zip":1}"#;
    assert_eq!(bare.clone().with_userinfo(told), Ok(ada()));
    assert_eq!(ada().with_userinfo(br#"{"sub":"person-7"}"#), Ok(ada()));
    for (body, error) in [
        (
            r#"{"sub":"person-8","name":"Eve"}"#,
            IdTokenError::OtherUserinfo,
        ),
        (r#"{"name":"Eve"}"#, IdTokenError::OtherUserinfo),
        ("[]", IdTokenError::NotUserinfo),
        ("eyJhbGciOiJSUzI1NiJ9.e30.c2ln", IdTokenError::NotUserinfo),
    ] {
        assert_eq!(
            bare.clone().with_userinfo(body.as_bytes()),
            Err(error),
            "{body}"
        );
    }
}

#[test]
fn what_is_said_about_a_person_is_made_fit_to_show() {
    let keys = keys();
    let long = "é".repeat(300);
    // name, preferred_username, email; name and mail address as they are kept
    let cases = [
        (
            json!("Ada"),
            json!("ada7"),
            json!("a@b.c"),
            Some("Ada"),
            Some("a@b.c"),
        ),
        (json!(null), json!("ada7"), json!(null), Some("ada7"), None),
        (json!(""), json!(7), json!(["a@b.c"]), None, None),
        (
            json!("A\u{1b}[31m\nda"),
            json!(null),
            json!("\t"),
            Some("A [31m da"),
            None,
        ),
        (
            json!(long),
            json!(null),
            json!(null),
            Some(&long[..510]),
            None,
        ),
    ];
    for (name, user, email, kept_name, kept_email) in cases {
        let token = token(json!({ "name": name, "preferred_username": user, "email": email }));
        let person = verify(&token, &expected(&keys)).unwrap();
        assert_eq!(person.name.as_deref(), kept_name);
        assert_eq!(person.email.as_deref(), kept_email);
    }
}

#[test]
fn no_error_shows_the_token() {
    let keys = keys();
    let token = token(json!({ "nonce": "CANARY-nonce" }));
    let error = verify(&token, &expected(&keys)).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        !shown.contains("CANARY") && !shown.contains("eyJ"),
        "{shown}"
    );
}
