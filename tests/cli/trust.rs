//! A goflame.toml that was found in a parent directory, and programs of a project that a mere look must not run. The
//! files belong to several users, so these tests need root.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::harness::{Finished, Goflame, Project};

/// `nobody`, who is in the account database of every Linux.
const NOBODY: u32 = 65534;
/// An id that no account has, as users in containers often are.
const USER: u32 = 264_322;

const EMPTY_PROGRAM: &str = "package main\n\nfunc main() {}\n";

/// A project in `up`, with a directory `up/mid/here` to work in. The project has its own `go`, which records that it ran.
fn project() -> Project {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root, to give files to others");
    let project = Project::empty();
    let go = which::which("go").unwrap();
    project.write(
        "up/bin/go",
        format!("#!/bin/sh\necho \"$@\" >> {}\nexec {} \"$@\"\n", project.path("ran").display(), go.display()),
    );
    fs::set_permissions(project.path("up/bin/go"), fs::Permissions::from_mode(0o755)).unwrap();
    project.write("up/go.mod", "module example.com/up\n\ngo 1.21\n");
    project.write("up/main.go", EMPTY_PROGRAM);
    let path = format!("{}:{}", project.path("up/bin").display(), std::env::var("PATH").unwrap());
    project.write("up/goflame.toml", format!("app.name = \"up\"\n[variant.debug]\nenv = {{ PATH = \"{path}\" }}\n"));
    fs::create_dir_all(project.path("up/mid/here")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_goflame"), project.path("goflame")).unwrap();
    for dir in [".", "up", "up/mid", "up/mid/here"] {
        set_mode(&project.path(dir), 0o755);
    }
    set_mode(&project.path("up/goflame.toml"), 0o644);
    project
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn set_owner(path: &Path, uid: u32, gid: u32) {
    chown(path, Some(uid), Some(gid)).unwrap();
}

/// Runs `doctor` and returns its error if it does not accept the settings.
fn check_accepted(doctor: Goflame<'_>) -> Result<(), String> {
    let doctor: Finished<'_> = doctor.arg("--only").arg("ignore-list").run();
    if doctor.stderr.is_empty() {
        doctor.code(0);
        return Ok(());
    }
    doctor.code(3).stdout("");
    Err(doctor.stderr.lines().next().unwrap().to_owned())
}

fn doctor_command(project: &Project) -> Goflame<'_> {
    project.goflame(["doctor"]).dir(project.path("up/mid/here"))
}

/// Runs goflame as another user.
fn doctor_as(project: &Project, uid: u32) -> Goflame<'_> {
    let id = format!("setpriv --reuid={uid} --regid={uid} --clear-groups");
    project
        .shell(&format!("exec {id} {} doctor \"$@\"", project.path("goflame").display()))
        .arg("sh")
        .dir(project.path("up/mid/here"))
}

/// Before, root ran the `go` of the other user in each of these cases.
#[test]
fn settings_of_another_user_in_a_parent_directory_need_the_flag() {
    let project = project();
    set_owner(&project.path("up"), NOBODY, NOBODY);
    set_owner(&project.path("up/goflame.toml"), NOBODY, NOBODY);
    for line in
        ["doctor", "doctor /bin/true", "doctor --fix --yes", "build --dry-run", "run", "runs list", "toolchain list"]
    {
        let refused = project.shell(&format!("$goflame {line}")).dir(project.path("up/mid/here")).run();
        refused.code(3).stdout("").stderr(
            "error: [dir]/up/goflame.toml is in a parent directory and it belongs to nobody (user id 65534)
   help: settings decide which programs run, so the writer of this file could run programs with your rights
   help: if you trust the file, use `--config [dir]/up/goflame.toml` or work in its directory
",
        );
    }
    assert!(!project.path("ran").exists());
    let here = project.path("up/mid/here");
    for line in ["--config ../../goflame.toml", "-C ../..", "-C ../.. --config goflame.toml"] {
        project.shell(&format!("$goflame {line} build")).dir(&here).run().code(0);
    }
    project.goflame(["build"]).dir(project.path("up")).run().code(0);
    // Root of a container in the checkout of another user.
    set_owner(&here, NOBODY, NOBODY);
    project.goflame(["build"]).dir(&here).run().code(0);
}

