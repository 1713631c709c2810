//! Which package `run` and `build` take: PACKAGE, the one of goflame.toml, or what is found without a file; and the advice
//! for projects that Go refuses.

use std::os::unix::fs::symlink;

use crate::harness::Project;
use crate::init::{two_mains_and_a_benchmark, workspace};

/// Before: "unexpected argument './cmd/worker'".
#[test]
fn a_package_on_the_command_line_replaces_that_of_the_file() {
    let project = two_mains_and_a_benchmark();
    project.write(
        "goflame.toml",
        "[app]\npackage = \"./cmd/server\"\nname = \"shop\"\n[workload]\nargs = [\"-port\", \"80\"]\n",
    );
    let plan = |name: &str, package: &str, args: &str| {
        format!("cd [dir] && [..] -o [dir]/.goflame/build/debug/{name} {package}\ncd [dir] && [..]/{name}{args}\n")
    };
    project.goflame(["run", "--dry-run"]).run().code(0).stdout(&plan("shop", "./cmd/server", " -port 80"));
    let same = project.goflame(["run", "--dry-run", "cmd/../cmd/server/"]).run();
    same.code(0)
        .stderr_has("        Note args and stdin in [workload] belong to the app of goflame.toml, and are not used");
    project.goflame(["run", "--dry-run", "./cmd/server/"]).run().code(0).stderr("").stdout(&plan(
        "shop",
        "./cmd/server",
        " -port 80",
    ));
    project
        .goflame(["run", "--dry-run", "./cmd/worker"])
        .run()
        .code(0)
        .stderr("        Note args and stdin in [workload] belong to the app of goflame.toml, and are not used\n")
        .stdout(&plan("worker", "./cmd/worker", ""));
    // As for Go, a directory is relative to the current one.
    project
        .goflame(["run", "--dry-run", "./worker", "--", "-queue", "3"])
        .dir(project.path("cmd"))
        .run()
        .code(0)
        .stderr("")
        .stdout(&plan("worker", "./cmd/worker", " -queue 3"));
    project
        .goflame(["build", "example.com/shop/cmd/worker"])
        .run()
        .code(0)
        .stderr_has("       Built .goflame/build/debug/worker [..]");
}

/// Before: "no goflame.toml in DIR or any directory above it".
#[test]
fn run_needs_no_goflame_toml() {
    let project = Project::workload("printer", "");
    std::fs::remove_file(project.path("goflame.toml")).unwrap();
    project.goflame(["run", "--", "-lines", "1"]).run().code(0).stderr_in_order(
        "        Note no goflame.toml was found: main package ./printer, with default settings; `goflame init` writes one
    Building ./printer [debug: -N -l] with go1[..]
     Running .goflame/build/debug/printer -lines 1
    Finished [..]
",
    );
    assert_eq!(project.names("goflame.lock"), Vec::<String>::new());
    // The package of the directory itself comes first, as for `go build`.
    project.write("main.go", "package main\n\nfunc main() {}\n");
    project.goflame(["build"]).run().code(0).stderr_has("    Building . [debug: -N -l] with go1[..]");
}

/// Before: `run` without a goflame.toml was an error that did not name the packages.
#[test]
fn several_main_packages_are_listed() {
    let project = two_mains_and_a_benchmark();
    project.goflame(["run"]).run().code(2).stdout("").stderr(
        "error: [dir] has several main packages: ./cmd/server, ./cmd/worker
   help: name one, for example: `goflame run ./cmd/server`
   help: or let `goflame init` write a goflame.toml that names one
",
    );
    project.goflame(["build", "./cmd/worker"]).run().code(0);
    std::fs::remove_dir_all(project.path("cmd")).unwrap();
    std::fs::remove_dir_all(project.path("basket")).unwrap();
    project.goflame(["run"]).run().code(5).stdout("").stderr(
        "error: [dir] has no main package and no benchmarks
   help: name a package, for example: `goflame run ./cmd/NAME`
",
    );
}

/// Before: "unexpected argument './cmd/...'", because `run` took no package.
#[test]
fn a_pattern_is_not_one_program() {
    let project = two_mains_and_a_benchmark();
    project.goflame(["run", "./cmd/..."]).run().code(5).stdout("").stderr(
        "error: `./cmd/...` is not one package: `...` stands for many packages
   help: `goflame run PATTERN --bench REGEX` runs the benchmarks of many packages, one after the other
",
    );
}

