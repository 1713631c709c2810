//! The functions of two profiles that are the same function, matched by their names.
//!
//! Equal names match. Names that only one profile has are compared by their forms: names with numbers of a build or a run,
//! closures, functions that a Go version renamed, and functions whose package moved.
//!
//! Closures are numbered in the order of the source, so a new closure changes the numbers of later closures. If the lines of a
//! function's closures show this, closures match by their lines and not by their names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::goname;
use crate::profile::{Function, FunctionId, Origin, Profile};

/// The functions of two profiles. A function that both have is one entry.
#[derive(Debug)]
pub struct Matching {
    /// All functions of both profiles.
    pub functions: Vec<MatchedFunction>,
    /// Index in `functions`, by profile (the old one first) and by function.
    pub(super) positions: [Vec<usize>; 2],
}

/// A function of one profile or of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedFunction {
    /// The shown name: from the new profile if it has the function, else from the old one.
    pub name: String,
    /// Whose code it is.
    pub origin: Origin,
    /// The source file, or the empty string if unknown.
    pub file: String,
    /// The line of the `func` keyword, or 0 if unknown.
    pub start_line: u32,
    /// The names in the old and the new profile, sorted.
    pub names: [Vec<String>; 2],
}

impl Matching {
    /// Returns the index in `functions` of a function of the old (0) or the new (1) profile.
    pub fn position(&self, side: usize, function: FunctionId) -> usize {
        self.positions[side][function.index()]
    }
}

impl MatchedFunction {
    /// Returns whether the profiles have the function under different names.
    pub fn is_renamed(&self) -> bool {
        let [old, new] = &self.names;
        !old.is_empty() && !new.is_empty() && old != new
    }
}

/// The display name of a function. A kernel function can have the same text as another function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Name<'p> {
    text: &'p str,
    is_kernel: bool,
}

impl<'p> Name<'p> {
    fn new(profile: &'p Profile, function: &Function) -> Self {
        Self { text: profile.str(function.display), is_kernel: function.origin == Origin::Kernel }
    }
}

/// The names of one profile, each with the first function of this name.
type FunctionsByName<'p> = BTreeMap<Name<'p>, &'p Function>;

impl Matching {
    /// Matches the functions of an old and a new profile.
    pub(super) fn new(profiles: [&Profile; 2]) -> Self {
        let names = profiles.map(|profile| {
            let mut names = FunctionsByName::new();
            for (_, function) in profile.functions() {
                names.entry(Name::new(profile, function)).or_insert(function);
            }
            names
        });
        let mut matched: Vec<MatchedFunction> = Vec::new();
        let mut position_of_name: [HashMap<Name<'_>, usize>; 2] = Default::default();
        for group in group_names(&names, profiles) {
            let shown = [1, 0].into_iter().find_map(|side| group[side].first().map(|name| (side, *name)));
            let Some((side, shown)) = shown else { continue };
            let (function, profile) = (names[side][&shown], profiles[side]);
            for (positions, names) in position_of_name.iter_mut().zip(&group) {
                positions.extend(names.iter().map(|name| (*name, matched.len())));
            }
            matched.push(MatchedFunction {
                name: shown.text.to_owned(),
                origin: function.origin,
                file: profile.str(function.file).to_owned(),
                start_line: function.start_line,
                names: group.map(|names| names.into_iter().map(|name| name.text.to_owned()).collect()),
            });
        }
        let mut sides = profiles.into_iter().zip(position_of_name);
        let mut positions = || {
            let Some((profile, positions)) = sides.next() else { return Vec::new() };
            profile.functions().map(|(_, function)| positions[&Name::new(profile, function)]).collect()
        };
        let positions = [positions(), positions()];
        Self { functions: matched, positions }
    }
}

/// Returns whether all mapped files that two profiles have in common are of the same builds. False if they have no such
/// file in common. Files are compared by their names without directories.
fn are_of_one_build(profiles: [&Profile; 2]) -> bool {
    let [old, new] = profiles.map(|profile| {
        let of_files =
            profile.mappings().map(|(_, mapping)| (profile.str(mapping.file), profile.str(mapping.build_id)));
        let of_files = of_files.filter(|(file, id)| !id.is_empty() && !file.starts_with('['));
        of_files.map(|(file, id)| (file.rsplit('/').next().unwrap_or(file), id)).collect::<BTreeMap<_, _>>()
    });
    let mut common = old.iter().filter_map(|(file, id)| Some((id, new.get(file)?))).peekable();
    common.peek().is_some() && common.all(|(old, new)| old == new)
}

/// The names of one function in the old and the new profile.
type OldAndNewNames<'p> = [Vec<Name<'p>>; 2];

