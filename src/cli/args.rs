//! Flags and subcommands: this only records what was said; resolving it is the stages' work.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::filter::FilterArgs;
use crate::config;
use crate::pipeline::{self, BuildOptions};
use crate::views;

/// Build, check, run, sample and archive: Cargo-style profiling for Go programs on Linux.
#[derive(Debug, Parser)]
#[command(name = "goflame", version, about, max_term_width = 100, propagate_version = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Flags of every subcommand.
#[derive(Debug, Default, Args)]
pub(super) struct Global {
    /// Change to this directory first
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub(super) directory: Option<PathBuf>,
    /// Read this file instead of looking for goflame.toml
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Option<PathBuf>,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub(super) verbose: bool,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true)]
    pub(super) color: Color,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Declares a flag's values and which setting each of them is.
macro_rules! values {
    ($(#[$doc:meta])* $name:ident for $setting:ty { $($(#[$about:meta])* $value:ident => $to:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
        pub(super) enum $name {
            $($(#[$about])* $value),*
        }

        impl From<$name> for $setting {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$value => Self::$to),*
                }
            }
        }
    };
}

values! {
    /// `--engine`.
    Engine for config::Engine {
        /// goflame itself
        Native => Native,
        /// perf record
        Perf => Perf,
    }
}

values! {
    /// `--event`.
    Event for config::EventChoice {
        /// cycles where the machine counts them, else cpu-clock
        Auto => Auto,
        /// CPU cycles, counted by hardware
        Cycles => Cycles,
        /// The kernel's CPU timer
        CpuClock => CpuClock,
    }
}

values! {
    /// `--kernel`.
    Kernel for config::Kernel {
        /// Where permitted
        Auto => Auto,
        /// Always
        Yes => Yes,
        /// Never
        No => No,
    }
}

values! {
    /// `--verify`.
    Verify for pipeline::Verify {
        /// Where it is built anyway, in two directories
        Twice => Twice,
        /// On this machine and in a container
        Docker => NativeAndDocker,
    }
}

values! {
    /// `--format`.
    Format for config::Format {
        /// Flame graph
        Svg => Svg,
        /// For go tool pprof
        Pprof => Pprof,
        /// Stacks and counts, a line each
        Folded => Folded,
        /// Figures for programs
        Json => Json,
    }
}

