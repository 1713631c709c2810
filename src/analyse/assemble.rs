//! Step 3 of the analysis: makes a profile from named locations and counted stacks, and computes its quality figures.

use std::collections::BTreeSet;
use std::ops::Range;

use super::collect::{CollectSettings, Collected, MissingCallerCounts, RecordCounts};
use super::error::Error;
use super::files::{Binaries, Files, SampledFile, UNNAMED_GENERATED};
use super::generated::GeneratedCode;
use super::goroutine::GoroutineReadings;
use super::kernel::KernelSymbols;
use super::labels::{LATE_LABEL_NAME, LATE_LABEL_VALUE, Labels};
use super::left_stacks::LeftStacks;
use super::location_flags::LocationFlags;
use super::locations::add_locations;
use super::raw_location::RawLocation;
use super::repaired::{OpenTemporary, RepairedRecording, Rewrite};
use super::shards::collect_all;
use super::stacks::{add_samples, count_frames_and_list_altered};
use super::symbols::name_all;
use crate::perfdata::abi::{event_type, flag, sample_type};
use crate::perfdata::{self, Attr, PerfData, RecordKind, Repairs, Rewriting};
use crate::profile::{CpuCoverage, Event, FEW_SAMPLES, Profile, Quality, Unit, format_percent};
use crate::sources::{CodeFile, GoroutineReading, Images, LabelReadings, LeftStackReadings};

/// Default of `kernel.perf_event_max_stack`: the number of addresses at which the kernel stops walking a stack.
const DEFAULT_MAX_STACK: u32 = 127;

const NANOSECONDS_PER_SECOND: f64 = 1e9;

/// Number of `CLOCK_MONOTONIC` (`clock_gettime(2)`).
const CLOCK_MONOTONIC: i32 = 1;

/// Input of the analysis in addition to the recording.
#[derive(Clone, Copy, Default)]
pub struct AnalyseOptions<'o> {
    /// Name of the event to analyse. `None` for the event with the most samples.
    pub event: Option<&'o str>,
    /// Whether to keep the time of each sample in the profile, for [`Profile::timed_samples`].
    pub keep_times: bool,
    /// Kernel release of the kernel symbols. `None` if the symbols certainly belong to the recording.
    pub kernel_release: Option<&'o str>,
    /// `kernel.perf_event_max_stack` at the time of the recording; 127 by default.
    pub max_stack: Option<u32>,
    /// CPU seconds that the workload used (getrusage), to compare with the sampled CPU seconds.
    pub used_cpu_seconds: Option<f64>,
    /// Number of records that the kernel dropped, as the sampler counted them. The file can have a smaller number.
    pub lost: Option<u64>,
    /// The goroutine descriptors that the recorder read.
    pub goroutines: &'o [GoroutineReading],
    /// The profiler labels that the recorder read.
    pub labels: Option<&'o LabelReadings>,
    /// The left stacks that the recorder read.
    pub left_stacks: Option<&'o LeftStackReadings>,
    /// The files in which programs named their generated code.
    pub code_files: &'o [CodeFile],
    /// Opens an empty temporary file for the rewritten recording. `None` if no rewritten recording is wanted.
    pub rewrite: Option<OpenTemporary<'o>>,
    /// Releases the memory of a range of the recording's bytes that was read and is rarely needed again. Called from
    /// several threads.
    pub release: Option<&'o (dyn Fn(Range<usize>) + Sync)>,
}

/// Result of an analysis.
pub struct Analysis {
    /// The profile.
    pub profile: Profile,
    /// Figures that say how far the profile can be trusted.
    pub quality: Quality,
    /// The kernel symbols for the kernel addresses of the profile. `None` without kernel addresses, and without symbols of
    /// this kernel and boot.
    pub kernel: Option<UsedKernelSymbols>,
    /// Whether the samples have registers or stack copies.
    pub has_registers_or_copies: bool,
    /// The rewritten recording. `None` if it was not requested, if the recording is damaged or was cut off, and if its
    /// samples have no registers and no stack copies.
    pub repaired: Option<RepairedRecording>,
    /// Names of events whose samples were not analysed.
    pub other_events: Vec<String>,
    /// The files whose code is on any sampled stack.
    pub sampled_files: Vec<SampledFile>,
    /// Notes on the recording for the user, one sentence each.
    pub notes: Vec<String>,
}

