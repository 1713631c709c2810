//! Flags and subcommands. This file only stores what the user typed. The stages combine it with goflame.toml and check
//! it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::benchmark_args::BenchmarkArgs;
use super::explore_args::ExploreArgs;
use super::filter::FilterArgs;
use super::record_args::RecordArgs;
use super::runs_args::RunsCommand;
use super::shared_args::{RecordingArgs, TableArgs};
use super::svg_args::SvgArgs;
use super::window_args::WindowArgs;
use crate::pipeline::{BuildOptions, BuildPair, RunProfile};
use crate::render::Format;
use crate::render::diff::{DiffFormat, WidthSource};
use crate::views::{GroupBy, Normalize};

const EXAMPLES: &str = "\
Examples:
  goflame doctor                    Check this machine
  goflame run                       Profile the app of this project
  goflame report cpu.pb.gz -f svg   Draw the flame graph of any profile";

/// Build, check, run, sample and archive: Cargo-style profiling for Go programs on Linux.
#[derive(Debug, Parser)]
#[command(name = "goflame", version, about, after_help = EXAMPLES, max_term_width = 100, propagate_version = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: CliCommand,
}

/// Options of every subcommand.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(super) struct Global {
    /// Change to this directory first
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(super) directory: Option<PathBuf>,
    /// Configuration file; without this option, goflame.toml of this directory or of a parent
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Print only results, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Print more details
    #[arg(short, long, global = true, overrides_with = "verbose")]
    pub(super) verbose: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true)]
    pub(super) color: Color,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// In a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Also in files and pipes
    Always,
    /// No colour anywhere
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum CliCommand {
    /// Write a commented goflame.toml for the packages in this directory
    Init(InitArgs),
    /// Check whether this machine and this project can be profiled
    Doctor(DoctorArgs),
    /// Build the app in the same way as `run`, and inspect the binary
    Build(BuildArgs),
    /// Build the app, check the machine, run and sample the workload, analyse, archive
    Run(RunArgs),
    /// Sample what runs already, or any command, without a build
    Record(Box<RecordArgs>),
    /// Print tables, a flame graph or another format of a run or of any profile
    Report(Box<ReportArgs>),
    /// Compare two runs or profiles: which functions grew and which shrank, beyond chance
    Diff(Box<DiffArgs>),
    /// List, install and pin Go versions
    #[command(subcommand)]
    Toolchain(ToolchainCommand),
    /// List, show, tag, verify, share and remove archived runs
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man pages to a directory, for packages
    #[command(hide = true)]
    Man {
        /// The directory
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Overwrite an existing goflame.toml
    #[arg(long)]
    pub(super) force: bool,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  goflame doctor                           Check machine and project
  goflame doctor ./app                     Check a binary
  goflame doctor --only pmu,live-probe     Make two checks
  sudo goflame doctor --fix --persist      Repair the kernel settings";

#[derive(Debug, Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct DoctorArgs {
    /// Check this binary instead of the project's
    #[arg(value_name = "BINARY")]
    pub(super) binary: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Count warnings as failures, except those of the group steadiness
    #[arg(long)]
    pub(super) strict: bool,
    /// Count warnings of the group steadiness as failures: they concern comparisons between runs
    #[arg(long)]
    pub(super) steady: bool,
    /// Perform only the checks with these ids, or of these groups: settings, kernel, sampling, toolchain, docker,
    /// binary, steadiness
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(super) only: Vec<String>,
    /// Ignore the checks with these ids, or of these groups
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(super) skip: Vec<String>,
    /// Explain one check: its purpose, the usual causes of a failure, and what to do
    #[arg(long, value_name = "ID", conflicts_with_all = ["binary", "json", "only", "skip", "repair", "undo"])]
    pub(super) explain: Option<String>,
    /// Judge for a user without privileges (the default for --fix and --print-script under sudo)
    #[arg(long)]
    pub(super) unprivileged: bool,
    /// Change kernel settings that prevent profiling (as root), and check again
    #[arg(long, group = "repair", help_heading = "Repair options")]
    pub(super) fix: bool,
    /// Print a shell script that makes the same changes as --fix
    #[arg(long, group = "repair", conflicts_with = "json", help_heading = "Repair options")]
    pub(super) print_script: bool,
    /// With --fix or --print-script: keep the settings after a reboot, in /etc/sysctl.d/99-goflame.conf
    #[arg(long, requires = "repair", help_heading = "Repair options")]
    pub(super) persist: bool,
    /// Undo the changes of --fix and of the script that --print-script prints
    #[arg(
        long,
        conflicts_with_all = ["repair", "json", "only", "skip", "binary", "unprivileged"],
        help_heading = "Repair options"
    )]
    pub(super) undo: bool,
    /// Do not ask for confirmation before --fix and --undo
    #[arg(short, long, help_heading = "Repair options")]
    pub(super) yes: bool,
}

