//! Finding the engine, and the messages without one.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::engine::{engine, project};

const EMPTY_PROGRAM: &str = "package main\n\nfunc main() {}\n";

/// TCP port that forwards to the socket of an engine.
pub(crate) struct Relay(u16);

impl Relay {
    pub(crate) fn to_socket(socket: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, socket): (_, PathBuf) = (listener.local_addr().unwrap().port(), socket.into());
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let engine = UnixStream::connect(&socket).unwrap();
                let (mut from_client, mut from_engine) = (client.try_clone().unwrap(), engine.try_clone().unwrap());
                let (mut to_client, mut to_engine) = (client, engine);
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from_client, &mut to_engine);
                    let _ = to_engine.shutdown(Shutdown::Write);
                });
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from_engine, &mut to_client);
                    let _ = to_client.shutdown(Shutdown::Both);
                });
            }
        });
        Self(port)
    }

    pub(crate) fn host(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.0)
    }
}

#[test]
fn the_current_context_is_followed() {
    let engine = engine();
    let project = project(EMPTY_PROGRAM, "build.docker = true\n");
    let settings = project.path("docker-config");
    // The real `docker` command writes the context.
    let context = |args: &[&str]| {
        let done = Command::new("docker").args(args).env("DOCKER_CONFIG", &settings).env_remove("DOCKER_HOST").output();
        let done = done.unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    context(&["context", "create", "box", "--docker", &format!("host={}", engine.host())]);
    context(&["context", "use", "box"]);
    let goflame = || project.goflame(["build"]).env("DOCKER_CONFIG", &settings).env("DOCKER_HOST", "");
    goflame().run().code(0);
    goflame()
        .env("DOCKER_CONTEXT", "other")
        .run()
        .code(11)
        .stderr_has("error: there is no Docker context `other` (DOCKER_CONTEXT)")
        .stderr_has("   help: `docker context ls` lists the contexts");
    engine.goflame(&project, ["build", "--clean-cache"]).run().code(0);
}

#[test]
fn an_unusable_engine_is_an_error_with_advice() {
    let project = project(EMPTY_PROGRAM, "build.docker = true\n");
    let at = |host: &str| project.goflame(["build"]).env("DOCKER_HOST", host).run();
    at("unix:///nonexistent/docker.sock").code(11).stdout("").stderr(
        "error: no Docker engine answers at unix:///nonexistent/docker.sock (DOCKER_HOST)
  cause: No such file or directory (os error 2)
   help: start it: `sudo systemctl start docker`; on Debian, the package docker.io has it
   help: or set DOCKER_HOST or a `docker context` to its address; --native builds without it
",
    );
    at("ssh://box")
        .code(11)
        .stderr_has("error: cannot use the Docker engine at ssh://box (DOCKER_HOST): SSH is not supported");

    // Nothing listens on a port that was just released.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    at(&format!("tcp://{free}"))
        .code(11)
        .stderr_has(&format!("error: no Docker engine answers at tcp://{free} (DOCKER_HOST)"))
        .stderr_has("  cause: Connection refused (os error 111)");

    // Such old engines cannot run any more, so this replays a recorded answer.
    let old = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = old.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in old.incoming().map_while(Result::ok) {
            let _ = client.read(&mut [0; 4096]);
            let body = r#"{"Version":"1.12.6","ApiVersion":"1.24"}"#;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
            let _ = write!(client, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    at(&format!("tcp://{address}")).code(11).stderr(&format!(
        "error: the Docker engine at tcp://{address} (DOCKER_HOST) has API version 1.24, but goflame needs 1.40 or newer
   help: use Docker 19.03 or newer
"
    ));
}

#[test]
fn a_socket_without_permission_is_an_error_with_advice() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root, as goflame under sudo has it");
    let engine = engine();
    let project = project(EMPTY_PROGRAM, "build.docker = true\n");
    std::fs::set_permissions(project.path("."), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let build = engine.goflame(&project, ["build"]).env("SUDO_UID", "65534").env("SUDO_GID", "65534");
    build.env("SUDO_USER", "nobody").run().code(11).stderr_has("  cause: Permission denied (os error 13)").stderr_has(
        "   help: the socket belongs to root and its group: `sudo usermod -aG docker $USER`, then log in again",
    );
}
