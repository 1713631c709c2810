//! [`DiffDocument`], and the words and figures that several formats show.

use clap::ValueEnum;

use crate::profile::format_number;
use crate::render::amount::Amounts;
use crate::render::document::Document;
use crate::render::name;

use crate::views::{ChangeVerdict, DebugHotSpot, Diff, FigureChange, FunctionChange, ValueKind, View};

/// The profile whose weights are the widths of frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DrawnWidth {
    /// The old profile: shows what is gone
    Old,
    /// The new profile: shows what is new
    #[default]
    New,
}

/// The content of an output.
#[derive(Debug, Clone, Copy)]
pub struct DiffDocument<'a> {
    /// The differences.
    pub diff: &'a Diff,
    /// The profiles, the old one first.
    pub sides: [Document<'a>; 2],
    /// The ids of the runs, or the paths of the files.
    pub names: [&'a str; 2],
    /// The headline. `None` for the titles of the profiles.
    pub title: Option<&'a str>,
    /// Limits of the comparison, for the user.
    pub notes: &'a [String],
    /// The profile whose weights are the widths of frames.
    pub width: DrawnWidth,
    /// Names of the profiles, the old one first: `old` and `new`, or the variants that they are of.
    pub labels: [&'a str; 2],
    /// How much work both programs did in their time, for people.
    pub work: Option<&'a str>,
    /// Hot spots that only the debug build has.
    pub debug_only: &'a [DebugHotSpot],
}

/// Events that measure CPU time.
const CPU_TIME: [&str; 4] = ["cpu-clock", "task-clock", "cpu", "samples"];

impl<'a> DiffDocument<'a> {
    /// Returns both views, the old one first.
    pub(in crate::render) fn views(&self) -> [&'a View; 2] {
        self.sides.map(|side| side.view)
    }

    /// Returns the headline.
    pub(in crate::render) fn headline(&self) -> String {
        let [old, new] = self.sides.map(|side| side.title);
        let title = match self.title {
            Some(title) => title.to_owned(),
            None if old == new => new.to_owned(),
            None => format!("{old} → {new}"),
        };
        name::clean(&title).into_owned()
    }

    /// Describes a profile as in the subtitle of its flame graph.
    pub(in crate::render) fn description(&self, side: usize) -> String {
        let mut name = self.names[side].to_owned();
        if self.sides[side].title != name {
            name = format!("{name} {}", self.sides[side].title);
        }
        name::clean(&format!("{name}: {}", self.sides[side].subtitle())).into_owned()
    }

    /// Returns the result in one line. Totals are left out where the time of the work is known: with other numbers of
    /// operations, they seem to contradict it.
    pub fn summary(&self) -> String {
        match self.work {
            Some(_) => self.verdict(),
            None => format!("{}; {}", self.verdict(), self.totals()),
        }
    }

    fn verdict(&self) -> String {
        let words = [
            (ChangeVerdict::Grew, "grew"),
            (ChangeVerdict::Shrank, "shrank"),
            (ChangeVerdict::New, if self.diff.count(ChangeVerdict::New) == 1 { "is new" } else { "are new" }),
            (ChangeVerdict::Gone, if self.diff.count(ChangeVerdict::Gone) == 1 { "is gone" } else { "are gone" }),
        ];
        let counted = words.map(|(verdict, words)| (self.diff.count(verdict), words));
        let mut parts: Vec<String> = Vec::new();
        for (count, words) in counted.into_iter().filter(|(count, _)| *count > 0) {
            let noun = match (parts.is_empty(), count) {
                (true, 1) => " function",
                (true, _) => " functions",
                _ => "",
            };
            parts.push(format!("{}{noun} {words}", format_number(count as u64)));
        }
        let has_changed = |row: &&FunctionChange| row.cumulative.is_clear() && !row.own.is_clear();
        let with_callees = self.diff.functions.iter().filter(has_changed).count();
        let (start, more) = match (parts.is_empty(), with_callees) {
            (true, 0) => ("no function changed".to_owned(), ""),
            (true, _) => ("no function itself changed".to_owned(), ""),
            (false, _) => (parts.join(", "), " more"),
        };
        let with_callees = match with_callees {
            0 => String::new(),
            1 => format!(", 1{more} with what it calls"),
            count => format!(", {}{more} with what they call", format_number(count as u64)),
        };
        format!("{start}{}{with_callees}", self.beyond())
    }

    /// Returns the words that limit a statement to what is beyond chance, if that is known.
    pub(in crate::render) fn beyond(&self) -> &'static str {
        if self.diff.scale.is_sampled { " beyond chance" } else { "" }
    }

    fn totals(&self) -> String {
        let events = self.sides.map(|side| &side.view.profile().event);
        let totals = self.diff.scale.totals.map(|total| total.weight);
        let [old, new] = [0, 1].map(|side| {
            let total = if events[0].unit == events[1].unit { totals[0].max(totals[1]) } else { totals[side] };
            Amounts::new(events[side].unit, total, None).format(totals[side])
        });
        match events.map(|event| name::clean(&event.name)) {
            [first, second] if [&first, &second].iter().all(|name| CPU_TIME.contains(&&***name)) => {
                format!("total CPU time {old} → {new}")
            }
            [first, second] if first == second => format!("total {first} {old} → {new}"),
            [first, second] => format!("total {old} of {first} → {new} of {second}"),
        }
    }

    /// Returns the functions that are gone beyond chance, the heaviest first.
    pub(in crate::render) fn gone(&self) -> Vec<&'a FunctionChange> {
        let gone = |row: &&FunctionChange| row.cumulative.verdict == ChangeVerdict::Gone;
        let mut gone: Vec<_> = self.diff.functions.iter().filter(gone).collect();
        gone.sort_by(|a, b| b.cumulative.values[0].total_cmp(&a.cumulative.values[0]));
        gone
    }

    /// Returns the functions that were matched under different names, those with the most weight first: the names, joined.
    pub(in crate::render) fn renamed(&self) -> Vec<[String; 2]> {
        let function = |row: &FunctionChange| &self.diff.matching.functions[row.function];
        let mut renamed: Vec<_> = self.diff.functions.iter().filter(|row| function(row).is_renamed()).collect();
        renamed.sort_by(|a, b| {
            let weight = |row: &FunctionChange| row.cumulative.values[0].max(row.cumulative.values[1]);
            weight(b).total_cmp(&weight(a))
        });
        let joined = |names: &Vec<String>| names.iter().map(|name| name::clean(name)).collect::<Vec<_>>().join(", ");
        renamed.into_iter().map(|row| function(row).names.each_ref().map(joined)).collect()
    }

    /// Returns the name of a function.
    pub(in crate::render) fn name(&self, function: usize) -> String {
        name::clean(&self.diff.matching.functions[function].name).into_owned()
    }

    /// Returns how values are written.
    pub(in crate::render) fn values(&self) -> ValueFormat {
        let scale = &self.diff.scale;
        let unit = self.sides[1].view.profile().event.unit;
        let largest = scale.largest();
        ValueFormat { measure: scale.measure, amounts: Amounts::new(unit, largest, None), is_sampled: scale.is_sampled }
    }

    /// Returns a sentence that says how differences and intervals are to be read.
    pub(in crate::render) fn explanation(&self) -> String {
        let unit = self.values().unit();
        let values = match self.diff.scale.measure {
            ValueKind::Share => format!("shares of all samples in percent, changes in {unit}"),
            ValueKind::Weight if unit.is_empty() => "weights as sampled".to_owned(),
            ValueKind::Weight => format!("weights as sampled, in {unit}"),
            ValueKind::WeightPerSecond => format!("weights for each second of the run, in {unit}"),
            ValueKind::WeightPerUnit => format!("weights for each unit of work, in {unit}"),
        };
        if self.diff.scale.is_sampled {
            format!(
                "{values}; ± holds with 95 % for all {} comparisons together",
                format_number(self.diff.comparisons as u64)
            )
        } else {
            format!("{values}; the counts are not samples, so chance is not judged")
        }
    }
}