/// Selects the variant.
#[derive(Debug, Args)]
#[command(next_help_heading = "Build options")]
pub(super) struct VariantArgs {
    /// Build the variant [variant.NAME] of goflame.toml
    #[arg(long, value_name = "NAME", conflicts_with = "release")]
    pub(super) variant: Option<String>,
    /// The same as --variant release
    #[arg(long)]
    pub(super) release: bool,
}

impl VariantArgs {
    /// The requested variant. `None` without a flag.
    pub(super) fn name(&self) -> Option<String> {
        if self.release { Some("release".into()) } else { self.variant.clone() }
    }
}

/// Selects the builder, and what it may download and change.
#[derive(Debug, Args)]
#[command(next_help_heading = "Build options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct BuilderArgs {
    /// Build in a container, from [toolchain] image
    #[arg(long, conflicts_with = "native")]
    pub(super) docker: bool,
    /// Build on this machine, even with [build] docker = true
    #[arg(long)]
    pub(super) native: bool,
    /// Mount a directory outside of the project that go.mod or go.work uses into the container
    #[arg(long, value_name = "DIR", env = "GOFLAME_MOUNT", hide_env_values = true, value_delimiter = ':')]
    pub(super) mount: Vec<PathBuf>,
    /// Fail if goflame.lock would change
    #[arg(long)]
    pub(super) locked: bool,
    /// Do not pull images or download modules
    #[arg(long)]
    pub(super) offline: bool,
}

impl BuilderArgs {
    /// Whether to build in Docker; `None` without a flag.
    pub(super) fn in_docker(&self) -> Option<bool> {
        if self.docker { Some(true) } else { self.native.then_some(false) }
    }

    /// The options of the build stage.
    pub(super) fn options(&self) -> BuildOptions {
        BuildOptions { locked: self.locked, offline: self.offline, update_lock: false }
    }
}

/// Package to build.
#[derive(Debug, Args)]
pub(super) struct PackageArg {
    /// Package to build instead of [app] package: a directory such as ./cmd/server, or an import path. Without a
    /// goflame.toml, the default is the only main package here
    #[arg(value_name = "PACKAGE")]
    pub(super) package: Option<String>,
}

const BUILD_EXAMPLES: &str = "\
Examples:
  goflame build ./cmd/server       Build another package than [app] package
  goflame build --release          Build the variant [variant.release]
  goflame build --verify           Build twice and compare the bytes
  goflame build --docker --locked  Build in the container that goflame.lock pins";

#[derive(Debug, Args)]
#[command(after_help = BUILD_EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct BuildArgs {
    #[command(flatten)]
    pub(super) package: PackageArg,
    #[command(flatten)]
    pub(super) variant: VariantArgs,
    #[command(flatten)]
    pub(super) builder: BuilderArgs,
    /// Write goflame.lock again, with the installed Go version and the current digest of the image
    #[arg(long, conflicts_with = "locked")]
    pub(super) update_lock: bool,
    /// Remove the project's caches from the Docker engine, without a build
    #[arg(long, conflicts_with_all = ["update_lock", "plan_only", "print_dockerfile"])]
    pub(super) clean_cache: bool,
    /// Make two builds without caches and compare their bytes
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "twice",
        conflicts_with_all = ["plan_only", "print_dockerfile", "clean_cache"]
    )]
    pub(super) verify: Option<BuildPair>,
    /// Print a Dockerfile with the same steps
    #[arg(long, conflicts_with = "plan_only")]
    pub(super) print_dockerfile: bool,
    /// Print the plan, but do not carry it out
    #[arg(long = "dry-run")]
    pub(super) plan_only: bool,
}

