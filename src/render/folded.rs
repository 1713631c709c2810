//! Folded stacks: `process;root;…;leaf COUNT`, a line for each distinct stack, sorted.
//!
//! As stackcollapse-perf.pl writes them: counts are numbers of samples (or weights, where no samples were counted, as of
//! the heap), `;` in a name becomes `:`,
//! spaces in the name of a process become `_`, kernel frames carry no suffix, and a sample without
//! frames is a line with the process alone. Names are those that Go programmers write.

use std::cmp::Reverse;
use std::io::{self, BufWriter, Write};

use super::groups::{Group, Groups, Scratch, TextId, parts, walk};
use super::name;
use crate::profile::{Interner, Profile, Sample, Walker};

/// Bytes that are written at once.
const BUFFER: usize = 1 << 18;

/// Writes a profile as folded stacks. An empty profile gives no lines.
pub fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let mut texts = Interner::default();
    let figure = |sample: &Sample| if profile.event.is_sampled() { sample.count } else { sample.weight };
    let (parts, _) = parts(profile, figure, |process| TextId::of(name::folded_process(process), &mut texts));
    let functions = profile.functions().map(|(_, function)| profile.str(function.display));
    let functions = functions.map(|name| TextId::of(name::folded_frame(name), &mut texts)).collect();
    let walk = walk(profile, figure, &parts);
    let groups = Groups::new(profile, &walk, functions, 1);
    let processes = parts.iter().enumerate().map(|(at, part)| groups.of_part(at, part)).collect();
    let mut out = BufWriter::with_capacity(BUFFER, out);
    groups.with_scratch(|scratch| {
        let ranks = ranks(texts.items());
        Lines { groups: &groups, texts: texts.items(), ranks, path: String::new(), pending: Vec::new(), scratch }
            .write(processes, &mut out)
    })?;
    out.flush()
}

/// The lines that stacks make.
struct Lines<'a, 'p> {
    groups: &'a Groups<'p>,
    texts: &'a [String],
    ranks: Vec<Ranks>,
    /// What comes before what is pending.
    path: String,
    /// The last one is next.
    pending: Vec<Pending>,
    scratch: &'a mut Scratch,
}

/// What is still to be written.
struct Pending {
    /// How much of the path is before it.
    length: usize,
    text: TextId,
    lines: Below,
}

enum Below {
    /// The line that ends here, with its figure.
    Line(u64),
    /// All that goes on, in several ways.
    Groups(Vec<Group>),
    /// All that goes on: where a walker is alone, there is nothing to put into order.
    Alone(Walker),
}

impl Lines<'_, '_> {
    fn write(mut self, processes: Vec<Group>, out: &mut impl Write) -> io::Result<()> {
        self.add(processes);
        while let Some(Pending { length, text, lines }) = self.pending.pop() {
            self.path.truncate(length);
            self.path.push_str(&self.texts[text.index()]);
            match lines {
                Below::Line(figure) => writeln!(out, "{} {figure}", self.path)?,
                Below::Groups(groups) => self.add(groups),
                Below::Alone(walker) => self.write_alone(walker, out)?,
            }
        }
        Ok(())
    }

    /// Puts what is below the path into order.
    fn add(&mut self, groups: Vec<Group>) {
        if !self.path.is_empty() {
            self.path.push(';');
        }
        let (length, first) = (self.path.len(), self.pending.len());
        for Group { text, width, walkers, .. } in groups {
            if let [walker] = walkers[..]
                && self.groups.next(&mut { walker }).is_some()
            {
                self.pending.push(Pending { length, text, lines: Below::Alone(walker) });
                continue;
            }
            let callees = self.groups.grow(walkers, self.scratch);
            if let Some(figure) = ending(width, callees.iter().map(|callee| callee.width)) {
                self.pending.push(Pending { length, text, lines: Below::Line(figure) });
            }
            if !callees.is_empty() {
                self.pending.push(Pending { length, text, lines: Below::Groups(callees) });
            }
        }
        let ranks = &self.ranks;
        self.pending[first..].sort_unstable_by_key(|pending| {
            let Ranks { line, lines } = ranks[pending.text.index()];
            Reverse(if matches!(pending.lines, Below::Line(_)) { line } else { lines })
        });
    }

