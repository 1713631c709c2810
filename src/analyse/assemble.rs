//! Step three: named places and counted stacks become a profile, with the figures that judge it.

use std::collections::BTreeMap;

use super::collect::{Collected, Place, collect};
use super::symbols::{Opened, Resolved, Symbolizer, Unnamed};
use super::{Error, Images, Options};
use crate::perfdata::abi::{event_type, flag, sample_type};
use crate::perfdata::{self, PerfData, RecordKind};
use crate::profile::{CpuSeen, Event, Profile, Quality, Sample, StackId, Unit};

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
    /// The distinct kernel addresses, for keeping the symbols that name them.
    pub kernel_addresses: Vec<u64>,
    /// What the user should know about the file, one sentence each.
    pub notes: Vec<String>,
}

/// Analyses the event of a recording that has the most samples.
pub fn analyse(data: &PerfData<'_>, images: &mut dyn Images, options: &Options) -> Result<Analysis, Error> {
    let event_index = most_sampled(data);
    let recorded = data.events().get(event_index).ok_or(Error::NoEvent)?;
    let (event, clock_period) = describe(recorded);
    let max_stack = match recorded.attr.sample_max_stack {
        0 => options.max_stack.unwrap_or(DEFAULT_MAX_STACK),
        own => u32::from(own),
    };
    let kernel_sampled = Some(recorded.attr.flags & flag::EXCLUDE_KERNEL == 0);
    let mut collected = collect(data, event_index, clock_period, max_stack);
    if collected.records == 0
        && let Some(damage) = collected.damage.take()
    {
        return Err(Error::NoRecords(damage));
    }

    let opened = Opened::open(&collected, images);
    let mut profile = Profile::new(event);
    let first = collected.first_time.unwrap_or(0);
    profile.duration_ns = collected.last_time.saturating_sub(first);
    profile.start_time_ns = wall_time(data, first);
    let kernel = kernel_symbols(data, &collected, options);
    let mut symbolizer = Symbolizer::new(&collected, &opened, kernel, &mut profile);
    let resolved: Vec<Resolved> =
        collected.places.iter().map(|place| symbolizer.resolve(*place, &mut profile)).collect();

    let mut quality = Quality {
        event: recorded.name.clone(),
        samples: collected.samples,
        lost: collected.lost.max(options.lost.unwrap_or(0)),
        throttled: collected.throttled,
        truncated_stacks: collected.truncated,
        kernel_sampled,
        complete_file: data.is_complete() && collected.damage.is_none(),
        other_events: collected.other_events,
        ..Quality::default()
    };
    let mut unnamed = BTreeMap::new();
    let stacks: Vec<Stack> =
        collected.stacks.iter().map(|stack| assemble(stack, &collected, &resolved, &mut profile)).collect();
    for (counted, count, weight) in &collected.counts {
        let Some(stack) = stacks.get(counted.stack as usize) else { continue };
        stack.account(*count, &mut quality, &mut unnamed);
        let process = collected.processes.get(counted.process as usize).map_or("", String::as_str);
        let process = profile.intern(process);
        profile.add_sample(Sample {
            stack: stack.id,
            process,
            pid: counted.pid,
            tid: counted.tid,
            count: *count,
            weight: *weight,
        });
    }
    quality.unnamed_reasons = Unnamed::ranked(&unnamed, &symbolizer.reasons);
    if let (Unit::Nanoseconds, Some(used_seconds)) = (profile.event.unit, options.used_cpu_seconds) {
        quality.cpu = Some(CpuSeen { sampled_seconds: profile.total_weight() as f64 / NANOSECONDS, used_seconds });
    }
    Ok(Analysis { profile, quality, kernel_addresses: kernel_addresses(&collected), notes: notes(&collected) })
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

/// One stack of the profile, and what a sample of it adds to the figures.
struct Stack {
    id: StackId,
    has_user: bool,
    rooted: bool,
    user_frames: u64,
    kernel_frames: u64,
    unnamed_user: Vec<Unnamed>,
    unnamed_kernel: Vec<Unnamed>,
}

impl Stack {
    fn account(&self, count: u64, quality: &mut Quality, unnamed: &mut BTreeMap<Unnamed, u64>) {
        quality.user_stacks += u64::from(self.has_user) * count;
        quality.rooted_stacks += u64::from(self.rooted) * count;
        quality.user_frames += self.user_frames * count;
        quality.kernel_frames += self.kernel_frames * count;
        quality.unnamed_user_frames += self.unnamed_user.len() as u64 * count;
        quality.unnamed_kernel_frames += self.unnamed_kernel.len() as u64 * count;
        for reason in self.unnamed_user.iter().chain(&self.unnamed_kernel) {
            *unnamed.entry(*reason).or_insert(0) += count;
        }
    }
}

/// A raw stack (leaf first) as a stack of the profile.
fn assemble(raw: &[u32], collected: &Collected, resolved: &[Resolved], profile: &mut Profile) -> Stack {
    let places = raw.iter().filter_map(|id| {
        let at = *id as usize;
        Some((collected.places.get(at)?, resolved.get(at)?))
    });
    let mut kept = Vec::with_capacity(raw.len());
    for (place, found) in places {
        kept.push((place, found));
        if found.ends_stack {
            break;
        }
    }
    let mut stack = Stack {
        id: StackId::EMPTY,
        has_user: false,
        rooted: false,
        user_frames: 0,
        kernel_frames: 0,
        unnamed_user: Vec::new(),
        unnamed_kernel: Vec::new(),
    };
    for (depth, (place, found)) in kept.iter().rev().enumerate() {
        for frame in &found.frames {
            stack.id = profile.push(stack.id, *frame);
        }
        let frames = found.frames.len() as u64;
        if matches!(place, Place::Kernel(_)) {
            stack.kernel_frames += frames;
            stack.unnamed_kernel.extend(found.unnamed);
        } else {
            stack.has_user = true;
            stack.rooted |= depth == 0 && found.is_root;
            stack.user_frames += frames;
            stack.unnamed_user.extend(found.unnamed);
        }
    }
    stack
}

/// The event in words, and what a sample stands for where it does not say so itself.
fn describe(recorded: &perfdata::Event) -> (Event, Option<u64>) {
    const COUNT_SW_CPU_CLOCK: u64 = 0;
    const COUNT_SW_TASK_CLOCK: u64 = 1;
    let attr = &recorded.attr;
    let is_clock = attr.kind == event_type::SOFTWARE && matches!(attr.config, COUNT_SW_CPU_CLOCK | COUNT_SW_TASK_CLOCK);
    let frequency = if attr.flags & flag::FREQ != 0 { attr.sample_period_or_freq } else { 0 };
    let event =
        Event { name: recorded.name.clone(), unit: if is_clock { Unit::Nanoseconds } else { Unit::Events }, frequency };
    // The kernel turns a frequency into a fixed period for its clocks (perf_swevent_init_hrtimer).
    let silent = is_clock && frequency > 0 && attr.sample_type & sample_type::PERIOD == 0;
    (event, silent.then(|| 1_000_000_000_u64.checked_div(frequency)).flatten())
}

/// Kernel symbols, unless they are of another kernel or boot than the recording, or nothing tells.
fn kernel_symbols<'o>(
    data: &PerfData<'_>,
    collected: &Collected,
    options: &'o Options,
) -> Result<&'o super::KernelSymbols, String> {
    let absent = || options.kernel_absent.clone().unwrap_or_else(|| "no kernel symbols were given".into());
    let symbols = options.kernel.as_ref().ok_or_else(absent)?;
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
        _ => Ok(symbols),
    }
}

/// The wall time of a moment of the event's clock, where the file ties the two together.
fn wall_time(data: &PerfData<'_>, time: u64) -> u64 {
    data.features().clock.as_ref().map_or(0, |clock| clock.wall_ns.saturating_add(time).saturating_sub(clock.clock_ns))
}

fn kernel_addresses(collected: &Collected) -> Vec<u64> {
    let kernel = collected.places.iter().filter_map(|place| match place {
        Place::Kernel(address) => Some(*address),
        _ => None,
    });
    kernel.collect()
}

fn notes(collected: &Collected) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(damage) = &collected.damage {
        // That a recording was merely cut off is for the quality to say.
        notes.push(format!("the file is damaged, and was read up to there: {damage}"));
    }
    notes
}
