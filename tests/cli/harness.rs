//! A project in a temporary directory, and `goflame` run in it.
//!
//! Every process that a test starts carries the variable `GOFLAME_TEST_MARK`, by which leftovers are found.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Timeout of every wait: long enough for a first build on a busy machine. Only a broken goflame reaches it.
const PATIENCE: Duration = Duration::from_secs(240);

/// The checked-out source of goflame.
pub(crate) fn source() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory with a Go project and its goflame.toml.
pub(crate) struct Project {
    dir: tempfile::TempDir,
}

impl Project {
    /// An empty directory.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::Builder::new().prefix("goflame-test-").tempdir().unwrap() }
    }

    /// A directory with this goflame.toml and no Go.
    pub(crate) fn with_config(config: &str) -> Self {
        let project = Self::empty();
        project.write("goflame.toml", config);
        project
    }

    /// The program of this name in tests/workloads; `config` is added to a goflame.toml that builds it.
    pub(crate) fn workload(name: &str, config: &str) -> Self {
        let project = Self::with_config(&format!("app.package = \"./{name}\"\n{config}"));
        let from = source().join("tests/workloads");
        project.copy(&from.join("go.mod"), "go.mod");
        project.copy(&from.join(name).join("main.go"), &format!("{name}/main.go"));
        project
    }

    /// A module with this main.go.
    pub(crate) fn program(main: &str, config: &str) -> Self {
        let project = Self::with_config(&format!("app.name = \"program\"\n{config}"));
        project.write("go.mod", "module example.com/program\n\ngo 1.21\n");
        project.write("main.go", main);
        project
    }

    fn copy(&self, from: &Path, to: &str) {
        self.write(to, fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())));
    }

    /// The path of a name in the project.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, with its directories.
    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The names in a directory, sorted. Empty if the directory does not exist.
    pub(crate) fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(dir)).into_iter().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The directory of the only run, relative to the project.
    pub(crate) fn only_run(&self) -> String {
        let [run] = &self.names(".goflame/runs")[..] else { panic!("{:?}", self.names(".goflame/runs")) };
        format!(".goflame/runs/{run}")
    }

    /// The manifest of the newest run.
    pub(crate) fn newest_manifest(&self) -> serde_json::Value {
        let newest = self.names(".goflame/runs").pop().unwrap();
        serde_json::from_slice(&self.read(&format!(".goflame/runs/{newest}/manifest.json"))).unwrap()
    }

    /// The directory of the only run that was not completed, relative to the project.
    pub(crate) fn only_partial(&self) -> String {
        let partials = self.partials();
        let [run] = &partials[..] else { panic!("{partials:?}") };
        format!(".goflame/partial/{run}")
    }

    /// The runs that were not completed.
    pub(crate) fn partials(&self) -> Vec<String> {
        let mut names = self.names(".goflame/partial");
        names.retain(|name| Path::new(name).extension().is_none());
        names
    }

    /// The manifest of the only run.
    pub(crate) fn manifest(&self) -> serde_json::Value {
        serde_json::from_slice(&self.read(&format!("{}/manifest.json", self.only_run()))).unwrap()
    }

    /// `goflame` with these arguments, to be run in the project.
    pub(crate) fn goflame<const N: usize>(&self, args: [&str; N]) -> Goflame<'_> {
        let mut command = with_usual_signals(env!("CARGO_BIN_EXE_goflame"));
        command.args(args).current_dir(self.dir.path());
        self.prepare(command)
    }

    /// A line for the shell, in which `$goflame` is the binary.
    pub(crate) fn shell(&self, line: &str) -> Goflame<'_> {
        let mut command = with_usual_signals("bash");
        command.args(["-c", line]).current_dir(self.dir.path()).env("goflame", env!("CARGO_BIN_EXE_goflame"));
        self.prepare(command)
    }

    fn prepare(&self, mut command: Command) -> Goflame<'_> {
        command.env("GOFLAME_TEST_MARK", self.dir.path()).env("COLUMNS", "100").env("PWD", self.dir.path());
        for name in ["NO_COLOR", "CLICOLOR_FORCE", "GOFLAGS", "SUDO_UID", "SUDO_GID", "SUDO_USER"] {
            command.env_remove(name);
        }
        // A separate process group, like a job of a shell, so that the terminal sends it no signals.
        command.process_group(0);
        Goflame { project: self, command, stdin: Vec::new() }
    }

    /// Ids of the processes that carry the mark. The helper that Go starts once a day to count its own use does not count.
    pub(crate) fn marked_processes(&self) -> Vec<(i32, String)> {
        let mark = format!("GOFLAME_TEST_MARK={}", self.dir.path().display());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            let is_telemetry = command.contains("** telemetry **");
            if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) && !is_telemetry {
                found.push((pid, command));
            }
        }
        found
    }

    /// Waits until a directory has no entry.
    #[track_caller]
    pub(crate) fn assert_empties(&self, dir: &str) {
        let empty = wait_until(|| self.names(dir).is_empty());
        assert!(empty.is_ok(), "left in {dir}: {:?}", self.names(dir));
    }

    /// Asserts that no process of the test runs any more. Killed processes take a moment to vanish.
    #[track_caller]
    pub(crate) fn assert_nothing_runs(&self) {
        let gone = wait_until(|| self.marked_processes().is_empty());
        assert!(gone.is_ok(), "left running: {:?}", self.marked_processes());
    }

    /// Waits for a process whose command line contains `part`.
    #[track_caller]
    pub(crate) fn wait_for_process(&self, part: &str) -> i32 {
        let mut found = None;
        let is_found = || {
            found = self.marked_processes().into_iter().find(|(_, command)| command.contains(part));
            found.is_some()
        };
        wait_until(is_found).unwrap_or_else(|()| panic!("no process {part}: {:?}", self.marked_processes()));
        found.unwrap().0
    }
}

