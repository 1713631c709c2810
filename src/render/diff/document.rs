//! [`DiffDocument`]: the content of a comparison, with the words and figures that several formats show.

use clap::ValueEnum;

use crate::profile::format_number;
use crate::render::amount::AmountFormat;
use crate::render::document::Document;
use crate::render::name;

use crate::views::{ChangeVerdict, DebugHotSpot, Diff, FigureChange, FunctionChange, ValueKind, View};

/// The profile whose weights are the widths of frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum WidthSource {
    /// The old profile: shows what is gone
    Old,
    /// The new profile: shows what is new
    #[default]
    New,
}

/// The content of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct DiffDocument<'a> {
    /// The differences.
    pub diff: &'a Diff,
    /// The profiles, the old one first.
    pub sides: [Document<'a>; 2],
    /// The ids of the runs or the paths of the files, the old one first.
    pub names: [&'a str; 2],
    /// The headline. `None`: the headline consists of the titles of both profiles.
    pub title: Option<&'a str>,
    /// Limits of the comparison, for the user.
    pub notes: &'a [String],
    /// The profile whose weights are the widths of frames.
    pub width_source: WidthSource,
    /// Short names of the profiles, the old one first: `old` and `new`, or the names of their variants.
    pub labels: [&'a str; 2],
    /// A sentence that compares the work of both programs. `None` if their work is unknown.
    pub work: Option<&'a str>,
    /// Hot spots that only the debug build has.
    pub debug_only: &'a [DebugHotSpot],
}

/// Events that measure CPU time.
const CPU_TIME_EVENTS: [&str; 4] = ["cpu-clock", "task-clock", "cpu", "samples"];

impl<'a> DiffDocument<'a> {
    /// Returns both views, the old one first.
    pub(in crate::render) fn views(&self) -> [&'a View; 2] {
        self.sides.map(|side| side.view)
    }

    pub(in crate::render) fn headline(&self) -> String {
        let [old, new] = self.sides.map(|side| side.title);
        let title = match self.title {
            Some(title) => title.to_owned(),
            None if old == new => new.to_owned(),
            None => format!("{old} → {new}"),
        };
        name::clean_name(&title).into_owned()
    }

    /// Describes a profile in one line: its name, its title, the event, the number of samples and the quality.
    pub(in crate::render) fn description(&self, side: usize) -> String {
        let mut name = self.names[side].to_owned();
        if self.sides[side].title != name {
            name = format!("{name} {}", self.sides[side].title);
        }
        name::clean_name(&format!("{name}: {}", self.sides[side].subtitle())).into_owned()
    }

    /// Returns the result in one line. If the work is known, the totals are left out: two programs that did different numbers
    /// of operations would have misleading totals.
    pub fn summary(&self) -> String {
        match self.work {
            Some(_) => self.verdict_text(),
            None => format!("{}; {}", self.verdict_text(), self.totals_text()),
        }
    }

    fn verdict_text(&self) -> String {
        let words = [
            (ChangeVerdict::Grew, "grew"),
            (ChangeVerdict::Shrank, "shrank"),
            (
                ChangeVerdict::New,
                if self.diff.count_with_verdict(ChangeVerdict::New) == 1 { "is new" } else { "are new" },
            ),
            (
                ChangeVerdict::Gone,
                if self.diff.count_with_verdict(ChangeVerdict::Gone) == 1 { "is gone" } else { "are gone" },
            ),
        ];
        let counted = words.map(|(verdict, words)| (self.diff.count_with_verdict(verdict), words));
        let mut parts: Vec<String> = Vec::new();
        for (count, words) in counted.into_iter().filter(|(count, _)| *count > 0) {
            let noun = match (parts.is_empty(), count) {
                (true, 1) => " function",
                (true, _) => " functions",
                _ => "",
            };
            parts.push(format!("{}{noun} {words}", format_number(count as u64)));
        }
        let has_changed = |row: &&FunctionChange| row.cumulative.is_clear() && !row.self_weight.is_clear();
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
        format!("{start}{}{with_callees}", self.beyond_chance_words())
    }

    /// Returns the words ` beyond chance`, or nothing if the counts are not samples.
    pub(in crate::render) fn beyond_chance_words(&self) -> &'static str {
        if self.diff.scale.is_sampled { " beyond chance" } else { "" }
    }

    fn totals_text(&self) -> String {
        let events = self.sides.map(|side| &side.view.profile().event);
        let totals = self.diff.scale.totals.map(|total| total.weight);
        let [old, new] = [0, 1].map(|side| {
            let total = if events[0].unit == events[1].unit { totals[0].max(totals[1]) } else { totals[side] };
            AmountFormat::new(events[side].unit, total, None).format(totals[side])
        });
        match events.map(|event| name::clean_name(&event.name)) {
            [first, second] if [&first, &second].iter().all(|name| CPU_TIME_EVENTS.contains(&&***name)) => {
                format!("total CPU time {old} → {new}")
            }
            [first, second] if first == second => format!("total {first} {old} → {new}"),
            [first, second] => format!("total {old} of {first} → {new} of {second}"),
        }
    }

    /// Returns the functions that are gone beyond chance, the heaviest first.
    pub(in crate::render) fn gone_functions(&self) -> Vec<&'a FunctionChange> {
        let gone = |row: &&FunctionChange| row.cumulative.verdict == ChangeVerdict::Gone;
        let mut gone: Vec<_> = self.diff.functions.iter().filter(gone).collect();
        gone.sort_by(|a, b| b.cumulative.values[0].total_cmp(&a.cumulative.values[0]));
        gone
    }

    /// Returns the functions that were matched under different names, the heaviest first: their old and their new names.
    pub(in crate::render) fn renamed_functions(&self) -> Vec<[String; 2]> {
        let function = |row: &FunctionChange| &self.diff.matching.functions[row.function];
        let mut renamed: Vec<_> = self.diff.functions.iter().filter(|row| function(row).is_renamed()).collect();
        renamed.sort_by(|a, b| {
            let weight = |row: &FunctionChange| row.cumulative.values[0].max(row.cumulative.values[1]);
            weight(b).total_cmp(&weight(a))
        });
        let joined =
            |names: &Vec<String>| names.iter().map(|name| name::clean_name(name)).collect::<Vec<_>>().join(", ");
        renamed.into_iter().map(|row| function(row).names.each_ref().map(joined)).collect()
    }

    /// Returns the name of a function, by its index in [`Matching::functions`](crate::views::Matching::functions).
    pub(in crate::render) fn function_name(&self, function: usize) -> String {
        name::clean_name(&self.diff.matching.functions[function].name).into_owned()
    }

    /// Returns the format of values and differences.
    pub(in crate::render) fn value_format(&self) -> ValueFormat {
        let scale = &self.diff.scale;
        let unit = self.sides[1].view.profile().event.unit;
        let largest = scale.larger_total();
        ValueFormat {
            value_kind: scale.value_kind,
            amounts: AmountFormat::new(unit, largest, None),
            is_sampled: scale.is_sampled,
        }
    }

    /// Returns a text that explains values, differences and intervals.
    pub(in crate::render) fn explanation(&self) -> String {
        let unit = self.value_format().unit();
        let values = match self.diff.scale.value_kind {
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

/// Formats values and differences for people.
pub(in crate::render) struct ValueFormat {
    value_kind: ValueKind,
    amounts: AmountFormat,
    is_sampled: bool,
}

impl ValueFormat {
    pub(in crate::render) fn format_value(&self, value: f64) -> String {
        match self.value_kind {
            _ if value <= 0.0 => "0".to_owned(),
            ValueKind::Share if value < 0.0005 => "<0.1 %".to_owned(),
            ValueKind::Share => format!("{:.1} %", value * 100.0),
            _ => format!("{} {}", self.amounts.format_number(value), self.unit()),
        }
    }

    /// Formats a value for a column of values, without the unit.
    pub(in crate::render) fn format_cell(&self, value: f64) -> String {
        let text = self.format_value(value);
        text.split_once(' ').map_or(&*text, |(number, _)| number).to_owned()
    }

    /// Formats a difference with its margin, without the unit: `+5.90 ± 1.20`. If values are not shares, the relative
    /// change follows: `+5.90 ± 1.20, +25 %`. Empty if both values are 0.
    pub(in crate::render) fn format_difference(&self, change: &FigureChange) -> String {
        let number = |value: f64| match self.value_kind {
            ValueKind::Share => format!("{:.2}", value * 100.0),
            _ => self.amounts.format_number(value),
        };
        let difference = change.difference.value;
        if change.amounts.iter().all(|amount| amount.weight == 0) {
            return String::new();
        }
        let sign = |value: f64| if value < 0.0 { "−" } else { "+" };
        let margin = if self.is_sampled { format!(" ± {}", number(change.margin())) } else { String::new() };
        let relative = match change.values[0] {
            old if old > 0.0 && self.value_kind != ValueKind::Share => {
                let percent = difference / old * 100.0;
                format!(", {}{:.0} %", sign(percent), percent.abs())
            }
            _ => String::new(),
        };
        format!("{}{}{margin}{relative}", sign(difference), number(difference.abs()))
    }

    /// Returns this format as data for the script of a page.
    pub(in crate::render) fn page_format(&self) -> PageValueFormat {
        match self.value_kind {
            ValueKind::Share => PageValueFormat { scale: 0.01, decimals: 1, unit: "%".to_owned() },
            _ => PageValueFormat { scale: self.amounts.unit_weight(), decimals: 2, unit: self.unit() },
        }
    }

    /// Returns the unit of differences.
    pub(in crate::render) fn unit(&self) -> String {
        let symbol = self.amounts.unit_symbol();
        match self.value_kind {
            ValueKind::Share => "percentage points".to_owned(),
            ValueKind::Weight => symbol.to_owned(),
            ValueKind::WeightPerSecond => format!("{symbol}/s"),
            ValueKind::WeightPerUnit => format!("{symbol}/unit"),
        }
    }
}

/// The format of values in the script of a page. Differences have two decimals.
pub(in crate::render) struct PageValueFormat {
    /// Values are divided by this number before they are shown.
    pub(in crate::render) scale: f64,
    pub(in crate::render) decimals: usize,
    pub(in crate::render) unit: String,
}

/// Returns the word for a verdict. Empty if chance can explain the difference.
pub(in crate::render) fn verdict_word(change: &FigureChange) -> &'static str {
    match change.verdict {
        ChangeVerdict::Grew => "grew",
        ChangeVerdict::Shrank => "shrank",
        ChangeVerdict::New => "new",
        ChangeVerdict::Gone => "gone",
        ChangeVerdict::Unclear => "",
    }
}

/// Returns the last line of a shortened list: `and 3 others`.
pub(in crate::render) fn format_others(count: usize) -> String {
    let noun = if count == 1 { "other" } else { "others" };
    format!("and {} {noun}", format_number(count as u64))
}
