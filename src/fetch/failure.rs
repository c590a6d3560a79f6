//! What one try came to, and what becomes of it after the last.

use std::time::Duration;

use jiff::Timestamp;

use super::error::{Asked, Error, Tries};
use super::limits::Spent;
use super::records::Problem as BodyProblem;
use super::waiting::Reason;
use crate::http;

/// Why one try brought no page.
pub(super) enum Failure {
    /// Another try may.
    Later(Cause),
    /// Another try may, once the source was left alone until then.
    Held { until: Timestamp, cause: Cause },
    /// No other try will.
    Final(Error),
}

/// Why another try may bring the page.
pub(super) enum Cause {
    Status {
        asked: Asked,
        status: u16,
        message: Option<String>,
    },
    NoAnswer {
        asked: Asked,
        source: http::Error,
    },
    Damaged {
        asked: Asked,
        problem: BodyProblem,
    },
}

impl Cause {
    /// Says why the next try is waited for.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Status { status, .. } => Reason::Failed {
                status: Some(*status),
            },
            Self::NoAnswer { .. } | Self::Damaged { .. } => Reason::Failed { status: None },
        }
    }

    /// Returns what was asked.
    pub(super) fn asked(&self) -> &Asked {
        match self {
            Self::Status { asked, .. }
            | Self::NoAnswer { asked, .. }
            | Self::Damaged { asked, .. } => asked,
        }
    }

    /// Returns the error after the last try.
    pub(super) fn after(self, tries: Tries) -> Error {
        match self {
            Self::Status {
                asked,
                status,
                message,
            } => Error::Unavailable {
                asked,
                status,
                tries,
                message,
            },
            Self::NoAnswer { asked, source } => Error::NoAnswer {
                asked,
                source,
                tries,
            },
            Self::Damaged { asked, problem } => Error::Damaged {
                asked,
                problem,
                tries,
            },
        }
    }
}

impl From<Spent> for Error {
    fn from(spent: Spent) -> Self {
        Self::Parked {
            resumes_at: spent.until,
            reason: spent.reason,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// One try, which took no time worth telling.
pub(super) const ONCE: Tries = Tries {
    count: 1,
    over: Duration::ZERO,
};

pub(super) fn no_answer(asked: Asked, source: http::Error) -> Error {
    Error::NoAnswer {
        asked,
        source,
        tries: ONCE,
    }
}

/// A body that stops too early may come whole the next time; one that is wrong stays wrong.
pub(super) fn damaged(asked: Asked, problem: BodyProblem) -> Failure {
    match problem {
        BodyProblem::Empty | BodyProblem::Cut => Failure::Later(Cause::Damaged { asked, problem }),
        problem => Failure::Final(Error::Damaged {
            asked,
            problem,
            tries: ONCE,
        }),
    }
}