/// Command that starts without ignored signals: `make test &` in a script makes all its children ignore SIGINT. `env` execs
/// the program, so the process id is the program's. The path of `env` is absolute, because some tests clear PATH.
fn with_usual_signals(program: &str) -> Command {
    let mut command = Command::new("/usr/bin/env");
    command.arg("--default-signal").arg(program);
    command
}

/// Waits until a condition is true. Returns an error after the timeout.
pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) -> Result<(), ()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        if Instant::now() > deadline {
            return Err(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A command that is about to run.
#[must_use]
pub(crate) struct Goflame<'p> {
    project: &'p Project,
    command: Command,
    stdin: Vec<u8>,
}

impl<'p> Goflame<'p> {
    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Adds an argument that is a path.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Sets another working directory than the project.
    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(&dir).env("PWD", dir.as_ref());
        self
    }

    /// Sets the bytes of standard input.
    pub(crate) fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = bytes.as_ref().into();
        self
    }

    /// Runs the command to its end.
    #[track_caller]
    pub(crate) fn run(self) -> Finished<'p> {
        self.spawn().finish()
    }

    /// Starts the command.
    #[track_caller]
    pub(crate) fn spawn(mut self) -> Running<'p> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let bytes = self.stdin;
        // Fails if the command ends before it has read all bytes.
        thread::spawn(move || stdin.write_all(&bytes));
        let (stdout, stderr) = (Captured::default(), Captured::default());
        let readers = [stdout.read(child.stdout.take().unwrap()), stderr.read(child.stderr.take().unwrap())];
        Running { project: self.project, child, stdout, stderr, readers }
    }
}

/// The output of a running process until now.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn read(&self, mut from: impl Read + Send + 'static) -> JoinHandle<()> {
        let bytes = Arc::clone(&self.0);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                bytes.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Running command. If a failing test drops it, it is killed, and goflame's supervisor ends its children.
pub(crate) struct Running<'p> {
    project: &'p Project,
    child: Child,
    stdout: Captured,
    stderr: Captured,
    readers: [JoinHandle<()>; 2],
}

impl<'p> Running<'p> {
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Standard output until now.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Waits until the command has written `part` to standard output or standard error.
    #[track_caller]
    pub(crate) fn wait_for(&self, part: &str) -> &Self {
        let seen = || self.stdout.text().contains(part) || self.stderr.text().contains(part);
        wait_until(seen).unwrap_or_else(|()| {
            panic!("no {part:?} in\n{}\n---\n{}", self.stdout.text(), self.stderr.text());
        });
        self
    }

    /// The process id that the workload printed as `ready PID`.
    #[track_caller]
    pub(crate) fn workload(&self) -> i32 {
        let of = |text: &str| text.split("ready ").nth(1)?.split_once('\n')?.0.parse().ok();
        wait_until(|| of(&self.stdout.text()).is_some()).unwrap_or_else(|()| {
            panic!("no process id in\n{}\n---\n{}", self.stdout.text(), self.stderr.text());
        });
        of(&self.stdout.text()).unwrap()
    }

    /// Waits until the file contains some samples of the workload.
    #[track_caller]
    pub(crate) fn wait_for_samples(&self) -> &Self {
        let size = || {
            let runs = self.project.partials();
            let file = |run: &String| self.project.path(&format!(".goflame/partial/{run}/perf.data"));
            runs.first().and_then(|run| fs::metadata(file(run)).ok()).map_or(0, |metadata| metadata.len())
        };
        wait_until(|| size() > 100_000).unwrap_or_else(|()| panic!("no samples: {}", self.stderr.text()));
        self
    }