#[test]
fn a_file_is_trusted_if_only_trusted_users_could_write_it() {
    let project = project();
    let (up, file, here) = (project.path("up"), project.path("up/goflame.toml"), project.path("up/mid/here"));
    let path = file.display().to_string();
    let refused = |why: &str| Err(format!("error: {path} is in a parent directory and {why}"));
    assert_eq!(check_accepted(doctor_command(&project)), Ok(()));
    assert_eq!(check_accepted(doctor_as(&project, USER)), Ok(()), "root may be trusted");

    set_owner(&file, USER, USER);
    assert_eq!(check_accepted(doctor_command(&project)), refused("it belongs to user id 264322"));
    assert_eq!(check_accepted(doctor_as(&project, USER)), Ok(()));
    assert_eq!(
        check_accepted(
            doctor_command(&project).env("SUDO_UID", "264322").env("SUDO_GID", "264322").env("SUDO_USER", "u")
        ),
        Ok(())
    );
    // A user other than root cannot use the variables of sudo.
    set_owner(&file, NOBODY, NOBODY);
    let claim = doctor_as(&project, USER).env("SUDO_UID", "65534").env("SUDO_GID", "65534").env("SUDO_USER", "nobody");
    assert_eq!(check_accepted(claim), refused("it belongs to nobody (user id 65534)"));

    set_owner(&file, USER, USER);
    set_mode(&file, 0o664);
    assert_eq!(check_accepted(doctor_as(&project, USER)), Ok(()), "umask 002, and a group of the user's own");
    set_owner(&file, USER, 12);
    assert_eq!(check_accepted(doctor_as(&project, USER)), refused("it can be changed by the group man"));
    // A team's checkout that belongs to a group.
    set_owner(&here, USER, 12);
    set_mode(&here, 0o2775);
    assert_eq!(check_accepted(doctor_as(&project, USER)), Ok(()));
    set_mode(&here, 0o755);
    set_mode(&file, 0o646);
    assert_eq!(check_accepted(doctor_as(&project, USER)), refused("it can be changed by anybody"));
    // All files are writable, as with umask 000 or on a file system of Windows.
    set_mode(&here, 0o777);
    assert_eq!(check_accepted(doctor_as(&project, USER)), Ok(()));
    set_mode(&here, 0o1777);
    assert_eq!(check_accepted(doctor_as(&project, USER)), refused("it can be changed by anybody"));

    set_owner(&here, 0, 0);
    set_mode(&here, 0o755);
    set_owner(&file, 0, 0);
    set_mode(&file, 0o644);
    set_mode(&up, 0o777);
    assert_eq!(check_accepted(doctor_command(&project)), refused("its directory can be changed by anybody"));
    set_mode(&up, 0o1777);
    assert_eq!(check_accepted(doctor_command(&project)), Ok(()), "as /tmp is");
    set_mode(&up, 0o755);
    set_owner(&up, NOBODY, NOBODY);
    assert_eq!(check_accepted(doctor_command(&project)), refused("its directory belongs to nobody (user id 65534)"));
}

#[test]
fn links_and_pipes_are_checked_too() {
    let project = project();
    let (file, here) = (project.path("up/goflame.toml"), project.path("up/mid/here"));
    let elsewhere: PathBuf = project.path("elsewhere.toml");
    fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    assert_eq!(check_accepted(doctor_command(&project)), Ok(()));
    std::os::unix::fs::lchown(&file, Some(NOBODY), Some(NOBODY)).unwrap();
    let why = |part: &str| {
        Err(format!("error: {} is in a parent directory and {part} belongs to nobody (user id 65534)", file.display()))
    };
    assert_eq!(check_accepted(doctor_command(&project)), why("the link"));
    set_owner(&elsewhere, NOBODY, NOBODY);
    assert_eq!(check_accepted(doctor_command(&project)), why("it"));
    // Opening the pipe would wait forever.
    fs::remove_file(&file).unwrap();
    project.shell("mkfifo up/goflame.toml && chown nobody up/goflame.toml").run().code(0);
    assert_eq!(check_accepted(project.goflame(["doctor"]).dir(here)), why("it"));
}

/// Before, a dry run and doctor ran the project's own `go`, and fetched what go.mod asks for.
#[test]
fn looking_at_a_project_runs_none_of_its_programs() {
    let project = project();
    let up = project.path("up");
    let settings = fs::read_to_string(up.join("goflame.toml")).unwrap();
    let commands =
        ["doctor", "doctor --json", "doctor /bin/true", "build --dry-run", "run --dry-run", "build --print-dockerfile"];
    // The server does not answer, but it records requests.
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let assert_nothing_runs = |goproxy: &str| {
        for line in commands {
            let command = project.shell(&format!("$goflame {line}")).dir(&up);
            command.env("GOTOOLCHAIN", "auto").env("GOPROXY", goproxy).env("GOMODCACHE", project.path("mod")).run();
            assert!(!project.path("ran").exists(), "{line}: {}", fs::read_to_string(project.path("ran")).unwrap());
            assert!(proxy.accept().is_err(), "{line} fetched");
        }
    };
    assert_nothing_runs("off");
    for env in [
        "LD_PRELOAD = \"/nonexistent.so\", GOROOT = \"/nonexistent\"",
        "GOTOOLCHAIN = \"path\", GOFLAGS = \"-toolexec=/evil\"",
    ] {
        fs::write(up.join("goflame.toml"), settings.replace("env = {", &format!("env = {{ {env},"))).unwrap();
        assert_nothing_runs("off");
        let plan = project.goflame(["build", "--dry-run"]).dir(&up).run();
        plan.code(0);
        assert!(!plan.stderr.contains("LD_PRELOAD"), "{}", plan.stderr);
    }
    // A toolchain that does not exist.
    fs::write(up.join("goflame.toml"), &settings).unwrap();
    fs::write(up.join("go.mod"), "module example.com/up\n\ngo 1.21\n\ntoolchain go1.98.7\n").unwrap();
    assert_nothing_runs(&url);
    let doctor = project.goflame(["doctor", "--only", "go-found,go-mod"]).dir(&up).env("GOTOOLCHAIN", "auto");
    let doctor = doctor.env("GOPROXY", &url).env("COLUMNS", "200").run();
    doctor.code(0);
    assert!(
        doctor.stdout.contains("but not the version that go.mod or go.work asks for: the next build downloads"),
        "{}",
        doctor.stdout
    );
    let off =
        project.goflame(["doctor", "--only", "go-found"]).dir(&up).env("GOTOOLCHAIN", "auto").env("GOPROXY", "off");
    off.run().code(4);
    // The same for a pinned version, which the plan contains.
    fs::write(up.join("goflame.toml"), format!("toolchain.go = \"1.98.7\"\n{settings}")).unwrap();
    assert_nothing_runs(&url);
    let plan = project.goflame(["build", "--dry-run"]).dir(&up).run();
    plan.code(0).stdout("cd [dir]/up && [..]GOTOOLCHAIN=go1.98.7 PATH=[..] go build [..]\n");
}
