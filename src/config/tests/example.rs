//! The example is right, as it is and with everything switched on.

use super::House;
use crate::config::keys;

pub(super) const EXAMPLE: &str = include_str!("../../../config.example.toml");

#[test]
fn the_example_has_no_problem_as_it_is_and_with_everything_on() {
    let config = House::of(EXAMPLE)
        .load()
        .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!((config.connections.len(), config.flows.len()), (1, 1));
    let on = all_on(EXAMPLE);
    let house = House::of(&on);
    let config = house.load().unwrap_or_else(|report| panic!("{report}"));
    assert!(config.flows.len() > 5);
    // The values shown for settings of the whole program are the defaults.
    let plain = House::of(EXAMPLE).load().unwrap();
    assert_eq!(config.max_concurrent, plain.max_concurrent);
    assert_eq!(config.keep_runs, plain.keep_runs);
    assert_eq!(config.database, config.state_dir.join("tidegate.db"));
    assert_eq!(
        config.state_dir,
        house.directory.path().join("tidegate-state")
    );
}

/// Takes the `#` off every line that switches a setting off.
pub(super) fn all_on(example: &str) -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_alphabetic() || c == '[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    example.lines().map(|line| on(line) + "\n").collect()
}

#[test]
fn the_example_mentions_every_key() {
    let example = all_on(EXAMPLE);
    for (section, key) in keys::all() {
        let assigned = example.match_indices(key).any(|(at, _)| {
            let (before, after) = (&example[..at], &example[at + key.len()..]);
            let part_of_a_word = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
            !part_of_a_word && after.trim_start().starts_with('=')
        });
        let headings = [format!("[{key}."), format!("[{key}]"), format!(".{key}]")];
        let headed = headings.iter().any(|heading| example.contains(heading));
        assert!(
            assigned || headed,
            "the example does not show `{key}` of {section}"
        );
    }
}
