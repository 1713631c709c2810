//! The views of `goflame report` that show a part of a profile: call tree, hot paths, callers and callees, source.

use std::io::{self, Write};

use regex::Regex;

use crate::cli::explore_args::ExploreArgs;
use crate::cli::failure::Failure;
use crate::pipeline::Reported;
use crate::profile::FunctionId;
use crate::render::source::AnnotatedFunction;
use crate::render::text::Layout;
use crate::render::{json, text};
use crate::views::{HotPath, Neighbours, Outline, View, hot_paths, neighbours};

/// Maximum number of matching functions that are shown as text.
const MAX_SHOWN_FUNCTIONS: usize = 3;

/// Maximum number of matching functions in JSON.
const MAX_JSON_FUNCTIONS: usize = 1000;

/// Maximum number of further matching functions that are listed by name.
const MAX_NAMED_FUNCTIONS: usize = 8;

/// A function that reads the source of Go functions.
pub(super) type ReadSource<'a> = &'a dyn Fn(&Reported, &[FunctionId]) -> Vec<AnnotatedFunction>;

/// A part of a profile, ready to be written.
pub(super) enum ExploreView {
    Tree { outline: Outline, min_share: f64 },
    Paths(Vec<HotPath>),
    Peek { functions: Vec<Neighbours>, others: Vec<String> },
    List { functions: Vec<AnnotatedFunction>, others: Vec<String> },
}

impl ExploreView {
    /// Computes the view that the flags name. `None` if they name none.
    pub(super) fn new(
        reported: &Reported,
        args: &ExploreArgs,
        rows: usize,
        as_json: bool,
        read_source: ReadSource<'_>,
    ) -> Result<Option<Self>, Failure> {
        let view = &reported.view;
        let shown = if as_json { MAX_JSON_FUNCTIONS } else { MAX_SHOWN_FUNCTIONS };
        Ok(Some(if args.tree {
            let outline = Outline::new(view, min_weight_of_share(view.top().total, args.min_share));
            Self::Tree { outline, min_share: args.min_share }
        } else if args.paths {
            Self::Paths(hot_paths(view, rows))
        } else if let Some(pattern) = &args.peek {
            let (functions, others) = find_matching(view, pattern, shown)?;
            Self::Peek { functions: neighbours(view.profile(), &functions), others }
        } else if let Some(pattern) = &args.list {
            let (functions, others) = find_matching(view, pattern, shown)?;
            Self::List { functions: read_source(reported, &functions), others }
        } else {
            return Ok(None);
        }))
    }

    pub(super) fn write_text(&self, view: &View, layout: Layout, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Tree { outline, min_share } => text::write_tree(view, outline, *min_share, layout, out),
            Self::Paths(paths) => text::write_paths(view, paths, layout, out),
            Self::Peek { functions, .. } => text::write_neighbours(view, functions, layout, out),
            Self::List { functions, .. } => text::write_source(view, functions, layout, out),
        }
    }

    pub(super) fn write_json(&self, view: &View, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Tree { outline, .. } => json::write_tree(view, outline, out),
            Self::Paths(paths) => json::write_paths(view, paths, out),
            Self::Peek { functions, others } => json::write_neighbours(view, functions, others, out),
            Self::List { functions, others } => json::write_source(view, functions, others, out),
        }
    }

    /// Lists matching functions that are not shown, by name.
    pub(super) fn hidden_functions_note(&self) -> Option<String> {
        let (Self::Peek { others, .. } | Self::List { others, .. }) = self else { return None };
        let first = others.get(..MAX_NAMED_FUNCTIONS).unwrap_or(others).join(", ");
        match others.len().saturating_sub(MAX_NAMED_FUNCTIONS) {
            _ if others.is_empty() => None,
            0 => Some(format!("more functions match: {first}")),
            more => Some(format!("more functions match: {first}, and {more} others")),
        }
    }
}

/// Returns the heaviest functions whose names match, and the names of the others.
fn find_matching(view: &View, pattern: &Regex, shown: usize) -> Result<(Vec<FunctionId>, Vec<String>), Failure> {
    let mut functions = view.matching_functions(|name| pattern.is_match(name));
    if functions.is_empty() {
        return Err(Failure::NoFunction {
            pattern: pattern.as_str().to_owned(),
            nearest: find_nearest_name(view, pattern),
        });
    }
    let others = functions.split_off(functions.len().min(shown));
    Ok((functions, function_names(view, &others)))
}

fn function_names(view: &View, functions: &[FunctionId]) -> Vec<String> {
    let profile = view.profile();
    functions.iter().map(|id| profile.str(profile.function(*id).display).to_owned()).collect()
}

/// Returns a function that the user may have meant: the heaviest one whose name has the pattern's letters in any case.
fn find_nearest_name(view: &View, pattern: &Regex) -> Option<String> {
    let letters =
        |text: &str| -> String { text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    let wanted = letters(pattern.as_str());
    let function = view.matching_functions(|name| !wanted.is_empty() && letters(name).contains(&wanted));
    function_names(view, &function).into_iter().next()
}

/// Returns `percent` percent of `total`, but at least 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the share is between 0 and 100 %")]
fn min_weight_of_share(total: u64, percent: f64) -> u64 {
    ((total as f64 * percent / 100.0).ceil() as u64).max(1)
}
