//! Step three: named places and counted stacks become a profile, with the figures that judge it.

use super::collect::{Collected, Settings};
use super::facts::Facts;
use super::files::{Binaries, Files};
use super::goroutine::Readings;
use super::locations::add_locations;
use super::place::Place;
use super::shards::collect_all;
use super::stacks::{account, add_samples};
use super::symbols::name_all;
use super::{Error, Images, KernelSymbols, Options};
use crate::memory::give_back;
use crate::perfdata::abi::{event_type, flag, sample_type};
use crate::perfdata::{self, PerfData, RecordKind};
use crate::profile::{CpuSeen, Event, Profile, Quality, Unit};

/// Depth at which the kernel stops walking, unless `kernel.perf_event_max_stack` says otherwise.
const DEFAULT_MAX_STACK: u32 = 127;

const NANOSECONDS: f64 = 1e9;

/// What the records amount to.
#[derive(Debug)]
pub struct Analysis {
    /// The profile.
    pub profile: Profile,
    /// How far it can be trusted.
    pub quality: Quality,
    /// What names the kernel addresses again, on another day; `None` when there is nothing to name, or to name it by.
    pub kernel: Option<NamedKernel>,
    /// What the user should know about the file, one sentence each.
    pub notes: Vec<String>,
}

/// The kernel symbols that were used, and what for.
#[derive(Debug)]
pub struct NamedKernel {
    symbols: KernelSymbols,
    addresses: Vec<u64>,
}

impl NamedKernel {
    /// The lines of `/proc/kallsyms` that are needed for that.
    pub fn lines(&self) -> String {
        self.symbols.subset(&self.addresses)
    }
}

/// Analyses the event of a recording that has the most samples. Kernel symbols for the
/// addresses that are to be named, or the reason why there are none, are asked for once, after the records were read.
pub fn analyse(
    mut data: PerfData<'_>,
    images: &dyn Images,
    kernel: impl FnOnce(&[u64]) -> Result<KernelSymbols, String>,
    options: &Options<'_>,
) -> Result<Analysis, Error> {
    let event_index = most_sampled(&data);
    let recorded = data.events().get(event_index).ok_or(Error::NoEvent)?.clone();
    let (event, clock_period) = describe(&recorded);
    let max_stack = match recorded.attr.sample_max_stack {
        0 => options.max_stack.unwrap_or(DEFAULT_MAX_STACK),
        own => u32::from(own),
    };
    let kernel_sampled = recorded.attr.flags & flag::EXCLUDE_KERNEL == 0;
    let build_ids = data.features().build_ids.clone();
    let files = Files::of(&data, &build_ids, images);
    let binaries = Binaries::of(&files);
    let settings = Settings {
        event: event_index,
        clock_period,
        max_stack,
        goroutines: Readings::of(options.goroutines),
        passed: options.passed.unwrap_or(&|_| ()),
    };
    let (mut collected, stacks) = collect_all(&data, &files, &binaries, &settings);
    (settings.passed)(0..usize::MAX);
    data.forget_records();
    collected.places.freeze();
    if collected.counts.records == 0
        && let Some(damage) = collected.damage.take()
    {
        return Err(Error::NoRecords(damage));
    }

    let addresses = kernel_addresses(&collected);
    let fitting = kernel(&addresses).and_then(|kernel| fits(&kernel, &data, &collected, options).map(|()| kernel));
    let symbols = fitting.as_ref().map_err(String::as_str);
    let (places, kernel_code) = (&collected.places, &collected.kernel_code);
    let mut profile = Profile::new(event);
    let name = || name_all(&places.list, &files.keys, &binaries, symbols, kernel_code);
    let (named, (stacks, samples)) = rayon::join(name, || stacks.join());
    let facts = Facts::of(&named, places.list.len());
    let counts = &collected.counts;
    let mut quality = Quality {
        event: recorded.name,
        samples: Some(counts.samples),
        lost: Some(counts.lost.max(options.lost.unwrap_or(0))),
        throttled: Some(counts.throttled),
        truncated_stacks: Some(counts.truncated),
        stack_copies: counts.copies,
        repaired_stacks: counts.repaired,
        cut_stacks: counts.cut,
        kernel_sampled: Some(kernel_sampled),
        complete_file: data.is_complete() && collected.damage.is_none(),
        other_events: counts.other_events,
        ..Quality::default()
    };
    let first = collected.first_time.unwrap_or(0);
    profile.duration_ns = collected.last_time.saturating_sub(first);
    profile.start_time_ns = wall_time(&data, first);
    let locate = || add_locations(named, places, &files.keys, &binaries, &mut profile);
    let count = || account(&stacks, &samples, &facts, &mut quality);
    let (leaves, unlike) = rayon::join(locate, count);
    let kernel = fitting.ok().filter(|_| !addresses.is_empty()).map(|symbols| NamedKernel { symbols, addresses });
    let mut notes = notes(&collected);
    let add = || add_samples(&collected, (stacks, samples), unlike, (&facts, &leaves), &mut profile);
    let forget = || {
        drop(binaries);
        give_back();
    };
    rayon::join(add, forget);
    if quality.stack_copies == 0 && profile.functions().any(|(_, function)| function.origin.is_go()) {
        notes.push(
            "the recording has no user registers with stack copies: stacks are as frame pointers gave them, without the \
             callers of functions that had no frame"
                .to_owned(),
        );
    }
    if let (Unit::Nanoseconds, Some(used_seconds)) = (profile.event.unit, options.used_cpu_seconds) {
        quality.cpu = Some(CpuSeen { sampled_seconds: profile.total_weight() as f64 / NANOSECONDS, used_seconds });
    }
    Ok(Analysis { profile, quality, kernel, notes })
}

