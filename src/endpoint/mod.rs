//! Fetches the profiles that a Go program serves by HTTP (`net/http/pprof`).
//!
//! Credentials come from the environment ([`Client::from_env`]) or from a URL of the command line. They are sent only
//! to the host of the URL, and are never shown. Answers are limited in size and time. Must not interpret the profiles.

mod client;
mod error;
mod fetcher;
mod location;
mod profile_kind;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests;

pub use client::{AUTHORIZATION_VARIABLE, Client, EarlyEnd, HEADERS_VARIABLE, connect};
pub use error::{FetchError, FetchProblem, HeaderError};
pub use fetcher::{FetchedProfile, Fetcher, FetcherPlan};
pub use location::{Endpoint, EndpointError};
pub use profile_kind::ProfileKind;
