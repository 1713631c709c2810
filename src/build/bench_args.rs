//! Arguments of a test binary that runs benchmarks.

use crate::config::BenchmarkChoice;
use crate::config::goflags::split_name_and_value;

/// Flags of `go test` that it passes to the test binary with the prefix `test.` (`go help testflag`), and whether each
/// takes a value.
const TEST_FLAGS: [(&str, bool); 10] = [
    ("bench", true),
    ("benchmem", false),
    ("benchtime", true),
    ("count", true),
    ("cpu", true),
    ("run", true),
    ("short", false),
    ("skip", true),
    ("timeout", true),
    ("v", false),
];

/// Returns the arguments for a test binary. Accepts flags in the form of `go test` (`-bench Sort`) and of the test binary
/// (`-test.bench=Sort`). `choice` replaces the same flags in `typed`. Without flags, all benchmarks run, no tests run, and
/// allocations are reported.
pub(super) fn bench_args(typed: &[String], choice: &BenchmarkChoice) -> Vec<String> {
    let (flags, rest) = split_at_args(typed);
    // As for `go test`, everything after `-args` belongs to the program.
    let rest = rest.strip_prefix(&["-args".to_owned()]).or(rest.strip_prefix(&["--args".to_owned()])).unwrap_or(rest);
    let mut args = translate_flags(flags);
    for (name, value) in flags_for_choice(choice) {
        let flag = format!("-test.{name}");
        args.retain(|arg| !is_flag(arg, &flag));
        args.insert(0, format!("{flag}={value}"));
    }
    for (flag, default) in
        [("-test.benchmem", "-test.benchmem"), ("-test.bench", "-test.bench=."), ("-test.run", "-test.run=^$")]
    {
        if !args.iter().any(|arg| is_flag(arg, flag)) {
            args.insert(0, default.to_owned());
        }
    }
    args.extend_from_slice(rest);
    args
}

/// Returns the first of the typed flags that `choice` replaces.
pub fn find_replaced_flag<'a>(typed: &'a [String], choice: &BenchmarkChoice) -> Option<&'a str> {
    let is_replaced = |word: &&str| {
        let name = split_name_and_value(word).map(|(name, _)| name.strip_prefix("test.").unwrap_or(name));
        flags_for_choice(choice).any(|(flag, _)| name == Some(flag))
    };
    split_at_args(typed).0.iter().map(String::as_str).find(is_replaced)
}

/// Returns the flags of `go test` for a choice, with their values.
fn flags_for_choice(choice: &BenchmarkChoice) -> impl Iterator<Item = (&'static str, String)> {
    let count = choice.count.map(|count| count.to_string());
    let flags = [("count", count), ("benchtime", choice.time.clone()), ("bench", choice.names.clone())];
    flags.into_iter().filter_map(|(flag, value)| Some((flag, value?)))
}

/// Splits arguments at `--` or `-args`: first the flags of `go test`, then this word and the program's arguments.
fn split_at_args(typed: &[String]) -> (&[String], &[String]) {
    let end = typed.iter().position(|arg| matches!(arg.as_str(), "--" | "-args" | "--args"));
    typed.split_at(end.unwrap_or(typed.len()))
}

fn is_flag(arg: &str, flag: &str) -> bool {
    arg.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// Writes each flag in [`TEST_FLAGS`] as one word for the test binary. Other words stay unchanged.
fn translate_flags(typed: &[String]) -> Vec<String> {
    let mut args = Vec::with_capacity(typed.len());
    let mut words = typed.iter();
    while let Some(word) = words.next() {
        let known = split_name_and_value(word).and_then(|(name, value)| {
            let name = name.strip_prefix("test.").unwrap_or(name);
            TEST_FLAGS.iter().find(|(flag, _)| *flag == name).map(|(flag, takes_value)| (flag, *takes_value, value))
        });
        let Some((flag, takes_value, value)) = known else {
            args.push(word.clone());
            continue;
        };
        let value = value.or_else(|| if takes_value { words.next().map(String::as_str) } else { None });
        args.push(value.map_or_else(|| format!("-test.{flag}"), |value| format!("-test.{flag}={value}")));
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(typed: &[&str], choice: &BenchmarkChoice) -> String {
        bench_args(&typed.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>(), choice).join(" ")
    }

    #[test]
    fn flags_of_go_test_are_translated() {
        for (typed, expected) in [
            (&[][..], "-test.run=^$ -test.bench=. -test.benchmem"),
            (&["-bench", "Plus"], "-test.run=^$ -test.benchmem -test.bench=Plus"),
            (&["--bench=Plus", "-size", "5", "-benchtime", "2s"], {
                "-test.run=^$ -test.benchmem -test.bench=Plus -size 5 -test.benchtime=2s"
            }),
            (&["--test.bench", "Sort", "-test.benchmem=false"], "-test.run=^$ -test.bench=Sort -test.benchmem=false"),
            (&["-run=Slow", "-v"], "-test.bench=. -test.benchmem -test.run=Slow -test.v"),
            (&["--", "-bench", "x"], "-test.run=^$ -test.bench=. -test.benchmem -- -bench x"),
            (&["-count", "3", "-args", "-bench", "x"], {
                "-test.run=^$ -test.bench=. -test.benchmem -test.count=3 -bench x"
            }),
            (&["-bench"], "-test.run=^$ -test.benchmem -test.bench"),
        ] {
            assert_eq!(args(typed, &BenchmarkChoice::default()), expected);
        }
    }

    #[test]
    fn flags_of_goflame_replace_flags_of_go_test() {
        let choice = BenchmarkChoice { names: Some("Plus".to_owned()), time: Some("10x".to_owned()), count: Some(3) };
        assert_eq!(
            args(&["-test.bench=Other", "-benchtime", "1s", "-size=5"], &choice),
            "-test.run=^$ -test.benchmem -test.bench=Plus -test.benchtime=10x -test.count=3 -size=5"
        );
    }
}
