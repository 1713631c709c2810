//! `goflame record`: programs that run already, and commands.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Finished, Project, Running, wait_until};

/// `nobody`, who is in the account database of every Linux.
const NOBODY: u32 = 65534;

/// A directory without goflame.toml, and in it the program of tests/workloads with this name, under a unique name,
/// because other tests run the same program at the same time.
fn directory_with_program(workload: &str) -> (Project, String) {
    let project = Project::workload(workload, "");
    fs::remove_file(project.path("goflame.toml")).unwrap();
    let unique = project.path(".").canonicalize().unwrap();
    let unique = unique.file_name().unwrap().to_str().unwrap().trim_start_matches("goflame-test-").to_owned();
    let name = format!("app-{unique}");
    project.shell(&format!("go build -o {name} ./{workload}")).run().code(0);
    (project, name)
}

/// Starts a program of the project directory. It is killed when the test ends.
struct Target<'p>(Running<'p>);

impl<'p> Target<'p> {
    fn start(project: &'p Project, line: &str) -> Self {
        let target = Self(project.shell(&format!("exec {line}")).spawn());
        let program = line.split(' ').next().unwrap().trim_start_matches("./");
        let runs_it = || {
            let program_file = fs::read_link(format!("/proc/{}/exe", target.0.pid()));
            program_file.is_ok_and(|file| file.file_name().is_some_and(|name| name.to_str() == Some(program)))
        };
        wait_until(runs_it).unwrap();
        target
    }

    fn pid(&self) -> String {
        self.0.pid().to_string()
    }

    fn is_running(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.pid())).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.pid()), Signal::SIGKILL);
    }
}

#[track_caller]
fn has_samples_of(record: &Finished<'_>, function: &str) {
    // Standard output belongs to a command that goflame starts.
    let shown = format!("{}{}", record.code(0).stdout, record.stderr);
    assert!(shown.contains(function), "no {function} in\n{shown}");
}

#[test]
fn a_running_program_is_sampled_by_its_number_and_runs_on() {
    let (project, name) = directory_with_program("burner");
    let target = Target::start(&project, &format!("./{name} -seconds 600 -- --token=abcdef0123456789"));
    let record = project.goflame(["record", "-p", &target.pid(), "-d", "1.5s"]).run();
    has_samples_of(&record, "main.burn");
    record.stderr_in_order(&format!(
        "    Sampling {name} [{}] for 1.5 s\n    Profiled 1.[..] samples, 0 lost\n     Quality [..]\n    Archived .goflame/runs/[..]-{name}-[..]\n",
        target.pid()
    ));
    assert!(target.is_running());
    let manifest = project.manifest();
    assert_eq!(manifest["build"], serde_json::Value::Null);
    assert_eq!(manifest["workload"]["ending"], "runs-on");
    assert_eq!(manifest["app"]["name"], name);
    assert_eq!(manifest["sampler"]["tasks"], "inherited");
    let argv = manifest["workload"]["argv"].to_string();
    assert!(argv.contains("-seconds") && !argv.contains("abcdef0123456789"), "{argv}");
    let files = project.names(&project.only_run());
    for file in ["flamegraph.svg", "mapped", "perf.data", "profile.pb.gz", "summary.json"] {
        assert!(files.iter().any(|name| name == file), "no {file} in {files:?}");
    }

    // The run holds the program. Its goroutines are known, as for a program that goflame started.
    fs::remove_file(project.path(&name)).unwrap();
    let report = project.goflame(["report", "--by", "goroutine"]).run();
    has_samples_of(&report, &format!("{name} goroutine 1 runtime.main"));
    project.goflame(["runs", "show"]).run().code(0);
    project.goflame(["runs", "verify"]).run().code(0);
}

#[test]
fn a_running_program_is_sampled_by_its_name() {
    let (project, name) = directory_with_program("burner");
    let line = format!("./{name} -seconds 600");
    project
        .goflame(["record", "--name", &name])
        .run()
        .code(6)
        .stderr_has(&format!("error: no running program is named {name}"));
    let first = Target::start(&project, &line);
    has_samples_of(&project.goflame(["record", "--name", &name, "-d", "1"]).run(), "main.burn");

    let second = Target::start(&project, &line);
    let mut pids = [first.0.pid(), second.0.pid()];
    pids.sort_unstable();
    let both = format!("{},{}", pids[0], pids[1]);
    let several = project.goflame(["record", "--name", &name, "-d", "1"]).run();
    several.code(6).stderr_has(&format!("error: 2 running programs are named {name}"));
    several.stderr_has(&format!("   help: select one, or all of them: `goflame record -p {both}`"));

    has_samples_of(&project.goflame(["record", "-p", &both, "-d", "1"]).run(), "main.burn");
    for pid in pids {
        let own = format!("pid=^{pid}$");
        has_samples_of(&project.goflame(["report", "--tag-focus", &own]).run(), "main.burn");
    }
}

