//! Folded stacks: `process;root;…;leaf COUNT`, a line for each distinct stack, sorted.
//!
//! As stackcollapse-perf.pl writes them: counts are numbers of samples, `;` in a name becomes `:`,
//! spaces in the name of a process become `_`, kernel frames carry no suffix, and a sample without
//! frames is a line with the process alone. Names are those that Go programmers write.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};

use super::name;
use crate::profile::Profile;

/// Writes a profile as folded stacks. An empty profile gives no lines.
pub fn write(profile: &Profile, out: &mut dyn Write) -> io::Result<()> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for sample in profile.samples() {
        let mut line = name::folded_process(profile.str(sample.process));
        for frame in profile.frames_root_first(sample.stack) {
            line.push(';');
            line.push_str(&name::folded_frame(profile.str(profile.frame_function(frame).display)));
        }
        let count = counts.entry(line).or_default();
        *count = count.saturating_add(sample.count);
    }
    let mut out = BufWriter::new(out);
    for (stack, count) in counts {
        writeln!(out, "{stack} {count}")?;
    }
    out.flush()
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
        assert_eq!(
            folded(&fixture),
            "a_pp;slices.Sort[...] 1\n\
             app 4\n\
             app;runtime.goexit;main.main;main.b 3\n\
             app;runtime.goexit;main.main;page_fault 5\n"
        );
    }

    #[test]
    fn empty_profile_has_no_lines() {
        assert_eq!(folded(&Fixture::new()), "");
    }
}
