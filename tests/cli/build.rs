//! `goflame build`, with the real Go.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Project, source};

const EMPTY_PROGRAM: &str = "package main\n\nfunc main() {}\n";

#[test]
fn a_dry_run_prints_the_plan_and_does_nothing() {
    let project = Project::program(
        EMPTY_PROGRAM,
        "[variant.lean]\ntags = [\"a\", \"b\"]\nenv = { GOAMD64 = \"v3\", NOTE = \"it's\" }\nrace = true\ncgo = true\n",
    );
    for (line, plan) in [
        (
            "build --dry-run",
            "'-gcflags=all=-N -l' -ldflags=-compressdwarf=false -o [dir]/.goflame/build/debug/program .",
        ),
        ("build --release --dry-run", "-ldflags=-compressdwarf=false -o [dir]/.goflame/build/release/program ."),
    ] {
        let plan = format!("cd [dir] && [..]go build -trimpath -buildvcs=false {plan}\n");
        project.shell(&format!("$goflame {line}")).run().code(0).stderr("").stdout(&plan);
    }
    let offline = project.goflame(["build", "--offline", "--dry-run"]).run();
    offline.code(0).stdout("cd [dir] && [..]GOPROXY=off go build [..] .\n");
    let lean = project.goflame(["build", "--variant", "lean", "--dry-run"]).run();
    lean.code(0).stderr("").stdout(
        "cd [dir] && [..] CGO_ENABLED=1 [..] GOAMD64=v3 NOTE='it'\\''s' go build -trimpath -buildvcs=false \
         -ldflags=-compressdwarf=false -tags=a,b -race -o [dir]/.goflame/build/lean/program .\n",
    );
    assert_eq!(project.names("."), ["go.mod", "goflame.toml", "main.go"]);
}

/// Before, the Dockerfile had `$'..'` for words with control characters. Neither a Dockerfile nor dash reads this form.
#[test]
fn a_dockerfile_needs_no_shells_quoting() {
    let project = Project::program(
        EMPTY_PROGRAM,
        "toolchain.image = \"golang:1.27.3\"\n[variant.debug]\nldflags = \"-X 'main.v=it\\ts $x'\"\nenv = { NOTE = \"a\\t$b \\\"c\\\"\" }\n",
    );
    let file = project.goflame(["build", "--print-dockerfile"]).run();
    file.code(0);
    assert!(file.stdout.contains("\nENV NOTE=\"a\t\\$b \\\"c\\\"\"\n"), "{}", file.stdout);
    let run =
        file.stdout.lines().find_map(|line| line.strip_prefix("RUN ").filter(|words| words.contains("build"))).unwrap();
    let words: Vec<String> = serde_json::from_str(run).unwrap();
    assert_eq!(words[..2], ["go", "build"]);
    assert!(words.contains(&"-ldflags=-X 'main.v=it\ts $x'".to_owned()), "{words:?}");
    project.write("goflame.toml", "toolchain.image = \"golang:1.27.3\"\n[variant.debug]\nenv = { NOTE = \"a\\nb\" }\n");
    let refused = project.goflame(["build", "--print-dockerfile"]).run();
    refused
        .code(11)
        .stdout("")
        .stderr_has("error: the value of NOTE contains a line break, which a Dockerfile cannot express");
}

#[test]
fn the_printed_plan_is_what_a_shell_can_run() {
    let project = Project::program(EMPTY_PROGRAM, "");
    let plan = project.goflame(["build", "--dry-run"]).run().stdout;
    project.shell(&plan).run().code(0);
    assert_eq!(project.names(".goflame/build/debug"), ["program"]);
}

#[test]
fn a_dry_run_of_run_prints_the_workload_too() {
    let project = Project::program(EMPTY_PROGRAM, "[workload]\nargs = [\"a b\", \"-c\"]\n");
    let dry_run = project.goflame(["run", "--release", "--dry-run"]).run();
    dry_run.code(0).stderr("").stdout(
        "cd [dir] && [..]go build [..] -o [dir]/.goflame/build/release/program .
cd [dir] && [dir]/.goflame/build/release/program 'a b' -c
",
    );
    let other = project.goflame(["run", "--release", "--dry-run", "--", "-x"]).run();
    other.stdout("[..]\ncd [dir] && [dir]/.goflame/build/release/program -x\n");
}