/// Groups the names that belong to the same function.
fn group_names<'p>(names: &[FunctionsByName<'p>; 2], profiles: [&Profile; 2]) -> Vec<OldAndNewNames<'p>> {
    let mut left: [BTreeSet<Name<'p>>; 2] = [0, 1].map(|side: usize| names[side].keys().copied().collect());
    let mut groups: Vec<OldAndNewNames<'p>> = Vec::new();
    for [old, new] in renumbered_closures(names, profiles) {
        // A name can be in several pairs, but is matched once.
        if left[0].remove(&old) {
            left[1].remove(&new);
            groups.push([vec![old], vec![new]]);
        }
    }
    let equal: Vec<_> = left[0].intersection(&left[1]).copied().collect();
    groups.extend(equal.iter().map(|name| [vec![*name], vec![*name]]));
    for names in &mut left {
        names.retain(|name| equal.binary_search(name).is_err());
    }

    // Names with equal forms match, however many they are.
    let forms: [fn(&str) -> Option<String>; 3] = [
        |name| Some(goname::replace_changing_numbers(name).into_owned()),
        |name| Some(goname::split_closure(name)?.0.to_owned()),
        |name| Some(goname::current_name(name).unwrap_or(name).to_owned()),
    ];
    // In two profiles of one build, only numbers of a run make names differ.
    let is_one_build = are_of_one_build(profiles);
    let forms = if is_one_build { &forms[..1] } else { &forms[..] };
    for form in forms {
        let mut by_form: BTreeMap<(bool, String), OldAndNewNames<'p>> = BTreeMap::new();
        for (side, names) in left.iter().enumerate() {
            for name in names {
                if let Some(form) = form(name.text) {
                    by_form.entry((name.is_kernel, form)).or_default()[side].push(*name);
                }
            }
        }
        for group in by_form.into_values().filter(|group| group.iter().all(|names| !names.is_empty())) {
            for (left, names) in left.iter_mut().zip(&group) {
                left.retain(|name| !names.contains(name));
            }
            groups.push(group);
        }
    }

    // Functions whose package moved match if there is only one candidate.
    let by_tail = [&left[0], &left[1]].map(|names| {
        let mut by_tail: BTreeMap<&str, Vec<Name<'p>>> = BTreeMap::new();
        for name in names.iter().filter(|name| !name.is_kernel && !is_one_build) {
            by_tail.entry(goname::strip_package(name.text)).or_default().push(*name);
        }
        by_tail
    });
    for (tail, old) in &by_tail[0] {
        let new = by_tail[1].get(tail).map_or(&[][..], Vec::as_slice);
        if let ([old], [new]) = (&old[..], new)
            && goname::is_moved_package(old.text, new.text)
        {
            left[0].remove(old);
            left[1].remove(new);
            groups.push([vec![*old], vec![*new]]);
        }
    }
    let [old, new] = left;
    groups.extend(old.into_iter().map(|name| [vec![name], Vec::new()]));
    groups.extend(new.into_iter().map(|name| [Vec::new(), vec![name]]));
    groups
}

