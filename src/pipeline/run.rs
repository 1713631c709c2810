//! `goflame run`: plan, check, build, inspect, record, analyse, render, archive.

use super::Error;
use super::build::{ReusedProgram, build_privately};
use super::observer::{Observer, PipelineEvent, Warning};
use super::prepared_run::{PreparedRun, RunOptions, RunOutcome, find_perf};
use super::prune::make_room;
use super::ready::Environment;
use super::settle::{resolve_go, settle_with_go};
use super::subject::Subject;
use crate::archive::Store;
use crate::config::{Config, Engine};
use crate::doctor::{self, Finding, Strictness};

/// Performs a complete run. If a stage fails after the workload has started, the files stay in the archive's directory of
/// partial runs. The observer receives their path.
pub fn run(config: &Config, options: &RunOptions, observer: &dyn Observer) -> Result<RunOutcome, Error> {
    let resolved = resolve_go(config, options.build, observer)?;
    let environment = Environment::probe(config, true, resolved.go.clone().map(Ok).as_ref());
    let strictness = Strictness { fails_on_warnings: config.doctor.strict, fails_on_unsteadiness: false };
    let stops = |findings: &[Finding]| !doctor::is_ready(findings, strictness);
    // Checks come first: without readiness nothing is fetched, locked or built.
    let before = environment.check_for_run(config, None);
    if stops(&before) {
        return Err(Error::NotReady(before));
    }
    if config.record.engine == Engine::Perf {
        if config.workload.server.has_window() {
            return Err(Error::PerfWindow);
        }
        if config.record.off_cpu {
            return Err(Error::PerfOffCpu);
        }
        // Fails before time is spent on a build.
        find_perf()?;
    }
    let store = Store::open(&config.archive.dir)?;
    store.check_executable()?;
    if let Err(error) = make_room(config, &store, observer) {
        observer.warning(&Warning::OldRunsRemain(&error));
    }
    let settled = settle_with_go(config, options.build, &resolved, observer)?;
    let built = build_privately(config, settled, &store, ReusedProgram::LastProgram, observer)?;
    // The run starts the stored program: no other process writes to it, and recordings refer to it by a path that does
    // not change.
    let program = built.store(&store)?;
    let built = built.publish()?;
    let findings = environment.check_for_run(config, Some(&built.artifact));
    if stops(&findings) {
        return Err(Error::NotReady(findings));
    }
    let ready = environment.into_readiness(findings);
    let Some(mut event) = ready.event.clone() else { return Err(Error::NotReady(ready.findings)) };
    let subject = Subject::Built(Box::new((built, program)));
    let copies = subject.stack_copies(&config.record);
    event.spec.stack = copies.bytes;
    observer.event(&PipelineEvent::Ready(&ready.findings));

    PreparedRun { config, options, observer, subject, duration: None, ready, event, copies, store: &store }.complete()
}
