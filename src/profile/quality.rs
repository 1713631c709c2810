//! How far a profile can be trusted, in figures and in one word.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{grouped, percent, samples};

/// What is known about the completeness of a profile. Every figure was counted, none is estimated; what a file does not
/// tell is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// The event really sampled, or what was measured: `cycles`, `cpu-clock`, `inuse_space`.
    pub event: String,
    /// Samples read; `None` when something else was counted, as in profiles of the heap.
    pub samples: Option<u64>,
    /// Samples that the kernel dropped because a ring buffer was full; `None` when the file does not say.
    pub lost: Option<u64>,
    /// Samples of other events, which are left out.
    #[serde(default)]
    pub other_events: u64,
    /// Times that the kernel paused sampling because it took too much CPU; `None` when the file does not say.
    pub throttled: Option<u64>,
    /// Samples with a user stack; 0 when nothing tells whether stacks are complete.
    pub user_stacks: u64,
    /// Of these, stacks that end at a root of Go or C: `runtime.goexit`, `runtime.mstart`, `_start`…
    pub rooted_stacks: u64,
    /// Stacks as deep as the kernel's limit, so that their root end may be cut off; `None` when the limit is not
    /// known.
    pub truncated_stacks: Option<u64>,
    /// Samples with user registers and a piece of user stack, by which callchains are repaired.
    #[serde(default)]
    pub stack_copies: u64,
    /// Of these, those whose callchain lacked frames or had wrong ones.
    #[serde(default)]
    pub repaired_stacks: u64,
    /// Of these, those of which a part was left out because it does not fit. The others are untouched.
    #[serde(default)]
    pub cut_stacks: u64,
    /// User frames in all samples.
    pub user_frames: u64,
    /// Of these, frames without a symbol.
    pub unnamed_user_frames: u64,
    /// Why frames have no symbol, with the number of frames; most frequent first.
    pub unnamed_reasons: Vec<(String, u64)>,
    /// Kernel frames in all samples.
    pub kernel_frames: u64,
    /// Of these, frames without a symbol.
    pub unnamed_kernel_frames: u64,
    /// Whether kernel time was sampled; `None` when the file does not say.
    pub kernel_sampled: Option<bool>,
    /// Sampled CPU time against used CPU time, where the event is a clock and the usage is known.
    pub cpu: Option<CpuSeen>,
    /// Where the recording ended because its file reached the bound on its size.
    #[serde(default)]
    pub size_bound: Option<SizeBound>,
    /// Whether the recording ended as it should; false for a file that was cut off.
    pub complete_file: bool,
}

/// CPU seconds that samples stand for, against those that the operating system charged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CpuSeen {
    /// Sum of the periods of all samples.
    pub sampled_seconds: f64,
    /// User and system time of the workload and its children (getrusage).
    pub used_seconds: f64,
}

/// The end of a recording whose size was bounded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SizeBound {
    /// The bound in bytes.
    pub bytes: u64,
    /// Time from the start of sampling until the bound was reached.
    pub seconds: f64,
}

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Nothing to do.
    Good,
    /// Usable, with the reasons that stand beside it.
    Fair,
    /// Not to be relied on.
    Poor,
}

impl fmt::Display for Grade {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Grade::Good => "good",
            Grade::Fair => "fair",
            Grade::Poor => "poor",
        })
    }
}

/// Below this share of complete stacks, callers are visibly too light.
const ROOTED_FAIR: f64 = 0.95;
/// Below this share of complete stacks, one stack in five hangs in the air.
const ROOTED_POOR: f64 = 0.80;
/// Above this share of nameless frames, a hot function may hide among them.
const UNNAMED_FAIR: f64 = 0.01;
/// Above this share of nameless frames, most call paths have a hole.
const UNNAMED_POOR: f64 = 0.10;
/// Above this share of lost samples, shares can be off by more than the few points that one compares.
const LOST_POOR: f64 = 0.05;
/// Sampled CPU time may differ from the used by so much, timer ticks and start-up being what they are.
const CPU_FAIR: f64 = 0.10;
/// When it differs by more than this, something was not sampled, or sampled twice.
const CPU_POOR: f64 = 0.30;
/// Under so many CPU seconds the operating system's own account is too coarse to compare with.
const CPU_COMPARABLE_SECONDS: f64 = 0.05;
/// With fewer samples than this, the error of every share is above a tenth of it.
const SAMPLES_FAIR: u64 = 100;
/// With fewer samples than this, the error of every share is above a third of it.
const SAMPLES_POOR: u64 = 10;

