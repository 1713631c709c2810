//! Doctor in a Docker container, with the default seccomp profile and with more permissions.
//!
//! `make test` starts a separate Docker engine for the tests (`tests/setup/engine`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::agreement::compare_doctor_and_run;
use crate::harness::{Doctor, Machine, Project, Ran, build_cache, find_tool};

/// Image that the engine builds, with the Go toolchain on PATH.
const GO_IMAGE: &str = "goflame-test/golang:local";
/// The image `GO_IMAGE` with goflame and its shared libraries.
const IMAGE: &str = "goflame-test/doctor:local";

/// The Docker engine of the tests.
struct Docker {
    host: String,
}

impl Docker {
    fn new() -> Self {
        let dir = std::env::var("GOFLAME_ENGINE").unwrap_or_else(|_| {
            panic!("this test needs a Docker engine: `make test`, or `tests/setup/engine run cargo test --test doctor`")
        });
        let docker = Self { host: format!("unix://{dir}/docker.sock") };
        docker.make_image();
        docker
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(find_tool("docker"));
        command.arg("--host").arg(&self.host).args(args);
        command
    }

    #[track_caller]
    fn succeeds(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Copies goflame and its libraries into a container of the Go image, and commits the container as an image.
    fn make_image(&self) {
        let root = tempfile::tempdir().unwrap();
        let put = |from: &Path, to: &Path| {
            let to = root.path().join(to.strip_prefix("/").unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        };
        let goflame = Path::new(env!("CARGO_BIN_EXE_goflame"));
        put(goflame, Path::new("/usr/bin/goflame"));
        for library in shared_libraries(goflame) {
            put(&library, &library);
        }
        let container = self.succeeds(&["create", GO_IMAGE, "none"]);
        let mut tar = Command::new(find_tool("tar"));
        let mut tar = tar.arg("-C").arg(root.path()).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
        let mut copy = self.command(&["cp", "-", &format!("{container}:/")]);
        let copied = copy.stdin(tar.stdout.take().unwrap()).output().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        assert!(tar.wait().unwrap().success());
        self.succeeds(&["commit", &container, IMAGE]);
        self.succeeds(&["rm", &container]);
    }

    /// Whether this Docker is version 23.0 or newer, which knows the capability PERFMON and permits it in its seccomp
    /// profile.
    fn has_perfmon(&self) -> bool {
        let version = self.succeeds(&["version", "--format", "{{.Server.Version}}"]);
        version.split('.').next().unwrap().parse::<u32>().unwrap() >= 23
    }

    /// Runs `goflame ARGS` in a container with the Docker flags `flags` and the project mounted.
    fn goflame(&self, flags: &[&str], project: &Project, args: &[&str]) -> Ran {
        let project = format!("{}:/project", project.path("").display());
        let cache = format!("{}:/cache", build_cache(true).display());
        let mut all = vec!["run", "--rm", "--workdir", "/project", "-v", &project, "-v", &cache];
        all.extend(["-e", "GOCACHE=/cache", "-e", "HOME=/project/tmp", "-e", "TMPDIR=/project/tmp"]);
        all.extend(flags);
        all.extend([IMAGE, "goflame"]);
        all.extend(args);
        Ran::new(self.command(&all).output().unwrap())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let _ = self.command(&["image", "rm", "--force", IMAGE]).output();
    }
}

/// Paths of the program's shared libraries and of the loader.
fn shared_libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new(find_tool("ldd")).arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

#[test]
fn doctor_and_run_agree_in_containers() {
    let mut machine = Machine::lock();
    machine.set("perf_event_paranoid", "2").set("kptr_restrict", "0");
    let docker = Docker::new();
    let project = Project::busy("variant.release.cgo = false\n");
    let judged = |what: &str, flags: &[&str]| -> Doctor {
        let doctor = compare_doctor_and_run(&format!("container, {what}"), &project, &|args| {
            docker.goflame(flags, &project, args)
        });
        assert_eq!(doctor.finding("container")["found"], "docker; kernel settings belong to the host");
        doctor
    };

    let default = judged("default flags", &[]);
    assert_eq!(default.with_status("failure"), ["live-probe"], "{:#}", default.json);
    let probe = default.finding("live-probe");
    assert!(probe["why"].as_str().unwrap().contains("seccomp"), "{probe:#}");
    assert_eq!(probe["fix"]["on_host"], true);
    // The setting permits user stacks. Only the probe shows that nothing can be sampled.
    let level = default.finding("perf-event-paranoid");
    assert_eq!((level["status"].as_str(), level["fix"]["on_host"].as_bool()), (Some("warning"), Some(true)));

    let open = judged("seccomp=unconfined", &["--security-opt", "seccomp=unconfined"]);
    assert_eq!(open.code, 0, "{:#}", open.json);
    assert_eq!([open.status("user-stacks"), open.status("kernel-stacks")], ["ok", "info"]);

    let able = judged("SYS_ADMIN, SYSLOG", &["--cap-add", "SYS_ADMIN", "--cap-add", "SYSLOG"]);
    assert_eq!([able.status("kernel-stacks"), able.status("kptr-restrict")], ["ok", "ok"], "{:#}", able.json);
    assert_eq!(able.finding("seccomp")["found"], "a filter that allows perf_event_open");

    let perfmon = ["--cap-add", "PERFMON", "--cap-add", "SYSLOG"];
    if docker.has_perfmon() {
        assert_eq!(judged("PERFMON, SYSLOG", &perfmon).status("kernel-stacks"), "ok");
    } else {
        let refused = docker.goflame(&perfmon, &project, &["doctor"]);
        assert!(refused.stderr.contains("unknown capability"), "{}", refused.stderr);
    }

    // goflame does not change settings that are mounted read-only.
    let fix = docker.goflame(&["--security-opt", "seccomp=unconfined"], &project, &["doctor", "--fix", "--yes"]);
    assert!(fix.stderr.contains("on the host: sudo sysctl -w kernel.perf_event_paranoid=1"), "{}", fix.stderr);
}