#[test]
fn an_interrupt_ends_the_recording_and_not_the_program() {
    let (project, name) = directory_with_program("burner");
    let target = Target::start(&project, &format!("./{name} -seconds 600"));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let record = project.goflame(["record", "--pid", &target.pid()]).spawn();
        record.wait_for_samples().signal(signal);
        has_samples_of(&record.finish(), "main.burn");
        assert!(target.is_running());
    }
}

#[test]
fn a_program_that_ends_during_the_recording_is_kept_and_said() {
    let (project, name) = directory_with_program("burner");
    let target = Target::start(&project, &format!("./{name} -seconds 600"));
    let record = project.goflame(["record", "-p", &target.pid(), "-d", "10m"]).spawn();
    record.wait_for_samples();
    drop(target);
    let record = record.finish();
    has_samples_of(&record, "main.burn");
    record.stderr_has(&format!(
        "     Warning {name} [[..]] ended during the recording; the profile shows the time until then"
    ));
    assert_eq!(project.manifest()["workload"]["ending"], "own");
}

#[test]
fn a_recording_without_samples_is_kept_and_no_success() {
    let (project, name) = directory_with_program("sleeper");
    let target = Target::start(&project, &format!("./{name}"));
    target.0.workload();
    let record = project.goflame(["record", "-p", &target.pid(), "-d", "300ms"]).run();
    record
        .code(6)
        .stderr_has("     Warning 0 samples: too few for tables; the workload used 0.000 s of CPU in 0.[..] s");
    record.stderr_has("    Archived .goflame/runs/[..]; `latest` is still the run before");
    assert_eq!(project.manifest()["sampler"]["samples"], 0);
}

#[test]
fn commands_are_sampled_from_their_start() {
    let (project, name) = directory_with_program("burner");
    let program = format!("./{name}");
    let record = project.goflame(["record", "--", &program, "-seconds", "0.5"]).run();
    has_samples_of(&record, "main.burn");
    record.stderr_has(&format!("     Running [dir]/{name} -seconds 0.5"));
    record.stderr_lacks("[..]ended during the recording[..]");
    let report = project.goflame(["report", "--by", "goroutine"]).run();
    has_samples_of(&report, &format!("{name} goroutine 1 runtime.main"));

    let failed = project.goflame(["record", "--", &program, "-seconds", "0.1", "-status", "3"]).run();
    failed.code(12).stderr_has("     Warning the workload ended with [..]3[..]");
    // A link's name tells some programs what to do.
    project.shell(&format!("ln -s {name} linked; $goflame record -d 500ms -- ./linked -seconds 600")).run().code(0);
    let missing = project.goflame(["record", "--", "./missing"]).run();
    missing.code(6).stderr("error: [..]./missing[..]\n");
    project.assert_nothing_runs();
}

#[test]
fn perf_starts_commands_but_cannot_take_running_programs() {
    let (project, name) = directory_with_program("burner");
    let program = format!("./{name}");
    has_samples_of(&project.goflame(["record", "--engine", "perf", "--", &program]).run(), "main.burn");
    let pid = std::process::id().to_string();
    let record = project.goflame(["record", "--engine", "perf", "-p", &pid]).run();
    record.code(6).stderr(
        "error: `engine = \"perf\"` cannot sample programs that run already\n   help: `--engine native` samples them\n",
    );
}

#[test]
fn exactly_one_target_is_needed() {
    let project = Project::empty();
    for args in
        [&["record"][..], &["record", "-p", "1", "-a"], &["record", "-p", "0"], &["record", "-p", "1", "-d", "0"]]
    {
        let mut command = project.shell(&format!("$goflame {}", args.join(" ")));
        command = command.stdin("");
        command.run().code(2);
    }
}

#[test]
fn processes_that_cannot_be_sampled_have_their_reason() {
    let project = Project::empty();
    let record = project.goflame(["record", "-p", "2147483647"]).run();
    record.code(6).stderr_has("error: there is no process 2147483647");
    let record = project.goflame(["record", "-p", "2"]).run();
    record.code(6).stderr_has("error: process 2 ([..]) is a thread of the kernel");

    // A process that ends at once.
    let ended = project.shell("true & pid=$!; wait; $goflame record -p $pid").run();
    ended.code(6).stderr_has("error: there is no process [..]");
    assert_eq!(project.names("."), Vec::<String>::new(), "nothing is archived");
}

