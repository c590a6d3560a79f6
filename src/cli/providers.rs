//! `tidegate providers`: what the catalogue knows, and where it knows it from.

use serde::Serialize;

use super::{Exit, Failed, Output, print};
use crate::config::{self, Access, Provider, Scope, Works};
use crate::remedy::Remedy;

/// Where lines of prose are broken, so that they can be read beside the values.
const WIDTH: usize = 100;
/// What every sign-in says besides what an entry asks for.
const EVERY: &str = "Every connection also has its `client_id`, `client_secret` and, to sign in, \
                     `redirect_uri`.\n`tidegate providers show NAME` tells what an entry sets, why, and what is \
                     not certain.\nNone was tried with an account of ours.";

/// How far any entry can be trusted.
const UNTRIED: &str = "none of it was tried with an account of ours";

/// A provider in the list.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    title: &'a str,
    works: Works,
    grants: Vec<Access>,
    fill_in: Vec<String>,
}

/// A provider with all there is to know.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    provider: &'a Provider,
    works: Works,
    snippets: Vec<Snippet>,
}

/// A connection that uses an entry.
#[derive(Serialize)]
struct Snippet {
    grant: Access,
    text: String,
}

/// Lists every provider.
pub(super) fn list(output: Output) -> Exit {
    let listed: Vec<Listed<'_>> = config::providers().iter().map(Listed::of).collect();
    if output.json {
        print::json(&listed);
        return Exit::Done;
    }
    let rows = listed.iter().map(|provider| {
        let grants: Vec<&str> = provider.grants.iter().map(|grant| grant.word()).collect();
        vec![
            provider.name.to_owned(),
            provider.title.to_owned(),
            works(provider.works).to_owned(),
            grants.join(", "),
            provider.fill_in.join(", "),
        ]
    });
    let heading = ["NAME", "PROVIDER", "WORKS", "GRANTS", "FILL IN"];
    print::table(&heading, rows.collect(), &[]);
    print::line(&format!("\n{EVERY}"));
    Exit::Done
}

/// Tells all there is to know of one.
pub(super) fn show(name: &str, output: Output) -> Result<Exit, Failed> {
    let provider = config::provider(name).map_err(|near| {
        let error = format!("there is no provider `{}`", print::shown(name));
        let hint = near.map_or_else(
            || "`tidegate providers` lists them".to_owned(),
            |near| format!("did you mean \"{}\"?", near.name),
        );
        Failed::new(error, Remedy::EditConfig, Some(&hint))
    })?;
    let snippets = provider.grants.keys().map(|grant| Snippet {
        grant: *grant,
        text: provider.snippet(*grant),
    });
    let shown = Shown {
        provider,
        works: provider.works(),
        snippets: snippets.collect(),
    };
    if output.json {
        print::json(&shown);
    } else {
        print::line(page(&shown).trim_end());
    }
    Ok(Exit::Done)
}

impl<'a> Listed<'a> {
    fn of(provider: &'a Provider) -> Self {
        let variables = provider.variables.iter().map(|(name, variable)| {
            let default = variable.default.as_ref();
            default.map_or_else(|| name.clone(), |value| format!("{name} ({value})"))
        });
        let asked = provider.grants.values().next().into_iter().flatten();
        let asked = asked
            .map(|(key, _)| key.clone())
            .filter(|key| key != "redirect_uri");
        Self {
            name: &provider.name,
            title: &provider.title,
            works: provider.works(),
            grants: provider.grants.keys().copied().collect(),
            fill_in: variables.chain(asked).collect(),
        }
    }
}

fn works(works: Works) -> &'static str {
    match works {
        Works::Yes => "yes",
        Works::InPart => "in part",
        Works::NotYet => "not yet",
    }
}

