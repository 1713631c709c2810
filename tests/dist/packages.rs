//! The packages: their contents, installing and removing them, and that each build has the same bytes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::{GOFLAME, source, stdout};

const EPOCH: &str = "1764460800"; // 2025-11-30T00:00:00Z

/// A directory with packages. They contain a script that runs goflame.
struct Packages {
    dir: TempDir,
}

impl Packages {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("goflame");
        fs::write(&script, format!("#!/bin/sh\nexec '{GOFLAME}' \"$@\"\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let mut pack = Command::new(source("packaging/dist"));
        pack.arg("pack").arg(&script).arg(dir.path().join("dist")).env("SOURCE_DATE_EPOCH", EPOCH);
        stdout(&mut pack);
        Self { dir }
    }

    /// Path of the package whose name ends with `ending`.
    fn file(&self, ending: &str) -> PathBuf {
        let files = fs::read_dir(self.dir.path().join("dist")).unwrap().map(|entry| entry.unwrap().path());
        let found: Vec<_> = files.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
        let [file] = &found[..] else { panic!("{ending}: {found:?}") };
        file.clone()
    }

    fn list(&self, ending: &str) -> String {
        stdout(Command::new("tar").args(["--numeric-owner", "--utc", "-tvzf"]).arg(self.file(ending)))
    }
}

#[test]
fn packages_have_the_same_bytes_each_time() {
    let (one, two) = (Packages::new(), Packages::new());
    let sums = |packages: &Packages| fs::read_to_string(packages.file("SHA256SUMS")).unwrap();
    assert_eq!(sums(&one).lines().count(), 3, "{}", sums(&one));
    assert_eq!(sums(&one), sums(&two));
    stdout(
        Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(one.dir.path().join("dist")),
    );
}

#[test]
fn the_tarball_has_program_man_pages_completions_and_licences() {
    let list = Packages::new().list("-linux.tar.gz");
    for path in ["goflame", "man/goflame-run.1", "completions/_goflame", "templates/gitlab-ci.yml", "THIRD-PARTY"] {
        assert!(list.lines().any(|line| line.ends_with(&format!("-linux/{path}"))), "{path} in\n{list}");
    }
    for line in list.lines() {
        assert!(line.contains(" 0/0 ") && line.contains(" 2025-11-30 00:00 "), "{line}");
        let mode = if line.ends_with("-linux/goflame") { "-rwxr-xr-x" } else { "-rw-r--r--" };
        assert!(line.starts_with(mode) || line.starts_with("drwxr-xr-x"), "{line}");
    }
}

#[test]
fn the_deb_installs_and_leaves_nothing_behind() {
    let packages = Packages::new();
    let root = packages.dir.path().join("root");
    let database = root.join("var/lib/dpkg");
    for dir in ["info", "updates", "triggers"] {
        fs::create_dir_all(database.join(dir)).unwrap();
    }
    fs::write(database.join("status"), "").unwrap();
    let dpkg = |args: &[&str]| {
        let mut command = Command::new("dpkg");
        command.arg("--root").arg(&root).args(["--force-not-root", "--force-script-chrootless"]).args(args);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        stdout(&mut command)
    };
    dpkg(&["--install", packages.file(".deb").to_str().unwrap()]);
    let version = stdout(Command::new(root.join("usr/bin/goflame")).arg("--version"));
    assert_eq!(version, format!("goflame {}\n", env!("CARGO_PKG_VERSION")));
    for path in [
        "share/man/man1/goflame-doctor.1.gz",
        "share/bash-completion/completions/goflame",
        "share/zsh/vendor-completions/_goflame",
        "share/fish/vendor_completions.d/goflame.fish",
        "share/doc/goflame/copyright",
        "share/doc/goflame/readiness-checks.md",
    ] {
        assert!(root.join("usr").join(path).is_file(), "{path}");
    }
    assert_eq!(dpkg(&["--verify", "goflame"]), "", "sizes and sums are those of the package");
    dpkg(&["--remove", "goflame"]);
    assert_eq!(files(&root.join("usr")), Vec::<PathBuf>::new());
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_image_is_a_docker_archive_with_the_correct_digest() {
    let packages = Packages::new();
    let image = packages.file(".tar.gz".replace(".tar", &format!("-{}.tar", std::env::consts::ARCH)).as_str());
    let unpacked = packages.dir.path().join("image");
    fs::create_dir(&unpacked).unwrap();
    stdout(Command::new("tar").arg("-xzf").arg(&image).arg("-C").arg(&unpacked));
    let json = |name: &str| -> Value { serde_json::from_slice(&fs::read(unpacked.join(name)).unwrap()).unwrap() };
    let manifest = json("manifest.json");
    assert_eq!(manifest[0]["RepoTags"][0], format!("goflame:{}", env!("CARGO_PKG_VERSION")));
    let config = json(manifest[0]["Config"].as_str().unwrap());
    let layer = unpacked.join(manifest[0]["Layers"][0].as_str().unwrap());
    let sum = stdout(Command::new("sha256sum").arg(&layer));
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sum.split(' ').next().unwrap()));
    assert_eq!(config["created"], "2025-11-30T00:00:00Z");
    let list = stdout(Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(layer));
    assert!(list.lines().all(|line| line.contains(" 0/0 ")), "{list}");
    let has = |mode: &str, name: &str| list.lines().any(|line| line.starts_with(mode) && line.ends_with(name));
    assert!(has("-rwxr-xr-x", " ./usr/bin/goflame") && has("drwxrwxrwt", " ./tmp/"), "{list}");
}
