//! Folded stacks: `process;root;…;leaf COUNT`, a line for each distinct stack, sorted.
//!
//! As stackcollapse-perf.pl writes them: counts are numbers of samples (or weights, where no samples were counted, as of
//! the heap), `;` in a name becomes `:`,
//! spaces in the name of a process become `_`, kernel frames carry no suffix, and a sample without
//! frames is a line with the process alone. Names are those that Go programmers write.

use std::cmp::Reverse;
use std::io::{self, BufWriter, Write};

use super::name;
use crate::profile::Interner;
use crate::views::{CallTree, LabelId, Labels, Node, Scratch, Value, View, Walker, self_weight};

/// Bytes that are written at once.
const BUFFER: usize = 1 << 18;

/// Writes a profile as folded stacks. An empty profile gives no lines.
pub fn write(view: &View, out: &mut dyn Write) -> io::Result<()> {
    let profile = view.profile();
    let value = if profile.event.is_sampled() { Value::Count } else { Value::Weight };
    let mut labels = Interner::default();
    let tree = view.call_tree(value, 1, || {
        let groups = view.grouping().names().map(name::folded_process);
        let groups = groups.map(|name| LabelId::intern(name, &mut labels)).collect();
        let functions = profile.functions().map(|(_, function)| profile.str(function.display));
        let functions = functions.map(|name| LabelId::intern(name::folded_frame(name), &mut labels)).collect();
        Labels::new(groups, functions)
    });
    let mut out = BufWriter::with_capacity(BUFFER, out);
    tree.with_scratch(|scratch| {
        let ranks = ranks(labels.items());
        Lines { tree: &tree, labels: labels.items(), ranks, path: String::new(), pending: Vec::new(), scratch }
            .write(tree.groups(), &mut out)
    })?;
    out.flush()
}

/// Writes the lines in order, and keeps only the current call path and what is pending beside it.
struct Lines<'a, 'v> {
    tree: &'a CallTree<'v>,
    labels: &'a [String],
    ranks: Vec<Ranks>,
    /// The text of the callers of what is pending.
    path: String,
    /// The last one is next.
    pending: Vec<Pending>,
    scratch: &'a mut Scratch,
}

/// A node with lines that are still to be written.
struct Pending {
    /// Length of its callers' path.
    length: usize,
    label: LabelId,
    lines: NodeLines,
}

enum NodeLines {
    /// The line that ends at the node, with the self weight.
    Own(u64),
    /// The lines of its callees.
    Callees(Vec<Node>),
    /// The lines of its callees, where one walker passes the node: there is nothing to sort.
    OneWalker(Walker),
}

impl Lines<'_, '_> {
    fn write(mut self, groups: Vec<Node>, out: &mut impl Write) -> io::Result<()> {
        self.add(groups);
        while let Some(Pending { length, label, lines }) = self.pending.pop() {
            self.path.truncate(length);
            self.path.push_str(&self.labels[label.index()]);
            match lines {
                NodeLines::Own(weight) => writeln!(out, "{} {weight}", self.path)?,
                NodeLines::Callees(nodes) => self.add(nodes),
                NodeLines::OneWalker(walker) => self.write_one_walker(walker, out)?,
            }
        }
        Ok(())
    }

    /// Adds the lines of the nodes that the path calls, in the order in which they are written.
    fn add(&mut self, nodes: Vec<Node>) {
        if !self.path.is_empty() {
            self.path.push(';');
        }
        let (length, first) = (self.path.len(), self.pending.len());
        for Node { label, cumulative, walkers, .. } in nodes {
            if let [walker] = walkers[..]
                && self.tree.next(&mut { walker }).is_some()
            {
                self.pending.push(Pending { length, label, lines: NodeLines::OneWalker(walker) });
                continue;
            }
            let callees = self.tree.expand(walkers, self.scratch);
            if let Some(weight) = self_weight(cumulative, callees.iter().map(|callee| callee.cumulative)) {
                self.pending.push(Pending { length, label, lines: NodeLines::Own(weight) });
            }
            if !callees.is_empty() {
                self.pending.push(Pending { length, label, lines: NodeLines::Callees(callees) });
            }
        }
        let ranks = &self.ranks;
        self.pending[first..].sort_unstable_by_key(|pending| {
            let Ranks { own, callees } = ranks[pending.label.index()];
            Reverse(if matches!(pending.lines, NodeLines::Own(_)) { own } else { callees })
        });
    }

    /// Writes the lines below the path as long as one walker passes it.
    fn write_one_walker(&mut self, mut walker: Walker, out: &mut impl Write) -> io::Result<()> {
        loop {
            while let Some(label) = self.tree.next(&mut walker) {
                self.path.push(';');
                self.path.push_str(&self.labels[label.index()]);
            }
            let callees: Vec<Walker> = self.tree.callees(&walker).collect();
            let weights = callees.iter().map(|callee| self.tree.weight(callee));
            if let Some(weight) = self_weight(self.tree.weight(&walker), weights) {
                writeln!(out, "{} {weight}", self.path)?;
            }
            match callees[..] {
                [] => return Ok(()),
                [callee] => walker = callee,
                _ => {
                    let nodes = self.tree.expand(callees, self.scratch);
                    self.add(nodes);
                    return Ok(());
                }
            }
        }
    }
}

/// The positions of a label's lines among all lines with the same callers. Lines are in the order of their bytes, in which
/// `main.F.func1;x` comes between `main.F` and `main.F;y`.
#[derive(Clone, Copy, Default)]
struct Ranks {
    /// Of the line that ends with the label.
    own: u32,
    /// Of the lines that go on behind it.
    callees: u32,
}

/// The ranks of each label.
fn ranks(labels: &[String]) -> Vec<Ranks> {
    /// A label in a line: at its end, or before its callees.
    fn bytes(label: &[u8], has_callees: bool) -> impl Iterator<Item = u8> {
        label.iter().copied().chain(has_callees.then_some(b';'))
    }
    let both = |at: usize| [false, true].map(|has_callees| (labels[at].as_bytes(), has_callees, at));
    let mut all: Vec<(&[u8], bool, usize)> = (0..labels.len()).flat_map(both).collect();
    all.sort_by(|a, b| bytes(a.0, a.1).cmp(bytes(b.0, b.1)));
    let mut ranks = vec![Ranks::default(); labels.len()];
    for (rank, (_, has_callees, at)) in (0..).zip(all) {
        let Ranks { own, callees } = &mut ranks[at];
        *(if has_callees { callees } else { own }) = rank;
    }
    ranks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;
    use crate::profile::fixture::Fixture;
    use crate::views::By;

    fn folded(fixture: &Fixture) -> String {
        let mut out = Vec::new();
        write(&View::new(fixture.profile.clone(), By::Process), &mut out).unwrap();
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
