//! Why a page could not be had.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::{Reason, paginate, records};
use crate::http;
use crate::jq;
use crate::remedy::Remedy;

/// What was asked, fit to be shown: the query may hold what nobody should read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The method.
    pub method: &'static str,
    /// The URL without query.
    pub url: Box<str>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// How often something was tried, and over how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// How often.
    pub count: u32,
    /// From the first try to the end of the last.
    pub over: Duration,
}

impl fmt::Display for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.over.as_secs();
        match self.count {
            0 | 1 => return Ok(()),
            2 => f.write_str(", twice")?,
            3 => f.write_str(", three times")?,
            4 => f.write_str(", four times")?,
            5 => f.write_str(", five times")?,
            more => write!(f, ", {more} times")?,
        }
        match seconds {
            0..120 => write!(f, " in {seconds} s"),
            _ => write!(f, " in {} min", seconds / 60),
        }
    }
}

/// A document of another kind than was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is: HTML, XML, JSON.
    pub kind: &'static str,
    /// What it should be.
    pub wanted: &'static str,
    /// The content type it came with.
    pub media: Option<String>,
    /// Its first words, cleaned.
    pub begins: String,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, not {}", self.kind, self.wanted)?;
        match &self.media {
            Some(media) => write!(f, ": content type `{media}`")?,
            None => f.write_str(": no content type")?,
        }
        write!(f, ", beginning `{}`", self.begins)
    }
}

