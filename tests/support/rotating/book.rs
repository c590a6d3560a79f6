//! The rules by which servers treat a refresh token that they have seen before.

use std::time::Duration;

use jiff::Timestamp;
use tidegate::clock::after;

/// How long an access token lives.
pub const LIFE: Duration = Duration::from_secs(600);
/// How long a consumed refresh token still works, where there is such a time.
pub const GRACE: Duration = Duration::from_secs(180);

/// What becomes of a refresh token that is used, and of one that is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rotation {
    /// Using one again is refused and revokes everything of its login, as oidc-provider does.
    Strict,
    /// Using one again is refused; its successor lives on, as with `@node-oauth/oauth2-server`.
    SuccessorLives,
    /// Using one again brings the same successor while the grace lasts, as with openauth.
    SameSuccessor,
    /// Using one again brings another successor while the grace lasts, and revokes everything of
    /// its login afterwards, as with Auth0.
    NewSuccessor,
    /// One works until an access token that came of it is used, as with Doorkeeper.
    UntilUse,
    /// One works for ever, and no other comes, as with Google.
    Never,
}

impl Rotation {
    /// All there are.
    pub const ALL: [Self; 6] = [
        Self::Strict,
        Self::SuccessorLives,
        Self::SameSuccessor,
        Self::NewSuccessor,
        Self::UntilUse,
        Self::Never,
    ];

    /// Returns a name that a connection may have.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::SuccessorLives => "successor_lives",
            Self::SameSuccessor => "same_successor",
            Self::NewSuccessor => "new_successor",
            Self::UntilUse => "until_use",
            Self::Never => "never",
        }
    }
}

/// The tokens of one answer.
#[derive(Debug, Clone)]
struct Pair {
    login: usize,
    parent: Option<usize>,
    refresh: String,
    access: String,
    issued_at: Timestamp,
    consumed_at: Option<Timestamp>,
    /// Neither token is worth anything any more.
    is_revoked: bool,
}

/// What is answered to a request that is granted.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) access: String,
    pub(super) expires_in: Duration,
    /// `None` where the one presented stays.
    pub(super) refresh: Option<String>,
}

/// Everything a server has issued.
#[derive(Debug)]
pub(super) struct Book {
    rotation: Rotation,
    pairs: Vec<Pair>,
    logins: usize,
}

impl Book {
    pub(super) fn new(rotation: Rotation) -> Self {
        Self {
            rotation,
            pairs: Vec::new(),
            logins: 0,
        }
    }

    /// Grants access to somebody who signs in.
    pub(super) fn sign_in(&mut self, now: Timestamp) -> Granted {
        self.logins += 1;
        let granted = self.issue(None, now);
        let refresh = Some(self.pairs[granted].refresh.clone());
        Granted {
            refresh,
            ..self.spell(granted, now)
        }
    }

    /// Returns true if a refresh token was used before, or is revoked.
    pub(super) fn is_spent(&self, refresh: &str) -> bool {
        let found = self.find(refresh).map(|at| &self.pairs[at]);
        found.is_none_or(|pair| pair.is_revoked || pair.consumed_at.is_some())
    }

    /// Uses a refresh token; `None` if it is refused.
    pub(super) fn refresh(&mut self, refresh: &str, now: Timestamp) -> Option<Granted> {
        let at = self.find(refresh)?;
        let Pair {
            login,
            consumed_at,
            is_revoked,
            ..
        } = self.pairs[at];
        if is_revoked {
            return None;
        }
        let in_grace = consumed_at.is_some_and(|at| now < after(at, GRACE));
        let granted = match self.rotation {
            Rotation::Never | Rotation::UntilUse => self.issue(Some(at), now),
            _ if consumed_at.is_none() => {
                self.pairs[at].consumed_at = Some(now);
                self.issue(Some(at), now)
            }
            Rotation::SameSuccessor if in_grace => {
                let successor = self.pairs.iter().position(|of| of.parent == Some(at));
                successor.expect("a consumed token has a successor")
            }
            Rotation::NewSuccessor if in_grace => self.issue(Some(at), now),
            Rotation::SuccessorLives | Rotation::SameSuccessor => return None,
            Rotation::Strict | Rotation::NewSuccessor => {
                self.revoke_login(login);
                return None;
            }
        };
        Some(self.spell(granted, now))
    }

    /// Uses an access token at the API; returns false if it is refused.
    pub(super) fn admit(&mut self, access: &str, now: Timestamp) -> bool {
        let Some(at) = self.pairs.iter().position(|pair| pair.access == access) else {
            return false;
        };
        let pair = &self.pairs[at];
        let is_good = !pair.is_revoked && now < after(pair.issued_at, LIFE);
        if let (true, Rotation::UntilUse, Some(parent)) = (is_good, self.rotation, pair.parent) {
            self.pairs[parent].is_revoked = true;
        }
        is_good
    }

    fn issue(&mut self, parent: Option<usize>, now: Timestamp) -> usize {
        let number = self.pairs.len();
        let refresh = match (self.rotation, parent) {
            (Rotation::Never, Some(parent)) => self.pairs[parent].refresh.clone(),
            _ => format!("refresh-{number}"),
        };
        self.pairs.push(Pair {
            login: self.logins,
            parent,
            refresh,
            access: format!("access-{number}"),
            issued_at: now,
            consumed_at: None,
            is_revoked: false,
        });
        number
    }

    fn spell(&self, at: usize, now: Timestamp) -> Granted {
        let pair = &self.pairs[at];
        Granted {
            access: pair.access.clone(),
            expires_in: tidegate::clock::until(now, after(pair.issued_at, LIFE)),
            refresh: Some(pair.refresh.clone()).filter(|_| self.rotation != Rotation::Never),
        }
    }

    /// Finds the newest pair with that refresh token.
    fn find(&self, refresh: &str) -> Option<usize> {
        self.pairs.iter().rposition(|pair| pair.refresh == refresh)
    }

    fn revoke_login(&mut self, login: usize) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.login == login) {
            pair.is_revoked = true;
        }
    }
}
