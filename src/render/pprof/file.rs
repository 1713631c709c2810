//! The message as a file: encoded and gzipped.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use prost::Message;

use super::encode;
use crate::profile::Profile;

/// What is written besides the profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Shown by `go tool pprof -comments`, a line each.
    pub comments: Vec<String>,
}

/// Writes a profile in pprof's format, uncut: full linker names, all stacks, a location for every address.
///
/// The sample types are samples/count and then cpu/nanoseconds, or the event's name/count, which is the default; those of
/// profiles that were pprof's before are kept. A sample has the labels `process`, and `pid` and `thread` as numbers, where they are
/// known.
pub fn write(profile: &Profile, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let message = encode::encode(profile, &options.comments).encode_to_vec();
    // No name and no time in the header: the same profile gives the same bytes.
    let mut gzip = GzBuilder::new().mtime(0).write(&mut *out, Compression::default());
    gzip.write_all(&message)?;
    gzip.finish()?;
    out.flush()
}