/// Kernel symbols, and the addresses for which they were used.
#[derive(Debug)]
pub struct UsedKernelSymbols {
    symbols: KernelSymbols,
    addresses: Vec<u64>,
}

impl UsedKernelSymbols {
    /// Adds the addresses of another recording of the same kernel.
    pub fn extend(&mut self, other: Self) {
        self.addresses.extend(other.addresses);
    }

    /// The lines of `/proc/kallsyms` that name these addresses.
    pub fn to_kallsyms(&self) -> String {
        self.symbols.to_kallsyms_for(&self.addresses)
    }
}

/// The user gets a note about a problem that affects at least 1/100 of the stack copies or of the user frames.
const NOTABLE_FRACTION_DIVISOR: u64 = 100;
/// Number of bytes that the suggested stack copy has beyond the return address that was missing. In most programs,
/// these bytes contain the callers up to the root.
const EXTRA_COPY_BYTES: u64 = 4096;
/// Maximum size of a stack copy (`perf_copy_attr` in kernel/events/core.c).
const MAX_COPY_BYTES: u64 = 65_528;

/// Analyses one event of a recording: the [requested](AnalyseOptions::event) event, or the event with the most samples.
/// `kernel` is called once, after the records were read. It gets the kernel addresses to name, and returns the kernel
/// symbols or the reason why they are missing.
pub fn analyse(
    mut data: PerfData<'_>,
    images: &dyn Images,
    kernel: impl FnOnce(&[u64]) -> Result<KernelSymbols, String>,
    options: &AnalyseOptions<'_>,
) -> Result<Analysis, Error> {
    let counts = sample_counts(&data);
    let event_index = choose_event(&counts, data.events(), options.event)?;
    let recorded = data.events().get(event_index).ok_or(Error::NoEvent)?.clone();
    let others = data.events().iter().zip(counts).enumerate();
    let others = others.filter(|(at, (_, count))| *at != event_index && *count > 0);
    let other_events = others.map(|(_, (event, _))| event.name.clone()).collect();
    let (event, clock_period) = describe_event(&recorded, data.features().repairs.as_ref());
    let max_stack = match recorded.attr.sample_max_stack {
        0 => options.max_stack.unwrap_or(DEFAULT_MAX_STACK),
        own => u32::from(own),
    };
    let has_registers_or_copies = recorded.attr.sample_type & (sample_type::REGS_USER | sample_type::STACK_USER) != 0;
    let rewriting = Rewriting::new(data.events()).filter(|_| has_registers_or_copies);
    let rewrite = rewriting.and_then(|form| Some(Rewrite { form, open: options.rewrite? }));
    let build_ids = data.features().build_ids.clone();
    let rewritten_labels = data.features().repairs.as_ref().map(|repairs| repairs.label_sets.clone());
    let files = Files::new(&data, &build_ids, images);
    let binaries = Binaries::new(&files);
    let generated = GeneratedCode::new(options.code_files, is_monotonic(&recorded.attr));
    let labels = Labels::new(rewritten_labels.as_deref(), options.labels);
    let settings = CollectSettings {
        event: event_index,
        clock_period,
        max_stack,
        keep_times: options.keep_times && recorded.attr.sample_type & sample_type::TIME != 0,
        goroutines: GoroutineReadings::new(options.goroutines),
        labels: &labels,
        left_stacks: LeftStacks::new(options.left_stacks),
        generated: &generated,
        repairs: data.features().repairs.as_ref(),
        rewrite,
        release: options.release.unwrap_or(&|_| ()),
    };
    let (mut collected, stacks) = collect_all(&data, &files, &binaries, &settings);
    (settings.release)(0..usize::MAX);
    if let Some(repairs) = settings.repairs {
        collected.counts.missing_callers.needed_copy_bytes = repairs.needed_copy_bytes;
    }
    data.release_records();
    collected.locations.release_index();
    if collected.counts.records == 0
        && let Some(damage) = collected.damage.take()
    {
        return Err(Error::NoRecords(damage));
    }

    let addresses = kernel_addresses(&collected);
    let fitting = kernel(&addresses).and_then(|symbols| {
        check_kernel_symbols(&symbols, &data, &collected, options).map_err(|mismatch| mismatch.to_string())?;
        Ok(symbols)
    });
    let symbols = fitting.as_ref().map_err(String::as_str);
    let rewritten = std::mem::take(&mut collected.rewritten);
    let needed_copy_bytes = collected.counts.missing_callers.needed_copy_bytes;
    let is_complete = data.is_complete() && collected.damage.is_none();
    let repaired = rewrite.filter(|_| is_complete).map(|Rewrite { form, .. }| {
        let unused = files.unused_paths(collected.locations.list.iter().filter_map(|location| location.file()));
        RepairedRecording::new(rewritten, form, &data, needed_copy_bytes, labels.sets, unused)
    });
    let (locations, kernel_code) = (&collected.locations, &collected.kernel_code);
    let mut profile = Profile::new(event);
    let name = || name_all(&locations.list, &files.keys, &binaries, symbols, kernel_code, &generated);
    let (named, (stacks, samples)) = rayon::join(name, || stacks.merge());
    let flags = LocationFlags::new(&named, locations.list.len());
    let mut quality = quality_from_counts(recorded, &collected.counts, is_complete, options.lost);
    let first = collected.first_time.unwrap_or(0);
    profile.duration_ns = collected.last_time.saturating_sub(first);
    profile.first_time_ns = first;
    profile.start_time_ns = wall_time_ns(&data, first);
    let locate = || add_locations(named, locations, &files.keys, &binaries, &mut profile);
    let count = || count_frames_and_list_altered(&stacks, &samples, &flags, &mut quality);
    let (wrappers, altered) = rayon::join(locate, count);
    let kernel = fitting.ok().filter(|_| !addresses.is_empty()).map(|symbols| UsedKernelSymbols { symbols, addresses });
    let mut notes = notes(&collected);
    notes.extend(note_on_goroutines(&quality));
    notes.extend(note_on_labels(&collected.counts));
    notes.extend(generated.notes());
    notes.extend(note_on_unnamed_code(&quality));
    let used_files: BTreeSet<_> = locations.list.iter().filter_map(|location| location.file()).collect();
    let sampled_files: Vec<_> = used_files.into_iter().filter_map(|id| binaries.sampled_file(id)).collect();
    // A file that was replaced during the recording is listed several times.
    let changes: BTreeSet<String> = sampled_files.iter().filter_map(note_on_change).collect();
    notes.extend(changes);
    let add = || add_samples(&collected, (stacks, samples), altered, (&flags, &wrappers, &labels), &mut profile);
    rayon::join(add, || drop(binaries));
    if quality.stack_copies == 0 && profile.functions().any(|(_, function)| function.origin.is_go()) {
        notes.push(
            "the recording has no user registers with stack copies: stacks come from frame pointers alone, so callers of \
             functions without a frame are missing"
                .to_owned(),
        );
    }
    // Without samples, the sampled CPU time is 0, also for an event with another unit.
    let is_time = profile.event.unit == Unit::Nanoseconds || profile.total_count() == 0;
    if let Some(used_seconds) = options.used_cpu_seconds.filter(|_| is_time) {
        quality.cpu =
            Some(CpuCoverage { sampled_seconds: profile.total_weight() as f64 / NANOSECONDS_PER_SECOND, used_seconds });
    }
    Ok(Analysis { profile, quality, kernel, has_registers_or_copies, repaired, other_events, sampled_files, notes })
}

