//! `goflame runs export` and `import`: nothing secret leaves the machine, and nothing hostile comes in.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use flate2::read::GzDecoder;
use goflame::perfdata::unpack;
use goflame::render::Format;
use goflame::render::diff::DiffFormat;

use crate::harness::Project;

/// Keeps a token from a file on its stack and one from the environment in memory, prints what it got, and burns CPU time.
const PROGRAM: &str = "package main

import (
	\"fmt\"
	\"os\"
	\"time\"
)

var built string

func main() {
	text, _ := os.ReadFile(\"token\")
	var token [32]byte
	copy(token[:], text)
	fmt.Println(os.Args, os.Environ(), built)
	sum := byte(0)
	for start := time.Now(); time.Since(start) < 300*time.Millisecond; {
		for at := range token {
			sum += token[at]
		}
	}
	os.Exit(int(sum & 1 ^ sum & 1))
}
";

const ON_STACK: &str = "planted-on-the-stack-0123456789a";

/// The planted secrets, except the one that the linker writes into the program.
const PLANTED: [&str; 6] = [
    ON_STACK,
    "planted-as-plain-setting",
    "planted-as-password",
    "planted-in-arguments",
    "planted-behind-a-flag",
    "planted-in-build-env",
];

const BUILT_IN: &str = "planted-in-the-program";

const SETTINGS: &str = "[variant.debug]
env = { SOME_PATH = \"planted-in-build-env\" }
ldflags = \"-compressdwarf=false -X main.built=planted-in-the-program\"
[workload]
env = { SETTING = \"planted-as-plain-setting\", DB_PASSWORD = \"planted-as-password\" }
args = [\"--password=planted-in-arguments\", \"--token\", \"planted-behind-a-flag\"]
[report]
formats = [\"svg\", \"html\", \"pprof\", \"folded\"]
";

fn project_with_run(settings: &str) -> (Project, String) {
    let project = Project::program(PROGRAM, settings);
    project.write("token", ON_STACK);
    project.goflame(["run", "--quiet"]).run().code(0);
    let id = project.only_run().rsplit('/').next().unwrap().to_owned();
    (project, id)
}

/// The files of an export, unpacked by tar and zstd of the system.
fn unpack_export(project: &Project, file: &str) -> BTreeMap<String, Vec<u8>> {
    let dir = project.path(&format!("unpacked-{file}"));
    fs::create_dir_all(&dir).unwrap();
    project.shell(&format!("tar --zstd -xf {file} -C {}", dir.display())).run().code(0);
    let mut files = BTreeMap::new();
    let mut dirs = vec![dir.clone()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                dirs.push(entry);
            } else {
                let name = entry.strip_prefix(&dir).unwrap().components().skip(1).collect::<std::path::PathBuf>();
                files.insert(name.display().to_string(), fs::read(&entry).unwrap());
            }
        }
    }
    files
}

/// Returns the bytes, and the decoded contents of all compressed recordings, gzip streams and base64 texts in them.
fn decoded_layers(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![bytes.to_vec()];
    all.extend(unpack(bytes, &[]).unwrap());
    let mut unzipped = Vec::new();
    if GzDecoder::new(bytes).read_to_end(&mut unzipped).is_ok() {
        all.extend(decoded_layers(&unzipped));
    }
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    for run in bytes.chunk_by(|a, b| is_base64(a) == is_base64(b)).filter(|run| run.len() > 100 && is_base64(&run[0])) {
        if let Ok(decoded) = STANDARD.decode(run) {
            all.extend(decoded_layers(&decoded));
        }
    }
    all
}

fn format_names<F: ValueEnum>() -> Vec<String> {
    F::value_variants().iter().map(|format| format.to_possible_value().unwrap().get_name().to_owned()).collect()
}

#[track_caller]
fn assert_has_no_secrets(name: &str, bytes: &[u8], secrets: &[&str]) {
    for layer in decoded_layers(bytes) {
        for secret in secrets {
            let found = layer.windows(secret.len()).filter(|part| *part == secret.as_bytes()).count();
            assert_eq!(found, 0, "{secret} is in {name}");
        }
    }
}

#[test]
fn planted_secrets_are_in_nothing_that_is_handed_on() {
    let (project, id) = project_with_run(SETTINGS);
    let export = project.goflame(["runs", "export"]).run();
    export.code(0).stdout("").stderr_in_order(&format!(
        "    Exported 8 files of run {id}, [..] MB
    Left out bin/program: code of programs, with what is built into it; --with-binary adds it
    Left out goflame.lock, goflame.toml: settings, which may hold values of the environment
    Left out symbols/[..]: useful only with the programs; --with-binary adds it
    Left out stderr.log, stdout.log: what the program printed
    Left out the values of [..] environment variables
       Wrote {id}.tar.zst
"
    ));
    let files = unpack_export(&project, &format!("{id}.tar.zst"));
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "LEFT-OUT.txt",
            "flamegraph.svg",
            "manifest.json",
            "perf.data",
            "profile.folded",
            "profile.pb.gz",
            "report.html",
            "runtime.json",
            "summary.json"
        ]
    );
    let everywhere = [PLANTED.as_slice(), &[BUILT_IN]].concat();
    for (name, bytes) in &files {
        // The manifest has the flags of the linker, which hold a planted secret.
        let secrets = if name == "manifest.json" { &PLANTED[..] } else { &everywhere };
        assert_has_no_secrets(name, bytes, secrets);
    }
    assert!(decoded_layers(&files["report.html"]).len() > 2, "the data of the page was looked into");
    let left_out = String::from_utf8(files["LEFT-OUT.txt"].clone()).unwrap();
    assert!(left_out.contains("  stdout.log (") && left_out.contains(" environment variables"));
    let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(manifest["workload"]["env"]["SETTING"], "***");
    assert!(manifest["build"]["command"].as_str().unwrap().contains("SOME_PATH='***'"), "{manifest:#}");
    // Reports are the same bytes as in the run, except the page, which has no source here.
    for name in ["flamegraph.svg", "profile.folded", "profile.pb.gz", "summary.json"] {
        assert!(files[name] == project.read(&format!(".goflame/runs/{id}/{name}")), "{name}");
    }
    // The outputs of `goflame report` and `diff`.
    for format in format_names::<Format>() {
        project.goflame(["report", "-f", &format, "-o", "out"]).run().code(0);
        assert_has_no_secrets(&format, &project.read("out"), &everywhere);
    }
    for format in format_names::<DiffFormat>() {
        project.goflame(["diff", "latest", "latest", "-f", &format, "-o", "out"]).run().code(0);
        assert_has_no_secrets(&format, &project.read("out"), &everywhere);
    }
    project.goflame(["runs", "index"]).run().code(0);
    assert_has_no_secrets("index.html", &project.read(".goflame/index.html"), &everywhere);

    // `--with-binary` adds programs. They hold only the secret of the linker.
    project
        .goflame(["runs", "export", "--with-binary", "-o", "full.tar.zst"])
        .run()
        .code(0)
        .stderr_has("     Warning the programs are in it, with all that is built into them");
    let files = unpack_export(&project, "full.tar.zst");
    assert!(files.contains_key("bin/program") && files.contains_key("symbols/vdso.so"));
    for (name, bytes) in &files {
        assert_has_no_secrets(name, bytes, &PLANTED);
    }
    // `--all` adds every file, with a warning.
    project.goflame(["runs", "export", "--all", "-o", "all.tar.zst"]).run().code(0).stderr_has(
        "     Warning everything is in it, also the program, its output and values of its environment: share it with care",
    );
    let files = unpack_export(&project, "all.tar.zst");
    assert!(String::from_utf8_lossy(&files["stdout.log"]).contains("planted-as-plain-setting"));
    assert_eq!(files["goflame.toml"], project.read(&format!(".goflame/runs/{id}/goflame.toml")));
}

#[test]
fn a_recording_with_stack_bytes_is_left_out() {
    let (project, _) = project_with_run(&format!("{SETTINGS}[archive]\nraw = true\n"));
    let raw = project.read(&format!("{}/perf.data", project.only_run()));
    assert!(raw.windows(ON_STACK.len()).any(|part| part == ON_STACK.as_bytes()), "the test plants a secret");
    let export = project.goflame(["runs", "export", "--with-binary", "-o", "e.tar.zst"]).run();
    export.code(0).stderr_has("    Left out [..]perf.data: pieces of the program's memory");
    for (name, bytes) in &unpack_export(&project, "e.tar.zst") {
        assert_has_no_secrets(name, bytes, &PLANTED);
    }
    // The import shows the profile of the export.
    let other = Project::empty();
    let import = other.goflame(["runs", "import"]).arg(project.path("e.tar.zst")).run();
    import.code(0);
    let tables = other.goflame(["report"]).run();
    assert!(tables.code(0).stdout.contains("main.main"), "{}", tables.stdout);
}

#[test]
fn an_export_is_the_same_on_another_machine_and_after_an_import() {
    let (project, id) = project_with_run(SETTINGS);
    project.goflame(["runs", "tag", "latest", "mine"]).run().code(0);
    project.goflame(["runs", "export", "-o", "first.tar.zst"]).run().code(0);
    let first = project.read("first.tar.zst");
    // Another directory, time, time zone, umask and language, and no settings and programs.
    let other = Project::empty();
    project.shell(&format!("cp -r .goflame {}", other.path("copied").display())).run().code(0);
    other.write("goflame.toml", "archive.dir = \"copied\"\n");
    let line = "umask 077; $goflame runs export -o second.tar.zst";
    let there = other.shell(line).env("TZ", "Asia/Tokyo").env("LC_ALL", "C").env("HOME", "/nonexistent").run();
    there.code(0);
    assert!(other.read("second.tar.zst") == first, "on another machine");

    let colleague = Project::empty();
    let import = colleague.goflame(["runs", "import"]).arg(project.path("first.tar.zst")).run();
    import.code(0).stdout("").stderr_in_order(&format!(
        "    Verified 8 files of run {id}
    Left out bin/program: code of programs, with what is built into it; --with-binary adds it
    Imported .goflame/runs/{id}; it is the newest run now
"
    ));
    colleague.goflame(["runs", "verify"]).run().code(0);
    // Reports use the function names in the export, because the program is not on this machine.
    let folded = colleague.goflame(["report", "-f", "folded"]).run();
    assert!(folded.code(0).stdout.contains("main.main"), "{}", folded.stdout);
    let show = colleague.goflame(["runs", "show"]).run();
    assert!(show.code(0).stdout.contains("\n  left out  bin/program "), "{}", show.stdout);
    colleague.goflame(["diff", "latest", "latest"]).run().code(0);
    colleague.goflame(["runs", "export", "-o", "third.tar.zst"]).run().code(0);
    assert!(colleague.read("third.tar.zst") == first, "after an import");
    colleague
        .goflame(["runs", "import"])
        .arg(project.path("first.tar.zst"))
        .run()
        .code(10)
        .stderr(&format!("error: run {id} already exists\n   help: `goflame runs rm {id}` removes it\n"));

    // With the programs, the recording itself is analysed.
    project.goflame(["runs", "export", "--with-binary", "-o", "full.tar.zst"]).run().code(0);
    let full = Project::empty();
    full.goflame(["runs", "import"]).arg(project.path("full.tar.zst")).run().code(0);
    let report = full.goflame(["report", "-f", "svg"]).run();
    report.code(0).stderr_has(&format!("   Analysing [..] samples of run {id} in [..] s"));
    assert_eq!(report.stdout.as_bytes(), project.read(&format!(".goflame/runs/{id}/flamegraph.svg")));
}

#[test]
fn a_changed_run_is_not_exported_and_a_damaged_export_is_not_imported() {
    let (project, id) = project_with_run(SETTINGS);
    project.goflame(["runs", "export", "-o", "e.tar.zst"]).run().code(0);
    project.write(&format!(".goflame/runs/{id}/profile.folded"), "changed");
    project.goflame(["runs", "export", "-o", "changed.tar.zst"]).run().code(10).stdout("").stderr(&format!(
        "error: 1 files of run {id} have changed since they were archived\n   help: `goflame runs verify {id}` names them\n"
    ));
    assert!(!project.path("changed.tar.zst").exists());

    let other = Project::empty();
    let whole = project.read("e.tar.zst");
    other.write("short.tar.zst", &whole[..whole.len() - 1]);
    other.goflame(["runs", "import", "short.tar.zst"]).run().code(7).stdout("").stderr_in_order(
        "error: short.tar.zst is refused
  cause: it is not a whole tar archive in Zstandard frames
",
    );
    // Before: two more causes, the first of which was `BadMagicNumber(1819047270)`.
    let picture = Project::empty();
    picture.write("d.svg", "<svg>");
    picture.goflame(["runs", "import", "d.svg"]).run().code(7).stdout("").stderr(
        "error: d.svg is refused
  cause: it is not a whole tar archive in Zstandard frames
  cause: Read wrong magic number: [..]
   help: `goflame runs export` writes what can be imported; copy the file again if it was cut off
",
    );
    // Made with tools that anybody has: a link out of the run, and a file that the manifest does not list.
    for (change, cause) in [
        ("ln -s /etc/passwd $run/link", "[..]/link\" in it is a symbolic link, and only plain files are accepted"),
        ("echo x > $run/zzz", "zzz: not in the manifest"),
        ("echo x >> $run/profile.folded", "profile.folded: changed: [..] bytes instead of [..]"),
    ] {
        let line = format!(
            "set -e; rm -rf work; mkdir work; tar --zstd -xf {} -C work; cd work; run=$(ls); {change}; \
             tar --zstd -cf ../bad.tar.zst $run/manifest.json $(find $run -mindepth 1 ! -type d ! -name manifest.json | sort)",
            project.path("e.tar.zst").display()
        );
        other.shell(&line).run().code(0);
        fs::remove_dir_all(other.path("work")).unwrap();
        let import = other.goflame(["runs", "import", "bad.tar.zst"]).run();
        import.code(7).stdout("").stderr_has(&format!("  cause: {cause}"));
        assert_eq!(other.names("."), ["bad.tar.zst", "short.tar.zst"], "nothing was written");
    }
    for (file, code) in [("nosuch", 10), (".", 10), ("/dev/null", 10)] {
        other.goflame(["runs", "import", file]).run().code(code);
    }
    assert!(!Path::new(&other.path(".goflame")).exists());
}
