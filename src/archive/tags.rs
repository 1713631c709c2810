//! Tags: names that users give to runs. A tag is a file in `tags/` that holds the id of its run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use super::error::Error;
use super::id::{RunId, is_name_char};
use super::store::Store;
use crate::fsio::FileError;

/// Maximum length of a tag in bytes.
const MAX_TAG_BYTES: usize = 64;

/// Maximum size in bytes of a tag's file, which holds an id.
const MAX_FILE_BYTES: u64 = 1024;

impl Store {
    /// Returns all tags and their runs.
    pub fn tags(&self) -> Result<BTreeMap<String, RunId>, Error> {
        let mut tags = BTreeMap::new();
        let Some(dir) = self.root().open_dir_if_present("tags")? else { return Ok(tags) };
        for name in dir.utf8_names()?.into_iter().filter(|name| is_valid_tag(name)) {
            let mut text = String::new();
            let file = match dir.open_file(&name) {
                // Another process has removed the tag meanwhile.
                Err(Error::File(error)) if error.is_missing() => continue,
                file => file?,
            };
            file.take(MAX_FILE_BYTES)
                .read_to_string(&mut text)
                .map_err(|error| FileError::new("read", dir.path().join(&name), error))?;
            if let Ok(id) = text.trim_end().parse() {
                tags.insert(name, id);
            }
        }
        Ok(tags)
    }

    /// Gives a complete run a tag. Returns the other run that had the tag before, if there was one.
    pub fn tag(&self, id: &RunId, name: &str) -> Result<Option<RunId>, Error> {
        if !is_valid_tag(name) {
            return Err(Error::BadTag { name: name.to_owned() });
        }
        let _lock = self.lock()?;
        if self.open_sub_dir("runs")?.file_type(id.as_str())?.is_none() {
            return Err(Error::Gone { id: id.clone() });
        }
        let before = self.tags()?.remove(name).filter(|before| before != id);
        self.open_sub_dir("tags")?.write(name, format!("{id}\n").as_bytes())?;
        Ok(before)
    }

    /// Removes a tag. Returns the run that had the tag.
    pub fn untag(&self, name: &str) -> Result<RunId, Error> {
        let _lock = self.lock()?;
        let mut tags = self.tags()?;
        let Some(id) = tags.remove(name) else {
            return Err(Error::NoTag { name: name.to_owned(), tags: tags.into_keys().collect() });
        };
        self.open_sub_dir("tags")?.remove(name)?;
        Ok(id)
    }

    /// Returns the runs that have a tag. Pruning never removes such runs.
    pub(super) fn tagged_runs(&self) -> Result<BTreeSet<RunId>, Error> {
        Ok(self.tags()?.into_values().collect())
    }
}

/// Whether a text can be a tag: nobody can mistake it for an id, for `latest`, for `@1`, or for a file or a flag.
fn is_valid_tag(text: &str) -> bool {
    let fits = (1..=MAX_TAG_BYTES).contains(&text.len()) && text.chars().all(is_name_char) && !text.starts_with('-');
    fits && text != "latest" && text.parse::<RunId>().is_err()
}