/// The event with the most samples, by position; the first of several.
fn most_sampled(data: &PerfData<'_>) -> usize {
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
    let most = counts.iter().max().copied().unwrap_or(0);
    counts.iter().position(|count| *count == most).unwrap_or(0)
}

/// The event in words, and what a sample stands for where it does not say so itself.
fn describe(recorded: &perfdata::Event) -> (Event, Option<u64>) {
    const COUNT_SW_CPU_CLOCK: u64 = 0;
    const COUNT_SW_TASK_CLOCK: u64 = 1;
    let attr = &recorded.attr;
    let is_clock = attr.kind == event_type::SOFTWARE && matches!(attr.config, COUNT_SW_CPU_CLOCK | COUNT_SW_TASK_CLOCK);
    let frequency = if attr.flags & flag::FREQ != 0 { attr.sample_period_or_freq } else { 0 };
    let event = Event {
        name: recorded.name.clone(),
        counted: Event::SAMPLES.to_owned(),
        unit: if is_clock { Unit::Nanoseconds } else { Unit::Events },
        frequency,
    };
    // The kernel turns a frequency into a fixed period for its clocks (perf_swevent_init_hrtimer).
    let silent = is_clock && frequency > 0 && attr.sample_type & sample_type::PERIOD == 0;
    (event, silent.then(|| 1_000_000_000_u64.checked_div(frequency)).flatten())
}

/// The addresses that kernel symbols are to name.
fn kernel_addresses(collected: &Collected) -> Vec<u64> {
    let kernel = collected.places.list.iter().filter_map(|place| match place {
        Place::Kernel(address) if collected.kernel_code.name(*address).is_none() => Some(*address),
        _ => None,
    });
    kernel.collect()
}

/// Fails when kernel symbols are of another kernel or boot than the recording, or nothing tells.
fn fits(
    symbols: &KernelSymbols,
    data: &PerfData<'_>,
    collected: &Collected,
    options: &Options<'_>,
) -> Result<(), String> {
    if let Some(own) = &options.kernel_release {
        match &data.features().os_release {
            Some(recorded) if recorded != own => {
                return Err(format!("the recording is of another kernel ({recorded}) than this machine's"));
            }
            _ if collected.kernel_text.is_none_or(|text| text == 0) => {
                return Err("the recording does not say where its kernel was".into());
            }
            _ => {}
        }
    }
    match (collected.kernel_text, symbols.text().map(|text| text.start)) {
        (Some(recorded), Some(own)) if recorded != 0 && recorded != own => {
            Err("the kernel symbols are of another boot or machine than the recording".into())
        }
        _ => Ok(()),
    }
}

/// The wall time of a moment of the event's clock, where the file ties the two together.
fn wall_time(data: &PerfData<'_>, time: u64) -> u64 {
    data.features().clock.as_ref().map_or(0, |clock| clock.wall_ns.saturating_add(time).saturating_sub(clock.clock_ns))
}

fn notes(collected: &Collected) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(damage) = &collected.damage {
        // That a recording was merely cut off is for the quality to say.
        notes.push(format!("the file is damaged, and was read up to there: {damage}"));
    }
    notes
}
