//! The facts of a run that a reader of its report needs: program, commit, build, machine, sampler.

use serde_json::Value;

use super::manifest::Manifest;
use crate::process::quote_command;
use crate::render::ServerRun;

/// The build settings that change the code of a program.
const REPORTED_BUILD_FLAGS: [&str; 4] = ["-gcflags", "-ldflags", "-tags", "-race"];

/// Returns the names and values of the facts about a run. Secrets are masked, as in the manifest.
pub(super) fn run_facts(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let Manifest { app, created, goflame, variant, build, git, host, workload, sampler, .. } = manifest;
    // Readers do not need the path of the program in the archive.
    let argv: Vec<&str> = workload.argv.iter().skip(1).map(String::as_str).collect();
    let mut facts = vec![
        ("Program", quote_command(&[&[app.name.as_str()][..], &argv].concat())),
        ("Ended with", format!("{} after {:.2} s", workload.status, workload.wall_seconds)),
        ("Started", created.clone()),
    ];
    let load = workload.load.as_ref().and_then(|load| load.figures.as_ref());
    facts.extend(
        ServerRun { phases: &workload.phases, load, ..ServerRun::default() }
            .describe()
            .map(|window| ("Window", window)),
    );
    if let Some(commit) = git.get("commit").and_then(Value::as_str) {
        let dirty = git.get("dirty").and_then(Value::as_bool) == Some(true);
        facts.push(("Commit", format!("{commit}{}", if dirty { ", with uncommitted changes" } else { "" })));
    }
    if let Some(build) = build {
        let set = |name: &&str| build.inspection.pointer(&format!("/go/settings/{name}")).and_then(Value::as_str);
        let flags = REPORTED_BUILD_FLAGS.iter().filter_map(|name| Some(format!(", {name} {}", set(name)?)));
        facts.push(("Built with", format!("{}, variant {variant}{}", build.go, flags.collect::<String>())));
    }
    let host = |name: &str| host.pointer(&format!("/{name}/value"));
    let machine = [host("cpu_model"), host("kernel_release")].into_iter().flatten().filter_map(Value::as_str);
    let cpus = host("online_cpus").and_then(Value::as_array).map(|cpus| format!("{} CPUs", cpus.len()));
    facts.push(("Machine", machine.map(str::to_owned).chain(cpus).collect::<Vec<_>>().join(", ")));
    facts.push(("Sampled", format!("{} at {} Hz by goflame {goflame}", sampler.event, sampler.frequency)));
    facts
}
