//! The record of the profiles that a program served, in the manifest.

use serde::{Deserialize, Serialize};

/// Profiles that a program served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// URL of the profiles, without secrets.
    pub url: String,
    /// All requested profiles, even those that could not be fetched.
    pub profiles: Vec<FetchedRecord>,
}

/// A profile that a program served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FetchedRecord {
    /// The name of the profile.
    pub profile: String,
    /// The file in the run's directory. `None` if the profile was not fetched.
    pub file: Option<String>,
    /// The most important fact of the profile. `None` if the file is missing, or if the profile is empty.
    pub headline: Option<String>,
    /// Why the file is missing, or why the profile is empty.
    pub problem: Option<String>,
}
