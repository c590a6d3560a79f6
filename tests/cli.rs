//! The manners at the command line: what help, answers and mistakes look like.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

#[cfg(feature = "test-clock")]
#[path = "cli/answers.rs"]
mod answers;
#[path = "support/mod.rs"]
mod support;

use std::path::Path;

use insta::assert_snapshot;
use support::{Ran, TempHouse};

fn house() -> TempHouse {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    TempHouse::new(&std::fs::read_to_string(example).unwrap())
}

#[test]
fn help_fits_a_screen_and_ends_with_examples() {
    let help = house().run(&["--help"]).expect_code(0);
    assert_snapshot!(help.stdout, @r"
    Keeps SQLite tables equal to OAuth-protected, paginated APIs.
    Without a command it is the service: it runs every flow when it is due and keeps tokens fresh.

    Usage: tidegate [OPTIONS] [COMMAND]

    Commands:
      check        Check the configuration, without any network
      login        Sign in on a connection
      logout       Have the tokens of a connection revoked, and forget them
      connections  Show each connection and how its tokens are
      providers    Show the providers that need no looking up
      status       Show whether all is well
      runs         Show the latest runs
      tables       Show the tables, their columns and how many rows they have
      query        Ask the database, read-only
      discover     Write flows from what a source says about itself: OData metadata or OpenAPI
      preview      Fetch one page of a flow, and show what a run would do with it
      plan         Estimate the calls that the schedule makes, against what sources allow
      secret       Seal, list or remove the secrets that the configuration names
      vault        Look after the vault and its keys
      backup       Copy both databases, as they stand, into a new directory
      demo         See the whole way work against a provider inside this program
      completions  Print a completion script for a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -c, --config <FILE>        The configuration [default: tidegate.toml here, else
                                 /etc/tidegate/tidegate.toml] [env: TIDEGATE_CONFIG]
          --json                 Answer in JSON
          --run-now [<FLOW>...]  Run these flows once, now (all if none is named), and exit
      -h, --help                 Print help
      -V, --version              Print version

    Exit codes: 0 done, 1 a run failed, 2 something must be changed first, 3 someone must sign in.

    Examples:
      tidegate demo                     see it work, without an account or a network
      tidegate check                    find every mistake of the configuration
      tidegate login exact              sign in on the connection `exact`
      tidegate --run-now project        run the flow `project` once
      tidegate status                   is all well?
      tidegate query 'SELECT count(*) FROM project'
      tidegate                          the service (nothing else to do: it runs what is due)
    ");
    assert!(help.stdout.lines().count() <= 45);
    assert!(help.stdout.lines().all(|line| line.chars().count() <= 100));
    assert_eq!(help.stderr, "");
}

#[test]
fn every_command_explains_itself() {
    let house = house();
    let help = |words: &[&str]| house.run(words).expect_code(0).stdout;
    assert_snapshot!(help(&["login", "--help"]), @r#"
    Sign in on a connection

    Usage: tidegate login [OPTIONS] <CONNECTION>

    Arguments:
      <CONNECTION>  The connection

    Options:
          --account <NAME>  Which of several accounts, by a name you choose
      -c, --config <FILE>   The configuration [default: tidegate.toml here, else
                            /etc/tidegate/tidegate.toml] [env: TIDEGATE_CONFIG]
          --json            Answer in JSON
          --no-browser      Print the address instead of opening a browser
          --another-person  Let another person sign in than before
          --import          Take tokens obtained elsewhere from the standard input: a token answer as
                            JSON, or {"refresh_token": "…"}
      -h, --help            Print help

    Who signs in where is said by the connection:
      grant = "authorization_code"   you do, in a browser; this is the default
      grant = "device_code"          you do, on another device, with a code
      any other grant, and token, basic or session: nobody, the configuration holds all it takes

    Where the browser cannot come back to us, paste the address it ends on.
    `tidegate providers show NAME` prints a connection for each provider we know, and each way in.
    "#);
    assert_snapshot!(help(&["runs", "--help"]), @r"
    Show the latest runs

    Usage: tidegate runs [OPTIONS] [FLOW]

    Arguments:
      [FLOW]  Only this flow's

    Options:
      -c, --config <FILE>  The configuration [default: tidegate.toml here, else
                           /etc/tidegate/tidegate.toml] [env: TIDEGATE_CONFIG]
      -n, --limit <LIMIT>  How many [default: 20]
          --json           Answer in JSON
      -h, --help           Print help
    ");
    assert_snapshot!(help(&["query", "--help"]), @r"
    Ask the database, read-only

    Usage: tidegate query [OPTIONS] <SQL>

    Arguments:
      <SQL>  An SQL statement

    Options:
      -c, --config <FILE>  The configuration [default: tidegate.toml here, else
                           /etc/tidegate/tidegate.toml] [env: TIDEGATE_CONFIG]
          --csv            Answer in CSV
          --json           Answer in JSON
      -h, --help           Print help
    ");
    assert_snapshot!(help(&["vault", "init", "--help"]), @r"
    Make a key file, once

    Usage: tidegate vault init [OPTIONS]

    Options:
      -c, --config <FILE>    The configuration [default: tidegate.toml here, else
                             /etc/tidegate/tidegate.toml] [env: TIDEGATE_CONFIG]
          --key-file <FILE>  Where [default: the file the configuration names, else vault.key beside it]
          --json             Answer in JSON
      -h, --help             Print help
    ");
    assert_snapshot!(help(&["demo", "--help"]), @r"
    See the whole way work against a provider inside this program

    Usage: tidegate demo [OPTIONS]

    Options:
      -c, --config <FILE>    The configuration [default: tidegate.toml here, else
                             /etc/tidegate/tidegate.toml] [env: TIDEGATE_CONFIG]
          --directory <DIR>  Where its files go [default: a new directory under the system's temporary
                             one]
          --json             Answer in JSON
      -h, --help             Print help
    ");
    for command in [
        "check",
        "logout",
        "connections",
        "status",
        "tables",
        "vault",
        "completions",
    ] {
        let help = help(&[command, "--help"]);
        assert!(
            help.contains(&format!("Usage: tidegate {command}")),
            "{help}"
        );
    }
}

#[test]
fn the_version_is_one_line() {
    let version = house().run(&["--version"]).expect_code(0).stdout;
    let number = version.strip_prefix("tidegate ").unwrap();
    assert!(number.starts_with(env!("CARGO_PKG_VERSION")), "{version}");
    assert_eq!(version.lines().count(), 1);
}

#[test]
fn words_that_nobody_understands_are_usage_errors() {
    let house = house();
    let told = |words: &[&str]| house.run(words).block(&house);
    assert_snapshot!(told(&["statsu"]), @r"
    exit 2
    --- stderr
    error: unrecognized subcommand 'statsu'

      tip: a similar subcommand exists: 'status'

    Usage: tidegate [OPTIONS] [COMMAND]

    For more information, try '--help'.
    ");
    assert_snapshot!(told(&["status", "--jsno"]), @r"
    exit 2
    --- stderr
    error: unexpected argument '--jsno' found

      tip: a similar argument exists: '--json'

    Usage: tidegate status --json

    For more information, try '--help'.
    ");
    assert_snapshot!(told(&["login"]), @r"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      <CONNECTION>

    Usage: tidegate login <CONNECTION>

    For more information, try '--help'.
    ");
    assert_snapshot!(told(&["runs", "--limit", "many"]), @r"
    exit 2
    --- stderr
    error: invalid value 'many' for '--limit <LIMIT>': invalid digit found in string

    For more information, try '--help'.
    ");
    assert_snapshot!(told(&["query", "--csv", "--json", "SELECT 1"]), @r"
    exit 2
    --- stderr
    error: the argument '--csv' cannot be used with '--json'

    Usage: tidegate query --csv <SQL>

    For more information, try '--help'.
    ");
}

#[test]
fn the_example_configuration_is_right() {
    let house = house();
    // Without the test's clock the next slot depends on the day.
    let named = |ran: Ran| ran.timeless_block(&house);
    assert_snapshot!(named(house.run(&["check"])), @r"
    exit 0
    --- stdout
    HOUSE/tidegate.toml is right: 1 flow, 1 connection
      project: next at WHEN
    --- stderr
    warning: HOUSE/tidegate.toml:28: connection `exact`: `client_secret`: environment variable `EXACT_CLIENT_SECRET` is not set
    ");
}

#[test]
fn a_configuration_that_is_not_there_is_told() {
    let house = house();
    std::fs::remove_file(house.config()).unwrap();
    let nowhere = house.run(&["check"]);
    assert_snapshot!(nowhere.block(&house), @r"
    exit 2
    --- stderr
    error: could not read HOUSE/tidegate.toml: No such file or directory (os error 2)
     |
     = help: name the file with `--config`, or copy config.example.toml

    1 problem in HOUSE/tidegate.toml
    ");
}

#[test]
fn a_key_is_made_once() {
    let house = house();
    std::fs::remove_file(house.path("vault.key")).unwrap();
    let made = house.run(&["vault", "init"]);
    assert_snapshot!(made.block(&house), @r"
    exit 0
    --- stdout
    made the key HOUSE/vault.key
      keep a copy somewhere safe: without it every token must be given again
    ");
    let key = std::fs::read(house.path("vault.key")).unwrap();
    let again = house.run(&["vault", "init"]);
    assert_snapshot!(again.block(&house), @r"
    exit 0
    --- stderr
    nothing to do: the key is in the file `HOUSE/vault.key`
    ");
    assert_eq!(std::fs::read(house.path("vault.key")).unwrap(), key);
    let other = house.run(&["vault", "init", "--key-file", "other.key", "--json"]);
    assert_eq!(other.expect_code(0).json()["key_file"], "other.key");
    assert_ne!(std::fs::read(house.path("other.key")).unwrap(), key);
}
