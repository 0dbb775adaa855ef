//! Who may depend on whom: the layers of ARCHITECTURE.md, checked over direct dependencies.
//!
//! Dependencies for tests alone are free: a test may drive a room through its real neighbours.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Finding, Tree};
use crate::process;

/// The layers, from the one that everybody may depend on to the one that nobody depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// No clock, no input or output, no async.
    Pure,
    /// Async; knows neither plans nor the database nor the API.
    Capability,
    /// Databases and the API's types.
    Persistence,
    /// Puts capabilities together.
    Composition,
    /// Programs.
    Edge,
}

/// A crate's place.
struct Room {
    /// The directory below `crates/`.
    name: &'static str,
    layer: Layer,
    /// Crates of its own layer that it may depend on.
    peers: &'static [&'static str],
    /// Crates of lower layers that it must not know nevertheless.
    strangers: &'static [&'static str],
}

const fn room(name: &'static str, layer: Layer, peers: &'static [&'static str]) -> Room {
    Room {
        name,
        layer,
        peers,
        strangers: &[],
    }
}

const fn capability(name: &'static str, peers: &'static [&'static str]) -> Room {
    Room {
        name,
        layer: Layer::Capability,
        peers,
        strangers: &["job", "plan", "scheduler"],
    }
}

/// A program that must stay apart from Basalt's own code.
const fn apart(name: &'static str) -> Room {
    Room {
        name,
        layer: Layer::Edge,
        peers: &[],
        strangers: &["*"],
    }
}

/// The arrow table. A crate that is not in it has no place yet: add its row with the crate.
const ROOMS: &[Room] = &[
    room("model", Layer::Pure, &[]),
    room("yaml", Layer::Pure, &[]),
    room("jinja", Layer::Pure, &[]),
    room("job", Layer::Pure, &["model", "yaml"]),
    room("lab", Layer::Pure, &["jinja", "model", "yaml"]),
    room("plan", Layer::Pure, &["job", "lab", "model", "yaml"]),
    room("scheduler", Layer::Pure, &["lab", "model"]),
    room("realtime", Layer::Pure, &["model"]),
    room("report", Layer::Pure, &["model", "realtime"]),
    room("pages", Layer::Pure, &["model", "realtime"]),
    capability("clock", &[]),
    capability("console", &["clock"]),
    capability("power", &["clock"]),
    capability("netboot", &["clock"]),
    capability("artifacts", &["clock"]),
    capability("journal", &["clock"]),
    capability("link", &["clock", "journal"]),
    room("api", Layer::Persistence, &[]),
    room("store", Layer::Persistence, &["api"]),
    room("runner", Layer::Composition, &[]),
    room("dispatcher", Layer::Composition, &["runner"]),
    room("server", Layer::Composition, &[]),
    room("lava", Layer::Composition, &["server"]),
    room("client", Layer::Composition, &[]),
    room("ssh", Layer::Composition, &["client"]),
    room("basalt", Layer::Edge, &[]),
    apart("private-postgres"),
    apart("virtual-rack"),
    apart("xtask"),
];

/// Packages that belong to some crates only, beside the programs at the edge.
const PLACES: &[(&str, &[&str])] = &[
    ("axum", &["lava", "netboot", "server", "virtual-rack"]),
    ("reqwest", &["artifacts", "client", "power", "server"]),
    ("russh", &["console", "ssh"]),
    ("sqlx", &["store"]),
];

/// Packages that wait, or touch files, sockets or processes: none of them in a pure crate.
const IMPURE: &[&str] = &[
    "axum",
    "futures",
    "reqwest",
    "rustix",
    "russh",
    "sqlx",
    "tempfile",
    "tokio",
    "tokio-serial",
    "tokio-util",
    "tracing",
];

/// What a pure crate's code does not say, tests apart.
const IMPURE_WORDS: &[&str] = &[
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime",
    "TcpStream",
    "UdpSocket",
    "async fn",
    "println!",
    "eprintln!",
];

/// What cargo says of a package of the workspace.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct PackageManifest {
    pub(super) name: String,
    pub(super) manifest_path: String,
    pub(super) license: Option<String>,
    pub(super) dependencies: Vec<Dependency>,
}

/// A direct dependency.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// `dev`, `build`, or none for what the code itself uses.
    pub(super) kind: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<PackageManifest>,
}

/// Reads the workspace's packages.
pub(super) fn read(root: &Path) -> Result<Vec<PackageManifest>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let text = process::run(
        Command::new(cargo)
            .args([
                "metadata",
                "--no-deps",
                "--format-version",
                "1",
                "--offline",
            ])
            .current_dir(root),
        Duration::from_secs(60),
    )?;
    let metadata: Metadata = serde_json::from_str(&text).context("reading cargo's metadata")?;
    let above = format!("{}/", root.display());
    Ok(metadata
        .packages
        .into_iter()
        .map(|mut package| {
            if let Some(below) = package.manifest_path.strip_prefix(&above) {
                package.manifest_path = below.to_owned();
            }
            package
        })
        .collect())
}

impl PackageManifest {
    /// The crate's directory below `crates/`, its name in the tables.
    fn room(&self) -> &str {
        self.manifest_path
            .split('/')
            .rev()
            .nth(1)
            .unwrap_or(&self.name)
    }

    /// Dependencies of the code itself and of its build.
    fn arrows(&self) -> impl Iterator<Item = &str> {
        self.dependencies
            .iter()
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
            .map(|dependency| dependency.name.as_str())
    }
}

fn find(name: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.name == name)
}