#[test]
fn a_thread_leads_to_its_process() {
    let (project, name) = directory_with_program("burner");
    let target = Target::start(&project, &format!("./{name} -seconds 600"));
    let tasks = format!("/proc/{}/task", target.pid());
    let other = || {
        fs::read_dir(&tasks)
            .unwrap()
            .flatten()
            .map(|task| task.file_name())
            .find(|tid| tid.to_str() != Some(&target.pid()))
    };
    wait_until(|| other().is_some()).unwrap();
    let tid = other().unwrap().into_string().unwrap();
    let record = project.goflame(["record", "-p", &tid]).run();
    record.code(6).stderr(&format!(
        "error: {tid} is a thread of process {0}\n   help: all threads of a process are sampled: `goflame record -p {0}`\n",
        target.pid()
    ));
}

#[test]
fn more_threads_than_files_may_be_open_are_an_error() {
    let (project, name) = directory_with_program("threads");
    let target = Target::start(&project, &format!("./{name} -n 100 -rest 10s -seconds 600"));
    target.0.wait_for("threads: ready");
    let line = format!("ulimit -n 64; $goflame record -p {}", target.pid());
    let record = project.shell(&line).run();
    record.code(6).stderr_has("error: [..] threads on [..] CPUs need [..] open files, and the limit is 64");
    assert_eq!(project.names(".goflame/partial"), Vec::<String>::new());
}

/// The number of a process in another PID namespace leads to its number here.
#[test]
fn a_number_from_another_pid_namespace_is_explained() {
    let (project, name) = directory_with_program("burner");
    assert!(nix::unistd::geteuid().is_root(), "this test needs root: it makes a PID namespace");
    // 7 processes start first: low numbers belong to threads of the kernel in the outer namespace.
    let line = format!(
        "unshare --pid --fork --kill-child bash -c 'for i in 1 2 3 4 5 6; do /bin/true; done; ./{name} -seconds 600; :'"
    );
    let family = project.shell(&format!("exec {line}")).spawn();
    let pid = project.wait_for_process(&format!("./{name} -seconds"));
    let inner = || {
        let named: Vec<i32> = project
            .marked_processes()
            .into_iter()
            .filter(|(_, line)| line.starts_with(&format!("./{name} ")))
            .map(|(pid, _)| pid)
            .collect();
        named.first().copied()
    };
    wait_until(|| inner().is_some()).unwrap();
    let here = inner().unwrap_or(pid);
    let status = fs::read_to_string(format!("/proc/{here}/status")).unwrap();
    let there = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap().split_whitespace().last().unwrap();
    let record = project.goflame(["record", "-p", there, "-d", "1"]).run();
    record.code(6).stderr_has(&format!(
        "   help: {name} is process {there} in its own PID namespace, and {here} here: `goflame record -p {here}`"
    ));
    has_samples_of(&project.goflame(["record", "-p", &here.to_string(), "-d", "1"]).run(), "main.burn");
    family.signal(Signal::SIGKILL);
    drop(family);
    project.assert_nothing_runs();
}

/// goflame as `nobody`, in a directory of its own.
fn run_as_nobody<'p>(project: &'p Project, line: &str) -> Finished<'p> {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root: it changes its user");
    fs::set_permissions(project.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_goflame"), project.path("goflame")).unwrap();
    chown(project.path("."), Some(NOBODY), Some(NOBODY)).unwrap();
    let user = format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups");
    project.shell(&line.replace("$user", &user)).env("HOME", project.path(".")).run()
}

#[test]
fn an_ordinary_user_samples_own_programs_and_no_others() {
    let (project, name) = directory_with_program("burner");
    let target = Target::start(&project, &format!("./{name} -seconds 600"));
    let refused = run_as_nobody(&project, &format!("$user ./goflame record -p {} -d 1", target.pid()));
    refused.code(6).stderr_has(&format!("error: not permitted to sample process {} ({name}) of root", target.pid()));
    refused
        .stderr_has("   help: `sudo goflame record` samples the programs of every user[..]")
        .stderr_lacks("[..]kubectl[..]");
    let line = "KUBERNETES_SERVICE_HOST=10.0.0.1 HOSTNAME=web-0 $user ./goflame record -p 2147483647";
    run_as_nobody(&project, line).code(6).stderr_has(
        "   help: in Kubernetes, from outside of the pod: `kubectl debug -n NAMESPACE -it web-0 --image=IMAGE \
         --target=CONTAINER --profile=sysadmin -- goflame record -p 1 -d 30s`[..]",
    );
    run_as_nobody(&project, "$user ./goflame record -a -d 1")
        .code(6)
        .stderr_has("error: not permitted to sample the whole machine");
    assert_eq!(project.names(".goflame/partial"), Vec::<String>::new());
    drop(target);

    let own = format!(
        "$user ./{name} -seconds 600 & sleep 0.2; $user ./goflame record --name {name} -d 1s; status=$?; kill $!; exit $status"
    );
    has_samples_of(&run_as_nobody(&project, &own), "main.burn");
}

