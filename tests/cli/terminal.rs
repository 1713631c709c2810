//! goflame on a terminal, which `script` (util-linux) creates. It also types Ctrl-C.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Finished, Project};

/// Runs goflame on a terminal of 24 rows and 100 columns. Types `keys`, as `printf` writes them, once a line ends in "ready".
/// The file `screen` contains the output of the terminal.
///
/// goflame replaces the shell that `script` starts: a terminal's Ctrl-C goes to that shell too, and dash, unlike bash,
/// then ends too, and its status would hide the one of goflame.
#[track_caller]
fn run_on_terminal<'p>(project: &'p Project, command: &str, keys: &str) -> Finished<'p> {
    let typed = match keys {
        "" => String::new(),
        keys => format!("until grep -q 'ready\\s*$' screen 2>/dev/null; do sleep 0.05; done; printf '{keys}'"),
    };
    let line = format!(
        "rm -f screen ended
         set -o pipefail
         {{ {typed}
            until [ -e ended ]; do sleep 0.05; done; }} |
         {{ script --quiet --flush --return --command 'stty rows 24 cols 100; exec {command}' screen
            status=$?; touch ended; exit $status; }}"
    );
    project.shell(&line).env("TERM", "xterm").run()
}

/// The text that stays on the terminal after `\r` and "erase line".
fn visible_text(screen: &[u8]) -> String {
    let text = String::from_utf8_lossy(screen).into_owned();
    let mut lines = Vec::new();
    for line in text.split('\n') {
        // Only the text after the last "erase line" stays.
        let line = line.rsplit("\r\u{1b}[2K").next().unwrap_or(line);
        lines.push(remove_colours(line.trim_end_matches('\r')));
    }
    lines.join("\n")
}

fn remove_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(
            part.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';').get(1..).unwrap(),
        );
    }
    plain
}

/// Before: the terminal broke messages in the middle of words. A command stays on one line, so that it can be copied.
#[test]
fn messages_break_between_words() {
    let project = Project::empty();
    run_on_terminal(&project, "$goflame record --pid 2147483647", "").code(6);
    let said = visible_text(&project.read("screen"));
    let help = "
   help: a process of another container has another number here, if goflame sees it at all:
         2147483647 may be the number inside of the container
";
    assert!(said.contains(help), "{said}");
    let in_a_pipe = project.goflame(["record", "--pid", "2147483647"]).run();
    in_a_pipe.code(6).stderr_has("   help: a process of another container [..] inside of the container");
}

/// Before: examples were wider than 80 columns, and went on below their commands.
#[test]
fn examples_of_the_help_fit_80_columns() {
    let project = Project::empty();
    for command in ["", "doctor", "build", "run", "record", "report", "diff"] {
        let help = project.shell(&format!("$goflame {command} -h")).run();
        let examples = help.code(0).stdout.split_once("\nExamples:\n").unwrap().1;
        for line in examples.lines() {
            assert!(line.starts_with("  ") && line.len() <= 80, "{line}");
        }
    }
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
    let run = run_on_terminal(&project, "$goflame run", "\\003");
    run.code(130);
    let screen = visible_text(&project.read("screen"));
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines.contains(&"interrupts: 1"), "{screen}");
    let dots: usize = lines
        .iter()
        .filter(|line| line.trim_start_matches("^C").starts_with('.'))
        .map(|line| line.matches('.').count())
        .sum();
    let log = project.read(&format!("{}/stdout.log", project.only_run()));
    assert_eq!(dots, String::from_utf8_lossy(&log).matches('.').count(), "dots are missing in\n{screen}");
    // The terminal's echo of Ctrl-C can come before this text.
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
    run_on_terminal(&project, "$goflame run", "typed\\n").code(0);
    let log = project.read(&format!("{}/stdout.log", project.only_run()));
    assert_eq!(String::from_utf8_lossy(&log), "ready\nread typed\n");
}

