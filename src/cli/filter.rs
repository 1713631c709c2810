//! The flags that choose what is shown of a profile, named as pprof names them.

use clap::Args;
use regex::Regex;

use crate::views::{Filters, Tag};

#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
pub(super) struct FilterArgs {
    /// Only samples that pass a function whose name or file matches
    #[arg(long, value_name = "REGEX")]
    focus: Option<Regex>,
    /// No samples that pass a function whose name or file matches
    #[arg(long, value_name = "REGEX")]
    ignore: Option<Regex>,
    /// No frames of functions whose name or file matches
    #[arg(long, value_name = "REGEX")]
    hide: Option<Regex>,
    /// Only frames of functions whose name or file matches
    #[arg(long, value_name = "REGEX")]
    show: Option<Regex>,
    /// Only samples with a label whose value matches: process, pid, thread, cpu, goroutine, entry, creator
    #[arg(long, value_name = "[KEY=]REGEX", alias = "tagfocus", value_parser = Tag::parse)]
    tag_focus: Option<Tag>,
    /// No samples with a label whose value matches
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
