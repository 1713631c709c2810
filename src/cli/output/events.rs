//! Texts of the messages of pipeline, build, sampling and workload, such as why a workload is stopped.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::iter::once;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anstream::adapter::strip_str;
use rustix::stdio::{stderr, stdout};

use super::{NOTE_STYLE, Terminal, WARNING_STYLE, describe_repair, lock};
use crate::build::{BuildProgress, CompiledPackages};
use crate::doctor::{self, Finding, Status};
use crate::fsio;
use crate::pipeline::{
    AnalysedInput, Observer, Pins, PipelineEvent, Warning, advise_when_cut_short, describe_with_causes,
};
use crate::process::{ExitStatus, quote_command};
use crate::profile::format_samples;
use crate::record::{ChosenEvent, SamplingFigures, SamplingProgress, SamplingState};
use crate::views::{CrossCheck, DifferenceReason};
use crate::workload::{self, Ending, Escalation, Outcome, OutputStream, ServerFailure, ServerStep, StopReason};

impl workload::Progress for Terminal {
    fn terminal(&self, stream: OutputStream) -> Option<BorrowedFd<'_>> {
        let shown_on = if self.is_on_stderr(stream) { stderr() } else { stdout() };
        shown_on.is_terminal().then_some(shown_on)
    }

    fn show_output(&self, stream: OutputStream, bytes: &[u8]) {
        let to_stderr = self.is_on_stderr(stream);
        let write = || {
            if to_stderr {
                return io::stderr().write_all(bytes);
            }
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        };
        // The progress bar is suspended only if the bar and this output share a terminal. A write that waits for a slow
        // reader of a pipe must not block the bar, because that would block the recording too.
        let beside_bar = self.one_screen || to_stderr && io::stderr().is_terminal();
        let mut screen = lock(self.screen(to_stderr));
        screen.track_output(bytes);
        if beside_bar && !screen.has_room() {
            // Otherwise, the bar would be drawn on the workload's line, and would erase that line when it moves.
            self.remove_progress();
        }
        let written = if beside_bar { self.bar.suspend(write) } else { write() };
        // The program's output is also written to its log, so the program continues. An error of standard output is
        // reported at the end. An error of standard error is ignored, because it could not be printed.
        if let (Err(error), false) = (written, to_stderr) {
            lock(&self.stdout_error).get_or_insert(error);
        }
    }

    fn show_server_step(&self, step: ServerStep<'_>) {
        match step {
            ServerStep::Ready(after) => self.report_step("Ready", &format!("after {:.2} s", after.as_secs_f64())),
            ServerStep::Loading(command) => self.report_start("Loading", &command.quoted()),
            ServerStep::WarmingUp(time) => self.report_step("Warming up", &format!("for {} s", time.as_secs_f64())),
            ServerStep::Window(None) => self.report_step("Sampling", "until the load or the workload ends"),
            ServerStep::Window(Some(length)) => {
                self.report_step("Sampling", &format!("for {} s", length.as_secs_f64()));
            }
            ServerStep::LoadEndedEarly(left) => self.warn(&format!(
                "the load ended {:.1} s before the window was over, and the window with it; the load should last for \
                 warmup and duration together",
                left.as_secs_f64()
            )),
        }
    }

    fn show_stopping(&self, reason: StopReason) {
        self.stopping.store(true, Relaxed);
        let text = match reason {
            StopReason::Planned => return self.report_step("Stopping", "the workload"),
            StopReason::Interrupted => "the workload; interrupt again to leave at once".to_owned(),
            StopReason::TimedOut(timeout) => {
                format!("the workload: the timeout of {} s was reached", timeout.as_secs_f64())
            }
            StopReason::MonitorFailed => "the workload: its samples cannot be written".to_owned(),
            StopReason::StillRuns(after, escalation) => {
                let signal = match escalation {
                    Escalation::Terminate => "SIGTERM",
                    Escalation::KillAll => "SIGKILL",
                };
                format!("the workload with {signal}: it still runs after {after:?}")
            }
        };
        self.write_line(WARNING_STYLE, "Stopping", &text);
    }
}

impl SamplingProgress for Terminal {
    fn show_sampling(&self, state: SamplingState) {
        self.show_progress("Profiling", &describe_sampling(state, self.stopping.load(Relaxed)));
    }
}

impl BuildProgress for Terminal {
    fn show_output(&self, bytes: &[u8]) {
        workload::Progress::show_output(self, OutputStream::Stderr, bytes);
    }

    fn shows_packages(&self) -> bool {
        !self.bar.is_hidden()
    }

