//! Images that are found, pulled, pinned, moved and missing.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::engine::{Engine, IMAGE, RunningHub, engine, project, serve_hub};
use crate::harness::{Finished, Project};

const EMPTY_PROGRAM: &str = "package main\n\nfunc main() {}\n";
const PORT: u16 = 8082;

/// A registry with an image under the tag `1`.
struct Registry {
    engine: Engine,
    _served: RunningHub,
    _proxy: tempfile::TempDir,
    tag: String,
}

impl Registry {
    fn start(name: &str) -> Self {
        let (engine, proxy) = (engine(), tempfile::tempdir().unwrap());
        let served = serve_hub(&engine, proxy.path(), PORT);
        let tag = format!("127.0.0.1:{PORT}/{name}:1");
        let registry = Self { engine, _served: served, _proxy: proxy, tag };
        registry.push(&small_image(&registry.engine));
        registry
    }

    /// Puts an image under the tag, and removes it from the engine. Returns `repository@digest`.
    fn push(&self, image: &str) -> String {
        self.engine.docker(&["tag", image, &self.tag]);
        self.engine.docker(&["push", "--quiet", &self.tag]);
        let digest = self.engine.docker(&["inspect", "--format", "{{index .RepoDigests 0}}", &self.tag]).remove(0);
        self.engine.docker(&["rmi", "--force", image]);
        digest
    }

    /// Moves the tag to an image that differs from the one before. Returns its digest.
    fn move_tag(&self) -> String {
        let image = small_image(&self.engine);
        self.push(&image)
    }
}

/// Creates a new image with the part of Go that a program without imports needs: pushing all of Go takes long.
fn small_image(engine: &Engine) -> String {
    let out = Command::new("go").args(["env", "GOROOT"]).env("GOTOOLCHAIN", "local").output().unwrap();
    let goroot = PathBuf::from(String::from_utf8(out.stdout).unwrap().trim());
    let staged = tempfile::tempdir().unwrap();
    let place = staged.path().join("usr/local/go");
    let listed = Command::new("go").args(["list", "-deps", "runtime"]).env("GOTOOLCHAIN", "local").output().unwrap();
    let packages = String::from_utf8(listed.stdout).unwrap();
    let packages = packages.lines().map(|path| format!("src/{}", path.split('/').next().unwrap()));
    let others = ["bin/go", "VERSION", "go.env", "pkg/include"].map(str::to_owned);
    for part in packages.chain(others).collect::<std::collections::BTreeSet<_>>() {
        copy_tree(&goroot.join(&part), &place.join(&part));
    }
    for tool in ["asm", "compile", "link"] {
        let tool = format!("pkg/tool/{}_{}/{tool}", tool_platform(&goroot).0, tool_platform(&goroot).1);
        copy_tree(&goroot.join(&tool), &place.join(&tool));
    }
    let mut tar =
        Command::new("tar").arg("-C").arg(staged.path()).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
    let mut import = Command::new("docker");
    import.args(["-H", &engine.host(), "import", "--change", "ENV PATH=/usr/local/go/bin", "-"]);
    let out = import.stdin(tar.stdout.take().unwrap()).output().unwrap();
    assert!(out.status.success() && tar.wait().unwrap().success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn tool_platform(goroot: &std::path::Path) -> (String, String) {
    let tools = fs::read_dir(goroot.join("pkg/tool")).unwrap().next().unwrap().unwrap().file_name();
    let (os, arch) = tools.to_str().unwrap().split_once('_').unwrap();
    (os.to_owned(), arch.to_owned())
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let done = Command::new("cp").arg("-RL").arg(from).arg(to).status().unwrap();
    assert!(done.success() || !from.exists(), "{}", from.display());
}

fn project_from_registry(registry: &Registry, config: &str) -> Project {
    Project::program(EMPTY_PROGRAM, &format!("build.docker = true\ntoolchain.image = \"{}\"\n{config}", registry.tag))
}

fn locked_digest(project: &Project) -> String {
    let lock = String::from_utf8(project.read("goflame.lock")).unwrap();
    let line = lock.lines().find_map(|line| line.strip_prefix("digest = \"")).unwrap();
    line.trim_end_matches('"').to_owned()
}

#[test]
fn an_image_is_pulled_once_and_stays_when_its_tag_moves() {
    let registry = Registry::start("golang");
    let engine = &registry.engine;
    let project = project_from_registry(&registry, "");
    let build = |args: &str| project.shell(&format!("$goflame build {args}")).env("DOCKER_HOST", engine.host()).run();
    build("--offline").code(11).stderr(&format!(
        "error: the image {} is not on the Docker engine, and --offline forbids pulling it
   help: build once without --offline, or load the image with `docker load`
",
        registry.tag
    ));
    build("--locked").code(3).stderr_has("error: goflame.lock does not exist, and --locked forbids that");
    build("").code(0).stderr_has(&format!("     Pulling {}", registry.tag)).stderr_has("     Locking go1.[..]");
    let first = locked_digest(&project);
    assert!(first.starts_with(&format!("127.0.0.1:{PORT}/golang@sha256:")), "{first}");
    build("--offline --locked").code(0).stderr_has("      Pinned go1.[..]");

    // The tag moves in the registry. Builds still use the old image, even if it must be pulled again.
    let second = registry.move_tag();
    assert_ne!(first, second);
    engine.docker(&["rmi", &first]);
    build("--locked").code(0).stderr_has(&format!("     Pulling {first}"));
    assert_eq!(locked_digest(&project), first);

    // The user pulls the tag.
    engine.docker(&["pull", "--quiet", &registry.tag]);
    build("").code(0).stderr_has(&format!("     Warning {} now refers to {second}; [..]", registry.tag));
    let refused = build("--locked");
    refused.code(3).stdout("").stderr(&format!(
        "error: goflame.lock would change, and --locked forbids that
  cause: - docker.digest = \"{first}\"
         + docker.digest = \"{second}\"
   help: `goflame build --update-lock` writes it; commit it together with the change that caused it
"
    ));
    assert_eq!(locked_digest(&project), first);
    build("--update-lock").code(0).stderr_has("     Locking go1.[..]");
    assert_eq!(locked_digest(&project), second);
    build("--locked").code(0);

    // The lock names a digest that the registry does not have.
    let tampered =
        String::from_utf8(project.read("goflame.lock")).unwrap().replace(&second[second.len() - 8..], "00000000");
    project.write("goflame.lock", &tampered);
    for args in ["", "--locked"] {
        build(args)
            .code(11)
            .stderr_has(&format!("error: cannot pull the image {}00000000", &second[..second.len() - 8]))
            .stderr_has("  cause: [..]manifest unknown[..]");
    }
    assert_eq!(String::from_utf8(project.read("goflame.lock")).unwrap(), tampered);
    build("--clean-cache").code(0);
    assert_eq!(engine.containers(&project), [""; 0]);
}

#[test]
fn a_local_image_is_pinned_by_its_id_and_cannot_be_pulled() {
    let engine = engine();
    let image = small_image(&engine);
    engine.docker(&["tag", &image, "goflame-test/mine:1"]);
    let project = Project::program(EMPTY_PROGRAM, "build.docker = true\ntoolchain.image = \"goflame-test/mine:1\"\n");
    let build = || engine.goflame(&project, ["build"]).run();
    build().code(0);
    assert_eq!(locked_digest(&project), image);
    engine.docker(&["rmi", "goflame-test/mine:1"]);
    build().code(11).stderr(&format!(
        "error: goflame.lock pins goflame-test/mine:1 to {image}, which is neither on this Docker engine nor in a registry
   help: build or load that image again, or pin the image that the name refers to now: `goflame build --update-lock`
"
    ));
    engine.goflame(&project, ["build", "--clean-cache"]).run().code(0);
}

fn docker_build<'p>(engine: &Engine, project: &'p Project) -> Finished<'p> {
    engine.goflame(project, ["build", "--docker"]).run()
}

