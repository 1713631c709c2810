//! `goflame record`: find, check, record, analyse, render, archive. Nothing is built.

use std::path::PathBuf;
use std::time::Duration;

use super::error::Error;
use super::observer::{Observer, PipelineEvent, Warning};
use super::prepared_run::{PreparedRun, RunOptions, RunOutcome, find_perf};
use super::prune::make_room;
use super::ready::Environment;
use super::subject::{CommandLine, Subject};
use crate::archive::Store;
use crate::build::docker::{DockerEngine, RunningContainer};
use crate::config::{Config, Engine};
use crate::doctor::{self, Strictness};
use crate::record::{RunningProcess, RunningTarget, TargetError};

/// The target of a recording, as the user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordTarget {
    /// Running processes, by their ids.
    Pids(Vec<i32>),
    /// A running program, by its name.
    Name(String),
    /// A running container of the Docker engine, by its name or id.
    Container(String),
    /// The whole machine.
    WholeMachine,
    /// A command that is started, in this directory.
    Command {
        /// Program and arguments.
        words: Vec<String>,
        /// Working directory.
        dir: PathBuf,
    },
}

/// Records a target and archives the run. `duration` is the maximum time.
pub fn record(
    config: &Config,
    target: &RecordTarget,
    duration: Option<Duration>,
    options: &RunOptions,
    observer: &dyn Observer,
) -> Result<RunOutcome, Error> {
    let subject = find_subject(target)?;
    if config.record.engine == Engine::Perf {
        if subject.running().is_some() {
            return Err(crate::record::Error::from(TargetError::PerfEngine).into());
        }
        if config.record.off_cpu {
            return Err(Error::PerfOffCpu);
        }
        find_perf()?;
    }
    let mut config = config.clone();
    config.app.name = subject.name();
    config.app.package = subject.program_path();
    config.build.variant.clear();
    let config = &config;
    let environment = Environment::probe(config, false, None);
    let findings = environment.check_for_run(config, None);
    if !doctor::is_ready(
        &findings,
        Strictness { fails_on_warnings: config.doctor.strict, fails_on_unsteadiness: false },
    ) {
        return Err(Error::NotReady(findings));
    }
    let ready = environment.into_readiness(findings);
    let Some(mut event) = ready.event.clone() else { return Err(Error::NotReady(ready.findings)) };
    let store = Store::open(&config.archive.dir)?;
    if let Err(error) = make_room(config, &store, observer) {
        observer.warning(&Warning::OldRunsRemain(&error));
    }
    let copies = subject.stack_copies(&config.record);
    event.spec.stack = copies.bytes;
    observer.event(&PipelineEvent::Ready(&ready.findings));
    PreparedRun { config, options, observer, subject, duration, ready, event, copies, store: &store }.complete()
}

fn find_subject(target: &RecordTarget) -> Result<Subject, Error> {
    let error = |error: TargetError| Error::from(crate::record::Error::from(error));
    let processes = |named| Subject::Running(RunningTarget::Processes { named, container: None });
    match target {
        RecordTarget::Pids(pids) => {
            let named: Result<Vec<_>, _> = pids.iter().copied().map(RunningProcess::from_pid).collect();
            named.map(processes).map_err(error)
        }
        RecordTarget::Name(name) => RunningProcess::from_name(name).map(|one| processes(vec![one])).map_err(error),
        RecordTarget::Container(name) => {
            let found = DockerEngine::connect().and_then(|engine| engine.running_container(name));
            let RunningContainer { id, first_process } = found.map_err(Error::Engine)?;
            let first = RunningProcess::from_container(name, &id, first_process).map_err(error)?;
            Ok(Subject::Running(RunningTarget::Processes { named: vec![first], container: Some(id) }))
        }
        RecordTarget::WholeMachine => Ok(Subject::Running(RunningTarget::WholeMachine)),
        RecordTarget::Command { words, dir } => Ok(Subject::Command(CommandLine::find(words, dir)?)),
    }
}
