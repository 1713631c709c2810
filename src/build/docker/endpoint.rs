//! Address of the engine, found as the `docker` command does: `DOCKER_HOST`, then `DOCKER_CONTEXT`, then the current
//! context of `config.json`, then the system socket. Sources: docker/cli, cli/context, and `docker context --help`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{EndpointFault, Error};
use crate::bytes::hex;
use crate::fsio;

/// Default socket of the engine.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
/// Default port of an engine on TCP.
const DEFAULT_PORT: u16 = 2375;
/// Maximum bytes of a configuration file: more than any file of the `docker` command has.
const MAX_CONFIG_FILE_BYTES: u64 = 1 << 20;

/// Address of an engine, and the source of that address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEndpoint {
    /// The address.
    pub address: Address,
    /// Source of the address, for messages: `DOCKER_HOST`, ``DOCKER_CONTEXT, `x` `` or ``the current context, `x` ``.
    /// Empty for the default.
    pub origin: String,
}

/// Address of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// Host and port, without encryption.
    Tcp(String),
}

impl fmt::Display for EngineEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Unix(path) => write!(f, "unix://{}", path.display())?,
            Address::Tcp(host) => write!(f, "tcp://{host}")?,
        }
        if self.origin.is_empty() { Ok(()) } else { write!(f, " ({})", self.origin) }
    }
}

/// Environment variables that select the engine.
#[derive(Debug, Clone, Default)]
pub(super) struct DockerEnvironment {
    pub(super) host: Option<String>,
    pub(super) context: Option<String>,
    pub(super) tls_verify: bool,
    /// `DOCKER_CONFIG`, or `.docker` in the home directory.
    pub(super) config_dir: Option<PathBuf>,
}

