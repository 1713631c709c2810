//! Finds the benchmark of a sample from its stack and its goroutine.

use std::collections::{HashMap, HashSet};

use crate::gobench::is_benchmark;
use crate::profile::{GoroutineId, Profile, Sample, StackId};

/// The function that calls a benchmark or a sub-benchmark, each in a new goroutine (`testing/benchmark.go`).
const RUN_N: &str = "testing.(*B).runN";

/// The function that calls the body of `b.RunParallel` in each of its goroutines.
const RUN_PARALLEL: &str = "testing.(*B).RunParallel.func1";

/// Root function of every goroutine. It calls the entry.
const GOEXIT: &str = "runtime.goexit";

/// The group of samples without a known benchmark, such as the samples of the garbage collector.
pub(super) const NO_BENCHMARK: &str = "(no benchmark)";

/// Finds the benchmarks of samples.
pub(super) struct Benchmarks<'p> {
    profile: &'p Profile,
    /// Names of the functions that [`RUN_N`] calls, without their package.
    functions: HashSet<&'p str>,
    /// The function that [`RUN_N`] called in a goroutine. `None` if [`RUN_N`] called different functions: goroutines of
    /// which only the address is known have one id if they have the same address.
    by_goroutine: HashMap<GoroutineId, Option<&'p str>>,
}

impl<'p> Benchmarks<'p> {
    pub(super) fn new(profile: &'p Profile) -> Self {
        let (mut functions, mut by_goroutine) = (HashSet::new(), HashMap::new());
        for sample in profile.samples() {
            let Some(function) = find_callee(profile, sample.stack, RUN_N) else { continue };
            functions.insert(function);
            if let Some(goroutine) = profile.task(sample.task).goroutine {
                let known = by_goroutine.entry(goroutine).or_insert(Some(function));
                *known = known.filter(|known| *known == function);
            }
        }
        Self { profile, functions, by_goroutine }
    }

    /// Returns the name of the sample's group: its benchmark, or [`NO_BENCHMARK`] if the benchmark is unknown.
    pub(super) fn group_name(&self, sample: &Sample) -> String {
        let profile = self.profile;
        let goroutine = profile.task(sample.task).goroutine;
        let called = find_callee(profile, sample.stack, RUN_N);
        if let Some(function) = called.or_else(|| self.by_goroutine.get(&goroutine?).copied().flatten()) {
            return group_name(function);
        }
        let started = [RUN_PARALLEL, GOEXIT].into_iter().filter_map(|root| find_callee(profile, sample.stack, root));
        let read = goroutine.map(|id| profile.goroutine(id));
        let read =
            read.into_iter().flat_map(|read| [read.entry, read.creator]).map(|name| local_name(profile.str(name)));
        let mut starters = started.chain(read).filter(|name| is_benchmark(outermost_function(name)));
        starters.next().map_or_else(|| NO_BENCHMARK.to_owned(), |name| group_name(self.enclosing_function(name)))
    }

    /// Returns the function of a benchmark that contains a closure, at any depth.
    fn enclosing_function<'n>(&self, closure: &'n str) -> &'n str {
        let ends = closure.rmatch_indices('.').map(|(at, _)| at);
        let mut outer = std::iter::once(closure.len()).chain(ends).map(|end| &closure[..end]);
        outer.find(|name| self.functions.contains(name)).unwrap_or(outermost_function(closure))
    }
}

/// Returns the function that `caller` calls in a stack, without its package. `None` for functions that the test harness
/// calls for itself, such as `runtime.GC`.
fn find_callee<'p>(profile: &'p Profile, stack: StackId, caller: &str) -> Option<&'p str> {
    let mut inner = None;
    for frame in profile.frames_leaf_first(stack) {
        let name = profile.str(profile.function(frame.function).name);
        if name == caller {
            return inner
                .filter(|inner: &&str| !inner.starts_with("runtime.") && !inner.starts_with("testing."))
                .map(local_name);
        }
        inner = Some(name);
    }
    None
}

/// Returns a function's name without its package: `BenchmarkSort.func1` for `example.com/m.BenchmarkSort.func1`.
fn local_name(name: &str) -> &str {
    let path = name.find('[').map_or(name, |arguments| &name[..arguments]);
    let name = &name[path.rfind('/').map_or(0, |at| at + 1)..];
    // The last element of a package's path can have dots too: `yaml.v3`.
    let mut names = name.match_indices('.').map(|(at, _)| &name[at + 1..]);
    names.clone().find(|name| is_benchmark(name)).or_else(|| names.next()).unwrap_or(name)
}

/// Returns the function that contains a closure: `BenchmarkSort` for `BenchmarkSort.func1.2`.
fn outermost_function(local: &str) -> &str {
    local.split('.').next().unwrap_or(local)
}

/// Returns the group name for a function that [`RUN_N`] calls. A stack shows the function of a sub-benchmark, but not its
/// name: all sub-benchmarks that a loop starts have the same function.
fn group_name(function: &str) -> String {
    let outer = outermost_function(function);
    match function.get(outer.len()..).unwrap_or_default() {
        "" if is_benchmark(outer) => outer.to_owned(),
        closure if is_benchmark(outer) => format!("{outer}/* (sub-benchmarks in {})", closure.trim_start_matches('.')),
        _ => format!("*/* (sub-benchmarks in {function})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::fixture::Fixture;

    #[test]
    fn the_stack_of_a_sample_names_its_benchmark() {
        let run = "runtime.goexit|testing.(*B).launch|testing.(*B).runN";
        for (stack, expected) in [
            (format!("{run}|example.com/m.BenchmarkSort|sort.Ints"), "BenchmarkSort"),
            (
                format!("{run}|example.com/m.v2/x_test.BenchmarkSort.func1|m.f"),
                "BenchmarkSort/* (sub-benchmarks in func1)",
            ),
            (format!("{run}|example.com/m.benchSize|m.f"), "*/* (sub-benchmarks in benchSize)"),
            ("runtime.goexit|testing.(*B).RunParallel.func1|m.BenchmarkBoth.func1|m.f".into(), "BenchmarkBoth"),
            // The first goroutine was started by a sub-benchmark, the second by the benchmark.
            ("runtime.goexit|m.BenchmarkSort.func1.2|m.f".into(), "BenchmarkSort/* (sub-benchmarks in func1)"),
            ("runtime.goexit|m.BenchmarkSort.func3|m.f".into(), "BenchmarkSort"),
            ("runtime.goexit|m.worker|m.f".into(), NO_BENCHMARK),
            ("runtime.goexit|m.Benchmarking|m.f".into(), NO_BENCHMARK),
            ("runtime.goexit|runtime.gcBgMarkWorker".into(), NO_BENCHMARK),
            ("runtime.goexit|testing.(*B).launch|testing.(*B).runN|runtime.GC".into(), NO_BENCHMARK),
            (format!("{run}|gopkg.in/yaml.v3.BenchmarkRead|m.f"), "BenchmarkRead"),
        ] {
            let mut fixture = Fixture::new();
            // The function of the sub-benchmark is known from another stack.
            fixture.add("app", &format!("{run}|m.BenchmarkSort.func1|m.g"), 1);
            fixture.add("app", &stack, 1);
            let profile = fixture.profile;
            let name = Benchmarks::new(&profile).group_name(profile.samples().last().expect("two were added"));
            assert_eq!(name, expected, "{stack}");
        }
    }
}