    /// Writes what is below the path, as far as the walker stays alone.
    fn write_alone(&mut self, mut walker: Walker, out: &mut impl Write) -> io::Result<()> {
        loop {
            while let Some(text) = self.groups.next(&mut walker) {
                self.path.push(';');
                self.path.push_str(&self.texts[text.index()]);
            }
            let callees: Vec<Walker> = self.groups.callees(&walker).collect();
            if let Some(figure) = ending(walker.weight, callees.iter().map(|callee| callee.weight)) {
                writeln!(out, "{} {figure}", self.path)?;
            }
            match callees[..] {
                [] => return Ok(()),
                [callee] => walker = callee,
                _ => {
                    let groups = self.groups.grow(callees, self.scratch);
                    self.add(groups);
                    return Ok(());
                }
            }
        }
    }
}

/// What of a figure is of samples that end where others go on; `None` where none end.
fn ending(all: u64, going_on: impl Iterator<Item = u64>) -> Option<u64> {
    let going_on = going_on.fold(0, u64::saturating_add);
    all.checked_sub(going_on).filter(|figure| *figure > 0)
}

/// A text as it stands in a line: at its end, or before what goes on.
fn bytes(text: &[u8], goes_on: bool) -> impl Iterator<Item = u8> {
    text.iter().copied().chain(goes_on.then_some(b';'))
}

/// Where lines come in the order of all lines, which is that of their bytes: `main.F.func1;x` comes between `main.F` and
/// `main.F;y`.
#[derive(Clone, Copy, Default)]
struct Ranks {
    /// A line that ends in a text.
    line: u32,
    /// Lines that go on behind it.
    lines: u32,
}

/// Those of each text.
fn ranks(texts: &[String]) -> Vec<Ranks> {
    let mut all: Vec<(&[u8], bool, usize)> =
        (0..texts.len()).flat_map(|at| [false, true].map(|goes_on| (texts[at].as_bytes(), goes_on, at))).collect();
    all.sort_by(|a, b| bytes(a.0, a.1).cmp(bytes(b.0, b.1)));
    let mut ranks = vec![Ranks::default(); texts.len()];
    for (rank, (_, goes_on, at)) in (0..).zip(all) {
        let Ranks { line, lines } = &mut ranks[at];
        *(if goes_on { lines } else { line }) = rank;
    }
    ranks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::profile::fixture::Fixture;

    fn folded(fixture: &Fixture) -> String {
        let mut out = Vec::new();
        write(&fixture.profile, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn equal_stacks_are_one_line_and_lines_are_sorted() {
        let mut fixture = Fixture::cycles();
        fixture.add("app", "runtime.goexit|main.main|main.b:4", 2);
        fixture.add("app", "runtime.goexit|main.main|main.b:5", 1);
        fixture.add("app", "runtime.goexit|main.main|k:page_fault", 5);
        fixture.add("app", "", 4);
        fixture.add("a pp", "slices.Sort[...]", 1);
        fixture.add("app.d", "main.main", 1);
        assert_eq!(
            folded(&fixture),
            "a_pp;slices.Sort[...] 1\n\
             app 4\n\
             app.d;main.main 1\n\
             app;runtime.goexit;main.main;main.b 3\n\
             app;runtime.goexit;main.main;page_fault 5\n"
        );
    }

    #[test]
    fn stacks_of_any_depth_are_put_together() {
        let mut fixture = Fixture::cycles();
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        let mut random = 1_u32;
        for _ in 0..3_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (bits, process) = (random >> 8, if random >> 30 == 0 { "app.d" } else { "app" });
            // Few ways from the root and many to the leaf, of more frames than are stored together.
            let names = (0..bits % 24).map(|at| format!("main.f{}", (bits >> (at % 7)) & (at / 3)));
            let names: Vec<String> = names.map(|name| name.replace("f3", "f1.func1")).collect();
            let frame = |(at, name): (usize, &String)| match (bits as usize >> at) % 8 {
                0 if at > 0 => format!("i:{name}"),
                line => format!("{name}:{line}"),
            };
            let stack: Vec<String> = names.iter().enumerate().map(frame).collect();
            let count = u64::from(bits % 3 + 1);
            fixture.add(process, &stack.join("|"), count);
            *lines.entry([&[process.to_owned()], &names[..]].concat().join(";")).or_default() += count;
        }
        assert!(lines.len() > 500, "{} lines", lines.len());
        let lines: Vec<String> = lines.into_iter().map(|(path, count)| format!("{path} {count}\n")).collect();
        assert_eq!(folded(&fixture), lines.concat());
    }

    #[test]
    fn empty_profile_has_no_lines() {
        assert_eq!(folded(&Fixture::new()), "");
    }
}