impl Quality {
    /// The grade, and a sentence for every figure that is not fine. [`Grade::Good`] has no sentences.
    pub fn verdict(&self) -> (Grade, Vec<String>) {
        let mut verdict = Verdict { grade: Grade::Good, reasons: Vec::new() };
        match self.samples {
            Some(0) => verdict.add(Grade::Poor, "no samples".to_owned()),
            Some(samples) if samples < SAMPLES_FAIR => {
                let grade = if samples < SAMPLES_POOR { Grade::Poor } else { Grade::Fair };
                verdict.add(
                    grade,
                    format!("too few samples ({samples}): a function with n samples is uncertain by about 1/sqrt(n)"),
                );
            }
            _ => {}
        }
        self.judge_recording(&mut verdict);
        self.judge_stacks(&mut verdict);
        self.judge_names(&mut verdict);
        self.judge_cpu(&mut verdict);
        (verdict.grade, verdict.reasons)
    }

    /// The verdict in one line: `good: 99.4 % of stacks complete, 0 lost, 98.9 % of CPU time seen`.
    pub fn summary(&self) -> String {
        let (grade, _) = self.verdict();
        if self.samples == Some(0) {
            return format!("{grade}: no samples");
        }
        let mut facts = Vec::new();
        if self.user_stacks > 0 {
            facts.push(format!("{} of stacks complete", percent(self.rooted_stacks, self.user_stacks)));
        }
        if self.stack_copies > 0 {
            facts.push(format!("{} repaired", percent(self.repaired_stacks, self.stack_copies)));
        }
        if self.cut_stacks > 0 {
            facts.push(format!("{} cut", percent(self.cut_stacks, self.stack_copies)));
        }
        if let Some(lost) = self.lost {
            facts.push(format!("{} lost", grouped(lost)));
        } else {
            let frames = self.user_frames.saturating_add(self.kernel_frames);
            let unnamed = self.unnamed_user_frames.saturating_add(self.unnamed_kernel_frames);
            if frames > 0 {
                facts.push(format!("{} of frames named", percent(frames.saturating_sub(unnamed), frames)));
            }
            facts.push("what was lost is not known".to_owned());
        }
        if let Some(cpu) = self.comparable_cpu() {
            facts.push(format!("{} of CPU time seen", cpu.percent()));
        }
        format!("{grade}: {}", facts.join(", "))
    }

    fn judge_recording(&self, verdict: &mut Verdict) {
        if let Some(lost @ 1..) = self.lost {
            let all = lost.saturating_add(self.samples.unwrap_or(0));
            let grade = if share(lost, all) > LOST_POOR { Grade::Poor } else { Grade::Fair };
            let (some, of) = (grouped(lost), grouped(all));
            verdict.add(
                grade,
                format!("{some} of {of} samples were lost ({}): a ring buffer was full", percent(lost, all)),
            );
        }
        if let Some(throttled @ 1..) = self.throttled {
            verdict.add(
                Grade::Fair,
                format!("the kernel paused sampling {}: it took too much CPU time", times(throttled)),
            );
        }
        if !self.complete_file {
            verdict.add(Grade::Fair, "the recording ends early: its file was cut off".to_owned());
        }
        if let Some(bound) = self.size_bound {
            verdict.add(Grade::Fair, format!("the recording is {bound}: the profile shows the beginning only"));
        }
        if self.other_events > 0 {
            let (others, event) = (samples(self.other_events), &self.event);
            verdict.add(Grade::Fair, format!("{others} of other events than {event} are left out"));
        }
        if self.kernel_sampled == Some(false) {
            verdict.add(Grade::Fair, "kernel time is missing: only user space was sampled".to_owned());
        }
    }

    fn judge_stacks(&self, verdict: &mut Verdict) {
        let rooted = share(self.rooted_stacks, self.user_stacks);
        if self.user_stacks > 0 && rooted < ROOTED_FAIR {
            let grade = if rooted < ROOTED_POOR { Grade::Poor } else { Grade::Fair };
            let complete = percent(self.rooted_stacks, self.user_stacks);
            verdict.add(grade, format!("only {complete} of user stacks reach a root such as runtime.goexit"));
        }
        if let (Some(truncated @ 1..), Some(samples)) = (self.truncated_stacks, self.samples) {
            let cut = percent(truncated, samples);
            verdict.add(
                Grade::Fair,
                format!(
                    "{cut} of stacks are as deep as the kernel's limit and may lack their callers: \
                     raise kernel.perf_event_max_stack"
                ),
            );
        }
    }

