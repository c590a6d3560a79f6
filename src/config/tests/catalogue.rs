//! Every entry of the catalogue, taken at its word.

use serde_json::{Map, Value};
use url::Url;

use super::House;
use crate::config::{
    Access, Auth, BaseError, BodyFormat, ClientAuth, Config, Connection, Environment, Facts, Grant,
    OAuth, Provider, keys, providers,
};

/// Loads a connection that uses an entry, as `tidegate providers show` prints it.
fn loaded(provider: &Provider, access: Access) -> Config {
    let name = provider.name.to_uppercase().replace('-', "_");
    let secrets = ["CLIENT_SECRET", "TOKEN", "PASSWORD", "API_TOKEN"];
    let names = secrets.map(|secret| format!("{name}_{secret}"));
    let environment = Environment::of(names.each_ref().map(|name| (name.as_str(), "s")));
    let text = provider.snippet(access);
    let house = House::of(&text);
    for kind in ["key", "crt"] {
        house.write(&format!("{}.{kind}.pem", provider.name), "pem", 0o600);
    }
    house
        .load_with(&environment)
        .unwrap_or_else(|report| panic!("{text}\n{report}"))
}

/// Returns a connection's way in, which must be a login.
fn login<'c>(config: &'c Config, provider: &Provider) -> (&'c Connection, &'c OAuth, Login<'c>) {
    let connection = &config.connections[provider.name.as_str()];
    let Auth::OAuth(oauth) = &connection.auth else {
        panic!("{} has no login", provider.name)
    };
    let Grant::AuthorizationCode { pkce, params, .. } = &oauth.grant else {
        panic!("{} has no login", provider.name)
    };
    let login = Login {
        authorize_url: oauth.endpoints.authorization.as_ref().unwrap(),
        pkce: *pkce,
        params,
    };
    (connection, oauth, login)
}

struct Login<'c> {
    authorize_url: &'c Url,
    pkce: bool,
    params: &'c [(String, String)],
}

fn ways() -> impl Iterator<Item = (&'static Provider, Access)> {
    providers().iter().flat_map(|provider| {
        provider
            .grants
            .keys()
            .map(move |access| (provider, *access))
    })
}

#[test]
fn every_provider_that_was_promised_is_there() {
    let names: Vec<&str> = providers()
        .iter()
        .map(|entry| entry.name.as_str())
        .collect();
    let promised = [
        "adobe-ims",
        "adobe-sign",
        "asana",
        "atlassian",
        "box",
        "dropbox",
        "exact-online",
        "fitbit",
        "github",
        "gitlab",
        "google",
        "hubspot",
        "linear",
        "mendix",
        "microsoft",
        "moneybird",
        "mulesoft-anypoint",
        "netsuite",
        "notion",
        "oracle-idcs",
        "quickbooks",
        "rabobank",
        "salesforce",
        "shopify",
        "slack",
        "spotify",
        "strava",
        "stripe",
        "twinfield",
        "typeform",
        "visma-connect",
        "visma-eaccounting",
        "x",
        "xero",
        "zendesk",
        "zoho",
    ];
    assert_eq!(names, promised);
}

#[test]
fn every_snippet_makes_a_connection_without_a_warning_of_its_own() {
    for (provider, access) in ways() {
        let config = loaded(provider, access);
        let connection = &config.connections[provider.name.as_str()];
        let warnings = config.warnings.iter();
        let own: Vec<&String> = warnings
            .filter(|text| !text.contains("vault.key"))
            .collect();
        let doubted = provider.unusable.is_some() && access.is_oauth();
        assert_eq!(
            own.len(),
            usize::from(doubted),
            "{}: {own:#?}",
            provider.name
        );
        assert!(own.iter().all(|text| text.contains("does not work yet")));
        let is_made = connection.base_url_template.is_some();
        assert_ne!(connection.base_url.is_some(), is_made, "{}", provider.name);
        assert_eq!(way_of(&connection.auth), Some(access), "{}", provider.name);
    }
}

/// Returns the way in that a connection took.
fn way_of(auth: &Auth) -> Option<Access> {
    let oauth = match auth {
        Auth::None => return None,
        Auth::Token(_) => return Some(Access::Token),
        Auth::Basic(_) => return Some(Access::Basic),
        Auth::OAuth(oauth) => oauth,
    };
    Some(match oauth.grant {
        Grant::AuthorizationCode { .. } => Access::AuthorizationCode,
        Grant::DeviceCode { .. } => Access::DeviceCode,
        Grant::ClientCredentials => Access::ClientCredentials,
        Grant::Password { .. } => Access::Password,
        Grant::JwtBearer { .. } => Access::JwtBearer,
        Grant::RefreshToken => Access::RefreshToken,
        Grant::Session(_) => Access::Session,
    })
}

