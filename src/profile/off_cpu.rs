//! Figures about the time that threads were off the CPU.

use serde::{Deserialize, Serialize};

use super::quality::SizeBound;

/// Thread time off the CPU in a run. Times are in seconds, summed over all threads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OffCpuTime {
    /// Waiting time in the profile. If [`from_last_samples`](Self::from_last_samples) is true, this includes the time
    /// of idle threads.
    pub waited_seconds: f64,
    /// Time that threads of Go's runtime had no goroutine to run. Not in the profile.
    pub idle_seconds: f64,
    /// Waiting time of goflame's own threads. Not in the profile.
    #[serde(default)]
    pub goflame_seconds: f64,
    /// Time that threads could have run, but the kernel gave their CPU to another thread. Not in the profile.
    pub preempted_seconds: f64,
    /// Waiting time whose stack is unknown. Not in the profile.
    pub unknown_seconds: f64,
    /// Number of waits that continued when the recording ended. Their time counts up to that moment.
    pub unfinished: u64,
    /// Number of records of context switches that the kernel dropped because a ring buffer was full.
    pub lost: u64,
    /// The maximum size of the recording of waits, if the recording reached it. Later waits are missing.
    pub size_bound: Option<SizeBound>,
    /// Whether each wait has the stack of its thread's last CPU sample, because the kernel forbids samples of context
    /// switches. Such a stack does not show that a thread had no goroutine, so idle threads are in the profile.
    pub from_last_samples: bool,
    /// The most important fact of the profile, as a text for users. `None` until the profile was made, or if it has no
    /// waits.
    pub headline: Option<String>,
}

impl OffCpuTime {
    /// Returns a note if the recording reached its bound, so that later waits are missing.
    pub fn bound_note(&self) -> Option<String> {
        let bound = self.size_bound?;
        Some(format!("the recording of waits is {bound}: the off-CPU profile shows the beginning only"))
    }

    /// Returns notes on which times are in the profile, and which are not.
    pub fn notes(&self) -> Vec<String> {
        let parts = [
            (self.idle_seconds, "of Go's threads without a goroutine"),
            (self.goflame_seconds, "of goflame itself"),
            (self.preempted_seconds, "of threads that another thread displaced"),
            (self.unknown_seconds, "without a known stack"),
        ];
        let parts = parts.iter().filter(|(seconds, _)| *seconds > 0.0);
        let parts: Vec<String> = parts.map(|(seconds, of)| format!("{seconds:.2} s {of}")).collect();
        let left_out = if parts.is_empty() { String::new() } else { format!("; left out: {}", parts.join(", ")) };
        let what = if self.from_last_samples { "time of threads off the CPU" } else { "waiting time of threads" };
        let mut notes = vec![format!(
            "this is {what}: a goroutine that sleeps, or waits for a channel, a mutex or the network, holds no \
             thread, and is in `--profile block` and `--profile mutex`{left_out}"
        )];
        notes.extend(self.bound_note());
        if self.from_last_samples {
            notes.push(
                "the kernel permits no samples of context switches (kernel.perf_event_paranoid must be 1 or less, or CAP_PERFMON \
                 is needed): each wait has the stack of the last CPU sample of its thread, which may be another one, and Go's \
                 threads without a goroutine count as waits of the code that they ran before"
                    .to_owned(),
            );
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_name_the_times_that_are_left_out_or_uncertain() {
        let exact = OffCpuTime {
            waited_seconds: 2.0,
            idle_seconds: 3.5,
            goflame_seconds: 0.5,
            preempted_seconds: 0.25,
            ..OffCpuTime::default()
        };
        let [note] = &exact.notes()[..] else { panic!("{:?}", exact.notes()) };
        assert!(
            note.ends_with(
                "left out: 3.50 s of Go's threads without a goroutine, 0.50 s of goflame itself, 0.25 s of threads that another thread displaced"
            ),
            "{note}"
        );
        let uncertain = OffCpuTime { from_last_samples: true, ..OffCpuTime::default() };
        let [first, second] = &uncertain.notes()[..] else { panic!("{:?}", uncertain.notes()) };
        assert!(first.starts_with("this is time of threads off the CPU: ") && !first.contains("left out"), "{first}");
        assert!(second.ends_with("count as waits of the code that they ran before"), "{second}");
        let size_bound = Some(SizeBound { bytes: 1_000_000, seconds: 3.21 });
        let [_, note] = &OffCpuTime { size_bound, ..OffCpuTime::default() }.notes()[..] else { panic!("one note") };
        assert_eq!(
            note,
            "the recording of waits is truncated at 1 000 000 bytes after 3.2 s: the off-CPU profile shows the beginning only"
        );
    }
}
