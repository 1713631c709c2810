//! One line about a profile of Go's runtime, or about a profile of waits.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::amount::AmountFormat;
use crate::endpoint::ProfileKind;
use crate::profile::{Origin, Profile, format_number, format_share};
use crate::views::View;

/// Returns the most important fact of a profile: its total, and the function with the largest part. `None` for an
/// execution trace, and for an empty profile unless its kind is leaked goroutines.
pub fn headline(kind: ProfileKind, view: &View) -> Option<String> {
    let (profile, total) = (view.profile(), view.profile().total_weight());
    let amount = AmountFormat::new(profile.event.unit, total, None).format(total);
    let count = |one: &str| if total == 1 { format!("1 {one}") } else { format!("{} {one}s", format_number(total)) };
    let what = match kind {
        ProfileKind::Goroutineleak if total == 0 => return Some("no goroutine leaked".to_owned()),
        _ if total == 0 => return None,
        ProfileKind::Cpu => format!("{amount} of CPU time"),
        ProfileKind::Heap => format!("{amount} in use"),
        ProfileKind::Allocs => format!("{amount} allocated"),
        ProfileKind::Mutex => format!("{amount} of waiting for mutexes"),
        ProfileKind::Block => format!("{amount} of blocking"),
        ProfileKind::Goroutine => count("goroutine"),
        ProfileKind::Goroutineleak => format!("{} leaked", count("goroutine")),
        // Go's runtime starts the threads, so no place in the user's code is responsible.
        ProfileKind::Threadcreate => return Some(count("thread")),
        ProfileKind::Trace => return None,
    };
    Some(append_place(what, view, || {
        let hottest = view.top().functions.first()?;
        Some((profile.str(profile.function(hottest.function).display), hottest.self_weight))
    }))
}

/// Returns the most important fact of a profile of waits. `None` if no thread waited. With `has_idle_threads`, the profile
/// contains idle threads too. Their stacks are of code that ran before, so the heaviest place says nothing about waits.
pub fn headline_of_waits(view: &View, has_idle_threads: bool) -> Option<String> {
    let (profile, total) = (view.profile(), view.profile().total_weight());
    let amount = AmountFormat::new(profile.event.unit, total, None).format(total);
    (total > 0).then(|| {
        if has_idle_threads {
            format!("{amount} off the CPU, idle threads included")
        } else {
            append_place(format!("{amount} of waiting"), view, || heaviest_place_of_waits(profile))
        }
    })
}

/// Returns the place with the largest weight of waits, and this weight. The place of a wait is its innermost function outside
/// of the kernel, or the process if all functions are in the kernel.
fn heaviest_place_of_waits(profile: &Profile) -> Option<(&str, u64)> {
    let mut weights = BTreeMap::new();
    for sample in profile.samples() {
        let mut functions = profile.frames_leaf_first(sample.stack).map(|frame| profile.function(frame.function));
        let innermost = functions.find(|function| function.origin != Origin::Kernel);
        let place = innermost.map_or(profile.task(sample.task).process, |function| function.display);
        let weight: &mut u64 = weights.entry(profile.str(place)).or_default();
        *weight = weight.saturating_add(sample.weight);
    }
    weights.into_iter().max_by_key(|(place, weight)| (*weight, Reverse(*place)))
}

/// Appends the heaviest function of the user's code to a text, with its share. If the profile has no such function,
/// appends the place that `elsewhere` returns with its weight.
fn append_place<'v>(text: String, view: &'v View, elsewhere: impl FnOnce() -> Option<(&'v str, u64)>) -> String {
    let (profile, total) = (view.profile(), view.profile().total_weight());
    // Waits and allocations have their leaf in the runtime, so the user's code says more.
    let mut weights = BTreeMap::new();
    for line in view.user_code_lines() {
        let weight: &mut u64 = weights.entry(line.function).or_default();
        *weight = weight.saturating_add(line.weight);
    }
    let own = weights.into_iter().max_by_key(|(function, weight)| (*weight, Reverse(*function)));
    let own = own.map(|(function, weight)| (profile.str(profile.function(function).display), weight));
    match own.or_else(elsewhere) {
        Some((place, weight)) => match format_share(weight, total, None).as_str() {
            "100 %" => format!("{text}, all at {place}"),
            share => format!("{text}, {share} at {place}"),
        },
        None => text,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::profile::fixture::Fixture;
    use crate::views::GroupBy;

    #[test]
    fn a_headline_says_how_much_and_where_in_the_code_of_the_user() {
        let mut fixture = Fixture::new_cycles();
        fixture.period = 1;
        fixture.add("app", "main.main|main.worker:7|runtime.chanrecv1|runtime.gopark", 5);
        fixture.add("app", "main.main|main.worker:9|runtime.selectgo|runtime.gopark", 7);
        let leaked = View::new(fixture.profile.clone(), GroupBy::Process);
        let shown = |kind, view: &View| headline(kind, view).unwrap();
        assert_eq!(shown(ProfileKind::Goroutineleak, &leaked), "12 goroutines leaked, all at main.worker");
        fixture.add("app", "net/http.(*conn).serve|runtime.gopark", 4);
        let view = View::new(fixture.profile, GroupBy::Process);
        assert_eq!(shown(ProfileKind::Goroutine, &view), "16 goroutines, 75.0 % at main.worker");
    }

    #[test]
    fn a_wait_counts_for_the_innermost_function_outside_of_the_kernel() {
        let mut fixture = Fixture::new_cycles();
        fixture.period = 1;
        let shown = |fixture: &Fixture, idle| {
            let headline = headline_of_waits(&View::new(fixture.profile.clone(), GroupBy::Process), idle).unwrap();
            headline.split_once(' ').unwrap().1.to_owned()
        };
        fixture.add("cp", "k:entry_SYSCALL_64|k:schedule", 3);
        assert_eq!(shown(&fixture, false), "of waiting, all at cp");
        fixture.add("cp", "c:copy|c:read|k:entry_SYSCALL_64|k:schedule", 5);
        assert_eq!(shown(&fixture, false), "of waiting, 62.5 % at read");
        fixture.add("app", "main.main|syscall.Read|k:schedule", 2);
        assert_eq!(shown(&fixture, false), "of waiting, 20.0 % at main.main");
        assert_eq!(shown(&fixture, true), "off the CPU, idle threads included");
        assert_eq!(headline_of_waits(&View::new(Fixture::new().profile, GroupBy::Process), true), None);
    }

    #[test]
    fn an_empty_profile_has_no_headline_unless_it_is_of_leaked_goroutines() {
        let view = View::new(Fixture::new().profile, GroupBy::Process);
        assert_eq!(headline(ProfileKind::Mutex, &view), None);
        assert_eq!(headline(ProfileKind::Goroutineleak, &view).unwrap(), "no goroutine leaked");
    }
}
