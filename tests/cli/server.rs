//! Servers: ready, warm-up, load, window, stop, and every way in which that goes wrong.

use std::fs;
use std::net::{TcpListener, TcpStream};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::{Project, source, wait_until};

/// An address that nothing listens on.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The test server in a project, which is built once for several runs.
struct Server {
    project: Project,
    address: String,
}

impl Server {
    fn new() -> Self {
        Self { project: Project::workload("server", ""), address: free_address() }
    }

    /// Sets words of the server and keys of `[workload]`, and removes earlier runs. In the keys, ADDR is the address, and
    /// LOAD the command of the load without the end of its URL, its duration and its words.
    fn set(&self, words: &str, keys: &str) -> &Project {
        let Self { project, address } = self;
        let load = format!("\".goflame/build/debug/server\", \"load\", \"http://{address}/");
        let keys = keys.replace("LOAD", &load).replace("ADDR", address);
        project.write(
            "goflame.toml",
            format!(
                "app.package = \"./server\"\nreport.formats = [\"folded\"]\n\
                 [workload]\nargs = [\"serve\", \"{address}\"{words}]\ntimeout = \"60s\"\n{keys}"
            ),
        );
        let _ = fs::remove_dir_all(project.path(".goflame/runs"));
        project
    }
}

fn folded(project: &Project) -> String {
    String::from_utf8(project.read(&format!("{}/profile.folded", project.only_run()))).unwrap()
}

fn phases(manifest: &Value) -> Vec<&str> {
    manifest["workload"]["phases"].as_array().unwrap().iter().map(|phase| phase["name"].as_str().unwrap()).collect()
}

#[test]
fn the_window_of_a_server_is_all_that_is_sampled() {
    let server = Server::new();
    only_the_steady_window_is_sampled(&server);
    a_line_of_the_log_and_a_connection_are_signs_too(&server);
    a_duration_alone_bounds_any_program(&server);
    perf_record_has_no_window(&server);
}

fn only_the_steady_window_is_sampled(server: &Server) {
    let project = server.set(
        "",
        "ready = { http = \"http://ADDR/redirect\" }\nwarmup = \"200ms\"\nduration = \"1s\"\nload = [LOAD\", \"30s\"]\n",
    );
    let run = project.goflame(["run"]).run();
    run.code(0).stderr_in_order(
        "       Ready after [..] s
     Loading .goflame/build/debug/server load http://[..]/ 30s
  Warming up for 0.2 s
    Sampling for 1 s
    Stopping the workload
    Profiled [..] s at 997 Hz, [..]
steady window [..] s after [..] s of warm-up; [..] requests/s by go test -bench; latency mean [..] ms
",
    );
    run.stderr_lacks("[..]Warning[..]");
    let dir = project.only_run();
    let folded = folded(project);
    assert!(folded.contains("main.handle"), "{folded}");
    assert!(!folded.contains("burnAtStart") && !folded.contains("main.init"), "{folded}");

    let manifest = project.manifest();
    assert_eq!(phases(&manifest), ["start", "warm-up", "window", "stop"]);
    let workload = &manifest["workload"];
    assert_eq!((&workload["ending"], &workload["failed"]), (&"stopped".into(), &false.into()));
    // The server itself exits with 1 on SIGTERM.
    assert_eq!(workload["exit_code"], 1);
    let load = &workload["load"];
    assert_eq!((&load["stopped"], &load["figures"]["tool"]), (&true.into(), &"go test -bench".into()));
    assert!(load["figures"]["per_second"].as_f64().unwrap() > 0.0, "{load}");
    assert!(load["figures"]["latency"]["mean"].as_f64().unwrap() > 0.0, "{load}");
    assert!(String::from_utf8(project.read(&format!("{dir}/load.log"))).unwrap().starts_with("BenchmarkRequests"));

    let summary: Value = serde_json::from_slice(&project.read(&format!("{dir}/summary.json"))).unwrap();
    assert_eq!((&summary["phases"], &summary["load"]), (&workload["phases"], &load["figures"]));
    // The time from the first to the last sample is not longer than the window.
    let window = &workload["phases"][2];
    let [start, end] = ["start_ns", "end_ns"].map(|name| window[name].as_u64().unwrap());
    let [sampled_ns, samples] = ["duration_ns", "samples"].map(|name| summary[name].as_u64().unwrap());
    assert!(sampled_ns <= end - start && samples > 0, "{sampled_ns} {window}");

    let report = project.goflame(["report"]).run();
    assert!(report.code(0).stdout.starts_with("steady window "), "{}", report.stdout);
    project.assert_nothing_runs();
}

