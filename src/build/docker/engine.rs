//! Connection to a Docker engine.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as ApiError;
use futures_util::future::{Either, select};
use tokio::runtime::{Builder, Runtime};

use super::endpoint::{Address, DockerEnvironment, find_endpoint};
use super::{EngineEndpoint, Error};
use crate::process::Signals;

/// Oldest supported API version: Docker 19.03. The engine reports its version; the newest common version is used.
pub const OLDEST_API_VERSION: (usize, usize) = (1, 40);

/// Timeout for an engine that does not answer, in seconds.
const ANSWER_TIMEOUT_SECONDS: u64 = 120;

/// Interval between checks for signals while the engine works.
const SIGNAL_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Docker engine. Every call blocks until it is done.
#[derive(Debug)]
pub struct DockerEngine {
    pub(super) docker: Docker,
    pub(super) endpoint: EngineEndpoint,
    pub(super) runtime: Runtime,
    facts: EngineFacts,
}

/// Facts that an engine reports about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineFacts {
    /// Version of the engine, for example `20.10.24`.
    pub version: String,
    /// API version in use, for example `1.41`.
    pub api: String,
    /// Whether the engine runs without root. Root in its containers is then the user that runs the engine.
    pub is_rootless: bool,
}

impl DockerEngine {
    /// Connects to the engine that the environment or the settings of the `docker` command select.
    pub fn connect() -> Result<Self, Error> {
        Self::connect_to(find_endpoint(&DockerEnvironment::from_process())?)
    }

    fn connect_to(endpoint: EngineEndpoint) -> Result<Self, Error> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
        let shown = endpoint.to_string();
        let unreachable = |source: ApiError| {
            let forbidden = has_io_error_kind(&source, std::io::ErrorKind::PermissionDenied);
            Error::Unreachable { endpoint: shown.clone(), forbidden, source: Box::new(source) }
        };
        if let Address::Unix(path) = &endpoint.address {
            // bollard reports a socket as missing if the user must not search its directory.
            std::fs::metadata(path).map_err(|err| unreachable(ApiError::IOError { err }))?;
        }
        let newest = bollard::API_DEFAULT_VERSION;
        let docker = match &endpoint.address {
            Address::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), ANSWER_TIMEOUT_SECONDS, newest),
            Address::Tcp(host) => Docker::connect_with_http(&format!("tcp://{host}"), ANSWER_TIMEOUT_SECONDS, newest),
        };
        let docker = docker.map_err(unreachable)?;
        let (docker, info) = runtime.block_on(async {
            let docker = docker.negotiate_version().await.map_err(unreachable)?;
            let api = docker.client_version();
            if (api.major_version, api.minor_version) < OLDEST_API_VERSION {
                return Err(Error::TooOld {
                    endpoint: shown.clone(),
                    found: format!("{}.{}", api.major_version, api.minor_version),
                    needed: format!("{}.{}", OLDEST_API_VERSION.0, OLDEST_API_VERSION.1),
                });
            }
            let info = docker.info().await.map_err(unreachable)?;
            Ok((docker, info))
        })?;
        let api = docker.client_version();
        let facts = EngineFacts {
            version: info.server_version.unwrap_or_default(),
            api: format!("{}.{}", api.major_version, api.minor_version),
            is_rootless: info
                .security_options
                .unwrap_or_default()
                .iter()
                .any(|option| option.contains("name=rootless")),
        };
        Ok(Self { docker, endpoint, runtime, facts })
    }

    /// Facts that the engine reports about itself.
    pub fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    /// User id and group id that may write the caller's files. In the containers of a rootless engine, these are the
    /// ids of root.
    pub fn user(&self) -> super::User {
        if self.facts.is_rootless {
            return super::User { uid: 0, gid: 0 };
        }
        super::User::calling_user()
    }

    /// Blocks until the engine has answered.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Blocks until the engine has answered or a signal asks goflame to stop.
    pub(super) fn block_unless_interrupted<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut signals = Signals::catch().map_err(Error::Runtime)?;
        let interrupted = async {
            loop {
                if let Some(signal) = signals.take() {
                    return signal;
                }
                tokio::time::sleep(SIGNAL_POLL_INTERVAL).await;
            }
        };
        self.runtime.block_on(async {
            match select(pin!(work), pin!(interrupted)).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right((signal, _)) => Err(Error::Interrupted { signal }),
            }
        })
    }
}

/// Whether the causes of an error include an I/O error of this kind.
fn has_io_error_kind(error: &ApiError, kind: std::io::ErrorKind) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == kind) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether the engine answered "not found" (status 404).
pub(super) fn is_missing(error: &ApiError) -> bool {
    matches!(error, ApiError::DockerResponseServerError { status_code: 404, .. })
}
