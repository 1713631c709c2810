//! The quality of a profile: counted figures that say how far it can be trusted, and the grade that follows.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::figures::MIN_COUNT_FOR_TENTHS;
use super::{format_number, format_percent, format_samples};

/// Below this number of samples, differences between shares are mostly due to chance.
pub const FEW_SAMPLES: u64 = 20;

/// Figures about the completeness of a profile. All are counted, none is estimated. A figure that the input file does not
/// hold is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Name of the sampled event, or of another measured quantity: `cycles`, `cpu-clock`, `inuse_space`.
    pub event: String,
    /// Number of samples. `None` if the profile counts something else, as heap profiles do.
    pub samples: Option<u64>,
    /// Lost samples: the kernel dropped them because a ring buffer was full. In an off-CPU profile: lost records of
    /// context switches. `None` if the file does not say.
    pub lost: Option<u64>,
    /// Samples of other events. They are left out of the profile.
    #[serde(default)]
    pub other_events: u64,
    /// How often the kernel paused sampling because it took too much CPU time. `None` if the file does not say.
    pub throttled: Option<u64>,
    /// Samples with a user stack. 0 if the file does not show whether stacks are complete.
    pub user_stacks: u64,
    /// User stacks that end at a root of Go or C: `runtime.goexit`, `runtime.mstart`, `_start` and others.
    pub rooted_stacks: u64,
    /// Truncated stacks: as deep as the kernel's limit, so that the root may be missing. `None` if the limit is unknown.
    pub truncated_stacks: Option<u64>,
    /// Samples with user registers and a stack copy. Both are needed to repair a callchain.
    #[serde(default)]
    pub stack_copies: u64,
    /// Samples with a stack copy whose callchain lacked frames or had wrong ones.
    #[serde(default)]
    pub repaired_stacks: u64,
    /// Samples with a stack copy that does not fit the callchain, so that a part of the stack was left out.
    #[serde(default)]
    pub cut_stacks: u64,
    /// Samples of goroutines (their stacks end at `runtime.goexit`). 0 if no goroutine descriptors were read.
    #[serde(default)]
    pub goroutine_samples: u64,
    /// Samples of goroutines whose goroutine is unknown.
    #[serde(default)]
    pub unknown_goroutines: u64,
    /// Samples of goroutines in assembly or C code that uses the goroutine register for other values.
    #[serde(default)]
    pub foreign_goroutine_registers: u64,
    /// User frames in all samples.
    pub user_frames: u64,
    /// User frames without a symbol.
    pub unnamed_user_frames: u64,
    /// Reasons for frames without a symbol, each with its number of frames, the most frequent first.
    pub unnamed_reasons: Vec<(String, u64)>,
    /// Kernel frames in all samples.
    pub kernel_frames: u64,
    /// Kernel frames without a symbol.
    pub unnamed_kernel_frames: u64,
    /// Whether the kernel was sampled. `None` if the file does not say.
    pub kernel_sampled: Option<bool>,
    /// The end of the recording, if it ended because its file reached the maximum size.
    #[serde(default)]
    pub size_bound: Option<SizeBound>,
    /// Sampled and used CPU time. `None` if the event is not a clock or the used time is unknown.
    pub cpu: Option<CpuCoverage>,
    /// Why the samples stand for much less CPU time than was used, and what helps. `None` if they stand for all,
    /// or if another figure tells the cause.
    #[serde(default)]
    pub unseen_cpu_cause: Option<String>,
    /// Whether the file is complete. False if its end is missing.
    pub complete_file: bool,
}

/// CPU time according to the samples, and according to the operating system.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CpuCoverage {
    /// Sum of the periods of all samples, in seconds.
    pub sampled_seconds: f64,
    /// User and system time of the workload and its children, in seconds, as the kernel accounts it.
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

/// The grade of a profile's [`Quality`], from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// Reliable.
    Good,
    /// Usable, with limits. The [reasons](Assessment::reasons) name them.
    Fair,
    /// Unreliable.
    Poor,
}

/// The grade of a [`Quality`] and the reasons for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// The grade.
    pub grade: Grade,
    /// One sentence for each figure that lowers the grade. Empty for [`Grade::Good`].
    pub reasons: Vec<String>,
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

/// The reason for a lower grade if the kernel was not sampled.
pub const NO_KERNEL_TIME: &str = "kernel time is missing: only user space was sampled";