    /// Sends a signal to the process group of the command, as a shell does to a job.
    pub(crate) fn signal_group(&self, signal: Signal) -> &Self {
        killpg(Pid::from_raw(self.pid()), signal).unwrap();
        self
    }

    pub(crate) fn signal(&self, signal: Signal) -> &Self {
        send(self.pid(), signal);
        self
    }

    #[track_caller]
    pub(crate) fn finish(mut self) -> Finished<'p> {
        let mut status = None;
        let ended = wait_until(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        if ended.is_err() {
            let _ = self.child.kill();
            panic!("it does not end:\n{}\n---\n{}", self.stdout.text(), self.stderr.text());
        }
        for reader in self.readers {
            reader.join().unwrap();
        }
        Finished {
            project: self.project,
            status: status.unwrap(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        }
    }
}

/// Sends a signal to any process.
pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// How a command ended and what it printed.
pub(crate) struct Finished<'p> {
    project: &'p Project,
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished<'_> {
    /// Asserts the exit code, and that there was no panic.
    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "{} \n---\n{}\n---\n{}", self.status, self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Asserts that this signal killed the command.
    #[track_caller]
    pub(crate) fn killed(&self, signal: Signal) -> &Self {
        assert_eq!(self.status.signal(), Some(signal as i32), "{}\n---\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts the whole of standard error; see [`Finished::stderr_has`] for the placeholders.
    #[track_caller]
    pub(crate) fn stderr(&self, expected: &str) -> &Self {
        self.compare(&self.stderr, expected);
        self
    }

    /// Asserts the whole of standard output.
    #[track_caller]
    pub(crate) fn stdout(&self, expected: &str) -> &Self {
        self.compare(&self.stdout, expected);
        self
    }

    /// Asserts that standard error contains a line. `[..]` matches any text, `[dir]` is the directory of the project.
    #[track_caller]
    pub(crate) fn stderr_has(&self, line: &str) -> &Self {
        let expected = self.expand(line);
        assert!(
            self.stderr.lines().any(|line| matches_pattern(&expected, line)),
            "no line {line:?} in\n{}",
            self.stderr
        );
        self
    }

    /// Asserts that standard error contains these lines in this order, possibly with others between them.
    #[track_caller]
    pub(crate) fn stderr_in_order(&self, expected: &str) -> &Self {
        let mut found = self.stderr.lines();
        for line in self.expand(expected).lines() {
            assert!(
                found.any(|found| matches_pattern(line, found)),
                "no line {line:?} after those before it in\n{}",
                self.stderr
            );
        }
        self
    }

    /// Asserts that no line of standard error matches.
    #[track_caller]
    pub(crate) fn stderr_lacks(&self, line: &str) -> &Self {
        let expected = self.expand(line);
        assert!(
            !self.stderr.lines().any(|line| matches_pattern(&expected, line)),
            "a line {line:?} in\n{}",
            self.stderr
        );
        self
    }

    fn expand(&self, text: &str) -> String {
        text.replace("[dir]", &self.project.dir.path().display().to_string())
    }

    #[track_caller]
    fn compare(&self, found: &str, expected: &str) {
        let expected = self.expand(expected);
        let fit = expected.lines().count() == found.lines().count()
            && expected.ends_with('\n') == found.ends_with('\n')
            && expected.lines().zip(found.lines()).all(|(expected, found)| matches_pattern(expected, found));
        assert!(fit, "expected\n{expected}\n--- found\n{found}\n---");
    }
}

/// Whether a line matches a pattern, in which `[..]` matches any text.
fn matches_pattern(pattern: &str, line: &str) -> bool {
    let Some((start, rest)) = pattern.split_once("[..]") else { return pattern == line };
    let Some(mut line) = line.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once("[..]").unwrap_or(("", rest));
    for part in middle.split("[..]").filter(|part| !part.is_empty()) {
        match line.split_once(part) {
            Some((_, after)) => line = after,
            None => return false,
        }
    }
    line.ends_with(end)
}

#[test]
fn invalid_patterns_are_errors() {
    for (pattern, line) in
        [("", ""), ("a", "a"), ("[..]", ""), ("a[..]c", "abc"), ("a[..]b[..]", "a b"), ("[..]b[..]d[..]", "abcd")]
    {
        assert!(matches_pattern(pattern, line), "{pattern:?} {line:?}");
    }
    for (pattern, line) in [("", "a"), ("a[..]b", "ab c"), ("a[..]b[..]c", "ac"), ("[..]b[..]b[..]", "ab")] {
        assert!(!matches_pattern(pattern, line), "{pattern:?} {line:?}");
    }
}
