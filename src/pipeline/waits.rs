//! Analyses the recording of waits of a run.

use std::fs;
use std::path::Path;

use super::analysis::analyse_bytes;
use super::kernel::KernelSource;
use super::observer::RunNote;
use super::off_cpu::{NANOSECONDS_PER_SECOND, OFF_CPU_FILE, leave_out_idle_threads};
use super::{Error, describe_with_causes};
use crate::analyse::{AnalyseOptions, Analysis, KernelSymbols};
use crate::profile::{Event, OffCpuTime, Profile, SizeBound};
use crate::record::OffCpuFigures;
use crate::render::headline_of_waits;
use crate::sources::{CodeFile, DiskImages, InputBytes};
use crate::views::{GroupBy, View};

/// The analysed waits of a run.
pub(super) struct AnalysedWaits {
    pub(super) analysis: Analysis,
    pub(super) time: OffCpuTime,
}

impl AnalysedWaits {
    /// Analyses the recording of waits. If the recording could not be written or analysed, removes its file, which
    /// holds memory of the program, and returns a note for the run.
    pub(super) fn analyse<'o>(
        recording: &Path,
        recorded: Result<OffCpuFigures, String>,
        images: &mut DiskImages,
        kernel: Result<KernelSymbols, String>,
        code_files: &'o [CodeFile],
        options: AnalyseOptions<'o>,
    ) -> Result<Self, RunNote> {
        let waits = recorded.and_then(|recorded| {
            Self::try_analyse(recording, &recorded, images, kernel, code_files, options)
                .map_err(|error| describe_with_causes(&error))
        });
        waits.map_err(|reason| {
            let _ = fs::remove_file(recording);
            RunNote::NoWaits(reason)
        })
    }

    fn try_analyse<'o>(
        recording: &Path,
        recorded: &OffCpuFigures,
        images: &mut DiskImages,
        kernel: Result<KernelSymbols, String>,
        code_files: &'o [CodeFile],
        options: AnalyseOptions<'o>,
    ) -> Result<Self, Error> {
        let bytes = InputBytes::open(recording).map_err(Error::Input)?;
        let options =
            AnalyseOptions { used_cpu_seconds: None, lost: Some(recorded.lost), keep_times: false, ..options };
        let kernel = || KernelSource::from_symbols(kernel);
        let (mut analysis, _) = analyse_bytes(OFF_CPU_FILE, &bytes, images, kernel, |_| code_files, options)?;
        let time = leave_out_idle_threads(&mut analysis, times_in_recording(recorded));
        let view = View::new(std::mem::replace(&mut analysis.profile, Profile::new(Event::waits())), GroupBy::Process);
        let time = OffCpuTime { headline: headline_of_waits(&view, time.from_last_samples), ..time };
        Ok(Self { analysis, time })
    }

    /// Adds the sampled files and kernel symbols of the waits to the analysis of the samples, so that the run keeps them.
    pub(super) fn add_symbols_to(&mut self, samples: &mut Analysis) {
        for file in std::mem::take(&mut self.analysis.sampled_files) {
            if samples.sampled_files.iter().all(|known| known.id != file.id) {
                samples.sampled_files.push(file);
            }
        }
        match (&mut samples.kernel, self.analysis.kernel.take()) {
            (Some(known), Some(further)) => known.extend(further),
            (known, further) => *known = known.take().or(further),
        }
    }
}

/// Returns the off-CPU times that are known before the waits are analysed.
fn times_in_recording(recorded: &OffCpuFigures) -> OffCpuTime {
    let OffCpuFigures { waits, lost, size_bound, from_last_samples } = *recorded;
    OffCpuTime {
        preempted_seconds: waits.preempted_ns as f64 / NANOSECONDS_PER_SECOND,
        unknown_seconds: waits.unknown_stack_ns as f64 / NANOSECONDS_PER_SECOND,
        unfinished: waits.unfinished_waits,
        lost,
        size_bound: size_bound.map(|(bytes, time)| SizeBound { bytes, seconds: time.as_secs_f64() }),
        from_last_samples,
        ..OffCpuTime::default()
    }
}
