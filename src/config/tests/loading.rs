//! Tests of finding and reading the file, and of the effect of flags.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ROOT, accepted, shown};
use crate::config::name::parse_name;
use crate::config::{
    self, BenchmarkChoice, Config, Engine, Error, EventChoice, HttpAddress, Kernel, Kind, Overrides, Ready, ReadySign,
    Server, SourceFile, StackSize, Stop, Variant, name_of,
};
use crate::render::Format;

fn project() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(dir.path()).unwrap();
    (dir, root)
}

fn load(dir: &Path, explicit: Option<&Path>, overrides: &Overrides) -> Result<Config, Error> {
    config::load(dir, explicit, overrides, &[rustix::process::geteuid().as_raw()])
}

fn no_overrides() -> Overrides {
    Overrides::default()
}

#[test]
fn every_key_sets_its_field() {
    let config = accepted(
        r#"
[app]
package = "example.com/x/cmd/server/v2"
kind = "bench"
[build]
variant = "fast"
docker = true
[variant.fast]
gcflags = "all=-B"
tags = ["netgo", "go1.20"]
env = { GOAMD64 = "v3" }
trimpath = false
buildvcs = true
race = true
cgo = false
c_frame_pointers = false
pgo = "auto"
buildmode = "pie"
[variant.debug]
ldflags = "-X main.s=-w"
[toolchain]
go = "1.27.3"
image = "golang:1.27.3"
[workload]
args = ["-n", "5 0"]
env = { A = "b=c", "D.E" = "" }
dir = "./data/./x"
stdin = "in.txt"
timeout = "1.5s"
repeat = 1
[record]
engine = "perf"
frequency = 0x63
event = "cpu-clock"
kernel = "no"
stack = 0
off_cpu = false
[doctor]
strict = true
ignore = ["pmu"]
[report]
formats = ["json", "svg", "json"]
palette = "go"
title = "Größe"
source = false
[archive]
dir = "/var/runs"
keep = 1
max_bytes = "2 GiB"
keep_bytes = 5000000
compress = false
raw = true
redact = ["DB_DSN"]
"#,
    );
    let root = Path::new(ROOT);
    assert_eq!((config.app.kind, config.app.name.as_str()), (Kind::Bench, "server"));
    assert_eq!((config.build.variant.as_str(), config.build.docker), ("fast", true));
    let fast = Variant {
        gcflags: "all=-B".to_owned(),
        ldflags: "-compressdwarf=false".to_owned(), // from release
        tags: vec!["netgo".to_owned(), "go1.20".to_owned()],
        env: [("GOAMD64".to_owned(), "v3".to_owned())].into(),
        trimpath: false,
        buildvcs: true,
        race: true,
        cgo: Some(false),
        c_frame_pointers: false,
        pgo: "auto".to_owned(),
        buildmode: "pie".to_owned(),
    };
    assert_eq!(config.variants["fast"], fast);
    assert_eq!(config.variants["debug"].gcflags, "all=-N -l");
    assert_eq!(config.variants["debug"].ldflags, "-X main.s=-w");
    assert_eq!((config.toolchain.go.as_str(), config.toolchain.image.as_str()), ("1.27.3", "golang:1.27.3"));
    assert_eq!(config.workload.args, ["-n", "5 0"]);
    assert_eq!(config.workload.env["A"], "b=c");
    assert_eq!(config.workload.env["D.E"], "");
    assert_eq!(config.workload.dir, root.join("data/x"));
    assert_eq!(config.workload.stdin, Some(root.join("in.txt")));
    assert_eq!(config.workload.timeout, Duration::from_millis(1500));
    assert_eq!((config.record.engine, config.record.event), (Engine::Perf, EventChoice::CpuClock));
    assert_eq!(
        (config.record.kernel, config.record.frequency, config.record.stack),
        (Kernel::No, 99, StackSize::Bytes(0))
    );
    assert!(config.doctor.strict);
    assert_eq!(config.doctor.ignore, ["pmu"]);
    assert_eq!(config.report.formats, [Format::Json, Format::Svg]);
    assert_eq!(config.report.title, "Größe");
    assert!(!config.report.source);
    assert_eq!((config.archive.dir.as_path(), config.archive.keep), (Path::new("/var/runs"), 1));
    assert_eq!(config.archive.max_bytes, Some(1 << 31));
    assert_eq!(config.archive.keep_bytes, Some(5_000_000));
    assert_eq!((config.archive.compress, config.archive.raw), (false, true));
    assert_eq!(config.archive.redact, ["DB_DSN"]);
}

