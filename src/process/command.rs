//! External commands: describes, finds and runs a command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::{SIGINT, SIGQUIT};
use rustix::fs::MemfdFlags;

use super::account::acting_account;
use super::error::{Error, StderrTail};
use super::guard::{self, GUARD, OWN_BINARY, commands_are_guarded};
use super::output::read_output;
use super::quote::{quote_command, quote_line};
use super::signals::{Signals, WakeReason, terminal_signals_reach_program};
use super::status::ExitStatus;

/// Finds `program` as the shell does: a name on `path` (the value of a PATH variable), a path relative to `dir`.
///
/// Skips relative and empty entries of PATH: the program must not depend on the current directory, and must not come
/// from the profiled project unless the user asks for it.
pub fn find_program(program: &OsStr, path: Option<&OsStr>, dir: &Path) -> Result<PathBuf, Error> {
    let text = program.to_string_lossy().into_owned();
    if Path::new(program).components().count() > 1 {
        return which::which_in(program, path, dir).map_err(|_| Error::NotExecutable { program: text });
    }
    let entries = path.map(env::split_paths).into_iter().flatten().filter(|entry| entry.is_absolute());
    env::join_paths(entries)
        .ok()
        .filter(|absolute| !absolute.is_empty())
        .and_then(|absolute| which::which_in(program, Some(absolute), dir).ok())
        .ok_or_else(|| Error::NotFound { program: text, path: path.map(|path| path.to_string_lossy().into_owned()) })
}

/// A program, its arguments, the variables added to its environment, and its working directory.
///
/// Standard input is always empty. `Display` writes a line for a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments.
    words: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    /// Variables that the program does not inherit.
    unset: Vec<&'static str>,
    dir: Option<PathBuf>,
    /// The program's file, if the caller has found it already.
    file: Option<PathBuf>,
    /// Variables that receive a private directory.
    private_temporary: &'static [&'static str],
}