/// Before: Go's message alone.
#[test]
fn go_reads_a_directory_without_a_dot_as_an_import_path() {
    let project = two_mains_and_a_benchmark();
    project
        .goflame(["build", "cmd/worker"])
        .run()
        .code(5)
        .stderr_has("   help: Go reads this as an import path; the directory is `./cmd/worker`");
}

/// Before: Go's message and the command of the build, without advice.
#[test]
fn a_directory_that_does_not_exist_is_said_with_a_similar_one() {
    let project = two_mains_and_a_benchmark();
    for (typed, advice) in [
        ("./cmd/workr", "there is no `./cmd/workr`; did you mean `./cmd/worker`?"),
        ("./nothing/like/it", "there is no `./nothing/like/it`; `go list ./...` lists the packages"),
    ] {
        project.goflame(["run", typed]).run().code(5).stderr_has(&format!("   help: {advice}"));
    }
}

/// Before: Go's message alone.
#[test]
fn a_workspace_that_lacks_the_module_has_advice() {
    let project = workspace();
    project.goflame(["build", "./unlisted"]).run().code(5).stderr_in_order(
        "directory unlisted is contained in a module that is not one of the workspace modules listed in go.work.[..]
error: [..]
   help: `go work use DIRECTORY` adds a module to go.work
   help: or leave go.work aside: set GOWORK=off in the environment, or in `env` of the variant
",
    );
    project.goflame(["build", "./unlisted"]).env("GOWORK", "off").run().code(0);
    project.write("goflame.toml", "app.package = \"./unlisted\"\nvariant.debug.env = { GOWORK = \"off\" }\n");
    project.goflame(["build"]).run().code(0);
}

/// Before: the go command's message alone.
#[test]
fn a_directory_without_a_module_has_advice() {
    let project = Project::with_config("");
    project.write("main.go", "package main\n\nfunc main() {}\n");
    project.goflame(["build"]).run().code(5).stderr_in_order(
        "go: go.mod file not found in current directory or any parent directory; see 'go help modules'
error: [..]
   help: Go builds packages of a module: `go mod init NAME` makes this directory one
",
    );
}

/// Before: neither the check nor the build said how to get a newer Go.
#[test]
fn a_go_that_is_too_old_has_advice() {
    let project = Project::program("package main\n\nfunc main() {}\n", "");
    project.write("go.mod", "module example.com/program\n\ngo 1.99\n");
    let local = |command| project.goflame([command]).env("GOTOOLCHAIN", "local").run();
    local("run")
        .code(4)
        .stderr_has("error: not ready: go-mod: go.mod asks for 1.99, the go command is go1[..]")
        .stderr_has("   help: run `goflame toolchain install 1.99.0 && goflame toolchain use 1.99.0`");
    let advice = "   help: `goflame toolchain install 1.99.0` fetches this Go
   help: `goflame toolchain use 1.99.0` pins it in goflame.toml; GOTOOLCHAIN=go1.99.0 selects it without one
";
    local("build").code(5).stderr_in_order(advice);
    std::fs::remove_file(project.path("goflame.toml")).unwrap();
    local("init").code(5).stderr_in_order(advice);
}

/// Before: Go's message alone, which does not mention a compiler.
#[test]
fn c_code_without_a_compiler_has_advice() {
    let project =
        Project::program("package main\n\n// int f(void) { return 1; }\nimport \"C\"\n\nfunc main() { C.f() }\n", "");
    let go = project.shell("command -v go").run().stdout;
    std::fs::create_dir(project.path("bin")).unwrap();
    symlink(go.trim(), project.path("bin/go")).unwrap();
    let advice =
        "   help: example.com/program needs a C compiler, and `gcc` was not found; on Debian: apt install gcc libc6-dev
   help: or set cgo = false in the variant, if the program also builds without C
";
    let build = || project.goflame(["build"]).env("PATH", project.path("bin")).env("CC", "gcc");
    build().run().code(5).stderr_in_order(advice);
    build().env("CGO_ENABLED", "1").run().code(5).stderr_in_order(advice);
}
