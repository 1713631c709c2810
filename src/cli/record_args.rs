//! Flags of `goflame record`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::shared_args::RecordingArgs;
use crate::config::parse_duration;

const EXAMPLES: &str = "\
Examples:
  goflame record -p 1234 -d 30s       Sample a running process for 30 seconds
  goflame record --name server        Sample a program by its name, until Ctrl-C
  goflame record --container web      Sample all processes of a Docker container
  sudo goflame record -a -d 10s       Sample the whole machine
  goflame record -- ./server -x       Start a command and sample it to its end";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    pub(super) target: TargetArgs,
    /// Longest time of the recording, for example 30s, 1.5s or 2m. A running target runs on; a command is then stopped
    #[arg(short, long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) duration: Option<Duration>,
    /// Directory of the archive, instead of the project's or .goflame
    #[arg(long, value_name = "DIR")]
    pub(super) archive_dir: Option<PathBuf>,
    /// Print the summary of the run as JSON on standard output, and the output of the command on standard error
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) recording: RecordingArgs,
}

/// The target of a recording.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct TargetArgs {
    /// Sample these processes, their threads and their children, existing and new
    #[arg(short, long, value_name = "PID", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(1..))]
    pub(super) pid: Vec<i32>,
    /// Sample the running program with this name
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Sample all processes of this running Docker container
    #[arg(long, value_name = "NAME|ID")]
    pub(super) container: Option<String>,
    /// Sample the whole machine, where it is permitted
    #[arg(short, long)]
    pub(super) all_cpus: bool,
    /// Start this command, and sample it and everything that it starts
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}
