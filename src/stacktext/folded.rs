//! Folded stacks: one line `process;root;…;leaf WEIGHT` for each stack. A frame can end with a suffix that `stackcollapse`
//! scripts add: `_[k]` for the kernel, `_[i]` for an inlined call, `_[j]` for code made at run time.

use super::builder::{MAX_FRAMES, StackTextBuilder, TextFrame};
use super::lines::{first_lines, is_comment, lines};
use super::{Error, StackText};
use crate::profile::{Event, Origin, Sample, Unit, format_number};

/// Maximum number of decimals of a weight. Further decimals are ignored.
const MAX_DECIMALS: usize = 6;

/// Whether a file with this beginning should be read as folded stacks: the first line and more than half of the first lines
/// end with a weight.
pub fn is_folded(beginning: &[u8]) -> bool {
    let Some(first) = first_lines(beginning) else { return false };
    let folded = first.iter().filter(|line| FoldedLine::parse(line).is_some()).count();
    first.first().is_some_and(|line| FoldedLine::parse(line).is_some()) && folded > first.len() / 2
}

/// Reads folded stacks. The first name of each line is the process, unless any line begins with a function of Go's
/// runtime or of `main`.
///
/// Whole weights are numbers of samples. Weights with fractions are multiplied by a power of ten, so that they become whole.
pub fn read_folded(text: &[u8]) -> Result<StackText, Error> {
    let content = || lines(text).filter(|(_, line)| !line.trim().is_empty() && !is_comment(line));
    let (mut decimals, mut has_processes) = (0, true);
    for (_, line) in content() {
        let Some(line) = FoldedLine::parse(&line) else { continue };
        decimals = decimals.max(line.decimals.len());
        has_processes &= !is_root_function(line.names().next().unwrap_or_default());
    }
    let name = if decimals == 0 { Event::SAMPLES } else { "weight" };
    let event = Event { name: name.into(), count_name: name.into(), unit: Unit::Events, frequency: 0 };
    let mut builder = StackTextBuilder::new(event);
    let (mut without_weight, mut frames) = (Vec::new(), Vec::new());
    for (number, line) in content() {
        let Some(line) = FoldedLine::parse(&line) else {
            without_weight.push(number);
            continue;
        };
        let weight = line.weight(decimals).ok_or(Error::Weight { line: number })?;
        let mut names = line.names();
        let process = if has_processes { names.next().unwrap_or_default() } else { "" };
        frames.clear();
        // If processes are not separated from the frames, the first name can be a process. So one more name is allowed.
        frames.extend(names.by_ref().take(MAX_FRAMES.saturating_add(usize::from(!has_processes))).map(parse_frame));
        if names.next().is_some() {
            return Err(Error::Deep { line: number });
        }
        let task = builder.intern_task(process, 0, 0, None);
        let stack = builder.intern_stack(&frames, if decimals == 0 { weight } else { 1 });
        if weight > 0 {
            builder.profile.add_sample(Sample { stack, task, count: weight, weight });
        }
    }
    let mut notes = Vec::new();
    if let Some(first) = without_weight.first() {
        notes.push(format!(
            "{} lines have no weight at their end and are left out, the first is line {first}",
            format_number(u64::try_from(without_weight.len()).unwrap_or(u64::MAX))
        ));
    }
    if decimals > 0 {
        let factor = 10_u64.saturating_pow(u32::try_from(decimals).unwrap_or(0));
        notes.push(format!("the weights have fractions: they are shown multiplied by {}", format_number(factor)));
    }
    let (profile, quality) = builder.finish();
    Ok(StackText { profile, quality, other_events: Vec::new(), notes })
}

struct FoldedLine<'l> {
    stack: &'l str,
    /// The digits before the point.
    whole: &'l str,
    /// The digits after the point, at most [`MAX_DECIMALS`], without zeros at the end.
    decimals: &'l str,
}

impl<'l> FoldedLine<'l> {
    fn parse(line: &'l str) -> Option<Self> {
        let (stack, number) = line.trim_end().rsplit_once([' ', '\t'])?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) || stack.trim().is_empty() {
            return None;
        }
        let decimals = decimals.get(..MAX_DECIMALS).unwrap_or(decimals).trim_end_matches('0');
        Some(Self { stack: stack.trim_end(), whole, decimals })
    }

    fn names(&self) -> impl Iterator<Item = &'l str> {
        self.stack.split(';')
    }

    /// Returns the weight multiplied by 10 to the power of `decimals`. `None` if the weight is too large.
    fn weight(&self, decimals: usize) -> Option<u64> {
        format!("{}{:0<decimals$}", self.whole, self.decimals).parse().ok()
    }
}

/// Whether the first name of a line is a Go function, not a process. Test binaries have names such as `main.test`.
fn is_root_function(name: &str) -> bool {
    (name.starts_with("runtime.") || name.starts_with("main.")) && name.rsplit('.').next() != Some("test")
}

fn parse_frame(name: &str) -> TextFrame {
    let annotations =
        [("_[k]", Some(Origin::Kernel), false), ("_[j]", Some(Origin::Native), false), ("_[i]", None, true)];
    for (suffix, origin, inlined) in annotations {
        if let Some(name) = name.strip_suffix(suffix) {
            return TextFrame { name: name.into(), origin, inlined, ..TextFrame::default() };
        }
    }
    TextFrame { name: name.into(), ..TextFrame::default() }
}