/// The quality figures that follow from the counts of records.
fn quality_from_counts(
    event: perfdata::Event,
    counts: &RecordCounts,
    is_complete: bool,
    lost_in_rings: Option<u64>,
) -> Quality {
    Quality {
        kernel_sampled: Some(event.attr.flags & flag::EXCLUDE_KERNEL == 0),
        event: event.name,
        samples: Some(counts.samples),
        lost: Some(counts.lost_records.max(lost_in_rings.unwrap_or(0))),
        throttled: Some(counts.throttle_records),
        truncated_stacks: Some(counts.truncated_stacks),
        stack_copies: counts.stack_copies,
        repaired_stacks: counts.repaired_stacks,
        cut_stacks: counts.cut_stacks,
        goroutine_samples: counts.goroutine_samples,
        unknown_goroutines: counts.unknown_goroutines,
        foreign_goroutine_registers: counts.foreign_registers,
        complete_file: is_complete,
        other_events: counts.other_event_samples,
        ..Quality::default()
    }
}

/// The position of the event with this name. Without a name, the position of the event with the most samples: the first of
/// several with the same number.
fn choose_event(sample_counts: &[u64], events: &[perfdata::Event], name: Option<&str>) -> Result<usize, Error> {
    let most = sample_counts.iter().max();
    let chosen = match name {
        Some(name) => events.iter().position(|event| event.name == name),
        None => sample_counts.iter().position(|count| Some(count) == most),
    };
    chosen.ok_or_else(|| match name {
        Some(asked) if !events.is_empty() => Error::UnknownEvent {
            asked: asked.to_owned(),
            known: events.iter().map(|event| event.name.clone()).collect(),
        },
        _ => Error::NoEvent,
    })
}

