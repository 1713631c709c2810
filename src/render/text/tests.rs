#![allow(clippy::unwrap_used)]

use super::report::{MIN_COLUMNS, PATH_HEAD_ROWS, PATH_TAIL_ROWS};
use super::{DEFAULT_ROWS, Layout, Links, Sort, write};
use crate::profile::fixture::Fixture;
use crate::render::columns;
use crate::views::{GroupBy, View};

fn report(fixture: &Fixture, columns: usize, has_color: bool) -> String {
    let layout = Layout { columns, has_color, rows: DEFAULT_ROWS, sort: Sort::SelfWeight };
    let mut out = Vec::new();
    write(&View::new(fixture.profile.clone(), GroupBy::Process), layout, Links::default(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn busy_fixture() -> Fixture {
    let mut fixture = Fixture::new();
    fixture.add("app", "runtime.goexit|main.main|main.(*Matrix).Mul", 12_000);
    fixture.add("app", "runtime.goexit|main.main|github.com/acme/codec/internal/wire.(*Decoder).ReadVarint", 5_000);
    fixture.add("app", "runtime.goexit|main.main|k:page_fault", 1);
    for at in 0..10 {
        fixture.add("app", &format!("runtime.goexit|runtime.gc{at}"), 100);
    }
    fixture
}

#[test]
fn report_has_a_table_of_functions_and_the_call_path() {
    assert_eq!(
        report(&busy_fixture(), 80, false),
        "\
In your code                                18 001 samples, 18.06 s of cpu-clock
                 last line of yours in each stack, and what it calls
12.04 s  66.7 %  app/main.go:1  main.(*Matrix).Mul
 5.02 s  27.8 %  app/main.go:1  main.main → wire.(*Decoder).ReadVarint

Hottest functions
           self              cum  function
12.04 s  66.7 %  12.04 s  66.7 %  main.(*Matrix).Mul
 5.02 s  27.8 %   5.02 s  27.8 %  github.com/acme…nal/wire.(*Decoder).ReadVarint
 0.10 s   0.6 %   0.10 s   0.6 %  runtime.gc0
 0.10 s   0.6 %   0.10 s   0.6 %  runtime.gc1
 0.10 s   0.6 %   0.10 s   0.6 %  runtime.gc2
 0.10 s   0.6 %   0.10 s   0.6 %  runtime.gc3
 0.10 s   0.6 %   0.10 s   0.6 %  runtime.gc4
 0.10 s   0.6 %   0.10 s   0.6 %  runtime.gc5
 0.10 s   0.6 %   0.10 s   0.6 %  runtime.gc6
 0.10 s   0.6 %   0.10 s   0.6 %  runtime.gc7
 0.20 s   1.1 %                   5 other functions

Hottest call path
18.06 s   100 %  runtime.goexit
17.05 s  94.4 %  └ main.main
12.04 s  66.7 %   └ main.(*Matrix).Mul
"
    );
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut fixture = busy_fixture();
    let deep: Vec<_> = (0..200).map(|at| format!("main.世界{at}")).collect();
    fixture.add("app", &deep.join("|"), 1_000_000);
    for columns in 0..130 {
        for line in report(&fixture, columns, false).lines() {
            assert!(columns::width(line) <= columns.max(MIN_COLUMNS), "{line:?} is wider than {columns}");
        }
    }
}

#[test]
fn narrow_terminals_keep_shares_and_names() {
    let text = report(&busy_fixture(), 40, false);
    assert!(text.contains("\n  self     cum  function\n66.7 %  66.7 %  main.(*Matrix).Mul\n"), "{text}");
}

#[test]
fn recursion_is_one_row_and_long_paths_are_cut() {
    let mut fixture = Fixture::new();
    fixture.add("app", &format!("main.main{}", "|main.fib".repeat(37)), 10);
    assert!(report(&fixture, 80, false).ends_with("└ main.fib × 37\n"));

    let calls: Vec<_> = (0..60).map(|at| format!("main.f{at}")).collect();
    let mut fixture = Fixture::new();
    fixture.add("app", &calls.join("|"), 10);
    let text = report(&fixture, 80, false);
    let (_, path) = text.split_once("Hottest call path\n").unwrap();
    let names: Vec<_> = path.lines().map(|line| line.rsplit(" % ").next().unwrap().trim_start()).collect();
    assert_eq!(names.len(), PATH_HEAD_ROWS + 1 + PATH_TAIL_ROWS);
    assert_eq!((names[7], names[8], names[9]), ("└ main.f7", "└ … 36 more calls …", "└ main.f44"));
    assert_eq!(names.last(), Some(&"└ main.f59"));
}

#[test]
fn colour_adds_only_styles() {
    let coloured = report(&busy_fixture(), 80, true);
    assert!(coloured.contains("\u{1b}["));
    let mut plain = String::new();
    for (at, part) in coloured.split("\u{1b}[").enumerate() {
        plain.push_str(if at == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    assert_eq!(plain, report(&busy_fixture(), 80, false));
}

#[test]
fn an_empty_profile_gives_the_line_no_samples() {
    assert_eq!(report(&Fixture::new(), 80, false), "no samples\n");
}
