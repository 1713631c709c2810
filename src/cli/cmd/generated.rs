//! `goflame completions` and `goflame man`: files made from the same definitions as `--help`.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::args::Cli;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::fsio::{self, FileError};

pub(in crate::cli) fn completions(shell: Shell, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "goflame", &mut script);
    terminal.write_data(&script).map_err(Failure::Stdout)?;
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn man(dir: &Path) -> Result<ExitCode, Failure> {
    fsio::create_dir_all(dir).map_err(Failure::File)?;
    let written = clap_mangen::generate_to(Cli::command(), dir);
    written.map_err(|source| Failure::File(FileError::new("write the man pages to", dir, source)))?;
    Ok(ExitCode::SUCCESS)
}
