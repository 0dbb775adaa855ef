//! Rules about single files: what stands in them, how long they are, what they must not name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Finding, Source, Tree};
use crate::workspace;

/// A file above this is worth a thought.
const LONG: usize = 700;
/// A file above this holds two rooms.
const TOO_LONG: usize = 900;

const LICENCE: &str = "MIT OR Apache-2.0";

/// What no code says. Written so that this file does not say it either.
const UNFINISHED: &[(&str, &str)] = &[
    (
        concat!("#[al", "low("),
        "use `#[expect(…, reason = \"…\")]`",
    ),
    (
        concat!("#![al", "low("),
        "use `#![expect(…, reason = \"…\")]`",
    ),
    (concat!("#[ign", "ore"), "a test runs or does not exist"),
    (concat!("to", "do!("), "finish it"),
    (concat!("unimple", "mented!("), "finish it"),
    (concat!("d", "bg!("), "remove it, or log it"),
];

/// Documents that every checkout has.
const DOCUMENTS: &[&str] = &[
    ".ci/run",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "deny.toml",
    "rust-toolchain.toml",
];

/// Crates whose manifest does not take over what the workspace says.
pub(super) fn crate_manifests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let path = &package.manifest_path;
        if package.license.as_deref() != Some(LICENCE) {
            findings.push(Finding::new(path, 0, "needs `license.workspace = true`"));
        }
        let text = tree
            .sources
            .iter()
            .find(|source| source.path == *path)
            .map_or("", |source| source.text.as_str());
        if !takes_workspace_lints(text) {
            findings.push(Finding::new(
                path,
                0,
                "needs `[lints]` with `workspace = true`",
            ));
        }
    }
    findings
}

fn takes_workspace_lints(manifest: &str) -> bool {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[lints]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .any(|line| line.split_whitespace().collect::<String>() == "workspace=true")
}

/// Documents that are missing.
pub(super) fn documents(tree: &Tree) -> Vec<Finding> {
    DOCUMENTS
        .iter()
        .filter(|path| !tree.sources.iter().any(|source| source.path == **path))
        .map(|path| Finding::new(path, 0, "is missing"))
        .collect()
}

/// Code that is unfinished, or silences what it should mend.
pub(super) fn unfinished(tree: &Tree) -> Vec<Finding> {
    lines_of(tree, &["rs"])
        .flat_map(|(source, number, line)| {
            UNFINISHED
                .iter()
                .filter(move |(word, _)| line.contains(word))
                .map(move |(word, advice)| {
                    Finding::new(&source.path, number, format!("`{word}`: {advice}"))
                })
        })
        .collect()
}

/// Trailing white space anywhere, tabs in Rust, a last line without its end.
pub(super) fn white_space(tree: &Tree) -> Vec<Finding> {
    let text = [
        "html", "json", "md", "py", "rs", "sh", "sql", "toml", "ts", "yaml", "yml",
    ];
    let mut findings: Vec<Finding> = lines_of(tree, &text)
        .filter_map(|(source, number, line)| {
            if line.ends_with([' ', '\t', '\r']) {
                Some(Finding::new(
                    &source.path,
                    number,
                    "white space at the end of the line",
                ))
            } else if line.contains('\t') && source.has_extension(&["rs"]) {
                Some(Finding::new(
                    &source.path,
                    number,
                    "a tab; write spaces, or \\t inside a string",
                ))
            } else {
                None
            }
        })
        .collect();
    for source in tree
        .sources
        .iter()
        .filter(|source| source.has_extension(&text))
    {
        if !source.is_recorded() && !source.text.is_empty() && !source.text.ends_with('\n') {
            findings.push(Finding::new(&source.path, 0, "the last line has no end"));
        }
    }
    findings
}

/// Files that hold more than one room.
pub(super) fn too_long(tree: &Tree) -> Vec<Finding> {
    by_length(tree, |lines| lines > TOO_LONG, "split it by topic")
}

