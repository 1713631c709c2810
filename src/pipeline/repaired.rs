//! Replaces the recording of a run by its rewritten form, which holds no memory of the program.

use std::io;
use std::path::Path;

use super::describe_with_causes;
use crate::analyse::RepairedRecording;
use crate::fsio::{FileError, replace_file};
use crate::perfdata;

/// Replaces the file `perf_data` by the rewritten recording. On an error, the file is unchanged.
pub(super) fn replace_recording(
    repaired: RepairedRecording,
    perf_data: &Path,
    is_compressed: bool,
) -> Result<(), String> {
    let replaced = replace_file(perf_data, |file| {
        let written = repaired.write(file, is_compressed).map(|_| ()).map_err(|error| match error {
            perfdata::Error::Write(error) => error,
            other => io::Error::other(other),
        });
        written.map_err(|error| FileError::new("write", perf_data, error))
    });
    replaced.map_err(|error| describe_with_causes(&error))
}
