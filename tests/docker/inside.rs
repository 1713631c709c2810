//! Rights and limits of a build in a container, probed from inside of the container.

use std::fs;

use serde_json::Value;

use crate::engine::{engine, go_program, project};
use crate::harness::{Project, source};

/// A project whose build runs tests/hub/probe inside the container.
pub(crate) fn probed_project(more_env: &str) -> Project {
    let probe = go_program(&source().join("tests/hub/probe"), "probe");
    let project = project("package main\n\nfunc main() {}\n", "");
    project.write("probe", std::fs::read(probe).unwrap());
    project.shell("chmod +x probe").run().code(0);
    let dir = crate::engine::real_path(&project);
    let dir = dir.display();
    let config = String::from_utf8(project.read("goflame.toml")).unwrap();
    project.write(
        "goflame.toml",
        format!(
            "{config}[variant.debug.env]\nGOFLAGS = \"-toolexec={dir}/probe\"\nPROBE_OUT = \"{dir}/.goflame/build/debug\"\n\
             PROBE_SOURCE = \"{dir}\"\n{more_env}"
        ),
    );
    project
}

fn probe_facts(project: &Project) -> Value {
    serde_json::from_slice(&project.read(".goflame/build/debug/probe.json")).unwrap()
}

/// In an earlier version, a container could use all threads and all memory of the machine.
#[test]
fn threads_and_memory_have_limits() {
    let engine = engine();
    let project = probed_project("PROBE_WAIT = \"1\"\n");
    let build = crate::endings::start_waiting_build(&engine, &project);
    let container = engine.containers(&project).remove(0);
    let format = "{{.HostConfig.PidsLimit}} {{.HostConfig.Memory}}";
    let limits = engine.docker(&["inspect", "--format", format, &container]).remove(0);
    let (pids, memory) = limits.split_once(' ').unwrap();
    assert_eq!(pids, "16384");
    let all = fs::read_to_string("/proc/meminfo").unwrap();
    let all: u64 = all.split_whitespace().nth(1).unwrap().parse().unwrap();
    let share = memory.parse::<u64>().unwrap() as f64 / (all * 1024) as f64;
    assert!((0.79..0.81).contains(&share), "{limits}");
    build.signal(nix::sys::signal::Signal::SIGTERM);
    build.finish().code(143);
    engine.goflame(&project, ["build", "--clean-cache"]).run().code(0);
}

#[test]
fn a_build_has_no_network_and_no_capabilities() {
    let engine = engine();
    let project = probed_project(&format!("PROBE_DIAL = \"{}\"\n", format_args!("{}:8099", engine.gateway())));
    engine.goflame(&project, ["build", "--docker"]).run().code(0);
    let facts = probe_facts(&project);
    for capabilities in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(facts["Status"][capabilities], "0000000000000000", "{capabilities}");
    }
    assert_eq!(facts["Status"]["NoNewPrivs"], "1");
    assert_eq!(facts["Status"]["Seccomp"], "2");
    assert_eq!(facts["Interfaces"], serde_json::json!(["lo"]));
    assert!(facts["Dial"].as_str().unwrap().contains("network is unreachable"), "{facts}");
    assert!(facts["Source"].as_str().unwrap().contains("read-only file system"), "{facts}");
    assert!(facts["Root"].as_str().unwrap().contains("read-only file system"), "{facts}");
    let caller = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    assert_eq!((&facts["Uid"], &facts["Gid"]), (&caller.0.into(), &caller.1.into()));
    assert!(!project.names(".").contains(&"planted".to_owned()));
    // Without a container, the same probe can write to the sources and sees a network. This shows that the probe works.
    std::fs::remove_file(project.path(".goflame/build/debug/probe.json")).unwrap();
    project.goflame(["build"]).run().code(0);
    let facts = probe_facts(&project);
    assert_eq!(facts["Source"], "");
    assert!(facts["Interfaces"].as_array().unwrap().len() > 1, "{facts}");
    // The build without a container can leave this file in `/` when the tests run as root.
    let _ = std::fs::remove_file("/planted");
}
