//! The two rules a reader of the code relies on: calls go down only, and SQL that names a table
//! stands with the table's owner. Both are stated in ARCHITECTURE.md.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot read the sources has failed"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors from the bottom up. Modules of one floor do not know each other, but
/// where one is named in [`NEIGHBOURS`] with the reason.
const FLOORS: [(&str, &[&str]); 8] = [
    ("stones", &["clock", "record", "remedy", "secret"]),
    (
        "ground",
        &["http", "jq", "lock", "seal", "store", "template"],
    ),
    ("what was asked for", &["config"]),
    (
        "stages",
        &[
            "bookmark", "discover", "fetch", "journal", "merge", "oauth", "quota",
        ],
    ),
    ("table", &["run"]),
    ("upper", &["plan", "scheduler", "status"]),
    ("hall", &["daemon"]),
    ("door", &["cli", "control"]),
];

/// Who may know whom on the same floor.
const NEIGHBOURS: [(&str, &str, &str); 2] = [
    (
        "status",
        "scheduler",
        "what is due next is part of how everything is",
    ),
    (
        "cli",
        "control",
        "every command that writes goes over the socket",
    ),
];

/// Tables and the module whose files alone name them in SQL.
const OWNERS: &[(&str, &str)] = &[
    ("_tidegate_bookmarks", "bookmark"),
    ("_tidegate_positions", "bookmark"),
    ("_tidegate_runs", "journal"),
    ("_tidegate_flows", "journal"),
    ("_tidegate_columns", "merge"),
    ("_tidegate_limits", "quota"),
    ("_tidegate_absences", "merge"),
    (" credentials", "oauth"),
    (" refreshes", "oauth"),
    (" data_keys", "oauth"),
    (" root_keys", "oauth"),
    (" orphans", "oauth"),
    (" secrets", "oauth"),
    (" states", "oauth"),
    (" facts", "oauth"),
    (" metadata", "oauth"),
    (" key_sets", "oauth"),
];

/// What must stand before a name for it to be SQL's use of a table.
const VERBS: [&str; 5] = ["FROM", "INTO", "UPDATE", "JOIN", "TABLE"];

#[test]
fn calls_go_down_only() {
    let floors: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, (_, modules))| modules.iter().map(move |module| (*module, floor)))
        .collect();
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        if module == "sandbox" || module == "main" || module == "lib" {
            continue;
        }
        let own = floors
            .get(module.as_str())
            .unwrap_or_else(|| panic!("`{module}` stands on no floor: name it in tests/tidy.rs"));
        for (number, line) in text.lines().enumerate() {
            for used in used_modules(line) {
                let Some(floor) = floors.get(used.as_str()) else {
                    let demo = used == "sandbox" && path.ends_with("cli/demo.rs");
                    if used == "sandbox" && !demo {
                        wrong.push(format!(
                            "{}:{}: only the demo enters the sandbox",
                            path.display(),
                            number + 1
                        ));
                    }
                    continue;
                };
                let neighbours = NEIGHBOURS
                    .iter()
                    .any(|(a, b, _)| *a == module && *b == used);
                if used != module && floor >= own && !neighbours {
                    wrong.push(format!(
                        "{}:{}: `{module}` calls up or sideways to `{used}`",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn sql_that_names_a_table_stands_with_its_owner() {
    let mut wrong = Vec::new();
    for (module, path, text) in sources() {
        for (table, owner) in OWNERS.iter().copied() {
            if module == owner || module == "sandbox" {
                continue;
            }
            for (number, line) in text.lines().enumerate() {
                let comment = line.trim_start().starts_with("//");
                let named = VERBS
                    .iter()
                    .any(|verb| line.contains(&format!("{verb} {}", table.trim())));
                if named && !comment {
                    wrong.push(format!(
                        "{}:{}: `{table}` belongs to `{owner}`",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the modules a line uses, as `use crate::a::b` and `crate::a::b` name them.
fn used_modules(line: &str) -> Vec<String> {
    let line = line.trim_start();
    if line.starts_with("//") {
        return Vec::new();
    }
    let mut used = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default(),
            None => rest,
        };
        for name in names.split(',') {
            let name: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            if !name.is_empty() {
                used.push(name);
            }
        }
    }
    used
}

/// Returns every source file with the top-level module it belongs to, without the files of tests,
/// which may ask any table what became of it.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.components().any(|part| part.as_os_str() == "tests")
                || path.ends_with("tests.rs")
            {
                continue;
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(&root).unwrap();
                let first = below
                    .components()
                    .next()
                    .unwrap()
                    .as_os_str()
                    .to_string_lossy();
                let module = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                files.push((module, path, text));
            }
        }
    }
    assert!(
        files.len() > 50,
        "the sources are not where this test looks"
    );
    files
}
