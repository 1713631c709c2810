//! Go toolchain of this machine: its path, the version that answers, and whether that is the pinned version.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::Toolchain;
use crate::process::{self, Command};

use super::Error;
use super::error::PinSource;

/// Variables that set the directory for temporary files of Go and the compilers. A killed process leaves its files
/// there.
pub(super) const TEMPORARY_DIR_VARIABLES: &[&str] = &["TMPDIR", "GOTMPDIR"];

/// Variables that goflame reads with `go env`. Each variable can make one build differ from another.
pub(super) const GO_ENV_VARIABLES: [&str; 16] = [
    "GOVERSION",
    "GOROOT",
    "GOFLAGS",
    "GOTOOLCHAIN",
    "CGO_ENABLED",
    "GOEXPERIMENT",
    "GOAMD64",
    "GOOS",
    "GOARCH",
    "GOMODCACHE",
    "GOMOD",
    "GOWORK",
    "CC",
    "CGO_CFLAGS",
    "CGO_CXXFLAGS",
    "CGO_FFLAGS",
];

/// Variables with the flags of the C, C++ and Fortran compilers.
pub(super) const COMPILER_FLAG_VARIABLES: [&str; 3] = ["CGO_CFLAGS", "CGO_CXXFLAGS", "CGO_FFLAGS"];

/// A `go` command and its settings for one project, as `go env` reports them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoTool {
    /// Path of the `go` program. With a pin, this program may switch to another toolchain.
    pub path: PathBuf,
    /// GOVERSION: the version that answers in this project, for example `go1.27.3`. ` X:experiment` may follow.
    pub version: String,
    /// GOROOT of that version.
    pub goroot: PathBuf,
    /// GOFLAGS, from the environment or from `go env -w`.
    pub goflags: String,
    /// GOTOOLCHAIN. Empty in Go before 1.21.
    pub gotoolchain: String,
    /// `CGO_ENABLED`.
    pub cgo_enabled: bool,
    /// GOEXPERIMENT.
    pub goexperiment: String,
    /// GOAMD64, for example `v1`. Empty on other architectures.
    pub goamd64: String,
    /// GOOS.
    pub goos: String,
    /// GOARCH.
    pub goarch: String,
    /// GOMODCACHE: directory of the module sources.
    pub gomodcache: PathBuf,
    /// GOMOD: path of the active go.mod. `None` outside a module.
    pub gomod: Option<PathBuf>,
    /// GOWORK: path of the active go.work. `None` outside a workspace.
    pub gowork: Option<PathBuf>,
    /// CC.
    pub cc: String,
    /// Flags of the C, C++ and Fortran compilers, by [`COMPILER_FLAG_VARIABLES`].
    pub compiler_flags: [String; 3],
    /// The version that [`GoTool::find_offline`] did not find on this machine.
    pub missing: Option<MissingGo>,
}

/// Version that a project requires and this machine lacks. Another version answered instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingGo {
    /// The version, for example `go1.27.3`. `None` means the version that go.mod or go.work requires.
    pub version: Option<String>,
    /// Whether a build may download it.
    pub is_downloadable: bool,
}