fn a_line_of_the_log_and_a_connection_are_signs_too(server: &Server) {
    for sign in ["log = \"pid [0-9]+ serves\"", "tcp = \"ADDR\""] {
        let project = server.set("", &format!("ready = {{ {sign} }}\n"));
        let run = project.goflame(["run", "--duration", "300ms"]).run();
        run.code(0).stderr_in_order("       Ready after [..]\n    Sampling for 0.3 s\n");
        assert_eq!(phases(&project.manifest()), ["start", "window", "stop"]);
        assert!(!folded(project).contains("burnAtStart"));
    }
}

fn a_duration_alone_bounds_any_program(server: &Server) {
    let project = server.set("", "");
    let run = project.goflame(["run", "-d", "1"]).run();
    run.code(0).stderr_has("steady window [..] s");
    // Without `ready`, the window begins with the program.
    assert!(folded(project).contains("burnAtStart"));
    assert_eq!(phases(&project.manifest()), ["window", "stop"]);
}

#[test]
fn a_server_that_fails_is_reported_with_its_last_lines() {
    let server = Server::new();
    a_server_that_is_not_ready_in_time_is_stopped_with_its_last_lines(&server);
    a_server_that_ends_before_it_is_ready_is_reported_at_once(&server);
    a_port_that_answers_before_the_start_is_an_error(&server);
    a_server_that_dies_under_load_is_the_reason_not_its_load(&server);
    a_server_that_does_not_stop_is_killed_after_its_grace(&server);
    an_interrupt_in_the_window_keeps_what_was_sampled(&server);
    a_server_without_phases_is_told_its_keys_when_it_is_stopped(&server);
}

fn a_server_that_is_not_ready_in_time_is_stopped_with_its_last_lines(server: &Server) {
    let project =
        server.set(", \"mute\"", "ready = { http = \"http://ADDR/\", within = \"1s\" }\nload = [LOAD\", \"30s\"]\n");
    let run = project.goflame(["run"]).run();
    run.code(12).stderr_in_order(
        "    Stopping the workload
error: the server was not ready within 1 s: Connection refused (os error 111)
  cause: the last lines of its output:
         waiting for the database
   help: `ready` in [workload] sets the sign to wait for, and `within` the maximum time
    Archived [..]; `latest` is still the run before
",
    );
    let manifest = project.manifest();
    assert_eq!((phases(&manifest), &manifest["workload"]["failed"]), (vec!["start", "stop"], &true.into()));
    assert_eq!(
        manifest["notes"].as_array().unwrap().last().unwrap(),
        "the server was not ready within 1 s: Connection refused (os error 111)"
    );
    project.assert_nothing_runs();

    let project = server.set("", "ready = { http = \"http://ADDR/error\", within = \"1s\" }\n");
    let run = project.goflame(["run"]).run();
    run.code(12).stderr_has("error: the server was not ready within 1 s: the answer was HTTP/1.1 500");
}

fn a_server_that_ends_before_it_is_ready_is_reported_at_once(server: &Server) {
    let project = server.set("", "ready = { log = \"never\", within = \"50s\" }\n");
    let holder = TcpListener::bind(free_address()).unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let run = project.goflame(["run", "--", "serve", &address]).run();
    run.code(12).stderr_in_order(
        "error: the server ended with exit status 5 before it was ready
  cause: the last lines of its output:
         listen tcp [..]: bind: address already in use
   help: another process holds the port: stop it (`ss -ltnp` names it), or use another port
",
    );
}

