//! What can go wrong between goflame and a container.

use std::path::PathBuf;

use crate::fsio::FileError;

/// The Docker engine is not there, refuses, or lost something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that goflame cannot use.
    #[error("cannot use the Docker engine at {host} ({origin}): {reason}")]
    Endpoint {
        /// The address.
        host: String,
        /// Who named it.
        origin: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The named context does not exist.
    #[error("there is no Docker context `{name}` ({origin})")]
    NoContext {
        /// Its name.
        name: String,
        /// Who named it.
        origin: String,
        /// The file that should describe it.
        source: FileError,
    },
    /// A file of the `docker` command's is damaged.
    #[error("cannot read {} as JSON", path.display())]
    ContextFile {
        /// The file.
        path: PathBuf,
        /// Where it stops being JSON.
        source: serde_json::Error,
    },
    /// A file that cannot be read.
    #[error(transparent)]
    File(FileError),
    /// Nothing answers at the address.
    #[error("no Docker engine answers at {endpoint}")]
    Unreachable {
        /// The address.
        endpoint: String,
        /// Whether the caller lacks the right to connect.
        forbidden: bool,
        /// The reason.
        source: Box<bollard::errors::Error>,
    },
    /// Something answers that is no engine, or none that goflame can use.
    #[error("the Docker engine at {endpoint} speaks API {found}, and {needed} or newer is needed")]
    TooOld {
        /// The address.
        endpoint: String,
        /// Its API version.
        found: String,
        /// The oldest that will do.
        needed: String,
    },
    /// The runtime or a signal handler cannot be had.
    #[error("cannot talk to the Docker engine")]
    Runtime(#[source] std::io::Error),
    /// `--docker` without an image.
    #[error("a Docker build needs an image, and [toolchain] names none")]
    NoImage,
    /// The image is not on the engine, and may not be fetched.
    #[error("the image {image} is not on the Docker engine, and --offline forbids pulling it")]
    Offline {
        /// The image.
        image: String,
    },
    /// The image cannot be pulled.
    #[error("cannot pull the image {image}")]
    Pull {
        /// The image.
        image: String,
        /// The engine's words.
        source: Box<bollard::errors::Error>,
    },
    /// An image that exists nowhere else is gone.
    #[error("goflame.lock pins {image} to {digest}, which is not on this Docker engine and in no registry")]
    PinGone {
        /// The image by name.
        image: String,
        /// Its id.
        digest: String,
    },
    /// The image has another Go than the settings pin.
    #[error("goflame.toml pins go{pin}, but the image {image} has {found}")]
    OtherGo {
        /// The pinned version.
        pin: String,
        /// The image.
        image: String,
        /// The version in it.
        found: String,
    },
    /// There is no Go in the image.
    #[error("there is no `go` on the PATH of the image {image}")]
    NoGo {
        /// The image.
        image: String,
        /// The engine's words.
        source: Box<bollard::errors::Error>,
    },
    /// Go in the container does not tell its settings.
    #[error("Go in the image {image} does not tell its settings: {said}")]
    GoEnv {
        /// The image.
        image: String,
        /// What it said instead.
        said: String,
    },
    /// A path has to go through the engine's API, which is text.
    #[error("{} is not UTF-8", path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The project lies where the image has its system.
    #[error("{} cannot be mounted into a container: the image has its own there", dir.display())]
    SystemDirectory {
        /// The directory.
        dir: PathBuf,
    },
    /// A Dockerfile is read by lines.
    #[error("the value of {variable} holds a line break, which no Dockerfile can express")]
    LineBreak {
        /// The variable of the variant's environment.
        variable: String,
    },
    /// A go.mod or go.work points to a directory that is none of the project's.
    #[error("{} is replaced or used by go.mod or go.work, but lies outside of the project", dir.display())]
    Outside {
        /// The directory.
        dir: PathBuf,
    },
    /// The engine did not do something.
    #[error("the Docker engine did not {action}")]
    Refused {
        /// What it was to do, as in `create the container`.
        action: &'static str,
        /// Its words.
        source: Box<bollard::errors::Error>,
    },
    /// The engine went away while a container ran.
    #[error("the Docker engine at {endpoint} went away during `go {command}`")]
    Lost {
        /// The address.
        endpoint: String,
        /// What ran.
        command: String,
    },
    /// The modules cannot be downloaded.
    #[error("`go mod download` failed in the container: exit status {status}")]
    Download {
        /// Its exit status.
        status: i64,
    },
    /// The user asked for an end.
    #[error("the build was interrupted, and its container removed")]
    Interrupted {
        /// The signal.
        signal: i32,
    },
}

impl Error {
    /// Advice for the user, one line each.
    pub fn hints(&self) -> Vec<String> {
        if let Self::Outside { dir } = self {
            let dir = crate::process::quote(dir.as_os_str());
            return vec![
                "whatever the build runs could read all of it, and put it into the program".to_owned(),
                format!("`--mount {dir}` (or GOFLAME_MOUNT={dir}) allows it; --native builds without a container"),
            ];
        }
        let hint: &[&str] = match self {
            Self::Endpoint { .. } => &["`ssh -L` or a socket of this machine will do: set DOCKER_HOST to it"],
            Self::NoContext { .. } => &["`docker context ls` lists them"],
            Self::Unreachable { forbidden: true, .. } => {
                &["the socket belongs to root and its group: `sudo usermod -aG docker $USER`, then log in anew"]
            }
            Self::Unreachable { .. } => &[
                "is it running? `sudo systemctl start docker`; Debian has it in docker.io",
                "or point DOCKER_HOST or a `docker context` to it; --native builds without it",
            ],
            Self::NoImage => &["set `image` in [toolchain], such as \"golang:1.27.3\", or pin `go` there"],
            Self::Offline { .. } => &["build once without --offline, or `docker load` it"],
            Self::Pull { .. } => &["for a private registry, `docker pull` it beforehand"],
            Self::PinGone { .. } => {
                &["make or load that very image, or take what the name stands for now: `goflame build --update-lock`"]
            }
            Self::OtherGo { .. } => &["change `go` or `image` in [toolchain], so that they agree"],
            Self::NoGo { .. } => &["name an image with a Go toolchain, such as golang:1.27.3 or golang:1.27.3-alpine"],
            Self::SystemDirectory { .. } => &["move the project to a directory of its own, or build it with --native"],
            Self::Refused { action: "create the container", .. } => {
                &["an engine on another machine has to see the project under the same path"]
            }
            Self::Download { .. } => {
                &["GOPROXY, GOPRIVATE and HTTPS_PROXY are passed on; `go mod vendor` needs no download"]
            }
            Self::LineBreak { .. } => &["`goflame build --docker` passes any value on"],
            Self::TooOld { .. } => &["Docker 19.03 and newer will do"],
            _ => &[],
        };
        hint.iter().map(|hint| (*hint).to_owned()).collect()
    }
}
