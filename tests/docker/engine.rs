//! The Docker engine of the tests, the `docker` command, and the servers for containers.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::harness::{Goflame, Project, source};

/// The image that tests/setup/engine makes.
pub(crate) const IMAGE: &str = "goflame-test/golang:local";

/// Docker engine that only the tests use.
pub(crate) struct Engine {
    dir: PathBuf,
    is_private: bool,
}

/// Returns the engine that all tests share.
pub(crate) fn engine() -> Engine {
    let dir = std::env::var_os("GOFLAME_ENGINE").expect(
        "these tests need a Docker engine of their own: tests/setup/engine run cargo test (`make test` does it)",
    );
    Engine { dir: dir.into(), is_private: false }
}

impl Engine {
    /// Starts a separate engine, which the test can stop.
    pub(crate) fn start(project: &Project) -> Self {
        let dir = std::env::temp_dir().join(format!("goflame-engine-{}", std::process::id()));
        let engine = Self { dir, is_private: true };
        engine.run_script("start", project);
        engine
    }

    fn run_script(&self, verb: &str, project: &Project) {
        let script = source().join("tests/setup/engine");
        let mut command = Command::new(script);
        let done = command.arg(verb).env("GOFLAME_ENGINE", &self.dir).current_dir(project.path(".")).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("docker.sock")
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Process id of dockerd.
    pub(crate) fn pid(&self) -> i32 {
        std::fs::read_to_string(self.dir.join("dockerd.pid")).unwrap().trim().parse().unwrap()
    }

    /// Address of this machine in containers with a network: the engine's bridge.
    pub(crate) fn gateway(&self) -> String {
        let netns = format!("--net=/proc/{}/ns/net", self.pid());
        let out =
            Command::new("nsenter").args([&netns, "ip", "-4", "-o", "address", "show", "docker0"]).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let address = text.split_whitespace().skip_while(|word| *word != "inet").nth(1).unwrap();
        address.split('/').next().unwrap().to_owned()
    }

    /// Runs `docker`, and returns the lines that it prints.
    #[track_caller]
    pub(crate) fn docker(&self, args: &[&str]) -> Vec<String> {
        let out =
            Command::new("docker").env("DOCKER_BUILDKIT", "0").args(["-H", &self.host()]).args(args).output().unwrap();
        assert!(out.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// The containers of a project, running or not.
    pub(crate) fn containers(&self, project: &Project) -> Vec<String> {
        let label = format!("label=goflame.project={}", real_path(project).display());
        self.docker(&["ps", "--all", "--quiet", "--filter", &label])
    }

    /// The volumes of a project.
    pub(crate) fn volumes(&self, project: &Project) -> Vec<String> {
        let label = format!("label=goflame.project={}", real_path(project).display());
        self.docker(&["volume", "ls", "--quiet", "--filter", &label])
    }

    /// Returns the `goflame` command with this engine.
    pub(crate) fn goflame<'p, const N: usize>(&self, project: &'p Project, args: [&str; N]) -> Goflame<'p> {
        project.goflame(args).env("DOCKER_HOST", self.host())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.is_private {
            let stop =
                Command::new(source().join("tests/setup/engine")).arg("stop").env("GOFLAME_ENGINE", &self.dir).status();
            assert!(std::thread::panicking() || stop.unwrap().success());
        }
    }
}

/// Returns the real path of a project's directory.
pub(crate) fn real_path(project: &Project) -> PathBuf {
    project.path(".").canonicalize().unwrap()
}

/// Creates a module with this main.go, which is built in the tests' image.
pub(crate) fn project(main: &str, config: &str) -> Project {
    Project::program(main, &format!("toolchain.image = \"{IMAGE}\"\n{config}"))
}

/// Returns the program `tests/hub`, which is built once.
pub(crate) fn hub() -> &'static Path {
    static HUB: OnceLock<PathBuf> = OnceLock::new();
    HUB.get_or_init(|| go_program(&source().join("tests/hub"), "hub"))
}

/// Builds a static program for the tests. It is kept in cargo's directory for temporary files of tests.
pub(crate) fn go_program(dir: &Path, name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mut go = Command::new("go");
    go.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".").current_dir(dir).env("CGO_ENABLED", "0");
    assert!(go.status().unwrap().success(), "{}", dir.display());
    program
}

/// A running `tests/hub`, which the engine's containers can reach.
pub(crate) struct RunningHub {
    child: Child,
    /// Address of the hub for containers, `http://...`.
    pub(crate) url: String,
}

/// Serves `proxy` and a registry on this port of the engine's network namespace.
pub(crate) fn serve_hub(engine: &Engine, proxy: &Path, port: u16) -> RunningHub {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{}/ns/net", engine.pid())).arg(hub()).arg("-serve").arg(proxy);
    let mut child = command.arg(format!("0.0.0.0:{port}")).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    RunningHub { child, url: format!("http://{}:{port}", engine.gateway()) }
}

impl Drop for RunningHub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
