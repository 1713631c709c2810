//! The crates that goflame is built from: which of them are allowed, and the file THIRD-PARTY with their licences.
//!
//! All of it is read from `cargo metadata` and from the sources that cargo has unpacked, without a network.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../generated/mod.rs"]
mod generated;
mod metadata;
mod policy;
mod third_party;
