//! Flags of `goflame runs`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum RunsCommand {
    /// List the runs, newest first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the manifest of a run
    Show {
        /// An id, a tag, a unique prefix of an id, its last four characters, latest, or @1 for the one before
        #[arg(default_value = "latest")]
        run: String,
        /// Print the manifest as JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a run a name that all commands take, and that keeps it from being pruned
    Tag {
        /// An id, a tag, a unique prefix of an id, its last four characters, latest, or @1 for the one before
        run: String,
        /// The tag: letters, digits, - and _; another run that has it loses it
        #[arg(value_name = "TAG")]
        name: String,
    },
    /// Remove tags; the runs stay until they are pruned
    Untag {
        /// The tags
        #[arg(required = true, value_name = "TAG")]
        names: Vec<String>,
    },
    /// Compare the files of a run with the hashes in its manifest
    Verify {
        /// An id, a tag, a unique prefix of an id, its last four characters, latest, or @1 for the one before
        #[arg(default_value = "latest")]
        run: String,
    },
    /// Write a run to one file that is safe to share: no program, no logs, no memory, no secrets
    Export {
        /// An id, a tag, a unique prefix of an id, its last four characters, latest, or @1 for the one before
        #[arg(default_value = "latest")]
        run: String,
        /// The file; the default is ID.tar.zst
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Add the programs, which may have secrets built in, so that the recording can be analysed again
        #[arg(long)]
        with_binary: bool,
        /// Add all files of the run, unchanged: it is not safe to share then
        #[arg(long)]
        all: bool,
    },
    /// Add the run of an exported file to the archive, after a check of all its bytes
    Import {
        /// A file that `goflame runs export` wrote
        file: PathBuf,
    },
    /// Write a page about all runs, with trends, to index.html in the archive
    Index {
        /// Open the page in a browser
        #[arg(long)]
        open: bool,
    },
    /// Remove runs, also tagged or damaged ones and those that were not completed
    Rm {
        /// Ids, tags, unique prefixes of ids, latest, or @1 (the one before)
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<String>,
    },
    /// Remove each app's oldest runs without a tag, and all runs that were not completed
    Prune {
        /// How many runs of each app stay, in place of [archive] keep
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
        keep: Option<u32>,
        /// Print the plan and remove nothing
        #[arg(long = "dry-run")]
        plan_only: bool,
    },
}