fn a_port_that_answers_before_the_start_is_an_error(server: &Server) {
    let project = server.set("", "ready = { tcp = \"ADDR\" }\n");
    let address = &server.address;
    let _holder = TcpListener::bind(address).unwrap();
    let own = std::process::id();
    project.goflame(["run"]).run().code(6).stderr_in_order(&format!(
        "error: something answers at {address} already, before the server starts
   help: process {own} ([..]) holds the port: stop it, or use another port
"
    ));
    assert_eq!((project.names(".goflame/runs"), project.partials()), (vec![], vec![]));
}

fn a_server_that_dies_under_load_is_the_reason_not_its_load(server: &Server) {
    let project = server.set("", "ready = { tcp = \"ADDR\" }\nduration = \"30s\"\nload = [LOADdie\", \"30s\"]\n");
    let run = project.goflame(["run"]).run();
    run.code(12).stderr_in_order(
        "error: the server ended with exit status 3 before its window was over
  cause: the last lines of its output:
         out of ideas
",
    );
    let manifest = project.manifest();
    assert_eq!((phases(&manifest), &manifest["workload"]["ending"]), (vec!["start", "window", "stop"], &"own".into()));
    project.assert_nothing_runs();
}

fn a_load_that_outlives_its_server_is_killed(server: &Server) {
    let project = server.set("", "ready = { tcp = \"ADDR\" }\nload = [LOADdie\", \"100s\", \"stubborn\"]\n");
    let run = project.goflame(["run"]).run();
    run.code(12).stderr_has("error: the server ended with exit status 3 before its window was over");
    let load = &project.manifest()["workload"]["load"];
    assert_eq!((&load["stopped"], &load["status"]), (&true.into(), &"killed by SIGKILL (9)".into()), "{load}");
    project.assert_nothing_runs();
}

#[test]
fn a_load_that_fails_or_ends_early_is_reported() {
    let server = Server::new();
    a_load_that_fails_ends_the_run_with_its_last_lines(&server);
    a_load_that_is_not_found_is_an_error_before_the_server_starts(&server);
    a_load_that_ends_early_ends_the_window(&server);
    a_load_that_outlives_its_server_is_killed(&server);
}

fn a_load_that_fails_ends_the_run_with_its_last_lines(server: &Server) {
    let project = server.set("", "ready = { tcp = \"ADDR\" }\nload = [LOAD\", \"500ms\", \"fails\"]\n");
    let run = project.goflame(["run"]).run();
    run.code(12).stderr_in_order(
        "error: the load ended with exit status 7
  cause: the last lines of its output:
         BenchmarkRequests [..]
         3 requests timed out
",
    );
    // The samples until the server died are kept.
    assert!(folded(project).contains("main.handle"));
    project.assert_nothing_runs();
}

fn a_load_that_is_not_found_is_an_error_before_the_server_starts(server: &Server) {
    let project = server.set("", "ready = { tcp = \"ADDR\" }\nload = [\"no-such-tool\", \"-d10s\"]\n");
    let run = project.goflame(["run"]).run();
    run.code(6).stderr_in_order(
        "error: cannot run the load
  cause: [..]no-such-tool[..]
   help: install it, or name another command as `load` in [workload]
",
    );
    assert_eq!((project.names(".goflame/runs"), project.partials()), (vec![], vec![]));
}

fn a_load_that_ends_early_ends_the_window(server: &Server) {
    let project = server.set("", "ready = { tcp = \"ADDR\" }\nduration = \"30s\"\nload = [LOAD\", \"500ms\"]\n");
    let run = project.goflame(["run"]).run();
    run.code(0).stderr_in_order(
        "     Warning the load ended [..] s before the window was over, and the window with it; the load should last for warmup and duration together
    Stopping the workload
",
    );
    assert_eq!(project.manifest()["workload"]["load"]["stopped"], false);

    let project = server.set("", "ready = { tcp = \"ADDR\" }\nwarmup = \"30s\"\nload = [LOAD\", \"100ms\"]\n");
    let run = project.goflame(["run"]).run();
    run.code(12).stderr_in_order(
        "error: the load ended before the warm-up was over, so nothing was sampled
   help: the load should last for `warmup` and `duration` together
",
    );
    assert_eq!(phases(&project.manifest()), ["start", "warm-up", "stop"]);
}