/// A smaller share of rooted stacks lowers the grade to fair: the weight of callers is visibly too small.
const MIN_ROOTED_SHARE_FOR_GOOD: f64 = 0.95;
/// A smaller share of rooted stacks lowers the grade to poor: more than one stack in five has no root.
const MIN_ROOTED_SHARE_FOR_FAIR: f64 = 0.80;
/// A larger share of unnamed user frames, or of unnamed kernel frames, lowers the grade to fair: a hot function may be
/// among them.
const MAX_UNNAMED_SHARE_FOR_GOOD: f64 = 0.01;
/// A larger share of unnamed user frames lowers the grade to poor: most call paths have a gap.
const MAX_UNNAMED_SHARE_FOR_FAIR: f64 = 0.10;
/// A larger share of truncated stacks lowers the grade to fair: shares of callers may be wrong by a percentage point.
const MAX_TRUNCATED_SHARE_FOR_GOOD: f64 = 0.01;
/// A larger share of lost samples lowers the grade to poor: shares may be wrong by several percentage points.
const MAX_LOST_SHARE_FOR_FAIR: f64 = 0.05;
/// A larger relative difference between sampled and used CPU time lowers the grade to fair. Smaller differences come from
/// timer ticks and start-up.
const MAX_CPU_DIFFERENCE_FOR_GOOD: f64 = 0.10;
/// A larger relative difference between sampled and used CPU time lowers the grade to poor: some CPU time was not
/// sampled, or sampled twice.
const MAX_CPU_DIFFERENCE_FOR_FAIR: f64 = 0.30;
/// Minimum used CPU time for a comparison. Below it, the operating system's accounting is too coarse.
const MIN_COMPARABLE_SECONDS: f64 = 0.05;
/// Fewer samples lower the grade to fair. A function with n samples has a relative error of about 1/sqrt(n), here more
/// than 1/10.
const MIN_SAMPLES_FOR_GOOD: u64 = 100;
/// Fewer samples lower the grade to poor. A function with n samples has a relative error of about 1/sqrt(n), here at
/// least 1/3.
const MIN_SAMPLES_FOR_FAIR: u64 = 10;

impl Quality {
    /// Grades the figures.
    pub fn assess(&self) -> Assessment {
        let mut assessment = Assessment { grade: Grade::Good, reasons: Vec::new() };
        match self.samples {
            Some(0) => assessment.add_reason(Grade::Poor, "no samples".to_owned()),
            Some(samples) if samples < MIN_SAMPLES_FOR_GOOD => {
                let grade = if samples < MIN_SAMPLES_FOR_FAIR { Grade::Poor } else { Grade::Fair };
                assessment.add_reason(
                    grade,
                    format!("too few samples ({samples}): a function with n samples has an error of about 1/sqrt(n)"),
                );
            }
            _ => {}
        }
        self.judge_recording(&mut assessment);
        self.judge_stacks(&mut assessment);
        self.judge_names(&mut assessment);
        self.judge_cpu(&mut assessment);
        assessment
    }

    /// Returns the grade and the main figures in one line: `good: 99.4 % of stacks complete, 0 lost, 98.9 % of CPU time seen`.
    pub fn summary(&self) -> String {
        let Assessment { grade, .. } = self.assess();
        if self.samples == Some(0) {
            return format!("{grade}: no samples");
        }
        let mut facts = Vec::new();
        if self.user_stacks > 0 {
            facts.push(format!("{} of stacks complete", format_percent(self.rooted_stacks, self.user_stacks)));
        }
        if self.stack_copies > 0 {
            facts.push(format!("{} repaired", format_percent(self.repaired_stacks, self.stack_copies)));
        }
        if self.cut_stacks > 0 {
            facts.push(format!("{} cut", format_percent(self.cut_stacks, self.stack_copies)));
        }
        if let Some(lost) = self.lost {
            facts.push(format!("{} lost", format_number(lost)));
        } else {
            let frames = self.user_frames.saturating_add(self.kernel_frames);
            let unnamed = self.unnamed_user_frames.saturating_add(self.unnamed_kernel_frames);
            if frames > 0 {
                facts.push(format!("{} of frames named", format_percent(frames.saturating_sub(unnamed), frames)));
            }
            facts.push("the number of lost samples is unknown".to_owned());
        }
        if let Some(cpu) = self.comparable_cpu_coverage() {
            facts.push(format!("{} of CPU time seen", cpu.format_share(self.samples)));
        }
        format!("{grade}: {}", facts.join(", "))
    }