impl GoTool {
    /// Finds `go` on PATH and asks it for its settings in the project directory `dir`. Uses the environment `env` of
    /// the variant, including its PATH. If `pin` names a version, that version must answer. If Go has to download the
    /// version first, `downloading` receives its name before that.
    pub fn find(
        dir: &Path,
        pin: &Toolchain,
        env: &BTreeMap<String, String>,
        downloading: &dyn Fn(&str),
    ) -> Result<Self, Error> {
        let pin = pinned_version(pin);
        let go = Command::new("go").envs(env.clone());
        let mut ask = go
            .clone()
            .args(["env", "-json"])
            .args(GO_ENV_VARIABLES)
            .dir(dir)
            .with_private_temporary_dirs(TEMPORARY_DIR_VARIABLES);
        if let Some(pin) = &pin {
            ask = ask.env("GOTOOLCHAIN", pin);
        }
        let path = ask.program_file().map_err(go_not_found)?;
        let ask = ask.with_program_file(&path);
        let proxy = env.get("GOPROXY").cloned().or_else(|| std::env::var("GOPROXY").ok());
        let answer = ask.clone().env("GOPROXY", "off").capture().or_else(|error| {
            if let Some(version) = version_to_download(&error).filter(|_| proxy.as_deref() != Some("off")) {
                downloading(&version);
            }
            ask.capture()
        });
        let answer = match (answer, pin.clone()) {
            (Ok(answer), _) => answer,
            (Err(source), Some(pin)) => {
                // Runs outside the project, because a go.mod may require yet another version.
                let local = go.args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").dir("/").with_program_file(&path);
                let found = local.capture().map_err(Error::GoEnv)?.text().trim().to_owned();
                if bare_version(&found) == pin {
                    return Err(Error::GoEnv(source));
                }
                return Err(Error::PinUnobtainable { by: PinSource::Settings, pin, found, source: Box::new(source) });
            }
            (Err(source), None) => return Err(Error::GoEnv(source)),
        };
        let tool = Self::from_go_env_json(path, &answer.stdout)?;
        match pin {
            Some(pin) if bare_version(&tool.version) != pin => Err(Error::PinMismatch {
                by: PinSource::Settings,
                pin,
                found: tool.version,
                gotoolchain: tool.gotoolchain,
            }),
            _ => Ok(tool),
        }
    }

    /// Finds `go` for checks and dry runs. Downloads nothing and runs no program that the project could have chosen. So
    /// no process gets `env` as its environment: variables in `env` replace Go's answer, and a PATH in `env` is ignored. A
    /// version that is missing on this machine is not an error; [`GoTool::missing`] reports it.
    pub fn find_offline(dir: &Path, pin: &Toolchain, env: &BTreeMap<String, String>) -> Result<Self, Error> {
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
        let own_pin = pinned_version(pin);
        let pin =
            own_pin.clone().or_else(|| set("GOTOOLCHAIN").filter(|value| release_number(value).is_some()).cloned());
        let go = Command::new("go").dir(dir);
        let path = go.program_file().map_err(go_not_found)?;
        let go = go.with_program_file(&path);
        let ask = |toolchain: Option<&str>| {
            let ask = go.clone().args(["env", "-json"]).args(GO_ENV_VARIABLES).env("GOPROXY", "off");
            match toolchain {
                Some(version) => ask.env("GOTOOLCHAIN", version),
                None => ask,
            }
            .capture()
        };
        let (answer, missing) = match ask(pin.as_deref()) {
            Ok(answer) => (answer, false),
            Err(_) => (ask(Some("local")).map_err(Error::GoEnv)?, true),
        };
        let mut tool = Self::from_go_env_json(path, &answer.stdout)?;
        if missing {
            // `go env GOTOOLCHAIN` never switches to another version (Select in cmd/go/internal/toolchain).
            let setting = |name: &str, go: Command| {
                let answer = go.args(["env", name]).capture().map_err(Error::GoEnv)?;
                Ok::<_, Error>(answer.text().trim().to_owned())
            };
            let usual = setting("GOTOOLCHAIN", go.clone())?;
            let proxy = setting("GOPROXY", go.clone().env("GOTOOLCHAIN", "local"))?;
            let is_downloadable = set("GOPROXY").unwrap_or(&proxy) != "off";
            tool.gotoolchain = pin.clone().unwrap_or(usual);
            tool.missing = Some(MissingGo { version: pin, is_downloadable });
        } else if let Some(pin) = own_pin.filter(|pin| bare_version(&tool.version) != pin) {
            let (found, gotoolchain) = (tool.version, tool.gotoolchain);
            return Err(Error::PinMismatch { by: PinSource::Settings, pin, found, gotoolchain });
        }
        for (name, answer) in [
            ("GOFLAGS", &mut tool.goflags),
            ("GOTOOLCHAIN", &mut tool.gotoolchain),
            ("GOEXPERIMENT", &mut tool.goexperiment),
            ("GOAMD64", &mut tool.goamd64),
            ("GOOS", &mut tool.goos),
            ("GOARCH", &mut tool.goarch),
            ("CC", &mut tool.cc),
        ] {
            if let Some(value) = set(name) {
                answer.clone_from(value);
            }
        }
        if let Some(value) = set("CGO_ENABLED") {
            tool.cgo_enabled = value == "1";
        }
        if let Some(value) = set("GOMODCACHE") {
            tool.gomodcache = value.into();
        }
        Ok(tool)
    }

