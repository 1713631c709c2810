//! The flags of `goflame report` that show a part of a profile as text.

use clap::Args;
use regex::Regex;

/// Chooses a view that is shown instead of the tables.
#[derive(Debug, Args)]
#[command(next_help_heading = "Views")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct ExploreArgs {
    /// Print the call tree
    #[arg(long, group = "explore", conflicts_with = "format")]
    pub(super) tree: bool,
    /// Leave calls with a smaller share, in percent, out of the tree
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = parse_percent, requires = "tree")]
    pub(super) min_share: f64,
    /// Print the hottest call paths, each with its callers
    #[arg(long, group = "explore", conflicts_with = "format")]
    pub(super) paths: bool,
    /// Print the callers and callees of the functions whose names match
    #[arg(long, group = "explore", conflicts_with = "format", value_name = "REGEX")]
    pub(super) peek: Option<Regex>,
    /// Print the source of the functions whose names match, with the weight of each line
    #[arg(long, group = "explore", conflicts_with = "format", value_name = "REGEX")]
    pub(super) list: Option<Regex>,
    /// Print one of these views as JSON, or without a view the same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,
    /// Do not put source into report.html
    #[arg(long)]
    pub(super) no_source: bool,
    /// Do not show long output with a pager
    #[arg(long)]
    pub(super) no_pager: bool,
}

impl ExploreArgs {
    /// Whether a view is shown in place of the tables.
    pub(super) fn has_view(&self) -> bool {
        self.tree || self.paths || self.peek.is_some() || self.list.is_some()
    }
}

/// Parses a share in percent.
fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches(['%', ' ']).parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "expected a number from 0 to 100, such as 0.5".to_owned())
}
