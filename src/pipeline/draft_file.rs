//! Files of a run that is not yet complete.

use super::Error;
use crate::archive::Draft;
use crate::fsio;

/// Writes a file of the run. Creates its parent directory.
pub(super) fn write_file(draft: &Draft, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = draft.path(name);
    if let Some(parent) = path.parent() {
        fsio::create_dir_all(parent).map_err(Error::Output)?;
    }
    fsio::replace(&path, bytes).map_err(Error::Output)
}