/// Writes values and differences.
pub(in crate::render) struct ValueFormat {
    measure: ValueKind,
    amounts: Amounts,
    is_sampled: bool,
}

impl ValueFormat {
    /// Formats a value of a profile.
    pub(in crate::render) fn value(&self, value: f64) -> String {
        match self.measure {
            _ if value <= 0.0 => "0".to_owned(),
            ValueKind::Share if value < 0.0005 => "<0.1 %".to_owned(),
            ValueKind::Share => format!("{:.1} %", value * 100.0),
            _ => format!("{} {}", self.amounts.number(value), self.unit()),
        }
    }

    /// Formats a value for a column of values, without the unit.
    pub(in crate::render) fn cell(&self, value: f64) -> String {
        let text = self.value(value);
        text.split_once(' ').map_or(&*text, |(number, _)| number).to_owned()
    }

    /// Formats a difference with its margin, without the unit: `+5.90 ± 1.20`. Empty if both values are 0.
    pub(in crate::render) fn difference(&self, change: &FigureChange) -> String {
        let number = |value: f64| match self.measure {
            ValueKind::Share => format!("{:.2}", value * 100.0),
            _ => self.amounts.number(value),
        };
        let difference = change.difference.value;
        if change.amounts.iter().all(|amount| amount.weight == 0) {
            return String::new();
        }
        let sign = |value: f64| if value < 0.0 { "−" } else { "+" };
        let margin = if self.is_sampled { format!(" ± {}", number(change.margin())) } else { String::new() };
        let relative = match change.values[0] {
            old if old > 0.0 && self.measure != ValueKind::Share => {
                let percent = difference / old * 100.0;
                format!(", {}{:.0} %", sign(percent), percent.abs())
            }
            _ => String::new(),
        };
        format!("{}{}{margin}{relative}", sign(difference), number(difference.abs()))
    }