const RUN_EXAMPLES: &str = "\
Examples:
  goflame run                       Profile the debug build, with all calls
  goflame run --release             Rank hot spots in the build that you ship
  goflame run -- --requests 5000    Pass arguments to the workload
  goflame run ./cmd/server          Profile another package than [app] package
  goflame run ./lib --bench Sort    Profile the benchmarks that match Sort
  goflame run -F 499 -f svg,pprof   Sample at 499 Hz and write two formats";

#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) package: PackageArg,
    /// Arguments of the workload, instead of [workload] args
    #[arg(last = true, value_name = "ARGS")]
    pub(super) workload_args: Vec<String>,
    /// Print the plan, but do not carry it out
    #[arg(long = "dry-run")]
    pub(super) plan_only: bool,
    /// Exit with the workload's status (128 + signal for a signal)
    #[arg(long)]
    pub(super) propagate_status: bool,
    /// End with status 0 if the workload fails, and let the run become `latest`
    #[arg(long, conflicts_with = "propagate_status")]
    pub(super) ignore_failure: bool,
    /// Print the summary of the run as JSON on standard output, and the workload's output on standard error
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) variant: VariantArgs,
    #[command(flatten)]
    pub(super) builder: BuilderArgs,
    #[command(flatten)]
    pub(super) benchmarks: BenchmarkArgs,
    #[command(flatten)]
    pub(super) window: WindowArgs,
    #[command(flatten)]
    pub(super) recording: RecordingArgs,
}

const REPORT_EXAMPLES: &str = "\
Examples:
  goflame report                            Tables of the latest run
  goflame report -n 30 --sort cum           Longer tables, by cumulative weight
  goflame report @1 -o before.svg           Flame graph of the run before
  goflame report perf.data                  Tables of a recording of perf
  goflame report latest -f markdown         Tables for a pull request
  perf script | goflame report -            Tables of what another tool recorded
  goflame report --profile heap             Heap profile that the run fetched
  goflame report http://127.0.0.1:6060      CPU profile from net/http/pprof
  goflame report latest --by goroutine      Tables of each goroutine
  goflame report --from 2 --to 3.5          Tables of 2 s to 3.5 s of the run
  goflame report --tree --focus mallocgc    Call tree of what allocates
  goflame report --list '^main.handle$'     Source with the weight of each line";

#[derive(Debug, Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub(super) struct ReportArgs {
    /// A run (id, tag, prefix of an id, latest, or @1 for the one before), a run's directory, a perf.data file, a pprof
    /// profile (gzipped or not), folded stacks, the output of `perf script`, the URL of a program's profile
    /// (http://HOST:PORT/debug/pprof/profile?seconds=10), or - for standard input
    #[arg(default_value = "latest")]
    pub(super) source: String,
    /// Print this format instead of the tables
    #[arg(short, long, value_enum)]
    pub(super) format: Option<Format>,
    /// Sample type of a pprof profile, by name or index; the default is the one of `go tool pprof`
    #[arg(long, value_name = "TYPE", alias = "sample_index")]
    pub(super) sample_type: Option<String>,
    /// Event of a recording, by name; the default is the one with the most samples
    #[arg(long, value_name = "NAME")]
    pub(super) event: Option<String>,
    /// Another profile than the samples: of the time that threads waited in the run, or of Go's runtime, which the run
    /// fetched, or which the program at a URL serves
    #[arg(long, value_enum, value_name = "NAME")]
    pub(super) profile: Option<RunProfile>,
    /// List the parts of the profile, and group its stacks, by process, thread, goroutine, entry (the function that a
    /// goroutine was started with), benchmark, or label:KEY; in pprof's format, all of them except benchmark are labels
    #[arg(long, value_name = "PROPERTY", value_parser = parse_by)]
    pub(super) by: Option<GroupBy>,
    /// Write to this file instead of standard output; without --format, the name tells the format: .svg, .html,
    /// .pb.gz, .folded, .speedscope.json, .firefox.json, .trace.json, .md, .json; with another ending, the tables
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Title of the flame graph and of the other formats
    #[arg(long)]
    pub(super) title: Option<String>,
    #[command(flatten)]
    pub(super) svg: SvgArgs,
    #[command(flatten)]
    pub(super) explore: ExploreArgs,
    #[command(flatten)]
    pub(super) tables: TableArgs,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
}

