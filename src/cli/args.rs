//! The words this program understands.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{Name, SigningAlgorithm};
use crate::seal::KeyId;

/// The words of one call.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version = env!("TIDEGATE_VERSION"),
    about = ABOUT,
    long_about = None,
    max_term_width = 100,
    after_help = EXAMPLES
)]
pub(super) struct Args {
    /// The configuration [default: tidegate.toml here, else /etc/tidegate/tidegate.toml]
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "TIDEGATE_CONFIG",
        hide_env_values = true
    )]
    pub(super) config: Option<PathBuf>,

    /// Answer in JSON
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Run these flows once, now (all if none is named), and exit
    #[arg(long, value_name = "FLOW", num_args = 0..)]
    pub(super) run_now: Option<Vec<String>>,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

const ABOUT: &str = "\
Keeps SQLite tables equal to OAuth-protected, paginated APIs.
Without a command it is the service: it runs every flow when it is due and keeps tokens fresh.";

const EXAMPLES: &str = "\
Exit codes: 0 done, 1 a run failed, 2 something must be changed first, 3 someone must sign in.

Examples:
  tidegate demo                     see it work, without an account or a network
  tidegate check                    find every mistake of the configuration
  tidegate login exact              sign in on the connection `exact`
  tidegate --run-now project        run the flow `project` once
  tidegate status                   is all well?
  tidegate query 'SELECT count(*) FROM project'
  tidegate                          the service (nothing else to do: it runs what is due)";

const CONNECTING: &str = "\
Who signs in where is said by the connection:
  grant = \"authorization_code\"   you do, in a browser; this is the default
  grant = \"device_code\"          you do, on another device, with a code
  any other grant, and token, basic or session: nobody, the configuration holds all it takes

Where the browser cannot come back to us, paste the address it ends on.
`tidegate providers show NAME` prints a connection for each provider we know, and each way in.";

const DISCOVERING: &str = "\
Examples:
  tidegate discover exact --list '/api/v1/123456/project/$metadata'
  tidegate discover exact --only Projects '/api/v1/123456/project/$metadata' >> tidegate.toml
  tidegate discover shop --file openapi.json --output shop-flows.toml";

