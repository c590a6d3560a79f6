//! `tidegate connections keypair`: a key by which a connection signs. The private half is sealed
//! where it is made and never shown.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::owner::Owner;
use super::{Exit, Failed, Output, print};
use crate::clock::SharedClock;
use crate::config::{self, Auth, Config, Connection, Name, Registration, SigningAlgorithm};
use crate::oauth::assertion::{KeyError, SigningKey, generate};
use crate::oauth::{self, vault};
use crate::remedy::Remedy;
use crate::secret::Secret;

/// What most servers take, where nobody says otherwise (RFC 7518 section 3.1 recommends it).
const USUAL: SigningAlgorithm = SigningAlgorithm::Rs256;

/// The key that is wanted.
pub(super) struct Wanted {
    /// The connection it is for, which the configuration may not have yet.
    pub(super) connection: Name,
    /// How it is to sign, unless the connection says so.
    pub(super) algorithm: Option<SigningAlgorithm>,
    /// Takes the place of a key that is there.
    pub(super) force: bool,
}

/// The public half, and where the private one is.
#[derive(Serialize)]
struct Made<'a> {
    connection: &'a Name,
    secret: &'a Name,
    algorithm: &'static str,
    configuration: String,
    public_pem: String,
    public_jwk: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration: Option<Registered>,
}

/// What the provider is told.
#[derive(Serialize)]
struct Registered {
    about: &'static str,
    unsure: &'static str,
    body: Value,
}

pub(super) async fn keypair(
    config: &Arc<Config>,
    wanted: &Wanted,
    output: Output,
    clock: &SharedClock,
) -> Result<Exit, Failed> {
    let name = &wanted.connection;
    let connection = config.connections.get(name.as_str());
    let algorithm = algorithm(wanted, connection)?;
    let secret = Name::parse(&format!("{name}-key")).map_err(|why| {
        let error = format!("`{name}-key` cannot name the secret: {why}");
        Failed::new(error, Remedy::EditConfig, None)
    })?;
    let owner = Owner::reach(config, "connections keypair", clock).await?;
    let public = make_and_seal(config, &owner, &secret, algorithm, wanted.force).await;
    owner.leave().await;
    let public = public?;
    let public_pem = public.public_pem();
    let made = Made {
        connection: name,
        secret: &secret,
        algorithm: algorithm.name(),
        configuration: format!("private_key = {{ vault = \"{secret}\" }}"),
        registration: connection
            .and_then(registration)
            .map(|entry| Registered::of(entry, &public_pem)),
        public_jwk: public.public_jwk(),
        public_pem,
    };
    if output.json {
        print::json(&made);
    } else {
        show(&made, config.sealed.contains(&secret));
    }
    Ok(Exit::Done)
}

/// Returns how the key is to sign: a connection that says so would refuse any other.
fn algorithm(wanted: &Wanted, connection: Option<&Connection>) -> Result<SigningAlgorithm, Failed> {
    let key = connection.and_then(|connection| match &connection.auth {
        Auth::OAuth(oauth) => oauth.client_key.as_ref(),
        Auth::None | Auth::Token(_) | Auth::Basic(_) => None,
    });
    let stated = key.and_then(|key| key.algorithm);
    match (wanted.algorithm, stated) {
        (Some(wanted), Some(stated)) if wanted != stated => {
            let stated = stated.name();
            let error = format!(
                "the connection says `signing_algorithm = \"{stated}\"`, which a key for {} does \
                 not fit",
                wanted.name()
            );
            let hint = "leave out `--algorithm`, or take the line out of the configuration";
            Err(Failed::new(error, Remedy::EditConfig, Some(hint)))
        }
        (wanted, stated) => Ok(wanted.or(stated).unwrap_or(USUAL)),
    }
}

/// Makes a key and seals it under `secret`; returns it for its public half.
async fn make_and_seal(
    config: &Config,
    owner: &Owner,
    secret: &Name,
    algorithm: SigningAlgorithm,
    force: bool,
) -> Result<SigningKey, Failed> {
    let sealed = vault::sealed_secrets(&config.vault()).map_err(oauth::Error::from)?;
    if !force && sealed.iter().any(|sealed| sealed.name == *secret) {
        let error = format!("the vault has a secret `{secret}` already");
        let hint = "a key that is replaced is lost, and what it signs is refused until the new \
                    public key is registered; `--force` replaces it";
        return Err(Failed::new(error, Remedy::EditConfig, Some(hint)));
    }
    // An RSA key takes long enough to make that nothing else should wait for it.
    let made = tokio::task::spawn_blocking(move || make(algorithm)).await;
    let made = made.map_err(|error| Failed::of(&error, Remedy::Report, None))?;
    let (private, key) =
        made.map_err(|error| Failed::of(&error, error.remedy(), Some(error.hint())))?;
    owner.client.set_secret(secret, &private).await?;
    Ok(key)
}

fn make(algorithm: SigningAlgorithm) -> Result<(Secret, SigningKey), KeyError> {
    let private = generate(algorithm)?;
    let key = SigningKey::from_pem(&private, Some(algorithm))?;
    Ok((private, key))
}

fn registration(connection: &Connection) -> Option<&'static Registration> {
    let provider = config::provider(connection.provider.as_deref()?).ok()?;
    provider.registration.as_ref()
}

impl Registered {
    fn of(entry: &'static Registration, public_pem: &str) -> Self {
        Self {
            about: &entry.about,
            unsure: &entry.unsure,
            body: entry.body(public_pem),
        }
    }
}

fn show(made: &Made<'_>, is_configured: bool) {
    let Made {
        secret, algorithm, ..
    } = made;
    print::line(&format!(
        "sealed `{secret}`, a new private key for {algorithm}; nothing shows it"
    ));
    if !is_configured {
        let Made {
            connection,
            configuration,
            ..
        } = made;
        print::line(&format!(
            "  the configuration takes it as this line of [connection.{connection}]:\n\n\
             {configuration}"
        ));
    }
    print::line(&format!(
        "\nTell the server its public key, as PEM:\n\n{}\n\
         or as a JSON Web Key, whose `kid` goes into `key_id` if the server asks for one:\n",
        made.public_pem
    ));
    print::json(&made.public_jwk);
    if let Some(Registered {
        about,
        unsure,
        body,
    }) = &made.registration
    {
        print::line(&format!("\n{about}\n"));
        print::json(body);
        print::line(&format!("\nNot certain: {unsure}"));
    }
}