/// The number of samples of each event. If there is only one event, its number is 0, because no choice is needed.
fn sample_counts(data: &PerfData<'_>) -> Vec<u64> {
    let mut counts = vec![0_u64; data.events().len()];
    if counts.len() > 1 {
        for record in data.records().flatten() {
            if let RecordKind::Sample(sample) = record.kind
                && let Some(count) = counts.get_mut(sample.event)
            {
                *count += 1;
            }
        }
    }
    counts
}

/// The event of the profile, and the weight of every sample if the samples have no period.
fn describe_event(recorded: &perfdata::Event, repairs: Option<&Repairs>) -> (Event, Option<u64>) {
    const COUNT_SW_CPU_CLOCK: u64 = 0;
    const COUNT_SW_TASK_CLOCK: u64 = 1;
    let attr = &recorded.attr;
    let is_clock = attr.kind == event_type::SOFTWARE && matches!(attr.config, COUNT_SW_CPU_CLOCK | COUNT_SW_TASK_CLOCK);
    let frequency = attr.frequency();
    if recorded.has_waits_as_samples() {
        return (Event::waits(), None);
    }
    let event = Event {
        name: recorded.name.clone(),
        count_name: Event::SAMPLES.to_owned(),
        unit: if is_clock { Unit::Nanoseconds } else { Unit::Events },
        frequency: repairs.map_or(frequency, |repairs| repairs.frequency),
    };
    // For its clocks, the kernel converts a frequency to a fixed period (perf_swevent_init_hrtimer).
    let without_period = is_clock && frequency > 0 && attr.sample_type & sample_type::PERIOD == 0;
    (event, without_period.then(|| 1_000_000_000_u64.checked_div(frequency)).flatten())
}

/// The kernel addresses to name with kernel symbols. Leaves out code that the recording itself names.
fn kernel_addresses(collected: &Collected) -> Vec<u64> {
    let kernel = collected.locations.list.iter().filter_map(|location| match location {
        RawLocation::Kernel(address) if collected.kernel_code.name(*address).is_none() => Some(*address),
        _ => None,
    });
    kernel.collect()
}

/// Whether the times of an event are times of `CLOCK_MONOTONIC`.
fn is_monotonic(attr: &Attr) -> bool {
    attr.flags & flag::USE_CLOCKID != 0 && attr.clockid == CLOCK_MONOTONIC
}

/// Why kernel symbols must not be used for a recording.
#[derive(Debug, thiserror::Error)]
enum KernelMismatch {
    #[error("the recording is of another kernel ({recorded}) than this machine's")]
    OtherKernel { recorded: String },
    #[error("the recording does not contain the address of its kernel")]
    UnknownAddress,
    #[error("the kernel symbols are of another boot or machine than the recording")]
    OtherBoot,
}

/// Fails if the kernel symbols belong to another kernel or boot than the recording, or possibly do.
fn check_kernel_symbols(
    symbols: &KernelSymbols,
    data: &PerfData<'_>,
    collected: &Collected,
    options: &AnalyseOptions<'_>,
) -> Result<(), KernelMismatch> {
    if let Some(own) = &options.kernel_release {
        match &data.features().os_release {
            Some(recorded) if recorded != own => {
                return Err(KernelMismatch::OtherKernel { recorded: recorded.clone() });
            }
            _ if collected.kernel_text.is_none_or(|text| text == 0) => {
                return Err(KernelMismatch::UnknownAddress);
            }
            _ => {}
        }
    }
    match (collected.kernel_text, symbols.text_range().map(|text| text.start)) {
        (Some(recorded), Some(own)) if recorded != 0 && recorded != own => Err(KernelMismatch::OtherBoot),
        _ => Ok(()),
    }
}

