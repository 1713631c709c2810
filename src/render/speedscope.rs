//! The file format of speedscope (<https://www.speedscope.app/file-format-schema.json>): one sampled profile for each group
//! of samples, such as each process. If times are known, the samples are in the order of time.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::document::Document;
use super::name;
use crate::profile::{FunctionId, Interner, Unit};
use crate::views::{CallPaths, Moment};

#[derive(Serialize)]
struct SpeedscopeFile<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: String,
    name: String,
    #[serde(rename = "activeProfileIndex")]
    active_profile: usize,
    shared: Shared<'a>,
    profiles: Vec<SampledProfile>,
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: &'a [SpeedscopeFrame],
}

/// A function with all its lines.
#[derive(Serialize, Clone, PartialEq, Eq, Hash)]
struct SpeedscopeFrame {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    file: String,
    #[serde(skip_serializing_if = "is_unknown")]
    line: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_unknown(line: &u32) -> bool {
    *line == 0
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampledProfile {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    /// Frames of each sample, the root first.
    samples: Vec<Vec<u32>>,
    weights: Vec<u64>,
}

/// Writes a profile for speedscope. Consecutive samples with the same call path are merged.
pub fn write(document: &Document<'_>, out: &mut dyn Write) -> io::Result<()> {
    let (view, profile) = (document.view, document.view.profile());
    let paths = CallPaths::new(profile);
    let callers = paths.callers();
    let mut frames = Interner::default();
    let mut frame_of = |id: FunctionId| {
        let function = profile.function(id);
        let name = name::clean_name(profile.str(function.display)).into_owned();
        let file = name::sanitize(profile.str(function.file)).into_owned();
        frames.intern(SpeedscopeFrame { name, file, line: function.start_line })
    };
    let frame_of_path: Vec<u32> = paths.functions.iter().map(|id| frame_of(*id)).collect();
    let stack = |path: Option<u32>| {
        let callers = std::iter::successors(path, |path| callers[*path as usize]);
        let mut stack: Vec<u32> = callers.map(|path| frame_of_path[path as usize]).collect();
        stack.reverse();
        stack
    };
    let unit = match profile.event.unit {
        Unit::Nanoseconds => "nanoseconds",
        Unit::Bytes => "bytes",
        Unit::Events => "none",
    };
    let by_weight = profile.total_weight() > 0;
    let sampled = |(name, moments): (&str, Vec<Moment>)| {
        let value = |moment: &Moment| if by_weight { moment.weight } else { moment.count };
        let runs = moments.chunk_by(|one, next| one.path == next.path);
        let (samples, weights): (Vec<_>, Vec<u64>) = runs
            .filter_map(|run| Some((stack(run.first()?.path), run.iter().map(value).fold(0, u64::saturating_add))))
            .unzip();
        SampledProfile {
            kind: "sampled",
            name: name::clean_name(name).into_owned(),
            unit: if by_weight { unit } else { "none" },
            start_value: 0,
            end_value: weights.iter().copied().fold(0, u64::saturating_add),
            samples,
            weights,
        }
    };
    let groups = view.grouping().names().zip(view.moments_of_groups(&paths));
    let mut profiles: Vec<_> = groups.filter(|(_, moments)| !moments.is_empty()).map(sampled).collect();
    profiles.sort_by(|a, b| b.end_value.cmp(&a.end_value).then_with(|| a.name.cmp(&b.name)));
    let file = SpeedscopeFile {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: concat!("goflame ", env!("CARGO_PKG_VERSION")).to_owned(),
        name: name::clean_name(document.title).into_owned(),
        active_profile: 0,
        shared: Shared { frames: frames.items() },
        profiles,
    };
    let mut out = BufWriter::new(out);
    serde_json::to_writer(&mut out, &file)?;
    out.write_all(b"\n")?;
    out.flush()
}
