//! The goroutines of all sampled processes: which program each process runs, and the watch of that program.
//!
//! The layouts of some programs are known from the start. The layout of another program is read when one of its
//! processes has its first sample.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::goroutines::{GoroutineLayout, GoroutineWatch, ProgramFile, Readings, has_go_section};
use super::plan::GoroutinePlan;
use super::priority::set_default_priority;
use super::raw_sample::RawSample;
use crate::perfdata::abi::{misc, record_type};
use crate::perfevent::monotonic_ns;
use crate::process::run_with_own_rights;

/// Maximum number of processes whose memory is read at the same time. Each needs an open file.
const MAX_PROCESSES: usize = 256;

/// Readings of the goroutines of a recording.
#[derive(Debug, Default)]
pub(super) struct GoroutineResults {
    pub(super) readings: Readings,
    /// Reasons why the goroutines of some processes are unknown.
    pub(super) unread_reasons: Vec<String>,
}

/// The watches of all programs.
#[derive(Debug)]
pub(super) struct GoroutineWatches {
    watches: Vec<GoroutineWatch>,
    reads_labels: bool,
    programs: HashMap<ProgramFile, LayoutState>,
    /// For each process with samples, the index of its program's watch. `None` if the goroutines of the process are not
    /// read.
    watch_of_process: HashMap<u32, Option<usize>>,
    /// Number of processes whose memory is open.
    open_processes: usize,
    /// Reads the layouts of further programs. `None` if only the planned programs are read.
    finder: Option<LayoutFinder>,
    /// Number of processes whose program or memory goflame is not permitted to read.
    denied_processes: usize,
    /// Number of processes beyond [`MAX_PROCESSES`].
    excess_processes: usize,
    unknown_layouts: Vec<String>,
}

/// State of a program's layout.
#[derive(Debug, Clone, Copy)]
enum LayoutState {
    /// The layout is being read.
    Wanted,
    /// Not a Go program, or a Go program with an unknown layout.
    Unreadable,
    /// The layout is known: index of the program's watch.
    Watched(usize),
}

/// The watch of a process is unknown because the layout of its program is still being read.
struct LayoutIsBeingRead;

impl GoroutineWatches {
    pub(super) fn new(plan: &GoroutinePlan) -> Self {
        let mut watches = Self {
            watches: Vec::new(),
            reads_labels: plan.reads_labels,
            programs: HashMap::new(),
            watch_of_process: HashMap::new(),
            open_processes: 0,
            finder: plan.reads_other_programs.then(LayoutFinder::start),
            denied_processes: 0,
            excess_processes: 0,
            unknown_layouts: Vec::new(),
        };
        for layout in &plan.layouts {
            watches.add(layout.clone());
        }
        watches
    }

    fn add(&mut self, layout: GoroutineLayout) {
        let watch = GoroutineWatch::new(layout, self.reads_labels);
        self.programs.insert(watch.program(), LayoutState::Watched(self.watches.len()));
        self.watches.push(watch);
    }

    /// Notes the goroutine of a sample.
    pub(super) fn note_sample(&mut self, sampled: &RawSample<'_>) {
        if let Some(watch) = self.watch_index(sampled.pid).and_then(|at| self.watches.get_mut(at)) {
            watch.note_sample(sampled);
        }
    }

    /// Index of the watch of a process. `None` if the goroutines of the process are not read, or not yet.
    fn watch_index(&mut self, pid: u32) -> Option<usize> {
        if let Some(known) = self.watch_of_process.get(&pid) {
            return *known;
        }
        let found = self.find_watch(pid).ok()?;
        self.open_processes += usize::from(found.is_some());
        self.watch_of_process.insert(pid, found);
        found
    }

    /// Finds the watch of a process, and opens its memory.
    fn find_watch(&mut self, pid: u32) -> Result<Option<usize>, LayoutIsBeingRead> {
        let file = match run_with_own_rights(|| ProgramFile::from_path(&exe_path(pid))) {
            Ok(file) => file,
            Err(error) => {
                let is_wanted = self.finder.is_some() && error.kind() == io::ErrorKind::PermissionDenied;
                self.denied_processes += usize::from(is_wanted);
                return Ok(None);
            }
        };
        let at = match (self.programs.get(&file).copied(), &self.finder) {
            (Some(LayoutState::Watched(at)), _) => at,
            (Some(LayoutState::Wanted), _) => return Err(LayoutIsBeingRead),
            (None, Some(finder)) => {
                self.programs.insert(file, LayoutState::Wanted);
                finder.request(pid, file);
                return Err(LayoutIsBeingRead);
            }
            (Some(LayoutState::Unreadable), _) | (None, None) => return Ok(None),
        };
        if self.open_processes >= MAX_PROCESSES {
            self.excess_processes += 1;
            return Ok(None);
        }
        let is_open = self.watches.get_mut(at).is_some_and(|watch| watch.open(pid, monotonic_ns()));
        // A process that has ended was not denied.
        self.denied_processes += usize::from(!is_open && exe_path(pid).exists());
        Ok(is_open.then_some(at))
    }

