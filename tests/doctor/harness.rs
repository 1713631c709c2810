//! Runs goflame as root or as a user, changes kernel settings and restores them, and parses findings.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::schema;

/// A user id without an account, so that no other process shares its budget of ring buffers.
const USER_ID: u32 = 264_321;
/// Go's build cache of the user [`USER_ID`].
const USER_BUILD_CACHE: &str = "/tmp/goflame-test-cache-264321";

/// Finds the path of a tool that a test needs.
pub(crate) fn find_tool(name: &str) -> PathBuf {
    which::which(name).unwrap_or_else(|_| panic!("this test needs {name}: `make test` installs it"))
}

/// A lock for the kernel settings of this machine, so that only one test changes them. Dropping it restores all changed
/// settings, also after a failure.
pub(crate) struct Machine {
    before: BTreeMap<String, String>,
    _lock: File,
    _turn: MutexGuard<'static, ()>,
}

impl Machine {
    pub(crate) fn lock() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(nix::unistd::geteuid().is_root(), "these tests change kernel settings: they need root");
        let lock = File::options().create(true).append(true).open("/tmp/goflame-sysctl.lock").unwrap();
        lock.lock().unwrap();
        Self { before: BTreeMap::new(), _lock: lock, _turn: turn }
    }

    /// The value of a kernel setting.
    pub(crate) fn get(name: &str) -> String {
        fs::read_to_string(file_of(name)).unwrap().trim().to_owned()
    }

    /// Changes a kernel setting until the end of the test.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.before.entry(name.to_owned()).or_insert_with(|| Self::get(name));
        write(name, value);
        self
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for (name, value) in &self.before {
            // After an error, the other settings must still be restored.
            if fs::write(file_of(name), format!("{value}\n")).is_err() {
                print_figure(&format!("{name} could not be restored to {value}"));
            }
        }
    }
}

fn file_of(name: &str) -> PathBuf {
    Path::new("/proc/sys/kernel").join(name)
}

