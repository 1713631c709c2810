//! Filters select samples and frames of a profile, like pprof's options of the same names.

use std::collections::BTreeSet;
use std::ops::Range;

use regex::Regex;

use crate::profile::{Frame, Function, Location, Profile, TaskId, position};

/// The filters of a view. The default keeps everything.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// Keeps only samples with a matching frame in their stack.
    pub focus: Option<Regex>,
    /// Removes samples with a matching frame in their stack.
    pub ignore: Option<Regex>,
    /// Removes matching frames.
    pub hide: Option<Regex>,
    /// Keeps only matching frames.
    pub show: Option<Regex>,
    /// Removes all callers of the matching frame nearest to the root, and samples without a matching frame.
    pub show_from: Option<Regex>,
    /// Keeps only samples with a matching label.
    pub tag_focus: Option<TagPattern>,
    /// Removes samples with a matching label.
    pub tag_ignore: Option<TagPattern>,
    /// Keeps only samples that were taken in this range of time, in nanoseconds since the first sample. Needs a profile with
    /// [timed samples](Profile::timed_samples).
    pub time: Option<Range<u64>>,
}

/// A pattern for the labels of samples.
#[derive(Debug, Clone)]
pub struct TagPattern {
    /// Name of the label. `None` matches any label.
    key: Option<String>,
    value: Regex,
}

/// A filter that matches nothing in a profile, such as a mistyped one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmatchedFilter {
    /// The name of the filter: `focus`, `tag-focus`.
    pub filter: &'static str,
    /// The pattern for names, or for the values of labels.
    pub pattern: String,
    /// For a filter of labels: the wanted name and the names that the samples have.
    pub label: Option<UnmatchedLabel>,
}

/// The names of labels, for a filter that matches none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmatchedLabel {
    /// The wanted name. `None` if the filter accepts any name.
    pub key: Option<String>,
    /// The names that the samples have.
    pub known_keys: Vec<String>,
}

impl TagPattern {
    /// Parses `KEY=REGEX`, or `REGEX` for the value of any label.
    pub fn parse(text: &str) -> Result<Self, regex::Error> {
        match text.split_once('=') {
            Some((key, value)) => Ok(Self { key: Some(key.to_owned()), value: Regex::new(value)? }),
            None => Ok(Self { key: None, value: Regex::new(text)? }),
        }
    }

    /// Returns for each task whether one of its labels matches.
    fn matching_tasks(&self, profile: &Profile) -> Vec<bool> {
        task_ids(profile).map(|task| self.matches(profile, task)).collect()
    }

    fn matches(&self, profile: &Profile, task: TaskId) -> bool {
        let key = |key: &str| self.key.as_ref().is_none_or(|wanted| wanted == key);
        profile.labels(task).iter().any(|label| key(label.key) && self.value.is_match(&label.value.to_string()))
    }
}

fn task_ids(profile: &Profile) -> impl Iterator<Item = TaskId> {
    (0..position(profile.tasks().len())).map(TaskId::from_index)
}

impl Filters {
    /// Returns whether the filters keep everything.
    pub fn is_empty(&self) -> bool {
        self.patterns().iter().all(|(_, pattern)| pattern.is_none())
            && self.tags().iter().all(|(_, tag)| tag.is_none())
            && self.time.is_none()
    }

