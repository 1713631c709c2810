//! Execution of a build plan, with the Go of this machine or in a container. Checks the result.

use std::fs;
use std::io;
use std::path::Path;

use crate::config::{Kind, nearest};
use crate::process::{self, Command, ExitStatus};

use super::advice;
use super::docker::{ContainerPlan, DockerEngine};
use super::git::GIT_REPOSITORY_VARIABLES;
use super::package_counter::{LIST_FORMAT, PackageCounter};
use super::progress::BuildProgress;
use super::toolchain::TEMPORARY_DIR_VARIABLES;
use super::{BuildPlan, Error, GoTool};

/// First bytes of an archive (`<ar.h>`). For a package that is not a program, `go build -o` writes an archive without
/// an error.
const ARCHIVE_MAGIC: &[u8] = b"!<arch>\n";

/// Template for `go list`: for each package, its error, and a line if the package has C code.
const LIST_TEMPLATE: &str =
    "{{with .Error}}{{.Err}}\n{{end}}{{if .CgoFiles}}cgo {{if .Standard}}-{{else}}{{.ImportPath}}{{end}}{{end}}";

/// Runs `plan` and writes the program to `into` instead of the plan's output. Passes the output of Go on unchanged.
///
/// On success, `into` exists and was written or confirmed by this build.
pub fn run(plan: &BuildPlan, into: &Path, go: &GoTool, progress: &dyn BuildProgress) -> Result<(), Error> {
    prepare_output(plan, into)?;
    let argv = plan.argv_with_output(into)?;
    let ended = if progress.shows_packages() {
        run_with_progress(plan, argv, go, progress)
    } else {
        go_command(plan, go).args(argv).pass_through()
    };
    let status = ended.map_err(|error| match error {
        process::Error::Interrupted { signal, .. } => Error::Interrupted { command: plan.command(), signal },
        error => Error::from_process(error),
    })?;
    if !status.success() {
        return Err(Error::Failed { status, command: plan.to_string(), advice: explain_failure(plan, go) });
    }
    check_output(plan, into)
}

/// Asks Go why the build failed, and returns advice. Go's messages about the build itself are already on standard error.
/// Downloads nothing.
fn explain_failure(plan: &BuildPlan, go: &GoTool) -> Vec<String> {
    let tags = plan.argv.iter().filter(|arg| arg.starts_with("-tags="));
    // Without a C compiler, Go leaves out files with C code, unless `CGO_ENABLED` is set.
    let list =
        Command::new("go").with_program_file(&go.path).args(["list", "-e", "-deps", "-f", LIST_TEMPLATE]).args(tags);
    let list = list.args([&plan.package]).envs(plan.env.clone()).env("CGO_ENABLED", "1").env("GOPROXY", "off");
    let answer = match list.dir(&plan.dir).with_private_temporary_dirs(TEMPORARY_DIR_VARIABLES).capture() {
        Ok(answer) => answer.text(),
        Err(error) => advice::stderr_message(&error),
    };
    let mut advice = advice::hints_for_messages(&answer);
    let package = &plan.package;
    if !package.starts_with(['.', '/']) && plan.dir.join(package).is_dir() {
        advice.push(format!("Go reads this as an import path; the directory is `./{package}`"));
    }
    advice.extend(missing_directory_hint(plan));
    advice.extend(c_compiler_hints(plan, go, &answer));
    advice
}

/// Returns advice if the package names a directory that does not exist.
fn missing_directory_hint(plan: &BuildPlan) -> Option<String> {
    let dir = plan.dir.join(&plan.package);
    if !plan.package.starts_with(['.', '/']) || dir.exists() {
        return None;
    }
    let typed = Path::new(&plan.package);
    let siblings = fs::read_dir(dir.parent()?).into_iter().flatten().flatten();
    let dirs = siblings.filter(|sibling| sibling.file_type().is_ok_and(|kind| kind.is_dir()));
    let names: Vec<String> = dirs.filter_map(|dir| dir.file_name().into_string().ok()).collect();
    let near = nearest(typed.file_name()?.to_str()?, names.iter().map(String::as_str));
    Some(match near {
        Some(name) => {
            format!("there is no `{}`; did you mean `{}`?", plan.package, typed.with_file_name(name).display())
        }
        None => format!("there is no `{}`; `go list ./...` lists the packages", plan.package),
    })
}

/// Returns advice if a package has C code and there is no C compiler.
fn c_compiler_hints(plan: &BuildPlan, go: &GoTool, answer: &str) -> Vec<String> {
    let set = |name: &str| plan.env.iter().find(|(set, _)| set == name).map(|(_, value)| value.as_str());
    let needs_c = |line: &&str| *line != "-" || set("CGO_ENABLED").map_or(go.cgo_enabled, |value| value == "1");
    let mut packages = answer.lines().filter_map(|line| line.strip_prefix("cgo ")).filter(needs_c);
    let compiler = set("CC").unwrap_or(&go.cc).split_whitespace().next().unwrap_or_default();
    let path = set("PATH").map(|path| ("PATH".to_owned(), path.to_owned()));
    let found = Command::new(compiler).envs(path).dir(&plan.dir).program_file();
    let (Some(first), Err(process::Error::NotFound { .. } | process::Error::NotExecutable { .. })) =
        (packages.next(), found)
    else {
        return Vec::new();
    };
    let who = packages.chain([first]).find(|package| *package != "-").unwrap_or("cgo");
    vec![
        format!("{who} needs a C compiler, and `{compiler}` was not found; on Debian: apt install gcc libc6-dev"),
        "or set cgo = false in the variant, if the program also builds without C".to_owned(),
    ]
}