/// What can be asked for besides running.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check the configuration, without any network
    Check,
    /// Sign in on a connection
    #[command(after_help = CONNECTING)]
    Login {
        /// The connection
        connection: String,
        /// Which of several accounts, by a name you choose
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Print the address instead of opening a browser
        #[arg(long)]
        no_browser: bool,
        /// Let another person sign in than before
        #[arg(long)]
        another_person: bool,
        /// Take tokens obtained elsewhere from the standard input: a token answer as JSON, or
        /// {"refresh_token": "…"}
        #[arg(long, conflicts_with_all = ["no_browser", "another_person"])]
        import: bool,
    },
    /// Have the tokens of a connection revoked, and forget them
    Logout {
        /// The connection
        connection: String,
        /// Which of several accounts
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Forget them here only, and tell what stays valid at the provider
        #[arg(long)]
        offline: bool,
    },
    /// Show each connection and how its tokens are
    Connections {
        #[command(subcommand)]
        command: Option<ConnectionsCommand>,
    },
    /// Show the providers that need no looking up
    Providers {
        #[command(subcommand)]
        command: Option<ProvidersCommand>,
    },
    /// Show whether all is well
    Status,
    /// Show the latest runs
    Runs {
        /// Only this flow's
        flow: Option<String>,
        /// How many
        #[arg(long, short = 'n', default_value_t = 20)]
        limit: u32,
    },
    /// Show the tables, their columns and how many rows they have
    Tables,
    /// Ask the database, read-only
    Query {
        /// An SQL statement
        sql: String,
        /// Answer in CSV
        #[arg(long, conflicts_with = "json")]
        csv: bool,
    },
    /// Write flows from what a source says about itself: OData metadata or OpenAPI
    #[command(after_help = DISCOVERING)]
    Discover {
        /// The connection the flows read through
        connection: String,
        /// Where the document is [default: $metadata, openapi.json, swagger.json below base_url]
        #[arg(conflicts_with = "file")]
        url: Option<String>,
        /// Read the document from a file
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// With which of several accounts
        #[arg(long, value_name = "NAME", conflicts_with = "file")]
        account: Option<String>,
        /// Show what there is, and write nothing
        #[arg(long)]
        list: bool,
        /// Only these, by their names in the list
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        only: Vec<String>,
        /// Write into this new file
        #[arg(long, short, value_name = "FILE", conflicts_with = "list")]
        output: Option<PathBuf>,
    },
    /// Fetch one page of a flow, and show what a run would do with it
    Preview {
        /// The flow
        flow: String,
    },
    /// Estimate the calls that the schedule makes, against what sources allow
    Plan {
        /// Only these flows [default: all]
        #[arg(value_name = "FLOW")]
        flows: Vec<String>,
    },
    /// Seal, list or remove the secrets that the configuration names
    Secret {
        #[command(subcommand)]
        command: SecretCommand,
    },
    /// Look after the vault and its keys
    Vault {
        #[command(subcommand)]
        command: VaultCommand,
    },
    /// Copy both databases, as they stand, into a new directory
    Backup {
        /// The directory to make
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// See the whole way work against a provider inside this program
    Demo {
        /// Where its files go [default: a new directory under the system's temporary one]
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What can be done for connections.
#[derive(Debug, Subcommand)]
pub(super) enum ConnectionsCommand {
    /// Make the key by which a connection signs: seal it, and print its public half
    Keypair {
        /// The connection; the key is sealed as `NAME-key`
        #[arg(value_name = "NAME", value_parser = Name::parse)]
        connection: Name,
        /// How it signs [default: what the connection says, else RS256]
        #[arg(long, value_enum)]
        algorithm: Option<SigningAlgorithm>,
        /// Replace a key that is there
        #[arg(long)]
        force: bool,
    },
}

impl ValueEnum for SigningAlgorithm {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Rs256, Self::Es256, Self::EdDsa]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

/// What can be asked about providers.
#[derive(Debug, Subcommand)]
pub(super) enum ProvidersCommand {
    /// Show what an entry sets and why, and a connection that uses it
    Show {
        /// The provider, as `provider = "…"` names it
        provider: String,
    },
}

/// What can be done to sealed secrets.
#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// Seal a secret: type it, or pipe it in
    Set {
        /// What the configuration calls it
        #[arg(value_parser = Name::parse)]
        name: Name,
    },
    /// Show which secrets there are, never what they hold
    List,
    /// Remove a secret and the key that sealed it
    Remove {
        /// The secret
        #[arg(value_parser = Name::parse)]
        name: Name,
        /// Also if the configuration refers to it
        #[arg(long)]
        force: bool,
    },
}

/// What can be done to the vault.
#[derive(Debug, Subcommand)]
pub(super) enum VaultCommand {
    /// Make a key file, once
    Init {
        /// Where [default: the file the configuration names, else vault.key beside it]
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
    },
    /// Show which keys open the vault, and what it holds
    Status,
    /// Bring all that is sealed under the current key; it may be cut short and begun again
    Rewrap,
    /// Open every record, and tell which do not open
    Verify,
    /// Forget a key that nothing needs any more
    Drop {
        /// The key, as `vault status` shows it
        key: KeyId,
    },
    /// After a restore or a move: this copy is the only one in use, and may refresh again
    Adopt,
    /// After a leak: seal everything anew, and leave nothing of the old on disk
    Reseal,
}

/// Puts the flags that stand after `--run-now` before it, so that `--run-now --json project` means
/// what it says: a flag would end the list of flows, and the next flow look like a command.
pub(super) fn flags_first(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    let Some(at) = words.iter().position(|word| word == "--run-now") else {
        return words;
    };
    let mut flows = words.split_off(at).into_iter().peekable();
    let mut run_now = Vec::new();
    while let Some(word) = flows.next() {
        let takes_value = word == "--config" || word == "-c";
        let is_flag = word != "--run-now" && word.as_encoded_bytes().starts_with(b"-");
        if is_flag { &mut words } else { &mut run_now }.push(word);
        if takes_value {
            words.extend(flows.next());
        }
    }
    words.extend(run_now);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_may_stand_anywhere_around_run_now() {
        for words in [
            "tidegate --run-now a b --json -c x.toml",
            "tidegate --json --run-now --config x.toml a b",
            "tidegate --run-now a --json b --config=x.toml",
        ] {
            let words = words.split(' ').map(OsString::from);
            let args = Args::try_parse_from(flags_first(words)).unwrap();
            assert_eq!(args.run_now.unwrap(), ["a", "b"]);
            assert!(args.json && args.config.unwrap().as_os_str() == "x.toml");
        }
    }
}