/// Returns the pairs of closures whose numbers changed because another closure was added or removed before them.
///
/// The shift of a pair is the new line minus the old line. In each function, all pairs with the most frequent shift
/// match, if these are at least two pairs, and more than the pairs of equal names that any single shift has.
fn renumbered_closures<'p>(names: &[FunctionsByName<'p>; 2], profiles: [&Profile; 2]) -> Vec<[Name<'p>; 2]> {
    type Closures<'p> = BTreeMap<(&'p str, &'p str), Vec<(u32, Name<'p>)>>;
    let [old, new] = [0, 1].map(|side: usize| {
        let mut closures = Closures::new();
        for (name, function) in &names[side] {
            if let Some((parent, _)) = goname::split_closure(name.text).filter(|_| function.start_line > 0) {
                let file = profiles[side].str(function.file);
                let file = file.rsplit('/').next().unwrap_or(file);
                closures.entry((parent, file)).or_default().push((function.start_line, *name));
            }
        }
        closures
    });
    let mut pairs = Vec::new();
    for (parent, old) in &old {
        let Some(new) = new.get(parent) else { continue };
        // By shift in lines: the pairs of closures.
        let mut by_shift: BTreeMap<i64, Vec<[Name<'p>; 2]>> = BTreeMap::new();
        for (old_line, old) in old.iter().filter(|(line, _)| has_one_closure_at(old, *line)) {
            for (new_line, new) in new.iter().filter(|(line, _)| has_one_closure_at(new, *line)) {
                by_shift.entry(i64::from(*new_line) - i64::from(*old_line)).or_default().push([*old, *new]);
            }
        }
        let count_equal_names = |pairs: &Vec<[Name<'_>; 2]>| pairs.iter().filter(|[old, new]| old == new).count();
        let equal_names = by_shift.values().map(count_equal_names).max().unwrap_or(0);
        let most = by_shift.into_values().max_by_key(|pairs| (pairs.len(), count_equal_names(pairs)));
        pairs.extend(most.filter(|pairs| pairs.len() > equal_names.max(1)).into_iter().flatten());
    }
    pairs
}

/// Returns whether exactly one of a function's closures begins at this line.
fn has_one_closure_at(closures: &[(u32, Name<'_>)], line: u32) -> bool {
    closures.iter().filter(|(other, _)| *other == line).count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Event, Unit};

    /// A profile with these functions, each with its line.
    fn profile(functions: &[(&str, u32)]) -> Profile {
        let event = Event { name: "cpu".into(), count_name: "samples".into(), unit: Unit::Nanoseconds, frequency: 100 };
        let mut profile = Profile::new(event);
        for (name, start_line) in functions {
            let origin = if name.starts_with("k:") { Origin::Kernel } else { Origin::Main };
            let display = profile.intern(name.trim_start_matches("k:"));
            let file = profile.intern("/src/main.go");
            profile.intern_function(Function { name: display, display, file, start_line: *start_line, origin });
        }
        profile
    }

    /// Returns the matched functions as text: old names, `>`, new names.
    fn match_names(old: &[(&str, u32)], new: &[(&str, u32)]) -> Vec<String> {
        let matching = Matching::new([&profile(old), &profile(new)]);
        let text =
            |function: &MatchedFunction| format!("{} > {}", function.names[0].join(","), function.names[1].join(","));
        let mut texts: Vec<_> = matching.functions.iter().map(text).collect();
        texts.sort();
        texts
    }

    #[test]
    fn equal_names_match_unless_only_one_is_of_the_kernel() {
        let old = [("main.a", 1), ("schedule", 2), ("k:schedule", 0), ("main.gone", 3)];
        let new = [("main.a", 9), ("k:schedule", 0), ("main.added", 3)];
        let expected = [" > main.added", "main.a > main.a", "main.gone > ", "schedule > ", "schedule > schedule"];
        assert_eq!(match_names(&old, &new), expected);
    }

    #[test]
    fn closures_keep_their_distance_in_lines() {
        // A closure was added in front of the others.
        let old = [("main.f.func1", 10), ("main.f.func2", 20), ("main.f.func2.1", 22)];
        let new = [("main.f.func1", 8), ("main.f.func2", 14), ("main.f.func3", 24), ("main.f.func3.1", 26)];
        let expected = [
            " > main.f.func1",
            "main.f.func1 > main.f.func2",
            "main.f.func2 > main.f.func3",
            "main.f.func2.1 > main.f.func3.1",
        ];
        assert_eq!(match_names(&old, &new), expected);
        // Lines were added between two closures, which keep their names.
        let new = [("main.f.func1", 15), ("main.f.func2", 40), ("main.f.func2.1", 45)];
        assert_eq!(
            match_names(&old, &new),
            ["main.f.func1 > main.f.func1", "main.f.func2 > main.f.func2", "main.f.func2.1 > main.f.func2.1"]
        );
    }

    #[test]
    fn names_that_only_one_profile_has_are_matched_by_their_form() {
        for (old, new) in [
            ("main.f.func1", "main.f.gowrap1"),
            ("_cgo_abcdef012345_Cfunc_x", "_cgo_012345abcdef_Cfunc_x"),
            ("runtime.mapiternext", "internal/runtime/maps.(*Iter).Next"),
            ("sync.(*Mutex).lockSlow", "internal/sync.(*Mutex).lockSlow"),
        ] {
            assert_eq!(match_names(&[(old, 0)], &[(new, 0)]), [format!("{old} > {new}")]);
        }
        // Two candidates are ambiguous.
        let new = [("internal/sync.(*Mutex).lockSlow", 0), ("example.com/sync.(*Mutex).lockSlow", 0)];
        assert_eq!(match_names(&[("sync.(*Mutex).lockSlow", 0)], &new).len(), 3);
        let expected = ["encoding/json.Marshal > ", " > encoding/xml.Marshal"];
        assert_eq!(match_names(&[("encoding/json.Marshal", 0)], &[("encoding/xml.Marshal", 0)]).len(), expected.len());
    }
}