/// Files that grow towards two rooms.
pub(super) fn long(tree: &Tree) -> Vec<Finding> {
    by_length(
        tree,
        |lines| lines > LONG && lines <= TOO_LONG,
        "is it still one room?",
    )
}

fn by_length(tree: &Tree, matches: impl Fn(usize) -> bool, advice: &str) -> Vec<Finding> {
    tree.sources
        .iter()
        .filter(|source| source.has_extension(&["py", "rs", "ts"]))
        .filter_map(|source| {
            let lines = source.text.lines().count();
            matches(lines)
                .then(|| Finding::new(&source.path, 0, format!("{lines} lines: {advice}")))
        })
        .collect()
}

/// Rust files below `src` that do not begin with `//!`.
pub(super) fn module_docs(tree: &Tree) -> Vec<Finding> {
    tree.sources
        .iter()
        .filter(|source| source.has_extension(&["rs"]) && source.path.contains("/src/"))
        .filter(|source| !source.path.ends_with("/tests.rs"))
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| {
            Finding::new(
                &source.path,
                1,
                "begin with `//!`: its purpose, and what is not done here",
            )
        })
        .collect()
}

/// Paths that exist on the machine at hand only.
pub(super) fn machine(tree: &Tree) -> Vec<Finding> {
    let root = workspace::root();
    let mut forbidden = vec![concat!("/wo", "rk/").to_owned()];
    forbidden.push(format!("{}/", root.display()));
    // Where it lies is this machine's own, unless every machine has such a place.
    let common = [
        "/", "/tmp", "/var/tmp", "/root", "/home", "/srv", "/opt", "/mnt", "/usr/src",
    ];
    let own = |above: &&Path| !common.iter().any(|path| *above == Path::new(path));
    if let Some(above) = root.parent().filter(own) {
        forbidden.push(format!("{}/", above.display()));
    }
    // A board's root user has the same home directory.
    if let Ok(home) = std::env::var("HOME")
        && home.len() > 1
        && home != "/root"
    {
        forbidden.push(format!("{home}/"));
    }
    forbidden.sort();
    forbidden.dedup();
    tree.sources
        .iter()
        .flat_map(|source| {
            source
                .lines()
                .map(move |(number, line)| (source, number, line))
        })
        .filter_map(|(source, number, line)| {
            let path = forbidden.iter().find(|path| names_path(line, path))?;
            Some(Finding::new(
                &source.path,
                number,
                format!("names {path} of this machine"),
            ))
        })
        .collect()
}

/// Mirrors and registries that this machine fetches packages from. They are read off the machine so
/// that they need not be named here.
pub(super) fn mirrors(tree: &Tree) -> Vec<Finding> {
    let mut files = vec![
        PathBuf::from("/etc/apt/sources.list"),
        PathBuf::from("/etc/pip.conf"),
    ];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
    }
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from) {
        let cargo =
            std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
        files.extend([
            cargo.join("config.toml"),
            home.join(".npmrc"),
            home.join(".config/pip/pip.conf"),
        ]);
    }
    // A file that is not there names nothing.
    let settings: String = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .collect();
    let hosts = hosts_of(&settings);
    tree.sources
        .iter()
        .filter(|source| source.path != "Cargo.lock")
        .flat_map(|source| {
            source
                .lines()
                .map(move |(number, line)| (source, number, line))
        })
        .filter_map(|(source, number, line)| {
            let host = hosts.iter().find(|host| line.contains(host.as_str()))?;
            Some(Finding::new(
                &source.path,
                number,
                format!("names {host}, a package mirror of this machine"),
            ))
        })
        .collect()
}

/// The host names of all web addresses in a text; those without a dot are no names of the world.
fn hosts_of(text: &str) -> BTreeSet<String> {
    text.split("://")
        .skip(1)
        .filter_map(|rest| {
            rest.split(|character: char| !(character.is_alphanumeric() || ".-".contains(character)))
                .next()
        })
        .filter(|host| host.contains('.'))
        .map(str::to_owned)
        .collect()
}