/// Dependencies between crates that the table does not allow.
pub(super) fn arrows(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let Some(from) = find(package.room()) else {
            let message =
                "this crate has no row in the arrow table (crates/xtask/src/tidy/arrows.rs)";
            findings.push(Finding::new(&package.manifest_path, 0, message));
            continue;
        };
        for name in package.arrows() {
            let Some(target) = tree.packages.iter().find(|other| other.name == name) else {
                continue;
            };
            let Some(to) = find(target.room()) else {
                continue;
            };
            if let Some(why) = forbidden(from, to) {
                findings.push(Finding::new(&package.manifest_path, 0, why));
            }
        }
    }
    findings
}

/// Why `from` must not depend on `to`; `None` where it may.
fn forbidden(from: &Room, to: &Room) -> Option<String> {
    let (a, b) = (from.name, to.name);
    if from.strangers.contains(&"*") {
        return Some(format!(
            "{a} stays apart from Basalt's code, so it must not depend on {b}"
        ));
    }
    if from.strangers.contains(&b) {
        return Some(format!(
            "{a} must not know {b}: capabilities know neither jobs nor plans"
        ));
    }
    match from.layer.cmp(&to.layer) {
        std::cmp::Ordering::Greater => None,
        std::cmp::Ordering::Equal if from.peers.contains(&b) => None,
        std::cmp::Ordering::Equal => Some(format!(
            "{a} depends on {b} of its own layer, which the arrow table does not allow"
        )),
        std::cmp::Ordering::Less => Some(format!(
            "{a} depends on {b}, which stands in a layer above it"
        )),
    }
}

/// Packages used outside the crates that own them.
pub(super) fn places(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let room = package.room();
        for name in package.arrows() {
            let Some((_, homes)) = PLACES.iter().find(|(placed, _)| *placed == name) else {
                continue;
            };
            if !homes.contains(&room) {
                let message = format!("{name} belongs to {} only", homes.join(", "));
                findings.push(Finding::new(&package.manifest_path, 0, message));
            }
        }
    }
    findings
}

/// Pure crates that depend on, or say, what only others may.
pub(super) fn purity(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        if find(package.room()).is_none_or(|room| room.layer != Layer::Pure) {
            continue;
        }
        for name in package.arrows().filter(|name| IMPURE.contains(name)) {
            let message = format!("a pure crate must not depend on {name}");
            findings.push(Finding::new(&package.manifest_path, 0, message));
        }
    }
    for source in &tree.sources {
        let mut parts = source.path.split('/');
        let (Some("crates"), Some(room), Some("src")) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let is_pure = find(room).is_some_and(|room| room.layer == Layer::Pure);
        let is_test = source.path.ends_with("tests.rs") || source.path.contains("/tests/");
        if !is_pure || is_test || !source.has_extension(&["rs"]) {
            continue;
        }
        // By custom the tests of a file are its end.
        for (number, line) in source
            .lines()
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for word in IMPURE_WORDS.iter().filter(|word| line.contains(**word)) {
                let message = format!("a pure crate says no `{word}`");
                findings.push(Finding::new(&source.path, number, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    fn package(room: &str, dependencies: &[(&str, Option<&str>)]) -> PackageManifest {
        PackageManifest {
            name: format!("basalt-{room}"),
            manifest_path: format!("crates/{room}/Cargo.toml"),
            license: None,
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).to_owned(),
                    kind: kind.map(str::to_owned),
                })
                .collect(),
        }
    }

    fn with_packages(packages: Vec<PackageManifest>) -> Tree {
        Tree {
            packages,
            ..tree(&[])
        }
    }

    #[test]
    fn arrows_point_down_and_sideways_only_where_the_table_says() {
        let tree = with_packages(vec![
            package("model", &[]),
            package("job", &[("basalt-model", None)]),
            package("plan", &[("basalt-job", None)]),
            package("console", &[("basalt-plan", None)]),
            package("journal", &[("basalt-console", None)]),
            package("lab", &[("basalt-runner", None)]),
            package("runner", &[("basalt-plan", None), ("basalt-console", None)]),
            package("virtual-rack", &[("basalt-model", None)]),
            package("annexe", &[]),
        ]);
        let messages: Vec<_> = arrows(&tree)
            .into_iter()
            .map(|finding| finding.message)
            .collect();
        assert_eq!(
            messages,
            [
                "console must not know plan: capabilities know neither jobs nor plans",
                "journal depends on console of its own layer, which the arrow table does not allow",
                "lab depends on runner, which stands in a layer above it",
                "virtual-rack stays apart from Basalt's code, so it must not depend on model",
                "this crate has no row in the arrow table (crates/xtask/src/tidy/arrows.rs)",
            ]
        );
    }

    #[test]
    fn a_placed_package_is_found_elsewhere_unless_only_tests_use_it() {
        let tree = with_packages(vec![
            package("power", &[("reqwest", None), ("axum", Some("dev"))]),
            package("console", &[("reqwest", None)]),
        ]);
        let findings = places(&tree);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "crates/console/Cargo.toml");
    }

    #[test]
    fn a_pure_crate_reads_no_files_outside_its_tests() {
        let mut tree = tree(&[
            (
                "crates/job/src/read.rs",
                "// std::fs\nlet x = std::fs::read(p);\n#[cfg(test)]\nstd::fs::read(q)\n",
            ),
            ("crates/console/src/read.rs", "let x = std::fs::read(p);\n"),
        ]);
        tree.packages = vec![package("job", &[("tokio", None)])];
        let findings = purity(&tree);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert_eq!(
            (findings[1].path.as_str(), findings[1].line),
            ("crates/job/src/read.rs", 2)
        );
    }
}
