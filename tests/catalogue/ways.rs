//! Ways in besides a sign-in: what each entry makes the program send, to the authorization server and
//! with the request that follows.

use tidegate::config::{self, Access, SigningAlgorithm};
use tidegate::oauth::assertion;
use tidegate::secret::ExposeSecret;

use super::pairs;
use crate::support::{Asked, Scripted, TempHouse, json};

/// One way to one provider.
struct Way {
    name: &'static str,
    access: Access,
    /// What a token request has besides client and scope, if one is made.
    asks: &'static [(&'static str, &'static str)],
    /// Parameters whose values differ from one request to the next.
    signs: &'static [&'static str],
    /// The header of the request that follows, and its value.
    sends: (&'static str, &'static str),
}

const BEARER: (&str, &str) = ("authorization", "Bearer a1");
const KEY: (&str, &str) = ("authorization", "Bearer k1");
const TOKEN: Way = Way {
    name: "",
    access: Access::Token,
    asks: &[],
    signs: &[],
    sends: KEY,
};
const CLIENT: Way = Way {
    name: "",
    access: Access::ClientCredentials,
    asks: &[
        ("grant_type", "client_credentials"),
        ("client_secret", "k1"),
    ],
    signs: &[],
    sends: BEARER,
};
const JWT: Way = Way {
    name: "",
    access: Access::JwtBearer,
    asks: &[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")],
    signs: &["assertion"],
    sends: BEARER,
};

const WAYS: [Way; 26] = [
    Way {
        name: "adobe-sign",
        ..TOKEN
    },
    Way {
        name: "asana",
        ..TOKEN
    },
    Way {
        name: "atlassian",
        access: Access::Basic,
        // you@acme.example:k1
        sends: ("authorization", "Basic eW91QGFjbWUuZXhhbXBsZTprMQ=="),
        ..TOKEN
    },
    Way {
        name: "github",
        ..TOKEN
    },
    Way {
        name: "gitlab",
        ..TOKEN
    },
    Way {
        name: "google",
        ..JWT
    },
    Way {
        name: "hubspot",
        ..TOKEN
    },
    Way {
        name: "mendix",
        sends: ("authorization", "MxToken k1"),
        ..TOKEN
    },
    Way {
        name: "microsoft",
        ..CLIENT
    },
    Way {
        name: "moneybird",
        ..TOKEN
    },
    Way {
        name: "mulesoft-anypoint",
        ..CLIENT
    },
    Way {
        name: "mulesoft-anypoint",
        ..JWT
    },
    Way {
        name: "mulesoft-anypoint",
        access: Access::Password,
        asks: &[
            ("grant_type", "password"),
            ("username", "your user name"),
            ("password", "k1"),
            ("client_secret", "k1"),
        ],
        ..CLIENT
    },
    Way {
        name: "mulesoft-anypoint",
        access: Access::Session,
        asks: &[("username", "your user name"), ("password", "k1")],
        ..CLIENT
    },
    Way {
        name: "netsuite",
        asks: &[
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
        ],
        signs: &["client_assertion"],
        ..CLIENT
    },
    Way {
        name: "notion",
        ..TOKEN
    },
    Way {
        name: "oracle-idcs",
        access: Access::Basic,
        // your user name:k1
        sends: ("authorization", "Basic eW91ciB1c2VyIG5hbWU6azE="),
        ..TOKEN
    },
    // Its client proves itself in a header.
    Way {
        name: "oracle-idcs",
        asks: &[("grant_type", "client_credentials")],
        ..CLIENT
    },
    Way {
        name: "salesforce",
        ..CLIENT
    },
    Way {
        name: "salesforce",
        ..JWT
    },
    Way {
        name: "shopify",
        sends: ("x-shopify-access-token", "k1"),
        ..TOKEN
    },
    Way {
        name: "slack",
        ..TOKEN
    },
    Way {
        name: "stripe",
        ..TOKEN
    },
    Way {
        name: "typeform",
        ..TOKEN
    },
    Way {
        name: "visma-connect",
        asks: &[
            ("grant_type", "client_credentials"),
            ("client_secret", "k1"),
            ("tenant_id", "the customer's tenant id"),
        ],
        ..CLIENT
    },
    Way {
        name: "zendesk",
        access: Access::Basic,
        // you@acme.example/token:k1
        sends: (
            "authorization",
            "Basic eW91QGFjbWUuZXhhbXBsZS90b2tlbjprMQ==",
        ),
        ..TOKEN
    },
];
/// Nothing is asked before a refresh token is brought in.
const SILENT: [(&str, Access); 1] = [("mulesoft-anypoint", Access::RefreshToken)];

#[test]
fn every_other_way_of_every_entry_asks_and_sends_what_its_provider_wants() {
    let known = config::providers().iter().flat_map(|provider| {
        let ways = provider.grants.keys().filter(|access| !access.signs_in());
        ways.map(|access| (provider.name.as_str(), *access))
    });
    let mut known: Vec<(&str, Access)> = known.collect();
    let mut told: Vec<(&str, Access)> = WAYS.iter().map(|way| (way.name, way.access)).collect();
    told.extend(SILENT);
    known.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, known);
    let key = assertion::generate(SigningAlgorithm::Es256).unwrap();
    for way in &WAYS {
        check(way, key.expose_secret());
    }
}

