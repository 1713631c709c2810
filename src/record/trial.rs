//! A trial: a recording of goflame itself for a few milliseconds. It shows which parts of samples the kernel really
//! delivers.
//!
//! It opens the same event and uses the same writer and reader as a recording, but in memory. The records are then
//! counted.

use std::hint::black_box;
use std::io::Cursor;
use std::time::{Duration, Instant};

use super::event::{ChosenEvent, file_event};
use crate::perfdata::abi::context;
use crate::perfdata::{self, Features, PerfData, RecordKind, Sample, Writer};
use crate::perfevent::{self, MIN_RING_BYTES, Rings, Spec, Target, TrialCounts, open};

/// Maximum CPU time of a trial. A trial that has seen all parts of samples ends at once. The limit is CPU time, because
/// a trial on a busy machine can get very little CPU time within a limit of wall-clock time.
const MAX_CPU_TIME: Duration = Duration::from_millis(50);
/// Maximum wall-clock time of a trial, even on a busy machine.
const MAX_WALL_TIME: Duration = Duration::from_secs(2);
/// CPU time that goflame spends in user or kernel mode before it reads the records.
const TURN_TIME: Duration = Duration::from_micros(700);
/// Samples per second, if the kernel permits this frequency. Gives a few samples in each turn.
const FREQUENCY: u32 = 9973;

/// Why a trial failed although the event could be opened before.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// The kernel refused the event.
    #[error(transparent)]
    Event(#[from] perfevent::Error),
    /// The kernel's records do not have the documented format.
    #[error("the records of the trial cannot be read")]
    Records(#[from] perfdata::Error),
}

/// Whether all parts of samples that `spec` requests have arrived.
fn is_complete(arrived: &TrialCounts, spec: &Spec) -> bool {
    let stack = spec.stack == 0 || arrived.stack_copies > 0;
    let kernel = !spec.kernel || arrived.kernel_stacks > 0;
    arrived.user_stacks > 0 && arrived.registers > 0 && stack && kernel && arrived.switches != Some(0)
}

fn count_parts(arrived: &mut TrialCounts, sample: &Sample<'_>) {
    let (mut user, mut kernel, mut in_user) = (false, false, false);
    for address in sample.callchain.clone() {
        match address {
            context::USER => in_user = true,
            context::KERNEL => in_user = false,
            _ if in_user => user = true,
            _ => kernel = true,
        }
    }
    arrived.samples += 1;
    arrived.user_stacks += u64::from(user);
    arrived.kernel_stacks += u64::from(kernel);
    arrived.registers += u64::from(sample.user_regs.is_some());
    arrived.stack_copies += u64::from(sample.user_stack.is_some_and(|stack| !stack.is_empty()));
}

/// Samples the calling thread with the chosen event while the thread computes, calls the kernel and sleeps. Ends when
/// all requested parts of samples have arrived, or at a time limit.
pub fn sample_self(chosen: &ChosenEvent, cpus: &[u32]) -> Result<TrialCounts, TrialError> {
    let (mut rings, spec) = open_with_switches(&chosen.spec, cpus)?;
    let mut arrived = TrialCounts { switches: spec.switches.then_some(0), ..TrialCounts::default() };
    rings.enable()?;
    let (begun, spent) = (Instant::now(), thread_cpu_time());
    while !is_complete(&arrived, &spec)
        && thread_cpu_time().saturating_sub(spent) < MAX_CPU_TIME
        && begun.elapsed() < MAX_WALL_TIME
    {
        spend_user_time();
        spend_kernel_time();
        std::thread::sleep(Duration::from_micros(50));
        count_new_records(&mut arrived, &mut rings, &spec)?;
    }
    rings.disable();
    Ok(arrived)
}

/// Opens the chosen event with context switches and a high frequency, as far as the kernel permits.
fn open_with_switches(chosen: &Spec, cpus: &[u32]) -> Result<(Rings, Spec), perfevent::Error> {
    let eager = Spec { switches: true, frequency: chosen.frequency.max(FREQUENCY), ..chosen.clone() };
    let switches = Spec { frequency: chosen.frequency, ..eager.clone() };
    for spec in [eager, switches] {
        if let Ok(rings) = open(&spec, Target::CallingThread, cpus, MIN_RING_BYTES) {
            return Ok((rings, spec));
        }
    }
    Ok((open(chosen, Target::CallingThread, cpus, MIN_RING_BYTES)?, chosen.clone()))
}

/// Counts the records since the last call.
fn count_new_records(arrived: &mut TrialCounts, rings: &mut Rings, spec: &Spec) -> Result<(), perfdata::Error> {
    let mut writer = Writer::create(Cursor::new(Vec::new()), &[file_event(spec, Target::CallingThread, rings)])?;
    rings.drain(|kind, misc, body| writer.record(kind, misc, body))?;
    let file = writer.finish(&Features::default())?.into_inner();
    for record in PerfData::parse(&file)?.records() {
        match record?.kind {
            RecordKind::Sample(sample) => count_parts(arrived, &sample),
            RecordKind::Switch { .. } => arrived.switches = arrived.switches.map(|count| count + 1),
            _ => {}
        }
    }
    Ok(())
}

fn thread_cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default())
}

fn spend_user_time() {
    let until = thread_cpu_time() + TURN_TIME;
    let mut number = 1_u64;
    while thread_cpu_time() < until {
        for _ in 0..20_000 {
            number = black_box(number.rotate_left(7).wrapping_mul(31));
        }
    }
}

/// Reading `/proc/self/status` uses CPU time mostly in the kernel.
fn spend_kernel_time() {
    let until = thread_cpu_time() + TURN_TIME;
    while thread_cpu_time() < until {
        black_box(std::fs::read("/proc/self/status").ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EventChoice, Kernel};
    use crate::record::choose_event;

    #[test]
    fn all_parts_that_the_chosen_event_requests_arrive() {
        let number = std::thread::available_parallelism().map_or(1, usize::from);
        let cpus: Vec<u32> = (0..).take(number).collect();
        let chosen = choose_event(EventChoice::Auto, Kernel::Auto, 997, 1024, &cpus);
        let chosen = chosen.unwrap_or_else(|error| panic!("this test needs perf events: {error}"));
        let arrived = sample_self(&chosen, &cpus).unwrap_or_else(|error| panic!("{error}"));
        assert!(is_complete(&arrived, &Spec { switches: true, ..chosen.spec.clone() }), "{arrived:?}");
        assert_eq!(arrived.kernel_stacks > 0, chosen.spec.kernel, "{arrived:?}");
    }

    #[test]
    fn a_trial_with_a_missing_part_is_not_complete() {
        let spec = Spec {
            source: crate::perfevent::Source::CpuClock,
            frequency: 997,
            kernel: false,
            stack: 0,
            build_ids: false,
            count_lost: false,
            switches: true,
        };
        let all = TrialCounts { samples: 1, user_stacks: 1, registers: 1, switches: Some(1), ..TrialCounts::default() };
        assert!(is_complete(&all, &spec));
        assert!(!is_complete(&all, &Spec { kernel: true, ..spec.clone() }));
        assert!(!is_complete(&all, &Spec { stack: 8, ..spec.clone() }));
        assert!(!is_complete(&TrialCounts { switches: Some(0), ..all }, &spec));
        assert!(is_complete(&TrialCounts { switches: None, ..all }, &spec));
        assert!(!is_complete(&TrialCounts { registers: 0, ..all }, &spec));
    }
}