/// The complete output of a captured program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedOutput {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl CapturedOutput {
    /// Returns standard output as text. Bytes that are not UTF-8 become U+FFFD.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl Command {
    /// Creates a command that runs `program` without arguments, in goflame's directory and environment.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            words: vec![program.into()],
            env: Vec::new(),
            unset: Vec::new(),
            dir: None,
            file: None,
            private_temporary: &[],
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.words.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the environment, or replaces it. A PATH set here is also used to find the program.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds variables as [`Command::env`] does.
    #[must_use]
    pub fn envs<S: Into<OsString>>(mut self, vars: impl IntoIterator<Item = (S, S)>) -> Self {
        self.env.extend(vars.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Removes variables of goflame's environment from the program's environment.
    #[must_use]
    pub fn without_variables(mut self, names: &[&'static str]) -> Self {
        self.unset.extend_from_slice(names);
        self
    }

    /// Sets the working directory. Also sets PWD, as a shell's `cd` does, so that programs that trust PWD (Go) see this
    /// path.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Starts this file under the command's name, without searching PATH.
    #[must_use]
    pub fn with_program_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// Gives the program private directories for temporary files, one for each of these environment variables. Each
    /// directory is inside the directory that the variable names. The directories are removed after the program ends,
    /// because a killed program leaves files in them. They are not removed while a background process of the program
    /// continues.
    #[must_use]
    pub fn with_private_temporary_dirs(mut self, variables: &'static [&'static str]) -> Self {
        self.private_temporary = variables;
        self
    }

    /// Runs the command and returns its output. Any end other than exit status 0 is [`Error::Failed`].
    ///
    /// Output goes to files in memory, not to pipes. Therefore the call waits only for the program itself, never for a
    /// background process that still has the output open.
    pub fn capture(&self) -> Result<CapturedOutput, Error> {
        self.start_capture()?.finish()
    }

    /// Starts the command. Its output is captured as in [`Command::capture`].
    pub fn start_capture(&self) -> Result<RunningCapture<'_>, Error> {
        let stdout = self.create_memory_file("goflame-stdout")?;
        let stderr = self.create_memory_file("goflame-stderr")?;
        let duplicate = |file: &File| file.try_clone().map_err(|source| self.start_error(source));
        let (stdout_end, stderr_end) = (duplicate(&stdout)?, duplicate(&stderr)?);
        let prepared =
            self.prepare()?.map_expression(|expression| expression.stdout_file(stdout_end).stderr_file(stderr_end));
        let started = prepared.start().map_err(|source| self.start_error(source))?;
        Ok(RunningCapture { command: self, started, stdout, stderr })
    }

    /// Starts the command. Standard output and standard error go to `output`.
    pub fn start(&self, output: PipeWriter) -> Result<RunningCommand, Error> {
        let prepared = self.prepare()?.map_expression(|expression| expression.stderr_to_stdout().stdout_file(output));
        Ok(RunningCommand { started: prepared.start().map_err(|source| self.start_error(source))? })
    }

    /// Runs the command and passes its whole output unchanged to goflame's standard error. Returns how it ended.
    ///
    /// After a signal that asks goflame to end, stops the program and its descendants and returns
    /// [`Error::Interrupted`].
    pub fn pass_through(&self) -> Result<ExitStatus, Error> {
        self.run_to_end(duct::Expression::stdout_to_stderr)
    }

    /// Runs the command and passes its whole output to `receive`. Calls `receive` with no bytes while there is no
    /// output. Signals are handled as in [`Command::pass_through`].
    pub fn pass_output_to(&self, mut receive: impl FnMut(&[u8]) + Send) -> Result<ExitStatus, Error> {
        let (reader, writer) = io::pipe().map_err(|source| self.start_error(source))?;
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let (mut reader, mut buffer) = (File::from(OwnedFd::from(reader)), [0; 4096]);
                // Stops at the end of the output, or after the end of the command: a background process can hold the
                // pipe open for longer.
                while let Ok(count @ (None | Some(1..))) = read_output(&mut reader, &mut buffer)
                    && !(count.is_none() && over.load(Ordering::SeqCst))
                {
                    receive(buffer.get(..count.unwrap_or(0)).unwrap_or_default());
                }
            });
            let ended = self.run_to_end(|expression| expression.stdout_to_stderr().stderr_file(writer));
            over.store(true, Ordering::SeqCst);
            ended
        })
    }

    fn run_to_end(&self, redirect: impl FnOnce(&duct::Expression) -> duct::Expression) -> Result<ExitStatus, Error> {
        let refused = |source| self.start_error(source);
        let mut signals = Signals::catch().map_err(refused)?;
        let started = self.prepare()?.map_expression(|expression| redirect(&expression)).start().map_err(refused)?;
        let signal = started.wait_unless_interrupted(&mut signals).map_err(refused)?;
        let status = started.wait().map_err(refused)?;
        match signal.or_else(|| signals.take()) {
            Some(signal) => Err(Error::Interrupted { command: self.quoted(), signal }),
            None => Ok(status),
        }
    }

    /// Starts the command without output and without a guard, so that it can outlive goflame. Waits at most `max_wait`
    /// for its end. `None` if the command still runs.
    pub fn launch_unguarded(&self, max_wait: Duration) -> Result<Option<ExitStatus>, Error> {
        let command = duct::cmd(self.program_file()?, self.words.get(1..).unwrap_or_default());
        let expression = self.configure(&command.stdin_null().stdout_null().stderr_null())?;
        // In a new process group, the terminal's Ctrl-C does not reach the command.
        let expression = expression.before_spawn(|command| {
            command.process_group(0);
            Ok(())
        });
        let started = Instant::now();
        let handle = expression.start().map_err(|source| self.start_error(source))?;
        loop {
            match handle.try_wait().map_err(|source| self.start_error(source))? {
                Some(output) => return Ok(Some(output.status.into())),
                None if started.elapsed() >= max_wait => return Ok(None),
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Returns the command without directory and environment, quoted for a shell.
    pub fn quoted(&self) -> String {
        quote_command(&self.words)
    }

    /// Returns the file that would be started: see [`find_program`].
    pub fn program_file(&self) -> Result<PathBuf, Error> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let dir = match &self.dir {
            Some(dir) => dir.clone(),
            None => env::current_dir().map_err(|source| self.start_error(source))?,
        };
        let set = self.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
        let program = self.words.first().map(OsString::as_os_str).unwrap_or_default();
        find_program(program, set.or_else(|| env::var_os("PATH")).as_deref(), &dir)
    }

    fn prepare(&self) -> Result<PreparedCommand, Error> {
        let (program, args) = (self.program_file()?, self.words.get(1..).unwrap_or_default());
        if !commands_are_guarded() {
            return Ok(PreparedCommand {
                expression: self.configure(&duct::cmd(program, args).stdin_null())?,
                guard: None,
            });
        }
        let (guard, guards) = UnixStream::pair().map_err(|source| self.start_error(source))?;
        let mut words: Vec<OsString> = vec![GUARD.into(), self.private_temporary.join(",").into(), "--".into()];
        words.push(program.into());
        words.extend_from_slice(args);
        let expression = self.configure(&duct::cmd(OWN_BINARY, words).stdin_file(guards))?;
        Ok(PreparedCommand { expression, guard: Some(guard) })
    }

    /// Adds the account, the environment and the directory to an expression.
    fn configure(&self, expression: &duct::Expression) -> Result<duct::Expression, Error> {
        let mut expression = expression.unchecked();
        if let Some(account) = acting_account() {
            let (uid, gid) = (account.uid, account.gid);
            expression = expression.before_spawn(move |command| {
                command.uid(uid).gid(gid);
                Ok(())
            });
            for (name, value) in [
                ("HOME", account.home.as_os_str()),
                ("USER", account.name.as_ref()),
                ("LOGNAME", account.name.as_ref()),
            ] {
                if !self.env.iter().any(|(own, _)| own == name) {
                    expression = expression.env(name, value);
                }
            }
        }
        for name in self.unset.iter().filter(|name| !self.env.iter().any(|(set, _)| set == **name)) {
            expression = expression.env_remove(name);
        }
        // duct applies the innermost setting last, so set each variable once, to its last value.
        for (index, (name, value)) in self.env.iter().enumerate() {
            let later = self.env.get(index.saturating_add(1)..).unwrap_or_default();
            if !later.iter().any(|(other, _)| other == name) {
                expression = expression.env(name, value);
            }
        }
        if let Some(dir) = &self.dir {
            if !dir.is_dir() {
                // exec would report this as ENOENT, which looks as if the program were missing.
                return Err(Error::NoDirectory { command: self.quoted(), dir: dir.clone() });
            }
            expression = expression.dir(dir).env("PWD", dir);
        }
        Ok(expression)
    }

    fn create_memory_file(&self, name: &str) -> Result<File, Error> {
        let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).map_err(|errno| self.start_error(errno.into()))?;
        Ok(File::from(fd))
    }

    fn start_error(&self, source: io::Error) -> Error {
        Error::Start { command: self.quoted(), dir: self.dir.clone(), source }
    }
}

