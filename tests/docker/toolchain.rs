//! Several versions of Go on one machine.

use std::process::Command;

use crate::harness::Project;

/// A program that prints the version of the Go that built the program.
const VERSION: &str = "package main\n\nimport \"runtime\"\n\nfunc main() { println(runtime.Version()) }\n";

/// The Go on PATH, and another release that the go command can fetch.
fn versions() -> (String, String) {
    let out = Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").output().unwrap();
    let own = String::from_utf8(out.stdout).unwrap().trim().trim_start_matches("go").to_owned();
    let other = if own == "1.25.5" { "1.25.4" } else { "1.25.5" };
    (own, other.to_owned())
}

#[test]
fn two_projects_are_built_each_with_its_own_version() {
    let (own, other) = versions();
    let projects = [own.as_str(), other.as_str()].map(|version| {
        let project = Project::program(VERSION, "# mine\n[build]\nvariant = \"release\" # always\n");
        // Uses the real network: the go command downloads and checks the version.
        let install = project.goflame(["toolchain", "install", version]).run();
        install.code(0).stderr_has(&format!("   Installed go{version} in [..]"));
        let pin = project.goflame(["toolchain", "use", version]).run();
        pin.code(0).stdout("").stderr(&format!("      Pinned go{version} (goflame.toml)\n"));
        (project, version)
    });
    for (project, version) in &projects {
        let text = String::from_utf8(project.read("goflame.toml")).unwrap();
        assert!(text.contains("# mine") && text.contains("# always") && text.contains(&format!("go = \"{version}\"")));
        let run = project.goflame(["build"]).run();
        run.code(0).stderr_has(&format!("     Locking go{version} (goflame.lock)"));
        project.shell(".goflame/build/release/program").run().code(0).stderr(&format!("go{version}\n"));
        let lock = String::from_utf8(project.read("goflame.lock")).unwrap();
        assert!(lock.contains(&format!("[native]\ngo = \"{version}\"\n")), "{lock}");
        let list = project.goflame(["toolchain", "list"]).run();
        list.code(0);
        let pinned = |line: &&str| line.ends_with("  pinned by goflame.toml");
        let pinned: Vec<_> = list.stdout.lines().filter(pinned).collect();
        assert!(pinned.len() == 1 && pinned[0].starts_with(&format!("go{version} ")), "{}", list.stdout);
        assert!(list.stdout.contains(&format!("go{own} ")) && list.stdout.contains(&format!("go{other} ")));
    }

    // If the settings pin no version, the lock pins one until `--update-lock`.
    let (project, _) = &projects[1];
    project.write("goflame.toml", "app.name = \"program\"\nbuild.variant = \"release\"\n");
    project.goflame(["build", "--locked"]).run().code(0).stderr_has(&format!("      Pinned go{other} (goflame.lock)"));
    project.shell(".goflame/build/release/program").run().stderr(&format!("go{other}\n"));
    project
        .goflame(["build", "--dry-run"])
        .run()
        .code(0)
        .stdout(&format!("cd [dir] && [..]GOTOOLCHAIN=go{other} go build [..]\n"));
    project
        .goflame(["build", "--update-lock"])
        .run()
        .code(0)
        .stderr_has(&format!("     Locking go{own} (goflame.lock)"));
    project.shell(".goflame/build/release/program").run().stderr(&format!("go{own}\n"));

    // The lock pins a version that does not exist.
    let lock = String::from_utf8(project.read("goflame.lock")).unwrap();
    project.write("goflame.lock", lock.replace(&own, "1.98.7"));
    let absent = project.goflame(["build"]).env("GOPROXY", "off").run();
    absent
        .code(4)
        .stderr_has(&format!("error: goflame.lock pins go1.98.7, but `go` is go{own} and cannot switch to go1.98.7"))
        .stderr_has("   help: `goflame toolchain install 1.98.7` fetches it")
        .stderr_has("   help: `goflame build --update-lock` pins the installed Go instead");
    project
        .goflame(["toolchain", "list"])
        .run()
        .code(0)
        .stderr("     Warning goflame.lock pins go1.98.7, which is not installed: goflame toolchain install 1.98.7\n");
}

#[test]
fn invalid_versions_are_refused() {
    let project = Project::program(VERSION, "");
    project
        .goflame(["toolchain", "use", "go1.27"])
        .run()
        .code(2)
        .stdout("")
        .stderr("error: `1.27` is not an exact Go release; did you mean `1.27.0`?\n");
    // An earlier version refused the name that the go command prints.
    project.goflame(["toolchain", "use", "go1.27.3"]).run().code(0).stderr_has("      Pinned go1.27.3 (goflame.toml)");
    project.goflame(["toolchain", "install", "1.27"]).run().code(2);
    let absent = project.goflame(["toolchain", "install", "1.98.7"]).env("GOPROXY", "off").run();
    absent.code(5).stdout("").stderr_has("error: cannot download go1.98.7: `go` failed: exit status 1");
    project.goflame(["toolchain", "use", "1.98.7"]).run().code(0).stderr(
        "      Pinned go1.98.7 (goflame.toml)
        Note it is not installed: goflame toolchain install 1.98.7
",
    );
    let list = project.goflame(["toolchain", "list", "--json"]).run();
    let list: serde_json::Value = serde_json::from_str(&list.code(0).stdout).unwrap();
    assert_eq!(list["pinned"]["version"], "go1.98.7");
    assert!(list["toolchains"].as_array().unwrap().iter().any(|go| go["origin"] == "path"), "{list}");
}