#[test]
fn images_that_cannot_build_are_errors() {
    let engine = engine();
    let empty = Command::new("sh")
        .args(["-c", "tar -c --files-from /dev/null | docker -H \"$HOST\" import - goflame-test/empty:1"])
        .env("HOST", engine.host())
        .status();
    assert!(empty.unwrap().success());
    let project_with = |image: &str, config: &str| {
        Project::program(EMPTY_PROGRAM, &format!("toolchain.image = \"{image}\"\n{config}"))
    };
    docker_build(&engine, &project_with("goflame-test/empty:1", ""))
        .code(11)
        .stderr_has("error: there is no `go` on the PATH of the image sha256:[..]")
        .stderr_has("   help: set an image with a Go toolchain, for example golang:1.27.3 or golang:1.27.3-alpine");
    engine.docker(&["rmi", "goflame-test/empty:1"]);

    docker_build(&engine, &project_with(IMAGE, "toolchain.go = \"1.20.14\"\n"))
        .code(11)
        .stderr_has(&format!("error: goflame.toml pins go1.20.14, but the image {IMAGE} has go1.[..]"));
    docker_build(&engine, &Project::program(EMPTY_PROGRAM, ""))
        .code(11)
        .stderr_has("error: a Docker build needs an image, but [toolchain] sets neither `image` nor `go`");

    let cgo = project("package main\n\nimport \"C\"\n\nfunc main() {}\n", "[variant.debug]\ncgo = true\n");
    docker_build(&engine, &cgo).code(5).stderr_has("[..]C compiler \"gcc\" not found[..]").stderr_has(
        "   help: the image sha256:[..] has no C compiler, which cgo needs: use an image with one (golang without -alpine)",
    );
    let stamped = project(EMPTY_PROGRAM, "[variant.debug]\nbuildvcs = true\n");
    stamped
        .shell("git init -q . && git add . && git -c user.name=t -c user.email=t@example.com commit -qm one")
        .run()
        .code(0);
    docker_build(&engine, &stamped).code(5).stderr_has("error obtaining VCS status: [..]").stderr_has(
        "   help: buildvcs = true needs git in the image sha256:[..], and a commit around the main package",
    );
    for project in [cgo, stamped] {
        assert_eq!(engine.containers(&project), [""; 0]);
        engine.goflame(&project, ["build", "--clean-cache"]).run().code(0);
    }
}
