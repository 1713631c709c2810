//! Invalid settings and command lines: exit codes 3 and 2, and their messages.

use crate::harness::Project;

/// Asserts that `goflame build` with this goflame.toml ends with exit code 3 and exactly this message.
#[track_caller]
fn assert_rejected(config: &str, stderr: &str) {
    Project::with_config(config).goflame(["build"]).run().code(3).stderr(stderr).stdout("");
}

#[test]
fn a_wrong_key_is_an_error_with_its_line() {
    assert_rejected(
        "[app]\npakage = \".\"\n",
        "error: unknown key `pakage` in `[app]`
 --> goflame.toml:2:1
  |
2 | pakage = \".\"
  | ^^^^^^ did you mean `package`?
",
    );
}

#[test]
fn a_wrong_table_is_an_error_with_its_line() {
    assert_rejected(
        "[worklaod]\nargs = []\n",
        "error: unknown table `[worklaod]`
 --> goflame.toml:1:2
  |
1 | [worklaod]
  |  ^^^^^^^^ did you mean `[workload]`?
",
    );
}

#[test]
fn a_wrong_type_is_an_error_with_its_line() {
    assert_rejected(
        "[record]\nfrequency = \"997\"\n",
        "error: wrong type for `record.frequency`
 --> goflame.toml:2:13
  |
2 | frequency = \"997\"
  |             ^^^^^ expected an integer, found a string
  |
  = help: write it without quotes: `997`
",
    );
}

/// Before, the errors were "invalid mantissa" and "expected digits", which do not name the cause.
#[test]
fn a_path_without_quotes_is_said_to_lack_them() {
    assert_rejected(
        "[app]\npackage = ./server # main\n",
        "error: the string has no quotes
 --> goflame.toml:2:11
  |
2 | package = ./server # main
  |           ^^^^^^^^ expected quotes around it
",
    );
}

#[test]
fn broken_toml_is_an_error_with_its_line() {
    let project = Project::with_config("[app\n");
    project.goflame(["build"]).run().code(3).stderr_has(" --> goflame.toml:1:5").stdout("");
}

#[test]
fn flags_that_strip_are_refused_with_the_reason() {
    assert_rejected(
        "[variant.debug]\nldflags = \"-X main.version=1 -s\"\n",
        "error: invalid value for `variant.debug.ldflags`
 --> goflame.toml:2:30
  |
2 | ldflags = \"-X main.version=1 -s\"
  |                              ^^ `-s` strips the symbol table and the debug information that a profile needs
  |
  = help: it costs no speed to keep them: leave the flag out
",
    );
}

#[test]
fn features_of_later_versions_are_not_silently_accepted() {
    assert_rejected(
        "[workload]\nrepeat = 3\n",
        "error: `workload.repeat = 3` is not yet available
 --> goflame.toml:2:10
  |
2 | repeat = 3
  |          ^ not yet available
  |
  = help: only `1` works today
",
    );
}

#[test]
fn a_missing_file_is_an_error_with_advice() {
    Project::empty().goflame(["toolchain", "use", "1.27.3"]).run().code(3).stdout("").stderr(
        "error: no goflame.toml in [dir] or any directory above it
   help: `goflame init` creates one
",
    );
}

#[test]
fn a_missing_file_given_by_flag_is_an_error() {
    let project = Project::empty();
    project.goflame(["run", "--config", "other.toml"]).run().code(3).stdout("").stderr(
        "error: cannot read other.toml
  cause: No such file or directory (os error 2)
",
    );
}

#[test]
fn a_directory_instead_of_the_file_is_an_error() {
    let project = Project::empty();
    project.write("goflame.toml/x", "");
    project.goflame(["run"]).run().code(3).stdout("").stderr(
        "error: cannot read goflame.toml
  cause: it is a directory, not a file
",
    );
}

#[test]
fn an_empty_file_is_valid() {
    let project = Project::program("package main\n\nfunc main() {}\n", "");
    project.write("goflame.toml", "");
    project.goflame(["build"]).run().code(0);
}

