//! The goroutines of all sampled processes: which program each process runs, and the watch of that program.
//!
//! The layouts of some programs are known from the start. Those of the others are read when a process of theirs has its first
//! sample.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::goroutines::{GoroutineLayout, ProgramFile, Readings, Watch, has_go_section};
use super::plan::GoroutinePlan;
use super::priority::request_ordinary;
use super::raw_sample::Sampled;
use crate::perfdata::abi::{misc, record_type};
use crate::perfevent::monotonic_ns;
use crate::process::with_own_rights;

/// Maximum number of processes that are read at a time: the memory of each is an open file.
const MAX_PROCESSES: usize = 256;

/// The goroutines of a recording.
#[derive(Debug, Default)]
pub(super) struct GoroutinesRead {
    pub(super) readings: Readings,
    /// Why the goroutines of some processes are unknown.
    pub(super) unread: Vec<String>,
}

/// The watches of all programs.
#[derive(Debug)]
pub(super) struct GoroutineWatches {
    watches: Vec<Watch>,
    with_labels: bool,
    programs: HashMap<ProgramFile, Program>,
    /// For each process with samples, the watch of its program. `None` if its goroutines are not read.
    watch_of_process: HashMap<u32, Option<usize>>,
    /// Number of processes that are read now.
    processes: usize,
    /// `None` if only programs with known layouts are read.
    finder: Option<LayoutFinder>,
    /// Number of processes whose program or memory may not be read, and of those that were too many.
    denied: usize,
    too_many: usize,
    unknown_layouts: Vec<String>,
}

/// How far a program is known.
#[derive(Debug, Clone, Copy)]
enum Program {
    /// Its layout is being read.
    Wanted,
    /// It is not of Go, or its layout is unknown.
    Unreadable,
    /// Index of its watch.
    Watched(usize),
}

/// The layout of a program is being read.
struct LayoutIsBeingRead;

impl GoroutineWatches {
    pub(super) fn new(plan: &GoroutinePlan) -> Self {
        let mut watches = Self {
            watches: Vec::new(),
            with_labels: plan.with_labels,
            programs: HashMap::new(),
            watch_of_process: HashMap::new(),
            processes: 0,
            finder: plan.finds_others.then(LayoutFinder::start),
            denied: 0,
            too_many: 0,
            unknown_layouts: Vec::new(),
        };
        for layout in &plan.layouts {
            watches.add(layout.clone());
        }
        watches
    }

    fn add(&mut self, layout: GoroutineLayout) {
        let watch = Watch::new(layout, self.with_labels);
        self.programs.insert(watch.program(), Program::Watched(self.watches.len()));
        self.watches.push(watch);
    }

    /// Notes the goroutine of a sample.
    pub(super) fn note(&mut self, sampled: &Sampled<'_>) {
        if let Some(watch) = self.watch_of(sampled.pid).and_then(|at| self.watches.get_mut(at)) {
            watch.note(sampled);
        }
    }

    /// The watch of a process. `None` if its goroutines are not read, or not yet.
    fn watch_of(&mut self, pid: u32) -> Option<usize> {
        if let Some(known) = self.watch_of_process.get(&pid) {
            return *known;
        }
        let found = self.find(pid).ok()?;
        self.processes += usize::from(found.is_some());
        self.watch_of_process.insert(pid, found);
        found
    }

    /// Finds the watch of a process, and opens its memory.
    fn find(&mut self, pid: u32) -> Result<Option<usize>, LayoutIsBeingRead> {
        let file = match with_own_rights(|| ProgramFile::at(&program_of(pid))) {
            Ok(file) => file,
            Err(error) => {
                let is_wanted = self.finder.is_some() && error.kind() == io::ErrorKind::PermissionDenied;
                self.denied += usize::from(is_wanted);
                return Ok(None);
            }
        };
        let at = match (self.programs.get(&file).copied(), &self.finder) {
            (Some(Program::Watched(at)), _) => at,
            (Some(Program::Wanted), _) => return Err(LayoutIsBeingRead),
            (None, Some(finder)) => {
                self.programs.insert(file, Program::Wanted);
                finder.ask(pid, file);
                return Err(LayoutIsBeingRead);
            }
            (Some(Program::Unreadable), _) | (None, None) => return Ok(None),
        };
        if self.processes >= MAX_PROCESSES {
            self.too_many += 1;
            return Ok(None);
        }
        let is_open = self.watches.get_mut(at).is_some_and(|watch| watch.open(pid, monotonic_ns()));
        // A process that has ended is none of these.
        self.denied += usize::from(!is_open && program_of(pid).exists());
        Ok(is_open.then_some(at))
    }

