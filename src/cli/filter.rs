//! The flags that choose what is shown of a profile, named as pprof names them.

use clap::Args;
use regex::Regex;

use crate::views::{Filters, Tag};

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
    /// Keep only samples with a label whose value matches. The keys are process, pid, thread, cpu, goroutine, entry and
    /// creator
    #[arg(long, value_name = "[KEY=]REGEX", alias = "tagfocus", value_parser = Tag::parse)]
    tag_focus: Option<Tag>,
    /// Leave out samples with a label whose value matches
    #[arg(long, value_name = "[KEY=]REGEX", alias = "tagignore", value_parser = Tag::parse)]
    tag_ignore: Option<Tag>,
}

impl FilterArgs {
    pub(super) fn filters(&self) -> Filters {
        Filters {
            focus: self.focus.clone(),
            ignore: self.ignore.clone(),
            hide: self.hide.clone(),
            show: self.show.clone(),
            tag_focus: self.tag_focus.clone(),
            tag_ignore: self.tag_ignore.clone(),
        }
    }
}
