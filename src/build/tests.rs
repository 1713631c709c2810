//! Tests of the whole stage, with the real Go on PATH and real modules.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::env;
use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::fixture::{NoProgress, config, module};
use super::*;
use crate::config::goflags::StripFlag;
use crate::config::{Config, Kind, Toolchain};
use crate::gobin::Optimisation;
use crate::process::ExitStatus;

/// Environment in which neither the tester's GOFLAGS nor a download can change these builds.
fn isolated_env() -> BTreeMap<String, String> {
    [("GOENV", "off"), ("GOFLAGS", ""), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn unpinned() -> Toolchain {
    Toolchain::default()
}

fn go(dir: &Path) -> GoTool {
    GoTool::find(dir, &unpinned(), &isolated_env(), &|_| {}).unwrap()
}

/// Returns the config for `module()`, with the isolated environment in each variant.
fn project(dir: &Path) -> Config {
    let mut config = config(dir);
    for variant in config.variants.values_mut() {
        variant.env = isolated_env();
    }
    config
}

fn build(config: &Config) -> Result<Artifact, Error> {
    let variant = config.variants.get(&config.build.variant).unwrap();
    let go = GoTool::find(&config.root, &config.toolchain, &variant.env, &|_| {})?;
    let plan = plan_build(config, Some(&go))?;
    run(&plan, &plan.output, &go, &NoProgress)?;
    Artifact::read(&plan.output, variant, &config.toolchain)
}

fn ids(artifact: &Artifact) -> Vec<&str> {
    artifact.mismatches.iter().map(|mismatch| mismatch.id).collect()
}

/// Returns the first line that the program prints on either stream.
fn first_line(program: &Path, args: &[String]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8([out.stderr, out.stdout].concat()).unwrap().lines().next().unwrap().to_owned()
}

#[test]
fn builds_debug_and_release_as_requested() {
    let dir = module();
    let mut config = project(dir.path());
    let debug = build(&config).unwrap();
    assert_eq!(ids(&debug), [""; 0], "{:?}", debug.mismatches);
    assert_eq!(debug.path, dir.path().join(".goflame/build/debug/app"));
    assert_eq!(debug.facts.optimisation, Optimisation::Debug);
    assert!(debug.facts.dwarf.is_present && !debug.facts.dwarf.is_compressed && debug.facts.has_symtab);
    assert_eq!(first_line(&debug.path, &[]), "40");
    assert_eq!(debug.size, fs::metadata(&debug.path).unwrap().len());
    let sum = Command::new("sha256sum").arg(&debug.path).output().unwrap();
    assert!(String::from_utf8(sum.stdout).unwrap().starts_with(&debug.sha256));

    config.build.variant = "release".to_owned();
    let release = build(&config).unwrap();
    assert_eq!(ids(&release), [""; 0], "{:?}", release.mismatches);
    assert!(matches!(release.facts.optimisation, Optimisation::Optimised { .. }));
    assert_ne!(release.sha256, debug.sha256);
}

#[test]
fn builds_benchmarks_without_running_tests() {
    let dir = module();
    let mut config = project(dir.path());
    config.app.kind = Kind::Bench;
    config.app.package = "./lib".to_owned();
    config.app.name = "lib".to_owned();
    config.workload.args = vec!["-test.benchtime=1x".to_owned()];
    let artifact = build(&config).unwrap();
    assert_eq!(ids(&artifact), [""; 0], "{:?}", artifact.mismatches);
    assert_eq!(artifact.path, dir.path().join(".goflame/build/debug/lib.test"));
    let argv = workload_argv(&config, &artifact.path);
    let out = Command::new(&argv[0]).args(&argv[1..]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success() && text.contains("BenchmarkDouble") && !text.contains("a test ran"), "{text}");
}

#[test]
fn a_dry_run_line_builds_the_same_bytes_in_a_shell() {
    let dir = module();
    let config = project(dir.path());
    let artifact = build(&config).unwrap();
    let line = plan_build(&config, Some(&go(dir.path()))).unwrap().to_string();
    fs::remove_file(&artifact.path).unwrap();
    let out = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(out.status.success(), "{line}\n{out:?}");
    let again = Artifact::read(&artifact.path, config.variants.get("debug").unwrap(), &config.toolchain).unwrap();
    assert_eq!(again.sha256, artifact.sha256);
}

/// Runs this test again as a child, to compare the real standard error with the output of Go alone.
#[test]
fn compile_errors_pass_through_untouched() {
    const CHILD_VARIABLE: &str = "GOFLAME_TEST_BUILD_BROKEN_IN";
    let broken = |dir: &Path| {
        let mut config = project(dir);
        config.app.package = "./cmd/broken".to_owned();
        config
    };
    if let Some(dir) = env::var_os(CHILD_VARIABLE) {
        let config = broken(Path::new(&dir));
        let Err(Error::Failed { status, command, .. }) = build(&config) else { panic!("a broken program was built") };
        assert_eq!(status, ExitStatus::Code(1));
        assert_eq!(command, plan_build(&config, Some(&go(&config.root))).unwrap().to_string());
        return;
    }
    let dir = module();
    let line = plan_build(&broken(dir.path()), Some(&go(dir.path()))).unwrap().to_string();
    let alone = Command::new("sh").args(["-c", &line]).output().unwrap();
    let own = Command::new(env::current_exe().unwrap())
        .args(["--exact", "build::tests::compile_errors_pass_through_untouched"])
        .env(CHILD_VARIABLE, dir.path())
        .output()
        .unwrap();
    assert!(own.status.success(), "{own:?}");
    let (own, alone) = (String::from_utf8(own.stderr).unwrap(), String::from_utf8(alone.stderr).unwrap());
    assert!(alone.contains("undefined: undefined"), "{alone}");
    assert_eq!(own, alone);
}

#[test]
fn a_library_is_not_a_program() {
    let dir = module();
    let mut config = project(dir.path());
    config.app.package = "./lib".to_owned();
    config.app.name = "lib".to_owned();
    let error = build(&config).unwrap_err();
    assert_eq!(error.to_string(), "`./lib` is not a main package: it builds, but not to a program");
    assert!(!error.hints().is_empty());
}

#[test]
fn an_older_test_binary_is_removed_when_the_test_files_are_gone() {
    let dir = module();
    let mut config = project(dir.path());
    config.app.kind = Kind::Bench;
    config.app.package = "./lib".to_owned();
    config.app.name = "lib".to_owned();
    let older = build(&config).unwrap();
    fs::remove_file(dir.path().join("lib/lib_test.go")).unwrap();
    let error = build(&config).unwrap_err();
    assert_eq!(error.to_string(), "`./lib` has no test files, so there are no benchmarks to build");
    assert!(!older.path.exists());
}

#[test]
fn an_output_that_cannot_be_created_is_an_error() {
    let dir = module();
    fs::write(dir.path().join(".goflame"), "a file").unwrap();
    let error = build(&project(dir.path())).unwrap_err();
    assert!(matches!(error, Error::Output { .. }) && error.source().is_some(), "{error:?}");
}

#[test]
fn a_binary_built_with_other_flags_has_mismatches() {
    let dir = module();
    let config = project(dir.path());
    let debug = config.variants.get("debug").unwrap();
    let other = |flags: &[&str]| {
        let out = dir.path().join("other");
        let built = Command::new("go")
            .arg("build")
            .args(flags)
            .args(["-o".as_ref(), out.as_os_str(), "./cmd/app".as_ref()])
            .current_dir(dir.path())
            .envs(isolated_env())
            .status()
            .unwrap();
        assert!(built.success());
        let artifact = Artifact::read(&out, debug, &pin("1.27.3")).unwrap();
        ids(&artifact).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(other(&["-buildvcs=false"]), ["dwarf-compression", "debug-flags", "go-version", "trimpath"]);
    assert_eq!(other(&["-trimpath", "-gcflags=all=-N -l", "-ldflags=-s -w"]), ["symbol-table", "dwarf", "go-version"]);
    assert_eq!(other(&["-trimpath", "-gcflags=-N -l", "-ldflags=-compressdwarf=false"]), ["debug-flags", "go-version"]);
    assert_eq!(
        other(&["-trimpath", "-race", "-gcflags=all=-N -l", "-ldflags=-compressdwarf=false"]),
        ["go-version", "race"]
    );
}

/// Confirms a rule of the plan with the real Go: the command line takes precedence over GOFLAGS.
#[test]
fn ldflags_of_the_variant_replace_those_of_goflags() {
    let dir = module();
    let mut config = project(dir.path());
    let set = |config: &mut Config, goflags: &str| {
        let variant = config.variants.get_mut("debug").unwrap();
        variant.env.insert("GOFLAGS".to_owned(), goflags.to_owned());
    };
    for goflags in ["-ldflags=-s", "'-ldflags=all=-s -w'", "'-gcflags=all=-m=0'"] {
        set(&mut config, goflags);
        assert_eq!(ids(&build(&config).unwrap()), [""; 0], "{goflags}");
    }
    config.variants.get_mut("debug").unwrap().ldflags.clear();
    set(&mut config, "-ldflags=-s");
    assert!(matches!(build(&config).unwrap_err(), Error::Strips { flag: StripFlag::Symbols, .. }));
}

#[test]
fn find_reports_the_settings_of_go() {
    let dir = module();
    let go = go(dir.path());
    let says = |args: &[&str]| {
        let out = Command::new("go").args(args).current_dir(dir.path()).envs(isolated_env()).output().unwrap();
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(go.version, says(&["env", "GOVERSION"]));
    assert_eq!(go.goroot, Path::new(&says(&["env", "GOROOT"])));
    assert_eq!(go.gomodcache, Path::new(&says(&["env", "GOMODCACHE"])));
    assert_eq!((go.goos.as_str(), go.goflags.as_str(), go.gotoolchain.as_str()), ("linux", "", "local"));
    assert_eq!(go.gomod, Some(dir.path().canonicalize().unwrap().join("go.mod")));
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(GoTool::find(empty.path(), &unpinned(), &isolated_env(), &|_| {}).unwrap().gomod, None);
}

#[test]
fn goflags_of_the_variant_are_reported() {
    let dir = module();
    let mut env = isolated_env();
    env.insert("GOFLAGS".to_owned(), "'-ldflags=-s -w' -mod=mod".to_owned());
    assert_eq!(GoTool::find(dir.path(), &unpinned(), &env, &|_| {}).unwrap().goflags, "'-ldflags=-s -w' -mod=mod");
}

#[test]
fn a_missing_go_is_an_error_with_its_name() {
    let env = BTreeMap::from([("PATH".to_owned(), String::new())]);
    let error = GoTool::find(Path::new("/"), &unpinned(), &env, &|_| {}).unwrap_err();
    assert_eq!(error.to_string(), "building needs the Go toolchain");
    assert_eq!(error.source().unwrap().to_string(), "`go` was not found on PATH");
    assert!(error.hints().iter().any(|hint| hint == "PATH is empty" || hint.starts_with("Go is in ")));
}

fn pin(version: &str) -> Toolchain {
    Toolchain { go: version.to_owned(), ..Toolchain::default() }
}

/// Version of the real `go`, without its experiments.
fn version_of_go_on_path() -> String {
    toolchain::bare_version(&go(Path::new("/")).version).to_owned()
}

#[test]
fn an_installed_pin_is_used() {
    let own = version_of_go_on_path();
    let dir = module();
    let mut config = project(dir.path());
    config.toolchain = pin(own.strip_prefix("go").unwrap());
    config.variants.get_mut("debug").unwrap().env.remove("GOTOOLCHAIN");
    let artifact = build(&config).unwrap();
    assert_eq!(ids(&artifact), [""; 0]);
    assert_eq!(artifact.facts.go.unwrap().go_version, own);
}

#[test]
fn a_pin_that_cannot_be_downloaded_is_an_error() {
    let dir = module();
    let error = GoTool::find(dir.path(), &pin("1.98.7"), &isolated_env(), &|_| {}).unwrap_err();
    let own = version_of_go_on_path();
    assert_eq!(
        error.to_string(),
        format!("goflame.toml pins go1.98.7, but `go` is {own} and cannot switch to go1.98.7")
    );
    assert!(!error.hints().is_empty());
    let said = error.source().and_then(std::error::Error::source).unwrap().to_string();
    assert!(said.contains("toolchain not available"), "{said}");
}

/// Creates a directory with a `go` script that runs `first` and then the real go command.
fn go_wrapper(first: &str) -> (tempfile::TempDir, BTreeMap<String, String>) {
    let dir = tempfile::tempdir().unwrap();
    let real = go(Path::new("/")).path;
    let script = format!("#!/bin/sh\n{first}\nexec {} \"$@\"\n", real.display());
    // A child writes the file: a descriptor open for writing here could leak into another test's fork (ETXTBSY).
    let mut child = Command::new("sh")
        .args(["-c", "cat > go && chmod +x go"])
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let path = env::join_paths(
        [dir.path().to_owned()]
            .into_iter()
            .chain(env::split_paths(&env::var_os("PATH").unwrap()).collect::<Vec<PathBuf>>()),
    );
    let mut env = isolated_env();
    env.insert("PATH".to_owned(), path.unwrap().into_string().unwrap());
    (dir, env)
}

#[test]
fn a_go_that_ignores_the_pin_is_an_error() {
    let (bin, env) = go_wrapper("export GOTOOLCHAIN=local");
    let error = GoTool::find(Path::new("/"), &pin("1.27.3"), &env, &|_| {}).unwrap_err();
    let own = version_of_go_on_path();
    assert_eq!(error.to_string(), format!("goflame.toml pins go1.27.3, but `go` is {own} (GOTOOLCHAIN=local)"));
    assert_eq!(GoTool::find(Path::new("/"), &unpinned(), &env, &|_| {}).unwrap().path, bin.path().join("go"));
}

#[test]
fn a_go_with_an_unreadable_answer_is_an_error() {
    let (_bin, env) = go_wrapper("echo hello; exit 0");
    let error = GoTool::find(Path::new("/"), &unpinned(), &env, &|_| {}).unwrap_err();
    assert_eq!(error.to_string(), "cannot read what `go env -json` printed");
    let (_bin, env) = go_wrapper("echo no such luck >&2; exit 2");
    let error = GoTool::find(Path::new("/"), &unpinned(), &env, &|_| {}).unwrap_err();
    assert_eq!(error.to_string(), "`go env` failed");
    assert_eq!(error.source().unwrap().source().unwrap().to_string(), "no such luck");
}

/// Returns the main packages and the packages with benchmarks in a directory.
fn found_packages(dir: &Path) -> Result<[Vec<String>; 2], Error> {
    let found = discover_packages(dir, &go(dir), &BTreeMap::new())?;
    let arguments = |fits: fn(&FoundPackage) -> bool| {
        found.iter().filter(|package| fits(package)).map(|package| package.argument.clone()).collect()
    };
    Ok([arguments(|package| package.is_main), arguments(|package| package.has_benchmarks)])
}

#[test]
fn discovers_programs_and_benchmarks() {
    let dir = module();
    let [mains, benches] = found_packages(dir.path()).unwrap();
    assert_eq!(mains, ["./cmd/app", "./cmd/broken"]);
    assert_eq!(benches, ["./ext", "./lib"]);
    assert_eq!(found_packages(&dir.path().join("cmd/app")).unwrap()[0], ["."]);
}

#[test]
fn discovers_the_modules_below_a_directory_and_those_of_a_workspace() {
    let dir = tempfile::tempdir().unwrap();
    for module in ["a", "deep/b", "testdata/c"] {
        let at = dir.path().join(module);
        fs::create_dir_all(at.join("cmd/x")).unwrap();
        fs::write(at.join("go.mod"), format!("module example.com/{module}\n\ngo 1.21\n")).unwrap();
        fs::write(at.join("cmd/x/main.go"), "package main\n\nfunc main() {}\n").unwrap();
    }
    assert_eq!(found_packages(dir.path()).unwrap()[0], ["./a/cmd/x", "./deep/b/cmd/x"]);
    fs::write(dir.path().join("go.work"), "go 1.21\n\nuse ./a\n").unwrap();
    assert_eq!(found_packages(dir.path()).unwrap()[0], ["./a/cmd/x"]);
    assert_eq!(found_packages(&dir.path().join("a/cmd")).unwrap()[0], ["./x"]);
    let error = found_packages(&dir.path().join("deep")).unwrap_err();
    assert!(error.hints()[0].contains("go work use"), "{error}: {:?}", error.hints());
}

#[test]
fn discovers_through_a_symbolic_link() {
    let dir = module();
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("link");
    std::os::unix::fs::symlink(dir.path(), &link).unwrap();
    assert_eq!(found_packages(&link).unwrap(), found_packages(dir.path()).unwrap());
}

#[test]
fn discovers_nothing_without_a_module() {
    let dir = tempfile::tempdir().unwrap();
    let error = found_packages(dir.path()).unwrap_err();
    assert!(error.to_string().contains("does not contain main module"), "{error}");
    fs::write(dir.path().join("go.mod"), "module x\n").unwrap();
    assert_eq!(found_packages(dir.path()).unwrap(), [[""; 0]; 2]);
    fs::write(dir.path().join("go.mod"), "nonsense\n").unwrap();
    assert!(matches!(found_packages(dir.path()).unwrap_err(), Error::List { .. }));
}
