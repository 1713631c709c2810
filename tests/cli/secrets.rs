//! Secrets are in no file and in no message of goflame. The output of the program, and the values that it gets, are not
//! changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use goflame::perfdata::unpack;

use crate::harness::Project;

const PROGRAM: &str = "package main

import (
	\"fmt\"
	\"os\"
	\"time\"
)

var apiKey, label string

func main() {
	got := append(os.Args[1:], os.Getenv(\"DB_PASSWORD\"), os.Getenv(\"DSN\"), apiKey, label)
	fmt.Println(len(got), len(fmt.Sprint(got)))
	for start := time.Now(); time.Since(start) < 100*time.Millisecond; {
	}
}
";

const SECRETS: [&str; 8] = [
    "in-arguments",
    "behind-a-flag",
    "in-environment",
    "named-by-user",
    "in-linker-flags",
    "in-build-environment",
    "in-a-url",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
];

const SETTINGS: &str = "[variant.debug]
env = { NPM_TOKEN = \"in-build-environment\", GOPROXY = \"https://me:in-a-url@localhost\" }
ldflags = \"-compressdwarf=false -X main.apiKey=in-linker-flags -X main.label=shown\"
[workload]
env = { DB_PASSWORD = \"in-environment\", DSN = \"named-by-user\" } # was PASSWORD = \"in-environment\"
args = [\"--password=in-arguments\", \"--token\", \"behind-a-flag\", \"--author=me\"]
[report]
title = \"ghp_0123456789abcdefghijABCDEFGHIJ012345\"
[archive]
redact = [\"DSN\"]
";

/// The files below `dir` that hold `text`.
fn files_that_hold(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
        if entry.path().is_dir() {
            found.extend(files_that_hold(&entry.path(), text));
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap();
        let bytes = unpack(&bytes, &[]).unwrap().unwrap_or(bytes);
        if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
            found.push(entry.file_name().into_string().unwrap());
        }
    }
    found.sort();
    found
}

/// Before, secrets were in manifest.json, goflame.toml, goflame.lock, perf.data, summary.json, flamegraph.svg and on
/// the terminal.
#[test]
fn secrets_are_only_in_the_program() {
    for engine in ["native", "perf"] {
        let project = Project::program(PROGRAM, SETTINGS);
        let args = ["--password=in-arguments", "--token", "behind-a-flag", "--author=me"];
        let line = format!("$goflame run -v --engine {engine} -- {}", args.join(" "));
        let run = project.shell(&line).run();
        // The program got all 8 values unmasked: it prints their number and total length.
        let length = "[--password=in-arguments --token behind-a-flag --author=me in-environment named-by-user in-linker-flags shown]";
        run.code(0).stderr_has("     Running .goflame/build/debug/program '--password=***' --token '***' --author=me");
        assert!(run.stdout.starts_with(&format!("8 {}\n", length.len())), "{}", run.stdout);
        let dir = project.path(&project.only_run());
        for secret in SECRETS {
            assert!(!run.stderr.contains(secret), "{secret}: {}", run.stderr);
            // The program contains the values that the linker put into it.
            let in_files: Vec<_> = files_that_hold(&dir, secret).into_iter().filter(|name| name != "program").collect();
            assert_eq!(in_files, [""; 0], "{engine}: {secret}");
            assert!(!String::from_utf8(project.read("goflame.lock")).unwrap().contains(secret), "{secret}");
        }
        let manifest = project.manifest();
        assert_eq!(manifest["workload"]["argv"][1], "--password=***");
        assert_eq!(manifest["workload"]["env"]["DSN"], "***");
        assert_eq!(manifest["build"]["env"]["GOPROXY"], "https://me:***@localhost");
        assert_eq!(manifest["title"], "***");
        let copy = String::from_utf8(project.read(&format!("{}/goflame.toml", project.only_run()))).unwrap();
        assert!(copy.contains("env = { DB_PASSWORD = \"***\", DSN = \"***\" } # was PASSWORD = \"***\"\n"), "{copy}");
        let perf = project.shell(&format!("perf report --header-only -i {}/perf.data", dir.display())).run();
        perf.code(0);
        let cmdline = perf.stdout.lines().find(|line| line.starts_with("# cmdline :")).unwrap();
        assert!(cmdline.contains("--password=*** --token *** --author=me"), "{cmdline}");
    }
}

/// Reads a token into a local variable and computes with it.
const LOCAL_TOKEN: &str = "package main

import (
	\"os\"
	\"time\"
)

func main() {
	text, _ := os.ReadFile(\"token\")
	var token [32]byte
	copy(token[:], text)
	sum := byte(0)
	for start := time.Now(); time.Since(start) < 300*time.Millisecond; {
		for at := range token {
			sum += token[at]
		}
	}
	os.Exit(int(sum & 1 ^ sum & 1))
}
";

/// Before, the stack copies in perf.data contained the secret hundreds of times.
#[test]
fn a_secret_in_a_local_variable_is_only_in_a_raw_recording() {
    const TOKEN: &str = "a-token-that-lies-on-the-stack-1";
    for (settings, expected) in [("", &[][..]), ("[archive]\nraw = true\n", &["perf.data"])] {
        let project = Project::program(LOCAL_TOKEN, settings);
        project.write("token", TOKEN);
        project.goflame(["run"]).run().code(0);
        let run = project.path(&project.only_run());
        assert_eq!(files_that_hold(&run, TOKEN), expected, "{settings}");
        assert_eq!(fs::metadata(run.join("perf.data")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(project.manifest()["sampler"]["raw"], !expected.is_empty());
    }
}

/// Before, the file contained the value, although it is meant to be committed.
#[test]
fn the_lock_detects_a_changed_secret_by_its_digest() {
    let project = Project::program(PROGRAM, "[variant.debug]\nenv = { NPM_TOKEN = \"one\" }\n");
    project.goflame(["build"]).run().code(0);
    let lock = String::from_utf8(project.read("goflame.lock")).unwrap();
    assert!(lock.contains("env = { NPM_TOKEN = \"sha256:"), "{lock}");
    project.goflame(["build", "--locked"]).run().code(0);

    // A lock of an earlier version holds the value itself. The next build without --locked writes the digest.
    let digest = lock.split("NPM_TOKEN = \"").nth(1).unwrap().split('"').next().unwrap();
    let old = lock.replace(digest, "one");
    project.write("goflame.lock", &old);
    project.goflame(["build", "--locked"]).run().code(0).stderr_has("     Warning goflame.lock contains secrets[..]");
    assert_eq!(project.read("goflame.lock"), old.as_bytes());
    project.goflame(["build"]).run().code(0).stderr_has("     Warning goflame.lock contains secrets[..]");
    assert_eq!(project.read("goflame.lock"), lock.as_bytes());
    project.goflame(["build"]).run().code(0).stderr_lacks("[..]contains secrets[..]");

    project.write("goflame.toml", "app.name = \"program\"\n[variant.debug]\nenv = { NPM_TOKEN = \"two\" }\n");
    let changed = project.goflame(["build", "--locked"]).run();
    changed.code(3).stderr_in_order(
        "  cause: - variant.debug.env = { NPM_TOKEN = \"sha256:[..]\" }
         + variant.debug.env = { NPM_TOKEN = \"sha256:[..]\" }
",
    );
}

#[test]
fn plans_dockerfiles_and_errors_have_no_secrets() {
    let project = Project::program("package main\n\nfunc main() { broken }\n", SETTINGS);
    let plan = project.goflame(["run", "--dry-run"]).run();
    plan.code(0).stderr("        Note values that look like secrets are masked (***)\n");
    assert!(plan.stdout.contains("NPM_TOKEN='***'") && plan.stdout.contains("--token '***' --author=me"));
    let file = project.shell("$goflame build --print-dockerfile --config goflame.toml").run();
    file.code(11); // no image
    let build = project.goflame(["build"]).run();
    build.code(5).stderr_has("error: `[..]NPM_TOKEN='***' go build [..]` failed: exit status 1");
    for secret in SECRETS {
        assert!(!plan.stdout.contains(secret) && !build.stderr.contains(secret), "{secret}");
    }
    project
        .write("goflame.toml", "toolchain.image = \"golang:1.27.3\"\n[variant.debug]\nenv = { NPM_TOKEN = \"x y\" }\n");
    let file = project.goflame(["build", "--print-dockerfile"]).run();
    file.code(0);
    assert!(file.stdout.contains("\n# docker build --build-arg NPM_TOKEN=...\nARG NPM_TOKEN\n"), "{}", file.stdout);
    // An error is shown with its line.
    project.write("goflame.toml", "[workload]\nenv = { DB_PASSWORD = \"in-environment\", N = 3 }\n");
    project
        .goflame(["build"])
        .run()
        .code(3)
        .stderr_has("2 | env = { DB_PASSWORD = \"***\", N = 3 }")
        .stderr_has("error: wrong type for `workload.env.N`");
}
