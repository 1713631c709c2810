//! The program of a run: built by goflame, started by a command, or already running.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::FinishedBuild;
use super::copies::StackCopies;
use super::error::Error;
use super::observer::RunNote;
use crate::archive::Program;
use crate::config::Record;
use crate::process::{self, run_with_own_rights};
use crate::record::{FramePointerCode, GoroutineLayout, RunningProcess, RunningTarget, is_go_program};

/// The program of a run.
pub(super) enum Subject {
    /// A program that goflame built and stored.
    Built(Box<(FinishedBuild, Program)>),
    /// A command that is started as it is.
    Command(CommandLine),
    /// Programs that run already.
    Running(RunningTarget),
}

/// A command that is started as it is.
pub(super) struct CommandLine {
    /// Path of the program and its arguments. Links stay in the path, because some programs act by the link's name.
    pub(super) argv: Vec<String>,
    /// Path of the program with links resolved, as in the kernel's mappings.
    file: PathBuf,
    /// The working directory.
    pub(super) dir: PathBuf,
}

impl CommandLine {
    /// Finds the program of a command as the shell does.
    pub(super) fn find(words: &[String], dir: &Path) -> Result<Self, Error> {
        let (program, rest) = words.split_first().map_or(("", words), |(program, rest)| (program.as_str(), rest));
        let dir = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        let path = std::env::var_os("PATH");
        let file = process::find_program(OsStr::new(program), path.as_deref(), &dir).map_err(Error::NoCommand)?;
        let argv = std::iter::once(file.to_string_lossy().into_owned()).chain(rest.iter().cloned()).collect();
        Ok(Self { argv, file: fs::canonicalize(&file).unwrap_or(file), dir })
    }
}

impl Subject {
    /// The program that goflame built.
    pub(super) fn built(&self) -> Option<(&FinishedBuild, &Program)> {
        match self {
            Self::Built(built) => Some((&built.0, &built.1)),
            Self::Command(_) | Self::Running(_) => None,
        }
    }

    /// The programs that run already.
    pub(super) fn running(&self) -> Option<&RunningTarget> {
        match self {
            Self::Running(target) => Some(target),
            Self::Built(_) | Self::Command(_) => None,
        }
    }

    /// Returns a name for a run whose program goflame did not build.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Built(built) => built.1.name().to_owned(),
            Self::Command(command) => {
                let name = command.argv.first().and_then(|program| Path::new(program).file_name());
                name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
            }
            Self::Running(RunningTarget::WholeMachine) => "machine".to_owned(),
            Self::Running(target) => target.processes().first().map_or_else(String::new, |first| first.name.clone()),
        }
    }

    /// Returns the path of the first program. Empty if goflame built the program, if the path is unknown, and for the
    /// whole machine.
    pub(super) fn program_path(&self) -> String {
        let file = match self {
            Self::Built(_) => None,
            Self::Command(command) => Some(command.file.as_path()),
            Self::Running(target) => target.processes().first().and_then(|first| first.program.as_deref()),
        };
        file.map_or_else(String::new, |file| file.display().to_string())
    }

    /// Returns the names and process ids of the programs, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Running(RunningTarget::WholeMachine) => "the whole machine".to_owned(),
            Self::Running(RunningTarget::Processes { named, .. }) => {
                let one = |process: &RunningProcess| format!("{} [{}]", process.name, process.pid);
                named.iter().map(one).collect::<Vec<_>>().join(", ")
            }
            Self::Built(_) | Self::Command(_) => self.name(),
        }
    }

    /// Decides how many bytes of stack to copy for the programs.
    pub(super) fn stack_copies(&self, settings: &Record) -> StackCopies {
        match self {
            Self::Built(built) => StackCopies::new(settings, built.1.path(), &built.0.artifact.facts),
            Self::Command(command) => StackCopies::for_programs(settings, std::slice::from_ref(&command.file)),
            Self::Running(target) => {
                let files: Vec<_> = target.processes().iter().map(RunningProcess::program_file).collect();
                let copies = StackCopies::for_programs(settings, &files);
                match target {
                    // Other programs of the container can have different code at the same addresses.
                    RunningTarget::Processes { container: Some(_), .. } => {
                        StackCopies { frame_pointer_code: FramePointerCode::default(), ..copies }
                    }
                    _ => copies,
                }
            }
        }
    }

    /// Returns the layouts of the programs' goroutine descriptors. Also returns a note if the layout of a Go program is
    /// unknown, or if the memory of a process cannot be read.
    pub(super) fn goroutine_layouts(&self) -> (Vec<GoroutineLayout>, Option<RunNote>) {
        // For each program: its path in the kernel's mappings, and a path that opens its file.
        let programs: Vec<(PathBuf, PathBuf)> = match self {
            Self::Built(built) => vec![(built.1.path().to_owned(), built.1.path().to_owned())],
            Self::Command(command) => vec![(command.file.clone(), command.file.clone())],
            Self::Running(target) => {
                let named = |process: &RunningProcess| Some((process.program.clone()?, process.program_file()));
                target.processes().iter().filter_map(named).collect()
            }
        };
        let mut unread = self.running().and_then(why_memory_is_unreadable);
        let mut layouts = Vec::new();
        let mut known = BTreeSet::new();
        for (program, file) in programs.into_iter().filter(|(_, file)| self.built().is_some() || is_go_program(file)) {
            if known.insert(program.clone()) {
                match GoroutineLayout::read(&program, &file) {
                    Ok(layout) => layouts.push(layout),
                    Err(reason) => unread = Some(reason),
                }
            }
        }
        let is_of_go = !known.is_empty();
        (layouts, unread.filter(|_| is_of_go).map(RunNote::GoroutinesUnread))
    }

    /// Returns when the first process started, or the current time if goflame starts the program. Code files that are
    /// older belong to other processes.
    pub(super) fn oldest_code_file_time(&self) -> SystemTime {
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.parse().ok());
        match (self.running(), boot) {
            (Some(target), Some(seconds)) => {
                let first = target.processes().iter().map(|process| process.start).min().unwrap_or_default();
                UNIX_EPOCH + Duration::from_secs(seconds) + first
            }
            _ => SystemTime::now(),
        }
    }
}

/// Returns why the memory of a target process cannot be read. `None` if it can be read.
fn why_memory_is_unreadable(target: &RunningTarget) -> Option<String> {
    target.processes().iter().find_map(|process| {
        let error = run_with_own_rights(|| File::open(format!("/proc/{}/mem", process.pid))).err()?;
        let advice = match error.kind() {
            io::ErrorKind::PermissionDenied => " (needs CAP_SYS_PTRACE, or kernel.yama.ptrace_scope = 0)",
            _ => "",
        };
        Some(format!("the memory of process {} cannot be read: {error}{advice}", process.pid))
    })
}
