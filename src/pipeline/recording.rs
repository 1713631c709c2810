//! The sampling stage of a run: launches its workload, or observes what runs already.

use super::Error;
use super::manifest::WorkloadResult;
use super::observer::{PipelineEvent, RunNote, Warning};
use super::prepared_run::{PreparedRun, Recorded};
use crate::archive::Draft;
use crate::config::Engine;
use crate::record::{self, Limitation, Recording, RunningTarget, SamplingPlan, Session};
use crate::workload::{self, Ending, Outcome};

impl PreparedRun<'_> {
    /// Runs the workload, or observes what runs, and samples it.
    pub(super) fn record(&self, draft: &mut Draft) -> Result<Recorded, Error> {
        let created = jiff::Timestamp::now();
        let program_copy = self.subject.built().map(|(_, program)| draft.add_program(program)).transpose()?;
        let kernel = self.kernel_symbols();
        let (layouts, unread) = self.subject.goroutine_layouts();
        let sampling = self.sampling_plan(draft, kernel.as_ref().ok(), layouts)?;
        let mut notes: Vec<String> = self.event.limitations().iter().map(ToString::to_string).collect();
        if self.config.record.engine == Engine::Native {
            notes.extend(unread.as_ref().map(ToString::to_string));
        }
        let (workload, outcome, recording) = match self.subject.running() {
            Some(target) => self.observe(target, &sampling, unread.as_ref(), &mut notes)?,
            None => self.launch(draft, &sampling, &mut notes)?,
        };
        Ok(Recorded { created, program_copy, workload, outcome, recording, kernel, notes })
    }

    /// Runs the workload and samples it.
    fn launch(
        &self,
        draft: &mut Draft,
        sampling: &SamplingPlan,
        notes: &mut Vec<String>,
    ) -> Result<(WorkloadResult, Outcome, Recording), Error> {
        let launch = self.launch_plan(draft, sampling);
        self.announce(&launch);
        let (outcome, recording) = workload::run::<_, Error>(&launch, self.observer, |program| {
            Session::start(sampling, program, self.observer)
        })?;
        let unbounded = self.is_unbounded().then_some(RunNote::RecordingUnbounded);
        self.report_recording(&outcome, &recording, unbounded.as_ref());
        let substitution = match self.subject.built() {
            Some((_, program)) => draft.check_program(program)?,
            None => None,
        };
        if let Some(substitution) = &substitution {
            self.observer.warning(&Warning::Substitution(substitution));
        }
        notes.extend(unbounded.as_ref().map(ToString::to_string));
        notes.extend(outcome.incomplete_logs.iter().map(ToString::to_string));
        notes.extend(substitution.as_ref().map(ToString::to_string));
        let workload = WorkloadResult::new(&launch, &outcome, self.options.ignore_failure, &self.config.secrets());
        Ok((workload, outcome, recording))
    }

    /// Samples what runs already.
    fn observe(
        &self,
        target: &RunningTarget,
        sampling: &SamplingPlan,
        unread: Option<&RunNote>,
        notes: &mut Vec<String>,
    ) -> Result<(WorkloadResult, Outcome, Recording), Error> {
        let name = self.subject.describe();
        self.observer.event(&PipelineEvent::Observing { target: &name, duration: self.duration });
        let (observation, recording) = record::observe(sampling, target, self.duration, self.observer)?;
        let (workload, outcome) =
            (WorkloadResult::observed(target, &observation, &self.config.secrets()), observation.into());
        self.report_recording(&outcome, &recording, None);
        let ended = (outcome.ending == Ending::Own).then_some(RunNote::TargetEnded(name));
        notes.extend(ended.as_ref().map(ToString::to_string));
        for note in unread.into_iter().chain(&ended) {
            self.observer.warning(&Warning::Note(note));
        }
        Ok((workload, outcome, recording))
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
                // The readiness checks have reported both, with their repairs.
                Limitation::UserSpaceOnly | Limitation::SmallRings(_) => {}
            }
        }
        let is_as_planned = match outcome.ending {
            Ending::Own => outcome.status.success(),
            Ending::TimedOut => self.duration.is_some(),
            Ending::RunsOn => true,
            Ending::Interrupted(_) => false,
        };
        if !is_as_planned {
            observer.warning(&Warning::EndedEarly { status: outcome.status, ending: outcome.ending });
        }
        if outcome.unstoppable > 0 {
            observer.warning(&Warning::Unstoppable(outcome.unstoppable));
        }
        let stopped = outcome.outlived.saturating_sub(outcome.unstoppable);
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
}
