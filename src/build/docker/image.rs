//! Image pins: resolves an image name to a digest or an id.

use std::collections::BTreeMap;

use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

use super::engine::is_missing;
use super::error::Request;
use super::reference::Reference;
use super::{DockerEngine, Error};
use crate::build::BuildProgress;
use crate::config::LockedImage;

/// Image pinned by digest or id. It stays the same when its tag moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedImage {
    /// `repository@sha256:...`, or the id of an image that is in no registry.
    pub digest: String,
    /// Digest or id that the name now has on the engine, if it differs from the pinned digest.
    pub current_digest: Option<String>,
}

impl DockerEngine {
    /// Resolves `name` to an image, and ensures that the image is on the engine. If `locked` pins this name, uses the
    /// pinned image, even if the name refers to another image now. Otherwise uses the image that the engine has or can
    /// pull.
    pub fn pin(
        &self,
        name: &str,
        locked: Option<&LockedImage>,
        offline: bool,
        progress: &dyn BuildProgress,
    ) -> Result<PinnedImage, Error> {
        let reference = Reference::parse(name);
        let here = self.resolve_digest(name, &reference)?;
        let Some(locked) = locked.filter(|locked| locked.image == name) else {
            let digest = if let Some(digest) = here {
                digest
            } else {
                self.pull_image(name, offline, progress)?;
                // The image is present right after a pull.
                self.resolve_digest(name, &reference)?.ok_or_else(|| Error::Offline { image: name.to_owned() })?
            };
            return Ok(PinnedImage { digest, current_digest: None });
        };
        let digest = locked.digest.clone();
        if !self.has_image(&digest)? {
            if !digest.contains('@') {
                return Err(Error::PinGone { image: name.to_owned(), digest });
            }
            self.pull_image(&digest, offline, progress)?;
        }
        let current_digest = here.filter(|here| *here != digest);
        Ok(PinnedImage { digest, current_digest })
    }

    /// Returns the digest or id of the image that the engine has under a name. `None` if there is no such image.
    pub(super) fn resolve_digest(&self, name: &str, reference: &Reference) -> Result<Option<String>, Error> {
        let image = match self.block_on(self.docker.inspect_image(name)) {
            Ok(image) => image,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(source) => return Err(Request::InspectImage.into_error(source)),
        };
        let digests = image.repo_digests.unwrap_or_default();
        let match_length = |digest: &&String| {
            let found = Reference::parse(digest);
            let same = reference.digest.is_none() || found.digest == reference.digest;
            (same && reference.is_shown_as(&found.repository)).then_some(found.repository.len())
        };
        // The image may have several names. The longest matching name is the requested one.
        let own = digests.iter().filter(|digest| match_length(digest).is_some()).max_by_key(match_length);
        Ok(own.cloned().or(image.id))
    }

    pub(super) fn has_image(&self, image: &str) -> Result<bool, Error> {
        match self.block_on(self.docker.inspect_image(image)) {
            Ok(_) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(source) => Err(Request::InspectImage.into_error(source)),
        }
    }

    fn pull_image(&self, name: &str, offline: bool, progress: &dyn BuildProgress) -> Result<(), Error> {
        if offline {
            return Err(Error::Offline { image: name.to_owned() });
        }
        progress.show_stage("Pulling", name);
        let reference = Reference::parse(name);
        let version = reference.digest.or(reference.tag).unwrap_or_default();
        let options = CreateImageOptionsBuilder::new().from_image(&reference.repository).tag(&version).build();
        let failed = |source| Error::Pull { image: name.to_owned(), source: Box::new(source) };
        self.block_unless_interrupted(async {
            let mut layers = Layers::default();
            let mut answers = self.docker.create_image(Some(options), None, None);
            while let Some(answer) = answers.next().await {
                layers.update(answer.map_err(failed)?);
                progress.show_pull_progress(layers.done_and_total_layers(), layers.done_and_total_bytes());
            }
            Ok(())
        })
    }
}

/// Progress of each layer, by its short id.
#[derive(Default)]
struct Layers(BTreeMap<String, Layer>);

#[derive(Default)]
struct Layer {
    done: bool,
    current: u64,
    total: u64,
}

impl Layers {
    fn update(&mut self, info: CreateImageInfo) {
        let (Some(id), Some(status)) = (info.id, info.status) else { return };
        match status.as_str() {
            "Pulling fs layer" | "Waiting" | "Already exists" | "Downloading" | "Verifying Checksum"
            | "Download complete" | "Extracting" | "Pull complete" => {}
            // An id that belongs to no layer: `1.27: Pulling from library/golang`.
            _ => return,
        }
        let layer = self.0.entry(id).or_default();
        layer.done |= matches!(status.as_str(), "Already exists" | "Pull complete");
        if let ("Downloading", Some(detail)) = (status.as_str(), info.progress_detail) {
            let bytes = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0);
            (layer.current, layer.total) = (bytes(detail.current), bytes(detail.total));
        } else if layer.done || status == "Download complete" {
            layer.current = layer.total;
        }
    }

    fn done_and_total_layers(&self) -> (usize, usize) {
        (self.0.values().filter(|layer| layer.done).count(), self.0.len())
    }

    fn done_and_total_bytes(&self) -> (u64, u64) {
        let sum = |of: fn(&Layer) -> u64| self.0.values().map(of).fold(0, u64::saturating_add);
        (sum(|layer| layer.current), sum(|layer| layer.total))
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    #[test]
    fn layers_are_counted_once() {
        let mut layers = Layers::default();
        let mut say = |id: &str, status: &str, progress: Option<(i64, i64)>| {
            layers.update(CreateImageInfo {
                id: Some(id.into()),
                status: Some(status.into()),
                progress_detail: progress
                    .map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) }),
                ..CreateImageInfo::default()
            });
            (layers.done_and_total_layers(), layers.done_and_total_bytes())
        };
        assert_eq!(say("1.27", "Pulling from library/golang", None), ((0, 0), (0, 0)));
        assert_eq!(say("a", "Already exists", None), ((1, 1), (0, 0)));
        say("b", "Pulling fs layer", None);
        assert_eq!(say("b", "Downloading", Some((10, 40))), ((1, 2), (10, 40)));
        assert_eq!(say("b", "Download complete", None), ((1, 2), (40, 40)));
        assert_eq!(say("b", "Extracting", Some((1, 40))), ((1, 2), (40, 40)));
        assert_eq!(say("b", "Pull complete", None), ((2, 2), (40, 40)));
    }
}