/// Why a page could not be had. No variant holds a query, a header or a token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request could not be written from the configuration.
    #[error("could not write the request: {place}: {message}")]
    Request {
        /// The configuration key.
        place: String,
        /// What is wrong.
        message: String,
    },
    /// A template needs what the authorization server has not said.
    #[error("the authorization server has not said `{name}`, which the request needs")]
    NoFact {
        /// The fact.
        name: String,
    },
    /// The source is out of order, or too busy.
    #[error("{asked} answered {status}{tries}{}", said(message.as_deref()))]
    Unavailable {
        /// What was asked.
        asked: Asked,
        /// The last status.
        status: u16,
        /// How often.
        tries: Tries,
        /// What the source said.
        message: Option<String>,
    },
    /// There was no answer.
    #[error("{asked}: {source}{tries}")]
    NoAnswer {
        /// What was asked.
        asked: Asked,
        /// Why the last try failed.
        #[source]
        source: http::Error,
        /// How often.
        tries: Tries,
    },
    /// The access token was not accepted. The same page may be asked for with another.
    #[error("{asked} answered {status}{}", said(message.as_deref()))]
    Unauthorized {
        /// What was asked.
        asked: Asked,
        /// The status; not 401 where a rule says what it means.
        status: u16,
        /// What the source said.
        message: Option<String>,
    },
    /// The access token is good, but its scopes do not reach this (RFC 6750 section 3.1). A newer
    /// token of the same login would not either.
    #[error("{asked} answered {status}: the access token lacks {}{}",
        lacking(scope.as_deref()), said(message.as_deref()))]
    InsufficientScope {
        /// What was asked.
        asked: Asked,
        /// The status.
        status: u16,
        /// The scopes that would do, if the source says.
        scope: Option<String>,
        /// What the source said.
        message: Option<String>,
    },
    /// The source refuses, and not for want of a scope. Some sources say so where they mean that
    /// the access token was replaced, so the same page may be asked for with a newer one.
    #[error("{asked} answered 403{}", said(message.as_deref()))]
    Forbidden {
        /// What was asked.
        asked: Asked,
        /// What the source said.
        message: Option<String>,
    },
    /// The source does not take the request as it is.
    #[error("{asked} answered {status}{}", said(message.as_deref()))]
    Refused {
        /// What was asked.
        asked: Asked,
        /// The status.
        status: u16,
        /// What the source said.
        message: Option<String>,
    },
    /// The source refuses a page after others, of numbered pages whose end it does not tell.
    #[error("{asked} answered {status} for page {page}{}", said(message.as_deref()))]
    RefusedPage {
        /// What was asked.
        asked: Asked,
        /// Which page of the run it would have been, from 1.
        page: u64,
        /// The status.
        status: u16,
        /// What the source said.
        message: Option<String>,
    },
    /// The source no longer knows what it was to go on from; it is to be read anew.
    #[error("{asked} answered {status}{}", said(message.as_deref()))]
    Reset {
        /// What was asked.
        asked: Asked,
        /// The status.
        status: u16,
        /// What the source said.
        message: Option<String>,
    },
    /// A rule says that such an answer is a failure.
    #[error("{asked} answered {status}{}", said(message.as_deref()))]
    Rejected {
        /// What was asked.
        asked: Asked,
        /// The status.
        status: u16,
        /// What the rule says, and the source.
        message: Option<String>,
    },
    /// A rule says to leave out what was asked for.
    #[error("{asked} answered {status}{}", said(message.as_deref()))]
    LeftOut {
        /// What was asked.
        asked: Asked,
        /// The status.
        status: u16,
        /// What the rule says, and the source.
        message: Option<String>,
    },
    /// A rule says to read anew from the first page.
    #[error("{asked} answered {status}{}", said(message.as_deref()))]
    Restart {
        /// What was asked.
        asked: Asked,
        /// The status.
        status: u16,
        /// What the rule says, and the source.
        message: Option<String>,
    },
    /// Nobody knows whether a rule fits an answer.
    #[error("could not tell by `response_rules` what the answer to {asked} means: {source}")]
    Rule {
        /// What was asked.
        asked: Asked,
        /// Why its program came to no end.
        #[source]
        source: jq::Error,
    },
    /// The source wants us to ask elsewhere.
    #[error("{asked} answered {status}{}; redirects are not followed", to(target.as_deref()))]
    Redirected {
        /// What was asked.
        asked: Asked,
        /// The status.
        status: u16,
        /// Scheme, host and port of where to, if it says.
        target: Option<String>,
    },
    /// The answer is a page of a GraphQL source that could not answer, or not all of it.
    #[error("{asked} answered with GraphQL errors{}", said(message.as_deref()))]
    GraphQl {
        /// What was asked.
        asked: Asked,
        /// What the source said.
        message: Option<String>,
        /// True if data came beside the errors.
        has_data: bool,
    },
    /// The answer is a web page or another document of a wrong kind.
    #[error("{asked} answered {status} with {document}")]
    NotJson {
        /// What was asked.
        asked: Asked,
        /// The status.
        status: u16,
        /// What it is instead.
        document: Document,
    },
    /// The body is not what it should be.
    #[error("the answer to {asked} {problem}{tries}")]
    Damaged {
        /// What was asked.
        asked: Asked,
        /// What is wrong.
        #[source]
        problem: records::Problem,
        /// How often.
        tries: Tries,
    },
    /// There should be another page, but there is no way on.
    #[error("page {page}, the answer to {asked}, {problem}")]
    Astray {
        /// What was asked last.
        asked: Asked,
        /// The page that should have led on.
        page: u64,
        /// Why it does not.
        #[source]
        problem: paginate::Problem,
    },
    /// A quota is used up for long.
    #[error("{reason}; it goes on at {resumes_at}")]
    Parked {
        /// When to come back.
        resumes_at: Timestamp,
        /// Which quota.
        reason: Reason,
    },
}

