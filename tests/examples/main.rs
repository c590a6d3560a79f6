//! Every configuration of `examples/`, run against a server that plays the source.
//!
//! Beside each `NAME.txt` here stands `examples/NAME.toml`. The script says what the source is asked,
//! in order, what it answers, and what the table holds then; [`script`] tells how it is written.

#![cfg(feature = "test-clock")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod play;
mod script;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Makes a test of each example, and of the list being whole.
macro_rules! examples {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                play::example(&file_name(stringify!($name)));
            }
        )*

        #[test]
        fn every_example_is_played() {
            let played = [$(stringify!($name)),*].into_iter();
            let played: BTreeSet<String> = played.map(file_name).collect();
            assert_eq!(played, names(&examples(), "toml"), "examples/*.toml");
            assert_eq!(played, names(&scripts(), "txt"), "tests/examples/*.txt");
            assert_eq!(played, listed(), "examples/README.md");
        }
    };
}

examples! {
    adobe_sign,
    afas,
    asana,
    r#box,
    dropbox,
    exact_online,
    fitbit,
    github,
    gitlab,
    google,
    hubspot,
    jira,
    linear,
    mendix,
    microsoft_graph,
    moneybird,
    mulesoft,
    netsuite,
    notion,
    oracle_fusion,
    quickbooks,
    rabobank,
    salesforce,
    shopify,
    slack,
    spotify,
    strava,
    stripe,
    typeform,
    visma,
    x,
    xero,
    zendesk,
    zoho,
}

/// Returns the name of the files that a test is about.
fn file_name(test: &str) -> String {
    test.trim_start_matches("r#").replace('_', "-")
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples")
}

/// Returns the names of the examples that the table of their README has.
fn listed() -> BTreeSet<String> {
    let text = std::fs::read_to_string(examples().join("README.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ["));
    rows.map(|row| row.split(']').next().unwrap().to_owned())
        .collect()
}

/// Returns the names of the files that end so.
fn names(directory: &Path, ending: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(directory).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}