    /// Follows the ends of processes and the programs that they execute.
    pub(super) fn follow(&mut self, kind: u32, misc: u16, body: &[u8]) {
        let number = |at: usize| body.get(at..)?.first_chunk().map(|number| u32::from_le_bytes(*number));
        let pid = match kind {
            // `struct { u32 pid, tid; char comm[]; … }` (perf_event.h).
            record_type::COMM if misc & misc::COMM_EXEC != 0 => number(0),
            // `struct { u32 pid, ppid, tid, ptid; … }`. The first thread of a process ends with it.
            record_type::EXIT if number(0) == number(8) => number(0),
            _ => None,
        };
        if let Some(pid) = pid
            && let Some(Some(at)) = self.watch_of_process.remove(&pid)
            && let Some(watch) = self.watches.get_mut(at)
        {
            self.processes -= 1;
            watch.close(pid);
        }
    }

    /// Reads the noted goroutines. `now` is the time on the samples' clock.
    pub(super) fn look(&mut self, now: u64) {
        let found: Vec<_> = self.finder.iter().flat_map(|finder| finder.found.try_iter()).collect();
        for (file, found) in found {
            match found {
                Found::Layout(layout) => self.add(*layout),
                Found::Ended => {
                    self.programs.remove(&file);
                }
                Found::OtherProgram => {
                    self.programs.insert(file, Program::Unreadable);
                }
                Found::UnknownLayout(reason) => {
                    self.programs.insert(file, Program::Unreadable);
                    self.unknown_layouts.push(reason);
                }
            }
        }
        for watch in &mut self.watches {
            watch.look(now, self.processes);
        }
    }

    /// Time after which the goroutines that run are read again. `None` if none are read.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.watches.iter().map(Watch::interval).min()
    }

    pub(super) fn finish(self) -> GoroutinesRead {
        let mut read = GoroutinesRead { unread: self.unknown_layouts, ..GoroutinesRead::default() };
        for of_program in self.watches.into_iter().map(Watch::finish) {
            read.readings.append(of_program);
        }
        if self.denied > 0 {
            read.unread.push(format!("{} of them may not be read (needs CAP_SYS_PTRACE)", self.denied));
        }
        if self.too_many > 0 {
            read.unread.push(format!("{} of them ran while {MAX_PROCESSES} others were read", self.too_many));
        }
        read
    }
}

/// The program of a process, by a path that leads there from every mount namespace.
fn program_of(pid: u32) -> PathBuf {
    format!("/proc/{pid}/exe").into()
}

/// Reads layouts in a thread of its own: for a large program, this takes longer than a ring buffer lasts.
#[derive(Debug)]
struct LayoutFinder {
    wanted: Sender<(u32, ProgramFile)>,
    found: Receiver<(ProgramFile, Found)>,
}

/// The answer to a question for a program's layout.
enum Found {
    Layout(Box<GoroutineLayout>),
    /// It is not of Go.
    OtherProgram,
    /// The layout of this Go program is unknown, for this reason.
    UnknownLayout(String),
    /// Its process ended before.
    Ended,
}

impl LayoutFinder {
    fn start() -> Self {
        let (wanted, asked) = channel();
        let (answers, found) = channel();
        // It ends with the recording. Without it, no other programs are read.
        let _ = thread::Builder::new().spawn(move || {
            request_ordinary();
            for (pid, file) in asked {
                if answers.send((file, with_own_rights(|| find_layout(pid, file)))).is_err() {
                    break;
                }
            }
        });
        Self { wanted, found }
    }

    fn ask(&self, pid: u32, file: ProgramFile) {
        let _ = self.wanted.send((pid, file));
    }
}

fn find_layout(pid: u32, file: ProgramFile) -> Found {
    let path = program_of(pid);
    let Ok(program) = fs::read_link(&path) else { return Found::Ended };
    let layout = has_go_section(&path).then(|| GoroutineLayout::read(&program, &path));
    if ProgramFile::at(&path).is_ok_and(|now| now == file) {
        match layout {
            Some(Ok(layout)) => Found::Layout(Box::new(layout)),
            Some(Err(reason)) => Found::UnknownLayout(format!("{}: {reason}", program.display())),
            None => Found::OtherProgram,
        }
    } else {
        Found::Ended
    }
}
