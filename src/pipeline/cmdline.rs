//! Masks secrets in the command line that `perf record` writes into its file. That line ends with the workload's
//! command line, which can contain secrets.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Error;
use crate::fsio::FileError;
use crate::perfdata::mask_cmdline;
use crate::redact::Secrets;
use crate::sources::InputBytes;

/// Masks the secrets in the command line that a `perf.data` file contains.
pub(super) fn mask_command_line(perf_data: &Path, secrets: &Secrets) -> Result<(), Error> {
    let bytes = InputBytes::open(perf_data).map_err(Error::Input)?;
    let Some((offset, section)) = mask_cmdline(bytes.bytes(), |words| secrets.mask_args(words)) else {
        return Ok(());
    };
    drop(bytes);
    let file = File::options().write(true).open(perf_data);
    file.and_then(|file| file.write_all_at(&section, offset))
        .map_err(|source| Error::Output(FileError::new("write", perf_data, source)))
}
