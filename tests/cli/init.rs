//! `goflame init`.

use crate::harness::Project;

pub(crate) fn two_mains_and_a_benchmark() -> Project {
    let project = Project::empty();
    project.write("go.mod", "module example.com/shop\n\ngo 1.21\n");
    project.write("cmd/server/main.go", "package main\n\nfunc main() {}\n");
    project.write("cmd/worker/main.go", "package main\n\nfunc main() {}\n");
    project.write("basket/basket.go", "package basket\n\nfunc Sum() int { return 1 }\n");
    project.write(
        "basket/basket_test.go",
        "package basket\n\nimport \"testing\"\n\nfunc BenchmarkSum(b *testing.B) {\n\tfor i := 0; i < b.N; i++ {\n\t\tSum()\n\t}\n}\n",
    );
    project
}

/// A workspace of two modules, beside a module that it lacks.
pub(crate) fn workspace() -> Project {
    let project = two_mains_and_a_benchmark();
    for name in ["go.mod", "cmd/worker/main.go", "cmd/server/main.go"] {
        std::fs::remove_file(project.path(name)).unwrap();
    }
    project.write("go.work", "go 1.21\n\nuse (\n\t./basket\n\t./shop\n)\n");
    for module in ["basket", "shop", "unlisted"] {
        project.write(&format!("{module}/go.mod"), format!("module example.com/{module}\n\ngo 1.21\n"));
    }
    for program in ["shop/cmd/server", "unlisted"] {
        project.write(&format!("{program}/main.go"), "package main\n\nfunc main() {}\n");
    }
    project
}

#[test]
fn init_writes_a_file_that_loads() {
    let project = two_mains_and_a_benchmark();
    project.goflame(["init"]).run().code(0).stdout("").stderr(
        "       Found main package ./cmd/server
       Found main package ./cmd/worker
       Found benchmarks in ./basket
       Wrote goflame.toml for main package ./cmd/server; next: `goflame run`
",
    );
    let text = String::from_utf8(project.read("goflame.toml")).unwrap();
    for line in ["package = \"./cmd/server\"", "kind    = \"binary\"", "# package = \"./cmd/worker\""] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    assert!(text.contains("./basket"), "{text}");
    project.goflame(["build", "--dry-run"]).run().code(0).stderr("").stdout(
        "cd [dir] && [..]go build -trimpath -buildvcs=false '-gcflags=all=-N -l' -ldflags=-compressdwarf=false \
         -o [dir]/.goflame/build/debug/server ./cmd/server\n",
    );
    project.goflame(["build"]).run().code(0);
}

#[test]
fn init_overwrites_only_with_force() {
    let project = two_mains_and_a_benchmark();
    project.write("goflame.toml", "mine");
    let refused = project.goflame(["init"]).run();
    refused.code(2).stdout("").stderr("error: goflame.toml already exists\n   help: `--force` overwrites it\n");
    assert_eq!(project.read("goflame.toml"), b"mine");

    project.goflame(["init", "--force"]).run().code(0);
    project.goflame(["build", "--dry-run"]).run().code(0);
}

#[test]
fn init_selects_benchmarks_without_a_main_package() {
    let project = two_mains_and_a_benchmark();
    std::fs::remove_dir_all(project.path("cmd")).unwrap();
    project.goflame(["init"]).run().code(0);
    project.goflame(["build", "--dry-run"]).run().code(0).stdout("cd [dir] && [..]go test -c [..] ./basket\n");
}

#[test]
fn init_without_a_module_is_an_error() {
    let project = Project::empty();
    project.goflame(["init"]).run().code(5).stdout("").stderr(
        "error: no packages in .: [..]
   help: change to a directory with a go.mod, or create one: go mod init NAME
",
    );
    assert_eq!(project.names("."), Vec::<String>::new());
}

/// Before, init wrote a path with U+FFFD into goflame.toml, and only run said that it is not UTF-8.
#[test]
fn a_directory_whose_name_is_not_utf_8_is_refused_by_init() {
    let project = Project::empty();
    let line = "mkdir $'b\\xffc' && cd $'b\\xffc' && printf 'module m\\n' > go.mod && printf 'package main\\nfunc main() {}\\n' > a.go
         $goflame init; status=$?; ls; exit $status";
    project.shell(line).run().code(5).stdout("a.go\ngo.mod\n").stderr(
        "error: the path \"[dir]/b\\xFFc\" is not UTF-8
   help: rename the directory: goflame.toml and the manifest of a run are UTF-8
",
    );
}

/// Before, the run of `Überprüfung` was named `berpr-fung`.
#[test]
fn names_keep_their_letters() {
    let project = Project::program(
        "package main

import \"time\"

var größe int

func main() {
	for start := time.Now(); time.Since(start) < 300*time.Millisecond; {
		Überprüfung()
	}
}

//go:noinline
func Überprüfung() {
	for i := 0; i < 1_000_000; i++ {
		größe += i
	}
}
",
        "",
    );
    project.write("goflame.toml", "app.name = \"Überprüfung\"\n");
    project.goflame(["run", "--quiet"]).run().code(0);
    let run = project.only_run();
    assert!(run.contains("-Überprüfung-"), "{run}");
    let list = project.goflame(["runs", "list"]).run();
    assert!(list.code(0).stdout.contains("main.Überprüfung"), "{}", list.stdout);
    assert!(project.path(".goflame/build/debug/Überprüfung").exists());
    for file in ["flamegraph.svg", "profile.folded", "summary.json"] {
        let text = String::from_utf8(project.read(&format!("{run}/{file}"))).unwrap();
        assert!(text.contains("main.Überprüfung"), "{file}");
    }
    let id = run.rsplit('/').next().unwrap();
    let tables = project.goflame(["report", id]).run();
    assert!(tables.code(0).stdout.contains("main.Überprüfung"), "{}", tables.stdout);
}

/// Before: "no packages in .", and the advice to run `go mod init`.
#[test]
fn init_finds_the_packages_of_a_workspace() {
    let project = workspace();
    project.goflame(["init"]).run().code(0).stdout("").stderr(
        "       Found main package ./shop/cmd/server
       Found benchmarks in ./basket
       Wrote goflame.toml for main package ./shop/cmd/server; next: `goflame run`
",
    );
    project.goflame(["build"]).run().code(0).stderr_has("    Building ./shop/cmd/server [..]");
}

/// Before: "no packages in .", and the advice to run `go mod init`.
#[test]
fn init_finds_the_modules_below_a_directory() {
    let project = workspace();
    std::fs::remove_file(project.path("go.work")).unwrap();
    project.goflame(["init"]).run().code(0).stdout("").stderr(
        "       Found main package ./shop/cmd/server
       Found main package ./unlisted
       Found benchmarks in ./basket
       Wrote goflame.toml for main package ./shop/cmd/server; next: `goflame run`
",
    );
    project.goflame(["build"]).run().code(0).stderr_has("    Building ./shop/cmd/server [..]");
    project.goflame(["build", "--dry-run"]).run().code(0).stdout("cd [dir]/shop && [..] ./cmd/server\n");
}
