//! Builds that do not finish. No container remains in any case.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::engine::{Engine, engine, project};
use crate::harness::{Project, Running};
use crate::inside::probed_project;

/// Starts a build that waits inside the container.
pub(crate) fn start_waiting_build<'p>(engine: &Engine, project: &'p Project) -> Running<'p> {
    let build = engine.goflame(project, ["build", "--docker"]).spawn();
    let since = Instant::now();
    while !project.path(".goflame/build/debug/waiting").exists() {
        assert!(since.elapsed() < Duration::from_secs(120), "the build does not start");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(engine.containers(project).len(), 1);
    build
}

#[test]
fn an_interrupt_ends_the_build_and_removes_its_container() {
    let engine = engine();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let project = probed_project("PROBE_WAIT = \"1\"\n");
        let build = start_waiting_build(&engine, &project);
        build.signal(signal);
        build
            .finish()
            .code(128 + signal as i32)
            .stderr_has("error: the build was interrupted, and its container was removed");
        assert_eq!(engine.containers(&project), [""; 0]);
        assert_eq!(engine.volumes(&project).len(), 2);
        engine.goflame(&project, ["build", "--clean-cache"]).run().code(0);
    }
}

fn empty_program() -> Project {
    project("package main\n\nfunc main() {}\n", "")
}

/// Uses a separate engine, so that no other goflame removes its containers or needs the engine.
#[test]
fn kill_9_and_a_stopped_engine_leave_no_container() {
    let killed = probed_project("PROBE_WAIT = \"1\"\n");
    let engine = Engine::start(&killed);
    let build = start_waiting_build(&engine, &killed);
    let left = engine.containers(&killed);
    build.signal(Signal::SIGKILL);
    build.finish().killed(Signal::SIGKILL);
    assert_eq!(engine.containers(&killed), left);
    // The next start of goflame removes the container, even in another project.
    let other = empty_program();
    let build = engine.goflame(&other, ["build", "--docker", "--verbose"]).run();
    build.code(0).stderr_has("        Note removed a container that an earlier goflame left behind");
    assert_eq!(engine.docker(&["ps", "--all", "--quiet"]), [""; 0]);

    let stopped = probed_project("PROBE_WAIT = \"1\"\n");
    let build = start_waiting_build(&engine, &stopped);
    crate::harness::send(engine.pid(), Signal::SIGTERM);
    let at = format!("{} (DOCKER_HOST)", engine.host());
    build
        .finish()
        .code(11)
        .stderr_has(&format!("error: lost the connection to the Docker engine at {at} during `go build`"));
    let after = engine.goflame(&stopped, ["build", "--docker"]).run();
    after
        .code(11)
        .stderr_has(&format!("error: no Docker engine answers at {at}"))
        .stderr_has("   help: start it: [..]");
}

/// Small file system, mounted at `.goflame` of a project.
struct SmallFileSystem<'p>(&'p Project);

impl<'p> SmallFileSystem<'p> {
    fn mount(project: &'p Project, size: &str) -> Self {
        std::fs::create_dir_all(project.path(".goflame")).unwrap();
        let option = format!("size={size}");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(project.path(".goflame")).status();
        assert!(mount.unwrap().success(), "this test needs root, for a mount of its own");
        Self(project)
    }
}

impl Drop for SmallFileSystem<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path(".goflame")).status();
    }
}

#[test]
fn a_full_disk_is_an_error_with_advice() {
    let engine = engine();
    let project = empty_program();
    let _full = SmallFileSystem::mount(&project, "1m");
    let build = engine.goflame(&project, ["build", "--docker"]).run();
    build.code(5).stderr_has("[..]no space left on device").stderr_has(
        "   help: free disk space in [dir]/.goflame/build/debug, or in the directory of the engine's volumes",
    );
    assert_eq!(project.names(".goflame/build/debug"), [""; 0]);
    assert_eq!(engine.containers(&project), [""; 0]);
    engine.goflame(&project, ["build", "--clean-cache"]).run().code(0);
}