    fn judge_recording(&self, assessment: &mut Assessment) {
        if let Some(lost @ 1..) = self.lost {
            let some = format_number(lost);
            let (grade, lost) = match self.samples {
                Some(samples) => {
                    let all = lost.saturating_add(samples);
                    let grade = if share(lost, all) > MAX_LOST_SHARE_FOR_FAIR { Grade::Poor } else { Grade::Fair };
                    (
                        grade,
                        format!("{some} of {} samples were lost ({})", format_number(all), format_percent(lost, all)),
                    )
                }
                None => (Grade::Fair, format!("{some} records of context switches were lost")),
            };
            assessment.add_reason(grade, format!("{lost}: a ring buffer was full"));
        }
        if let Some(throttled @ 1..) = self.throttled {
            assessment.add_reason(
                Grade::Fair,
                format!("the kernel paused sampling {}: it took too much CPU time", format_times(throttled)),
            );
        }
        if !self.complete_file {
            assessment.add_reason(Grade::Fair, "the recording ends early: its file was cut off".to_owned());
        }
        if let Some(bound) = self.size_bound {
            assessment
                .add_reason(Grade::Fair, format!("the recording is {bound}: the profile shows the beginning only"));
        }
        if self.other_events > 0 {
            let (others, event) = (format_samples(self.other_events), &self.event);
            assessment.add_reason(Grade::Fair, format!("{others} of other events than {event} are left out"));
        }
        if self.kernel_sampled == Some(false) {
            assessment.add_reason(Grade::Fair, NO_KERNEL_TIME.to_owned());
        }
    }

    fn judge_stacks(&self, assessment: &mut Assessment) {
        let rooted = share(self.rooted_stacks, self.user_stacks);
        if self.user_stacks > 0 && rooted < MIN_ROOTED_SHARE_FOR_GOOD {
            let grade = if rooted < MIN_ROOTED_SHARE_FOR_FAIR { Grade::Poor } else { Grade::Fair };
            let complete = format_percent(self.rooted_stacks, self.user_stacks);
            assessment.add_reason(grade, format!("only {complete} of user stacks reach a root such as runtime.goexit"));
        }
        if let (Some(truncated), Some(samples)) = (self.truncated_stacks, self.samples)
            && share(truncated, samples) > MAX_TRUNCATED_SHARE_FOR_GOOD
        {
            let cut = format_percent(truncated, samples);
            assessment.add_reason(
                Grade::Fair,
                format!(
                    "{cut} of stacks are as deep as the kernel's limit and may lack their callers: \
                     raise kernel.perf_event_max_stack"
                ),
            );
        }
    }

    fn judge_names(&self, assessment: &mut Assessment) {
        let unnamed = share(self.unnamed_user_frames, self.user_frames);
        if unnamed > MAX_UNNAMED_SHARE_FOR_GOOD {
            let grade = if unnamed > MAX_UNNAMED_SHARE_FOR_FAIR { Grade::Poor } else { Grade::Fair };
            let mut text =
                format!("{} of user frames have no name", format_percent(self.unnamed_user_frames, self.user_frames));
            if let Some((reason, _)) = self.unnamed_reasons.first() {
                text.push_str(", mostly: ");
                text.push_str(reason);
            }
            assessment.add_reason(grade, text);
        }
        if share(self.unnamed_kernel_frames, self.kernel_frames) > MAX_UNNAMED_SHARE_FOR_GOOD {
            let unnamed = format_percent(self.unnamed_kernel_frames, self.kernel_frames);
            assessment.add_reason(Grade::Fair, format!("{unnamed} of kernel frames have no name"));
        }
    }

    fn judge_cpu(&self, assessment: &mut Assessment) {
        let Some(cpu) = self.comparable_cpu_coverage() else { return };
        let off = (cpu.ratio() - 1.0).abs();
        if off > MAX_CPU_DIFFERENCE_FOR_GOOD {
            let grade = if off > MAX_CPU_DIFFERENCE_FOR_FAIR { Grade::Poor } else { Grade::Fair };
            assessment.add_reason(grade, self.explain_cpu_coverage(cpu));
        }
    }

