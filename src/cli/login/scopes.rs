//! What a login asks for, in plain words.

use serde::Serialize;

use super::super::print;
use crate::config::{self, Auth, Connection, OAuth, Provider};

/// What the scopes of OpenID Connect allow at every server (OpenID Connect Core sections 3.1.2.1,
/// 5.4 and 11).
const STANDARD: [(&str, &str); 6] = [
    ("openid", "know who you are"),
    ("profile", "know your name and what else your profile tells"),
    ("email", "know your e-mail address"),
    ("address", "know your postal address"),
    ("phone", "know your telephone number"),
    ("offline_access", "stay signed in while you are away"),
];

/// What the person is going to agree to.
#[derive(Default, Serialize)]
pub(super) struct Asked<'a> {
    /// Scopes whose meaning is known, in the order in which they are asked for.
    allowed: Vec<Allowed<'a>>,
    /// The others.
    unknown: Vec<&'a str>,
    /// What is better asked for otherwise.
    warnings: Vec<String>,
}

/// A login that has begun, for a program to read.
#[derive(Serialize)]
pub(super) struct Begun<'a, T> {
    #[serde(flatten)]
    begun: &'a T,
    asks: &'a Asked<'a>,
}

/// A scope, and what it allows.
#[derive(Serialize)]
struct Allowed<'a> {
    scope: &'a str,
    about: &'a str,
    writes: bool,
}

impl<'a> Asked<'a> {
    /// Returns what a login on `connection` asks for.
    pub(super) fn by(connection: &'a Connection) -> Self {
        let Auth::OAuth(oauth) = &connection.auth else {
            return Self::default();
        };
        let named = connection.provider.as_deref();
        Self::of(oauth, named.and_then(|name| config::provider(name).ok()))
    }

    fn of(oauth: &'a OAuth, entry: Option<&'a Provider>) -> Self {
        let mut asked = Self::default();
        for scope in &oauth.scopes {
            match meaning(scope, entry) {
                Some(allowed) => asked.allowed.push(allowed),
                None => asked.unknown.push(scope),
            }
        }
        let writing: Vec<String> = asked
            .allowed
            .iter()
            .filter(|allowed| allowed.writes)
            .map(|allowed| format!("`{}`", allowed.scope))
            .collect();
        if !writing.is_empty() {
            asked.warnings.push(format!(
                "changes are allowed by {}, and tidegate only reads: ask for less in `scopes` if \
                 the server offers less",
                writing.join(", ")
            ));
        }
        let needed = entry.and_then(|entry| Some((entry, entry.refresh_scope.as_ref()?)));
        if let Some((entry, scope)) = needed.filter(|(_, scope)| !oauth.scopes.contains(scope)) {
            asked.warnings.push(format!(
                "without the scope `{scope}` {} gives no refresh token, and you must sign in again \
                 whenever the access token ends; add it to `scopes`",
                entry.title
            ));
        }
        asked
    }

    /// Returns it beside the login that asks for it.
    pub(super) fn beside<T>(&'a self, begun: &'a T) -> Begun<'a, T> {
        Begun { begun, asks: self }
    }

    /// Tells it to the person.
    pub(super) fn tell(&self) {
        if !self.allowed.is_empty() {
            print::talk("This asks you to let tidegate:");
        }
        for Allowed { scope, about, .. } in &self.allowed {
            print::talk(&format!("  - {about} (`{scope}`)"));
        }
        if !self.unknown.is_empty() {
            print::talk(&format!(
                "What these scopes allow is not known here; the server's page tells: `{}`",
                self.unknown.join("`, `")
            ));
        }
        for warning in &self.warnings {
            print::talk(&format!("warning: {warning}"));
        }
    }
}

fn meaning<'a>(scope: &'a str, entry: Option<&'a Provider>) -> Option<Allowed<'a>> {
    if let Some(known) = entry.and_then(|entry| entry.scopes.get(scope)) {
        return Some(Allowed {
            scope,
            about: &known.about,
            writes: known.writes,
        });
    }
    let (_, about) = STANDARD.iter().find(|(name, _)| *name == scope)?;
    Some(Allowed {
        scope,
        about,
        writes: false,
    })
}
