//! What the documents say is so: examples load, commands and flags are the program's, links lead
//! somewhere.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and its backtrace says where"
)]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::TempHouse;
use tidegate::config;

/// Documents whose links are followed.
const DOCUMENTS: [&str; 7] = [
    "README.md",
    "docs/connections.md",
    "docs/reading.md",
    "examples/README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "tests/servers/README.md",
];
/// Variables that only tests and the build know.
const NOT_FOR_PEOPLE: [&str; 4] = [
    "TIDEGATE_TEST_CLOCK",
    "TIDEGATE_TEST_MACHINE_ID",
    "TIDEGATE_TEST_STOP_AT",
    "TIDEGATE_VERSION",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the code blocks of a document that are marked as `language`, without their indent.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut inside = None;
    for line in document.lines() {
        let text = line.trim_start();
        match inside {
            None if text.starts_with("```") => {
                inside = Some((line.len() - text.len(), text == format!("```{language}")));
                if text == format!("```{language}") {
                    found.push(String::new());
                }
            }
            Some(_) if text == "```" => inside = None,
            Some((indent, true)) => {
                let block = found.last_mut().unwrap();
                block.push_str(line.get(indent..).unwrap_or_default());
                block.push('\n');
            }
            Some((_, false)) | None => {}
        }
    }
    found
}

#[track_caller]
fn assert_loads(what: &str, text: &str) {
    let house = TempHouse::new(text);
    if let Err(report) = config::load(&house.config()) {
        panic!("{what} is no configuration:\n{report}\n{text}");
    }
}

#[test]
fn the_example_configuration_loads() {
    assert_loads("config.example.toml", &read("config.example.toml"));
}

#[test]
fn every_configuration_in_the_documents_loads() {
    for document in ["README.md", "docs/connections.md", "docs/reading.md"] {
        let found = blocks(&read(document), "toml");
        assert!(!found.is_empty(), "{document} has no configuration");
        for block in found {
            assert_loads(&format!("a block of {document}"), &block);
        }
    }
}

/// What a person may write to get in, each of which has an example of its own.
const WAYS_IN: [&str; 10] = [
    "redirect_uri",
    "grant = \"client_credentials\"",
    "grant = \"password\"",
    "grant = \"jwt_bearer\"",
    "grant = \"refresh_token\"",
    "grant = \"device_code\"",
    "token = {",
    "token_header =",
    "basic = {",
    "session = {",
];

#[test]
fn every_way_in_has_an_example() {
    let page = read("docs/connections.md");
    let blocks = blocks(&page, "toml").concat();
    // Values are aligned with spaces.
    let text: Vec<&str> = blocks.split_whitespace().collect();
    let text = text.join(" ");
    for way in WAYS_IN {
        assert!(text.contains(way), "docs/connections.md shows no `{way}`");
    }
    let anypoint = config::provider("mulesoft-anypoint").unwrap();
    for access in anypoint.grants.keys() {
        let word = match access.word() {
            // The default, which nobody writes.
            "authorization_code" => "offline_access",
            word => word,
        };
        let section = page.split("### Anypoint").nth(1).unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        assert!(section.contains(word), "Anypoint has no example of {word}");
    }
}

#[test]
fn every_line_of_the_readmes_table_of_shapes_loads() {
    let readme = read("README.md");
    let (_, table) = readme.split_once("| you have | you write |").unwrap();
    let (table, _) = table.split_once("\n\n").unwrap();
    let lines = table
        .lines()
        .filter_map(|line| line.rsplit_once(" | `"))
        .map(|(_, written)| written);
    let mut count = 0;
    for line in lines {
        let (written, about) = line.split_once('`').unwrap();
        let at_connection = about.contains("on the connection");
        let (token, own) = match written {
            it if it.starts_with("token") => ("", it),
            it if it.starts_with("grant") => ("", GRANT),
            it => ("token = { env = \"TOKEN\" }", it),
        };
        let paging = match written.starts_with("paging") {
            true => "",
            false => "paging = \"none\"",
        };
        let (connection, flow) = if at_connection { (own, "") } else { ("", own) };
        let query = if written.starts_with("cursor") {
            "query = { since = \"{{ bookmark }}\" }"
        } else {
            ""
        };
        let text = format!(
            "[connection.c]\nbase_url = \"https://api.example\"\n{token}\n{connection}\n\
             [flow.f]\nconnection = \"c\"\nurl = \"/things\"\nkey = [\"id\"]\n{paging}\n{query}\n{flow}\n"
        );
        assert_loads(written, &text);
        count += 1;
    }
    assert!(count >= 8, "found {count} lines");
}

