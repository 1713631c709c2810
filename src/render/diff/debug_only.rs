//! The list of hot spots that only the debug build has.

use serde::Serialize;

use super::document::DiffDocument;
use crate::render::name::clean;
use crate::views::DebugHotSpot;

/// The heading of the list.
pub(in crate::render) const DEBUG_ONLY: &str = "Hot in the debug build only";

/// The number of functions that a hot spot is inlined into and that are named.
const NAMED: usize = 2;

/// A hot spot as the list shows it.
#[derive(Serialize)]
pub(in crate::render) struct DebugOnlyEntry {
    /// Index of the function.
    pub(in crate::render) function: usize,
    /// Its shares in both builds.
    pub(in crate::render) shares: String,
    /// How the optimiser removed it, as far as the profile tells.
    pub(in crate::render) reason: String,
}

/// Returns the entries of the list.
pub(in crate::render) fn entries(document: &DiffDocument<'_>) -> Vec<DebugOnlyEntry> {
    document.debug_only.iter().map(entry).collect()
}

fn entry(spot: &DebugHotSpot) -> DebugOnlyEntry {
    let [release, debug] = spot.shares.map(percent);
    let kind = if spot.is_own { "self" } else { "cum" };
    DebugOnlyEntry {
        function: spot.function,
        shares: format!("{kind} {debug}, in release {release}"),
        reason: reason(spot),
    }
}

fn reason(spot: &DebugHotSpot) -> String {
    let named: Vec<_> = spot.inlined_into.iter().take(NAMED).map(|host| clean(host)).collect();
    let others = match spot.inlined_into.len().saturating_sub(NAMED) {
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

fn percent(share: f64) -> String {
    match share {
        0.0 => "0".to_owned(),
        _ if share < 0.0005 => "<0.1 %".to_owned(),
        _ => format!("{:.1} %", share * 100.0),
    }
}
