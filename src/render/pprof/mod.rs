//! pprof: the gzipped `profile.proto` format, for `go tool pprof` and `go build -pgo`.
//!
//! `wire` holds the messages of google/pprof's proto/profile.proto. `encode` fills them. `file` writes them.

mod encode;
mod file;
mod wire;

#[cfg(test)]
mod tests;

pub use file::{Options, write};