#[test]
fn the_file_is_found_in_this_and_in_parent_directories() {
    let (_guard, root) = project();
    let below = root.join("a/b");
    fs::create_dir_all(&below).unwrap();
    fs::write(root.join("goflame.toml"), "[record]\nfrequency = 50\n").unwrap();
    for dir in [&root, &below, &root.join("a/b/../b"), &root.join("a/..")] {
        let config = load(dir, None, &no_overrides()).unwrap();
        assert_eq!(config.root, root);
        assert_eq!(config.file, Some(root.join("goflame.toml")));
        assert_eq!(config.record.frequency, 50);
        assert_eq!(config.file_text(), "[record]\nfrequency = 50\n");
        assert_eq!(config.workload.dir, root);
    }
    // Only the nearest file is used.
    fs::write(below.join("goflame.toml"), "").unwrap();
    let config = load(&below, None, &no_overrides()).unwrap();
    assert_eq!((config.root, config.record.frequency, config.app.name.as_str()), (below, 997, "b"));
}

#[test]
fn the_search_uses_the_real_path() {
    let (_guard, root) = project();
    fs::create_dir_all(root.join("real/sub")).unwrap();
    fs::create_dir_all(root.join("links")).unwrap();
    fs::write(root.join("real/goflame.toml"), "").unwrap();
    fs::write(root.join("links/goflame.toml"), "").unwrap();
    symlink(root.join("real/sub"), root.join("links/sub")).unwrap();
    assert_eq!(load(&root.join("links/sub"), None, &no_overrides()).unwrap().root, root.join("real"));
}

#[test]
fn a_file_given_by_flag_is_relative_to_the_directory() {
    let (_guard, root) = project();
    fs::create_dir(root.join("conf")).unwrap();
    fs::write(root.join("conf/ci.toml"), "[archive]\nkeep = 3\n").unwrap();
    for explicit in [PathBuf::from("conf/ci.toml"), root.join("conf/ci.toml")] {
        let config = load(&root, Some(&explicit), &no_overrides()).unwrap();
        assert_eq!((config.root, config.archive.keep), (root.join("conf"), 3));
        assert_eq!(config.file, Some(root.join("conf/ci.toml")));
    }
}

#[test]
fn no_file_is_an_error_with_advice() {
    let (_guard, root) = project();
    let error = load(&root, None, &no_overrides()).unwrap_err();
    assert!(matches!(&error, Error::NotFound { dir } if *dir == root));
    let expected =
        format!("no goflame.toml in {} or any directory above it\n`goflame init` creates one", root.display());
    assert_eq!(shown(&error), expected);
}

