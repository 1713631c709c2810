//! Writes a profile as a gzipped pprof file.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};

use super::encode;
use crate::profile::Profile;

/// Texts that are written besides the profile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// Lines for `go tool pprof -comments`.
    pub comments: Vec<String>,
}

/// Writes a complete profile in pprof's format: full linker names, all stacks, a location for every address.
///
/// The sample types are samples/count and, as the default, cpu/nanoseconds or EVENT/count. A profile that was read from a
/// pprof file keeps its sample type. A sample has the [labels](Profile::labels) that are known.
pub fn write(profile: &Profile, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    // The gzip header has no name and no time, so that the same profile gives the same bytes.
    let mut gzip = GzBuilder::new().mtime(0).write(&mut *out, Compression::default());
    encode::write(profile, &options.comments, &mut gzip)?;
    gzip.finish()?;
    out.flush()
}
