//! goflame started through sudo: the workload runs as the calling user, and the files are that user's. The
//! variables are those that sudo sets. Only root can change its user, so these tests need root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use crate::harness::{Goflame, Project};

/// `nobody`, who is in the account database of every Linux.
const NOBODY: u32 = 65534;

const PRINT_USER_PROGRAM: &str = "package main

import (
	\"fmt\"
	\"os\"
)

func main() {
	groups, _ := os.Getgroups()
	fmt.Println(\"ids\", os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid(), groups)
	fmt.Println(\"env\", os.Getenv(\"USER\"), os.Getenv(\"LOGNAME\"), os.Getenv(\"HOME\"))
	file, err := os.Create(\"made\")
	if err != nil {
		panic(err)
	}
	file.Close()
	for len(os.Args) > 1 {
	}
}
";

/// A project that belongs to the account `nobody`.
fn project_of_nobody() -> Project {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root, as goflame under sudo has it");
    let project = Project::program(PRINT_USER_PROGRAM, "");
    fs::create_dir(project.path("cache")).unwrap();
    for name in [".", "cache", "go.mod", "main.go", "goflame.toml"] {
        chown(project.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(project.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    project
}

/// Starts goflame as sudo does. The account has no home for Go's cache.
fn run_under_sudo<'p>(project: &'p Project, goflame: Goflame<'p>) -> Goflame<'p> {
    let cache = project.path("cache");
    let goflame = goflame.env("GOCACHE", cache.to_str().unwrap());
    goflame.env("SUDO_UID", "65534").env("SUDO_GID", "65534").env("SUDO_USER", "nobody")
}

#[test]
fn files_of_the_workload_cannot_redirect_writes_of_root() {
    let project = project_of_nobody();
    let outside = Project::program(PRINT_USER_PROGRAM, "");
    let target = outside.path("roots");
    fs::write(&target, "root's own").unwrap();
    fs::set_permissions(outside.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    let plant = format!(
        "package main

import (
	\"os\"
	\"path/filepath\"
	\"time\"
)

func main() {{
	drafts, _ := filepath.Glob(\".goflame/partial/2*-*\")
	for _, draft := range drafts {{
		for _, name := range []string{{\"goflame.toml\", \"summary.json\", \"flamegraph.svg\"}} {{
			os.Symlink(\"{}\", filepath.Join(draft, name))
		}}
	}}
	for start := time.Now(); time.Since(start) < 200*time.Millisecond; {{
	}}
}}
",
        target.display()
    );
    fs::write(project.path("main.go"), plant).unwrap();
    run_under_sudo(&project, project.goflame(["run"])).run().code(10);
    assert_eq!(fs::read_to_string(&target).unwrap(), "root's own");
    project.assert_nothing_runs();
}

#[test]
fn the_build_runs_as_the_calling_user() {
    let project = project_of_nobody();
    let tool = project.path("tool");
    fs::write(&tool, "#!/bin/sh\nid -u >> \"$(dirname \"$0\")/cache/ids\"\nexec \"$@\"\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let settings = format!("[variant.debug]\nenv = {{ GOFLAGS = \"-toolexec={}\" }}\n", tool.display());
    fs::write(project.path("goflame.toml"), settings).unwrap();
    run_under_sudo(&project, project.goflame(["build"])).run().code(0);
    let ids = fs::read_to_string(project.path("cache/ids")).unwrap();
    assert!(!ids.is_empty() && ids.lines().all(|id| id == "65534"), "{ids}");
}

#[test]
fn the_workload_runs_as_the_calling_user_and_the_files_are_theirs() {
    let project = project_of_nobody();
    let run = run_under_sudo(&project, project.goflame(["run"])).run();
    run.code(0);
    let home = nix::unistd::User::from_name("nobody").unwrap().unwrap().dir;
    assert!(run.stdout.starts_with("ids 65534 65534 65534 65534 [65534]\n"), "{}", run.stdout);
    assert!(run.stdout.contains(&format!("\nenv nobody nobody {}\n", home.display())), "{}", run.stdout);
    assert_eq!(project.manifest()["workload"]["user"], "nobody");
    assert_all_nobodys(&project.path("."));
}

#[test]
fn files_of_a_failed_run_belong_to_the_calling_user() {
    let project = project_of_nobody();
    project
        .write("goflame.toml", "app.name = \"program\"\n[report]\nformats = [\"svg\"]\n[workload]\nargs = [\"x\"]\n");
    chown(project.path("goflame.toml"), Some(NOBODY), Some(NOBODY)).unwrap();
    let run = run_under_sudo(&project, project.goflame(["run"])).spawn();
    run.wait_for_samples();
    run.signal(nix::sys::signal::Signal::SIGKILL);
    run.finish();
    project.assert_nothing_runs();
    run_under_sudo(&project, project.goflame(["build"])).run().code(0);
    assert_all_nobodys(&project.path("."));
}

/// A recording with kernel samples, for which `goflame report` needs symbols, and a home of `nobody`.
fn recording_and_home() -> Project {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root, as goflame under sudo has it");
    let project = Project::empty();
    let perf = "perf record -q -e cpu-clock -F 997 -g -o perf.data -- dd if=/dev/zero of=/dev/null bs=64k count=40000 status=none";
    project.shell(perf).run().code(0);
    fs::create_dir(project.path("home")).unwrap();
    for name in [".", "home"] {
        chown(project.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
        fs::set_permissions(project.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    project
}

#[test]
fn a_report_creates_no_files_of_root_in_the_callers_home() {
    let project = recording_and_home();
    let home = project.path("home");
    let cache = home.join(".cache");
    let report = || project.goflame(["report", "perf.data", "-f", "folded"]).env("HOME", &home);
    // `sudo -E`. Before: `.cache` belonged to root, and the next `go build` of the user failed.
    for _ in ["makes the cache", "uses it"] {
        let report = run_under_sudo(&project, report()).env("XDG_CACHE_HOME", &cache).run();
        report.code(0);
        assert!(report.stdout.contains("vfs_read"), "{}", report.stdout);
        assert!(cache.join("goflame/kernel-symbols").is_file());
        assert_all_nobodys(&home);
    }
    fs::remove_dir_all(&cache).unwrap();

    // The account `nobody` has another home.
    run_under_sudo(&project, report()).run().code(0);
    // Root without sudo, in the user's environment, as after `su -m`.
    report().run().code(0);
    assert_eq!(project.names("home"), Vec::<String>::new());
}

#[test]
fn a_report_does_not_write_through_a_link_of_the_caller() {
    let project = recording_and_home();
    let roots = Project::empty();
    fs::set_permissions(roots.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    let cache = project.path("home/.cache");
    symlink(roots.path("."), &cache).unwrap();
    lchown(&cache, Some(NOBODY), Some(NOBODY)).unwrap();
    let report = || project.goflame(["report", "perf.data"]).env("HOME", project.path("home"));
    // Before: root made `goflame/kernel-symbols` where the link leads.
    run_under_sudo(&project, report()).env("XDG_CACHE_HOME", &cache).run().code(0);
    run_under_sudo(&project, report()).run().code(0);
    report().run().code(0);
    assert_eq!(roots.names("."), Vec::<String>::new());
}

#[test]
fn a_report_reads_a_recording_of_root_and_writes_as_the_caller() {
    let project = recording_and_home();
    assert_eq!(fs::metadata(project.path("perf.data")).unwrap().mode() & 0o777, 0o600);
    run_under_sudo(&project, project.goflame(["report", "perf.data", "-f", "svg", "-o", "picture.svg"])).run().code(0);
    assert_eq!(fs::metadata(project.path("picture.svg")).unwrap().uid(), NOBODY);

    // A link to a file that only root may read, and a directory that only root may write to.
    let roots = Project::empty();
    fs::rename(project.path("perf.data"), roots.path("perf.data")).unwrap();
    symlink(roots.path("perf.data"), project.path("link")).unwrap();
    let help = "under sudo, goflame accesses files with the rights of nobody, the calling user; `sudo env -u SUDO_UID goflame` uses the rights of root";
    run_under_sudo(&project, project.goflame(["report", "./link"]))
        .run()
        .code(7)
        .stdout("")
        .stderr(&format!("error: cannot read ./link\n  cause: Permission denied (os error 13)\n   help: {help}\n"));
    let output = roots.path("picture.svg");
    let report = project.goflame(["report", "-f", "svg"]).arg(roots.path("perf.data")).arg("-o").arg(&output);
    run_under_sudo(&project, report).run().code(10).stderr_has(&format!("   help: {help}"));
    assert_eq!(roots.names("."), ["perf.data"]);
}

/// Asserts that everything in a tree belongs to `nobody`.
#[track_caller]
fn assert_all_nobodys(root: &Path) {
    let mut found = Vec::new();
    let mut queue = vec![root.to_owned()];
    while let Some(path) = queue.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        if (metadata.uid(), metadata.gid()) != (NOBODY, NOBODY) {
            found.push(format!("{} {}:{}", path.strip_prefix(root).unwrap().display(), metadata.uid(), metadata.gid()));
        }
        if metadata.is_dir() {
            queue.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found.sort();
    assert_eq!(found, Vec::<String>::new(), "not the user's");
}
