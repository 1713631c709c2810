//! Flags that several commands share.

use clap::Args;

use crate::config::{Engine, EventChoice, Kernel};
use crate::render::Format;
use crate::render::text::{DEFAULT_ROWS, Sort};

/// How a recording is made and shown.
#[derive(Debug, Args)]
pub(super) struct RecordingArgs {
    /// Samples per second and CPU, 1 to 20000
    #[arg(
        short = 'F',
        long = "freq",
        visible_short_alias = 'r',
        visible_alias = "rate",
        value_name = "HZ",
        help_heading = "Recording options"
    )]
    pub(super) frequency: Option<u32>,
    /// The sampler
    #[arg(long, value_enum, help_heading = "Recording options")]
    pub(super) engine: Option<Engine>,
    /// The event to sample
    #[arg(long, value_enum, help_heading = "Recording options")]
    pub(super) event: Option<EventChoice>,
    /// Whether to sample kernel stacks
    #[arg(long, value_enum, help_heading = "Recording options")]
    pub(super) kernel: Option<Kernel>,
    /// Bytes of user stack copied with each sample: a multiple of 8, 0 to 65528
    #[arg(long, value_name = "BYTES", help_heading = "Recording options")]
    pub(super) stack: Option<u32>,
    /// Record also where threads wait, and for how long: `goflame report --profile off-cpu` shows it
    #[arg(long, help_heading = "Recording options")]
    pub(super) off_cpu: bool,
    /// Output formats, separated by commas
    #[arg(short, long, value_enum, value_delimiter = ',', help_heading = "Report options")]
    pub(super) format: Option<Vec<Format>>,
    /// Title of the flame graph
    #[arg(long, help_heading = "Report options")]
    pub(super) title: Option<String>,
    /// Open the flame graph when the run is done, with $BROWSER or xdg-open
    #[arg(long, overrides_with = "no_open", help_heading = "Report options")]
    pub(super) open: bool,
    /// Do not open the flame graph (the default)
    #[arg(long, overrides_with = "open", help_heading = "Report options")]
    pub(super) no_open: bool,
    #[command(flatten)]
    pub(super) tables: TableArgs,
}

/// Size and order of the tables.
#[derive(Debug, Args)]
pub(super) struct TableArgs {
    /// Number of rows of the tables of lines and functions
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = DEFAULT_ROWS, help_heading = "Table options")]
    pub(super) rows: usize,
    /// Order of the table of functions
    #[arg(long, value_enum, default_value_t, help_heading = "Table options")]
    pub(super) sort: Sort,
}
