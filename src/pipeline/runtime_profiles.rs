//! The profiles that the program of a run serves: fetched during sampling, kept in the run, compared with the samples.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::draft_file::write_file;
use super::endpoint_record::{EndpointRecord, FetchedRecord};
use super::error::{Error, describe_with_causes};
use super::observer::{Observer, PipelineEvent, RunNote, Warning};
use crate::archive::{Draft, Run};
use crate::config::Config;
use crate::endpoint::{Client, FetchError, FetchedProfile, Fetcher, FetcherPlan, ProfileKind};
use crate::pprof;
use crate::profile::Profile;
use crate::record::{self, Recording, Session};
use crate::redact::Secrets;
use crate::render::headline;
use crate::views::{CrossCheck, GroupBy, View};
use crate::workload::{Ending, Monitor};

/// The profiles that a run fetched from its program.
pub(super) struct RuntimeProfiles {
    /// Names, files and problems of the profiles, for the manifest.
    pub(super) record: EndpointRecord,
    /// The CPU profile, to compare the samples with.
    pub(super) cpu_profile: Option<Profile>,
}

/// Plans which profiles a run fetches. `None` if it fetches none.
pub(super) fn fetcher_plan(config: &Config) -> Result<Option<FetcherPlan>, Error> {
    let Some(endpoint) = config.runtime.pprof.clone().filter(|_| !config.runtime.profiles.is_empty()) else {
        return Ok(None);
    };
    let client = Client::from_env().map_err(Error::Headers)?;
    Ok(Some(FetcherPlan { endpoint, profiles: config.runtime.profiles.clone(), client }))
}

/// A sampling session that also fetches the profiles of its program.
pub(super) struct FetchingSession<'p> {
    session: Session<'p>,
    /// The profiles to fetch. `None` once the window has begun.
    plan: Option<FetcherPlan>,
    /// Maximum length of the window.
    window: Duration,
    fetcher: Option<Fetcher>,
}

impl<'p> FetchingSession<'p> {
    pub(super) fn new(session: Session<'p>, plan: Option<FetcherPlan>, window: Duration) -> Self {
        Self { session, plan, window, fetcher: None }
    }
}

impl Monitor for FetchingSession<'_> {
    type Error = record::Error;
    type Output = (Recording, Vec<FetchedProfile>);

    fn wait(&mut self, others: &[BorrowedFd<'_>], timeout: Duration) -> Result<Vec<bool>, record::Error> {
        self.session.wait(others, timeout)
    }

    fn work(&mut self) -> Result<(), record::Error> {
        self.session.work()
    }

    fn begin_window(&mut self) -> Result<(), record::Error> {
        self.fetcher = self.plan.take().map(|plan| Fetcher::start(plan, Some(self.window)));
        self.session.begin_window()
    }

    fn end_window(&mut self) -> Result<(), record::Error> {
        self.session.end_window()?;
        if let Some(fetcher) = &mut self.fetcher {
            fetcher.end_window();
        }
        Ok(())
    }

    fn delays_stop(&self) -> bool {
        self.plan.is_some() || self.fetcher.is_some()
    }

    fn show_progress(&self, elapsed: Duration, used_cpu: Option<Duration>) {
        self.session.show_progress(elapsed, used_cpu);
    }

    fn may_stop(&mut self) -> bool {
        self.fetcher.as_mut().is_none_or(|fetcher| {
            fetcher.end_window();
            fetcher.is_done()
        })
    }

    fn finish(self) -> Result<Self::Output, record::Error> {
        let recording = self.session.finish()?;
        Ok((recording, self.fetcher.map_or_else(Vec::new, |fetcher| fetcher.finish(|| false))))
    }
}

