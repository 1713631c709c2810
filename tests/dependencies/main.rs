//! Checks the crates from which goflame is built: only allowed crates, and a current file THIRD-PARTY with their licences.
//!
//! Reads `cargo metadata` and the sources that cargo has unpacked. Needs no network.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../generated/mod.rs"]
mod generated;
mod metadata;
mod policy;
mod third_party;
