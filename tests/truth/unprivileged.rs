//! Runs goflame as an ordinary user: it records less, and says what is missing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use crate::harness::{Project, Run, print_figure, run_successfully, tool, wait_for_turn, which};

/// Id of the ordinary user. No account and no other run of these tests has it, because ring buffers of a user share a budget.
pub(crate) fn user_id() -> u32 {
    100_000 + std::process::id()
}

/// Size of the ring buffer for each CPU that goflame requests if no limit applies.
const DEFAULT_RING_BYTES: u64 = 4 << 20;

/// Go source without imports, so that only the runtime is compiled: the user's build cache is empty.
const PROGRAM: &str = "package main

func main() {
	x := uint64(1)
	for i := 0; i < 1_500_000_000; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	println(x)
}
";

/// A project that belongs to the ordinary user, with a goflame binary that the user can execute.
fn project() -> Project {
    let project = Project::from_settings("[app]\npackage = '.'\nname = 'plain'\n[build]\nvariant = 'release'\n");
    project.write("go.mod", "module example.com/plain\n\ngo 1.21\n");
    project.write("main.go", PROGRAM);
    fs::copy(env!("CARGO_BIN_EXE_goflame"), project.path("goflame")).unwrap();
    for directory in ["home", "tmp"] {
        fs::create_dir(project.path(directory)).unwrap();
    }
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(project.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["", "home", "tmp"] {
            chown(project.path(name), Some(user_id()), Some(user_id())).unwrap();
        }
    }
    project
}

/// Runs `goflame run` as [`user_id`] if root runs the tests, else as the current user. `memlock` is the limit of locked memory,
/// in bytes.
fn run_as_user(project: &Project, memlock: Option<u64>) -> Run {
    let mut command = tool("prlimit");
    // Without an option, prlimit would only print the limits.
    command.arg(memlock.map_or_else(|| "--core=0".to_owned(), |bytes| format!("--memlock={bytes}")));
    if rustix::process::geteuid().is_root() {
        command.arg(which("setpriv")).arg(format!("--reuid={0}", user_id())).arg(format!("--regid={0}", user_id()));
        command.arg("--clear-groups");
    }
    command.arg(project.path("goflame")).args(["run", "--json"]).current_dir(project.path(""));
    command.env("HOME", project.path("home")).env("TMPDIR", project.path("tmp"));
    for inherited in ["GOCACHE", "GOPATH", "GOMODCACHE", "XDG_CACHE_HOME"] {
        command.env_remove(inherited);
    }
    Run::from_output(&run_successfully(&mut command))
}

/// Value of a setting in `/proc/sys/kernel`.
pub(crate) fn kernel_setting(name: &str) -> i64 {
    fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap().trim().parse().unwrap()
}

/// Size in bytes of the largest ring buffer for each CPU that fits into perf's budget of locked memory (`perf_mmap` in the
/// kernel's kernel/events/core.c). The buffer is a power of two, and needs one more page.
fn largest_fitting_ring() -> u64 {
    let budget = u64::try_from(kernel_setting("perf_event_mlock_kb")).unwrap() * 1024;
    let mut ring = DEFAULT_RING_BYTES;
    // At paranoid level -1 there is no limit.
    while kernel_setting("perf_event_paranoid") >= 0 && ring + rustix::param::page_size() as u64 > budget {
        ring /= 2;
    }
    ring
}

#[test]
fn an_ordinary_user_gets_samples_of_user_space_and_a_note_on_what_is_missing() {
    let _alone = wait_for_turn();
    let paranoid = kernel_setting("perf_event_paranoid");
    assert!(paranoid <= 2, "this test needs kernel.perf_event_paranoid at 2 or less, and it is {paranoid}");
    let kernel = paranoid <= 1;
    let project = project();
    for memlock in [None, Some(0)] {
        let run = run_as_user(&project, memlock);
        let manifest = run.manifest();
        let sampler = &manifest["sampler"];
        assert_eq!(sampler["kernel"], kernel);
        assert_eq!(run.stderr.contains("kernel time is missing"), !kernel, "{}", run.stderr);
        assert_eq!(run.quality("kernel_frames") > 0, kernel, "kernel frames");
        assert!(run.quality("samples") > 100 && run.quality("lost") == 0, "{}", run.stderr);
        let top = &run.summary()["functions"][0];
        assert_eq!(top["name"], "main.main");
        let ring = sampler["ring_bytes"].as_u64().unwrap();
        let shrunk = manifest["notes"].to_string().contains(&format!("ring buffers shrunk to {} KiB", ring / 1024));
        assert_eq!(shrunk, ring < DEFAULT_RING_BYTES, "{}", manifest["notes"]);
        assert_eq!(run.stderr.contains("perf-mlock-budget"), shrunk, "{}", run.stderr);
        if memlock == Some(0) {
            assert_eq!(ring, largest_fitting_ring());
        }
        print_figure(&format!(
            "ordinary user, memlock {memlock:?}: kernel {kernel}, {} samples, ring buffers of {} KiB per CPU",
            run.quality("samples"),
            ring / 1024
        ));
    }
}
