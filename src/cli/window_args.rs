//! Flags for the sampled window of a server.

use std::time::Duration;

use clap::Args;

use crate::config::parse_duration;

/// The window whose samples count.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recording options")]
pub(super) struct WindowArgs {
    /// Sample for this time, for example 30s, then stop the workload; instead of [workload] duration
    #[arg(short, long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) duration: Option<Duration>,
    /// Start sampling this long after the workload is ready, instead of [workload] warmup
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) warmup: Option<Duration>,
}