/// Converts a time of the event's clock to wall time in nanoseconds since 1970. 0 if the recording does not relate the two
/// clocks.
fn wall_time_ns(data: &PerfData<'_>, time: u64) -> u64 {
    data.features().clock.as_ref().map_or(0, |clock| clock.wall_ns.saturating_add(time).saturating_sub(clock.clock_ns))
}

fn note_on_change(file: &SampledFile) -> Option<String> {
    let (change, path) = (file.change?, &file.id.path);
    Some(format!("{path}: {change}, so its functions have no names; {}", change.hint()))
}

/// The user gets a note if the goroutine is unknown in more than this share of the samples of goroutines.
const NOTABLE_UNKNOWN_GOROUTINE_SHARE: f64 = 0.05;

fn note_on_goroutines(quality: &Quality) -> Option<String> {
    let (all, unknown) = (quality.goroutine_samples, quality.unknown_goroutines);
    let is_notable = all >= FEW_SAMPLES && unknown as f64 > all as f64 * NOTABLE_UNKNOWN_GOROUTINE_SHARE;
    is_notable.then(|| {
        let unknown = format_percent(unknown, all);
        let note = format!("the goroutine is unknown in {unknown} of the samples of goroutines");
        match quality.foreign_goroutine_registers {
            0 => note,
            foreign => format!(
                "{note}; in {}, assembly or C code uses Go's goroutine register for other values",
                format_percent(foreign, all)
            ),
        }
    })
}

/// The user gets a note if the labels can be wrong in more than this share of the samples with labels.
const NOTABLE_LATE_LABEL_SHARE: f64 = 0.05;

fn note_on_labels(counts: &RecordCounts) -> Option<String> {
    let RecordCounts { labelled_samples: labelled, late_labels: late, .. } = *counts;
    let is_notable = labelled >= FEW_SAMPLES && late as f64 > labelled as f64 * NOTABLE_LATE_LABEL_SHARE;
    is_notable.then(|| {
        format!(
            "{labelled} samples have profiler labels, and in {late} samples the labels are possibly wrong: they can have \
             changed before goflame read them (`--tag-ignore {LATE_LABEL_NAME}={LATE_LABEL_VALUE}` leaves these samples out)"
        )
    })
}

/// A note that explains how to get names for generated code.
fn note_on_unnamed_code(quality: &Quality) -> Option<String> {
    let unnamed = quality.unnamed_reasons.iter().find(|(reason, _)| reason == UNNAMED_GENERATED)?.1;
    (unnamed.saturating_mul(NOTABLE_FRACTION_DIVISOR) >= quality.user_frames).then(|| {
        format!(
            "{} of user frames are in code that was made at run time without names: let its runtime write a perf map or a \
             jitdump (node --perf-basic-prof, python -X perf, DOTNET_PerfMapEnabled=1, wasmtime --profile=perfmap)",
            format_percent(unnamed, quality.user_frames)
        )
    })
}

fn notes(collected: &Collected) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(damage) = &collected.damage {
        // A recording that was only cut off has no damage. The quality figures report the cut.
        notes.push(format!("the file is damaged, and was read only up to the damage: {damage}"));
    }
    let RecordCounts { stack_copies: copies, missing_callers: missing, .. } = &collected.counts;
    let MissingCallerCounts { short_copies, needed_copy_bytes, native_code_samples } = *missing;
    let is_notable = |count: u64| count.saturating_mul(NOTABLE_FRACTION_DIVISOR) >= (*copies).max(1);
    if is_notable(short_copies) {
        let size = needed_copy_bytes.saturating_add(EXTRA_COPY_BYTES).next_multiple_of(1024).min(MAX_COPY_BYTES);
        notes.push(format!(
            "{} of stacks lack callers because the stack copy is too short: set stack = {size} in [record], or --stack {size}",
            format_percent(short_copies, *copies)
        ));
    }
    if is_notable(native_code_samples) {
        notes.push(format!(
            "{} of stacks end in C code that uses the frame pointer for other values: compile it with \
             -fno-omit-frame-pointer (CGO_CFLAGS, CGO_CXXFLAGS)",
            format_percent(native_code_samples, *copies)
        ));
    }
    notes
}