    fn judge_names(&self, verdict: &mut Verdict) {
        let unnamed = share(self.unnamed_user_frames, self.user_frames);
        if unnamed > UNNAMED_FAIR {
            let grade = if unnamed > UNNAMED_POOR { Grade::Poor } else { Grade::Fair };
            let mut text =
                format!("{} of user frames have no name", percent(self.unnamed_user_frames, self.user_frames));
            if let Some((reason, _)) = self.unnamed_reasons.first() {
                text.push_str(", mostly: ");
                text.push_str(reason);
            }
            verdict.add(grade, text);
        }
        if share(self.unnamed_kernel_frames, self.kernel_frames) > UNNAMED_FAIR {
            let unnamed = percent(self.unnamed_kernel_frames, self.kernel_frames);
            verdict.add(Grade::Fair, format!("{unnamed} of kernel frames have no name"));
        }
    }

    fn judge_cpu(&self, verdict: &mut Verdict) {
        let Some(cpu) = self.comparable_cpu() else { return };
        let off = (cpu.ratio() - 1.0).abs();
        if off > CPU_FAIR {
            let grade = if off > CPU_POOR { Grade::Poor } else { Grade::Fair };
            let (percent, sampled, used) = (cpu.percent(), cpu.sampled_seconds, cpu.used_seconds);
            verdict.add(
                grade,
                format!("samples stand for {percent} of the CPU time used ({sampled:.2} s of {used:.2} s)"),
            );
        }
    }

    fn comparable_cpu(&self) -> Option<CpuSeen> {
        self.cpu.filter(|cpu| cpu.used_seconds > CPU_COMPARABLE_SECONDS)
    }
}

impl fmt::Display for SizeBound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "truncated at {} bytes after {:.1} s", grouped(self.bytes), self.seconds)
    }
}

impl CpuSeen {
    fn ratio(self) -> f64 {
        self.sampled_seconds / self.used_seconds
    }

    /// Never says 100.0 % of less.
    fn percent(self) -> String {
        let percent = self.ratio() * 100.0;
        format!("{:.1} %", if percent < 100.0 { percent.min(99.9) } else { percent })
    }
}

struct Verdict {
    grade: Grade,
    reasons: Vec<String>,
}

impl Verdict {
    fn add(&mut self, grade: Grade, reason: String) {
        self.grade = self.grade.max(grade);
        self.reasons.push(reason);
    }
}

