//! A run of a program in a control group with a CPU quota reports that the quota was used up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Machine, print_figure};

/// A control group with a quota of half a CPU. The group has the highest weight, so that its processes use up the quota
/// on a busy machine too. Dropping this value removes the group.
struct Quota(PathBuf);

impl Quota {
    /// `None` if this machine does not permit such a group.
    fn new() -> Option<Self> {
        let name = format!("goflame-test-{}", std::process::id());
        let v1_hierarchies = ["cpu", "cpu,cpuacct"].map(|dir| Path::new("/sys/fs/cgroup").join(dir));
        if let Some(hierarchy) = v1_hierarchies.iter().find(|dir| dir.join("cpu.cfs_quota_us").exists()) {
            let group = Self(hierarchy.join(name));
            fs::create_dir(&group.0).ok()?;
            fs::write(group.0.join("cpu.shares"), "262144").ok()?;
            fs::write(group.0.join("cpu.cfs_period_us"), "100000").ok()?;
            return fs::write(group.0.join("cpu.cfs_quota_us"), "50000").is_ok().then_some(group);
        }
        let root = Path::new("/sys/fs/cgroup");
        // Another process can have done this already.
        let _ = fs::write(root.join("cgroup.subtree_control"), "+cpu");
        let group = Self(root.join(name));
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join("cpu.weight"), "10000").ok()?;
        fs::write(group.0.join("cpu.max"), "50000 100000").is_ok().then_some(group)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_cpu_quota_that_is_used_up_is_found() {
    let _machine = Machine::lock();
    let Some(quota) = Quota::new() else {
        return print_figure("no control group with a quota can be made here");
    };
    let project = tempfile::tempdir().unwrap();
    let workloads = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workloads");
    fs::copy(workloads.join("go.mod"), project.path().join("go.mod")).unwrap();
    fs::copy(workloads.join("quiet/main.go"), project.path().join("main.go")).unwrap();
    fs::write(project.path().join("goflame.toml"), "build.variant = \"release\"\nruntime.gctrace = true\n").unwrap();
    let goflame = env!("CARGO_BIN_EXE_goflame");
    // The build does not run in the group, only the program.
    let script = format!("set -e; {goflame} build; echo $$ > {}/cgroup.procs; {goflame} run", quota.0.display());
    let output = Command::new("sh").args(["-c", &script]).current_dir(project.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let run = fs::read_dir(project.path().join(".goflame/runs")).unwrap().next().unwrap().unwrap().path();
    let summary: serde_json::Value = serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap();
    let ids: Vec<_> = summary["findings"].as_array().unwrap().iter().map(|finding| &finding["id"]).collect();
    assert_eq!(ids, ["cpu-throttling"], "{summary}");
    let title = summary["findings"][0]["title"].as_str().unwrap();
    assert!(title.starts_with("the CPU quota of 0.50 CPUs stopped the program in "), "{title}");
    assert!(stderr.contains(title), "{stderr}");
}