    /// Parses the answer of `go env -json` for [`GO_ENV_VARIABLES`].
    pub(super) fn from_go_env_json(path: PathBuf, json: &[u8]) -> Result<Self, Error> {
        let mut values: BTreeMap<String, String> =
            serde_json::from_slice(json).map_err(|source| Error::GoJson { command: "go env -json", source })?;
        let mut take = |name: &str| values.remove(name).unwrap_or_default();
        Ok(Self {
            path,
            version: take("GOVERSION"),
            goroot: take("GOROOT").into(),
            goflags: take("GOFLAGS"),
            gotoolchain: take("GOTOOLCHAIN"),
            cgo_enabled: take("CGO_ENABLED") == "1",
            goexperiment: take("GOEXPERIMENT"),
            goamd64: take("GOAMD64"),
            goos: take("GOOS"),
            goarch: take("GOARCH"),
            gomodcache: take("GOMODCACHE").into(),
            gomod: Some(take("GOMOD")).filter(|path| !path.is_empty() && path != "/dev/null").map(PathBuf::from),
            gowork: Some(take("GOWORK")).filter(|path| !path.is_empty() && path != "off").map(PathBuf::from),
            cc: take("CC"),
            compiler_flags: COMPILER_FLAG_VARIABLES.map(&mut take),
            missing: None,
        })
    }
}

/// Returns the version that Go could not download, from its message `go: downloading go1.27.3 (linux/amd64)`.
fn version_to_download(error: &process::Error) -> Option<String> {
    let process::Error::Failed { stderr_tail: Some(stderr), .. } = error else { return None };
    let text = stderr.to_string();
    let (_, rest) = text.split_once("go: downloading ")?;
    rest.split_whitespace().next().map(str::to_owned)
}

fn go_not_found(source: process::Error) -> Error {
    match source {
        process::Error::NotFound { .. } => Error::from_process(source),
        _ => Error::GoEnv(source),
    }
}

/// Returns the pinned version in the form of GOTOOLCHAIN and GOVERSION: `go1.27.3`.
pub(super) fn pinned_version(pin: &Toolchain) -> Option<String> {
    (!pin.go.is_empty()).then(|| format!("go{}", pin.go))
}

/// Whether `go build` of this version has the flag `-buildvcs`: since Go 1.18. Versions without a number are newer.
pub(super) fn has_buildvcs_flag(version: &str) -> bool {
    let numbers = bare_version(version).strip_prefix("go1.");
    let minor = numbers.and_then(|numbers| numbers.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok());
    minor.is_none_or(|minor| minor >= 18)
}

/// Returns the number of a release, in the form of settings and lock: `1.27.3`. `None` for `devel go1.28-...` and
/// similar versions.
pub fn release_number(version: &str) -> Option<String> {
    let number = bare_version(version).strip_prefix("go")?;
    crate::config::is_go_release(number).then(|| number.to_owned())
}

/// Returns the version without the suffix: `go1.25.5` for `go1.25.5 X:nodwarf5`.
pub(super) fn bare_version(version: &str) -> &str {
    version.split_whitespace().next().unwrap_or_default()
}
