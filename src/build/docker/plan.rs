//! Container plan: the containers that a build needs, decided from values alone. Must not touch the disk, the
//! environment or the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Error, Sources};
use crate::build::BuildPlan;
use crate::bytes::hex;
use crate::config::Config;
use crate::process::{acting_account, quote_command};
use crate::redact::Secrets;

/// Mount point of the cache of modules. No build is allowed to mount over it.
const MODULES_DIR: &str = "/goflame/modules";
const CACHE_DIR: &str = "/goflame/cache";
/// Directory for temporary files and the home directory. Removed with the container.
const SCRATCH_DIR: &str = "/goflame/work";
/// Subdirectory of each cache volume that belongs to the caller. The top directory of a volume belongs to the user
/// root.
const USER_DIR: &str = "own";

/// Variables of the caller's environment that a download may need. They may hold secrets, so the values are never
/// printed.
const DOWNLOAD_ENV: [&str; 12] = [
    "GOPROXY",
    "GOSUMDB",
    "GONOSUMDB",
    "GONOPROXY",
    "GOPRIVATE",
    "GOINSECURE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Maximum number of threads in a container. A build needs far fewer: Go compiles one package per CPU, with at most one
/// thread per CPU each. A machine has more process ids.
const MAX_THREADS: i64 = 16_384;

/// User that the processes in a container run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl User {
    /// Returns the user that runs goflame, or that called sudo to run it.
    pub fn calling_user() -> Self {
        match acting_account() {
            Some(account) => Self { uid: account.uid, gid: account.gid },
            None => Self { uid: rustix::process::geteuid().as_raw(), gid: rustix::process::getegid().as_raw() },
        }
    }
}

/// Facts about this machine that a plan needs.
#[derive(Debug, Clone, Copy)]
pub struct LocalFacts<'a> {
    /// User that builds.
    pub user: User,
    /// Names of the variables in goflame's environment.
    pub env_names: &'a [String],
    /// Memory in bytes. `None` if unknown.
    pub memory: Option<u64>,
}

/// Directory of this machine, mounted at the same path in the container, so that paths in Go's messages are valid here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) dir: String,
    pub(super) is_writable: bool,
}

/// Volume of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volume {
    /// Name. `None` for a volume that is removed with the container.
    pub(super) name: Option<String>,
    pub(super) target: &'static str,
    /// Directories to create in the volume. The user owns them.
    pub(super) dirs: Vec<&'static str>,
}

/// One container: a command, and whether it may use the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerStep {
    /// Arguments of `go`.
    pub(super) args: Vec<String>,
    /// Variables added to the common environment. `None` takes the value from goflame's own environment.
    pub(super) env: Vec<(String, Option<String>)>,
    pub(super) has_network: bool,
    /// Whether the output directory is mounted.
    pub(super) mounts_output: bool,
}

/// Complete plan of the containers of one build. `Display` prints the equivalent commands, with secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPlan {
    /// Image: a digest or an id. A name only if nothing is pinned yet.
    pub image: String,
    /// User that builds.
    pub user: User,
    /// Id of the project on the engine: 16 hex digits of a hash of its directory and user.
    pub project: String,
    pub(super) dir: String,
    pub(super) binds: Vec<Bind>,
    pub(super) volumes: Vec<Volume>,
    pub(super) env: Vec<(String, String)>,
    /// Limit of threads in a container.
    pub(super) max_threads: i64,
    /// Memory limit of a container in bytes. `None` if the memory of the machine is unknown.
    pub(super) memory: Option<u64>,
    /// Runs `go env` with the Go that also builds the program.
    pub(super) go_env: ContainerStep,
    /// Checks whether all modules are present. If they are, the download is skipped.
    pub(super) check_modules: Option<ContainerStep>,
    /// Downloads modules. The only step with network access.
    pub(super) download: Option<ContainerStep>,
    /// Builds the program.
    pub(super) build: ContainerStep,
    secrets: Secrets,
}

