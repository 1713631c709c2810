//! Subcommands, one file each: parse the flags, call the pipeline once, print the text.

mod build;
mod diff;
mod doctor;
mod explore;
mod generated;
mod init;
mod packages;
mod record;
mod report;
mod run;
mod runs;
mod toolchain;

use std::path::{Path, PathBuf};

pub(super) use build::build;
pub(super) use diff::diff;
pub(super) use doctor::doctor;
pub(super) use generated::{completions, man};
pub(super) use init::init;
pub(super) use record::record;
pub(super) use report::report;
pub(super) use run::run;
pub(super) use runs::runs;
pub(super) use toolchain::toolchain;

use super::failure::Failure;
use super::output::Terminal;
use crate::config::{self, Config, Overrides};
use crate::pipeline::trusted_users;
use crate::redact::MASK;

/// Prints the plan. Lines with masked secrets cannot be pasted into a shell.
fn print_plan(plan: &str, terminal: &Terminal) -> Result<(), Failure> {
    terminal.write_data(plan.as_bytes()).map_err(Failure::Stdout)?;
    if plan.contains(MASK) {
        terminal.report_step("Note", &format!("values that look like secrets are masked ({MASK})"));
    }
    Ok(())
}

/// Project that a command works in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Project<'a> {
    /// Directory in which the command works: `-C`, or the current directory.
    pub(super) dir: &'a Path,
    /// Argument of `--config`.
    pub(super) config: Option<&'a Path>,
}

impl Project<'_> {
    /// Loads the settings. A missing `goflame.toml` is an error.
    fn load_settings(&self, overrides: &Overrides) -> Result<Config, config::Error> {
        config::load(self.dir, self.config, overrides, &trusted_users())
    }

    /// Loads the settings and returns whether they come from a file. Some commands work without a project.
    fn load_settings_or_defaults(&self, overrides: &Overrides) -> Result<(Config, bool), config::Error> {
        match self.load_settings(overrides) {
            Ok(config) => Ok((config, true)),
            Err(config::Error::NotFound { .. }) => Ok((Config::resolve(self.dir, None, overrides)?, false)),
            Err(error) => Err(error),
        }
    }

    /// Resolves a path of the user against the directory.
    pub(super) fn resolve_path(&self, named: impl AsRef<Path>) -> PathBuf {
        // With `join`, the path would begin with a `./` that the user did not type.
        if self.dir == Path::new(".") { named.as_ref().to_owned() } else { self.dir.join(named) }
    }

    /// Returns the directory of the project's archive, for commands that need no other settings.
    fn archive_dir(&self) -> Result<PathBuf, config::Error> {
        Ok(self.load_settings_or_defaults(&Overrides::default())?.0.archive.dir)
    }
}