/// A running program. Dropping it ends the program.
pub struct RunningCommand {
    started: StartedCommand,
}

impl RunningCommand {
    /// Whether the program has ended.
    pub fn has_ended(&self) -> bool {
        self.started.has_ended()
    }

    /// Asks the program and its descendants to end with SIGINT, unless the terminal has sent the signal
    /// (`by_terminal`). Kills them after 5 seconds. The second call kills them at once.
    pub fn end(&self, by_terminal: bool) {
        if let Some(guard) = &self.started.guard {
            guard::order_end(guard, by_terminal);
        }
    }

    /// Waits for the end of the program.
    pub fn wait(self) -> io::Result<ExitStatus> {
        self.started.wait()
    }
}

/// A running program whose output is captured. Dropping it ends the program.
pub struct RunningCapture<'c> {
    command: &'c Command,
    started: StartedCommand,
    stdout: File,
    stderr: File,
}

impl RunningCapture<'_> {
    /// Whether the program has ended.
    pub fn has_ended(&self) -> bool {
        self.started.has_ended()
    }

    /// Waits for the end of the program. Any end other than exit status 0 is [`Error::Failed`].
    pub fn finish(self) -> Result<CapturedOutput, Error> {
        let Self { command, started, stdout, stderr } = self;
        let refused = |source| command.start_error(source);
        let status = started.wait().map_err(refused)?;
        let stderr = read_from_start(&stderr).map_err(refused)?;
        if !status.success() {
            let stderr_tail = StderrTail::from_output(&stderr);
            return Err(Error::Failed { command: command.quoted(), dir: command.dir.clone(), status, stderr_tail });
        }
        Ok(CapturedOutput { stdout: read_from_start(&stdout).map_err(refused)?, stderr })
    }
}

/// A command before its start, and goflame's end of its guard's socket.
struct PreparedCommand {
    expression: duct::Expression,
    guard: Option<UnixStream>,
}

impl PreparedCommand {
    fn map_expression(self, change: impl FnOnce(duct::Expression) -> duct::Expression) -> Self {
        Self { expression: change(self.expression), ..self }
    }

    /// Starts the program. Drops the expression, and with it goflame's copy of the guard's end of the socket.
    fn start(self) -> io::Result<StartedCommand> {
        Ok(StartedCommand { handle: self.expression.start()?, guard: self.guard })
    }
}

/// A running program, or its guard.
struct StartedCommand {
    handle: duct::Handle,
    guard: Option<UnixStream>,
}

impl StartedCommand {
    /// Whether the program has ended. After an error, [`StartedCommand::wait`] reports it.
    fn has_ended(&self) -> bool {
        !matches!(self.handle.try_wait(), Ok(None))
    }

    /// Waits for the end of the program and of its guard.
    fn wait(self) -> io::Result<ExitStatus> {
        let status = self.handle.wait()?.status.into();
        let answer = self.guard.as_ref().map(guard::receive_answer).transpose()?;
        Ok(answer.flatten().unwrap_or(status))
    }

    /// Waits for the end of the program. The first signal asks it to end, the second kills it. Returns the last signal.
    fn wait_unless_interrupted(&self, signals: &mut Signals) -> io::Result<Option<i32>> {
        let Some(guard) = &self.guard else { return Ok(None) };
        let mut last = None;
        while let WakeReason::Signal(signal) = signals.wait(guard.as_fd(), None)? {
            // The terminal's Ctrl-C has also reached the program.
            guard::order_end(guard, matches!(signal, SIGINT | SIGQUIT) && terminal_signals_reach_program());
            last = Some(signal);
        }
        Ok(last)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote_line(self.dir.as_deref(), &self.env, &self.words))
    }
}

/// Reads by offset, because the file position must not move. Every process that still has the file open shares it.
fn read_from_start(file: &File) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