const DIFF_EXAMPLES: &str = "\
Examples:
  goflame diff                                 The latest two runs
  goflame diff main.pb.gz latest -o diff.svg   Flame graph of the changes
  goflame diff @1 latest --normalize time      CPU seconds instead of shares
  goflame diff @1 latest --units 5000,8000     CPU time of a request
  goflame diff @1 latest -f markdown           Table for a pull request
  goflame diff --variants -o truth.html        Hot spots of only the debug build";

#[derive(Debug, Args)]
#[command(after_help = DIFF_EXAMPLES)]
pub(super) struct DiffArgs {
    /// The old profile: all that `goflame report` takes
    #[arg(default_value = "@1")]
    pub(super) old: String,
    /// The new profile
    #[arg(default_value = "latest")]
    pub(super) new: String,
    /// Compare the release build with the debug build: the latest run of one of them, and the latest of the other with the
    /// same commit, arguments and environment
    #[arg(long, conflicts_with_all = ["old", "new"])]
    pub(super) variants: bool,
    /// How the profiles are made comparable
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub(super) normalize: Normalize,
    /// Units of work that the old and the new program did, such as requests; shows the weight of one unit
    #[arg(long, value_name = "OLD,NEW", value_parser = parse_units, conflicts_with = "normalize")]
    pub(super) units: Option<[f64; 2]>,
    /// The profile whose weights are the widths of the flame graph
    #[arg(long, value_enum, default_value_t)]
    pub(super) width: WidthSource,
    /// Print this format instead of the tables
    #[arg(short, long, value_enum)]
    pub(super) format: Option<DiffFormat>,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,
    /// Write to this file instead of standard output; without --format, the name tells the format: .svg, .html, .md, .json;
    /// with another ending, the tables
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Title of the flame graph, of the page and of the Markdown
    #[arg(long)]
    pub(super) title: Option<String>,
    /// Sample type of pprof profiles, by name or index
    #[arg(long, value_name = "TYPE", alias = "sample_index")]
    pub(super) sample_type: Option<String>,
    /// Event of recordings, by name
    #[arg(long, value_name = "NAME")]
    pub(super) event: Option<String>,
    /// Another profile than the samples: of the time that threads waited in the runs, or of Go's runtime, which the runs
    /// fetched, or which the programs at URLs serve
    #[arg(long, value_enum, value_name = "NAME")]
    pub(super) profile: Option<RunProfile>,
    #[command(flatten)]
    pub(super) tables: TableArgs,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum ToolchainCommand {
    /// List the Go versions on this machine: on PATH, downloaded by the go command, in ~/sdk, of g and of gvm
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Install a Go version with the download of the go command
    Install {
        /// For example 1.27.3
        #[arg(value_name = "VERSION")]
        release: String,
    },
    /// Pin a Go version in goflame.toml
    Use {
        /// For example 1.27.3, or latest for the newest on this machine
        #[arg(value_name = "VERSION")]
        release: String,
    },
}

/// Parses the value of `--by`.
fn parse_by(text: &str) -> Result<GroupBy, String> {
    match text.strip_prefix("label:") {
        Some(key) if !key.is_empty() => Ok(GroupBy::Label(key.to_owned())),
        _ => GroupBy::from_str(text, false)
            .map_err(|_| "expected process, thread, goroutine, entry, benchmark, or label:KEY".to_owned()),
    }
}

/// Parses the value of `--units`.
fn parse_units(text: &str) -> Result<[f64; 2], String> {
    let number = |text: &str| text.trim().parse().ok().filter(|units: &f64| units.is_finite() && *units > 0.0);
    let units = text.split_once(',').and_then(|(old, new)| Some([number(old)?, number(new)?]));
    units.ok_or_else(|| "expected two numbers above 0, such as 5000,8000".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