    /// Returns how a page writes values and differences.
    pub(in crate::render) fn figures(&self) -> ValueFigures {
        match self.measure {
            ValueKind::Share => ValueFigures { scale: 0.01, decimals: 1, unit: "%".to_owned() },
            _ => ValueFigures { scale: self.amounts.scale(), decimals: 2, unit: self.unit() },
        }
    }

    /// Returns the unit of differences.
    pub(in crate::render) fn unit(&self) -> String {
        let symbol = self.amounts.symbol();
        match self.measure {
            ValueKind::Share => "percentage points".to_owned(),
            ValueKind::Weight => symbol.to_owned(),
            ValueKind::WeightPerSecond => format!("{symbol}/s"),
            ValueKind::WeightPerUnit => format!("{symbol}/unit"),
        }
    }
}

/// How a page writes values. Differences have two decimals.
pub(in crate::render) struct ValueFigures {
    /// The value that is shown as 1.
    pub(in crate::render) scale: f64,
    pub(in crate::render) decimals: usize,
    pub(in crate::render) unit: String,
}

/// Returns the word for a verdict. Empty if chance may have made the difference.
pub(in crate::render) fn verdict(change: &FigureChange) -> &'static str {
    match change.verdict {
        ChangeVerdict::Grew => "grew",
        ChangeVerdict::Shrank => "shrank",
        ChangeVerdict::New => "new",
        ChangeVerdict::Gone => "gone",
        ChangeVerdict::Unclear => "",
    }
}

/// Returns the last line of a list that is cut.
pub(in crate::render) fn and_others(count: usize) -> String {
    let noun = if count == 1 { "other" } else { "others" };
    format!("and {} {noun}", format_number(count as u64))
}