    /// Closes the memory of a process that ends or executes another program.
    pub(super) fn close_ended_process(&mut self, kind: u32, misc: u16, body: &[u8]) {
        let number = |at: usize| body.get(at..)?.first_chunk().map(|number| u32::from_le_bytes(*number));
        let pid = match kind {
            // `struct { u32 pid, tid; char comm[]; … }` (perf_event.h).
            record_type::COMM if misc & misc::COMM_EXEC != 0 => number(0),
            // `struct { u32 pid, ppid, tid, ptid; … }`. A process counts as ended when its first thread ends.
            record_type::EXIT if number(0) == number(8) => number(0),
            _ => None,
        };
        if let Some(pid) = pid
            && let Some(Some(at)) = self.watch_of_process.remove(&pid)
            && let Some(watch) = self.watches.get_mut(at)
        {
            self.open_processes -= 1;
            watch.close(pid);
        }
    }

    /// Watches the programs whose layouts have been read, and reads the noted goroutines. `now` is in nanoseconds on
    /// the clock of the samples.
    pub(super) fn read_noted(&mut self, now: u64) {
        let found: Vec<_> = self.finder.iter().flat_map(|finder| finder.answers.try_iter()).collect();
        for (file, found) in found {
            match found {
                LayoutAnswer::Layout(layout) => self.add(*layout),
                LayoutAnswer::Ended => {
                    self.programs.remove(&file);
                }
                LayoutAnswer::OtherProgram => {
                    self.programs.insert(file, LayoutState::Unreadable);
                }
                LayoutAnswer::UnknownLayout(reason) => {
                    self.programs.insert(file, LayoutState::Unreadable);
                    self.unknown_layouts.push(reason);
                }
            }
        }
        for watch in &mut self.watches {
            watch.read_noted(now, self.open_processes);
        }
    }

    /// Time until running goroutines are read again. `None` if no program is watched.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.watches.iter().map(GoroutineWatch::interval).min()
    }

    pub(super) fn finish(self) -> GoroutineResults {
        let mut read = GoroutineResults { unread_reasons: self.unknown_layouts, ..GoroutineResults::default() };
        for program_readings in self.watches.into_iter().map(GoroutineWatch::finish) {
            read.readings.append(program_readings);
        }
        if self.denied_processes > 0 {
            read.unread_reasons
                .push(format!("{} of them cannot be read without CAP_SYS_PTRACE", self.denied_processes));
        }
        if self.excess_processes > 0 {
            read.unread_reasons
                .push(format!("{} of them ran while {MAX_PROCESSES} others were read", self.excess_processes));
        }
        read
    }
}

/// Path to the program of a process. It works from every mount namespace.
fn exe_path(pid: u32) -> PathBuf {
    format!("/proc/{pid}/exe").into()
}

/// Reads layouts in a separate thread. For a large program, this takes so long that ring buffers would overflow.
#[derive(Debug)]
struct LayoutFinder {
    requests: Sender<(u32, ProgramFile)>,
    answers: Receiver<(ProgramFile, LayoutAnswer)>,
}

/// Result of reading the layout of a program.
enum LayoutAnswer {
    Layout(Box<GoroutineLayout>),
    /// Not a Go program.
    OtherProgram,
    /// The reason why the layout of this Go program is unknown.
    UnknownLayout(String),
    /// The process ended or executed another program before its layout was read.
    Ended,
}

impl LayoutFinder {
    fn start() -> Self {
        let (requests, requested) = channel();
        let (answers, answered) = channel();
        // The thread ends with the recording. If it cannot start, only the planned programs are read.
        let _ = thread::Builder::new().spawn(move || {
            set_default_priority();
            for (pid, file) in requested {
                if answers.send((file, run_with_own_rights(|| find_layout(pid, file)))).is_err() {
                    break;
                }
            }
        });
        Self { requests, answers: answered }
    }

    fn request(&self, pid: u32, file: ProgramFile) {
        let _ = self.requests.send((pid, file));
    }
}

fn find_layout(pid: u32, file: ProgramFile) -> LayoutAnswer {
    let path = exe_path(pid);
    let Ok(program) = fs::read_link(&path) else { return LayoutAnswer::Ended };
    let layout = has_go_section(&path).then(|| GoroutineLayout::read(&program, &path));
    if ProgramFile::from_path(&path).is_ok_and(|now| now == file) {
        match layout {
            Some(Ok(layout)) => LayoutAnswer::Layout(Box::new(layout)),
            Some(Err(reason)) => LayoutAnswer::UnknownLayout(format!("{}: {reason}", program.display())),
            None => LayoutAnswer::OtherProgram,
        }
    } else {
        LayoutAnswer::Ended
    }
}
