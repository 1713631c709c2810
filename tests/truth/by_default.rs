//! Stacks, with the default settings, of code that often does not keep the frame pointer: C code, and assembly of the
//! standard library and of a program.

use std::fs;

use crate::harness::{Project, Run, percent, print_figure, text, tool, wait_for_turn};

/// Number of samples whose folded stack contains `part`, and number of samples whose stack contains `part` and `other`.
fn samples_with(run: &Run, part: &str, other: &str) -> (u64, u64) {
    let folded = fs::read_to_string(run.file("profile.folded")).unwrap();
    let (mut all, mut both) = (0, 0);
    for line in folded.lines().filter(|line| line.contains(part)) {
        let count: u64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        all += count;
        both += if line.contains(other) { count } else { 0 };
    }
    (all, both)
}

#[test]
fn callers_of_cplusplus_code_are_known_without_any_setting() {
    let _alone = wait_for_turn();
    let project = Project::from_workload("ccallers", "[app]\npackage = '.'\nname = 'ccallers'\n");
    let run = project.run(&["--release"]);
    // The name comes from the symbol, because a stripped build has no DWARF. It is a template's demangled name.
    let computing = ";unsigned long work::churn<unsigned long>(unsigned long)";
    let (all, rooted) = samples_with(&run, computing, ";runtime.goexit;runtime.main;main.main;main.");
    let (_, first) = samples_with(&run, computing, ";main.first;");
    print_figure(&format!("C++ by default: {rooted} of {all} rooted, {first} called by main.first"));
    assert!(all > 100 && percent(rooted, all) >= 99.0, "{rooted} of {all}");
    let share = percent(first, all);
    assert!((60.0..73.4).contains(&share), "main.first calls for two thirds of the work: {share}");
    let flags = &run.manifest()["build"]["env"]["CGO_CXXFLAGS"];
    assert_eq!(flags, "-O2 -g -fno-omit-frame-pointer");
}

#[test]
fn without_c_frame_pointers_the_build_has_no_flags_and_the_profile_says_what_is_missing() {
    let _alone = wait_for_turn();
    let settings = "[app]\npackage = '.'\nname = 'ccallers'\n\n[variant.release]\nc_frame_pointers = false\n";
    let project = Project::from_workload("ccallers", settings);
    let run = project.run(&["--release"]);
    assert!(run.manifest()["build"]["env"].get("CGO_CFLAGS").is_none());
    assert!(run.stderr.contains("-fno-omit-frame-pointer"), "{}", run.stderr);
}

#[test]
fn a_saved_register_is_not_shown_as_a_frame_in_callbacks_from_c_code() {
    let _alone = wait_for_turn();
    let project = Project::copy_of("examples/cgo");
    let run = project.run(&["--release"]);
    let (callbacks, unknown) = samples_with(&run, ";crosscall2", "[unknown]");
    print_figure(&format!("callbacks: {unknown} of {callbacks} samples have an unknown frame"));
    assert!(callbacks > 20 && unknown == 0, "{unknown} of {callbacks}");
}

