//! Folded stacks: one line `process;root;…;leaf COUNT` for each distinct stack, sorted.
//!
//! The format is the same as in stackcollapse-perf.pl: `;` in a name becomes `:`, spaces in the name of a process
//! become `_`, kernel frames have no suffix, and a sample without frames is a line with only the process. COUNT is a
//! number of samples, or a weight if the profile counts no samples (heap profiles). Functions have their display names.

use std::cmp::Reverse;
use std::io::{self, BufWriter, Write};

use super::name;
use crate::profile::Interner;
use crate::views::{CallTree, ExpandScratch, LabelId, Node, SummedValue, TreeLabels, View, Walker, self_weight};

const BUFFER_BYTES: usize = 1 << 18;

/// Writes a profile as folded stacks. An empty profile gives no lines.
pub fn write(view: &View, out: &mut dyn Write) -> io::Result<()> {
    let profile = view.profile();
    let kind = if profile.event.is_sampled() { SummedValue::Count } else { SummedValue::Weight };
    let mut labels = Interner::default();
    let tree = view.call_tree(kind, 1, || {
        let groups = view.grouping().names().map(name::folded_process_name);
        let groups = groups.map(|name| LabelId::intern(name, &mut labels)).collect();
        let functions = profile.functions().map(|(_, function)| profile.str(function.display));
        let functions = functions.map(|name| LabelId::intern(name::folded_frame_name(name), &mut labels)).collect();
        TreeLabels::new(groups, functions)
    });
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, out);
    tree.with_scratch(|scratch| {
        let ranks = compute_ranks(labels.items());
        LineWriter { tree: &tree, labels: labels.items(), ranks, path: String::new(), pending: Vec::new(), scratch }
            .write(tree.groups(), &mut out)
    })?;
    out.flush()
}

/// Writes the lines in order. Keeps only the current call path and the pending nodes next to it in memory.
struct LineWriter<'a, 'v> {
    tree: &'a CallTree<'v>,
    labels: &'a [String],
    ranks: Vec<Ranks>,
    /// Frame texts of the current call path, joined by `;`.
    path: String,
    /// Nodes whose lines are not written yet. The last one is written next.
    pending: Vec<PendingNode>,
    scratch: &'a mut ExpandScratch,
}

/// A node whose lines are not written yet.
struct PendingNode {
    /// Length in bytes of the path of the node's callers.
    caller_path_length: usize,
    label: LabelId,
    lines: NodeLines,
}

enum NodeLines {
    /// The line that ends with the node, with its self weight.
    SelfWeight(u64),
    /// The lines of the node's callees.
    Callees(Vec<Node>),
    /// The lines of the node's callees. The node has only one walker, so they need no sorting.
    OneWalker(Walker),
}

impl LineWriter<'_, '_> {
    fn write(mut self, groups: Vec<Node>, out: &mut impl Write) -> io::Result<()> {
        self.add(groups);
        while let Some(PendingNode { caller_path_length, label, lines }) = self.pending.pop() {
            self.path.truncate(caller_path_length);
            self.path.push_str(&self.labels[label.index()]);
            match lines {
                NodeLines::SelfWeight(weight) => writeln!(out, "{} {weight}", self.path)?,
                NodeLines::Callees(nodes) => self.add(nodes),
                NodeLines::OneWalker(walker) => self.write_one_walker(walker, out)?,
            }
        }
        Ok(())
    }

    /// Adds the lines of nodes to `pending`. The nodes are the callees of the current call path.
    fn add(&mut self, nodes: Vec<Node>) {
        if !self.path.is_empty() {
            self.path.push(';');
        }
        let (caller_path_length, first) = (self.path.len(), self.pending.len());
        for Node { label, cumulative, walkers, .. } in nodes {
            if let [walker] = walkers[..]
                && self.tree.next(&mut { walker }).is_some()
            {
                self.pending.push(PendingNode { caller_path_length, label, lines: NodeLines::OneWalker(walker) });
                continue;
            }
            let callees = self.tree.expand(walkers, self.scratch);
            if let Some(weight) = self_weight(cumulative, callees.iter().map(|callee| callee.cumulative)) {
                self.pending.push(PendingNode { caller_path_length, label, lines: NodeLines::SelfWeight(weight) });
            }
            if !callees.is_empty() {
                self.pending.push(PendingNode { caller_path_length, label, lines: NodeLines::Callees(callees) });
            }
        }
        let ranks = &self.ranks;
        self.pending[first..].sort_unstable_by_key(|pending| {
            let Ranks { self_line, callee_lines } = ranks[pending.label.index()];
            Reverse(if matches!(pending.lines, NodeLines::SelfWeight(_)) { self_line } else { callee_lines })
        });
    }