    /// Returns the share of CPU time that was seen, `62.0 % of 1.47 s of CPU time seen`. `None` if the share is high
    /// enough for [`Grade::Good`], or unknown.
    pub fn unseen_cpu(&self) -> Option<String> {
        self.low_cpu_coverage().map(|cpu| cpu.describe(self.samples))
    }

    /// Returns the text of [`Quality::unseen_cpu`], followed by [`Quality::unseen_cpu_cause`].
    pub fn unseen_cpu_with_cause(&self) -> Option<String> {
        self.low_cpu_coverage().map(|cpu| self.explain_cpu_coverage(cpu))
    }

    fn explain_cpu_coverage(&self, cpu: CpuCoverage) -> String {
        let cause = self.unseen_cpu_cause.as_ref().map(|cause| format!(": {cause}"));
        cpu.describe(self.samples) + &cause.unwrap_or_default()
    }

    fn low_cpu_coverage(&self) -> Option<CpuCoverage> {
        self.comparable_cpu_coverage().filter(|cpu| cpu.ratio() < 1.0 - MAX_CPU_DIFFERENCE_FOR_GOOD)
    }

    fn comparable_cpu_coverage(&self) -> Option<CpuCoverage> {
        self.cpu.filter(|cpu| cpu.used_seconds > MIN_COMPARABLE_SECONDS)
    }
}

impl fmt::Display for SizeBound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "truncated at {} bytes after {:.1} s", format_number(self.bytes), self.seconds)
    }
}

impl CpuCoverage {
    fn ratio(self) -> f64 {
        self.sampled_seconds / self.used_seconds
    }

    fn describe(self, samples: Option<u64>) -> String {
        format!("{} of {:.2} s of CPU time seen", self.format_share(samples), self.used_seconds)
    }

    /// Formats the share of used CPU time that was sampled, with one decimal, or none if there are fewer than 1 000
    /// samples. A share below 1 is at most `99.9 %` or `99 %`.
    fn format_share(self, samples: Option<u64>) -> String {
        let (digits, below_all) =
            if samples.is_none_or(|samples| samples >= MIN_COUNT_FOR_TENTHS) { (1, 99.9) } else { (0, 99.0) };
        let percent = self.ratio() * 100.0;
        format!("{:.digits$} %", if percent < 100.0 { percent.min(below_all) } else { percent })
    }
}

impl Assessment {
    fn add_reason(&mut self, grade: Grade, reason: String) {
        self.grade = self.grade.max(grade);
        self.reasons.push(reason);
    }
}