/// What is loaded is what the entry says: a key that is misspelt or not taken over is found here.
#[test]
fn every_value_of_an_entry_is_taken_over() {
    for provider in providers() {
        let known = |key: &String| keys::CONNECTION.names.contains(&key.as_str());
        let reasons = provider.why.keys().chain(provider.unsure.keys());
        let mut named = provider
            .connection
            .keys()
            .chain(reasons)
            .chain(&provider.unchecked);
        assert_eq!(named.find(|key| !known(key)), None, "{}", provider.name);

        let config = loaded(provider, Access::AuthorizationCode);
        let (_, oauth, login) = login(&config, provider);
        let says = |key: &str| provider.connection.get(key);
        assert_eq!(
            says("pkce").unwrap_or(&true.into()),
            login.pkce,
            "{}",
            provider.name
        );
        let auth = match oauth.client_auth {
            ClientAuth::Basic => "basic",
            ClientAuth::Body => "body",
            ClientAuth::None => "none",
            ClientAuth::PrivateKeyJwt => "private_key_jwt",
            ClientAuth::TlsClientAuth => "tls_client_auth",
        };
        assert_eq!(
            says("client_auth").unwrap_or(&"basic".into()),
            auth,
            "{}",
            provider.name
        );
        let body = match oauth.body {
            BodyFormat::Form => "form",
            BodyFormat::Json => "json",
        };
        assert_eq!(says("token_body").unwrap_or(&"form".into()), body);
        let separator = says("scope_separator").and_then(Value::as_str);
        assert_eq!(separator.unwrap_or(" "), oauth.scope_separator);
        for (key, found) in [
            ("authorize_params", login.params),
            ("token_params", &oauth.token_params[..]),
        ] {
            let found: Map<String, Value> = found
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().into()))
                .collect();
            let said = says(key).and_then(Value::as_object).cloned();
            assert_eq!(said.unwrap_or_default(), found, "{}: {key}", provider.name);
        }
        let rules = says("errors").and_then(Value::as_array).map_or(0, Vec::len);
        assert_eq!(oauth.errors.len(), rules, "{}", provider.name);
        assert_eq!(
            oauth.refresh_token_idle.is_some(),
            says("refresh").is_some_and(|refresh| refresh.get("idle").is_some())
        );
    }
}

#[test]
fn every_address_is_https_and_has_no_gap() {
    for provider in providers() {
        let config = loaded(provider, Access::AuthorizationCode);
        let (connection, oauth, login) = login(&config, provider);
        let base = connection.base_url.iter();
        for url in base.chain([login.authorize_url, oauth.authority()]) {
            assert_eq!(url.scheme(), "https", "{}: {url}", provider.name);
            assert!(!has_gap(url), "{}: {url}", provider.name);
        }
    }
}

/// Whatever the token endpoint says goes to hosts of the provider's own.
#[test]
fn a_host_that_an_answer_names_is_confined_to_the_provider_s_domains() {
    let mut confined = Vec::new();
    for provider in providers() {
        let config = loaded(provider, Access::AuthorizationCode);
        let connection = &config.connections[provider.name.as_str()];
        let elsewhere = Facts::of_answer(connection.facts(), |_| {
            Some("https://evil.example".to_owned())
        });
        match connection.located(&elsewhere) {
            Err(BaseError::Elsewhere { host, .. }) if host == "evil.example" => {
                confined.push(provider.name.as_str());
            }
            // A URL is no part of a path.
            Err(BaseError::Template(_)) => {}
            Ok(located) => {
                let host = located.base_url.as_ref().and_then(Url::host_str);
                assert_ne!(host, Some("evil.example"), "{}", provider.name);
            }
            Err(error) => panic!("{}: {error}", provider.name),
        }
    }
    assert_eq!(confined, ["adobe-sign", "salesforce", "zoho"]);
}

/// Tells whether a variable that nobody declared is left in a URL.
fn has_gap(url: &Url) -> bool {
    ["{", "}", "%7B", "%7D"]
        .iter()
        .any(|brace| url.as_str().contains(brace))
}

#[test]
fn every_entry_says_where_it_is_known_from_and_how_it_can_be_used() {
    for provider in providers() {
        let name = &provider.name;
        assert!(
            provider.source.len() > 10 && !provider.title.is_empty(),
            "{name}"
        );
        assert!(
            provider.grants.contains_key(&Access::AuthorizationCode),
            "{name}"
        );
        for (key, variable) in &provider.variables {
            let usual = variable.default.as_ref().or(variable.example.as_ref());
            let usual = usual.unwrap_or_else(|| panic!("{name}: `{key}` has no example"));
            assert!(variable.check(usual).is_ok(), "{name}: `{key}`");
        }
        let said = provider
            .notes
            .iter()
            .chain(&provider.not_yet)
            .chain(&provider.unusable);
        let said = said
            .chain(provider.why.values())
            .chain(provider.unsure.values())
            .chain(provider.scopes.values().map(|scope| &scope.about));
        for text in said {
            assert!(
                !text.contains('\n') && text.trim() == text,
                "{name}: {text}"
            );
        }
    }
}

#[test]
fn a_redirect_uri_that_a_provider_does_not_register_is_refused_before_the_login() {
    let refusal = |provider: &str, redirect_uri: &str| {
        let text = format!(
            "[connection.c]\nprovider = \"{provider}\"\nclient_id = \"me\"\n\
             client_secret = {{ env = \"S\" }}\nredirect_uri = \"{redirect_uri}\"\n"
        );
        let report = House::of(&text).load().err()?;
        Some(report.to_string())
    };
    for (provider, redirect_uri) in [
        ("exact-online", "https://elsewhere.example/callback"),
        ("slack", "https://localhost/callback"),
        ("moneybird", "http://127.0.0.1:8765/callback"),
    ] {
        assert_eq!(refusal(provider, redirect_uri), None);
    }
    for (provider, redirect_uri, why) in [
        (
            "exact-online",
            "http://elsewhere.example/cb",
            "not this machine's",
        ),
        (
            "exact-online",
            "https://localhost/callback",
            "not this machine's",
        ),
        (
            "exact-online",
            "https://127.0.0.1/callback",
            "not this machine's",
        ),
        (
            "slack",
            "http://localhost/callback",
            "with https; it need not",
        ),
    ] {
        let told = refusal(provider, redirect_uri).unwrap();
        assert!(told.contains("registers no such redirect URI"), "{told}");
        assert!(told.contains(why), "{told}");
        assert!(!told.contains("unencrypted"), "told once: {told}");
    }
}