/// Runs Go and counts the packages that it compiles.
fn run_with_progress(
    plan: &BuildPlan,
    mut argv: Vec<String>,
    go: &GoTool,
    progress: &dyn BuildProgress,
) -> Result<ExitStatus, process::Error> {
    // `go test -c` does not print which packages it compiles.
    let list = (plan.kind == Kind::Binary).then(|| {
        argv.insert(1, "-v".to_owned());
        go_command(plan, go).args(["list", "-deps", "-f", LIST_FORMAT]).args(plan.flags()).args([&plan.package])
    });
    let mut packages = PackageCounter::new(list.as_ref(), progress);
    let ended = go_command(plan, go).args(argv).pass_output_to(|bytes| packages.receive(bytes));
    packages.finish();
    ended
}

/// Returns the go command with the settings of a build.
fn go_command(plan: &BuildPlan, go: &GoTool) -> Command {
    Command::new(&plan.program)
        // Go asks git for the commit (`-buildvcs`).
        .without_variables(&GIT_REPOSITORY_VARIABLES)
        .with_program_file(&go.path)
        .envs(plan.env.clone())
        .dir(&plan.dir)
        .with_private_temporary_dirs(TEMPORARY_DIR_VARIABLES)
}

/// Runs `plan` in containers of the engine and writes the program to `into`.
pub fn run_in_container(
    plan: &BuildPlan,
    into: &Path,
    container: &ContainerPlan,
    engine: &DockerEngine,
    progress: &dyn BuildProgress,
) -> Result<(), Error> {
    prepare_output(plan, into)?;
    let ended = engine.build(&container.clone().with_build_args(plan.argv_with_output(into)?), progress)?;
    if ended.status != 0 {
        let status = ExitStatus::Code(i32::try_from(ended.status).unwrap_or(i32::MAX));
        let advice = container_hints(&ended.output_tail, container);
        return Err(Error::Failed { status, command: container.to_string(), advice });
    }
    check_output(plan, into)
}

/// Returns advice for messages of Go that have a special meaning in a container.
fn container_hints(output: &str, container: &ContainerPlan) -> Vec<String> {
    let image = &container.image;
    let mut advice = advice::hints_for_messages(output);
    if output.contains("C compiler") && output.contains("not found") {
        advice.push(format!(
            "the image {image} has no C compiler, which cgo needs: use an image with one (golang without -alpine)"
        ));
        advice.push("or set cgo = false in the variant".to_owned());
    }
    if output.contains("error obtaining VCS status") {
        advice.push(format!("buildvcs = true needs git in the image {image}, and a commit around the main package"));
    }
    if output.contains("disabled by GOPROXY=off") {
        advice.push("the compile has no network: build once without --offline, or use `go mod vendor`".to_owned());
    }
    if let (true, Some(bytes)) = (output.contains("signal: killed"), container.memory()) {
        advice.push(format!(
            "the container is limited to {} MiB of memory: build fewer packages at the same time (GOFLAGS=-p=1)",
            bytes >> 20
        ));
    }
    if output.contains("no space left on device") {
        let dir = container.output_dir().unwrap_or_default();
        advice.push(format!("free disk space in {}, or in the directory of the engine's volumes", dir.display()));
    }
    advice
}

/// Checks that the build wrote a program to `into`.
fn check_output(plan: &BuildPlan, into: &Path) -> Result<(), Error> {
    match plan.kind {
        Kind::Binary if is_archive(into) => Err(Error::NotMain { package: plan.package.clone() }),
        Kind::Bench if !into.exists() => Err(Error::NoTests { package: plan.package.clone() }),
        _ => Ok(()),
    }
}

fn prepare_output(plan: &BuildPlan, into: &Path) -> Result<(), Error> {
    let output = |source| Error::Output { path: into.to_owned(), source };
    if let Some(parent) = into.parent() {
        fs::create_dir_all(parent).map_err(output)?;
    }
    // Without tests, `go test -c` succeeds and writes nothing, so an older program would look like the result of this
    // build. `go build` always produces the file. It skips linking only if the existing file is already up to date.
    if plan.kind == Kind::Bench {
        match fs::remove_file(into) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(output(error)),
            _ => {}
        }
    }
    Ok(())
}

fn is_archive(program: &Path) -> bool {
    use io::Read as _;
    let mut magic = [0; ARCHIVE_MAGIC.len()];
    fs::File::open(program).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok() && magic == ARCHIVE_MAGIC)
}
