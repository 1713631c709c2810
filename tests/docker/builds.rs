//! Whole builds and runs in containers.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use crate::engine::{IMAGE, engine, hub, project, serve_hub};
use crate::harness::{Project, source};

const EMPTY_PROGRAM: &str = "package main\n\nfunc main() {}\n";

/// `nobody`, who is in the account database of every Linux.
const NOBODY: u32 = 65534;

#[test]
fn the_demo_runs_and_all_files_belong_to_the_caller() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root, as goflame under sudo has it");
    let engine = engine();
    let example = source().join("examples/hotspots");
    let config = fs::read_to_string(example.join("goflame.toml")).unwrap();
    let project = Project::with_config(&format!("{config}\n[toolchain]\nimage = \"{IMAGE}\"\n"));
    for name in ["go.mod", "main.go", "work.go", "clock.go"] {
        project.write(name, fs::read(example.join(name)).unwrap());
    }
    for name in [".", "go.mod", "main.go", "work.go", "clock.go", "goflame.toml"] {
        chown(project.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(project.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    // Only the engine's group may use its socket. The relay lets `nobody` connect without becoming a member.
    let relay = crate::endpoint::Relay::to_socket(&engine.socket());
    let run = project
        .goflame(["run", "--docker", "--release", "--", "-seconds", "1"])
        .env("DOCKER_HOST", relay.host())
        .env("SUDO_UID", "65534")
        .env("SUDO_GID", "65534")
        .env("SUDO_USER", "nobody")
        .run();
    run.code(0)
        .stderr_has(&format!("     Locking go1[..] in {IMAGE} as sha256:[..] (goflame.lock)"))
        .stderr_has("    Building . [release] with go1[..] in a container");
    assert!(run.stdout.contains("main.multiply"), "{}", run.stdout);
    for name in [".goflame/build/release/hotspots", "goflame.lock", ".goflame/runs"] {
        let owner = fs::metadata(project.path(name)).unwrap();
        assert_eq!((owner.uid(), owner.gid()), (NOBODY, NOBODY), "{name}");
    }
    let manifest = project.manifest();
    let docker = &manifest["build"]["docker"];
    assert_eq!(docker["image"], IMAGE);
    assert_eq!(docker["user"], "65534:65534");
    assert!(docker["digest"].as_str().unwrap().starts_with("sha256:"), "{docker}");
    assert!(manifest["build"]["command"].as_str().unwrap().contains("docker run --rm --read-only --cap-drop=ALL"));
    assert_eq!(project.read(&format!("{}/goflame.lock", project.only_run())), project.read("goflame.lock"));
    assert_eq!(engine.containers(&project), [""; 0]);
}

/// A project that needs example.com/dep, and the proxy that has it.
fn project_with_module() -> (Project, tempfile::TempDir) {
    let proxy = tempfile::tempdir().unwrap();
    let wrote = Command::new(hub()).arg("-write").arg(proxy.path()).status().unwrap();
    assert!(wrote.success());
    let project = project("package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Answer()) }\n", "");
    project.write("go.mod", "module example.com/program\n\ngo 1.21\n\nrequire example.com/dep v1.0.0\n");
    run_go(&project, &proxy, &["mod", "tidy"]);
    (project, proxy)
}

fn run_go(project: &Project, proxy: &tempfile::TempDir, args: &[&str]) {
    let cache = project.path("gomodcache");
    let mut go = Command::new("go");
    go.args(args).current_dir(project.path(".")).env("GOPROXY", format!("file://{}", proxy.path().display()));
    go.env("GOSUMDB", "off").env("GOFLAGS", "-modcacherw").env("GOMODCACHE", cache);
    assert!(go.status().unwrap().success(), "go {args:?}");
    let _ = fs::remove_dir_all(project.path("gomodcache"));
}

#[test]
fn modules_are_downloaded_once_and_not_offline() {
    let engine = engine();
    let (project, proxy) = project_with_module();
    let served = serve_hub(&engine, proxy.path(), 8081);
    let url = served.url.clone();
    let goflame = |args: &str| {
        let line = format!("$goflame build --docker {args}");
        project.shell(&line).env("DOCKER_HOST", engine.host()).env("GOPROXY", &url).env("GOSUMDB", "off").run()
    };
    goflame("--offline")
        .code(5)
        .stderr_has("   help: the compile has no network: build once without --offline, or use `go mod vendor`");
    let downloading = " Downloading modules (go mod download), the only step with a network";
    goflame("").code(0).stderr_has(downloading);
    goflame("").code(0).stderr_lacks(downloading);
    goflame("--offline").code(0);
    project.shell(".goflame/build/debug/program").run().code(0).stderr("42\n");

    assert_eq!(engine.volumes(&project).len(), 2);
    let lock = project.read("goflame.lock");
    assert!(String::from_utf8(lock).unwrap().contains("[modules]\ngo_sum = \"sha256:"));
    goflame("--clean-cache").code(0).stderr_has("     Removed the volume goflame-[..]-modules");
    assert_eq!(engine.volumes(&project), [""; 0]);
    goflame("--clean-cache").code(0).stderr("       Found no caches of this project on the Docker engine\n");
    drop(served);

    run_go(&project, &proxy, &["mod", "vendor"]);
    goflame("").code(0).stderr_lacks(downloading);
    assert_eq!(engine.containers(&project), [""; 0]);
    goflame("--clean-cache").code(0);
}

#[test]
fn errors_of_go_have_the_paths_of_this_machine() {
    let engine = engine();
    let project = project("package main\n\nfunc main() { undefined() }\n", "");
    let build = engine.goflame(&project, ["build", "--docker"]).run();
    build
        .code(5)
        .stdout("")
        .stderr_has("# example.com/program")
        .stderr_has("./main.go:3:15: undefined: undefined")
        .stderr_has("error: `docker run --rm --read-only[..]build -trimpath[..]` failed: exit status 1");
    project.write("main.go", "package main\n\nfunc main() {\n");
    let build = engine.goflame(&project, ["build", "--docker"]).run();
    build.code(5).stderr_has("./main.go:4:1: syntax error: [..]");
    assert_eq!(engine.containers(&project), [""; 0]);
}

#[test]
fn a_dry_run_prints_the_plan_without_an_engine() {
    let project = project(EMPTY_PROGRAM, "build.docker = true\n");
    // No engine is running.
    let plan = project.goflame(["build", "--dry-run"]).env("DOCKER_HOST", "unix:///nonexistent").run();
    plan.code(0).stderr("").stdout(&format!(
        "docker run --rm --read-only --cap-drop=ALL --security-opt=no-new-privileges --pids-limit=16384 --memory=[..] --network=none --user=[..] \
         --mount=type=bind,source=[dir],target=[dir],readonly [..] --workdir=[dir] --entrypoint=go {IMAGE} build \
         -trimpath -buildvcs=false '-gcflags=all=-N -l' -ldflags=-compressdwarf=false -o \
         [dir]/.goflame/build/debug/program .\n"
    ));
    assert_eq!(project.names("."), ["go.mod", "goflame.toml", "main.go"]);
    project.goflame(["build", "--dry-run", "--native"]).run().code(0).stdout("cd [dir] && [..]go build [..]\n");
    project
        .goflame(["build", "--docker", "--native"])
        .run()
        .code(2)
        .stderr_has("error: the argument `--docker` cannot be used with `--native`");
}

/// An earlier version mounted root's home into the container for `replace x => /root`, so the build could read it.
#[test]
fn a_directory_outside_of_the_project_is_mounted_only_with_a_flag() {
    let engine = engine();
    let outside = Project::empty();
    outside.write("lib/go.mod", "module example.com/lib\n\ngo 1.21\n");
    outside.write("lib/lib.go", "package lib\n\nfunc Answer() int { return 42 }\n");
    fs::set_permissions(outside.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    let lib = outside.path("lib").canonicalize().unwrap();
    let main = "package main\n\nimport \"example.com/lib\"\n\nfunc main() { println(lib.Answer()) }\n";
    let project = project(main, "");
    let go_mod = |replaced: &str| {
        format!(
            "module example.com/app\n\ngo 1.21\n\nrequire example.com/lib v0.0.0\n\nreplace example.com/lib => {replaced}\n"
        )
    };
    project.write("go.mod", go_mod(&lib.display().to_string()));
    for line in ["build --docker", "build --docker --dry-run", "run --docker", "build --docker --verify"] {
        let refused = project.shell(&format!("$goflame {line}")).env("DOCKER_HOST", engine.host()).run();
        refused
            .code(11)
            .stdout("")
            .stderr_has(&format!(
                "error: {} is used by go.mod or go.work, but is outside of the project",
                lib.display()
            ))
            .stderr_has(&format!("   help: `--mount {0}` (or GOFLAME_MOUNT={0}) allows it; [..]", lib.display()));
    }
    // No key of goflame.toml allows the mount: the refusal protects the user from the project.
    assert_eq!(engine.containers(&project), [""; 0]);
    project.goflame(["build", "--native"]).run().code(0);
    engine.goflame(&project, ["build", "--docker", "--mount"]).arg(&lib).run().code(0);
    let allowed = engine.goflame(&project, ["build", "--docker", "--verify"]).env("GOFLAME_MOUNT", outside.path("."));
    allowed.run().code(0);

    // A link in the project points outside of it.
    std::os::unix::fs::symlink(&lib, project.path("near")).unwrap();
    project.write("go.mod", go_mod("./near"));
    engine
        .goflame(&project, ["build", "--docker"])
        .run()
        .code(11)
        .stderr_has("error: [..] is used by go.mod or go.work, but is outside of the project");
    fs::remove_file(project.path("near")).unwrap();

    // A sibling directory in the same workspace, and then in the same checkout.
    project.write("app/go.mod", go_mod("../lib"));
    project.write("app/main.go", main);
    project.write("app/goflame.toml", format!("toolchain.image = \"{IMAGE}\"\n"));
    project.write("lib/go.mod", "module example.com/lib\n\ngo 1.21\n");
    project.write("lib/lib.go", "package lib\n\nfunc Answer() int { return 42 }\n");
    for name in ["go.mod", "main.go", "goflame.toml"] {
        fs::remove_file(project.path(name)).unwrap();
    }
    let build = || engine.goflame(&project, ["-C", "app", "build", "--docker"]).run();
    build().code(11);
    project.write("go.work", "go 1.21\n\nuse (\n\t./app\n\t./lib\n)\n");
    build().code(0);
    fs::remove_file(project.path("go.work")).unwrap();
    project.shell("git init -q .").run().code(0);
    build().code(0);
    engine.goflame(&project, ["-C", "app", "build", "--clean-cache"]).run().code(0);
}

#[test]
fn the_dockerfile_builds_the_same_bytes() {
    let engine = engine();
    let project = project(EMPTY_PROGRAM, "");
    let file = project.goflame(["build", "--release", "--print-dockerfile"]).run();
    file.code(0).stderr("");
    let (modules, sources) =
        (file.stdout.find("COPY go.mod go.sum* ./").unwrap(), file.stdout.find("COPY . .").unwrap());
    assert!(modules < file.stdout.find("\"mod\", \"download\"").unwrap() && modules < sources, "{}", file.stdout);

    engine.goflame(&project, ["build", "--release", "--docker"]).run().code(0);
    // The image has neither a shell nor a place for temporary files.
    project.write("Dockerfile", file.stdout.replace("WORKDIR /src", "ENV TMPDIR=/\nWORKDIR /src"));
    engine.docker(&["build", "--network=none", "--tag", "goflame-test/made", &project.path(".").display().to_string()]);
    let id = engine.docker(&["create", "goflame-test/made"]).remove(0);
    let to = project.path("from-image");
    engine.docker(&["cp", &format!("{id}:/program"), &to.display().to_string()]);
    engine.docker(&["rm", &id]);
    engine.docker(&["rmi", "goflame-test/made"]);
    assert!(project.read("from-image") == project.read(".goflame/build/release/program"));
    engine.goflame(&project, ["build", "--clean-cache"]).run().code(0);
}
