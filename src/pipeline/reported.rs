//! [`Reported`]: a profile, and the values that the output formats need in addition.

use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::facts::run_facts;
use super::manifest::Manifest;
use super::source_text::ProgramSource;
use crate::findings::ProfileFinding;
use crate::gobench::BenchmarkResult;
use crate::gotrace::RuntimeTrace;
use crate::loadtool::LoadFigures;
use crate::pprof::SampleTypes;
use crate::profile::{Function, OffCpuTime, Phase, Quality};
use crate::render::source::AnnotatedFunction;
use crate::render::{Document, Drawing, Format, ServerRun};
use crate::views::{CrossCheck, View};

/// Profile of an analysed recording, of a pprof file, or of a text with stacks.
#[derive(Debug)]
pub struct Reported {
    /// Id of the run, or path of the file.
    pub name: String,
    /// Profile, filtered and grouped.
    pub view: View,
    /// Quality of the profile.
    pub quality: Quality,
    /// Title of the profile.
    pub title: String,
    /// How a flame graph is drawn.
    pub drawing: Drawing,
    /// Sample types of a pprof profile and the one that is shown. `None` for other inputs, and for a run.
    pub sample_types: Option<SampleTypes>,
    /// Names of the events of a recording that are not shown.
    pub other_events: Vec<String>,
    /// Notes about the profile for the user.
    pub notes: Vec<String>,
    /// Results that the benchmarks of the run printed.
    pub benchmarks: Vec<BenchmarkResult>,
    /// The phases of a server's run. Empty if they are unknown.
    pub phases: Vec<Phase>,
    /// The figures that the load tool printed. `None` without a load, or if goflame does not know the load tool.
    pub load: Option<LoadFigures>,
    /// Duration of the load.
    pub(super) load_time: Option<Duration>,
    /// Events that the Go runtime reported while the run was recorded.
    pub(super) runtime: Option<RuntimeTrace>,
    /// The shown range of time in nanoseconds, on the samples' clock. `None` for all.
    pub(super) time: Option<Range<u64>>,
    /// The source that the program was built from.
    pub built: ProgramSource,
    /// The source of hot functions, for the page. Empty if the page shows no source.
    pub annotated: Vec<AnnotatedFunction>,
    /// Thread time off the CPU in the run. `None` if it was not recorded.
    pub off_cpu: Option<OffCpuTime>,
    /// Findings about the samples of a run. Empty if the profile is filtered or shows waits, and for other files.
    pub findings: Vec<ProfileFinding>,
    /// The facts of the run: names and values. Empty for a file that does not hold them.
    pub(super) facts: Vec<(&'static str, String)>,
    /// The comparison with the CPU profile of Go's runtime. `None` if the run has no such profile, or if only a part of
    /// the samples is shown.
    pub(super) cross_check: Option<CrossCheck>,
}

impl Reported {
    /// Creates a report with the fields that all inputs have. The other fields are empty.
    pub(super) fn new(name: String, view: View, quality: Quality, title: String) -> Self {
        Self {
            name,
            view,
            quality,
            title,
            drawing: Drawing::default(),
            sample_types: None,
            other_events: Vec::new(),
            notes: Vec::new(),
            benchmarks: Vec::new(),
            phases: Vec::new(),
            load: None,
            load_time: None,
            runtime: None,
            time: None,
            built: ProgramSource::default(),
            annotated: Vec::new(),
            off_cpu: None,
            findings: Vec::new(),
            cross_check: None,
            facts: Vec::new(),
        }
    }

    /// Adds the facts of a run, and the figures that the run measured in addition to the samples.
    #[must_use]
    pub(super) fn with_run(self, manifest: &Manifest) -> Self {
        let Manifest { benchmarks, workload, .. } = manifest;
        let load = workload.load.as_ref().and_then(|load| load.figures.clone());
        let load_time = workload.load.as_ref().and_then(|load| Duration::try_from_secs_f64(load.wall_seconds).ok());
        let (benchmarks, phases, off_cpu) = (benchmarks.clone(), workload.phases.clone(), manifest.off_cpu.clone());
        Self { facts: run_facts(manifest), benchmarks, phases, load, load_time, off_cpu, ..self }
    }

    /// Returns the path of a function's source file. `None` if the file is not on this machine.
    pub fn source_path(&self, function: &Function) -> Option<PathBuf> {
        let name = self.view.profile().str(function.file);
        let found = self.built.dirs.find(name, function.origin.is_go());
        found.or_else(|| name.starts_with('/').then(|| name.into())).filter(|path| path.is_file())
    }

    /// Writes the profile in one format.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        format.write(&self.document(), out)
    }

    /// Returns the profile in the form that output formats write.
    pub fn document(&self) -> Document<'_> {
        let Self { view, quality, title, built, annotated, facts, notes, findings, drawing, cross_check, .. } = self;
        Document {
            view,
            quality,
            title,
            sources: &built.dirs,
            facts,
            notes,
            findings,
            drawing,
            annotated,
            cross_check: cross_check.as_ref(),
            off_cpu: self.off_cpu.as_ref(),
            server: self.server(),
            runtime: self.runtime.as_ref(),
            time: self.time.as_ref(),
        }
    }

    /// The phases of a server's run, and its load.
    pub fn server(&self) -> ServerRun<'_> {
        ServerRun { phases: &self.phases, load: self.load.as_ref(), load_time: self.load_time }
    }
}
