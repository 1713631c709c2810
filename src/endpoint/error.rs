//! Errors of fetching a profile.

use std::io;
use std::time::Duration;

use hyper::StatusCode;

use super::location::Endpoint;

/// An environment variable does not contain headers. The message does not show the value, which can be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the variable {variable} is not a header")]
pub struct HeaderError {
    /// Name of the variable.
    pub(super) variable: &'static str,
    /// Number of the line, counted from 1.
    pub(super) line: usize,
}

impl HeaderError {
    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        vec![
            "a header is `Name: value`, without line breaks in it; GOFLAME_PPROF_AUTHORIZATION takes the value alone"
                .into(),
        ]
    }
}

/// Error of fetching a profile.
#[derive(Debug, thiserror::Error)]
#[error("cannot fetch {url}")]
pub struct FetchError {
    /// The URL, without secrets.
    pub(super) url: String,
    /// The last part of the URL's path.
    pub(super) profile: String,
    /// The reason.
    #[source]
    pub(super) problem: FetchProblem,
}

/// Why a profile could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchProblem {
    /// No connection was made.
    #[error("no connection: {0}")]
    Connect(io::Error),
    /// The connection ended, or the answer is not HTTP.
    #[error("no complete answer: {0}")]
    Broken(String),
    /// The request took longer than this time.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The run did not wait for the answer any longer.
    #[error("no answer in time")]
    Abandoned,
    /// The program refused the request.
    #[error("the program answered {status}{}", if text.is_empty() { String::new() } else { format!(": {text}") })]
    Refused {
        /// Status of the answer.
        status: StatusCode,
        /// First line of the answer that is not blank, at most 200 characters. Empty for an HTML page.
        text: String,
    },
    /// The program redirects to this URL on another host.
    #[error("the program redirects to another host, which goflame does not follow: {0}")]
    OtherHost(String),
    /// The program redirects too many times.
    #[error("the program redirects from URL to URL without an end")]
    EndlessRedirects,
    /// The answer has more than this number of bytes.
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
}

impl FetchError {
    pub(super) fn new(endpoint: &Endpoint, problem: FetchProblem) -> Self {
        Self { url: endpoint.to_string(), profile: endpoint.last_path_part().to_owned(), problem }
    }

    /// The reason.
    pub fn problem(&self) -> &FetchProblem {
        &self.problem
    }

    /// Advice for the user.
    pub fn hints(&self) -> Vec<String> {
        let hint = match &self.problem {
            FetchProblem::Connect(_) => {
                "the program serves profiles where it listens for HTTP and imports net/http/pprof".to_owned()
            }
            FetchProblem::Refused { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. } => {
                "set the variable GOFLAME_PPROF_AUTHORIZATION (for example `Bearer TOKEN`), or GOFLAME_PPROF_HEADERS"
                    .to_owned()
            }
            FetchProblem::Refused { status: StatusCode::NOT_FOUND, .. } if self.profile == "goroutineleak" => {
                "the program must be built with Go 1.27, or with Go 1.26 and GOEXPERIMENT=goroutineleakprofile"
                    .to_owned()
            }
            FetchProblem::Refused { status: StatusCode::NOT_FOUND, .. } => {
                "the program must import net/http/pprof and serve http.DefaultServeMux, or register its handlers"
                    .to_owned()
            }
            _ => return Vec::new(),
        };
        vec![hint]
    }

    /// Whether there was no complete answer, for example because the program has ended.
    pub fn has_no_answer(&self) -> bool {
        matches!(self.problem, FetchProblem::Connect(_) | FetchProblem::Broken(_))
    }

    /// Whether no connection was made, for example because nothing listens at the address.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.problem, FetchProblem::Connect(_))
    }
}
