//! Folded stacks: `process;root;…;leaf COUNT`, a line for each distinct stack, sorted.
//!
//! As stackcollapse-perf.pl writes them: counts are numbers of samples (or weights, where no samples were counted, as of
//! the heap), `;` in a name becomes `:`,
//! spaces in the name of a process become `_`, kernel frames carry no suffix, and a sample without
//! frames is a line with the process alone. Names are those that Go programmers write.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use super::calltree::{ALL, CallTree, TextId, merge};
use super::name;
use crate::profile::Profile;

/// Bytes that are written at once.
const BUFFER: usize = 1 << 18;

/// Writes a profile as folded stacks. An empty profile gives no lines.
pub fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let mut texts = Texts::default();
    let names: Vec<TextId> =
        profile.functions().map(|(_, function)| texts.id(name::folded_frame(profile.str(function.display)))).collect();
    let mut processes = HashMap::new();
    let tree = merge(
        profile,
        |runner| {
            let process = profile.runner(runner).process;
            let name = || texts.id(name::folded_process(profile.str(process)));
            *processes.entry(process).or_insert_with(name)
        },
        |function| names[function.index()],
        |sample| if profile.event.is_sampled() { sample.count } else { sample.weight },
    );
    let mut out = BufWriter::with_capacity(BUFFER, out);
    write_lines(&tree, &texts.list, &mut out)?;
    out.flush()
}

/// Texts, each once.
#[derive(Default)]
struct Texts {
    list: Vec<String>,
    ids: HashMap<String, TextId>,
}

impl Texts {
    fn id(&mut self, text: String) -> TextId {
        let list = &mut self.list;
        *self.ids.entry(text).or_insert_with_key(|text| {
            list.push(text.clone());
            TextId::try_from(list.len() - 1).unwrap_or(TextId::MAX)
        })
    }
}

/// What is still to be written: the line of a node, or the lines of what it calls.
enum Pending {
    Line(u32),
    Callees(u32),
}

fn write_lines(tree: &CallTree, texts: &[String], out: &mut dyn Write) -> io::Result<()> {
    let children = tree.children();
    let ranks = ranks(texts);
    let mut path = String::new();
    let mut pending = vec![(0, Pending::Callees(ALL))];
    let mut callees: Vec<(u32, Pending)> = Vec::new();
    while let Some((length, next)) = pending.pop() {
        path.truncate(length);
        let (Pending::Line(at) | Pending::Callees(at)) = next;
        if let Some(text) = tree.text(at) {
            path.push_str(&texts[text as usize]);
            if matches!(next, Pending::Line(_)) {
                writeln!(out, "{path} {}", tree.own(at))?;
                continue;
            }
            path.push(';');
        }
        for &child in children.of_node(at) {
            let Some(text) = tree.text(child) else { continue };
            let (line, lines) = ranks[text as usize];
            if tree.own(child) > 0 {
                callees.push((line, Pending::Line(child)));
            }
            if !children.of_node(child).is_empty() {
                callees.push((lines, Pending::Callees(child)));
            }
        }
        callees.sort_unstable_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        pending.extend(callees.drain(..).map(|(_, next)| (path.len(), next)));
    }
    Ok(())
}

/// A text as it stands in a line: at its end, or before what goes on.
fn bytes(text: &[u8], goes_on: bool) -> impl Iterator<Item = u8> {
    text.iter().copied().chain(goes_on.then_some(b';'))
}

/// For each text, where a line that ends in it comes in the order of all lines, and where lines that go on do: as bytes,
/// `main.F.func1;x` comes between `main.F` and `main.F;y`.
fn ranks(texts: &[String]) -> Vec<(u32, u32)> {
    let mut all: Vec<(&[u8], bool, usize)> =
        (0..texts.len()).flat_map(|at| [false, true].map(|goes_on| (texts[at].as_bytes(), goes_on, at))).collect();
    all.sort_by(|a, b| bytes(a.0, a.1).cmp(bytes(b.0, b.1)));
    let mut ranks = vec![(0, 0); texts.len()];
    for (rank, (_, goes_on, at)) in (0..).zip(all) {
        let (line, lines) = &mut ranks[at];
        *(if goes_on { lines } else { line }) = rank;
    }
    ranks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

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
    fn empty_profile_has_no_lines() {
        assert_eq!(folded(&Fixture::new()), "");
    }
}