impl Error {
    /// Says who must act.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Unavailable { .. }
            | Self::Parked { .. }
            | Self::Reset { .. }
            | Self::NotJson { .. }
            | Self::LeftOut { .. }
            | Self::Restart { .. } => Remedy::Wait,
            Self::NoAnswer { source, .. } => source.remedy(),
            Self::Unauthorized { .. } | Self::InsufficientScope { .. } | Self::NoFact { .. } => {
                Remedy::Login
            }
            Self::Request { .. }
            | Self::Forbidden { .. }
            | Self::Refused { .. }
            | Self::RefusedPage { .. }
            | Self::Rejected { .. }
            | Self::Rule { .. }
            | Self::Redirected { .. }
            | Self::GraphQl { .. }
            | Self::Astray { .. } => Remedy::EditConfig,
            Self::Damaged { problem, .. } => match problem {
                records::Problem::Empty
                | records::Problem::Cut
                | records::Problem::Syntax { .. }
                | records::Problem::Encoding(_) => Remedy::Wait,
                records::Problem::NotRecords { .. }
                | records::Problem::NotAnObject { .. }
                | records::Problem::TooMany
                | records::Problem::NoEnvelope
                | records::Problem::Shape(_)
                | records::Problem::NotGone(_)
                | records::Problem::NotScalar => Remedy::EditConfig,
            },
        }
    }

    /// Says what a person can do, where that is not plain from the message.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        use paginate::Problem as Paging;
        use records::Problem as Body;
        match self {
            Self::NoAnswer {
                source: http::Error::TooLarge { .. },
                ..
            } => Some("ask for fewer records per page, or raise `max_page_bytes`"),
            Self::Damaged {
                problem: Body::TooMany,
                ..
            } => Some("ask for fewer records per page"),
            Self::Forbidden { .. } => Some(
                "the account that signed in may not read this; ask whoever grants rights at the source",
            ),
            Self::Refused {
                status: 404 | 405 | 410,
                ..
            } => Some("check `url`, upper and lower case too"),
            Self::Refused { .. } => Some("check `url`, `query` and the cursor's `filter`"),
            Self::RefusedPage { .. } => Some(
                "if that is how the source answers past its last page, say so in `paging`: \
                 past_end = 404, or whatever status it was",
            ),
            Self::GraphQl { has_data: true, .. } => Some(
                "some fields could not be read; if the rest is wanted without them, set \
                 `partial = true` in `body.graphql`",
            ),
            Self::GraphQl { .. } => Some("check `query` and `variables` of `body.graphql`"),
            Self::Redirected { .. } => Some("write the final URL into the configuration"),
            Self::NotJson { document, .. } if document.kind == "JSON" => {
                Some("if the source answers with JSON, remove `format`")
            }
            Self::NotJson { .. } => Some(
                "it may be a maintenance page; if it stays, check that `url` is the API's and \
                 not a page for people",
            ),
            Self::Damaged {
                problem: Body::NotRecords { .. } | Body::NoEnvelope,
                ..
            } => Some("say where the records are with `records`"),
            Self::Damaged {
                problem: Body::Shape(problem),
                ..
            } => problem.hint(),
            Self::Damaged {
                problem: Body::NotAnObject { .. } | Body::NotScalar,
                ..
            } => Some("check the paths in `records` and `paging`"),
            Self::Damaged {
                problem: Body::NotGone(_),
                ..
            } => Some("check `list` in `tombstones`"),
            Self::Astray {
                problem: Paging::Foreign { .. },
                ..
            } => Some("if that host belongs to the source, add it to `allow_hosts`"),
            Self::Astray {
                problem: Paging::TooMany { .. },
                ..
            } => Some("raise `max_pages` if the source really has that many"),
            Self::Astray {
                problem: Paging::Again,
                ..
            } => Some(
                "check the names of the parameters in `paging`; if the source gives its last page \
                 again past the end, say so there: past_end = \"repeats\"",
            ),
            Self::Astray {
                problem: Paging::NoKey { .. },
                ..
            } => Some("check `field` in `paging`"),
            Self::Astray {
                problem: Paging::Stop(_),
                ..
            } => Some("check `stop` in `paging`; `jq` on the source's answer shows what it does"),
            Self::Astray { .. } => Some("check `paging` against what the source documents"),
            Self::Rule { .. } => Some("check `when` in `response_rules`"),
            Self::Request { .. }
            | Self::Unavailable { .. }
            | Self::Rejected { .. }
            | Self::LeftOut { .. }
            | Self::Restart { .. }
            | Self::NoAnswer { .. }
            | Self::Unauthorized { .. }
            | Self::InsufficientScope { .. }
            | Self::NoFact { .. }
            | Self::Damaged { .. }
            | Self::Reset { .. }
            | Self::Parked { .. } => None,
        }
    }
}

fn said(message: Option<&str>) -> String {
    message
        .map(|message| format!(": {message}"))
        .unwrap_or_default()
}

fn lacking(scope: Option<&str>) -> String {
    match scope {
        Some(scope) => format!("the scope `{scope}`"),
        None => "a scope that is needed for this".to_owned(),
    }
}

fn to(target: Option<&str>) -> String {
    target
        .map(|target| format!(", which leads to {target}"))
        .unwrap_or_default()
}
