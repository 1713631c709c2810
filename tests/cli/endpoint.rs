//! Profiles that a program serves with net/http/pprof: in `goflame report URL`, `goflame run` and `goflame record`.

use std::net::TcpListener;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Finished, Goflame, Project, Running, wait_until};

/// A port that nothing listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A project whose program serves its profiles, and whose run fetches `profiles`.
fn project_that_fetches(profiles: &str, port: u16, args: &str) -> Project {
    Project::workload(
        "endpoint",
        &format!(
            "toolchain.go = \"1.27.3\"\nworkload.args = [\"-addr\", \"127.0.0.1:{port}\", {args}]\n\
             [runtime]\npprof = \"http://127.0.0.1:{port}/debug/pprof\"\nprofiles = {profiles}\n"
        ),
    )
}

/// Runs the project until its program is ready, and then interrupts goflame.
#[track_caller]
fn run_and_interrupt(run: Goflame<'_>) -> Finished<'_> {
    let run = run.spawn();
    run.wait_for("ready ").signal(Signal::SIGINT);
    let run = run.finish();
    run.code(130);
    run
}

/// The program, running by itself. It is killed when the test ends.
struct Server<'p>(Running<'p>);

impl<'p> Server<'p> {
    fn start(project: &'p Project, args: &str) -> Self {
        project.goflame(["build"]).run().code(0);
        let server = Self(project.shell(&format!("exec .goflame/build/debug/endpoint {args}")).spawn());
        server.0.wait_for("ready ");
        server
    }

    /// The host and port that the program printed: `ready PID HOST:PORT`.
    fn host(&self) -> String {
        let host = || Some(self.0.stdout().lines().next()?.split(' ').nth(2)?.to_owned());
        wait_until(|| self.0.stdout().contains('\n')).unwrap();
        host().unwrap()
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.pid()), Signal::SIGKILL);
    }
}