    fn show_compiled_packages(&self, packages: &CompiledPackages<'_>) {
        let CompiledPackages { done, total, latest, elapsed } = packages;
        let of_all = total.map_or_else(String::new, |total| format!("/{total}"));
        let seconds = elapsed.as_secs();
        let text = match latest {
            &"" => format!("{seconds} s"),
            latest => format!("{done}{of_all} packages: {latest} ({seconds} s)"),
        };
        self.show_progress("Building", &[text]);
    }

    fn show_pull_progress(&self, layers: (usize, usize), bytes: (u64, u64)) {
        let mega = |bytes: u64| bytes as f64 / 1e6;
        let (done, all) = layers;
        let text = format!("{done} of {all} layers, {:.1} of {:.1} MB", mega(bytes.0), mega(bytes.1));
        self.show_progress("Pulling", &[text]);
    }

    fn show_stage(&self, verb: &str, text: &str) {
        self.remove_progress();
        self.report_step(verb, text);
    }
}

impl Observer for Terminal {
    fn event(&self, event: &PipelineEvent<'_>) {
        self.remove_progress();
        match event {
            PipelineEvent::MadeRoom { runs, partials, bytes } => {
                let counts = format_run_counts(*runs, *partials);
                self.report_step("Removed", &format!("{counts}, {} in all, to make room", format_megabytes(*bytes)));
            }
            PipelineEvent::ContainersSwept { count } => {
                let containers = if *count == 1 { "a container".to_owned() } else { format!("{count} containers") };
                self.report_fact(&format!("removed {containers} that an earlier goflame left behind"));
            }
            PipelineEvent::LockUnchanged { lock, pins } => {
                self.report_step("Pinned", &format!("{} ({lock})", describe_pins(*pins)));
            }
            PipelineEvent::LockWritten { lock, pins } => {
                self.report_step("Locking", &format!("{} ({lock})", describe_pins(*pins)));
            }
            PipelineEvent::Building { package, variant, unoptimised, go, in_container } => {
                let flags = if *unoptimised { ": -N -l" } else { "" };
                let place = if *in_container { " in a container" } else { "" };
                self.report_step("Building", &format!("{package} [{variant}{flags}] with {go}{place}"));
            }
            PipelineEvent::BuildCommand(command) if self.verbose => self.write_command(NOTE_STYLE, "Note", command),
            PipelineEvent::BuildCommand(_) => {}
            PipelineEvent::Ready(findings) => self.ready(findings),
            PipelineEvent::Running { argv } => self.report_start("Running", &quote_command(argv)),
            PipelineEvent::Observing { target, duration } => {
                let end =
                    duration.map_or_else(|| "until Ctrl-C".into(), |time| format!("for {} s", time.as_secs_f64()));
                self.report_step("Sampling", &format!("{target} {end}"));
            }
            PipelineEvent::Profiled { frequency, event, outcome, figures } => {
                self.report_step("Profiled", &describe_recording(*frequency, event, outcome, *figures));
            }
            PipelineEvent::ServesRequests(address) => {
                self.report_step(
                    "Note",
                    &format!(
                        "the workload is a server, at {address}; goflame drives it with these keys in goflame.toml:"
                    ),
                );
                self.write_raw(&describe_server_keys(*address));
            }
            PipelineEvent::Fetching { url, duration } if duration.is_zero() => self.report_step("Fetching", url),
            PipelineEvent::Fetching { url, duration } => {
                self.report_step("Fetching", &format!("{url}, which takes {} s", duration.as_secs_f64()));
            }
            PipelineEvent::Fetched { endpoint, profiles } => {
                let kept = profiles.iter().filter(|profile| profile.file.is_some());
                let names: Vec<&str> = kept.clone().map(|profile| profile.profile.as_str()).collect();
                self.report_step("Fetched", &format!("{} from {endpoint}", names.join(", ")));
                for profile in kept {
                    if let Some(headline) = &profile.headline {
                        self.report_step("", &format!("{}: {headline}", profile.profile));
                    }
                }
            }
            PipelineEvent::CrossChecked(check) => self.report_step("Compared", &describe_cross_check(check)),
            PipelineEvent::OtherEvent(limitation) => self.report_fact(&limitation.to_string()),
            PipelineEvent::Analysing { perf_data } => {
                advise_when_cut_short(&format!("   help: {}", describe_kept_samples(perf_data)));
            }
            PipelineEvent::Analysed { samples, input, seconds } => {
                let input = match input {
                    AnalysedInput::ThisRun => String::new(),
                    AnalysedInput::Run(id) => format!(" of run {id}"),
                    AnalysedInput::File(name) => format!(" of {name}"),
                };
                self.report_step("Analysing", &format!("{}{input} in {seconds:.3} s", format_samples(*samples)));
            }
            PipelineEvent::ReadProfile { total, name, seconds } => {
                self.report_step("Reading", &format!("{total} of {name} in {seconds:.3} s"));
            }
        }
    }

