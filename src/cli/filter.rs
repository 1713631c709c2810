//! The flags that filter a profile. Their names are the same as in pprof.

use std::time::Duration;

use clap::Args;
use regex::Regex;

use crate::views::{Filters, TagPattern};

#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct FilterArgs {
    /// Keep only samples with a function on their stack whose name or file matches
    #[arg(long, value_name = "REGEX")]
    focus: Option<Regex>,
    /// Leave out samples with a function on their stack whose name or file matches
    #[arg(long, value_name = "REGEX")]
    ignore: Option<Regex>,
    /// Leave out the frames of functions whose name or file matches
    #[arg(long, value_name = "REGEX")]
    hide: Option<Regex>,
    /// Keep only the frames of functions whose name or file matches
    #[arg(long, value_name = "REGEX")]
    show: Option<Regex>,
    /// Leave out the callers of functions whose name or file matches, and samples without such a function
    #[arg(long, value_name = "REGEX", alias = "show_from")]
    show_from: Option<Regex>,
    /// Keep only samples with a label whose value matches. The keys are process, pid, thread, cpu, goroutine, entry,
    /// creator, and those of the program or of a pprof file
    #[arg(long, value_name = "[KEY=]REGEX", alias = "tagfocus", value_parser = TagPattern::parse)]
    tag_focus: Option<TagPattern>,
    /// Leave out samples with a label whose value matches
    #[arg(long, value_name = "[KEY=]REGEX", alias = "tagignore", value_parser = TagPattern::parse)]
    tag_ignore: Option<TagPattern>,
    /// Only samples of a recording that were taken at this time or later, in seconds since the first sample
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    from: Option<u64>,
    /// Only samples of a recording that were taken before this time, in seconds since the first sample
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    to: Option<u64>,
}

/// `--from` is not before `--to`.
#[derive(Debug, thiserror::Error)]
#[error("the range of time is empty: `--from` must be less than `--to`")]
pub(super) struct EmptyTimeRange;

/// Parses a number of seconds. Returns nanoseconds.
fn parse_seconds(text: &str) -> Result<u64, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let nanoseconds = seconds.and_then(|seconds| u64::try_from(seconds.as_nanos()).ok());
    nanoseconds.ok_or_else(|| "expected a number of seconds, such as 1.5".to_owned())
}

impl FilterArgs {
    pub(super) fn filters(&self) -> Result<Filters, EmptyTimeRange> {
        let time = self.from.unwrap_or(0)..self.to.unwrap_or(u64::MAX);
        if time.is_empty() {
            return Err(EmptyTimeRange);
        }
        Ok(Filters {
            focus: self.focus.clone(),
            ignore: self.ignore.clone(),
            hide: self.hide.clone(),
            show: self.show.clone(),
            show_from: self.show_from.clone(),
            tag_focus: self.tag_focus.clone(),
            tag_ignore: self.tag_ignore.clone(),
            time: (self.from.is_some() || self.to.is_some()).then_some(time),
        })
    }
}
