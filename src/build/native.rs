//! Runs a plan with the Go of this machine.

use std::fs;
use std::io;

use crate::config::Kind;
use crate::process::Command;

use super::{BuildPlan, Error, GoTool};

/// How an archive of a package that is not a program begins (`<ar.h>`); `go build -o` writes one without complaint.
const ARCHIVE_MAGIC: &[u8] = b"!<arch>\n";

/// Builds what `plan` says. Go's own output goes to standard error as it is; Ctrl-C reaches Go by itself, which
/// then fails.
///
/// After success there is a file at the plan's output that was written or confirmed by this very build.
pub fn run(plan: &BuildPlan, go: &GoTool) -> Result<(), Error> {
    prepare(plan).map_err(|source| Error::Output { path: plan.output.clone(), source })?;
    let status = Command::new(&plan.program)
        .found_at(&go.path)
        .args(&plan.argv)
        .envs(plan.env.clone())
        .dir(&plan.dir)
        .pass_through()
        .map_err(Error::Start)?;
    if !status.success() {
        return Err(Error::Failed { status, command: plan.to_string() });
    }
    match plan.kind {
        Kind::Binary if is_archive(plan) => Err(Error::NotMain { package: plan.package.clone() }),
        Kind::Bench if !plan.output.exists() => Err(Error::NoTests { package: plan.package.clone() }),
        _ => Ok(()),
    }
}

fn prepare(plan: &BuildPlan) -> io::Result<()> {
    if let Some(parent) = plan.output.parent() {
        fs::create_dir_all(parent)?;
    }
    // `go test -c` succeeds without writing anything when there are no tests; an older build must not pass for its
    // result. `go build` always writes, and saves the linking when the file that lies there is already the right one.
    if plan.kind == Kind::Bench {
        match fs::remove_file(&plan.output) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn is_archive(plan: &BuildPlan) -> bool {
    use io::Read as _;
    let mut magic = [0; ARCHIVE_MAGIC.len()];
    fs::File::open(&plan.output).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok() && magic == ARCHIVE_MAGIC)
}