/// Writes the fetched profiles into the run, and reports them and the missing ones to the user. `ending` says why the
/// program ended. Adds notes for the manifest.
pub(super) fn keep_fetched_profiles(
    draft: &Draft,
    plan: &FetcherPlan,
    fetched: Vec<FetchedProfile>,
    ending: Ending,
    secrets: &Secrets,
    observer: &dyn Observer,
    notes: &mut Vec<String>,
) -> Result<RuntimeProfiles, Error> {
    let url = secrets.mask_text(&plan.endpoint.to_string());
    let common_problem = common_problem_of(&url, &fetched, ending).map(|problem| secrets.mask_text(&problem));
    let (mut cpu, mut profiles) = (None, Vec::with_capacity(fetched.len()));
    for FetchedProfile { kind, bytes } in fetched {
        let mut record = FetchedRecord { profile: kind.name(), file: None, headline: None, problem: None };
        let checked = bytes.map_err(|error| [vec![describe_with_causes(&error)], error.hints()].concat().join("; "));
        let checked = checked.and_then(|bytes| match inspect_profile(kind, &bytes) {
            Ok(fact) => Ok((bytes, fact)),
            Err(reason) => Err(format!("{url} did not serve one: {reason}")),
        });
        match checked {
            Ok((bytes, (headline, profile))) => {
                write_file(draft, &kind.file_name(), &bytes)?;
                record.file = Some(kind.file_name());
                record.problem = kind.needed_call().filter(|_| headline.is_none()).map(|call| {
                    let name = kind.name();
                    format!("the {name} profile is empty: nothing waited, or the program does not call {call}")
                });
                record.headline = headline;
                cpu = profile.filter(|_| kind == ProfileKind::Cpu).or(cpu);
            }
            Err(reason) => record.problem = Some(secrets.mask_text(&format!("no {} profile: {reason}", kind.name()))),
        }
        profiles.push(record);
    }
    if common_problem.is_none() && profiles.iter().any(|record| record.file.is_some()) {
        observer.event(&PipelineEvent::Fetched { endpoint: &url, profiles: &profiles });
    }
    let problems = match common_problem {
        Some(problem) => vec![problem],
        None => profiles.iter().filter_map(|record| record.problem.clone()).collect(),
    };
    for problem in problems {
        let note = RunNote::RuntimeProfile(problem);
        observer.warning(&Warning::Note(&note));
        notes.push(note.to_string());
    }
    Ok(RuntimeProfiles { record: EndpointRecord { url, profiles }, cpu_profile: cpu })
}

/// Returns why no profile was fetched, if all have the same reason: no server listens, or the program ended.
fn common_problem_of(url: &str, fetched: &[FetchedProfile], ending: Ending) -> Option<String> {
    let errors: Option<Vec<&FetchError>> = fetched.iter().map(|fetched| fetched.bytes.as_ref().err()).collect();
    // The last error is the clearest: earlier profiles lost their connection when the program ended.
    let (last, errors) = (errors.as_ref()?.last()?, errors.as_ref()?);
    if ending == Ending::ByItself && errors.iter().all(|error| error.has_no_answer()) {
        return Some(format!(
            "no profile was fetched from {url}: the program ended by itself, and profiles are fetched when goflame ends \
             the run: `timeout` in [workload], `goflame record --duration`, or an interrupt"
        ));
    }
    let hints = last.hints().join("; ");
    let all_unreachable = errors.iter().all(|error| error.is_unreachable());
    all_unreachable.then(|| format!("no profile was fetched from {url}: {}; {hints}", last.problem()))
}

/// Returns the most important fact (`None` for an empty profile) and the profile (`None` for a trace).
fn inspect_profile(kind: ProfileKind, bytes: &[u8]) -> Result<(Option<String>, Option<Profile>), String> {
    if kind == ProfileKind::Trace {
        let is_trace = bytes.starts_with(b"go 1.");
        let headline = is_trace.then(|| format!("{:.1} MB, for `go tool trace`", bytes.len() as f64 / 1e6));
        return headline.map(|headline| (Some(headline), None)).ok_or_else(|| "not an execution trace".to_owned());
    }
    let profile = pprof::read(bytes, None).map_err(|error| describe_with_causes(&error))?.profile;
    let view = View::new(profile, GroupBy::Process);
    Ok((headline(kind, &view), Some(view.into_profile())))
}

/// Compares the samples with the CPU profile of the runtime. If the times of both are known, uses only samples from the
/// time of that profile.
pub(super) fn cross_check(sampled: &Profile, runtime: &Profile) -> Option<CrossCheck> {
    let has_times = sampled.start_time_ns > 0 && runtime.start_time_ns > 0 && sampled.timed_samples().is_some();
    if !has_times {
        return CrossCheck::new(sampled, runtime);
    }
    let mut same_time = sampled.clone();
    let start = runtime.start_time_ns.saturating_sub(sampled.start_time_ns);
    let end = runtime.start_time_ns.saturating_add(runtime.duration_ns).saturating_sub(sampled.start_time_ns);
    same_time.retain_times(&(start..end));
    CrossCheck::new(&same_time, runtime)
}

/// Whether an archived run holds a CPU profile of the runtime.
pub(super) fn has_runtime_cpu_profile(run: &Run) -> bool {
    run.files().contains_key(&ProfileKind::Cpu.file_name())
}

/// Compares the samples of an archived run with the runtime's CPU profile. `None` if the run has no such profile.
pub(super) fn cross_check_of_run(run: &Run, sampled: &Profile) -> Option<CrossCheck> {
    let bytes = std::fs::read(run.file(&ProfileKind::Cpu.file_name()).ok()?).ok()?;
    cross_check(sampled, &pprof::read(&bytes, None).ok()?.profile)
}