    fn warning(&self, warning: &Warning<'_>) {
        self.warn(&match warning {
            Warning::ServerFailed { failure, last_lines } => return self.server_failed(failure, last_lines),
            Warning::OldRunsRemain(error) => format!("old runs could not be removed: {}", describe_with_causes(error)),
            Warning::LittleSpace { free, archive, expected } => format!(
                "{} are free in {}, and the last run took {}: `goflame runs rm` makes room",
                format_megabytes(*free),
                archive.display(),
                format_megabytes(*expected)
            ),
            Warning::ImageMoved { image, now } => format!(
                "{image} now refers to {now}; this build uses the image in goflame.lock (goflame build --update-lock pins the new one)"
            ),
            Warning::SecretsInLock { lock } => format!(
                "{lock} contains secrets in plain text: a build without --locked replaces them by digests, but old commits still contain them"
            ),
            Warning::LockNotWritten { lock, reason } => {
                format!("{lock} cannot be written, so nothing is pinned: {reason}")
            }
            Warning::Build(text) | Warning::Analysis(text) => (*text).to_owned(),
            Warning::SamplesKept { perf_data } => describe_kept_samples(perf_data),
            Warning::EndedEarly { status, ending } => describe_early_end(*status, *ending),
            Warning::Unstoppable(count) => {
                format!("{count} of the workload's processes could not be stopped, and still run")
            }
            Warning::Outlived(1) => "a process that the workload had started outlived it and was stopped".to_owned(),
            Warning::Outlived(count) => {
                format!("{count} processes that the workload had started outlived it and were stopped")
            }
            Warning::Note(note) => note.to_string(),
            Warning::IncompleteLog(log) => log.to_string(),
            Warning::Substitution(substitution) => substitution.to_string(),
        });
    }
}

impl Terminal {
    fn ready(&self, findings: &[Finding]) {
        self.report_step("Checking", &format!("{} (goflame doctor)", doctor::summary_line(findings)));
        for finding in findings.iter().filter(|finding| finding.status == Status::Warning) {
            let mut message = format!("{}: {}; {}", finding.id, finding.found, finding.why.trim_end_matches('.'));
            if let Some(fix) = &finding.fix {
                let _ = write!(message, "; {}", describe_repair(fix));
            }
            self.warn(&message);
        }
    }

    /// Reports a failed run of a server, with the last lines of the load's or the server's output.
    fn server_failed(&self, failure: &ServerFailure, last_lines: &[String]) {
        let lines = last_lines.iter().map(|line| strip_str(line).to_string());
        let cause = once("the last lines of its output:".to_owned()).chain(lines).collect::<Vec<_>>().join("\n");
        let causes = if last_lines.is_empty() { Vec::new() } else { vec![cause] };
        self.write_error(&failure.to_string(), &causes, &failure.hints(last_lines));
    }

    /// Whether a stream of the workload is shown on standard error.
    fn is_on_stderr(&self, stream: OutputStream) -> bool {
        stream == OutputStream::Stderr || self.workload_stdout_to_stderr.load(Relaxed)
    }
}

/// Number of differences to runtime/pprof that are shown. summary.json has all.
const SHOWN_DIFFERENCES: usize = 2;

/// CPU time is little if it is less than 1/50 of the time that has passed.
const LITTLE_CPU_DIVISOR: u32 = 50;

/// Time after which little CPU time is reported. A program often waits while it starts.
const LITTLE_CPU_DELAY: Duration = Duration::from_secs(3);

/// Describes a running recording in several texts, from the longest to the shortest, for lines of any width.
fn describe_sampling(state: SamplingState, is_stopping: bool) -> Vec<String> {
    const HINT: &str = "Ctrl-C ends it and shows the profile";
    const SHORT_HINT: &str = "Ctrl-C shows the profile";
    let SamplingState { elapsed, samples, used_cpu } = state;
    let seconds = elapsed.as_secs_f64();
    let samples = samples.map_or_else(String::new, |count| format!(", {}", format_samples(count)));
    let busy = format!("{seconds:.1} s{samples}");
    if is_stopping {
        return vec![busy];
    }
    match used_cpu.filter(|used| elapsed >= LITTLE_CPU_DELAY && *used * LITTLE_CPU_DIVISOR < elapsed) {
        None => vec![format!("{busy}; {HINT}"), format!("{seconds:.1} s; Ctrl-C ends it")],
        Some(used) => {
            let used = format!("{:.3} s of CPU", used.as_secs_f64());
            let idle = format!("{used} in {seconds:.0} s: send it load");
            vec![format!("{idle}; {HINT}"), format!("{idle}; {SHORT_HINT}"), idle, format!("{used}: send load")]
        }
    }
}

