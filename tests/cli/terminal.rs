//! goflame on a terminal: `script` (util-linux) makes one, and types Ctrl-C on it.

use crate::harness::{Finished, Project};

/// Runs goflame on a terminal of 100 columns and types Ctrl-C once it shows "ready". What the terminal got is in the
/// file `screen`.
///
/// goflame replaces the shell that `script` starts: a terminal's Ctrl-C goes to that shell too, and dash, unlike bash,
/// then dies of it, so that its status would hide goflame's.
#[track_caller]
fn interrupted_on_a_terminal<'p>(project: &'p Project, command: &str) -> Finished<'p> {
    let line = format!(
        "set -o pipefail
         {{ until grep -q '^ready' screen 2>/dev/null; do sleep 0.05; done; printf '\\003'
            until grep -q 'Finished' screen; do kill -0 $$ || exit; sleep 0.05; done; }} |
         script --quiet --flush --return --command 'stty cols 100; exec {command}' screen"
    );
    project.shell(&line).env("TERM", "xterm").run()
}

/// What is left to read once the terminal has done what `\r` and "erase line" ask for.
fn visible(screen: &[u8]) -> String {
    let text = String::from_utf8_lossy(screen).into_owned();
    let mut lines = Vec::new();
    for line in text.split('\n') {
        // The rest of a line stands from the last time that it was erased on.
        let line = line.rsplit("\r\u{1b}[2K").next().unwrap_or(line);
        lines.push(without_colours(line.trim_end_matches('\r')));
    }
    lines.join("\n")
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(
            part.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';').get(1..).unwrap(),
        );
    }
    plain
}

#[test]
fn ctrl_c_reaches_the_workload_once_and_the_progress_line_spoils_nothing() {
    let project = Project::program(
        "package main

import (
	\"fmt\"
	\"os\"
	\"os/signal\"
	\"time\"
)

func main() {
	interrupts := make(chan os.Signal, 8)
	signal.Notify(interrupts, os.Interrupt)
	fmt.Println(\"ready\")
	count := 0
	dots := time.Tick(150 * time.Millisecond)
	var end <-chan time.Time
	for {
		select {
		case <-dots:
			fmt.Print(\".\")
		case <-interrupts:
			count++
			end = time.After(time.Second)
		case <-end:
			fmt.Println(\"\\ninterrupts:\", count)
			return
		}
	}
}
",
        "",
    );
    let run = interrupted_on_a_terminal(&project, "$goflame run");
    run.code(0);
    let screen = visible(&project.read("screen"));
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines.contains(&"interrupts: 1"), "{screen}");
    let dots: usize = lines
        .iter()
        .filter(|line| line.trim_start_matches("^C").starts_with('.'))
        .map(|line| line.matches('.').count())
        .sum();
    let log = project.read(&format!("{}/stdout.log", project.only_run()));
    assert_eq!(dots, String::from_utf8_lossy(&log).matches('.').count(), "dots are missing in\n{screen}");
    // The terminal's own echo may stand before it.
    let stopping = "    Stopping the workload; interrupt again to leave at once";
    assert!(lines.iter().any(|line| line.ends_with(stopping)), "{screen}");
    assert!(lines.iter().any(|line| line.starts_with("    Profiled ")), "{screen}");
    project.assert_nothing_runs();
}