#[test]
fn the_binary_is_inspected() {
    let project = Project::program(EMPTY_PROGRAM, "");
    project.goflame(["build"]).run().code(0).stdout("").stderr(
        "     Locking go1[..] (goflame.lock)
    Building . [debug: -N -l] with go1[..]
       Built .goflame/build/debug/program with go1[..] in [..] s
   Inspected not optimised (-N -l in all packages), sha256 [..]
",
    );
    project.goflame(["build", "--release"]).run().code(0).stderr_has("   Inspected optimised[..], sha256 [..]");
}

#[test]
fn gos_own_errors_pass_through_untouched() {
    let project = Project::program("package main\n\nfunc main() {\n\tx := 1\n\tundefined()\n}\n", "");
    let go = project.shell("go build -o /dev/null .").run();
    go.code(1);
    let goflame = project.goflame(["build"]).run();
    goflame.code(5).stdout("").stderr(&format!(
        "     Locking go1[..] (goflame.lock)\n    Building . [debug: -N -l] with go1[..]\n{}error: `cd [dir] && [..]go build [..] .` failed: exit status 1\n",
        go.stderr
    ));
    let again = goflame.stderr.replace("     Locking", "      Pinned");
    project.goflame(["run"]).run().code(5).stderr(&again);
    assert_eq!(project.partials(), Vec::<String>::new());
}

#[test]
fn another_go_than_the_pinned_one_is_refused() {
    // This version was never published.
    let project = Project::program(EMPTY_PROGRAM, "[toolchain]\ngo = \"1.21.99\"\n");
    for command in ["build", "run"] {
        let refused = project.goflame([command]).env("GOPROXY", "off").run();
        refused
            .code(4)
            .stdout("")
            .stderr_has("error: goflame.toml pins go1.21.99, but `go` is go1[..] and cannot switch to go1.21.99");
    }
}

