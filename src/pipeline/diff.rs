//! `goflame diff`: compares two profiles, from runs or files.

use super::report::{ReportOptions, ReportSource, report};
use super::reported::Reported;
use super::{Error, Observer};
use crate::profile::{Function, Origin, Profile, Unit, format_number};
use crate::render::diff::{DiffDocument, WidthSource};
use crate::views::{DebugHotSpot, Diff, GroupBy, Normalize, Scale, View};

/// Number of samples below which only large changes are beyond chance.
const FEW_SAMPLES: u64 = 1_000;

/// The function at the root of every goroutine. Profiles of Go's runtime leave it out.
const GOEXIT: &str = "runtime.goexit";

/// Options of a comparison.
#[derive(Debug, Default)]
pub struct DiffOptions<'o> {
    /// Filters, and the event or sample type to compare.
    pub report: ReportOptions<'o>,
    /// How weights are made comparable.
    pub normalize: Normalize,
    /// Number of units of work that the old and the new program did. Replaces `normalize`.
    pub units: Option<[f64; 2]>,
}

/// Two profiles and their differences.
#[derive(Debug)]
pub struct ComparedProfiles {
    /// The old and the new profile.
    pub sides: [Reported; 2],
    /// The differences.
    pub diff: Diff,
    /// Notes for the user about what limits the comparison.
    pub notes: Vec<String>,
    /// Short names of the two sides, for headings: `old` and `new`, or the variants.
    pub(super) labels: [&'static str; 2],
    /// Text with the time of two variants, for each unit of work if the work is known. `None` if the sides are not
    /// variants.
    pub(super) work: Option<String>,
    /// Hot spots that only the debug build has.
    pub(super) debug_only: Vec<DebugHotSpot>,
}

impl ComparedProfiles {
    /// Returns the comparison in the form that output formats write.
    pub fn document<'a>(&'a self, title: Option<&'a str>, width: WidthSource) -> DiffDocument<'a> {
        let [old, new] = &self.sides;
        DiffDocument {
            diff: &self.diff,
            sides: [old.document(), new.document()],
            names: [&old.name, &new.name],
            title,
            notes: &self.notes,
            width_source: width,
            labels: self.labels,
            work: self.work.as_deref(),
            debug_only: &self.debug_only,
        }
    }
}

/// Compares an old and a new profile.
pub fn diff(
    sources: [&ReportSource; 2],
    options: &DiffOptions<'_>,
    observer: &dyn Observer,
) -> Result<ComparedProfiles, Error> {
    let [old, new] = sources.map(|source| report(source, &options.report, observer));
    let mut sides = [old?, new?];
    check_comparable(&sides, options)?;
    let mut notes = Vec::new();
    hide_frames_of_one_side(&mut sides, &mut notes);
    notes.extend(notes_about_limits(&sides));
    let views = sides.each_ref().map(|side| &side.view);
    let diff = Diff::new(views, Scale::new(views.map(View::profile), options.normalize, options.units));
    Ok(ComparedProfiles { sides, diff, notes, labels: ["old", "new"], work: None, debug_only: Vec::new() })
}

/// Refuses profiles that cannot be compared.
fn check_comparable(sides: &[Reported; 2], options: &DiffOptions<'_>) -> Result<(), Error> {
    for side in sides {
        let profile = side.view.profile();
        let name = side.name.clone();
        if profile.total_weight() == 0 {
            return Err(Error::NothingToCompare { name, filtered: !options.report.filters.is_empty() });
        }
        if options.normalize == Normalize::Wall && options.units.is_none() && profile.duration_ns == 0 {
            return Err(Error::NoDuration { name });
        }
    }
    let [old, new] = sides.each_ref().map(|side| &side.view.profile().event);
    // Cycles and nanoseconds both measure CPU time, so their shares are comparable.
    let comparable_shares = old.unit == new.unit || (old.unit != Unit::Bytes && new.unit != Unit::Bytes);
    let wants_shares = options.normalize == Normalize::Share && options.units.is_none();
    if old.unit == new.unit || (comparable_shares && wants_shares) {
        return Ok(());
    }
    let text = |name: &str, unit| match unit {
        Unit::Nanoseconds => format!("{name} in nanoseconds"),
        Unit::Bytes => format!("{name} in bytes"),
        Unit::Events => name.to_owned(),
    };
    Err(Error::DifferentUnits { old: text(&old.name, old.unit), new: text(&new.name, new.unit), comparable_shares })
}

/// Decides whether a function of a profile is hidden.
type FunctionPredicate = fn(&Profile, &Function) -> bool;

/// Hides two kinds of frames if only one of the two profiles names such frames: kernel frames, whose weight then counts
/// for their callers, and `runtime.goexit`, the root of goroutines. Adds a note for each kind.
fn hide_frames_of_one_side(sides: &mut [Reported; 2], notes: &mut Vec<String>) {
    let is_kernel: FunctionPredicate = |_, function| function.origin == Origin::Kernel;
    let is_goexit: FunctionPredicate = |profile, function| profile.str(function.display) == GOEXIT;
    let kinds = [
        (is_kernel, "names functions of the kernel: they count for their callers"),
        (is_goexit, "has runtime.goexit: it is left out"),
    ];
    for (is_hidden, words) in kinds {
        let has = sides.each_ref().map(|side| {
            let profile = side.view.profile();
            let is_named = |function: &Function| !profile.str(function.display).starts_with('[');
            profile.functions().any(|(_, function)| is_hidden(profile, function) && is_named(function))
        });
        let named = match has {
            [true, false] => &sides[0].name,
            [false, true] => &sides[1].name,
            _ => continue,
        };
        notes.push(format!("only {named} {words}"));
        for side in sides.iter_mut() {
            let empty = View::new(Profile::new(side.view.profile().event.clone()), GroupBy::default());
            let mut profile = std::mem::replace(&mut side.view, empty).into_profile();
            let hidden: Vec<bool> = profile.functions().map(|(_, function)| is_hidden(&profile, function)).collect();
            profile.retain_frames(|_, frame| !hidden[frame.function.index()]);
            side.view = View::new(profile, GroupBy::default());
        }
    }
}

/// Returns notes about the limits of the comparison, for the user.
fn notes_about_limits(sides: &[Reported; 2]) -> Vec<String> {
    let mut notes = Vec::new();
    let [old, new] = sides.each_ref().map(|side| side.view.profile());
    if old.event.name != new.event.name {
        notes.push(format!("the events differ: {} and {}", old.event.name, new.event.name));
    }
    for (side, profile) in sides.iter().zip([old, new]) {
        let count = profile.total_count();
        if profile.event.is_sampled() && count < FEW_SAMPLES {
            // Newcombe's interval for two shares of 1/2 is about 2 / sqrt(samples) wide on each side.
            let points = 200.0 / (count.max(1) as f64).sqrt();
            notes.push(format!(
                "{} has only {} samples: a function must change by up to {:.0} percentage points to be seen",
                side.name,
                format_number(count),
                points.min(100.0)
            ));
        }
    }
    notes
}