/// Plans the containers for `build`, which was planned as if it ran on this machine.
pub fn plan_containers(
    config: &Config,
    build: &BuildPlan,
    sources: &Sources,
    image: &str,
    local: &LocalFacts<'_>,
    offline: bool,
) -> Result<ContainerPlan, Error> {
    let LocalFacts { user, env_names, memory } = *local;
    let allowed = |dir: &&PathBuf| config.build.mounts.iter().any(|mount| dir.starts_with(mount));
    if let Some(dir) = sources.outside.iter().find(|dir| !allowed(dir)) {
        return Err(Error::Outside { dir: dir.clone() });
    }
    let project = project_id(&config.root, user);
    let output = build.output.parent().unwrap_or(&build.dir);
    let mut binds = sources.dirs.iter().map(|dir| create_bind(dir, false)).collect::<Result<Vec<_>, _>>()?;
    binds.push(create_bind(output, true)?);
    let step = |args: &[&str], env: &[(&str, &str)]| ContainerStep {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect(),
        has_network: false,
        mounts_output: false,
    };
    let go_env = step(
        &[&["env", "-json"], crate::build::toolchain::GO_ENV_VARIABLES.as_slice()].concat(),
        &[("GOPROXY", "off")],
    );
    let check_modules = sources.needs_modules.then(|| step(&["mod", "download"], &[("GOPROXY", "off")]));
    let download = (sources.needs_modules && !offline).then(|| ContainerStep {
        env: env_names
            .iter()
            .filter(|name| DOWNLOAD_ENV.contains(&name.as_str()))
            .map(|name| (name.clone(), None))
            .collect(),
        has_network: true,
        ..step(&["mod", "download"], &[])
    });
    let mut env: BTreeMap<String, String> = [
        ("GOCACHE", format!("{CACHE_DIR}/{USER_DIR}")),
        // Ignores values that `go env -w` stored in the image, because they are not part of this project.
        ("GOENV", "off".to_owned()),
        ("GOMODCACHE", format!("{MODULES_DIR}/{USER_DIR}")),
        ("GOPATH", format!("{SCRATCH_DIR}/gopath")),
        ("HOME", format!("{SCRATCH_DIR}/home")),
        ("TMPDIR", format!("{SCRATCH_DIR}/tmp")),
        // The owner of the mounted files may not be the owner that git expects.
        ("GIT_CONFIG_COUNT", "1".to_owned()),
        ("GIT_CONFIG_KEY_0", "safe.directory".to_owned()),
        ("GIT_CONFIG_VALUE_0", "*".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    env.extend(build.env.iter().cloned());
    // Overrides the pin of the settings: only the Go of the image is used.
    env.insert("GOTOOLCHAIN".to_owned(), "local".to_owned());
    let volume = |kind: &str| Some(format!("goflame-{project}-{kind}"));
    Ok(ContainerPlan {
        image: image.to_owned(),
        user,
        dir: utf8_text(&build.dir)?,
        binds,
        volumes: vec![
            Volume { name: volume("modules"), target: MODULES_DIR, dirs: vec![USER_DIR] },
            Volume { name: volume("cache"), target: CACHE_DIR, dirs: vec![USER_DIR] },
            Volume { name: None, target: SCRATCH_DIR, dirs: vec!["gopath", "home", "tmp"] },
        ],
        env: env.into_iter().collect(),
        max_threads: MAX_THREADS,
        // Stops a runaway build before the machine runs out of memory.
        memory: memory.map(|bytes| bytes / 5 * 4),
        go_env,
        check_modules,
        download,
        build: ContainerStep { args: build.argv.clone(), mounts_output: true, ..step(&[], &[("GOPROXY", "off")]) },
        project,
        secrets: build.secrets.clone(),
    })
}

/// Returns the id of a project on an engine.
pub(super) fn project_id(root: &Path, user: User) -> String {
    let digest = Sha256::digest(format!("{}\0{}", user.uid, root.display()));
    hex(digest.get(..8).unwrap_or_default())
}

fn utf8_text(path: &Path) -> Result<String, Error> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::NotUtf8 { path: path.to_owned() })
}