#[test]
fn an_unreadable_file_is_an_error_with_its_path() {
    let (_guard, root) = project();
    let file = root.join("goflame.toml");
    let path = file.display();

    let error = load(&root, Some(Path::new("goflame.toml")), &no_overrides()).unwrap_err();
    assert_eq!(shown(&error), format!("cannot read {path}: No such file or directory (os error 2)"));

    fs::create_dir(&file).unwrap();
    let error = load(&root, None, &no_overrides()).unwrap_err();
    assert_eq!(shown(&error), format!("cannot read {path}: it is a directory, not a file"));
    fs::remove_dir(&file).unwrap();

    symlink("nowhere", &file).unwrap();
    let error = load(&root, None, &no_overrides()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read {path}"));
    fs::remove_file(&file).unwrap();

    symlink("/dev/zero", &file).unwrap();
    let error = load(&root, None, &no_overrides()).unwrap_err();
    assert_eq!(shown(&error), format!("cannot read {path}: it is larger than 1048576 bytes"));
    fs::remove_file(&file).unwrap();

    fs::write(&file, b"[app]\nname = \"\xc3\xa9t\xff\"\n").unwrap();
    let error = load(&root, None, &no_overrides()).unwrap_err();
    assert_eq!(error.to_string(), format!("{path}:2:11: byte 0xff at offset 17 is not UTF-8"));

    let error = load(&root.join("none"), None, &no_overrides()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open directory {}", root.join("none").display()));
}

#[test]
fn every_key_of_a_server_sets_its_field() {
    let config = accepted(
        r#"
[workload]
ready = { http = "http://localhost/healthz?x=1#top", within = "30" }
warmup = "2s"
duration = "10s"
load = ["wrk", "-d12s", "http://localhost/"]
stop = { signal = "INT" }
"#,
    );
    let address = HttpAddress { authority: "localhost:80".to_owned(), path: "/healthz?x=1".to_owned() };
    let seconds = Duration::from_secs;
    assert_eq!(
        config.workload.server,
        Server {
            ready: Ready { sign: Some(ReadySign::Http(address)), within: seconds(30) },
            warmup: seconds(2),
            duration: Some(seconds(10)),
            load: ["wrk", "-d12s", "http://localhost/"].map(str::to_owned).into(),
            stop: Stop { signal: nix::libc::SIGINT, grace: seconds(5) },
        }
    );
}

#[test]
fn flags_override_the_file() {
    let file = SourceFile {
        path: Path::new(ROOT).join("goflame.toml"),
        text: "[record]\nfrequency = 50\n[workload]\nargs = [\"a\"]\n[variant.fast]\n".to_owned(),
    };
    let overrides = Overrides {
        package: Some("./tool".to_owned()),
        kind: None,
        benchmarks: BenchmarkChoice { count: Some(3), ..BenchmarkChoice::default() },
        variant: Some("fast".to_owned()),
        docker: Some(true),
        mounts: vec!["lib".into()],
        warmup: Some(Duration::from_secs(2)),
        duration: Some(Duration::from_secs(3)),
        frequency: Some(99),
        engine: Some(Engine::Perf),
        event: Some(EventChoice::Cycles),
        kernel: Some(Kernel::Yes),
        stack: Some(64),
        off_cpu: Some(true),
        args: Some(vec![]),
        strict: Some(true),
        formats: Some(vec![Format::Json, Format::Json]),
        title: Some("t".to_owned()),
        archive_dir: Some(PathBuf::from("out")),
    };
    let config = Config::resolve(Path::new("/nonexistent/here"), Some(file), &overrides).unwrap();
    assert_eq!((config.build.variant.as_str(), config.build.docker), ("fast", true));
    assert_eq!(config.build.mounts, [Path::new("/nonexistent/here/lib")]);
    let record = &config.record;
    assert_eq!((record.frequency, record.stack), (99, StackSize::Bytes(64)));
    assert_eq!((record.engine, record.event, record.kernel), (Engine::Perf, EventChoice::Cycles, Kernel::Yes));
    assert_eq!(config.workload.args, Vec::<String>::new());
    let server = &config.workload.server;
    assert_eq!((server.warmup, server.duration), (Duration::from_secs(2), Some(Duration::from_secs(3))));
    assert!(config.doctor.strict && record.off_cpu);
    assert_eq!((config.app.package.as_str(), config.app.name.as_str()), ("/nonexistent/here/tool", "tool"));
    assert_eq!(config.workload.benchmarks.count, Some(3));
    assert_eq!((config.report.formats, config.report.title.as_str()), (vec![Format::Json], "t"));
    assert_eq!(config.archive.dir, Path::new("/nonexistent/here/out"));
}

#[test]
fn an_invalid_flag_is_named_without_the_file() {
    let flags = |overrides: Overrides| {
        let error = Config::resolve(Path::new(ROOT), None, &overrides).unwrap_err();
        assert!(error.is_usage());
        shown(&error)
    };
    for (overrides, expected) in [
        (
            Overrides { frequency: Some(0), ..no_overrides() },
            "invalid value for `--freq`: expected 1 to 20000 samples per second, found 0",
        ),
        (
            Overrides { stack: Some(13), ..no_overrides() },
            "invalid value for `--stack`: expected a multiple of 8, found 13\nthe nearest values are 8 and 16",
        ),
        (
            Overrides { variant: Some("relase".to_owned()), ..no_overrides() },
            "invalid value for `--variant`: expected `debug` or `release`\ndid you mean `release`?",
        ),
        (
            Overrides { archive_dir: Some(PathBuf::from("..")), ..no_overrides() },
            "invalid value for `--archive-dir`: expected a separate directory, found one that contains the project",
        ),
    ] {
        assert_eq!(flags(overrides), expected);
    }
}

#[test]
fn names_of_values_can_be_parsed_again() {
    assert_eq!(parse_name("perf"), Ok(Engine::Perf));
    assert_eq!(parse_name(&name_of(&EventChoice::CpuClock)), Ok(EventChoice::CpuClock));
    let error = parse_name::<Format>("pprf").unwrap_err();
    assert_eq!(
        error,
        "expected `svg`, `html`, `pprof`, `folded`, `speedscope`, `firefox`, `chrome-trace`, `markdown` or `json`; did you mean `pprof`?"
    );
}

#[test]
fn benchmarks_run_where_go_test_runs_them() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for (workload, expected) in [("", root.join("lib")), ("[workload]\ndir = \"data\"\n", root.join("data"))] {
        let text = format!("[app]\npackage = \"./lib\"\nkind = \"bench\"\n{workload}");
        std::fs::write(root.join("goflame.toml"), text).unwrap();
        assert_eq!(load(&root, None, &Overrides::default()).unwrap().workload.dir, expected);
    }
}

#[test]
fn another_package_has_neither_the_name_nor_the_arguments_of_the_files_package() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("cmd/a")).unwrap();
    let text = "app = { package = \"./cmd/a\", name = \"own\" }\nworkload = { args = [\"x\"], stdin = \"in\" }\n";
    std::fs::write(root.join("goflame.toml"), text).unwrap();
    let from = |dir: &Path, package: &str, kind| {
        let overrides = Overrides { package: Some(package.to_owned()), kind, ..no_overrides() };
        let config = load(dir, None, &overrides).unwrap();
        let has_input = config.workload.stdin.is_some() && config.workload.args == ["x"];
        (config.app.package, config.app.name, has_input)
    };
    let own = ("./cmd/a".to_owned(), "own".to_owned());
    assert_eq!(from(&root, "./cmd/a/", None), (own.0.clone(), own.1.clone(), true));
    assert_eq!(from(&root.join("cmd"), "./a", None), (own.0.clone(), own.1.clone(), true));
    assert_eq!(from(&root.join("cmd/a"), ".", Some(Kind::Bench)), (own.0, own.1, false));
    assert_eq!(from(&root.join("cmd"), "./b", None), ("./cmd/b".to_owned(), "b".to_owned(), false));
    assert_eq!(from(&root.join("cmd"), "..", None).0, ".");
    assert_eq!(from(&root, "example.com/tool", None), ("example.com/tool".to_owned(), "tool".to_owned(), false));
}