/// Changes a kernel setting. Retries, because the kernel refuses some settings (EBUSY) while events that depend on them
/// are open, in this test or in others.
fn write(name: &str, value: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = fs::write(file_of(name), format!("{value}\n")) {
        assert!(Instant::now() < deadline, "{name} = {value}: {error}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Prints a measured figure, for readers of the test's log.
#[expect(clippy::print_stderr, reason = "figures are for people; the test harness keeps them unless asked")]
pub(crate) fn print_figure(text: &str) {
    eprintln!("figure: {text}");
}

/// Go's build cache of root or of the unprivileged user. It is not deleted, so that Go's runtime is compiled only once.
/// The user has another directory than root, because the user can lack access to the target directory.
pub(crate) fn build_cache(root: bool) -> PathBuf {
    let dir = if root { Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache") } else { USER_BUILD_CACHE.into() };
    fs::create_dir_all(&dir).unwrap();
    if !root {
        chown(&dir, Some(USER_ID), Some(USER_ID)).unwrap();
    }
    dir
}

/// The user that runs goflame, and the user's limits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Caller {
    /// Whether goflame runs as root. Otherwise, it runs as the user without privileges.
    pub(crate) root: bool,
    /// `RLIMIT_MEMLOCK` in bytes.
    pub(crate) memlock: Option<u64>,
    /// `RLIMIT_NOFILE`.
    pub(crate) open_files: Option<u64>,
}

pub(crate) const ROOT: Caller = Caller { root: true, memlock: None, open_files: None };
pub(crate) const USER: Caller = Caller { root: false, memlock: None, open_files: None };

/// A directory that belongs to the user without privileges, with a copy of goflame that this user can execute.
pub(crate) struct Project {
    dir: TempDir,
}

impl Project {
    /// A project without files, except goflame.
    pub(crate) fn empty() -> Self {
        let project = Self { dir: tempfile::tempdir().unwrap() };
        fs::set_permissions(project.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_goflame"), project.path("goflame")).unwrap();
        fs::create_dir(project.path("tmp")).unwrap();
        for name in ["", "tmp"] {
            chown(project.path(name), Some(USER_ID), Some(USER_ID)).unwrap();
        }
        project
    }

    /// A program that computes and calls the kernel for half a second of CPU time. `settings` are added to its
    /// goflame.toml.
    pub(crate) fn busy(settings: &str) -> Self {
        Self::program(BUSY, settings)
    }

    /// A program that computes forever.
    pub(crate) fn endless() -> Self {
        Self::program("package main\n\nfunc main() {\n\tfor {\n\t}\n}\n", "")
    }

    fn program(main: &str, settings: &str) -> Self {
        let project = Self::empty();
        project.write("go.mod", "module example.com/busy\n\ngo 1.21\n");
        project.write("main.go", main);
        project.write("goflame.toml", format!("app.name = 'busy'\nbuild.variant = 'release'\n{settings}"));
        project
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
        chown(self.path(name), Some(USER_ID), Some(USER_ID)).unwrap();
    }

    /// The command `goflame ARGS` in this directory, as the user `who`.
    pub(crate) fn command(&self, who: Caller, args: &[&str]) -> Command {
        let mut command = Command::new(find_tool("prlimit"));
        // Called without a limit, prlimit would print all limits.
        command.arg("--core=0");
        command.args(who.memlock.map(|bytes| format!("--memlock={bytes}")));
        command.args(who.open_files.map(|count| format!("--nofile={count}")));
        if !who.root {
            command.arg(find_tool("setpriv")).arg(format!("--reuid={USER_ID}")).arg(format!("--regid={USER_ID}"));
            command.arg("--clear-groups");
        }
        command.arg(self.path("goflame")).args(args).current_dir(self.path(""));
        command.env("HOME", self.path("tmp")).env("TMPDIR", self.path("tmp")).env("COLUMNS", "80");
        command.env("GOCACHE", build_cache(who.root));
        for inherited in ["NO_COLOR", "CLICOLOR_FORCE", "GOFLAGS", "GOPATH", "GOMODCACHE", "XDG_CACHE_HOME"] {
            command.env_remove(inherited);
        }
        command
    }

    pub(crate) fn goflame(&self, who: Caller, args: &[&str]) -> Ran {
        Ran::new(self.command(who, args).output().unwrap())
    }

    /// Starts a run, and waits until it has samples.
    pub(crate) fn sampling(&self, who: Caller) -> Sampling {
        let sampling = Sampling(self.command(who, &["run", "-q"]).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        let has_samples = || {
            let runs = fs::read_dir(self.path(".goflame/partial")).into_iter().flatten().flatten();
            runs.filter_map(|run| fs::metadata(run.path().join("perf.data")).ok()).any(|file| file.len() > 10_000)
        };
        while !has_samples() {
            assert!(Instant::now() < deadline, "no samples");
            std::thread::sleep(Duration::from_millis(20));
        }
        sampling
    }

    /// Reads the manifest of the run whose output is `ran`.
    pub(crate) fn manifest(&self, ran: &Ran) -> Value {
        let summary: Value = serde_json::from_str(&ran.stdout).unwrap();
        let file = format!(".goflame/runs/{}/manifest.json", summary["id"].as_str().unwrap());
        serde_json::from_slice(&fs::read(self.path(&file)).unwrap()).unwrap()
    }

    /// Runs `goflame doctor --json ARGS`, and checks its output against the schema.
    pub(crate) fn doctor(&self, who: Caller, args: &[&str]) -> Doctor {
        let args: Vec<&str> = ["doctor", "--json"].iter().chain(args).copied().collect();
        Doctor::parse(&self.goflame(who, &args))
    }
}

/// A run in progress. When goflame is killed, its supervisor ends the program.
pub(crate) struct Sampling(Child);

impl Drop for Sampling {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const BUSY: &str = "package main

import \"syscall\"

func main() {
	x := uint64(1)
	for round := 0; round < 300; round++ {
		for i := 0; i < 200_000; i++ {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		var stat syscall.Stat_t
		for i := 0; i < 1000; i++ {
			syscall.Stat(\"/proc/self/status\", &stat)
		}
	}
	println(x)
}
";

/// Exit status and output of goflame.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn new(output: Output) -> Self {
        let ran = Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        ran
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n---\n{}", self.stdout, self.stderr);
        self
    }
}

/// Exit status and output of `goflame doctor --json`.
pub(crate) struct Doctor {
    pub(crate) code: i32,
    pub(crate) json: Value,
}

impl Doctor {
    #[track_caller]
    pub(crate) fn parse(ran: &Ran) -> Self {
        let json: Value = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}\n{}\n---\n{}", ran.stdout, ran.stderr));
        schema::assert_fits(&json);
        let ready = json["ready"] == true;
        assert_eq!(ran.code, if ready { 0 } else { 4 }, "{json:#}");
        Self { code: ran.code, json }
    }

    pub(crate) fn finding(&self, id: &str) -> &Value {
        let findings = self.json["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["id"] == id).unwrap_or_else(|| panic!("no {id} in {:#}", self.json))
    }

    pub(crate) fn status(&self, id: &str) -> &str {
        self.finding(id)["status"].as_str().unwrap()
    }

    /// Ids of the findings with this status.
    pub(crate) fn with_status(&self, status: &str) -> Vec<&str> {
        let findings = self.json["findings"].as_array().unwrap();
        findings.iter().filter(|it| it["status"] == status).map(|it| it["id"].as_str().unwrap()).collect()
    }
}