/// A machine's grant with what it needs besides.
const GRANT: &str = "grant = \"client_credentials\"\ntoken_url = \"/token\"\nclient_id = \"x\"\n\
                     client_secret = { env = \"SECRET\" }";

#[test]
fn every_command_and_flag_is_in_the_readme() {
    let (readme, house) = (read("README.md"), TempHouse::new(""));
    let help = |words: &[&str]| house.run(words).expect_code(0).stdout;
    let top = help(&["--help"]);
    let (_, listed) = top.split_once("Commands:\n").unwrap();
    let (listed, _) = listed.split_once("\n\n").unwrap();
    let commands: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"login"), "{commands:?}");
    let mut texts = vec![top.clone(), help(&["vault", "init", "--help"])];
    for command in commands.iter().filter(|command| **command != "help") {
        let named = [format!("tidegate {command}"), format!("`{command}")];
        assert!(
            named.iter().any(|name| readme.contains(name)),
            "`{command}` is not in README.md"
        );
        texts.push(help(&[command, "--help"]));
    }
    let words = texts
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
    for flag in words.filter(|word| word.len() > 2 && word.starts_with("--")) {
        let is_everywhere = ["--help", "--version"].contains(&flag);
        assert!(
            is_everywhere || readme.contains(flag),
            "`{flag}` is not in README.md"
        );
    }
}

#[test]
fn every_command_the_readme_names_is_one() {
    let (readme, house) = (read("README.md"), TempHouse::new(""));
    let text = readme.replace('`', "\n");
    let commands = text
        .lines()
        .filter_map(|line| line.strip_prefix("tidegate "))
        .filter_map(|rest| rest.split(' ').next())
        .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
    for command in commands {
        house.run(&[command, "--help"]).expect_code(0);
    }
}

#[test]
fn every_exit_code_is_in_the_readme_and_in_the_help() {
    let readme = read("README.md");
    let help = TempHouse::new("").run(&["--help"]).stdout;
    let line = help
        .lines()
        .find(|line| line.starts_with("Exit codes:"))
        .unwrap();
    for code in 0..=3 {
        assert!(
            line.contains(&format!("{code} ")),
            "{code} is not in --help"
        );
        assert!(
            readme.contains(&format!("**{code}** ")),
            "{code} is not in README.md"
        );
    }
}

#[test]
fn every_environment_variable_is_in_the_readme() {
    let readme = read("README.md");
    for file in sources(&root().join("src")) {
        let text = fs::read_to_string(&file).unwrap();
        for (at, _) in text.match_indices("\"TIDEGATE_") {
            let rest = &text[at + 1..];
            let name = &rest[..rest.find('"').unwrap()];
            let known = NOT_FOR_PEOPLE.contains(&name) || readme.contains(name);
            assert!(known, "`{name}` of {} is not in README.md", file.display());
        }
    }
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path
            .file_name()
            .is_some_and(|name| name == "tests.rs" || name == "tests");
        if path.is_dir() && !is_test {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") && !is_test {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_link_inside_the_repository_leads_somewhere() {
    let mut count = 0;
    for document in DOCUMENTS {
        let text = read(document);
        let here = root().join(document).parent().unwrap().to_owned();
        for (at, _) in text.match_indices("](") {
            let target = &text[at + 2..];
            let target = &target[..target.find(')').unwrap()];
            if target.contains("://") {
                continue;
            }
            count += 1;
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() {
                root().join(document)
            } else {
                here.join(path)
            };
            assert!(file.exists(), "{document} links to {target}");
            let has_heading =
                || anchors(&fs::read_to_string(&file).unwrap()).any(|it| it == heading);
            assert!(
                heading.is_empty() || has_heading(),
                "{document} links to {target}"
            );
        }
    }
    assert!(count > 5, "the links are not where this test looks");
}

/// Returns the anchors of a document's headings.
fn anchors(document: &str) -> impl Iterator<Item = String> {
    document.lines().filter_map(|line| {
        let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
    })
}
