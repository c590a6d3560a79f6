//! Every problem of a configuration in one report, for people and for programs.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::lines::Lines;
use super::mask::without_secrets;
use crate::remedy::Remedy;

/// The most problems shown to a person; a file with more has one cause, and these show it.
const SHOWN: usize = 50;

/// Every problem of one configuration file, in the order of the file.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    file: PathBuf,
    problems: Vec<Problem>,
    /// The file with its literal secrets painted over, so that no line shown holds one.
    #[serde(skip)]
    source: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The line, from 1; none if the file as a whole is meant.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What stands there, or should.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// Where in the file, in bytes.
    #[serde(skip)]
    pub(super) span: Option<Range<usize>>,
    /// True if something is not there, which a syntax error before it may be the reason for.
    #[serde(skip)]
    pub(super) absence: bool,
}

impl Problem {
    /// Makes a problem of the bytes `span` of the file.
    pub(super) fn at(span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            span: Some(span),
            ..Self::whole(message)
        }
    }

    /// Makes a problem of the file as a whole.
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self {
            line: None,
            column: None,
            message: message.into(),
            label: None,
            help: None,
            span: None,
            absence: false,
        }
    }

    /// Says what stands there, or should.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to do.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says it if there is something to say.
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Says that the problem is something that is not there.
    pub(super) fn absence(mut self) -> Self {
        self.absence = true;
        self
    }
}

impl Report {
    /// Makes the report of a file: problems in order and placed, secrets painted over.
    pub(super) fn new(
        file: &Path,
        source: &str,
        secrets: &[Range<usize>],
        mut problems: Vec<Problem>,
    ) -> Self {
        debug_assert!(
            !problems.is_empty(),
            "a file without problems has a configuration"
        );
        let lines = Lines::of(source);
        for problem in &mut problems {
            if let Some(span) = &problem.span {
                let (line, column) = lines.place(span.start);
                (problem.line, problem.column) = (Some(line), Some(column));
            }
        }
        problems.sort_by_key(|problem| problem.span.as_ref().map(|span| (span.start, span.end)));
        problems.dedup();
        Self {
            file: file.to_owned(),
            problems,
            source: without_secrets(source, secrets),
        }
    }

    /// Makes the report of a file that could not even be read.
    pub(super) fn unread(file: &Path, problem: Problem) -> Self {
        Self::new(file, "", &[], vec![problem])
    }

    /// Returns the problems in the order of the file; at least one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        Remedy::EditConfig
    }

    /// Returns the report as a person reads it, each problem with its line and a caret.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let path = self.file.display().to_string();
        let mut text = String::new();
        for problem in self.problems.iter().take(SHOWN) {
            text.push_str(&renderer.render(&[self.group(problem, &path)]));
            text.push_str("\n\n");
        }
        text.push_str(&self.summary());
        text
    }

    fn group<'a>(&'a self, problem: &'a Problem, path: &'a str) -> Group<'a> {
        let title = Level::ERROR.primary_title(&problem.message);
        let mut group = match &problem.span {
            Some(span) => {
                let mark = AnnotationKind::Primary.span(span.clone());
                let mark = mark.label(problem.label.as_deref());
                title.element(Snippet::source(&self.source).path(path).annotation(mark))
            }
            None => Group::with_title(title),
        };
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help));
        }
        group
    }

    fn summary(&self) -> String {
        let file = self.file.display();
        match self.problems.len() {
            1 => format!("1 problem in {file}"),
            count if count > SHOWN => {
                format!("{count} problems in {file}, of which the first {SHOWN} are shown")
            }
            count => format!("{count} problems in {file}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Error for Report {}