#[test]
fn the_file_is_found_from_a_subdirectory() {
    let project = Project::program("package main\n\nfunc main() {}\n", "");
    project.write("below/deeper/x", "");
    let dry_run = |below: &str| project.goflame(["build", "--dry-run"]).dir(project.path(below)).run().stdout;
    assert_eq!(dry_run("below/deeper"), dry_run(""));
}

#[test]
fn a_missing_directory_for_c_is_an_error() {
    let project = Project::empty();
    project.goflame(["-C", "none", "run"]).run().code(2).stdout("").stderr("error: none is not a directory\n");
}

#[test]
fn c_changes_the_directory_for_everything() {
    let project = Project::with_config("");
    project.write("there/goflame.toml", "[app]\nnope = 1\n");
    project.goflame(["-C", "there", "build"]).run().code(3).stderr_has(" --> there/goflame.toml:2:1");
}

#[test]
fn wrong_command_lines_are_errors_with_exit_code_2() {
    let project = Project::with_config("");
    for (line, said) in [
        ("frob", "error: unrecognized subcommand `frob`"),
        // clap suggests `runs`.
        ("rnu", "   help: a similar subcommand exists: `run`"),
        ("run --frequency", "error: unexpected argument `--frequency` found"),
        ("run --freq fast", "error: invalid value `fast` for `--freq <HZ>`: expected a whole number"),
        ("record -p server", "   help: `--name server` samples the running program with this name"),
        ("run --freq 0", "error: invalid value for `--freq`: [..]"),
        ("run --stack 12", "error: invalid value for `--stack`: [..]"),
        ("run --variant nope", "error: invalid value for `--variant`: [..]"),
        ("build --variant debug --release", "error: the argument `--variant <NAME>` cannot be used with `--release`"),
        ("report --format hmtl", "error: invalid value `hmtl` for `--format <FORMAT>`"),
        (
            "run -o x.svg",
            "   help: `goflame report -o x.svg` writes the newest run to a file, in the format of its name",
        ),
        ("record ./server -x", "   help: a command comes after `--`: `goflame record -- ./server`"),
        ("run --benchtime abc", "error: invalid value `abc` for `--benchtime <T>`: expected a time such as [..]"),
        ("--quiet --verbose run", "error: the argument `--quiet` cannot be used with `--verbose`"),
    ] {
        project.shell(&format!("$goflame {line}")).run().code(2).stderr_has(said).stdout("");
    }
    project.goflame([]).run().code(2).stderr_has("Usage: goflame [OPTIONS] <COMMAND>").stdout("");
}

#[test]
fn help_and_version_are_data() {
    let project = Project::empty();
    project.goflame(["--version"]).run().code(0).stdout("goflame [..]\n").stderr("");
    let help = project.goflame(["run", "--help"]).run();
    help.code(0).stderr("");
    assert!(help.stdout.contains("--propagate-status"), "{}", help.stdout);
}

/// Before, errors in the command line had clap's form, and errors without a line that of rustc.
#[test]
fn all_errors_have_one_form() {
    let project = Project::empty();
    let refused = |line: &str| project.shell(&format!("$goflame {line}")).run();
    refused("run --foo").code(2).stderr(
        "error: unexpected argument `--foo` found
   help: to pass `--foo` as a value, use `-- --foo`
   help: the usage is `goflame run [..]`
   help: `--help` explains all flags and arguments
",
    );
    refused("report -f png").code(2).stderr(
        "error: invalid value `png` for `--format <FORMAT>`
   help: possible values: svg, html, pprof, folded, speedscope, firefox, chrome-trace, markdown, json
   help: `--help` explains all flags and arguments
",
    );
    refused("report --focus 'main.('").code(2).stderr(
        "error: invalid value `main.(` for `--focus <REGEX>`: regex parse error: unclosed group
   help: `--help` explains all flags and arguments
",
    );
    refused("runs rm").code(2).stderr_has("error: the following required arguments were not provided: <RUN>...");
}
