//! Settings and projects for the tests of this stage.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{Config, Variant};

use super::{BuildProgress, CompiledPackages, GoTool};

/// A receiver of progress that shows nothing.
pub(super) struct NoProgress;

impl BuildProgress for NoProgress {
    fn show_output(&self, _: &[u8]) {}
    fn shows_packages(&self) -> bool {
        false
    }
    fn show_compiled_packages(&self, _: &CompiledPackages<'_>) {}
    fn show_pull_progress(&self, _: (usize, usize), _: (u64, u64)) {}
    fn show_stage(&self, _: &str, _: &str) {}
}

/// Default flags of a variant, with these `gcflags`.
pub(super) fn variant(gcflags: &str) -> Variant {
    Variant { gcflags: gcflags.to_owned(), ..config(Path::new("/p")).variants["release"].clone() }
}

/// Default settings, for the package `./cmd/app` of a project in `root`.
pub(super) fn config(root: &Path) -> Config {
    let mut config = Config::defaults(root);
    config.app.package = "./cmd/app".to_owned();
    config.app.name = "app".to_owned();
    // Keeps the environment of a plan empty.
    for variant in config.variants.values_mut() {
        variant.c_frame_pointers = false;
    }
    config
}

/// Go 1.26.8 as `GoTool::find` would report it.
pub(super) fn go_1_26_8() -> GoTool {
    GoTool {
        path: PathBuf::from("/usr/local/go/bin/go"),
        version: "go1.26.8".to_owned(),
        goroot: PathBuf::from("/usr/local/go"),
        goflags: String::new(),
        gotoolchain: "auto".to_owned(),
        cgo_enabled: true,
        goexperiment: String::new(),
        goamd64: "v1".to_owned(),
        goos: "linux".to_owned(),
        goarch: "amd64".to_owned(),
        gomodcache: PathBuf::from("/root/go/pkg/mod"),
        gomod: Some(PathBuf::from("/p/go.mod")),
        gowork: None,
        cc: "gcc".to_owned(),
        compiler_flags: ["-O2 -g".to_owned(), "-O2 -g".to_owned(), "-O2 -g".to_owned()],
        missing: None,
    }
}

/// Creates a module with a program, a library with a benchmark, and packages with neither.
pub(super) fn module() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("go.mod", "module example.com/m\n\ngo 1.21\n"),
        (
            "cmd/app/main.go",
            "package main\n\nimport \"example.com/m/lib\"\n\nfunc main() { println(lib.Double(21)) }\n",
        ),
        ("cmd/broken/main.go", "package main\n\nfunc main() { undefined() }\n"),
        (
            "lib/lib.go",
            "package lib\n\nfunc Double(x int) int { return half(x) * 4 }\n\nfunc half(x int) int { return x / 2 }\n",
        ),
        (
            "lib/lib_test.go",
            "package lib\n\nimport \"testing\"\n\nfunc TestFails(t *testing.T) { t.Fatal(\"a test ran\") }\n\n\
             func BenchmarkDouble(b *testing.B) {\n\tfor i := 0; i < b.N; i++ {\n\t\tDouble(i)\n\t}\n}\n",
        ),
        ("ext/ext.go", "package ext\n"),
        ("ext/ext_test.go", "package ext_test\n\nimport \"testing\"\n\nfunc Benchmark(b *testing.B) {}\n"),
        ("plain/plain.go", "package plain\n"),
        ("plain/plain_test.go", "package plain\n\nimport \"testing\"\n\nfunc TestBenchmark(t *testing.T) {}\n"),
    ] {
        let file = dir.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    dir
}