fn check(way: &Way, key: &str) {
    let Way { name, access, .. } = way;
    let server = Scripted::start(|asked| match asked.line.starts_with("POST") {
        true => json(r#"{"access_token":"a1","token_type":"Bearer","expires_in":3600}"#),
        false => json(r#"{"rows":[{"id":1}]}"#),
    });
    let snippet = config::provider(name).unwrap().snippet(*access);
    let mut house = TempHouse::new(&format!(
        "{}\n[flow.row]\nconnection = \"{name}\"\nurl = \"/rows\"\npaging = \"none\"\n\
         records = \"rows\"\nkey = [\"id\"]\n",
        moved(&snippet, &server.url)
    ));
    house.write_private(&format!("{name}.key.pem"), key);
    for secret in ["CLIENT_SECRET", "TOKEN", "PASSWORD", "API_TOKEN"] {
        let prefix = name.to_uppercase().replace('-', "_");
        house.set_env(&format!("{prefix}_{secret}"), "k1");
    }
    let ran = house.run(&["--run-now"]);
    assert_eq!(ran.code, Some(0), "{name} {access:?}: {}", ran.stderr);
    let mut asked = server.asked();
    let read = asked.pop().unwrap();
    let (header, value) = way.sends;
    assert_eq!(
        read.header(header).as_deref(),
        Some(value),
        "{name} {access:?}"
    );
    assert_eq!(asked.is_empty(), way.asks.is_empty(), "{name} {access:?}");
    if let Some(request) = asked.first() {
        check_request(way, request);
    }
}

fn check_request(way: &Way, request: &Asked) {
    let Way { name, access, .. } = way;
    let is_json = request.header("content-type").as_deref() == Some("application/json");
    let mut fields = match is_json {
        true => serde_json::from_slice(&request.body).unwrap(),
        false => pairs(&request.body),
    };
    assert_eq!(is_json, *name == "mulesoft-anypoint", "{name} {access:?}");
    for named in way.signs {
        let assertion = fields.remove(*named).unwrap_or_default();
        assert_eq!(assertion.split('.').count(), 3, "{name} {access:?}");
    }
    for of_every_client in ["client_id", "scope"] {
        fields.remove(of_every_client);
    }
    assert_eq!(fields, super::owned(way.asks), "{name} {access:?}");
}

/// Moves a connection to a server on loopback.
fn moved(snippet: &str, server: &str) -> String {
    let is_kept = |line: &&str| !line.starts_with("base_url") && !line.starts_with("token_url");
    let kept: Vec<&str> = snippet.lines().filter(is_kept).collect();
    let token_url = match kept.iter().any(|line| line.starts_with("client_id")) {
        true => format!("token_url = \"{server}/token\"\n"),
        false => String::new(),
    };
    format!("{}\nbase_url = \"{server}\"\n{token_url}", kept.join("\n"))
}