#[test]
fn a_run_keeps_the_profiles_that_its_program_serves_when_it_is_interrupted() {
    let profiles =
        r#"["cpu", "heap", "allocs", "mutex", "block", "goroutine", "goroutineleak", "threadcreate", "trace"]"#;
    let project = project_that_fetches(profiles, free_port(), r#""-rates", "-leak", "12""#);
    let run = project.goflame(["run"]).spawn();
    run.wait_for("asked for profile").wait_for("asked for trace").signal(Signal::SIGINT);
    let run = run.finish();
    run.code(130);
    run.stderr_has("     Fetched cpu, heap, allocs, mutex, block, goroutine, goroutineleak, threadcreate, trace from http://127.0.0.1:[..]/debug/pprof");
    for headline in [
        "heap: [..] MiB in use, [..] % at main.keep",
        "allocs: [..] MiB allocated, [..] % at main.keep",
        "goroutine: [..] goroutines, [..] % at main.leaked",
        "goroutineleak: 12 goroutines leaked, all at main.leaked",
        "threadcreate: [..] threads",
        "trace: [..] MB, for `go tool trace`",
    ] {
        run.stderr_has(&format!("             {headline}"));
    }
    let manifest = project.manifest();
    for (name, file) in
        [("cpu", "pprof/cpu.pb.gz"), ("goroutineleak", "pprof/goroutineleak.pb.gz"), ("trace", "pprof/trace.out")]
    {
        assert_eq!(manifest["files"][file]["sha256"].as_str().unwrap().len(), 64, "{file}");
        let listed = manifest["runtime_profiles"]["profiles"].as_array().unwrap();
        assert!(listed.iter().any(|one| one["profile"] == name && one["file"] == file), "{listed:?}");
    }
    assert!(project.read(&format!("{}/pprof/trace.out", project.only_run())).starts_with(b"go 1."));

    // `--profile` shows each fetched profile.
    let leaks = project.goflame(["report", "--profile", "goroutineleak"]).run();
    assert!(
        leaks.code(0).stdout.contains("12  100 %  endpoint/main.go:[..]".split("[..]").next().unwrap()),
        "{}",
        leaks.stdout
    );
    let heap = project.goflame(["report", "latest", "--profile", "heap", "-f", "folded"]).run();
    assert!(heap.code(0).stdout.contains("main.main;main.keep "), "{}", heap.stdout);
    project.goflame(["report", "--profile", "heap", "--sample-type", "alloc_objects", "-o", "heap.svg"]).run().code(0);
    assert!(project.read("heap.svg").starts_with(b"<?xml"));
    let same = project.goflame(["diff", "latest", "latest", "--profile", "heap"]).run();
    assert!(same.code(0).stdout.contains("no function changed"), "{}", same.stdout);
    project.goflame(["report", "--profile", "trace"]).run().code(2).stderr(
        "error: [dir]/.goflame/runs/[..]/pprof/trace.out is an execution trace, not a profile\n   \
         help: `go tool trace [..]/pprof/trace.out` shows it\n",
    );
}

#[test]
fn a_program_without_leaks_has_none_and_profiles_that_are_off_say_what_they_need() {
    let project = project_that_fetches(r#"["mutex", "block", "goroutineleak"]"#, free_port(), "");
    run_and_interrupt(project.goflame(["run"])).stderr_in_order(
        "     Fetched mutex, block, goroutineleak from http://127.0.0.1:[..]/debug/pprof
             goroutineleak: no goroutine leaked
     Warning the mutex profile is empty: nothing waited, or the program does not call runtime.SetMutexProfileFraction(100)
     Warning the block profile is empty: nothing waited, or the program does not call runtime.SetBlockProfileRate(10000)
",
    );
    let notes = project.manifest()["notes"].to_string();
    assert!(notes.contains("SetMutexProfileFraction"), "{notes}");
    project
        .goflame(["report", "--profile", "heap"])
        .run()
        .code(2)
        .stderr("error: run [..] has no heap profile of Go's runtime\n   help: it has mutex, block, goroutineleak\n");
}

#[test]
fn credentials_are_sent_and_never_kept() {
    let project = project_that_fetches(r#"["heap", "goroutine"]"#, free_port(), r#""-token", "opensesame""#);
    let refused = run_and_interrupt(project.goflame(["run"]));
    refused.stderr_has(
        "     Warning no heap profile: cannot fetch http://127.0.0.1:[..]/debug/pprof/heap: the program answered 401 Unauthorized: who are you?; set the variable GOFLAME_PPROF_AUTHORIZATION (for example `Bearer TOKEN`), or GOFLAME_PPROF_HEADERS",
    );
    let first = project.only_run();
    std::fs::remove_dir_all(project.path(&first)).unwrap();

    let wrong = project.goflame(["run"]).env("GOFLAME_PPROF_HEADERS", "Bearer opensesame").run();
    wrong
        .code(2)
        .stderr_has("error: line 1 of the variable GOFLAME_PPROF_HEADERS is not a header")
        .stderr_lacks("[..]sesame");

    let run = project.goflame(["run", "--", "-addr", &address(&project), "-token", "opensesame"]);
    let run = run_and_interrupt(run.env("GOFLAME_PPROF_AUTHORIZATION", "Bearer opensesame"));
    run.stderr_has("     Fetched heap, goroutine from http://127.0.0.1:[..]/debug/pprof");
    let manifest = project.manifest();
    // The arguments of the program contain the token too, but after `-token`, which is known to be the name of a
    // secret.
    assert!(!manifest["runtime_profiles"].to_string().contains("sesame"), "{manifest}");
    assert!(!run.stderr.contains("Bearer"), "{}", run.stderr);
}

/// The address in the project's settings.
fn address(project: &Project) -> String {
    let settings = String::from_utf8(project.read("goflame.toml")).unwrap();
    settings.split("\"-addr\", \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[test]
fn profiles_that_cannot_be_fetched_never_fail_a_run() {
    let project = project_that_fetches(r#"["cpu", "heap"]"#, free_port(), r#""-duration", "1ms""#);
    project.goflame(["run"]).run().code(0).stderr_has(
        "     Warning no profile was fetched from http://127.0.0.1:[..]/debug/pprof: the program ended by itself, and profiles are fetched when goflame ends the run: `timeout` in [workload], `goflame record --duration`, or an interrupt",
    );
    let elsewhere = format!("127.0.0.1:{}", free_port());
    run_and_interrupt(project.goflame(["run", "--", "-addr", &elsewhere])).stderr_has(
        "     Warning no profile was fetched from http://127.0.0.1:[..]/debug/pprof: no connection: Connection refused (os error 111); the program serves profiles where it listens for HTTP and imports net/http/pprof",
    );
    let settings = String::from_utf8(project.read("goflame.toml")).unwrap();
    project.write("goflame.toml", settings.replace("/debug/pprof", "/wrong"));
    let run = run_and_interrupt(project.goflame(["run", "--", "-addr", &address(&project)]));
    run.stderr_has("     Warning no heap profile: cannot fetch http://127.0.0.1:[..]/wrong/heap: the program answered 404 Not Found: 404 page not found; the program must import net/http/pprof and serve http.DefaultServeMux, or register its handlers");
}

#[test]
fn report_and_diff_fetch_a_profile_from_a_url() {
    let project = project_that_fetches("[]", 0, "");
    let server = Server::start(&project, "-busy 20ms");
    let host = server.host();
    let cpu = project.goflame(["report", &format!("http://{host}/?seconds=1"), "-f", "folded"]).run();
    assert!(cpu.code(0).stdout.contains("main.main;main.often"), "{}", cpu.stdout);
    cpu.stderr_has(&format!("    Fetching http://{host}/debug/pprof/profile?seconds=1, which takes 1 s"));

    let heap = project.goflame(["report", &format!("http://me:hidden@{host}"), "--profile", "heap"]).run();
    assert!(heap.code(0).stdout.contains("main.keep"), "{}", heap.stdout);
    heap.stderr_has(&format!("    Fetching http://{host}/debug/pprof/heap")).stderr_lacks("[..]hidden[..]");
    let url = format!("http://{host}/debug/pprof/goroutine");
    let same = project.goflame(["diff", &url, &format!("{url}?debug=1"), "--json"]).run();
    assert!(same.code(0).stdout.contains("main.contend"), "{}", same.stdout);

    let none = project.goflame(["report", &format!("http://{host}/debug/pprof/nothing")]).run();
    none.code(7).stderr(&format!(
        "    Fetching http://{host}/debug/pprof/nothing
error: cannot fetch http://{host}/debug/pprof/nothing
  cause: the program answered 404 Not Found: Unknown profile
   help: the program must import net/http/pprof and serve http.DefaultServeMux, or register its handlers
"
    ));
    project.goflame(["report", &url, "--profile", "heap"]).run().code(2).stderr(&format!(
        "error: {url} is one profile, and has no others\n   help: `--profile` selects a profile of a run, or of a program: http://HOST:PORT/debug/pprof\n"
    ));
}

#[test]
fn urls_that_cannot_be_used_are_errors() {
    let project = Project::empty();
    project.goflame(["report", "https://me:hidden@app.example/debug/pprof"]).run().code(2).stderr(
        "error: cannot fetch profiles from this URL
  cause: https is not supported: goflame speaks no TLS
   help: let curl fetch it: `curl -sS 'URL' | goflame report -`
",
    );
    let url = format!("http://127.0.0.1:{}/debug/pprof/heap", free_port());
    project.goflame(["report", &url]).run().code(7).stderr(&format!(
        "    Fetching {url}
error: cannot fetch {url}
  cause: no connection: Connection refused (os error 111)
   help: the program serves profiles where it listens for HTTP and imports net/http/pprof
"
    ));
    project.write("goflame.toml", "[runtime]\npprof = \"http://me:hidden@127.0.0.1:6060/debug/pprof\"\n");
    let config = project.goflame(["run"]).run();
    config.code(3).stderr_has("error: invalid value for `runtime.pprof`").stderr_lacks("[..]hidden[..]");
}

#[test]
fn a_recording_fetches_profiles_from_a_program_that_runs_on() {
    let project = project_that_fetches("[]", 0, "");
    let server = Server::start(&project, "-busy 20ms");
    let settings =
        format!("[runtime]\npprof = \"http://{}/debug/pprof\"\nprofiles = [\"cpu\", \"goroutine\"]\n", server.host());
    project.write("goflame.toml", settings);
    let record = project.goflame(["record", "-p", &server.0.pid().to_string(), "-d", "2s"]).run();
    record.code(0).stderr_in_order(
        "     Fetched cpu, goroutine from http://127.0.0.1:[..]/debug/pprof
             cpu: [..] of CPU time, [..] at main.often
             goroutine: [..] goroutines, [..] at main.[..]
    Compared samples with runtime/pprof: [..]
",
    );
    let run = project.only_run();
    let summary: serde_json::Value = serde_json::from_slice(&project.read(&format!("{run}/summary.json"))).unwrap();
    let compared = &summary["runtime_pprof_comparison"];
    assert!(compared["fetched_samples"].as_u64().unwrap() > 0, "{compared}");
    // A later report makes the same comparison again.
    let again = project.goflame(["report", "-f", "json"]).run();
    let again: serde_json::Value = serde_json::from_str(&again.code(0).stdout).unwrap();
    assert_eq!(&again["runtime_pprof_comparison"], compared);
}

/// Burns CPU time in a function of its own while it serves a profile, and in another one when it is asked to end.
const BUSY_AT_THE_END: &str = r#"package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

//go:noinline
func work() { use(0.02) }

//go:noinline
func serve() { use(0.2) }

//go:noinline
func end() { use(0.2) }

var sum uint64

// use burns this number of seconds of CPU time.
func use(seconds float64) {
	for end := used() + seconds; used() < end; {
		for i := uint64(0); i < 100_000; i++ {
			sum += i * i
		}
	}
}

func used() float64 {
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}

func main() {
	http.HandleFunc("/debug/pprof/heap", func(w http.ResponseWriter, r *http.Request) {
		serve()
		fmt.Fprintln(w, "served")
	})
	go http.ListenAndServe("127.0.0.1:PORT", nil)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, os.Interrupt, syscall.SIGTERM)
	for {
		select {
		case <-asked:
			end()
			os.Exit(0)
		default:
			work()
		}
	}
}
"#;

#[test]
fn what_the_program_does_while_the_last_profiles_are_fetched_is_not_sampled() {
    let port = free_port().to_string();
    let config = format!("[runtime]\npprof = \"http://127.0.0.1:{port}/debug/pprof\"\nprofiles = [\"heap\"]\n");
    let project = Project::program(&BUSY_AT_THE_END.replace("PORT", &port), &config);
    let run = project.goflame(["run"]).spawn();
    run.wait_for_samples().signal(Signal::SIGTERM);
    run.finish().code(143).stderr_has("     Warning no heap profile: http://127.0.0.1:[..] did not serve one: [..]");
    let samples = project.goflame(["report", "-f", "folded"]).run();
    samples.code(0);
    assert!(samples.stdout.contains(";main.work;main.use"), "{}", samples.stdout);
    for function in ["main.serve;", "main.end;"] {
        assert!(!samples.stdout.contains(function), "{function} in\n{}", samples.stdout);
    }
    let manifest = project.manifest();
    let (window, all) = (&manifest["sampler"]["used_cpu_seconds"], &manifest["workload"]["user_seconds"]);
    assert!(window.as_f64().unwrap() + 0.3 < all.as_f64().unwrap(), "{window} s of {all} s");
}
