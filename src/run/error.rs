//! Why a run did not end well, and what a person should do about it.

use std::any::Any;
use std::time::Duration;

use jiff::Timestamp;

use super::fan_out::Problem;
use super::reach::Stuck;
use crate::config::{self, Account, BaseError, Flow, Name};
use crate::fetch::Reason;
use crate::journal::Outcome;
use crate::remedy::Remedy;
use crate::{fetch, merge, oauth, store};

/// How many of the accounts or items that failed are named with the reason; what ails the rest is
/// likely the same.
const MOST_NAMED: usize = 10;

/// Why a run did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no usable access token.
    #[error(transparent)]
    OAuth(#[from] oauth::Error),
    /// The authorization server has not said what the flow needs.
    #[error("the authorization server of `{account}` has not said `{name}`, which the flow needs")]
    NoFact {
        /// Whose login it is.
        account: Account,
        /// The fact.
        name: String,
    },
    /// What the authorization server said makes no base URL.
    #[error("`base_url` of connection `{connection}`: {source}")]
    Base {
        /// The connection.
        connection: Name,
        /// Why not.
        source: BaseError,
    },
    /// A page could not be fetched.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// Records could not be merged.
    #[error(transparent)]
    Merge(#[from] merge::Error),
    /// The source has suddenly lost more than it may.
    #[error("{0}")]
    Guarded(merge::TooMany),
    /// The database could not be written.
    #[error("could not write the database: {0}")]
    Store(#[from] store::Error),
    /// The run took too long.
    #[error("stopped after {limit:?}, the most a run of this flow may take{}", last(.why.as_ref()))]
    TimedOut {
        /// The flow's `timeout`.
        limit: Duration,
        /// Why the page that was asked for last had not come, if anything is known.
        why: Option<Reason>,
    },
    /// What the run is about is not known.
    #[error(transparent)]
    Items(#[from] Problem),
    /// Some of what the run is about could not be read; the rest was.
    #[error("{}", parts(failed, *of, what))]
    Parts {
        /// Which, and why.
        failed: Vec<(String, Error)>,
        /// How many there were.
        of: usize,
        /// What they are: `accounts` or `items`.
        what: &'static str,
    },
    /// There is more than the source gives in one reading, and no way to ask for it.
    #[error(
        "the source gives {most} records in one reading, and what follows cannot be asked for by \
         `{field}`: {stuck}"
    )]
    Stuck {
        /// The cursor's field.
        field: String,
        /// How many records.
        most: u64,
        /// Why.
        stuck: Stuck,
    },
    /// A run would ask for nothing.
    #[error("there is nothing to preview: {0}")]
    NothingToPreview(&'static str),
    /// The program was told to stop.
    #[error("stopped before it was done")]
    Interrupted,
    /// A fault of the program.
    #[error("broke off by a fault of the program: {0}")]
    Panicked(String),
    /// There is no such flow.
    #[error("{0}")]
    UnknownFlow(String),
}

impl Error {
    pub(super) fn unknown_flow<'a>(name: &str, known: impl Iterator<Item = &'a Name>) -> Self {
        Self::UnknownFlow(config::no_such("flow", name, known))
    }

    /// Says of whose login a base URL cannot be made.
    pub(super) fn of_base(account: &Account, error: BaseError) -> Self {
        match error {
            BaseError::NoFact(name) => Self::NoFact {
                account: account.clone(),
                name,
            },
            source => Self::Base {
                connection: account.connection.clone(),
                source,
            },
        }
    }

    /// Says of whose login a request cannot be written.
    pub(super) fn of_request(account: &Account, error: fetch::Error) -> Self {
        match error {
            fetch::Error::NoFact { name } => Self::NoFact {
                account: account.clone(),
                name,
            },
            error => Self::Fetch(error),
        }
    }

    /// Returns what a run came to that read `of` accounts or items, some of which failed.
    pub(super) fn of_parts(
        mut failed: Vec<(String, Self)>,
        of: usize,
        what: &'static str,
    ) -> Result<(), Self> {
        match (failed.len(), of) {
            (0, _) => Ok(()),
            (1, 1) => Err(failed.remove(0).1),
            _ => Err(Self::Parts { failed, of, what }),
        }
    }

    /// Returns true if nothing else of the run can succeed after this.
    pub(super) fn ends_all(&self) -> bool {
        matches!(
            self,
            Self::Interrupted | Self::TimedOut { .. } | Self::Store(_)
        )
    }

    /// Returns true if nothing else of the same account can succeed after this.
    pub(super) fn ends_account(&self) -> bool {
        matches!(
            self,
            Self::OAuth(_) | Self::NoFact { .. } | Self::Base { .. }
        )
    }

    /// Returns the error a person must act on first.
    fn foremost(&self) -> &Self {
        match self {
            Self::Parts { failed, .. } => failed
                .iter()
                .map(|(_, error)| error)
                .max_by_key(|error| error.remedy())
                .unwrap_or(self),
            error => error,
        }
    }

    pub(super) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let words = panic
            .downcast_ref::<&str>()
            .map(|words| (*words).to_owned());
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned());
        Self::Panicked(words.unwrap_or_else(|| "no message".to_owned()))
    }

    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::OAuth(error) => error.remedy(),
            Self::Fetch(error) => error.remedy(),
            Self::Merge(error) => error.remedy(),
            Self::Store(error) => error.remedy(),
            Self::Items(problem) => problem.remedy(),
            Self::NoFact { .. } => Remedy::Login,
            Self::Base { .. } | Self::Guarded(_) | Self::Stuck { .. } => Remedy::EditConfig,
            Self::TimedOut { .. } | Self::Interrupted => Remedy::Wait,
            Self::Panicked(_) => Remedy::Report,
            Self::Parts { .. } => match self.foremost() {
                Self::Parts { .. } => Remedy::Report,
                error => error.remedy(),
            },
            Self::UnknownFlow(_) | Self::NothingToPreview(_) => Remedy::EditConfig,
        }
    }

    /// Returns how a run that met this error ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Interrupted => Outcome::Interrupted,
            Self::Fetch(fetch::Error::Parked { .. }) => Outcome::Parked,
            Self::Parts { failed, .. }
                if failed
                    .iter()
                    .all(|(_, error)| error.outcome() == Outcome::Parked) =>
            {
                Outcome::Parked
            }
            _ => Outcome::Failed,
        }
    }

    /// Returns when a parked run goes on.
    #[must_use]
    pub fn resumes_at(&self) -> Option<Timestamp> {
        match self {
            Self::Fetch(fetch::Error::Parked { resumes_at, .. }) => Some(*resumes_at),
            // When the first of them can go on.
            Self::Parts { failed, .. } if self.outcome() == Outcome::Parked => failed
                .iter()
                .filter_map(|(_, error)| error.resumes_at())
                .min(),
            _ => None,
        }
    }

    /// Says what failed and why, for the journal and a person.
    #[must_use]
    pub fn told(&self, _flow: &Flow) -> String {
        crate::remedy::told(self)
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(&self, flow: &Flow) -> Option<String> {
        let own = match self.foremost() {
            Self::OAuth(error) => error.hint(),
            Self::Items(problem) => problem.hint(),
            Self::Fetch(fetch::Error::InsufficientScope { .. }) => Some(format!(
                "add the scope to `scopes` of `[connection.{0}]`, allow it for the app at the \
                 provider, and sign in again: tidegate login {0}",
                flow.connection
            )),
            Self::Fetch(error) => error.hint().map(str::to_owned),
            Self::Merge(merge::Error::Store(error)) | Self::Store(error) => {
                error.hint().map(str::to_owned)
            }
            Self::Merge(error) => error.hint(),
            Self::Guarded(too_many) => Some(too_many.hint()),
            Self::NoFact { account, name } => Some(format!(
                "sign in again: tidegate login {}; if `{name}` still does not come, look at \
                 `facts` of `[connection.{}]`",
                account.words(),
                account.connection
            )),
            Self::Stuck { .. } => Some(
                "read less at a time, with `cursor.window` or a filter, or by a cursor that is \
                 finer and in order"
                    .to_owned(),
            ),
            _ => None,
        };
        if own.is_some() {
            return own;
        }
        Some(match self.remedy() {
            Remedy::Wait => match self.resumes_at() {
                Some(at) => format!("nothing to do; the run goes on at {at}"),
                None if flow.resource.cursor.is_some() => {
                    "nothing to do; the next run starts again from the bookmark".to_owned()
                }
                None => "nothing to do; the next run starts again".to_owned(),
            },
            Remedy::Login => format!("sign in again: tidegate login {}", flow.connection),
            Remedy::EditConfig => {
                format!(
                    "look at `[flow.{}]` and `[connection.{}]`",
                    flow.name, flow.connection
                )
            }
            Remedy::Report => "this is a fault of tidegate; please report it".to_owned(),
        })
    }
}

/// Says what a run was waiting for when its time was up.
fn last(why: Option<&Reason>) -> String {
    why.map_or_else(String::new, |why| format!("; last: {why}"))
}

/// Says which accounts or items could not be read, and why each.
fn parts(failed: &[(String, Error)], of: usize, what: &str) -> String {
    let each = failed
        .iter()
        .take(MOST_NAMED)
        .map(|(name, error)| format!("`{name}`: {}", crate::remedy::told(error)));
    let mut each: Vec<String> = each.collect();
    if failed.len() > MOST_NAMED {
        each.push(format!("and {} more", failed.len() - MOST_NAMED));
    }
    format!(
        "{} of {of} {what} could not be read: {}",
        failed.len(),
        each.join("; ")
    )
}