/// Returns `part / whole`, or 0 if `whole` is 0.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn format_times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{} times", format_number(count)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Quality {
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
            cpu: Some(CpuCoverage { sampled_seconds: 9.89, used_seconds: 10.0 }),
            complete_file: true,
            ..Quality::default()
        }
    }

    #[test]
    fn good_figures_have_no_reasons() {
        assert_eq!(good().assess(), Assessment { grade: Grade::Good, reasons: vec![] });
        assert_eq!(good().summary(), "good: 99.4 % of stacks complete, 0 lost, 98.9 % of CPU time seen");
    }

    #[test]
    fn each_figure_has_its_own_reason() {
        let cpu = |sampled_seconds| Some(CpuCoverage { sampled_seconds, used_seconds: 10.0 });
        let unnamed_reasons = || vec![("no symbols in /lib/x.so".to_owned(), 9000), ("no mapping".to_owned(), 1000)];
        let cases = [
            (
                Quality { lost: Some(20), ..good() },
                Grade::Fair,
                "20 of 20 154 samples were lost (0.1 %): a ring buffer was full",
            ),
            (
                Quality { lost: Some(20_134), ..good() },
                Grade::Poor,
                "20 134 of 40 268 samples were lost (50.0 %): a ring buffer was full",
            ),
            (
                Quality { throttled: Some(3), ..good() },
                Grade::Fair,
                "the kernel paused sampling 3 times: it took too much CPU time",
            ),
            (
                Quality { rooted_stacks: 18_000, ..good() },
                Grade::Fair,
                "only 90.0 % of user stacks reach a root such as runtime.goexit",
            ),
            (
                Quality { rooted_stacks: 1, ..good() },
                Grade::Poor,
                "only <0.1 % of user stacks reach a root such as runtime.goexit",
            ),
            (
                Quality { truncated_stacks: Some(2013), ..good() },
                Grade::Fair,
                "10.0 % of stacks are as deep as the kernel's limit and may lack their callers: \
                 raise kernel.perf_event_max_stack",
            ),
            (
                Quality { unnamed_user_frames: 10_000, unnamed_reasons: unnamed_reasons(), ..good() },
                Grade::Fair,
                "5.0 % of user frames have no name, mostly: no symbols in /lib/x.so",
            ),
            (Quality { unnamed_user_frames: 50_000, ..good() }, Grade::Poor, "25.0 % of user frames have no name"),
            (Quality { unnamed_kernel_frames: 1000, ..good() }, Grade::Fair, "100 % of kernel frames have no name"),
            (
                Quality { kernel_sampled: Some(false), ..good() },
                Grade::Fair,
                "kernel time is missing: only user space was sampled",
            ),
            (Quality { cpu: cpu(8.5), ..good() }, Grade::Fair, "85.0 % of 10.00 s of CPU time seen"),
            (
                Quality { cpu: cpu(0.0), unseen_cpu_cause: Some("it ran elsewhere".to_owned()), ..good() },
                Grade::Poor,
                "0.0 % of 10.00 s of CPU time seen: it ran elsewhere",
            ),
            (Quality { cpu: cpu(20.0), ..good() }, Grade::Poor, "200.0 % of 10.00 s of CPU time seen"),
            (Quality { complete_file: false, ..good() }, Grade::Fair, "the recording ends early: its file was cut off"),
            (
                Quality { size_bound: Some(SizeBound { bytes: 1_000_000, seconds: 3.21 }), ..good() },
                Grade::Fair,
                "the recording is truncated at 1 000 000 bytes after 3.2 s: the profile shows the beginning only",
            ),
            (
                Quality { samples: Some(99), ..good() },
                Grade::Fair,
                "too few samples (99): a function with n samples has an error of about 1/sqrt(n)",
            ),
            (Quality { samples: Some(0), ..good() }, Grade::Poor, "no samples"),
        ];
        for (quality, grade, reason) in cases {
            assert_eq!(quality.assess(), Assessment { grade, reasons: vec![reason.to_owned()] });
        }
    }

    #[test]
    fn one_odd_sample_has_no_reason() {
        let quality = Quality { truncated_stacks: Some(1), unnamed_user_frames: 127, ..good() };
        assert_eq!(quality.assess(), Assessment { grade: Grade::Good, reasons: vec![] });
    }

    #[test]
    fn unknown_figures_have_no_reasons() {
        let cpu = Some(CpuCoverage { sampled_seconds: 0.0, used_seconds: 0.04 });
        let quality = Quality { cpu, kernel_sampled: None, ..good() };
        assert_eq!(quality.assess(), Assessment { grade: Grade::Good, reasons: vec![] });
        assert_eq!(quality.summary(), "good: 99.4 % of stacks complete, 0 lost");

        // A heap profile has neither samples nor stacks of samples.
        let quality = Quality { user_frames: 10, unnamed_user_frames: 0, complete_file: true, ..Quality::default() };
        assert_eq!(quality.assess(), Assessment { grade: Grade::Good, reasons: vec![] });
        assert_eq!(quality.summary(), "good: 100 % of frames named, the number of lost samples is unknown");
    }

    #[test]
    fn a_share_just_below_all_is_not_100_percent() {
        let cpu = Some(CpuCoverage { sampled_seconds: 9.9999, used_seconds: 10.0 });
        let quality = Quality { cpu, rooted_stacks: 19_999, ..good() };
        assert_eq!(quality.summary(), "good: 99.9 % of stacks complete, 0 lost, 99.9 % of CPU time seen");
    }

    #[test]
    fn worst_figure_decides_the_grade() {
        let quality = Quality { lost: Some(20), rooted_stacks: 0, kernel_sampled: Some(false), ..good() };
        let Assessment { grade, reasons } = quality.assess();
        assert_eq!((grade, reasons.len()), (Grade::Poor, 3));
    }

    #[test]
    fn empty_profile_is_poor() {
        let Assessment { grade, reasons } =
            Quality { samples: Some(0), complete_file: true, ..Quality::default() }.assess();
        assert_eq!((grade, reasons), (Grade::Poor, vec!["no samples".to_owned()]));
        assert_eq!(Quality { samples: Some(0), ..Quality::default() }.summary(), "poor: no samples");
    }
}