/// Before, the message was the whole command line with "was stopped".
#[test]
fn ctrl_c_reaches_a_build_once() {
    let project = Project::program("package main\n\nfunc main() {}\n", "");
    let dir = project.path("").display().to_string();
    // Short sleeps: dash loses an interrupt that arrives while it starts a command.
    let tool = "#!/bin/sh
case \"$*\" in *-V=full*) exec \"$@\" ;; esac
trap '' TERM
trap 'echo $$ >>DIRinterrupts' INT
printf '\\nready\\n' >/dev/tty
until [ -e DIRinterrupts ]; do sleep 0.1; done
sleep 1
exit 1
";
    project.write("tool", tool.replace("DIR", &dir));
    fs::set_permissions(project.path("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    let env = format!("env = {{ GOFLAGS = \"-a -toolexec={dir}tool\" }}");
    project.write("goflame.toml", format!("app.name = \"program\"\n[variant.debug]\n{env}\n"));
    run_on_terminal(&project, "$goflame build", "\\003").code(130);
    // The progress bar erases the terminal's echo of Ctrl-C, if the bar was drawn before.
    let screen = visible_text(&project.read("screen")).replace("^C", "");
    assert!(screen.contains("\nerror: interrupted: stopped `go build`; nothing was archived\n"), "{screen}");
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

/// Says for both streams whether they are terminals, and of which size. `ready` comes last.
const PRINT_TERMINALS_PROGRAM: &str = "package main

import (
	\"fmt\"
	\"os\"
	\"os/signal\"
	\"syscall\"
	\"time\"
	\"unsafe\"
)

func describe(file *os.File) string {
	var size struct{ rows, columns, width, height uint16 }
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return \"no terminal\"
	}
	return fmt.Sprintf(\"\\x1b[32m%d rows, %d columns\\x1b[0m\", size.rows, size.columns)
}

func main() {
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	fmt.Fprintln(os.Stderr, \"stderr:\", describe(os.Stderr))
	fmt.Println(\"stdout:\", describe(os.Stdout))
	if len(os.Args) < 2 {
		fmt.Println(\"ready\")
		return
	}
	fmt.Println(\"ready\")
	end := time.After(time.Minute)
	for {
		select {
		case <-resized:
			if size := describe(os.Stdout); size == \"\\x1b[32m20 rows, 60 columns\\x1b[0m\" {
				fmt.Println(\"resized:\", size)
				return
			}
		case <-end:
			os.Exit(1)
		}
	}
}
";

/// Before, both streams were pipes in the workload, so that programs left out colours and progress bars.
#[test]
fn the_workload_has_a_terminal_where_its_output_is_shown_on_one() {
    let project = Project::program(PRINT_TERMINALS_PROGRAM, "");
    let mut earlier = Vec::new();
    // The names of two runs in the same second are not in the order of the runs.
    let mut logs_of_new_run = || {
        let run = project.names(".goflame/runs").into_iter().find(|run| !earlier.contains(run)).unwrap();
        let log = |name| String::from_utf8(project.read(&format!(".goflame/runs/{run}/{name}.log"))).unwrap();
        let logs = ["stdout", "stderr"].map(log);
        earlier.push(run);
        logs
    };
    run_on_terminal(&project, "$goflame run", "").code(0);
    let size = "\u{1b}[32m24 rows, 100 columns\u{1b}[0m";
    let screen = String::from_utf8(project.read("screen")).unwrap();
    for stream in ["stdout", "stderr"] {
        assert!(screen.contains(&format!("{stream}: {size}\r\n")), "{screen}");
    }
    let said = visible_text(screen.as_bytes());
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("and its last line on stderr was: stderr: 24 rows, 100 columns"), "{said}");
    // The logs hold the bytes of the program, without the carriage returns of a terminal.
    assert_eq!(logs_of_new_run(), [format!("stdout: {size}\nready\n"), format!("stderr: {size}\n")]);

    run_on_terminal(&project, "$goflame run 2>errors", "").code(0);
    assert_eq!(logs_of_new_run(), [format!("stdout: {size}\nready\n"), "stderr: no terminal\n".to_owned()]);

    run_on_terminal(&project, "$goflame run --json >summary", "").code(0);
    let [stdout, _] = logs_of_new_run();
    assert_eq!(stdout, format!("stdout: {size}\nready\n"), "it is shown on standard error");
    let _: serde_json::Value = serde_json::from_slice(&project.read("summary")).unwrap();
    project.assert_nothing_runs();
}

#[test]
fn the_workload_learns_the_new_size_of_the_window() {
    let project = Project::program(PRINT_TERMINALS_PROGRAM, "[workload]\nargs = [\"wait\"]\n");
    let resize = "until grep -q 'ready\\s*$' screen; do sleep 0.05; done; stty rows 20 cols 60; wait $!";
    project.write("resize.sh", format!("$goflame run &\n{resize}\n"));
    run_on_terminal(&project, "bash resize.sh", "").code(0);
    let screen = visible_text(&project.read("screen"));
    assert!(screen.contains("\nresized: 20 rows, 60 columns\n"), "{screen}");
}

#[test]
fn a_run_that_is_stopped_and_continued_ends_as_usual() {
    let project = Project::program(
        "package main

import (
	\"fmt\"
	\"os\"
	\"os/signal\"
	\"syscall\"
	\"time\"
)

func main() {
	continued := make(chan os.Signal, 8)
	signal.Notify(continued, syscall.SIGCONT)
	fmt.Println(\"ready\")
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		select {
		case <-continued:
			fmt.Println(\"continued\")
			return
		default:
			fmt.Println(\"waiting\")
		}
	}
}
",
        "",
    );
    project.write("go.mod", "module example.com/program\n\ngo 1.22\n");
    // With -m, bash gives each command a process group, and continues when Ctrl-Z stops it.
    project.write("job.sh", "$goflame run\necho stopped: $?\nfg\n");
    run_on_terminal(&project, "bash -m job.sh", "\\032").code(0);
    let screen = visible_text(&project.read("screen"));
    assert!(screen.contains("stopped: 148\n"), "{screen}");
    let (_, after) = screen.split_once("stopped: 148\n").unwrap();
    assert!(after.contains("\ncontinued\n"), "{screen}");
    let shown: Vec<&str> = screen
        .lines()
        .map(|line| line.trim_start_matches("^Z"))
        .filter(|line| ["ready", "waiting", "continued"].contains(line))
        .collect();
    let log = project.read(&format!("{}/stdout.log", project.only_run()));
    assert_eq!(shown.join("\n") + "\n", String::from_utf8_lossy(&log), "lines are lost in\n{screen}");
    project.assert_nothing_runs();
}

/// Before, the tables followed the output of the workload in the file.
#[test]
fn a_redirected_run_holds_the_output_of_the_workload_alone() {
    let project = Project::program(PRINT_TERMINALS_PROGRAM, "");
    run_on_terminal(&project, "$goflame run >out.txt", "").code(0);
    assert_eq!(project.read("out.txt"), b"stdout: no terminal\nready\n");
    assert!(visible_text(&project.read("screen")).contains("stderr: 24 rows, 100 columns\n"));

    let project = Project::workload("burner", "");
    for line in ["run", "run -q"] {
        let run = project.shell(&format!("$goflame {line} >out.txt")).run();
        run.code(0).stderr_has("In your code [..]").stderr_has("Hottest functions");
        assert_eq!(project.read("out.txt"), b"");
    }
}

/// Before, the progress line was drawn over the workload's output.
#[test]
fn the_progress_line_leaves_the_screen_to_a_workload_that_draws() {
    let project = Project::program(
        "package main

import (
	\"fmt\"
	\"time\"
)

func main() {
	fmt.Print(\"ready\\nfirst 0\\nsecond 0\\n\")
	for i := 1; i <= 4; i++ {
		fmt.Printf(\"\\x1b[2Afirst %d\\n\", i)
		time.Sleep(150 * time.Millisecond)
		fmt.Printf(\"second %d\\n\", i)
		time.Sleep(150 * time.Millisecond)
	}
}
",
        "",
    );
    run_on_terminal(&project, "$goflame run", "").code(0);
    let screen = String::from_utf8(project.read("screen")).unwrap();
    let drawn = [1, 2, 3, 4].map(|i| format!("\u{1b}[2Afirst {i}\r\nsecond {i}\r\n"));
    assert!(screen.contains(&drawn.concat()), "{screen}");
}

/// Before, the progress line said neither.
#[test]
fn the_progress_line_says_how_to_end_the_run_and_how_little_cpu_is_used() {
    let project = Project::program(
        "package main

import (
	\"fmt\"
	\"time\"
)

func main() {
	fmt.Println(\"ready\")
	time.Sleep(4 * time.Second)
}
",
        "",
    );
    run_on_terminal(&project, "$goflame run", "").code(0);
    let screen = remove_colours(&String::from_utf8(project.read("screen")).unwrap());
    assert!(screen.contains("   Profiling 1."), "{screen}");
    assert!(screen.contains("; Ctrl-C ends it and shows the profile"), "{screen}");
    assert!(screen.contains(" s of CPU in 3 s: send it load; Ctrl-C ends it and shows the profile"), "{screen}");

    let run = project.goflame(["run"]).run();
    run.code(0).stderr_lacks("   Profiling[..]").stderr_lacks("[..]Ctrl-C[..]");
}

/// Before, nothing was shown until the end of the build.
#[test]
fn a_build_shows_the_packages_that_are_done_of_all() {
    let project = Project::program("", "");
    // Neither package is in Go's cache.
    let unique = format!("// {}\n", project.path("").display());
    project.write("slow/slow.go", format!("package slow\n\nimport _ \"os\"\n\n{unique}"));
    let main = "package main\n\nimport _ \"example.com/program/slow\"\n\nfunc main() {}\n";
    project.write("main.go", format!("{main}{unique}"));
    // Short sleeps: dash loses an interrupt that arrives while it starts a command.
    let tool = "#!/bin/sh
case \"$*\" in
*-V=full*) ;;
*\"-p main\"*) sleep 1 ;;
*\"-p example.com/program/slow\"*) echo ready; sleep 2 ;;
esac
exec \"$@\"
";
    project.write("tool", tool);
    fs::set_permissions(project.path("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    let tool = project.path("tool").display().to_string();
    let env = format!("env = {{ GOFLAGS = \"-toolexec={tool}\" }}");
    project.write("goflame.toml", format!("app.name = \"program\"\n[variant.debug]\n{env}\n"));
    project.write("build.sh", "$goflame build && echo Finished\n");
    run_on_terminal(&project, "sh build.sh", "").code(0);
    let screen = remove_colours(&String::from_utf8(project.read("screen")).unwrap());
    assert!(screen.contains(" packages: example.com/program/slow ("), "{screen}");
    let (before, _) = screen.split_once(" packages: example.com/program (").unwrap_or_else(|| panic!("{screen}"));
    let (done, total) = before.rsplit(' ').next().unwrap().split_once('/').unwrap_or_else(|| panic!("{screen}"));
    assert_eq!(done.parse::<usize>().unwrap() + 1, total.parse::<usize>().unwrap());
    // The output of the compiler is shown too.
    assert!(screen.contains("ready\r\n") && screen.contains("       Built "), "{screen}");
}
