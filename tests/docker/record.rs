//! `goflame record` of programs in containers, from outside and from a container beside them.

use std::fs;

use nix::sys::signal::Signal;

use crate::engine::{Engine, engine, real_path};
use crate::harness::{Project, source};

/// Shell script that makes two images: one with only a stripped program, and one with goflame.
const MAKE_IMAGES: &str = "set -e
cp -r \"$SOURCE\"/tests/workloads/go.mod \"$SOURCE\"/tests/workloads/burner .
CGO_ENABLED=0 go build -ldflags='-s -w' -o app/server ./burner
cp app/server app/second
tar -C app -c . | docker -H \"$HOST\" import - goflame-test/server:local
mkdir goflame
cp \"$goflame\" goflame/
for library in $(ldd \"$goflame\" | grep -o '/[^ ]*'); do
	mkdir -p goflame$(dirname $library)
	cp -L $library goflame$library
done
tar -C goflame -c . | docker -H \"$HOST\" import - goflame-test/goflame:local
";

/// A container that is removed when the test ends.
struct Container<'e> {
    engine: &'e Engine,
    id: String,
}

impl<'e> Container<'e> {
    fn start(engine: &'e Engine, name: &str) -> Self {
        let args = [
            "run",
            "-d",
            "--network",
            "none",
            "--name",
            name,
            "goflame-test/server:local",
            "/server",
            "-seconds",
            "600",
        ];
        let id = engine.docker(&args).remove(0);
        Self { engine, id }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.engine.docker(&["rm", "--force", &self.id]);
    }
}

#[test]
fn a_stripped_program_in_a_container_from_scratch_is_sampled() {
    let engine = engine();
    let project = Project::empty();
    project.shell(MAKE_IMAGES).env("SOURCE", source()).env("HOST", engine.host()).run().code(0);
    let name = format!("goflame-record-{}", std::process::id());
    let container = Container::start(&engine, &name);

    // From outside, by name and by the beginning of the id.
    for named in [&name, &container.id[..12]] {
        let record = engine.goflame(&project, ["record", "--container", named, "-d", "1.5"]).run();
        record.code(0).stderr_has("    Sampling server [[..]] for 1.5 s");
        assert!(record.stdout.contains("main.burn"), "{}", record.stdout);
        let report = project.goflame(["report", "--by", "goroutine"]).run();
        assert!(report.stdout.contains("server goroutine 1 runtime.main"), "{}", report.stdout);
    }

    // From a second container, like an ephemeral container of Kubernetes.
    fs::create_dir(project.path("beside")).unwrap();
    let mount = format!("{}:/work", real_path(&project).join("beside").display());
    let pid_namespace = format!("--pid=container:{name}");
    let docker_run = ["run", "--rm", "--network", "none", &pid_namespace, "-v", &mount, "-w", "/work"];
    let record = ["goflame-test/goflame:local", "/goflame", "record", "-p", "1", "-d", "1"];
    // Fewer rights than `--privileged`, so that the test also works if its root user does not have all rights.
    let rights = ["--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE"];
    let printed = engine.docker(&[&docker_run[..], &rights, &record].concat()).join("\n");
    assert!(printed.contains("main.burn"), "{printed}");

    // Without the rights to sample, goflame fails with advice.
    let refused = [&docker_run[..], &["-e", "KUBERNETES_SERVICE_HOST=10.0.0.1"], &record].concat();
    let line = format!("docker -H {} {}", engine.host(), refused.join(" "));
    project.shell(&line).run().code(4).stderr_has("[..]in Kubernetes, from outside of the pod: `kubectl debug -n [..]");

    // Containers that do not run cannot be sampled.
    engine.docker(&["stop", "--time", "0", &name]);
    let stopped = engine.goflame(&project, ["record", "--container", &name]).run();
    stopped.code(11).stderr_has(&format!("error: the container {name} does not run: it is exited"));
    let missing = engine.goflame(&project, ["record", "--container", "goflame-nowhere"]).run();
    missing.code(11).stderr_has("error: the Docker engine has no container goflame-nowhere");
}

#[test]
fn a_process_that_enters_a_container_during_the_recording_is_sampled() {
    let engine = engine();
    let project = Project::empty();
    project.shell(MAKE_IMAGES).env("SOURCE", source()).env("HOST", engine.host()).run().code(0);
    let name = format!("goflame-enter-{}", std::process::id());
    let _container = Container::start(&engine, &name);
    let record = |wrapper: &str| {
        let line = format!("exec {wrapper} $goflame record --container {name} -F 499");
        let record = project.shell(&line).env("DOCKER_HOST", engine.host()).spawn();
        record.wait_for_samples();
        engine.docker(&["exec", &name, "/second", "-seconds", "1"]);
        record.signal(Signal::SIGINT);
        let record = record.finish();
        record.code(0);
        (record, project.goflame(["report", "--by", "goroutine", "-f", "folded"]).run().stdout.clone())
    };

    let (recorded, samples) = record("");
    recorded.stderr_lacks("[..]`docker exec`[..]");
    for process in ["server", "second"] {
        assert!(samples.contains(&format!("{process}_goroutine_1_runtime.main;")), "{process} in\n{samples}");
    }
    assert!(samples.lines().any(|line| line.starts_with("second_") && line.contains(";main.burn")), "{samples}");
    assert_eq!(project.newest_manifest()["sampler"]["tasks"], "control-group");

    // Without the file system of control groups, goflame samples only the current processes and their children.
    let (recorded, samples) = record("unshare --mount sh -c 'umount -l /sys/fs/cgroup && exec \"$@\"' sh");
    recorded.stderr_has(
        "     Warning processes that enter the container during the recording, such as those of `docker exec`, are not \
         sampled: no cgroup file system is mounted; `sudo goflame record --all-cpus` samples them",
    );
    assert!(samples.contains("server_goroutine_1_runtime.main;") && !samples.contains("second_"), "{samples}");
    assert_eq!(project.newest_manifest()["sampler"]["tasks"], "inherited");
}
