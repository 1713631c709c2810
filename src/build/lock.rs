//! Result of a build, for `goflame.lock`.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::bytes::hex;
use crate::config::{Config, LockFile, LockedImage, LockedVariant};

use super::toolchain::release_number;
use super::{GoTool, plan};

/// Returns the lock after a build with `go`: native, or in the image pinned to `digest`. Keeps the parts of `before`
/// that the build does not affect.
pub fn updated_lock(config: &Config, before: Option<&LockFile>, go: &GoTool, digest: Option<&str>) -> LockFile {
    let mut lock = before.cloned().unwrap_or_default();
    let image = config.image().unwrap_or_default();
    if let Some(digest) = digest {
        let go = release_number(&go.version).unwrap_or_else(|| go.version.clone());
        lock.docker = Some(LockedImage { image, digest: digest.to_owned(), go });
    } else {
        // A development version has no name by which Go can download it.
        lock.native_go = release_number(&go.version);
        lock.docker = lock.docker.filter(|locked| locked.image == image);
    }
    lock.go_sum = digest_beside_go_mod(&config.go_dir, "go.sum");
    lock.variants = config
        .variants
        .iter()
        .map(|(name, variant)| {
            let mut env = variant.env.clone();
            env.extend(variant.cgo.map(|cgo| ("CGO_ENABLED".to_owned(), u8::from(cgo).to_string())));
            (name.clone(), LockedVariant { flags: plan::build_flags(variant), env })
        })
        .collect();
    // Users commit the lock file, so it must not contain secrets.
    lock.with_hashed_secrets(&config.secrets().with_digests())
}

/// SHA-256 of a file next to the active go.mod around `root`, as 64 hex digits. `None` if it cannot be read.
pub fn digest_beside_go_mod(root: &Path, name: &str) -> Option<String> {
    let module = root.ancestors().find(|dir| dir.join("go.mod").exists())?;
    std::fs::read(module.join(name)).ok().map(|bytes| hex(&Sha256::digest(bytes)))
}