/// Formats a size for people.
pub(in crate::cli) fn format_megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Formats counts of runs for people.
pub(in crate::cli) fn format_run_counts(runs: usize, partials: usize) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let whole = (runs > 0 || partials == 0).then(|| format!("{runs} run{}", plural(runs)));
    let partial = (partials > 0).then(|| format!("{partials} partial run{}", plural(partials)));
    whole.into_iter().chain(partial).collect::<Vec<_>>().join(" and ")
}

fn describe_pins(pins: Pins<'_>) -> String {
    match pins.image {
        Some((name, digest)) => format!("{} in {name} as {}", pins.go, shorten_digest(digest)),
        None => pins.go.to_owned(),
    }
}

/// Shortens a digest to its first 12 digits, as the `docker` command does.
fn shorten_digest(image: &str) -> &str {
    let digest = image.rsplit_once('@').map_or(image, |(_, digest)| digest);
    digest.get(..19).unwrap_or(digest)
}

fn describe_recording(
    frequency: u32,
    event: &ChosenEvent,
    outcome: &Outcome,
    figures: Option<SamplingFigures>,
) -> String {
    let mut text = format!("{:.1} s at {frequency} Hz, {}", outcome.window().as_secs_f64(), event.spec.source.name());
    if !event.spec.kernel {
        text.push_str(" (user space only)");
    }
    if let Some(figures) = figures {
        // Writing to a string cannot fail.
        let _ = write!(text, ", {}, {} lost", format_samples(figures.samples), figures.lost);
    }
    text
}

/// Says how far the samples and the CPU profile of Go's runtime agree.
fn describe_cross_check(check: &CrossCheck) -> String {
    let reason = |reason: DifferenceReason| match reason {
        DifferenceReason::Chance => "too few samples to tell",
        DifferenceReason::KernelTime => "time in the kernel",
        DifferenceReason::Cgo => "runtime/pprof does not see into C code",
        DifferenceReason::UnwalkedStack => "runtime/pprof does not walk these stacks",
        DifferenceReason::SignalBias => "signals come late in this code",
    };
    let beyond_chance = check.differing_functions().filter(|row| row.reason != Some(DifferenceReason::Chance));
    let listed: Vec<String> = beyond_chance
        .take(SHOWN_DIFFERENCES)
        .map(|row| {
            let why = row.reason.map_or("for an unknown reason", reason);
            format!("{} {:.1} % against {:.1} % ({why})", row.name, row.sampled_percent, row.fetched_percent)
        })
        .collect();
    if !listed.is_empty() {
        return format!("samples with runtime/pprof: {}", listed.join(", "));
    }
    match check.functions.first() {
        Some(row) if row.needs_explanation() => {
            "samples with runtime/pprof: they agree as far as so few samples can".to_owned()
        }
        Some(row) => {
            format!("samples with runtime/pprof: the shares differ by at most {:.1} points", row.points.value.abs())
        }
        None => String::new(),
    }
}

/// Says where the samples of an incomplete run are kept.
fn describe_kept_samples(perf_data: &Path) -> String {
    let perf_data = fsio::relative_to_cwd(perf_data).as_os_str();
    format!(
        "what was sampled is kept, and may hold parts of the program's memory: `{}`",
        quote_command(&["goflame".as_ref(), "report".as_ref(), perf_data])
    )
}

/// Settings that profile a server under load.
fn describe_server_keys(address: SocketAddr) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let at = format!("{host}:{}", address.port());
    format!(
        "    [workload]\n    ready    = {{ tcp = \"{at}\" }}\n    warmup   = \"2s\"\n    duration = \"10s\"\n    \
         load     = [\"wrk\", \"-t2\", \"-c32\", \"-d12s\", \"--latency\", \"http://{at}/\"]"
    )
}

fn describe_early_end(status: ExitStatus, ending: Ending) -> String {
    let end = match status {
        ExitStatus::Code(_) => format!("ended with {status}"),
        ExitStatus::Signal(_) => format!("was {status}"),
    };
    let text = match ending {
        Ending::ByItself | Ending::StillRuns | Ending::Stopped => format!("the workload {end}"),
        Ending::Interrupted(_) => format!("the workload was interrupted and {end}"),
        Ending::TimedOut => format!("the workload reached its timeout (timeout in [workload]) and {end}"),
    };
    format!("{text}; the profile shows the time until then")
}
