//! pprof: the gzipped `profile.proto` that `go tool pprof` opens and `go build -pgo` takes.
//!
//! `wire` holds the messages of google/pprof's proto/profile.proto, `encode` fills them.

mod encode;
mod file;
mod wire;

#[cfg(test)]
mod tests;

pub use file::{Options, write};