/// Of nothing, nothing.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{} times", grouped(count)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Quality {
        Quality {
            event: "cpu-clock".to_owned(),
            samples: Some(20_134),
            lost: Some(0),
            user_stacks: 20_000,
            rooted_stacks: 19_880,
            user_frames: 200_000,
            unnamed_user_frames: 200,
            kernel_frames: 1000,
            kernel_sampled: Some(true),
            cpu: Some(CpuSeen { sampled_seconds: 9.89, used_seconds: 10.0 }),
            complete_file: true,
            ..Quality::default()
        }
    }

    #[test]
    fn fine_figures_are_good_without_reasons() {
        assert_eq!(fine().verdict(), (Grade::Good, vec![]));
        assert_eq!(fine().summary(), "good: 99.4 % of stacks complete, 0 lost, 98.9 % of CPU time seen");
    }

    #[test]
    fn each_figure_has_its_sentence() {
        let cpu = |sampled_seconds| Some(CpuSeen { sampled_seconds, used_seconds: 10.0 });
        let because = || vec![("no symbols in /lib/x.so".to_owned(), 9000), ("no mapping".to_owned(), 1000)];
        let cases = [
            (
                Quality { lost: Some(20), ..fine() },
                Grade::Fair,
                "20 of 20 154 samples were lost (0.1 %): a ring buffer was full",
            ),
            (
                Quality { lost: Some(20_134), ..fine() },
                Grade::Poor,
                "20 134 of 40 268 samples were lost (50.0 %): a ring buffer was full",
            ),
            (
                Quality { throttled: Some(3), ..fine() },
                Grade::Fair,
                "the kernel paused sampling 3 times: it took too much CPU time",
            ),
            (
                Quality { rooted_stacks: 18_000, ..fine() },
                Grade::Fair,
                "only 90.0 % of user stacks reach a root such as runtime.goexit",
            ),
            (
                Quality { rooted_stacks: 1, ..fine() },
                Grade::Poor,
                "only <0.1 % of user stacks reach a root such as runtime.goexit",
            ),
            (
                Quality { truncated_stacks: Some(1), ..fine() },
                Grade::Fair,
                "<0.1 % of stacks are as deep as the kernel's limit and may lack their callers: \
                 raise kernel.perf_event_max_stack",
            ),
            (
                Quality { unnamed_user_frames: 10_000, unnamed_reasons: because(), ..fine() },
                Grade::Fair,
                "5.0 % of user frames have no name, mostly: no symbols in /lib/x.so",
            ),
            (Quality { unnamed_user_frames: 50_000, ..fine() }, Grade::Poor, "25.0 % of user frames have no name"),
            (Quality { unnamed_kernel_frames: 1000, ..fine() }, Grade::Fair, "100 % of kernel frames have no name"),
            (
                Quality { kernel_sampled: Some(false), ..fine() },
                Grade::Fair,
                "kernel time is missing: only user space was sampled",
            ),
            (
                Quality { cpu: cpu(8.5), ..fine() },
                Grade::Fair,
                "samples stand for 85.0 % of the CPU time used (8.50 s of 10.00 s)",
            ),
            (
                Quality { cpu: cpu(20.0), ..fine() },
                Grade::Poor,
                "samples stand for 200.0 % of the CPU time used (20.00 s of 10.00 s)",
            ),
            (Quality { complete_file: false, ..fine() }, Grade::Fair, "the recording ends early: its file was cut off"),
            (
                Quality { size_bound: Some(SizeBound { bytes: 1_000_000, seconds: 3.21 }), ..fine() },
                Grade::Fair,
                "the recording is truncated at 1 000 000 bytes after 3.2 s: the profile shows the beginning only",
            ),
            (
                Quality { samples: Some(99), ..fine() },
                Grade::Fair,
                "too few samples (99): a function with n samples is uncertain by about 1/sqrt(n)",
            ),
            (Quality { samples: Some(0), ..fine() }, Grade::Poor, "no samples"),
        ];
        for (quality, grade, reason) in cases {
            assert_eq!(quality.verdict(), (grade, vec![reason.to_owned()]));
        }
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known() {
        let cpu = Some(CpuSeen { sampled_seconds: 0.0, used_seconds: 0.04 });
        let quality = Quality { cpu, kernel_sampled: None, ..fine() };
        assert_eq!(quality.verdict(), (Grade::Good, vec![]));
        assert_eq!(quality.summary(), "good: 99.4 % of stacks complete, 0 lost");

        // As of a profile of the heap.
        let quality = Quality { user_frames: 10, unnamed_user_frames: 0, complete_file: true, ..Quality::default() };
        assert_eq!(quality.verdict(), (Grade::Good, vec![]));
        assert_eq!(quality.summary(), "good: 100 % of frames named, what was lost is not known");
    }

    #[test]
    fn almost_all_is_not_all() {
        let cpu = Some(CpuSeen { sampled_seconds: 9.9999, used_seconds: 10.0 });
        let quality = Quality { cpu, rooted_stacks: 19_999, ..fine() };
        assert_eq!(quality.summary(), "good: 99.9 % of stacks complete, 0 lost, 99.9 % of CPU time seen");
    }

    #[test]
    fn worst_figure_decides() {
        let quality = Quality { lost: Some(20), rooted_stacks: 0, kernel_sampled: Some(false), ..fine() };
        let (grade, reasons) = quality.verdict();
        assert_eq!((grade, reasons.len()), (Grade::Poor, 3));
    }

    #[test]
    fn empty_profile_is_poor() {
        let (grade, reasons) = Quality { samples: Some(0), complete_file: true, ..Quality::default() }.verdict();
        assert_eq!((grade, reasons), (Grade::Poor, vec!["no samples".to_owned()]));
        assert_eq!(Quality { samples: Some(0), ..Quality::default() }.summary(), "poor: no samples");
    }
}
