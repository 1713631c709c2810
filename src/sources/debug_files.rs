//! Separate debug files with the symbols of stripped files, in the places where distributions, `objcopy` and debuginfod's
//! client put them.

use std::path::{Path, PathBuf};

/// Directory in which distributions install debug files.
const INSTALLED_DIR: &str = "/usr/lib/debug";

/// Existing files that can be the debug file of `path`, most certain first. `build_id` is in hexadecimal. `link` is the name
/// in `.gnu_debuglink`. Downloads nothing.
pub(super) fn debug_file_candidates(path: &str, build_id: Option<&str>, link: Option<&str>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    // The build id comes from an untrusted file. Only hexadecimal digits are allowed in the path.
    let build_id = build_id.filter(|id| id.len() > 2 && id.bytes().all(|digit| digit.is_ascii_hexdigit()));
    if let Some((first, rest)) = build_id.and_then(|id| id.split_at_checked(2)) {
        found.push(Path::new(INSTALLED_DIR).join(format!(".build-id/{first}/{rest}.debug")));
    }
    let directory = Path::new(path).parent().filter(|_| path.starts_with('/') && !path.starts_with("//"));
    if let (Some(directory), Some(link)) = (directory, link) {
        found.push(directory.join(link));
        found.push(directory.join(".debug").join(link));
        let below = directory.strip_prefix("/").unwrap_or(directory);
        found.push(Path::new(INSTALLED_DIR).join(below).join(link));
    }
    if let (Some(cache), Some(id)) = (debuginfod_cache_dir(), build_id) {
        found.push(cache.join(id).join("debuginfo"));
    }
    found.retain(|file| file != Path::new(path) && file.is_file());
    found
}

/// Directory of the cache of debuginfod's client (`debuginfod_find_debuginfo(3)`).
fn debuginfod_cache_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("DEBUGINFOD_CACHE_PATH").or_else(|| {
        Some(set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?.join("debuginfod_client"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_exist_and_are_not_the_program_are_candidates() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        let text = path.to_str().unwrap();
        std::fs::create_dir(directory.path().join(".debug")).unwrap();
        for file in ["program", "beside.debug", ".debug/below.debug"] {
            std::fs::write(directory.path().join(file), "").unwrap();
        }
        assert_eq!(debug_file_candidates(text, None, Some("beside.debug")), [directory.path().join("beside.debug")]);
        assert_eq!(
            debug_file_candidates(text, None, Some("below.debug")),
            [directory.path().join(".debug/below.debug")]
        );
        for link in [None, Some("program"), Some("absent"), Some(".debug")] {
            assert_eq!(debug_file_candidates(text, Some("../../../etc/passwd"), link), Vec::<PathBuf>::new());
        }
        for virtual_file in ["[vdso]", "//anon"] {
            assert_eq!(debug_file_candidates(virtual_file, Some("0"), Some("beside.debug")), Vec::<PathBuf>::new());
        }
    }
}
