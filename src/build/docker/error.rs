//! Errors of the Docker engine, the image and the containers.

use std::path::PathBuf;

use crate::fsio::FileError;

/// Error of the Docker engine: it is missing, it refused a request, or it lost something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the engine cannot be used.
    #[error("cannot use the Docker engine at {host} ({origin}): {reason}")]
    Endpoint {
        /// The address.
        host: String,
        /// Source of the address.
        origin: String,
        /// Why the address is invalid.
        reason: &'static str,
    },
    /// The named context does not exist.
    #[error("there is no Docker context `{name}` ({origin})")]
    NoContext {
        /// Name of the context.
        name: String,
        /// Source of the name.
        origin: String,
        /// Error of the file that should describe the context.
        source: FileError,
    },
    /// A file of the `docker` command is damaged.
    #[error("cannot read {} as JSON", path.display())]
    ContextFile {
        /// The file.
        path: PathBuf,
        /// The JSON error, with its position.
        source: serde_json::Error,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(FileError),
    /// No engine answers at the address.
    #[error("no Docker engine answers at {endpoint}")]
    Unreachable {
        /// The address.
        endpoint: String,
        /// Whether the caller has no permission to connect.
        forbidden: bool,
        /// The connection error.
        source: Box<bollard::errors::Error>,
    },
    /// The service at the address is not a Docker engine, or goflame cannot use its API version.
    #[error("the Docker engine at {endpoint} speaks API {found}, and {needed} or newer is needed")]
    TooOld {
        /// The address.
        endpoint: String,
        /// API version of the engine.
        found: String,
        /// Oldest supported API version.
        needed: String,
    },
    /// The async runtime or a signal handler cannot be created.
    #[error("cannot talk to the Docker engine")]
    Runtime(#[source] std::io::Error),
    /// `--docker` was used, but no image is set.
    #[error("a Docker build needs an image, and [toolchain] names none")]
    NoImage,
    /// The image is not on the engine, and `--offline` forbids pulling it.
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
        /// The error of the engine.
        source: Box<bollard::errors::Error>,
    },
    /// The pinned image is gone, and it exists in no registry.
    #[error("goflame.lock pins {image} to {digest}, which is not on this Docker engine and in no registry")]
    PinGone {
        /// The image by name.
        image: String,
        /// Id of the image.
        digest: String,
    },
    /// The image contains another Go version than the settings pin.
    #[error("goflame.toml pins go{pin}, but the image {image} has {found}")]
    OtherGo {
        /// The pinned version.
        pin: String,
        /// The image.
        image: String,
        /// The version in the image.
        found: String,
    },
    /// The image has no `go` on its PATH.
    #[error("there is no `go` on the PATH of the image {image}")]
    NoGo {
        /// The image.
        image: String,
        /// The error of the engine.
        source: Box<bollard::errors::Error>,
    },
    /// Go in the container did not print its settings.
    #[error("Go in the image {image} does not tell its settings: {said}")]
    GoEnv {
        /// The image.
        image: String,
        /// Its output.
        said: String,
    },
    /// A path is not UTF-8. Paths go through the engine's API, which is text.
    #[error("{} is not UTF-8", path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The project is in a directory where the image has its own system files.
    #[error("{} cannot be mounted into a container: the image has its own there", dir.display())]
    SystemDirectory {
        /// The directory.
        dir: PathBuf,
    },
    /// A value contains a line break. Dockerfiles are read line by line.
    #[error("the value of {variable} holds a line break, which no Dockerfile can express")]
    LineBreak {
        /// Variable in the variant's environment.
        variable: String,
    },
    /// A go.mod or go.work refers to a directory outside the project.
    #[error("{} is replaced or used by go.mod or go.work, but lies outside of the project", dir.display())]
    Outside {
        /// The directory.
        dir: PathBuf,
    },
    /// The engine did not carry out a request.
    #[error("the Docker engine did not {action}")]
    Refused {
        /// The request, in the form `create the container`.
        action: &'static str,
        /// The error of the engine.
        source: Box<bollard::errors::Error>,
    },
    /// The engine stopped answering while a container ran.
    #[error("the Docker engine at {endpoint} went away during `go {command}`")]
    Lost {
        /// The address.
        endpoint: String,
        /// The arguments of the go command that ran.
        command: String,
    },
    /// `go mod download` failed in the container.
    #[error("`go mod download` failed in the container: exit status {status}")]
    Download {
        /// Exit status.
        status: i64,
    },
    /// The user interrupted the build.
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
