//! The analysis of a recording that a run has just made, or that a report reads.

use std::panic::resume_unwind;
use std::thread;
use std::time::Instant;

use super::Error;
use super::kernel::KernelSource;
use crate::analyse::{AnalyseOptions, Analysis, analyse};
use crate::perfdata::PerfData;
use crate::perfevent::return_large_blocks;
use crate::sources::{CodeFile, DiskImages, InputBytes};

/// Analyses the bytes of a recording. Also returns how long the analysis took, in seconds.
pub(super) fn analyse_bytes<'o>(
    name: &str,
    recording: &InputBytes,
    images: &mut DiskImages,
    kernel: impl FnOnce() -> KernelSource + Send,
    code_files: impl FnOnce(&PerfData<'_>) -> &'o [CodeFile],
    options: AnalyseOptions<'o>,
) -> Result<(Analysis, f64), Error> {
    let started = Instant::now();
    return_large_blocks();
    let release = |range| recording.release(range);
    let analysis = thread::scope(|scope| {
        // Runs in a separate thread because the kernel is slow to write its symbols.
        let kernel = scope.spawn(kernel);
        let data = PerfData::parse_releasing(recording.bytes(), &release)
            .map_err(|source| Error::Unreadable { path: name.into(), source })?;
        images.note_origin(data.features());
        let options = AnalyseOptions { release: Some(&release), code_files: code_files(&data), ..options };
        let kernel = |addresses: &[u64]| {
            kernel.join().unwrap_or_else(|panic| resume_unwind(panic)).into_symbols_covering(addresses)
        };
        analyse(data, &*images, kernel, &options).map_err(|source| Error::Analyse { path: name.into(), source })
    })?;
    Ok((analysis, started.elapsed().as_secs_f64()))
}
