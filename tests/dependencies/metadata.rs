//! The crates of `Cargo.lock`, as cargo resolves them for the supported machines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

/// The machines that goflame supports.
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression.
    pub(crate) license: Option<String>,
    pub(crate) authors: Vec<String>,
    /// The registry or repository. `None` for a local directory.
    pub(crate) source: Option<String>,
    pub(crate) manifest_path: PathBuf,
    id: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    root: String,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// `dev` or `build`. `None` for a normal dependency.
    kind: Option<String>,
}

/// All crates that are needed to build or test goflame, except goflame. Sorted by name and version.
pub(crate) fn needed_crates() -> Vec<Package> {
    reachable(|_| true)
}

/// The crates that are part of a goflame binary, or whose macros generated code in it. Sorted by name and version.
pub(crate) fn shipped_crates() -> Vec<Package> {
    reachable(|kind| kind.kind.is_none())
}

fn reachable(follow: fn(&DependencyKind) -> bool) -> Vec<Package> {
    let Metadata { packages, resolve } = metadata();
    let nodes: BTreeMap<&str, &Node> = resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let (mut pending, mut found) = (vec![resolve.root.as_str()], BTreeSet::new());
    while let Some(id) = pending.pop() {
        let followed = nodes[id].deps.iter().filter(|dependency| dependency.dep_kinds.iter().any(follow));
        pending.extend(followed.map(|dependency| dependency.pkg.as_str()).filter(|id| found.insert(*id)));
    }
    let mut packages: Vec<Package> =
        packages.into_iter().filter(|package| found.contains(package.id.as_str())).collect();
    packages.sort();
    packages
}

fn metadata() -> Metadata {
    let targets = TARGETS.iter().flat_map(|target| ["--filter-platform", target]);
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .args(targets)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