values! {
    /// `--by`.
    By for views::By {
        /// Processes, by command name
        Process => Process,
        /// Each thread
        Thread => Thread,
        /// Each goroutine
        Goroutine => Goroutine,
        /// The functions that goroutines were started with
        Entry => Entry,
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write a commented goflame.toml for the packages found here
    Init(Init),
    /// Tell whether this machine and this project can be profiled
    Doctor(Doctor),
    /// Build the app as `run` would, and inspect the binary
    Build(Build),
    /// Build, check, run the workload, sample, analyse, archive
    Run(Run),
    /// Render a run, or any perf.data file, again
    Report(Box<Report>),
    /// See, get and pin versions of Go
    #[command(subcommand)]
    Toolchain(Toolchain),
    /// Look at archived runs
    #[command(subcommand)]
    Runs(Runs),
}

#[derive(Debug, Args)]
pub(super) struct Init {
    /// Overwrite an existing goflame.toml
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct Doctor {
    /// Judge this binary, in place of the project's
    #[arg(value_name = "BINARY")]
    pub(super) binary: Option<PathBuf>,
    /// Print the findings as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Warnings count as failures
    #[arg(long)]
    pub(super) strict: bool,
    /// Make these checks only
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(super) only: Vec<String>,
    /// Let these checks not count
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(super) skip: Vec<String>,
    /// Judge for a user without privileges, though there are some (so do --fix and --print-script under sudo)
    #[arg(long)]
    pub(super) unprivileged: bool,
    /// Change the kernel settings that stand in the way (as root), and check again
    #[arg(long, group = "repair")]
    pub(super) fix: bool,
    /// Print a shell script that makes the same changes
    #[arg(long, group = "repair", conflicts_with = "json")]
    pub(super) print_script: bool,
    /// With --fix or --print-script: keep the settings after a reboot, in /etc/sysctl.d/99-goflame.conf
    #[arg(long, requires = "repair")]
    pub(super) persist: bool,
    /// Take back what --fix has changed
    #[arg(long, conflicts_with_all = ["repair", "json", "only", "skip", "binary", "unprivileged"])]
    pub(super) undo: bool,
    /// Do not ask before --fix and --undo
    #[arg(short, long)]
    pub(super) yes: bool,
}

/// Which build.
#[derive(Debug, Args)]
pub(super) struct VariantArgs {
    /// Build the variant [variant.NAME]
    #[arg(long, value_name = "NAME", conflicts_with = "release")]
    pub(super) variant: Option<String>,
    /// Short for --variant release
    #[arg(long)]
    pub(super) release: bool,
}

impl VariantArgs {
    /// The variant that was asked for.
    pub(super) fn name(&self) -> Option<String> {
        if self.release { Some("release".into()) } else { self.variant.clone() }
    }
}

/// Where it is built, and what that may fetch and change.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags are what they are")]
pub(super) struct PlaceArgs {
    /// Build in a container of [toolchain] image
    #[arg(long, conflicts_with = "native")]
    pub(super) docker: bool,
    /// Build on this machine, whatever [build] docker says
    #[arg(long)]
    pub(super) native: bool,
    /// Fail where goflame.lock would change
    #[arg(long)]
    pub(super) locked: bool,
    /// Pull no image and download no modules
    #[arg(long)]
    pub(super) offline: bool,
}

impl PlaceArgs {
    /// What was said about the place.
    pub(super) fn in_docker(&self) -> Option<bool> {
        if self.docker { Some(true) } else { self.native.then_some(false) }
    }

    /// What was said about the rest.
    pub(super) fn options(&self) -> BuildOptions {
        BuildOptions { locked: self.locked, offline: self.offline, update_lock: false }
    }
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags are what they are")]
pub(super) struct Build {
    #[command(flatten)]
    pub(super) variant: VariantArgs,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// Settle goflame.lock anew: the Go that is here, the image that the name stands for now
    #[arg(long, conflicts_with = "locked")]
    pub(super) update_lock: bool,
    /// Remove the project's caches from the Docker engine, and build nothing
    #[arg(long, conflicts_with_all = ["update_lock", "plan_only", "print_dockerfile"])]
    pub(super) clean_cache: bool,
    /// Build twice, in different directories and from nothing, and compare the bytes; =docker: here and in a container
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "twice",
        conflicts_with_all = ["plan_only", "print_dockerfile", "clean_cache"]
    )]
    pub(super) verify: Option<Verify>,
    /// Print a Dockerfile with the same steps
    #[arg(long, conflicts_with = "plan_only")]
    pub(super) print_dockerfile: bool,
    /// Print the plan and do nothing
    #[arg(long = "dry-run")]
    pub(super) plan_only: bool,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    pub(super) variant: VariantArgs,
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// Samples per second and CPU
    #[arg(short = 'F', long = "freq", visible_short_alias = 'r', visible_alias = "rate", value_name = "HZ")]
    pub(super) frequency: Option<u32>,
    /// Who samples
    #[arg(long, value_enum)]
    pub(super) engine: Option<Engine>,
    /// What is sampled
    #[arg(long, value_enum)]
    pub(super) event: Option<Event>,
    /// Kernel stacks
    #[arg(long, value_enum)]
    pub(super) kernel: Option<Kernel>,
    /// Bytes of user stack copied with each sample
    #[arg(long, value_name = "BYTES")]
    pub(super) stack: Option<u32>,
    /// Output formats
    #[arg(short, long, value_enum, value_delimiter = ',')]
    pub(super) format: Option<Vec<Format>>,
    /// Title of the flame graph
    #[arg(long)]
    pub(super) title: Option<String>,
    /// Print the plan and do nothing
    #[arg(long = "dry-run")]
    pub(super) plan_only: bool,
    /// End with the workload's own status (128 + signal for a signal)
    #[arg(long)]
    pub(super) propagate_status: bool,
    /// Print the summary of the run as JSON on standard output, and the workload's output on standard error
    #[arg(long)]
    pub(super) json: bool,
    /// Arguments for the workload, in place of [workload] args
    #[arg(last = true, value_name = "ARGS")]
    pub(super) workload_args: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Report {
    /// A run (id, prefix, latest, @1), a run's directory, a perf.data file, or a pprof profile (gzipped or not)
    #[arg(default_value = "latest")]
    pub(super) source: String,
    /// Print this format instead of the tables
    #[arg(short, long, value_enum)]
    pub(super) format: Option<Format>,
    /// What of a pprof profile with several sample types, by name or position; else what go tool pprof shows
    #[arg(long, value_name = "TYPE", alias = "sample_index")]
    pub(super) sample_type: Option<String>,
    /// Divide stacks and tables by this. A pprof file has it all as labels, whatever is said here
    #[arg(long, value_enum)]
    pub(super) by: Option<By>,
    #[command(flatten)]
    pub(super) filter: FilterArgs,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Title of the flame graph
    #[arg(long)]
    pub(super) title: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Runs {
    /// List the runs, newest first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a run's manifest says
    Show {
        /// An id, a unique prefix of one, latest, or @1 (the one before)
        #[arg(default_value = "latest")]
        run: String,
        /// Print the manifest itself
        #[arg(long)]
        json: bool,
    },
    /// Compare the files of a run with the hashes in its manifest
    Verify {
        /// An id, a unique prefix of one, latest, or @1 (the one before)
        #[arg(default_value = "latest")]
        run: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Toolchain {
    /// List the versions on this machine: PATH, the go command's downloads, ~/sdk, g, gvm
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Get a version through the go command's own download
    Install {
        /// Such as 1.27.3
        #[arg(value_name = "VERSION")]
        release: String,
    },
    /// Pin a version in goflame.toml
    Use {
        /// Such as 1.27.3
        #[arg(value_name = "VERSION")]
        release: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