impl DockerEnvironment {
    pub(super) fn from_process() -> Self {
        let var = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
        let home = crate::process::acting_account().map(|account| account.home.clone());
        let home = home.or_else(|| var("HOME").map(PathBuf::from));
        Self {
            host: var("DOCKER_HOST"),
            context: var("DOCKER_CONTEXT"),
            tls_verify: var("DOCKER_TLS_VERIFY").is_some(),
            config_dir: var("DOCKER_CONFIG").map(PathBuf::from).or_else(|| home.map(|home| home.join(".docker"))),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigFile {
    current_context: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextFile {
    endpoints: std::collections::BTreeMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContextEndpoint {
    #[serde(default)]
    host: String,
}

/// Finds the endpoint. If a named context cannot be read, returns an error; never falls back to the default engine.
pub(super) fn find_endpoint(env: &DockerEnvironment) -> Result<EngineEndpoint, Error> {
    if let Some(host) = &env.host {
        return parse_host(host, "DOCKER_HOST".to_owned(), env.tls_verify);
    }
    let config_dir = env.config_dir.as_deref();
    let (name, origin) = match (&env.context, config_dir) {
        (Some(name), _) => (name.clone(), "DOCKER_CONTEXT"),
        (None, Some(dir)) => (current_context_name(dir)?, "the current context"),
        (None, None) => (String::new(), ""),
    };
    match (name.as_str(), config_dir) {
        ("" | "default", _) | (_, None) => {
            Ok(EngineEndpoint { address: Address::Unix(DEFAULT_SOCKET.into()), origin: String::new() })
        }
        (name, Some(dir)) => {
            let host = context_host(dir, name, origin)?;
            parse_host(&host, format!("{origin}, `{name}`"), false)
        }
    }
}

fn current_context_name(dir: &Path) -> Result<String, Error> {
    let path = dir.join("config.json");
    match fsio::read_bounded(&path, MAX_CONFIG_FILE_BYTES) {
        Ok(bytes) => serde_json::from_slice::<ConfigFile>(&bytes)
            .map(|config| config.current_context)
            .map_err(|source| Error::ContextFile { path, source }),
        Err(error) if error.is_missing() => Ok(String::new()),
        Err(error) => Err(Error::File(error)),
    }
}

/// Returns the host of a context, or the default socket if the context has none. The SHA-256 of the context's name is
/// the name of its directory (docker/cli, cli/context/store).
fn context_host(dir: &Path, name: &str, origin: &str) -> Result<String, Error> {
    let id = hex(&Sha256::digest(name.as_bytes()));
    let path = dir.join("contexts/meta").join(id).join("meta.json");
    let bytes = fsio::read_bounded(&path, MAX_CONFIG_FILE_BYTES).map_err(|source| Error::NoContext {
        name: name.to_owned(),
        origin: origin.to_owned(),
        source,
    })?;
    let mut context: ContextFile =
        serde_json::from_slice(&bytes).map_err(|source| Error::ContextFile { path, source })?;
    let endpoint = context.endpoints.remove("docker");
    Ok(endpoint
        .map(|endpoint| endpoint.host)
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| format!("unix://{DEFAULT_SOCKET}")))
}

fn parse_host(host: &str, origin: String, tls: bool) -> Result<EngineEndpoint, Error> {
    let unusable = |reason| Error::Endpoint { host: host.to_owned(), origin: origin.clone(), reason };
    let address = match host.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Address::Unix(path.into()),
        Some(("unix", _)) => return Err(unusable(EndpointFault::RelativeSocket)),
        Some(("tcp" | "http", _)) if tls => return Err(unusable(EndpointFault::Tls)),
        Some(("https", _)) => return Err(unusable(EndpointFault::Tls)),
        Some(("tcp" | "http", host)) if !host.trim_end_matches('/').is_empty() => {
            let host = host.trim_end_matches('/');
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            Address::Tcp(if has_port { host.to_owned() } else { format!("{host}:{DEFAULT_PORT}") })
        }
        Some(("ssh", _)) => return Err(unusable(EndpointFault::Ssh)),
        _ => return Err(unusable(EndpointFault::Form)),
    };
    Ok(EngineEndpoint { address, origin })
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    fn endpoint_at(host: &str) -> Result<EngineEndpoint, Error> {
        find_endpoint(&DockerEnvironment { host: Some(host.to_owned()), ..DockerEnvironment::default() })
    }

    #[test]
    fn docker_host_accepts_sockets_and_tcp() {
        for (host, shown) in [
            ("unix:///run/x.sock", "unix:///run/x.sock (DOCKER_HOST)"),
            ("tcp://10.0.0.1:2000", "tcp://10.0.0.1:2000 (DOCKER_HOST)"),
            ("tcp://box/", "tcp://box:2375 (DOCKER_HOST)"),
            ("http://box:1", "tcp://box:1 (DOCKER_HOST)"),
        ] {
            assert_eq!(endpoint_at(host).unwrap().to_string(), shown);
        }
        for (host, reason) in [
            ("ssh://me@box", "SSH is not supported"),
            ("https://box", "TLS is not supported"),
            ("unix://x.sock", "the path of the socket is not absolute"),
            ("tcp://", "expected unix:///PATH or tcp://HOST:PORT"),
            ("/run/x.sock", "expected unix:///PATH or tcp://HOST:PORT"),
        ] {
            let error = endpoint_at(host).unwrap_err();
            assert_eq!(error.to_string(), format!("cannot use the Docker engine at {host} (DOCKER_HOST): {reason}"));
        }
        let tls =
            DockerEnvironment { host: Some("tcp://box:2376".into()), tls_verify: true, ..DockerEnvironment::default() };
        assert!(find_endpoint(&tls).unwrap_err().to_string().contains("TLS"));
    }

    #[test]
    fn a_selected_context_is_used_or_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let env = |context: Option<&str>| DockerEnvironment {
            context: context.map(str::to_owned),
            config_dir: Some(dir.path().to_owned()),
            ..DockerEnvironment::default()
        };
        let default = EngineEndpoint { address: Address::Unix(DEFAULT_SOCKET.into()), origin: String::new() };
        assert_eq!(find_endpoint(&env(None)).unwrap(), default);

        // File as `docker context create box --docker host=tcp://box:2375` writes it.
        let meta = dir.path().join("contexts/meta").join(hex(&Sha256::digest(b"box")));
        fs::create_dir_all(&meta).unwrap();
        fs::write(
            meta.join("meta.json"),
            r#"{"Name":"box","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://box:2375","SkipTLSVerify":false}}}"#,
        )
        .unwrap();
        assert_eq!(find_endpoint(&env(None)).unwrap(), default);
        assert_eq!(find_endpoint(&env(Some("box"))).unwrap().to_string(), "tcp://box:2375 (DOCKER_CONTEXT, `box`)");
        fs::write(dir.path().join("config.json"), r#"{"auths":{},"currentContext":"box"}"#).unwrap();
        assert_eq!(find_endpoint(&env(None)).unwrap().to_string(), "tcp://box:2375 (the current context, `box`)");
        assert_eq!(find_endpoint(&env(Some("default"))).unwrap(), default);

        let error = find_endpoint(&env(Some("bx"))).unwrap_err();
        assert_eq!(error.to_string(), "there is no Docker context `bx` (DOCKER_CONTEXT)");
        fs::write(dir.path().join("config.json"), "{").unwrap();
        assert!(matches!(find_endpoint(&env(None)), Err(Error::ContextFile { .. })));
    }
}
