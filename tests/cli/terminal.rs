//! goflame on a terminal, which `script` (util-linux) creates. It also types Ctrl-C.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Finished, Project};

/// Runs goflame on a terminal of 100 columns and types `keys`, as `printf` writes them, once it shows "ready". The file
/// `screen` contains the output of the terminal.
///
/// goflame replaces the shell that `script` starts: a terminal's Ctrl-C goes to that shell too, and dash, unlike bash,
/// then ends too, and its status would hide the one of goflame.
#[track_caller]
fn on_a_terminal<'p>(project: &'p Project, command: &str, keys: &str) -> Finished<'p> {
    let line = format!(
        "set -o pipefail
         {{ until grep -q '^ready' screen 2>/dev/null; do sleep 0.05; done; printf '{keys}'
            until grep -q -e Finished -e error screen; do sleep 0.05; done; }} |
         script --quiet --flush --return --command 'stty cols 100; exec {command}' screen"
    );
    project.shell(&line).env("TERM", "xterm").run()
}

/// The text that stays on the terminal after `\r` and "erase line".
fn visible(screen: &[u8]) -> String {
    let text = String::from_utf8_lossy(screen).into_owned();
    let mut lines = Vec::new();
    for line in text.split('\n') {
        // Only the text after the last "erase line" stays.
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
fn ctrl_c_reaches_the_workload_once_and_output_lines_stay_whole() {
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
    let run = on_a_terminal(&project, "$goflame run", "\\003");
    run.code(130);
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
    // The echo of the terminal may come before it.
    let stopping = "    Stopping the workload; interrupt again to leave at once";
    assert!(lines.iter().any(|line| line.ends_with(stopping)), "{screen}");
    assert!(lines.iter().any(|line| line.starts_with("    Profiled ")), "{screen}");
    project.assert_nothing_runs();
}

/// The supervisor has its own process group. The workload must not, because the terminal would stop it.
#[test]
fn the_workload_reads_from_the_terminal() {
    let project = Project::program(
        "package main

import (
	\"bufio\"
	\"fmt\"
	\"os\"
)

func main() {
	fmt.Println(\"ready\")
	line, _ := bufio.NewReader(os.Stdin).ReadString('\\n')
	fmt.Print(\"read \", line)
}
",
        "",
    );
    on_a_terminal(&project, "$goflame run", "typed\\n").code(0);
    let log = project.read(&format!("{}/stdout.log", project.only_run()));
    assert_eq!(String::from_utf8_lossy(&log), "ready\nread typed\n");
}

#[test]
fn ctrl_c_reaches_a_build_once() {
    let project = Project::program("package main\n\nfunc main() {}\n", "");
    let dir = project.path("").display().to_string();
    let tool = "#!/bin/sh
case \"$*\" in *-V=full*) exec \"$@\" ;; esac
trap '' TERM
trap 'echo $$ >>DIRinterrupts' INT
echo ready >/dev/tty
sleep 600
sleep 1
exit 1
";
    project.write("tool", tool.replace("DIR", &dir));
    fs::set_permissions(project.path("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    let env = format!("env = {{ GOFLAGS = \"-a -toolexec={dir}tool\" }}");
    project.write("goflame.toml", format!("app.name = \"program\"\n[variant.debug]\n{env}\n"));
    on_a_terminal(&project, "$goflame build", "\\003").code(130);
    let interrupts = String::from_utf8(project.read("interrupts")).unwrap();
    let mut tools: Vec<_> = interrupts.lines().collect();
    let count = tools.len();
    tools.sort_unstable();
    tools.dedup();
    assert!(count > 0 && tools.len() == count, "{interrupts}");
    project.assert_nothing_runs();
}

/// Before, the path was plain text everywhere.
#[test]
fn the_path_of_the_picture_is_a_hyperlink_where_the_terminal_has_them() {
    let project = Project::workload("burner", "");
    for (command, has_link) in [
        ("$goflame run", true),
        ("$goflame run --color never", false),
        ("env NO_COLOR=1 $goflame run", false),
        ("env TERM=dumb $goflame run", false),
    ] {
        let line = format!("script --quiet --return --command '{command}' screen < /dev/null");
        project.shell(&line).env("TERM", "xterm").run().code(0);
        let screen = String::from_utf8(project.read("screen")).unwrap();
        let wrote = screen.lines().find(|line| line.contains("Wrote")).unwrap();
        assert_eq!(wrote.contains("\u{1b}]8;;file://"), has_link, "{command}: {wrote:?}");
        assert!(wrote.contains("/flamegraph.svg"), "{command}: {wrote:?}");
        if has_link {
            let (url, rest) = wrote.split_once("file://").unwrap().1.split_once("\u{1b}\\").unwrap();
            let text = rest.split_once("\u{1b}]8;;\u{1b}\\").unwrap().0;
            assert!(!url.starts_with('/') && url.ends_with(text), "{wrote:?}");
        }
    }
}
