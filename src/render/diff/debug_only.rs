//! The list of hot spots that only the debug build has.

use serde::Serialize;

use super::document::DiffDocument;
use crate::render::name::clean_name;
use crate::views::DebugHotSpot;

pub(in crate::render) const DEBUG_ONLY_HEADING: &str = "Hot in the debug build only";

/// Maximum number of named functions that a hot spot is inlined into.
const MAX_NAMED_HOSTS: usize = 2;

/// An entry of the list: a hot spot in words.
#[derive(Serialize)]
pub(in crate::render) struct DebugOnlyEntry {
    /// Index in [`Matching::functions`](crate::views::Matching::functions).
    pub(in crate::render) function: usize,
    /// The shares in both builds, as text.
    pub(in crate::render) shares: String,
    /// How the optimiser removed the hot spot, as far as the profile shows.
    pub(in crate::render) reason: String,
}

pub(in crate::render) fn entries(document: &DiffDocument<'_>) -> Vec<DebugOnlyEntry> {
    document.debug_only.iter().map(describe_hot_spot).collect()
}

fn describe_hot_spot(spot: &DebugHotSpot) -> DebugOnlyEntry {
    let [release, debug] = spot.shares.map(format_percent);
    let kind = if spot.is_self_weight { "self" } else { "cum" };
    DebugOnlyEntry {
        function: spot.function,
        shares: format!("{kind} {debug}, in release {release}"),
        reason: describe_reason(spot),
    }
}

fn describe_reason(spot: &DebugHotSpot) -> String {
    let named: Vec<_> = spot.inlined_into.iter().take(MAX_NAMED_HOSTS).map(|host| clean_name(host)).collect();
    let others = match spot.inlined_into.len().saturating_sub(MAX_NAMED_HOSTS) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    match (&named[..], spot.is_called) {
        ([], false) => "no sample in release".to_owned(),
        ([], true) => "called in release too".to_owned(),
        (_, is_called) => {
            let also = if is_called { ", and called" } else { "" };
            format!("inlined into {}{others}{also}", named.join(", "))
        }
    }
}

fn format_percent(share: f64) -> String {
    match share {
        0.0 => "0".to_owned(),
        _ if share < 0.0005 => "<0.1 %".to_owned(),
        _ => format!("{:.1} %", share * 100.0),
    }
}
