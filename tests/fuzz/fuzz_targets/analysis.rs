//! Fuzzes the analysis of a recording, from its bytes to every output. No input causes a panic. The profile has all samples
//! that were read.
#![no_main]

use goflame::analyse::{AnalyseOptions, analyse};
use goflame::perfdata::PerfData;
use goflame::pprof::SourceDirs;
use goflame::sources::{ImageAbsence, ImageBytes, Images, MappedId};
use goflame::{pprof, render};
use goflame::views::{GroupBy, View};
use libfuzzer_sys::fuzz_target;

struct NoFiles;

impl Images for NoFiles {
    fn image(&self, _file: &MappedId) -> Result<ImageBytes, ImageAbsence> {
        Err(ImageAbsence::NoFile)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(data) = PerfData::parse(bytes) else { return };
    let kernel = |_: &[u64]| Err("no symbols".to_owned());
    let Ok(analysis) = analyse(data, &NoFiles, kernel, &AnalyseOptions::default()) else { return };
    let profile = analysis.profile;
    assert_eq!(Some(profile.total_count()), analysis.quality.samples);
    let (by_process, by_goroutine) =
        (View::new(profile.clone(), GroupBy::Process), View::new(profile.clone(), GroupBy::Goroutine));
    render::folded::write(&by_process, &mut std::io::sink()).unwrap();
    pprof::write(&profile, &[], &SourceDirs::default(), &mut std::io::sink()).unwrap();
    let (sources, drawing) = (&SourceDirs::default(), &render::Drawing::default());
    let document = render::Document::new(&by_process, &analysis.quality, "fuzz", sources, drawing);
    render::Format::Json.write(&document, &mut std::io::sink()).unwrap();
    render::flamegraph::write(&by_goroutine, "", "", &render::Drawing::default(), &mut std::io::sink()).unwrap();
});