/// Whether `line` holds `path` as the start of an absolute path, not as the middle of another.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(index, _)| {
        !line[..index].ends_with(|before: char| {
            before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | '}')
        })
    })
}

/// The lines of all files with one of these extensions, recorded data apart.
fn lines_of<'a>(
    tree: &'a Tree,
    extensions: &'a [&'a str],
) -> impl Iterator<Item = (&'a Source, usize, &'a str)> {
    tree.sources
        .iter()
        .filter(move |source| source.has_extension(extensions) && !source.is_recorded())
        .flat_map(|source| {
            source
                .lines()
                .map(move |(number, line)| (source, number, line))
        })
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    fn places(findings: &[Finding]) -> Vec<(&str, usize)> {
        findings
            .iter()
            .map(|finding| (finding.path.as_str(), finding.line))
            .collect()
    }

    #[test]
    fn silenced_lints_and_unfinished_code_are_found_in_code_only() {
        let silenced = concat!("//! x\n#[al", "low(dead_code)]\nfn f() { to", "do!() }\n");
        let tree = tree(&[("crates/a/src/a.rs", silenced), ("notes.md", silenced)]);
        assert_eq!(
            places(&unfinished(&tree)),
            [("crates/a/src/a.rs", 2), ("crates/a/src/a.rs", 3)]
        );
    }

    #[test]
    fn recorded_data_keeps_its_white_space() {
        let tree = tree(&[
            ("a.rs", "let a;\n\tlet b;\n"),
            ("b.md", "text \n"),
            ("c.toml", "x = 1"),
            ("crates/a/tests/data/d.json", "{ \n"),
        ]);
        assert_eq!(
            places(&white_space(&tree)),
            [("a.rs", 2), ("b.md", 1), ("c.toml", 0)]
        );
    }

    #[test]
    fn length_is_noted_before_it_fails() {
        let (medium, large) = ("x\n".repeat(LONG + 1), "x\n".repeat(TOO_LONG + 1));
        let tree = tree(&[
            ("medium.rs", &medium),
            ("large.rs", &large),
            ("large.md", &large),
        ]);
        assert_eq!(places(&long(&tree)), [("medium.rs", 0)]);
        assert_eq!(places(&too_long(&tree)), [("large.rs", 0)]);
    }

    #[test]
    fn a_machine_path_is_found_but_not_a_longer_path_that_holds_it() {
        let path = concat!("/wo", "rk/");
        assert!(names_path(&format!("see {path}main"), path));
        assert!(names_path(&format!("\"{path}main\""), path));
        assert!(!names_path(&format!("/layer{path}upper"), path));
    }

    #[test]
    fn hosts_are_read_off_settings() {
        let settings =
            "deb [x=y] https://mirror.example.org:8080/debian stable main\nhttp://localhost/\n";
        assert_eq!(
            hosts_of(settings).into_iter().collect::<Vec<_>>(),
            ["mirror.example.org"]
        );
    }

    #[test]
    fn the_workspaces_lints_are_taken_only_below_their_heading() {
        assert!(takes_workspace_lints(
            "[package]\n[lints]\nworkspace = true\n"
        ));
        assert!(!takes_workspace_lints(
            "[lints]\n[other]\nworkspace = true\n"
        ));
        assert!(!takes_workspace_lints("[package]\nworkspace = true\n"));
    }

    #[test]
    fn a_rust_file_without_a_purpose_is_found() {
        let tree = tree(&[
            ("crates/a/src/lib.rs", "mod b;\n"),
            ("crates/a/src/b.rs", "//! Purpose.\n"),
            ("crates/a/tests/it/main.rs", "mod c;\n"),
        ]);
        assert_eq!(places(&module_docs(&tree)), [("crates/a/src/lib.rs", 1)]);
    }
}
