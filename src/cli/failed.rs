//! How a failure is told: what, why, what to do, and the exit code that goes with it.

use std::path::Path;

use serde::Serialize;

use super::{Exit, Output, print};
use crate::config::Report;
use crate::control::Problem;
use crate::remedy::Remedy;
use crate::{daemon, lock, oauth, status, store};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) enum Failed {
    /// The configuration has problems.
    Config(Report),
    /// Anything else.
    Told(Told),
}

/// A failure in words.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    remedy: Remedy,
}

impl Failed {
    pub(super) fn new(error: impl Into<String>, remedy: Remedy, hint: Option<&str>) -> Self {
        Self::Told(Told {
            error: error.into(),
            hint: hint.map(str::to_owned),
            remedy,
        })
    }

    /// Tells an error with the causes its own words do not already end with.
    pub(super) fn of(
        error: &(dyn std::error::Error + 'static),
        remedy: Remedy,
        hint: Option<&str>,
    ) -> Self {
        Self::new(crate::remedy::told(error), remedy, hint)
    }

    pub(super) fn socket(path: &Path, error: &std::io::Error) -> Self {
        let error = format!("could not make the socket `{}`: {error}", path.display());
        let hint = "a socket's path has at most 107 bytes; choose a shorter `state_dir`";
        Self::new(error, Remedy::EditConfig, Some(hint))
    }

    pub(super) fn busy(state_dir: &Path) -> Self {
        let error = format!(
            "the state directory `{}` kept changing hands and nobody answered",
            state_dir.display()
        );
        Self::new(error, Remedy::Wait, Some("try again"))
    }

    /// Prints the failure and returns the exit code that goes with it.
    pub(super) fn print(self, output: Output) -> Exit {
        match self {
            Self::Config(report) => {
                if output.json {
                    print::json(&report);
                } else {
                    let color = super::may_color(&std::io::stderr());
                    print::talk(report.render(color).trim_end());
                }
                Exit::Configuration
            }
            Self::Told(told) => {
                if output.json {
                    print::json(&told);
                } else {
                    print::talk(&format!("error: {}", told.error));
                    if let Some(hint) = &told.hint {
                        print::talk(&format!("hint: {hint}"));
                    }
                }
                Exit::of(told.remedy)
            }
        }
    }
}

impl From<Report> for Failed {
    fn from(report: Report) -> Self {
        Self::Config(report)
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Refused(failure) => Self::Told(Told {
                error: failure.error,
                hint: failure.hint,
                remedy: failure.remedy,
            }),
            Problem::NoOwner { .. } | Problem::Broken(_) => Self::of(&problem, Remedy::Wait, None),
        }
    }
}

impl From<daemon::Error> for Failed {
    fn from(error: daemon::Error) -> Self {
        Self::of(&error, error.remedy(), error.hint().as_deref())
    }
}

impl From<lock::Error> for Failed {
    fn from(error: lock::Error) -> Self {
        daemon::Error::Lock(error).into()
    }
}

impl From<store::Error> for Failed {
    fn from(error: store::Error) -> Self {
        daemon::Error::Store(error).into()
    }
}

impl From<oauth::Error> for Failed {
    fn from(error: oauth::Error) -> Self {
        daemon::Error::OAuth(error).into()
    }
}

impl From<status::Error> for Failed {
    fn from(error: status::Error) -> Self {
        Self::of(&error, error.remedy(), error.hint().as_deref())
    }
}
