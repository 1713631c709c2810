//! The sampling stage of a run: launches the workload, or observes running programs.

use std::ffi::OsString;
use std::time::Duration;

use super::Error;
use super::manifest::{LoadRecord, WorkloadResult};
use super::observer::{PipelineEvent, RunNote, Warning};
use super::prepared_run::{FinishedRecording, PreparedRun, STDOUT_LOG};
use super::runtime_profiles::{self, FetchingSession};
use super::runtime_record::{CpuWaitWatch, request_traces};
use super::subject::Subject;
use crate::archive::Draft;
use crate::config::{self, Engine};
use crate::endpoint::{FetchedProfile, Fetcher, FetcherPlan};
use crate::fsio;
use crate::gotrace::RuntimeTrace;
use crate::perfdata::{ClockData, Features};
use crate::perfevent::monotonic_ns;
use crate::process::{Command, acting_account};
use crate::record::{
    self, GoroutinePlan, Limitation, PerThreadReason, Recording, RunningTarget, SamplingPlan, Session,
};
use crate::workload::{self, Ending, LaunchPlan, LoadPlan, Outcome, ServerFailure, ServerPlan, Stdin};

/// Name of the file with the output of the load command, in the run's directory.
const LOAD_LOG: &str = "load.log";

impl PreparedRun<'_> {
    /// Launches the workload or observes running programs, and samples them.
    pub(super) fn record(&self, draft: &mut Draft, fetching: Option<&FetcherPlan>) -> Result<FinishedRecording, Error> {
        let created = jiff::Timestamp::now();
        let program_copy = self.subject.built().map(|(_, program)| draft.add_program(program)).transpose()?;
        let kernel = self.kernel_symbols();
        let (layouts, unread) = self.subject.goroutine_layouts();
        let reads_other_programs = self.subject.built().is_none();
        let goroutines = GoroutinePlan { layouts, reads_other_programs, reads_labels: self.config.record.labels };
        let sampling = self.sampling_plan(draft, kernel.as_ref().ok(), goroutines)?;
        let mut notes: Vec<String> = self.event.limitations().iter().map(ToString::to_string).collect();
        if self.config.record.engine == Engine::Native {
            notes.extend(unread.as_ref().map(ToString::to_string));
        }
        let (workload, outcome, mut recording, fetched) = match self.subject.running() {
            Some(target) => self.observe(target, draft, &sampling, fetching, unread.as_ref(), &mut notes)?,
            None => self.launch(draft, &sampling, fetching, &mut notes)?,
        };
        if unread.is_none() && !recording.unread_goroutines.is_empty() {
            let note = RunNote::GoroutinesPartlyUnread(std::mem::take(&mut recording.unread_goroutines));
            self.observer.warning(&Warning::Note(&note));
            notes.push(note.to_string());
        }
        let secrets = self.config.secrets();
        recording.labels.replace_values(|name, value| secrets.mask_text(&secrets.mask_value(name, value)));
        let keep = |plan| {
            runtime_profiles::keep_fetched_profiles(
                draft,
                plan,
                fetched,
                outcome.ending,
                &secrets,
                self.observer,
                &mut notes,
            )
        };
        let runtime_profiles = fetching.map(keep).transpose()?;
        Ok(FinishedRecording { created, program_copy, workload, outcome, recording, kernel, runtime_profiles, notes })
    }

    /// Runs the workload and samples it.
    fn launch(
        &self,
        draft: &mut Draft,
        sampling: &SamplingPlan,
        fetching: Option<&FetcherPlan>,
        notes: &mut Vec<String>,
    ) -> Result<(WorkloadResult, Outcome, Recording, Vec<FetchedProfile>), Error> {
        let launch = request_traces(self.config, self.launch_plan(draft, sampling), draft);
        let signals = workload::catch_signals()?;
        self.report_command(&launch);
        let watch = CpuWaitWatch::start(None);
        let window = launch.server.duration.unwrap_or(launch.timeout);
        let (mut outcome, (recording, fetched)) =
            workload::run::<_, Error>(&launch, self.observer, signals, |program| {
                let session = Session::start(sampling, program, self.observer)?;
                Ok(FetchingSession::new(session, fetching.cloned(), window))
            })?;
        watch.stop(std::mem::take(&mut outcome.runtime)).write(draft)?;
        let unbounded = self.is_unbounded().then_some(RunNote::RecordingUnbounded);
        self.report_recording(&outcome, &recording, unbounded.as_ref());
        if let Some(failure) = &outcome.failure {
            let last_lines = last_output_lines(failure, &launch);
            self.observer.warning(&Warning::ServerFailed { failure, last_lines: &last_lines });
        }
        let substitution = match self.subject.built() {
            Some((_, program)) => draft.check_program(program)?,
            None => None,
        };
        if let Some(substitution) = &substitution {
            self.observer.warning(&Warning::Substitution(substitution));
        }
        notes.extend(unbounded.as_ref().map(ToString::to_string));
        notes.extend(outcome.failure.as_ref().map(ToString::to_string));
        notes.extend(outcome.incomplete_logs.iter().map(ToString::to_string));
        notes.extend(substitution.as_ref().map(ToString::to_string));
        let secrets = self.config.secrets();
        let mut workload = WorkloadResult::new(&launch, &outcome, self.options.ignore_failure, &secrets);
        if let (Some(plan), Some(load)) = (&launch.server.load, &outcome.load) {
            // Without its output, the load has no figures.
            let output = fsio::read_tail(&plan.log, LOAD_OUTPUT_BYTES).unwrap_or_default();
            workload.load = Some(LoadRecord::new(&self.config.workload.server.load, load, &output, &secrets));
        }
        Ok((workload, outcome, recording, fetched))
    }

    fn launch_plan(&self, draft: &Draft, sampling: &SamplingPlan) -> LaunchPlan {
        let workload = &self.config.workload;
        let plan = LaunchPlan {
            argv: Vec::new(),
            env: workload.env.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            dir: workload.dir.clone(),
            stdin: workload.stdin.clone().map_or(Stdin::Inherit, Stdin::File),
            timeout: workload.timeout,
            user: acting_account().cloned(),
            launcher: sampling.launcher(),
            stdout_log: draft.path(STDOUT_LOG),
            stderr_log: draft.path("stderr.log"),
            runtime_log: None,
            max_log_bytes: self.config.archive.max_bytes,
            server: self.server_plan(draft),
        };
        let argv = |words: Vec<String>| words.into_iter().map(OsString::from).collect();
        match &self.subject {
            Subject::Built(built) => {
                LaunchPlan { argv: argv(crate::build::workload_argv(self.config, built.1.path())), ..plan }
            }
            // `[workload]` applies only to the program of the project.
            Subject::Command(command) => LaunchPlan {
                argv: argv(command.argv.clone()),
                env: Vec::new(),
                dir: command.dir.clone(),
                stdin: Stdin::Inherit,
                timeout: self.duration.unwrap_or(Duration::MAX),
                ..plan
            },
            Subject::Running(_) => plan,
        }
    }

    /// Returns the phases of the run. `[workload]` applies only to the program of the project.
    pub(super) fn server_plan(&self, draft: &Draft) -> ServerPlan {
        let config::Server { ready, warmup, duration, load, stop } = &self.config.workload.server;
        if self.subject.built().is_none() {
            return ServerPlan::without_phases(*stop);
        }
        let load = load.split_first().map(|(program, args)| LoadPlan {
            command: Command::new(program).args(args).dir(&self.config.workload.dir),
            log: draft.path(LOAD_LOG),
        });
        let ready = ready.sign.clone().map(|sign| (sign, ready.within));
        ServerPlan { ready_sign: ready, warmup: *warmup, duration: *duration, load, stop: *stop }
    }

    /// Samples programs that run already.
    fn observe(
        &self,
        target: &RunningTarget,
        draft: &Draft,
        sampling: &SamplingPlan,
        fetching: Option<&FetcherPlan>,
        unread: Option<&RunNote>,
        notes: &mut Vec<String>,
    ) -> Result<(WorkloadResult, Outcome, Recording, Vec<FetchedProfile>), Error> {
        let name = self.subject.describe();
        self.observer.event(&PipelineEvent::Observing { target: &name, duration: self.duration });
        let watch = target.processes().first().map(|process| CpuWaitWatch::start(Some(process.pid)));
        let started = fetching.map(|plan| Fetcher::start(plan.clone(), self.duration));
        let (observation, recording) = record::observe(sampling, target, self.duration, self.observer)?;
        if let Some(watch) = watch {
            watch.stop(RuntimeTrace::default()).write(draft)?;
        }
        let fetched = match started {
            Some(fetcher) => {
                let mut signals = workload::catch_signals()?;
                fetcher.finish(|| signals.take().is_some())
            }
            None => Vec::new(),
        };
        let (workload, outcome) =
            (WorkloadResult::from_observation(target, &observation, &self.config.secrets()), observation.into());
        self.report_recording(&outcome, &recording, None);
        let ended = (outcome.ending == Ending::ByItself).then_some(RunNote::TargetEnded(name));
        let is_container = matches!(target, RunningTarget::Processes { container: Some(_), .. });
        let not_confined = recording.per_thread_reason.clone().filter(|_| is_container);
        let not_confined =
            not_confined.map(|PerThreadReason { reason, remedy }| RunNote::ContainerNotConfined { reason, remedy });
        notes.extend(ended.iter().chain(&not_confined).map(ToString::to_string));
        for note in unread.into_iter().chain(&ended).chain(&not_confined) {
            self.observer.warning(&Warning::Note(note));
        }
        Ok((workload, outcome, recording, fetched))
    }

    /// Reports a recording and the problems of its workload.
    fn report_recording(&self, outcome: &Outcome, recording: &Recording, unbounded: Option<&RunNote>) {
        let observer = self.observer;
        observer.event(&PipelineEvent::Profiled {
            frequency: self.config.record.frequency,
            event: &self.event,
            outcome,
            figures: recording.figures,
        });
        for limitation in self.event.limitations() {
            match limitation {
                Limitation::NoCycleCounter(_) => observer.event(&PipelineEvent::OtherEvent(limitation)),
                // The readiness checks have reported these limitations, with their repairs.
                Limitation::UserSpaceOnly | Limitation::SmallRings(_) => {}
            }
        }
        let is_as_planned = match outcome.ending {
            Ending::ByItself => outcome.status.success(),
            Ending::TimedOut => self.duration.is_some(),
            Ending::StillRuns | Ending::Stopped => true,
            Ending::Interrupted(_) => false,
        };
        if !is_as_planned && outcome.failure.is_none() {
            observer.warning(&Warning::EndedEarly { status: outcome.status, ending: outcome.ending });
        }
        if let Some(address) = outcome.listening_address.filter(|_| self.subject.built().is_some()) {
            observer.event(&PipelineEvent::ServesRequests(address));
        }
        if outcome.unstoppable_processes > 0 {
            observer.warning(&Warning::Unstoppable(outcome.unstoppable_processes));
        }
        let stopped = outcome.outliving_processes.saturating_sub(outcome.unstoppable_processes);
        if stopped > 0 {
            observer.warning(&Warning::Outlived(stopped));
        }
        if let Some(note) = unbounded {
            observer.warning(&Warning::Note(note));
        }
        for log in &outcome.incomplete_logs {
            observer.warning(&Warning::IncompleteLog(log));
        }
    }

    /// Facts about the machine for the header of the perf.data file.
    pub(super) fn header_features(&self) -> Features {
        let facts = &self.ready.facts;
        let clock_ns = monotonic_ns();
        let wall = jiff::Timestamp::now();
        Features {
            hostname: facts.hostname.value().cloned(),
            os_release: facts.kernel_release.value().cloned(),
            version: Some(env!("CARGO_PKG_VERSION").into()),
            arch: Some(rustix::system::uname().machine().to_string_lossy().into_owned()),
            cpu_desc: facts.cpu_model.value().cloned(),
            cmdline: self.config.secrets().mask_args(&self.options.command),
            clock: Some(ClockData {
                clockid: nix::libc::CLOCK_MONOTONIC,
                wall_ns: u64::try_from(wall.as_nanosecond()).unwrap_or(0),
                clock_ns,
            }),
            ..Features::default()
        }
    }

    /// Whether `max_bytes` is set with `engine = "perf"`, where it has no effect. `perf record --max-size` is not used
    /// because it would end the program at the bound.
    fn is_unbounded(&self) -> bool {
        self.config.record.engine == Engine::Perf && self.config.archive.max_bytes.is_some()
    }
}

/// Bytes at the end of a load command's output that are searched for figures.
const LOAD_OUTPUT_BYTES: u64 = 256 * 1024;

/// Number of last output lines of a failed server or load command that are shown.
const MAX_SHOWN_LINES: usize = 8;

/// Returns the last lines of the output that may explain a failure.
fn last_output_lines(failure: &ServerFailure, launch: &LaunchPlan) -> Vec<String> {
    let of_load = launch.server.load.as_ref().filter(|_| failure.is_shown_in_load_output()).map(|load| &load.log);
    let logs = of_load.map_or_else(|| vec![&launch.stderr_log, &launch.stdout_log], |log| vec![log]);
    let mut lines = logs.into_iter().filter_map(|log| fsio::last_lines(log, MAX_SHOWN_LINES).ok());
    lines.find(|lines| !lines.is_empty()).unwrap_or_default()
}
