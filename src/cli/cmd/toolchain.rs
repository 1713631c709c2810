//! `goflame toolchain`.

use std::process::ExitCode;

use serde_json::json;

use super::Project;
use crate::build::Installer;
use crate::cli::args::ToolchainCommand;
use crate::cli::failure::Failure;
use crate::cli::output::Terminal;
use crate::config::{Overrides, check_version};
use crate::fsio;
use crate::pipeline;
use crate::render::columns;

/// Version of the format of `--json`.
const SCHEMA_VERSION: u32 = 1;

pub(in crate::cli) fn toolchain(
    project: &Project<'_>,
    args: &ToolchainCommand,
    terminal: &Terminal,
) -> Result<ExitCode, Failure> {
    match args {
        ToolchainCommand::List { json } => print_toolchains(project, *json, terminal),
        ToolchainCommand::Install { release } => {
            let version = release.strip_prefix("go").unwrap_or(release);
            require_version(version)?;
            let go = pipeline::install_toolchain(version)?;
            terminal.report_step("Installed", &format!("{} in {}", go.version, go.goroot.display()));
            Ok(ExitCode::SUCCESS)
        }
        ToolchainCommand::Use { release } => {
            // The list begins with the newest.
            let newest = pipeline::list_toolchains().into_iter().find(|_| release == "latest").map(|go| go.version);
            let release = newest.as_ref().unwrap_or(release);
            let version = release.strip_prefix("go").unwrap_or(release);
            require_version(version)?;
            let config = project.load_settings(&Overrides::default())?;
            pipeline::pin_toolchain(&config, version)?;
            let file = config.file.as_deref().map_or_else(|| "goflame.toml".as_ref(), fsio::relative_to_cwd);
            terminal.report_step("Pinned", &format!("go{version} ({})", file.display()));
            if !pipeline::list_toolchains().iter().any(|go| go.version == format!("go{version}")) {
                terminal.report_step("Note", &format!("it is not installed: goflame toolchain install {version}"));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn require_version(version: &str) -> Result<(), Failure> {
    check_version(version).map_err(|advice| Failure::Version { version: version.to_owned(), advice })
}

fn print_toolchains(project: &Project<'_>, as_json: bool, terminal: &Terminal) -> Result<ExitCode, Failure> {
    let found = pipeline::list_toolchains();
    let (config, in_project) = project.load_settings_or_defaults(&Overrides::default())?;
    let wanted = if in_project { pipeline::pinned_go_version(&config)? } else { None };
    let text = if as_json {
        let pin = wanted.as_ref().map(|(version, by)| json!({ "version": format!("go{version}"), "by": by }));
        format!("{:#}\n", json!({ "schema": SCHEMA_VERSION, "pinned": pin, "toolchains": found }))
    } else {
        let rows = found.iter().map(|go| {
            let pinned = wanted.as_ref().filter(|(version, _)| go.version == format!("go{version}"));
            let mark = pinned.map(|(_, by)| format!("  pinned by {by}")).unwrap_or_default();
            [go.version.clone(), installer_name(go.installer).to_owned(), format!("{}{mark}", go.goroot.display())]
        });
        columns::table(&rows.collect::<Vec<_>>(), [0, 10, 0])
    };
    terminal.write_data(text.as_bytes()).map_err(Failure::Stdout)?;
    if found.is_empty() {
        terminal.warn("no Go was found on this machine; install the first one by hand: go.dev/dl");
    }
    if let Some((version, by)) =
        wanted.filter(|(version, _)| !found.iter().any(|go| go.version == format!("go{version}")))
    {
        terminal.warn(&format!("{by} pins go{version}, which is not installed: goflame toolchain install {version}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn installer_name(installer: Installer) -> &'static str {
    match installer {
        Installer::Path => "PATH",
        Installer::GoCommand => "go command",
        Installer::Sdk => "~/sdk",
        Installer::G => "g",
        Installer::Gvm => "gvm",
    }
}
