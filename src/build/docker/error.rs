//! Errors of the Docker engine, the image and the containers.

use std::path::PathBuf;

use crate::fsio::FileError;

/// Error of the Docker engine: for example, no engine answers, or it refuses a request.
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
        reason: EndpointFault,
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
    /// The API version of the engine is older than the oldest supported version.
    #[error("the Docker engine at {endpoint} has API version {found}, but goflame needs {needed} or newer")]
    TooOld {
        /// The address.
        endpoint: String,
        /// API version of the engine.
        found: String,
        /// Oldest supported API version.
        needed: String,
    },
    /// The async runtime or a signal handler cannot be created.
    #[error("cannot prepare the connection to the Docker engine")]
    Runtime(#[source] std::io::Error),
    /// `--docker` was used, but no image is set.
    #[error("a Docker build needs an image, but [toolchain] sets neither `image` nor `go`")]
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
    /// The pinned image is not on the engine. It cannot be pulled, because it is pinned by id, not by digest.
    #[error("goflame.lock pins {image} to {digest}, which is neither on this Docker engine nor in a registry")]
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
    #[error("`go env` failed in the image {image}: {output}")]
    GoEnv {
        /// The image.
        image: String,
        /// Output of `go env`.
        output: String,
    },
    /// A path is not UTF-8. Paths go through the engine's API, which is text.
    #[error("the path {path:?} is not UTF-8")]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// The project is in a directory where the image has its own system files.
    #[error("{} cannot be mounted into a container: it is a system directory of the image", dir.display())]
    SystemDirectory {
        /// The directory.
        dir: PathBuf,
    },
    /// A value contains a line break. Dockerfiles are read line by line.
    #[error("the value of {variable} contains a line break, which a Dockerfile cannot express")]
    LineBreak {
        /// Variable in the variant's environment.
        variable: String,
    },
    /// A go.mod or go.work refers to a directory outside the project.
    #[error("{} is used by go.mod or go.work, but is outside of the project", dir.display())]
    Outside {
        /// The directory.
        dir: PathBuf,
    },
    /// The engine did not carry out a request.
    #[error("the Docker engine did not {request}")]
    Refused {
        /// The request.
        request: Request,
        /// The error of the engine.
        source: Box<bollard::errors::Error>,
    },
    /// The engine stopped answering while a container ran.
    #[error("lost the connection to the Docker engine at {endpoint} during `go {command}`")]
    Lost {
        /// The address.
        endpoint: String,
        /// The arguments of the go command that ran, up to the first flag.
        command: String,
    },
    /// `go mod download` failed in the container.
    #[error("`go mod download` failed in the container: exit status {status}")]
    Download {
        /// Exit status.
        status: i64,
    },
    /// No container of the engine has this name or id.
    #[error("the Docker engine has no container {name}")]
    NoContainer {
        /// Name or id.
        name: String,
    },
    /// The container does not run.
    #[error("the container {name} does not run: it is {status}")]
    NotRunning {
        /// Name or id.
        name: String,
        /// State of the container, as the engine names it.
        status: String,
    },
    /// The engine is reached by TCP, so that its containers may run on another machine.
    #[error("goflame finds processes of containers only on this machine, but the Docker engine is at {endpoint}")]
    OtherMachine {
        /// The address.
        endpoint: String,
    },
    /// The user interrupted the build.
    #[error("the build was interrupted, and its container was removed")]
    Interrupted {
        /// The signal.
        signal: i32,
    },
}

/// Reason why an address cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointFault {
    /// The path of the socket is relative.
    #[error("the path of the socket is not absolute")]
    RelativeSocket,
    /// The address or the environment requires TLS.
    #[error("TLS is not supported")]
    Tls,
    /// The address is `ssh://`.
    #[error("SSH is not supported")]
    Ssh,
    /// The address is neither a socket path nor a TCP address.
    #[error("expected unix:///PATH or tcp://HOST:PORT")]
    Form,
}

/// Request to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the text of each variant says the same")]
pub enum Request {
    #[error("create the cache")]
    CreateCache,
    #[error("remove the cache")]
    RemoveCache,
    #[error("create the container")]
    CreateContainer,
    #[error("prepare the container")]
    PrepareContainer,
    #[error("attach to the container")]
    AttachContainer,
    #[error("wait for the container")]
    WaitContainer,
    #[error("start the container")]
    StartContainer,
    #[error("list its containers")]
    ListContainers,
    #[error("describe the image")]
    InspectImage,
    #[error("describe the container")]
    InspectContainer,
}

impl Request {
    /// Converts an engine's answer to this request into an error.
    pub(super) fn into_error(self, source: bollard::errors::Error) -> Error {
        Error::Refused { request: self, source: Box::new(source) }
    }
}

impl Error {
    /// Advice for the user, one line each.
    pub fn hints(&self) -> Vec<String> {
        if let Self::Outside { dir } = self {
            let dir = crate::process::quote(dir.as_os_str());
            return vec![
                "every program that the build runs could read this directory and copy it into the binary".to_owned(),
                format!("`--mount {dir}` (or GOFLAME_MOUNT={dir}) allows it; --native builds without a container"),
            ];
        }
        let hint: &[&str] = match self {
            Self::Endpoint { .. } => {
                &["set DOCKER_HOST to a socket of this machine, or to a port that `ssh -L` forwards"]
            }
            Self::NoContext { .. } => &["`docker context ls` lists the contexts"],
            Self::Unreachable { forbidden: true, .. } => {
                &["the socket belongs to root and its group: `sudo usermod -aG docker $USER`, then log in again"]
            }
            Self::Unreachable { .. } => &[
                "start it: `sudo systemctl start docker`; on Debian, the package docker.io has it",
                "or set DOCKER_HOST or a `docker context` to its address; --native builds without it",
            ],
            Self::NoImage => &["set `image` in [toolchain], for example \"golang:1.27.3\", or pin `go` there"],
            Self::Offline { .. } => &["build once without --offline, or load the image with `docker load`"],
            Self::Pull { .. } => &["for a private registry, run `docker pull` first"],
            Self::PinGone { .. } => &[
                "build or load that image again, or pin the image that the name refers to now: `goflame build --update-lock`",
            ],
            Self::OtherGo { .. } => &["change `go` or `image` in [toolchain], so that they agree"],
            Self::NoGo { .. } => {
                &["set an image with a Go toolchain, for example golang:1.27.3 or golang:1.27.3-alpine"]
            }
            Self::SystemDirectory { .. } => &["move the project to another directory, or build it with --native"],
            Self::Refused { request: Request::CreateContainer, .. } => {
                &["an engine on another machine needs the project at the same path"]
            }
            Self::Download { .. } => {
                &["GOPROXY, GOPRIVATE and HTTPS_PROXY are passed on; `go mod vendor` needs no download"]
            }
            Self::LineBreak { .. } => &["`goflame build --docker` can pass every value"],
            Self::NoContainer { .. } => &["`docker ps` lists the running containers with their names and ids"],
            Self::NotRunning { .. } => &["`docker start` starts it"],
            Self::OtherMachine { .. } => {
                &["run goflame on the machine of the engine, and set DOCKER_HOST to its socket"]
            }
            Self::TooOld { .. } => &["use Docker 19.03 or newer"],
            _ => &[],
        };
        hint.iter().map(|hint| (*hint).to_owned()).collect()
    }
}
