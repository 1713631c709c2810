//! goflame started through sudo: the workload runs as the calling user, and the files are that user's. The
//! variables are those that sudo sets; as only root can change its user, these tests need root.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use crate::harness::{Goflame, Project};

/// `nobody`, who is in the account database of every Linux.
const NOBODY: u32 = 65534;

const WHO: &str = "package main

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

/// A project that belongs to nobody, in the sense of the account.
fn project_of_nobody() -> Project {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root, as goflame under sudo has it");
    let project = Project::program(WHO, "");
    for name in [".", "go.mod", "main.go", "goflame.toml"] {
        chown(project.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(project.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    project
}

fn sudo(goflame: Goflame<'_>) -> Goflame<'_> {
    goflame.env("SUDO_UID", "65534").env("SUDO_GID", "65534").env("SUDO_USER", "nobody")
}

#[test]
fn the_workload_runs_as_the_calling_user_and_the_files_are_theirs() {
    let project = project_of_nobody();
    let run = sudo(project.goflame(["run"])).run();
    run.code(0);
    let home = nix::unistd::User::from_name("nobody").unwrap().unwrap().dir;
    assert!(run.stdout.starts_with("ids 65534 65534 65534 65534 [65534]\n"), "{}", run.stdout);
    assert!(run.stdout.contains(&format!("\nenv nobody nobody {}\n", home.display())), "{}", run.stdout);
    assert_eq!(project.manifest()["workload"]["user"], "nobody");
    assert_all_nobodys(&project.path("."));
}

#[test]
fn what_is_kept_of_a_failed_run_is_theirs_too() {
    let project = project_of_nobody();
    project
        .write("goflame.toml", "app.name = \"program\"\n[report]\nformats = [\"svg\"]\n[workload]\nargs = [\"x\"]\n");
    chown(project.path("goflame.toml"), Some(NOBODY), Some(NOBODY)).unwrap();
    let run = sudo(project.goflame(["run"])).spawn();
    run.wait_for_samples();
    run.signal(nix::sys::signal::Signal::SIGKILL);
    run.finish();
    project.assert_nothing_runs();
    sudo(project.goflame(["build"])).run().code(0);
    assert_all_nobodys(&project.path("."));
}

/// Asserts that everything in a tree is nobody's.
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