fn create_bind(dir: &Path, is_writable: bool) -> Result<Bind, Error> {
    let system_dirs = ["/", "/usr", "/usr/local", "/usr/local/go", "/goflame", "/etc", "/bin", "/lib", "/proc", "/dev"];
    if system_dirs.iter().any(|taken| dir == Path::new(taken)) {
        return Err(Error::SystemDirectory { dir: dir.to_owned() });
    }
    Ok(Bind { dir: utf8_text(dir)?, is_writable })
}

impl ContainerPlan {
    /// Environment of one step.
    pub(super) fn step_env(&self, step: &ContainerStep) -> BTreeMap<String, Option<String>> {
        let common = self.env.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
        common.chain(step.env.iter().cloned()).collect()
    }

    /// Mounts of one step. Only the build sees the output directory.
    pub(super) fn step_binds(&self, step: &ContainerStep) -> impl Iterator<Item = &Bind> {
        let output = step.mounts_output;
        self.binds.iter().filter(move |bind| output || !bind.is_writable)
    }

    /// Uses the caches of another project. A copy of a project then creates no further volumes.
    #[must_use]
    pub fn with_caches_of(self, other: &Self) -> Self {
        Self { project: other.project.clone(), volumes: other.volumes.clone(), ..self }
    }

    /// Replaces the arguments of the build.
    #[must_use]
    pub(in crate::build) fn with_build_args(mut self, args: Vec<String>) -> Self {
        self.build.args = args;
        self
    }

    /// Makes the build use an empty compile cache, so that nothing compiled earlier is used.
    pub fn disable_compile_cache(&mut self) {
        self.set_env("GOCACHE", &format!("{SCRATCH_DIR}/gopath/cache"));
    }

    /// Sets a variable for all steps.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(other, _)| other != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    fn shell_line(&self, step: &ContainerStep) -> String {
        let mut words: Vec<String> = ["docker", "run", "--rm", "--read-only", "--cap-drop=ALL"].map(Into::into).into();
        words.push("--security-opt=no-new-privileges".into());
        words.push(format!("--pids-limit={}", self.max_threads));
        words.extend(self.memory.map(|bytes| format!("--memory={bytes}")));
        words.push(format!("--network={}", if step.has_network { "default" } else { "none" }));
        words.push(format!("--user={}:{}", self.user.uid, self.user.gid));
        for Bind { dir, is_writable } in self.step_binds(step) {
            let access = if *is_writable { "" } else { ",readonly" };
            words.push(format!("--mount=type=bind,source={dir},target={dir}{access}"));
        }
        for Volume { name, target, .. } in &self.volumes {
            let source = name.as_ref().map(|name| format!("source={name},")).unwrap_or_default();
            words.push(format!("--mount=type=volume,{source}target={target}"));
        }
        for (name, value) in self.step_env(step) {
            let value = value.map(|value| format!("={}", self.secrets.mask_value(&name, &value))).unwrap_or_default();
            words.push(format!("--env={name}{value}"));
        }
        words.extend([format!("--workdir={}", self.dir), "--entrypoint=go".into(), self.image.clone()]);
        words.extend(self.secrets.mask_args(&step.args));
        quote_command(&words)
    }

    /// Names of the project's caches.
    pub(super) fn cache_names(project: &str) -> [String; 2] {
        ["modules", "cache"].map(|kind| format!("goflame-{project}-{kind}"))
    }

    /// Memory limit of a container in bytes.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// Output directory, for messages.
    pub(crate) fn output_dir(&self) -> Option<PathBuf> {
        self.binds.iter().find(|bind| bind.is_writable).map(|bind| PathBuf::from(&bind.dir))
    }
}