    fn patterns(&self) -> [(&'static str, Option<&Regex>); 5] {
        let Self { focus, ignore, hide, show, show_from, .. } = self;
        [("focus", focus), ("ignore", ignore), ("hide", hide), ("show", show), ("show-from", show_from)]
            .map(|(name, pattern)| (name, pattern.as_ref()))
    }

    fn tags(&self) -> [(&'static str, Option<&TagPattern>); 2] {
        [("tag-focus", self.tag_focus.as_ref()), ("tag-ignore", self.tag_ignore.as_ref())]
    }

    /// Returns the filters that match nothing in a profile. The profile must not be filtered yet.
    pub fn unmatched_filters(&self, profile: &Profile) -> Vec<UnmatchedFilter> {
        let mut unmatched = Vec::new();
        for (filter, pattern) in self.patterns() {
            let Some(pattern) = pattern else { continue };
            let matches = PatternMatches::new(profile, pattern);
            let is_used =
                |(id, location)| profile.frames(id).iter().any(|&frame| matches.matches_frame(location, frame));
            if !profile.locations().any(is_used) {
                unmatched.push(UnmatchedFilter { filter, pattern: pattern.as_str().to_owned(), label: None });
            }
        }
        for (filter, tag) in self.tags() {
            let Some(tag) = tag.filter(|tag| !tag.matching_tasks(profile).contains(&true)) else { continue };
            let labels = task_ids(profile).flat_map(|task| profile.labels(task));
            let known: BTreeSet<String> = labels.map(|label| label.key.to_owned()).collect();
            let label = UnmatchedLabel { key: tag.key.clone(), known_keys: known.into_iter().collect() };
            unmatched.push(UnmatchedFilter { filter, pattern: tag.value.as_str().to_owned(), label: Some(label) });
        }
        unmatched
    }

    /// Removes samples and frames from a profile. Samples are selected by all of their frames, hidden ones included. A
    /// sample without any remaining frame is removed too.
    #[must_use]
    pub fn apply(&self, mut profile: Profile) -> Profile {
        if self.is_empty() {
            return profile;
        }
        if let Some(time) = &self.time {
            profile.retain_times(time);
        }
        let [focus, ignore, hide, show, show_from] =
            self.patterns().map(|(_, pattern)| pattern.map(|pattern| PatternMatches::new(&profile, pattern)));
        let on_stack = |matches: &PatternMatches| {
            profile.stacks_with_frame(|location, frame| matches.matches_frame(location, frame))
        };
        let [focus, ignore] = [&focus, &ignore].map(|matches| matches.as_ref().map(on_stack));
        let [tag_focus, tag_ignore] = self.tags().map(|(_, tag)| tag.map(|tag| tag.matching_tasks(&profile)));
        let is_shown = |location: &Location, frame: Frame| {
            !hide.as_ref().is_some_and(|hidden| hidden.matches_frame(location, frame))
                && show.as_ref().is_none_or(|shown| shown.matches_frame(location, frame))
        };
        let is_start = |location: &Location, frame: Frame| {
            is_shown(location, frame) && show_from.as_ref().is_none_or(|start| start.matches_frame(location, frame))
        };
        let has_shown_frame =
            (hide.is_some() || show.is_some() || show_from.is_some()).then(|| profile.stacks_with_frame(is_start));
        profile.retain_samples(|stack, task| {
            let (stack, task) = (stack.index(), task.index());
            focus.as_ref().is_none_or(|focus| focus[stack])
                && !ignore.as_ref().is_some_and(|ignore| ignore[stack])
                && has_shown_frame.as_ref().is_none_or(|has_shown_frame| has_shown_frame[stack])
                && tag_focus.as_ref().is_none_or(|focus| focus[task])
                && !tag_ignore.as_ref().is_some_and(|ignore| ignore[task])
        });
        if has_shown_frame.is_some() {
            profile.retain_frames(is_shown);
        }
        if let Some(start) = &show_from {
            profile.retain_callees_of(|location, frame| start.matches_frame(location, frame));
        }
        profile
    }
}

/// The functions and mappings that a pattern matches. A function matches by its names or its file. Code that is not Go also
/// matches by the path of its mapped file, such as a library.
struct PatternMatches {
    /// Indexed by function: whether a name or the file of the function matches.
    functions: Vec<bool>,
    /// Indexed by function: whether the function also matches by its mapping.
    is_native: Vec<bool>,
    /// Indexed by mapping: whether the path of the mapped file matches.
    mappings: Vec<bool>,
}

impl PatternMatches {
    fn new(profile: &Profile, pattern: &Regex) -> Self {
        let matches = |function: &Function| {
            [function.display, function.name, function.file].iter().any(|text| pattern.is_match(profile.str(*text)))
        };
        Self {
            functions: profile.functions().map(|(_, function)| matches(function)).collect(),
            is_native: profile.functions().map(|(_, function)| !function.origin.is_go()).collect(),
            mappings: profile.mappings().map(|(_, mapping)| pattern.is_match(profile.str(mapping.file))).collect(),
        }
    }

    fn matches_frame(&self, location: &Location, frame: Frame) -> bool {
        let function = frame.function.index();
        let mapping_matches = || location.mapping.is_some_and(|mapping| self.mappings[mapping.index()]);
        self.functions[function] || (self.is_native[function] && mapping_matches())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

    use super::*;
    use crate::profile::Sample;
    use crate::profile::fixture::Fixture;

    fn pattern(text: &str) -> Regex {
        Regex::new(text).unwrap()
    }

    /// Returns the remaining samples: the frames from the root, and the count.
    fn remaining(filters: &Filters) -> Vec<(String, u64)> {
        let mut fixture = Fixture::new();
        fixture.add("app", "runtime.goexit|main.main|main.parse|regexp.Compile", 5);
        fixture.add("app", "runtime.goexit|main.main|i:main.inlined|main.walk", 3);
        fixture.add("helper", "runtime.mcall|k:schedule", 2);
        let profile = filters.apply(fixture.profile);
        let row = |sample: &Sample| {
            let mut names: Vec<_> = profile
                .frames_leaf_first(sample.stack)
                .map(|frame| profile.str(profile.function(frame.function).display))
                .collect();
            names.reverse();
            (names.join(" "), sample.count)
        };
        profile.samples().iter().map(row).collect()
    }

    fn to_owned_rows(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
        rows.iter().map(|(stack, count)| ((*stack).to_owned(), *count)).collect()
    }

    const PARSE: (&str, u64) = ("runtime.goexit main.main main.parse regexp.Compile", 5);
    const WALK: (&str, u64) = ("runtime.goexit main.main main.inlined main.walk", 3);
    const HELPER: (&str, u64) = ("runtime.mcall schedule", 2);

    #[test]
    fn samples_are_selected_by_the_frames_of_their_stacks() {
        assert_eq!(remaining(&Filters::default()), to_owned_rows(&[PARSE, WALK, HELPER]));
        assert_eq!(
            remaining(&Filters { focus: Some(pattern("^regexp\\.")), ..Filters::default() }),
            to_owned_rows(&[PARSE])
        );
        assert_eq!(
            remaining(&Filters { ignore: Some(pattern("inlined")), ..Filters::default() }),
            to_owned_rows(&[PARSE, HELPER])
        );
        let both = Filters { focus: Some(pattern("^main")), ignore: Some(pattern("parse")), ..Filters::default() };
        assert_eq!(remaining(&both), to_owned_rows(&[WALK]));
        assert_eq!(remaining(&Filters { focus: Some(pattern("nothing")), ..Filters::default() }), []);
    }

    #[test]
    fn samples_without_remaining_frames_are_removed() {
        let hide = Filters { hide: Some(pattern("^runtime|^main.inlined|schedule")), ..Filters::default() };
        assert_eq!(
            remaining(&hide),
            to_owned_rows(&[("main.main main.parse regexp.Compile", 5), ("main.main main.walk", 3)])
        );
        let show = Filters { show: Some(pattern("^main")), hide: Some(pattern("parse")), ..Filters::default() };
        assert_eq!(remaining(&show), to_owned_rows(&[("main.main", 5), ("main.main main.inlined main.walk", 3)]));
        let hidden = Filters { focus: Some(pattern("parse")), hide: Some(pattern("parse")), ..Filters::default() };
        assert_eq!(
            remaining(&hidden),
            to_owned_rows(&[("runtime.goexit main.main regexp.Compile", 5)]),
            "hidden frames still match"
        );
    }

    #[test]
    fn callers_of_the_first_matching_frame_are_removed() {
        let from = |text| remaining(&Filters { show_from: Some(pattern(text)), ..Filters::default() });
        assert_eq!(
            from("^main"),
            to_owned_rows(&[("main.main main.parse regexp.Compile", 5), ("main.main main.inlined main.walk", 3)])
        );
        assert_eq!(
            from("inlined"),
            to_owned_rows(&[("main.inlined main.walk", 3)]),
            "the frames of a location are divided"
        );
        let hidden =
            Filters { show_from: Some(pattern("^main")), hide: Some(pattern("main.main")), ..Filters::default() };
        assert_eq!(
            remaining(&hidden),
            to_owned_rows(&[("main.parse regexp.Compile", 5), ("main.inlined main.walk", 3)])
        );
    }

    #[test]
    fn code_that_is_not_go_matches_by_its_mapped_file() {
        let kernel = Filters { hide: Some(pattern("kallsyms")), ..Filters::default() };
        assert_eq!(remaining(&kernel), to_owned_rows(&[PARSE, WALK, ("runtime.mcall", 2)]));
        // The path of the program itself would match all of its functions.
        assert_eq!(remaining(&Filters { focus: Some(pattern("^/bin/app$")), ..Filters::default() }), []);
    }

    #[test]
    fn filters_that_match_nothing_are_reported() {
        let mut fixture = Fixture::new();
        fixture.add("app", "runtime.goexit|main.main", 5);
        let filters = Filters {
            focus: Some(pattern("main")),
            ignore: Some(pattern("nothing")),
            tag_focus: Some(TagPattern::parse("proces=app").unwrap()),
            tag_ignore: Some(TagPattern::parse("app").unwrap()),
            ..Filters::default()
        };
        let ignore = UnmatchedFilter { filter: "ignore", pattern: "nothing".to_owned(), label: None };
        let known = ["pid", "process", "thread"].map(str::to_owned).to_vec();
        let label = UnmatchedLabel { key: Some("proces".to_owned()), known_keys: known };
        let tag = UnmatchedFilter { filter: "tag-focus", pattern: "app".to_owned(), label: Some(label) };
        assert_eq!(filters.unmatched_filters(&fixture.profile), [ignore, tag]);
    }

    #[test]
    fn samples_are_selected_by_labels() {
        let tag = |text| TagPattern::parse(text).unwrap();
        assert_eq!(
            remaining(&Filters { tag_focus: Some(tag("process=^help")), ..Filters::default() }),
            to_owned_rows(&[HELPER])
        );
        assert_eq!(
            remaining(&Filters { tag_ignore: Some(tag("helper")), ..Filters::default() }),
            to_owned_rows(&[PARSE, WALK])
        );
        assert_eq!(remaining(&Filters { tag_focus: Some(tag("thread=9")), ..Filters::default() }), []);
        assert!(TagPattern::parse("process=(").is_err());
    }
}
