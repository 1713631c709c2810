//! `goflame init`.

use crate::harness::Project;

fn two_mains_and_a_benchmark() -> Project {
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

#[test]
fn writes_a_file_that_works() {
    let project = two_mains_and_a_benchmark();
    project.goflame(["init"]).run().code(0).stdout("").stderr(
        "       Found main package ./cmd/server
       Found main package ./cmd/worker
       Found benchmarks in ./basket
       Wrote goflame.toml; `goflame run` is next
",
    );
    let text = String::from_utf8(project.read("goflame.toml")).unwrap();
    for line in ["package = \"./cmd/server\"", "kind    = \"binary\"", "# package = \"./cmd/worker\""] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    assert!(text.contains("./basket"), "{text}");
    project.goflame(["build", "--dry-run"]).run().code(0).stderr("").stdout(
        "cd [dir] && go build -trimpath -buildvcs=false '-gcflags=all=-N -l' -ldflags=-compressdwarf=false \
         -o [dir]/.goflame/build/debug/server ./cmd/server\n",
    );
    project.goflame(["build"]).run().code(0);
}

#[test]
fn does_not_overwrite_unless_told_to() {
    let project = two_mains_and_a_benchmark();
    project.write("goflame.toml", "mine");
    let refused = project.goflame(["init"]).run();
    refused.code(2).stdout("").stderr("error: goflame.toml is there already\n   help: `--force` overwrites it\n");
    assert_eq!(project.read("goflame.toml"), b"mine");

    project.goflame(["init", "--force"]).run().code(0);
    project.goflame(["build", "--dry-run"]).run().code(0);
}

#[test]
fn only_benchmarks() {
    let project = two_mains_and_a_benchmark();
    std::fs::remove_dir_all(project.path("cmd")).unwrap();
    project.goflame(["init"]).run().code(0);
    project.goflame(["build", "--dry-run"]).run().code(0).stdout("cd [dir] && go test -c [..] ./basket\n");
}

#[test]
fn no_module() {
    let project = Project::empty();
    project.goflame(["init"]).run().code(5).stdout("").stderr(
        "error: no packages in .: [..]
   help: stand in a directory with a go.mod, or make one: go mod init NAME
",
    );
    assert_eq!(project.names("."), Vec::<String>::new());
}