impl fmt::Display for ContainerPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(download) = &self.download {
            writeln!(f, "{}", self.shell_line(download))?;
        }
        f.write_str(&self.shell_line(&self.build))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::build::fixture::{config, go_1_26_8};

    fn planned(modules: bool, offline: bool) -> ContainerPlan {
        let mut config = config(Path::new("/p/app"));
        config.toolchain.go = "1.26.8".to_owned();
        let build = crate::build::plan_build(&config, Some(&go_1_26_8())).unwrap();
        let sources =
            Sources { dirs: vec!["/p/app".into(), "/p/lib".into()], outside: Vec::new(), needs_modules: modules };
        let user = User { uid: 1000, gid: 100 };
        let env_names = ["GOPROXY", "HTTPS_PROXY", "SECRET"].map(str::to_owned);
        let local = LocalFacts { user, env_names: &env_names, memory: Some(10 << 30) };
        plan_containers(&config, &build, &sources, "golang@sha256:ab", &local, offline).unwrap()
    }

    #[test]
    fn only_the_download_has_a_network() {
        let plan = planned(true, false);
        let download = plan.download.clone().unwrap();
        assert!(download.has_network && !download.mounts_output);
        assert!(!plan.build.has_network && !plan.go_env.has_network && !plan.check_modules.unwrap().has_network);
        assert_eq!(download.env, [("GOPROXY".to_owned(), None), ("HTTPS_PROXY".to_owned(), None)]);
    }

    #[test]
    fn no_download_when_nothing_is_missing_or_nothing_may_be_fetched() {
        assert_eq!((planned(false, false).check_modules, planned(false, false).download), (None, None));
        let offline = planned(true, true);
        assert!(offline.check_modules.is_some() && offline.download.is_none());
    }

    #[test]
    fn the_image_decides_which_go_builds() {
        let plan = planned(false, false);
        assert_eq!(plan.step_env(&plan.build)["GOTOOLCHAIN"], Some("local".to_owned()));
        assert_eq!(plan.step_env(&plan.build)["GOPROXY"], Some("off".to_owned()));
    }

    #[test]
    fn sources_are_read_only_and_the_output_is_for_the_build_alone() {
        let plan = planned(true, false);
        let binds = |step: &ContainerStep| {
            plan.step_binds(step).map(|bind| (bind.dir.clone(), bind.is_writable)).collect::<Vec<_>>()
        };
        let sources = [("/p/app".to_owned(), false), ("/p/lib".to_owned(), false)];
        assert_eq!(binds(&plan.go_env), sources);
        assert_eq!(binds(&plan.build)[2], ("/p/app/.goflame/build/debug".to_owned(), true));
        assert_eq!(plan.output_dir().unwrap(), Path::new("/p/app/.goflame/build/debug"));
    }

    #[test]
    fn the_plan_is_printed_as_a_shell_command() {
        let line = planned(false, false).to_string();
        for part in [
            "docker run --rm --read-only --cap-drop=ALL --security-opt=no-new-privileges --pids-limit=16384 --memory=8589934592 ",
            " --network=none --user=1000:100 ",
            " --mount=type=bind,source=/p/app,target=/p/app,readonly ",
            " --mount=type=bind,source=/p/app/.goflame/build/debug,target=/p/app/.goflame/build/debug ",
            " --env=GOTOOLCHAIN=local ",
            " --workdir=/p/app --entrypoint=go golang@sha256:ab build -trimpath -buildvcs=false '-gcflags=all=-N -l' ",
        ] {
            assert!(line.contains(part), "{part}\n{line}");
        }
    }

    #[test]
    fn projects_and_users_do_not_share_caches() {
        let user = |uid| User { uid, gid: 0 };
        let id = project_id(Path::new("/p"), user(1));
        assert_eq!(id.len(), 16);
        assert_ne!(id, project_id(Path::new("/q"), user(1)));
        assert_ne!(id, project_id(Path::new("/p"), user(2)));
    }

    #[test]
    fn a_system_directory_is_not_mounted_over() {
        for dir in ["/", "/usr/local/go"] {
            assert!(matches!(create_bind(Path::new(dir), false), Err(Error::SystemDirectory { .. })));
        }
    }
}