#[test]
fn a_go_that_ignores_the_pin_is_an_error() {
    let project = Project::program(EMPTY_PROGRAM, "[toolchain]\ngo = \"1.21.99\"\n");
    project.write("bin/go", "#!/bin/sh\necho '{\"GOVERSION\":\"go1.20.1\",\"GOOS\":\"linux\",\"GOARCH\":\"amd64\"}'\n");
    fs::set_permissions(project.path("bin/go"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", project.path("bin").display());
    let refused = project.goflame(["build"]).env("PATH", path).run();
    refused.code(4).stderr_has("error: goflame.toml pins go1.21.99, but `go` is go1.20.1[..]");
}

#[test]
fn a_package_that_is_not_a_program_is_refused() {
    let project = Project::program("package lib\n", "");
    let refused = project.goflame(["build"]).run();
    refused.code(5).stderr_has("error: `.` is not a main package: it builds, but not to a program");
}

/// Before, plugin and c-shared ended with "is the file executable for the user that runs the workload?", and c-archive with
/// "not a main package".
#[test]
fn a_build_mode_without_a_program_is_refused() {
    let project = Project::program(EMPTY_PROGRAM, "");
    for mode in ["plugin", "c-shared", "c-archive"] {
        let goflags = format!("-buildmode={mode}");
        let build = project.goflame(["build"]).env("GOFLAGS", &goflags).run();
        build
            .code(5)
            .stderr_has(&format!("error: -buildmode={mode} in GOFLAGS does not build a program that can run"))
            .stderr_has("   help: remove it from GOFLAGS, or set buildmode = \"exe\" in the variant");
        let run = project.goflame(["run"]).env("GOFLAGS", &goflags).run();
        run.code(4).stderr_has(&format!(
            "error: not ready: goflags: {goflags}: {goflags} in GOFLAGS does not build a program[..]"
        ));
    }
    // The command line overrides GOFLAGS.
    project.write("goflame.toml", "app.name = \"program\"\nvariant.debug.buildmode = \"exe\"\n");
    project.goflame(["build"]).env("GOFLAGS", "-buildmode=plugin").run().code(0);
}

/// Before, it built and then said "Permission denied; is the file executable for the user that runs the workload?".
#[test]
fn a_noexec_directory_is_found_before_anything_is_built() {
    let project = Project::program(EMPTY_PROGRAM, "");
    let script = "mkdir .goflame && mount -t tmpfs -o noexec tmpfs .goflame && $goflame run; status=$?
        $goflame doctor --only build-directory; umount .goflame; exit $status";
    let run = project.shell(script).run();
    run.code(4)
        .stderr_has("error: not ready: build-directory: [..]/.goflame is on a file system that is mounted noexec")
        .stderr_lacks("    Building[..]");
    assert!(run.stdout.contains("failure  build-directory"), "{}", run.stdout);
    project.goflame(["build"]).run().code(0);
}

/// git sets these variables in a hook. Before, the manifest contained the commit of the other repository.
#[test]
fn the_commit_is_the_projects_whatever_the_git_variables_say() {
    let project = Project::program(EMPTY_PROGRAM, "variant.debug.buildvcs = true\n");
    let git = "git -c user.name=t -c user.email=t@example.com -c init.defaultBranch=main";
    let script = format!(
        "printf '.goflame\\ngoflame.lock\\nother\\nout\\n' > .gitignore && {git} init -q . && {git} add . && {git} commit -qm own &&
        {git} init -q other && {git} -C other commit -qm other --allow-empty && git rev-parse HEAD && git -C other rev-parse HEAD"
    );
    let commits = project.shell(&script).run();
    let mut commits = commits.code(0).stdout.lines();
    let (own, other) = (commits.next().unwrap(), commits.next().unwrap());
    assert_ne!(own, other);
    let run = project
        .goflame(["run"])
        .env("GIT_DIR", project.path("other/.git"))
        .env("GIT_WORK_TREE", project.path("other"))
        .env("GIT_INDEX_FILE", project.path("other/.git/index"));
    run.run().code(0);
    let manifest = project.manifest();
    assert_eq!((&manifest["git"]["commit"], &manifest["git"]["dirty"]), (&own.into(), &false.into()));
    assert_eq!(manifest["build"]["inspection"]["go"]["settings"]["vcs.revision"], own);
}

#[test]
fn benchmarks_are_built_and_run() {
    let project = Project::with_config("[app]\npackage = \"./basket\"\nkind = \"bench\"\n");
    project.write("go.mod", "module example.com/shop\n\ngo 1.21\n");
    project.write(
        "basket/basket_test.go",
        "package basket

import \"testing\"

var total int

//go:noinline
func sum(n int) (total int) {
	for i := 0; i < n; i++ {
		total += i ^ total
	}
	return total
}

func BenchmarkSum(b *testing.B) {
	for i := 0; i < b.N; i++ {
		total += sum(10000)
	}
}

func TestNeverRuns(t *testing.T) { t.Fatal(\"only benchmarks were asked for\") }
",
    );
    let run = project.goflame(["run"]).run();
    run.code(0).stderr_has("    Building ./basket [debug: -N -l] with go1[..]");
    assert!(run.stdout.contains("BenchmarkSum"), "{}", run.stdout);
    assert!(run.stderr.contains("example.com/shop/basket.sum"), "{}", run.stderr);
    assert_eq!(project.manifest()["app"]["kind"], "bench");
    assert_eq!(project.manifest()["workload"]["exit_code"], 0);
}

#[test]
fn c_code_is_built_too() {
    let example = source().join("examples/cgo");
    let project = Project::empty();
    for file in fs::read_dir(&example).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file()) {
        project.write(&file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap());
    }
    let built = project.goflame(["build"]).run();
    built.code(0).stderr_has("       Built .goflame/build/debug/[..]").stderr_lacks("[..]Warning[..]");
}