#[test]
fn a_deleted_program_and_one_in_another_root_are_read_through_their_process() {
    let (project, name) = directory_with_program("burner");
    let target = Target::start(&project, &format!("./{name} -seconds 600"));
    // Another program is copied to the path of the running one.
    fs::remove_file(project.path(&name)).unwrap();
    fs::copy("/bin/true", project.path(&name)).unwrap();
    has_samples_of(&project.goflame(["record", "-p", &target.pid(), "-d", "1"]).run(), "main.burn");
    has_samples_of(&project.goflame(["report", "--by", "goroutine"]).run(), "goroutine 1 runtime.main");
    drop(target);

    let (project, name) = directory_with_program("burner");
    project
        .shell(&format!("mkdir root && CGO_ENABLED=0 go build -ldflags='-s -w' -o root/{name} ./burner"))
        .run()
        .code(0);
    let jailed = Target(project.shell(&format!("exec chroot root /{name} -seconds 600")).spawn());
    let pid = project.wait_for_process(&format!("/{name} -seconds"));
    assert!(!Path::new(&format!("/{name}")).exists());
    let record = project.goflame(["record", "-p", &pid.to_string(), "-d", "1"]).run();
    drop(jailed);
    has_samples_of(&record, "main.burn");
}

/// goflame reads the memory layout of unnamed programs during the sampling. On a busy machine that takes time, so a longer
/// recording follows if the short one has no goroutines.
#[test]
fn the_whole_machine_is_sampled_with_the_goroutines_of_its_go_programs() {
    let (project, name) = directory_with_program("burner");
    let stripped = format!("{name}-stripped");
    project.shell(&format!("go build -ldflags='-s -w' -o {stripped} ./burner")).run().code(0);
    let _first = Target::start(&project, &format!("./{name} -seconds 600"));
    let _second = Target::start(&project, &format!("./{stripped} -seconds 600"));
    let _other = project.shell("exec timeout 600 sh -c 'while :; do :; done'").spawn();
    // The kernel keeps 15 bytes of a process's name.
    let expected =
        [name, stripped].map(|name| format!("{}_goroutine_1_runtime.main;", name.get(..15).unwrap_or(&name)));
    let mut shown = String::new();
    let is_complete = ["1", "4", "16"].into_iter().any(|seconds| {
        let record = project.goflame(["record", "--all-cpus", "-d", seconds]).run();
        record.code(0).stderr_has(&format!("    Sampling the whole machine for {seconds} s"));
        // Not the tables of `record`: other programs can fill them on a busy machine.
        shown = project.goflame(["report", "--by", "goroutine", "-f", "folded"]).run().stdout.clone();
        expected.iter().all(|goroutine| shown.contains(goroutine))
    });
    assert!(is_complete && shown.contains("main.burn"), "{expected:?} in\n{shown}");
    assert!(!shown.contains("sh_goroutine"), "{shown}");
    let sampler = &project.newest_manifest()["sampler"];
    assert_eq!(sampler["tasks"], "machine");
    assert!(sampler["goroutine_processes"].as_u64().unwrap() >= 2, "{sampler}");
}

#[test]
fn a_program_that_a_command_becomes_has_its_goroutines() {
    let (project, name) = directory_with_program("burner");
    let line = format!("sleep 0.01; exec ./{name} -seconds 1.5");
    let record = project.goflame(["record", "--", "sh", "-c", &line]).run();
    has_samples_of(&record, "main.burn");
    let report = project.goflame(["report", "--by", "goroutine"]).run();
    has_samples_of(&report, &format!("{name} goroutine 1 runtime.main"));
}

#[test]
fn the_archive_can_be_elsewhere() {
    let (project, name) = directory_with_program("burner");
    let program = format!("./{name}");
    let record =
        project.goflame(["record", "--archive-dir", "kept", "-f", "folded", "--", &program, "-seconds", "0.2"]).run();
    record.code(0).stderr_has("    Archived kept/runs/[..]");
    assert_eq!(project.names(".").iter().filter(|name| *name == ".goflame").count(), 0);
}