/// Runs tests/workloads/clobber and checks that its stacks are complete.
fn check_assembly(args: &[&str], part: &str, callers: &str) {
    let _alone = wait_for_turn();
    let project = Project::from_workload("clobber", "[app]\npackage = '.'\nname = 'clobber'\n");
    let run = project.run(&[&["--release", "--"], args].concat());
    let (all, rooted) = samples_with(&run, part, callers);
    let sampler = &run.manifest()["sampler"];
    print_figure(&format!("{part}: {rooted} of {all} rooted with {} bytes of stack", sampler["stack"]));
    assert!(all > 50 && percent(rooted, all) >= 99.0, "{rooted} of {all}");
    assert!(sampler["stack_reason"].as_str().unwrap().contains("frames of up to"), "{sampler}");
    // A stack copy of the default size is too short. The warning names a size that is enough.
    let short = project.run(&[&["--release", "--stack", "1024", "--"], args].concat());
    let (all, rooted) = samples_with(&short, part, callers);
    assert!(percent(rooted, all) < 90.0, "the program shows nothing: {rooted} of {all}");
    let (_, after) = short.stderr.split_once("set stack = ").unwrap_or_else(|| panic!("{}", short.stderr));
    let enough = after.split(' ').next().unwrap();
    let run = project.run(&[&["--release", "--stack", enough, "--"], args].concat());
    let (all, rooted) = samples_with(&run, part, callers);
    assert!(percent(rooted, all) >= 99.0, "{rooted} of {all} with {enough} bytes");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn callers_of_the_programs_assembly_that_uses_the_frame_pointer_are_known() {
    check_assembly(&[], ";main.count", "runtime.goexit;runtime.main;main.main;main.outer;main.inner;main.count");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn callers_of_assembly_of_crypto_are_known() {
    check_assembly(&["-sign"], ";p256MulInternal", "runtime.goexit;runtime.main;main.main;main.sign;");
}

/// Lists lines of a module, of a dependency with major version 2, of a sibling module in the workspace, and of the standard
/// library.
#[test]
fn go_tool_pprof_lists_source_lines_without_flags() {
    let _alone = wait_for_turn();
    let project = Project::from_settings("[app]\npackage = './cmd/tool'\n");
    let go_mod = "module example.com/app\n\ngo 1.21\n\nrequire example.com/lib/v2 v2.0.1\n\n\
                  replace example.com/lib/v2 v2.0.1 => ../lib\n";
    fs::create_dir_all(project.path("app/cmd/tool")).unwrap();
    for directory in ["lib", "sibling"] {
        fs::create_dir(project.path(directory)).unwrap();
    }
    let hash = |package: &str, name: &str| {
        format!(
            "package {package}\n\n//go:noinline\nfunc {name}(data []byte) (sum uint64) {{\n\tfor _, x := range data {{\n\
             \t\tsum = (sum ^ uint64(x)) * 1099511628211\n\t}}\n\treturn sum\n}}\n"
        )
    };
    for (file, contents) in [
        ("go.work", "go 1.21\n\nuse (\n\t./app\n\t./sibling\n)\n"),
        ("app/go.mod", go_mod),
        ("app/goflame.toml", "[app]\npackage = './cmd/tool'\n"),
        ("app/cmd/tool/main.go", include_str!("by_default/tool.go")),
        ("lib/go.mod", "module example.com/lib/v2\n\ngo 1.21\n"),
        ("lib/lib.go", &hash("lib", "Hash")),
        ("sibling/go.mod", "module example.com/sibling\n\ngo 1.21\n"),
        ("sibling/sibling.go", &hash("sibling", "Mix")),
    ] {
        project.write(file, contents);
    }
    let mut command = project.goflame();
    command.args(["run", "--json", "--release"]).current_dir(project.path("app"));
    let run = Run::from_output(&crate::harness::run_successfully(&mut command));
    let profile = run.file("profile.pb.gz");
    for (function, line) in [
        ("main.work", "total += sibling.Mix(data)"),
        ("lib/v2.Hash", "sum = (sum ^ uint64(x)) * 1099511628211"),
        ("sibling.Mix", "sum = (sum ^ uint64(x)) * 1099511628211"),
        ("sort.insertionSort$", "data.Less(j, j-1)"),
    ] {
        let listed = text(tool("go").args(["tool", "pprof", "-list", function]).arg(&profile).current_dir("/"));
        assert!(listed.contains(line), "{function}: {listed}");
    }
    let raw = text(tool("go").args(["tool", "pprof", "-raw"]).arg(&profile));
    let (_, mappings) = raw.split_once("Mappings\n").unwrap();
    let build_id = mappings.lines().next().unwrap().split_whitespace().nth(3).unwrap();
    assert!(build_id.len() == 40 && build_id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{mappings}");
    // A report from the archive writes the same profile.
    let mut report = project.goflame();
    report.args(["report", "-f", "pprof", "-o", "again.pb.gz"]).arg(&run.dir).current_dir(project.path("app"));
    text(&mut report);
    assert_eq!(fs::read(project.path("app/again.pb.gz")).unwrap(), fs::read(&profile).unwrap());
}