    /// Writes the lines below the call path as long as there is only one walker. Where the walker continues in several
    /// callee segments, adds their nodes to `pending`.
    fn write_one_walker(&mut self, mut walker: Walker, out: &mut impl Write) -> io::Result<()> {
        loop {
            while let Some(label) = self.tree.next(&mut walker) {
                self.path.push(';');
                self.path.push_str(&self.labels[label.index()]);
            }
            let weight = self.tree.weight(&walker);
            let callees: Vec<Walker> = self.tree.callees(&walker).collect();
            if let [callee] = callees[..] {
                if let Some(weight) = self_weight(weight, [self.tree.weight(&callee)].into_iter()) {
                    writeln!(out, "{} {weight}", self.path)?;
                }
                walker = callee;
                continue;
            }
            // If filters hide all frames of a callee, its weight is a part of this line.
            let nodes = self.tree.expand(callees, self.scratch);
            if let Some(weight) = self_weight(weight, nodes.iter().map(|node| node.cumulative)) {
                writeln!(out, "{} {weight}", self.path)?;
            }
            if !nodes.is_empty() {
                self.add(nodes);
            }
            return Ok(());
        }
    }
}

/// Sort ranks of a frame text's lines among lines with the same callers. Lines are sorted by bytes, so `main.F.func1;x`
/// comes between `main.F` and `main.F;y`.
#[derive(Clone, Copy, Default)]
struct Ranks {
    /// Rank of the line that ends with the frame text.
    self_line: u32,
    /// Rank of the lines that continue with callees.
    callee_lines: u32,
}

/// Computes the ranks of each frame text.
fn compute_ranks(labels: &[String]) -> Vec<Ranks> {
    /// Returns the bytes of a frame text in a line: at the end, or followed by callees.
    fn bytes(label: &[u8], has_callees: bool) -> impl Iterator<Item = u8> {
        label.iter().copied().chain(has_callees.then_some(b';'))
    }
    let both = |at: usize| [false, true].map(|has_callees| (labels[at].as_bytes(), has_callees, at));
    let mut all: Vec<(&[u8], bool, usize)> = (0..labels.len()).flat_map(both).collect();
    all.sort_by(|a, b| bytes(a.0, a.1).cmp(bytes(b.0, b.1)));
    let mut ranks = vec![Ranks::default(); labels.len()];
    for (rank, (_, has_callees, at)) in (0..).zip(all) {
        let Ranks { self_line, callee_lines } = &mut ranks[at];
        *(if has_callees { callee_lines } else { self_line }) = rank;
    }
    ranks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::profile::fixture::Fixture;
    use crate::views::{Filters, GroupBy};

    fn folded(fixture: &Fixture) -> String {
        let mut out = Vec::new();
        write(&View::new(fixture.profile.clone(), GroupBy::Process), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn equal_stacks_are_one_line_and_lines_are_sorted() {
        let mut fixture = Fixture::new_cycles();
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
    fn equal_stacks_of_any_depth_are_one_line() {
        let mut fixture = Fixture::new_cycles();
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        let mut random = 1_u32;
        for _ in 0..3_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (bits, process) = (random >> 8, if random >> 30 == 0 { "app.d" } else { "app" });
            // The stacks have few different callers near the root and many near the leaf. Some have several stack segments.
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

    /// Earlier, a sample was lost if only hidden frames followed the last caller that several stacks share.
    #[test]
    fn samples_whose_last_frames_are_hidden_are_kept() {
        // The deepest stacks have more frames than two stack segments.
        let filters = Filters { hide: regex::Regex::new("hidden").ok(), ..Filters::default() };
        for depth in 0..20 {
            let mut fixture = Fixture::new();
            let callers: Vec<String> = (0..depth).map(|at| format!("main.f{at}")).collect();
            for (leaf, count) in [("main.hidden", 1), ("main.shown", 2), ("main.other", 4)] {
                fixture.add("app", &format!("{}|{leaf}", callers.join("|")), count);
            }
            let view = View::filtered(fixture.profile, &filters, GroupBy::Process);
            let mut out = Vec::new();
            write(&view, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let counts = text.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
            assert_eq!(counts.sum::<u64>(), view.profile().total_count(), "{text}");
        }
    }

    #[test]
    fn empty_profile_has_no_lines() {
        assert_eq!(folded(&Fixture::new()), "");
    }
}
