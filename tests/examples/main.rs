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
                play::example(&stringify!($name).replace('_', "-"));
            }
        )*

        #[test]
        fn every_example_is_played() {
            let played = [$(stringify!($name)),*].map(|name| name.replace('_', "-"));
            let played: BTreeSet<String> = played.into_iter().collect();
            assert_eq!(played, names(&examples(), "toml"), "examples/*.toml");
            assert_eq!(played, names(&scripts(), "txt"), "tests/examples/*.txt");
        }
    };
}

examples! {
    github,
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples")
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
