//! Filters: they select samples and frames of a profile, like pprof's options of the same names.

use std::ops::Range;

use regex::Regex;

use crate::profile::{Frame, Function, Profile, TaskId, position};

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
    /// Keeps only samples with a matching label.
    pub tag_focus: Option<Tag>,
    /// Removes samples with a matching label.
    pub tag_ignore: Option<Tag>,
    /// Keeps only samples that were taken in this range of time, in nanoseconds since the first sample. Needs a profile with
    /// [timed samples](Profile::timed_samples).
    pub time: Option<Range<u64>>,
}

/// A pattern for the labels of samples.
#[derive(Debug, Clone)]
pub struct Tag {
    /// Name of the label. `None` matches any label.
    key: Option<String>,
    value: Regex,
}

impl Tag {
    /// Parses `KEY=REGEX`, or `REGEX` for the value of any label.
    pub fn parse(text: &str) -> Result<Self, regex::Error> {
        match text.split_once('=') {
            Some((key, value)) => Ok(Self { key: Some(key.to_owned()), value: Regex::new(value)? }),
            None => Ok(Self { key: None, value: Regex::new(text)? }),
        }
    }

    /// Returns for each task whether one of its labels matches.
    fn matching_tasks(&self, profile: &Profile) -> Vec<bool> {
        let tasks = 0..position(profile.tasks().len());
        tasks.map(|at| self.matches(profile, TaskId::from_index(at))).collect()
    }

    fn matches(&self, profile: &Profile, task: TaskId) -> bool {
        let key = |key: &str| self.key.as_ref().is_none_or(|wanted| wanted == key);
        profile.labels(task).iter().any(|label| key(label.key) && self.value.is_match(&label.value.to_string()))
    }
}

impl Filters {
    /// Returns whether the filters keep everything.
    pub fn is_empty(&self) -> bool {
        let Self { focus, ignore, hide, show, tag_focus, tag_ignore, time } = self;
        [focus, ignore, hide, show].iter().all(|pattern| pattern.is_none())
            && [tag_focus, tag_ignore].iter().all(|tag| tag.is_none())
            && time.is_none()
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
        let [focus, ignore, hide, show] =
            [&self.focus, &self.ignore, &self.hide, &self.show].map(|pattern| matching(&profile, pattern.as_ref()));
        let on_stack = |matching: Vec<bool>| profile.stacks_with(|frame| matching[frame.function.index()]);
        let focus = focus.map(on_stack);
        let ignore = ignore.map(on_stack);
        let [tag_focus, tag_ignore] =
            [&self.tag_focus, &self.tag_ignore].map(|tag| tag.as_ref().map(|tag| tag.matching_tasks(&profile)));
        let is_shown = |frame: &Frame| {
            let at = frame.function.index();
            !hide.as_ref().is_some_and(|hidden| hidden[at]) && show.as_ref().is_none_or(|shown| shown[at])
        };
        let has_shown_frame = (hide.is_some() || show.is_some()).then(|| profile.stacks_with(is_shown));
        let samples: Vec<bool> = profile
            .samples()
            .iter()
            .map(|sample| {
                let (at, task) = (sample.stack.index(), sample.task.index());
                focus.as_ref().is_none_or(|focus| focus[at])
                    && !ignore.as_ref().is_some_and(|ignore| ignore[at])
                    && has_shown_frame.as_ref().is_none_or(|has_shown_frame| has_shown_frame[at])
                    && tag_focus.as_ref().is_none_or(|focus| focus[task])
                    && !tag_ignore.as_ref().is_some_and(|ignore| ignore[task])
            })
            .collect();
        profile.retain_samples(&samples);
        if has_shown_frame.is_some() {
            profile.retain_frames(is_shown);
        }
        profile
    }
}

/// Returns for each function whether a pattern matches one of its names or its file.
fn matching(profile: &Profile, pattern: Option<&Regex>) -> Option<Vec<bool>> {
    let pattern = pattern?;
    let matches = |function: &Function| {
        [function.display, function.name, function.file].iter().any(|text| pattern.is_match(profile.str(*text)))
    };
    Some(profile.functions().map(|(_, function)| matches(function)).collect())
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

    fn owned(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
        rows.iter().map(|(stack, count)| ((*stack).to_owned(), *count)).collect()
    }

    const PARSE: (&str, u64) = ("runtime.goexit main.main main.parse regexp.Compile", 5);
    const WALK: (&str, u64) = ("runtime.goexit main.main main.inlined main.walk", 3);
    const HELPER: (&str, u64) = ("runtime.mcall schedule", 2);

    #[test]
    fn samples_are_selected_by_the_frames_of_their_stacks() {
        assert_eq!(remaining(&Filters::default()), owned(&[PARSE, WALK, HELPER]));
        assert_eq!(remaining(&Filters { focus: Some(pattern("^regexp\\.")), ..Filters::default() }), owned(&[PARSE]));
        assert_eq!(
            remaining(&Filters { ignore: Some(pattern("inlined")), ..Filters::default() }),
            owned(&[PARSE, HELPER])
        );
        let both = Filters { focus: Some(pattern("^main")), ignore: Some(pattern("parse")), ..Filters::default() };
        assert_eq!(remaining(&both), owned(&[WALK]));
        assert_eq!(remaining(&Filters { focus: Some(pattern("nothing")), ..Filters::default() }), []);
    }

    #[test]
    fn samples_without_remaining_frames_are_removed() {
        let hide = Filters { hide: Some(pattern("^runtime|^main.inlined|schedule")), ..Filters::default() };
        assert_eq!(remaining(&hide), owned(&[("main.main main.parse regexp.Compile", 5), ("main.main main.walk", 3)]));
        let show = Filters { show: Some(pattern("^main")), hide: Some(pattern("parse")), ..Filters::default() };
        assert_eq!(remaining(&show), owned(&[("main.main", 5), ("main.main main.inlined main.walk", 3)]));
        let hidden = Filters { focus: Some(pattern("parse")), hide: Some(pattern("parse")), ..Filters::default() };
        assert_eq!(
            remaining(&hidden),
            owned(&[("runtime.goexit main.main regexp.Compile", 5)]),
            "hidden frames still match"
        );
    }

    #[test]
    fn samples_are_selected_by_labels() {
        let tag = |text| Tag::parse(text).unwrap();
        assert_eq!(
            remaining(&Filters { tag_focus: Some(tag("process=^help")), ..Filters::default() }),
            owned(&[HELPER])
        );
        assert_eq!(
            remaining(&Filters { tag_ignore: Some(tag("helper")), ..Filters::default() }),
            owned(&[PARSE, WALK])
        );
        assert_eq!(remaining(&Filters { tag_focus: Some(tag("thread=9")), ..Filters::default() }), []);
        assert!(Tag::parse("process=(").is_err());
    }
}