#[test]
fn go_runs_in_the_nested_module_of_the_package() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("services/shop/cmd/server")).unwrap();
    std::fs::write(root.join("services/shop/go.mod"), "module shop\n").unwrap();
    let of = |variant: &str| {
        let text = format!("app.package = \"./services/shop/cmd/server\"\n{variant}");
        std::fs::write(root.join("goflame.toml"), text).unwrap();
        let config = load(&root, None, &no_overrides()).unwrap();
        (config.go_dir.clone(), config.go_package())
    };
    let nested = (root.join("services/shop"), "./cmd/server".to_owned());
    assert_eq!(of(""), nested);
    // A workspace joins modules, so Go finds the package from outside of its module.
    std::fs::write(root.join("go.work"), "use ./services/shop\n").unwrap();
    assert_eq!(of(""), (root.clone(), "./services/shop/cmd/server".to_owned()));
    assert_eq!(of("variant.debug.env = { GOWORK = \"off\" }"), nested);
}

#[test]
fn runtime_traces_are_requested_by_godebug() {
    let godebug_value =
        |text: &str, existing: &str| accepted(&format!("[runtime]\n{text}")).runtime.godebug_value(existing);
    assert_eq!(godebug_value("", "gctrace=1"), None);
    assert_eq!(
        godebug_value("gctrace = true\nschedtrace = \"1.5s\"", "").as_deref(),
        Some("gctrace=1,schedtrace=1500")
    );
    assert_eq!(godebug_value("inittrace = true", "gctrace=2").as_deref(), Some("inittrace=1,gctrace=2"));
    assert_eq!(godebug_value("scheddetail = true", "").as_deref(), Some("schedtrace=1000,scheddetail=1"));
    assert_eq!(godebug_value("schedtrace = \"\"", ""), None);
}