fn a_server_that_does_not_stop_is_killed_after_its_grace(server: &Server) {
    let project =
        server.set(", \"stubborn\"", "ready = { tcp = \"ADDR\" }\nstop = { signal = \"INT\", grace = \"500ms\" }\n");
    let run = project.goflame(["run", "--duration", "200ms", "--propagate-status"]).run();
    run.code(0).stderr_has("    Stopping the workload with SIGKILL: it still runs after 500ms");
    assert_eq!(project.manifest()["workload"]["signal"], Signal::SIGKILL as i32);
    project.assert_nothing_runs();
}

fn an_interrupt_in_the_window_keeps_what_was_sampled(server: &Server) {
    let project = server.set("", "ready = { tcp = \"ADDR\" }\nload = [LOAD\", \"100s\"]\n");
    let run = project.goflame(["run"]).spawn();
    run.wait_for("Sampling until").wait_for_samples().signal(Signal::SIGINT);
    run.finish().code(130);
    let manifest = project.manifest();
    assert_eq!(phases(&manifest), ["start", "window", "stop"]);
    assert_eq!(
        (&manifest["workload"]["ending"], &manifest["workload"]["failed"]),
        (&"interrupted".into(), &false.into())
    );
    project.assert_nothing_runs();
}

fn a_server_without_phases_is_told_its_keys_when_it_is_stopped(server: &Server) {
    let project = server.set("", "");
    let run = project.goflame(["run"]).spawn();
    wait_until(|| TcpStream::connect(&server.address).is_ok()).expect("the server answers");
    run.signal(Signal::SIGTERM);
    let run = run.finish();
    let address = &server.address;
    run.code(143).stderr_in_order(&format!(
        "        Note the workload is a server, at {address}; goflame drives it with these keys in goflame.toml:
    [workload]
    ready    = {{ tcp = \"{address}\" }}
    warmup   = \"2s\"
    duration = \"10s\"
    load     = [\"wrk\", \"-t2\", \"-c32\", \"-d12s\", \"--latency\", \"http://{address}/\"]
"
    ));
}

fn perf_record_has_no_window(server: &Server) {
    let project = server.set("", "duration = \"1s\"\n");
    project.goflame(["run", "--engine", "perf"]).run().code(3).stdout("").stderr_in_order(
        "error: `engine = \"perf\"` samples the whole run: it has no `ready`, `warmup`, `duration` and `load`
   help: `--engine native` samples the window only
",
    );
}

#[test]
fn the_example_is_profiled_under_wrk() {
    let project = Project::empty();
    for name in ["go.mod", "goflame.toml", "main.go", "selftest.go", "shop.go"] {
        project.write(name, std::fs::read(source().join("examples/webserver").join(name)).unwrap());
    }
    let address = free_address();
    let config = String::from_utf8(project.read("goflame.toml")).unwrap().replace("127.0.0.1:8080", &address);
    project.write("goflame.toml", config.replace("-d12s", "-d3s"));
    let run = project.goflame(["run", "--warmup", "500ms", "--duration", "1s"]).run();
    run.code(0).stderr_has("steady window [..] s after [..] s of warm-up; [..] requests/s by wrk; latency p50 [..] ms p90 [..] ms p99 [..] ms");
    let workload = &project.manifest()["workload"];
    assert!(workload["load"]["figures"]["requests"].as_u64().unwrap() > 0, "{workload}");
    let folded = folded(&project);
    assert!(folded.contains("main.(*shop).list"), "{folded}");
    for at_start in ["main.newShop", "runtime.schedinit", "runtime.doInit"] {
        assert!(!folded.contains(at_start), "{at_start} in\n{folded}");
    }
}