/// Writes everything about a provider as text.
fn page(shown: &Shown<'_>) -> String {
    let Provider { title, source, .. } = shown.provider;
    let mut page = format!("{}: {title}\n", shown.provider.name);
    if let Some(why) = &shown.provider.unusable {
        page += &prose("", &format!("Signing in does not work yet: {why}."));
    }
    page += "\nIt sets, where a connection does not say otherwise:\n";
    page += &settings(shown.provider);
    page += &unsettled(shown.provider);
    page += &points("What its scopes allow:", &scopes(shown.provider));
    page += &points("To know:", &shown.provider.notes);
    page += &points("Not yet:", &shown.provider.not_yet);
    page += &points("From:", &[source.clone(), UNTRIED.to_owned()]);
    for Snippet { grant, text } in &shown.snippets {
        page += &format!("\n{}:\n", heading(*grant));
        page += &indented(text);
    }
    page
}

/// Writes what the entry sets, each with its reason.
fn settings(provider: &Provider) -> String {
    let setting = |(key, line): (&str, String)| {
        let why = provider.why.get(key);
        let why = why.map_or(String::new(), |why| prose("      # ", why));
        indented(&line) + &why
    };
    provider.settings().into_iter().map(setting).collect()
}

/// Writes what no source settles and what was not looked up.
fn unsettled(provider: &Provider) -> String {
    let unsure = provider.unsure.iter();
    let mut told: Vec<String> = unsure.map(|(key, why)| format!("`{key}`: {why}")).collect();
    if !provider.unchecked.is_empty() {
        let keys: Vec<String> = provider
            .unchecked
            .iter()
            .map(|key| format!("`{key}`"))
            .collect();
        told.push(format!(
            "{}: generally known, but not looked up",
            keys.join(", ")
        ));
    }
    points(
        "Not certain (say it in the connection if it is otherwise):",
        &told,
    )
}

/// Says what each scope allows, as far as that is known.
fn scopes(provider: &Provider) -> Vec<String> {
    let scope = |(name, scope): (&String, &Scope)| {
        let writes = if scope.writes {
            " (allows changes)"
        } else {
            ""
        };
        format!("`{name}`: {}{writes}", scope.about)
    };
    provider.scopes.iter().map(scope).collect()
}

/// Writes a list of sentences under a heading, or nothing.
fn points(heading: &str, points: &[String]) -> String {
    if points.is_empty() {
        return String::new();
    }
    let points: String = points.iter().map(|point| prose("  - ", point)).collect();
    format!("\n{heading}\n{points}")
}

fn heading(grant: Access) -> &'static str {
    match grant {
        Access::AuthorizationCode => "A connection on which a person signs in",
        Access::DeviceCode => "A connection on which a person signs in on another device",
        Access::ClientCredentials => "A connection of the client itself",
        Access::JwtBearer => "A connection with an assertion that names who has access",
        Access::Password => "A connection with a user name and a password, over OAuth",
        Access::RefreshToken => "A connection with a refresh token from elsewhere",
        Access::Token => "A connection with a token that does not change",
        Access::Basic => "A connection with a user name and a password",
        Access::Session => "A connection with the provider's own login",
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// Breaks text into lines behind `first`, the later ones as far to the right.
fn prose(first: &str, text: &str) -> String {
    let later = match first.trim_end().ends_with('#') {
        true => first.to_owned(),
        false => " ".repeat(first.len()),
    };
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut is_bare = true;
    for word in text.split_whitespace() {
        if !is_bare && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &format!("{line}\n");
            line.clone_from(&later);
            is_bare = true;
        }
        if !is_bare {
            line.push(' ');
        }
        line += word;
        is_bare = false;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sentences_are_broken_behind_their_mark() {
        let text = "word ".repeat(30);
        for (mark, later) in [("  - ", "    word"), ("      # ", "      # word")] {
            let lines = prose(mark, &text);
            let lines: Vec<&str> = lines.lines().collect();
            assert_eq!(lines.len(), 2);
            assert!(lines[0].starts_with(mark) && lines[1].starts_with(later));
            assert!(lines.iter().all(|line| line.len() <= WIDTH));
        }
    }
}
