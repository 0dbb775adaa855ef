//! `cargo xtask tidy`: the rules of the house that the compiler does not know.
//!
//! Each rule looks at the whole tree and names every place that breaks it. What is not done here:
//! formatting and lints, which have tools of their own.

mod arrows;
mod house;
mod snapshots;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process;
use crate::tally::Counts;
use crate::workspace;

/// A place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Below the workspace's root.
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    /// What is wrong and what to do.
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

/// A text file of the repository.
#[derive(Clone, Debug)]
struct Source {
    /// Below the workspace's root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// Whether the file is recorded data that is kept as it came.
    fn is_recorded(&self) -> bool {
        self.path
            .split('/')
            .any(|part| matches!(part, "data" | "fixtures" | "snapshots" | "testdata"))
    }

    fn has_extension(&self, extensions: &[&str]) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, extension)| extensions.contains(&extension))
    }

    /// The lines with their numbers from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .split('\n')
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

/// Everything that rules look at.
struct Tree {
    sources: Vec<Source>,
    packages: Vec<arrows::PackageManifest>,
}

/// One rule.
struct Rule {
    /// Says what holds.
    name: &'static str,
    /// Every place where it does not.
    check: fn(&Tree) -> Vec<Finding>,
    /// Whether a finding fails the run, or is only said.
    fails: bool,
}

const RULES: &[Rule] = &[
    Rule {
        name: "crates depend only as the arrow table says",
        check: arrows::arrows,
        fails: true,
    },
    Rule {
        name: "packages with a place stay in it",
        check: arrows::places,
        fails: true,
    },
    Rule {
        name: "pure crates neither wait nor reach out",
        check: arrows::purity,
        fails: true,
    },
    Rule {
        name: "every crate takes the workspace's lints and licence",
        check: house::crate_manifests,
        fails: true,
    },
    Rule {
        name: "licence texts and repository documents are there",
        check: house::documents,
        fails: true,
    },
    Rule {
        name: "no unfinished code and no silenced lints",
        check: house::unfinished,
        fails: true,
    },
    Rule {
        name: "no trailing white space, no tabs in Rust",
        check: house::white_space,
        fails: true,
    },
    Rule {
        name: "no file is longer than one room",
        check: house::too_long,
        fails: true,
    },
    Rule {
        name: "files are short enough to read at once",
        check: house::long,
        fails: false,
    },
    Rule {
        name: "every Rust file says its purpose first",
        check: house::module_docs,
        fails: true,
    },
    Rule {
        name: "no paths of this machine",
        check: house::machine,
        fails: true,
    },
    Rule {
        name: "no package mirrors of this machine",
        check: house::mirrors,
        fails: true,
    },
    Rule {
        name: "every snapshot belongs to a test",
        check: snapshots::unreferenced,
        fails: true,
    },
];

/// Checks all rules, says what breaks them, and counts each rule as one.
pub fn run() -> Result<Counts> {
    let tree = read()?;
    let mut counts = Counts::default();
    for rule in RULES {
        let mut findings = (rule.check)(&tree);
        findings.sort();
        let failed = rule.fails && !findings.is_empty();
        println!("{} {}", if failed { "FAILED" } else { "    ok" }, rule.name);
        for finding in findings {
            let kind = if rule.fails { "error" } else { "note" };
            match finding.line {
                0 => println!("       {kind}: {}: {}", finding.path, finding.message),
                line => println!(
                    "       {kind}: {}:{line}: {}",
                    finding.path, finding.message
                ),
            }
        }
        match failed {
            true => counts.failed += 1,
            false => counts.passed += 1,
        }
    }
    Ok(counts)
}

/// Reads every text file that git knows or would take up, and what cargo knows of the crates.
fn read() -> Result<Tree> {
    let root = workspace::root();
    let listed = process::run(
        Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(&root),
        Duration::from_secs(60),
    )?;
    let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut sources = Vec::new();
    for path in paths {
        let file: PathBuf = root.join(path);
        // Deleted but not yet committed, or a link to a directory.
        if !file.is_file() {
            continue;
        }
        let bytes = fs::read(&file).with_context(|| format!("reading {path}"))?;
        // What is not UTF-8 is data; rules about text do not concern it.
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source {
                path: path.to_owned(),
                text,
            });
        }
    }
    Ok(Tree {
        sources,
        packages: arrows::read(&root)?,
    })
}

#[cfg(test)]
fn tree(files: &[(&str, &str)]) -> Tree {
    let sources = files
        .iter()
        .map(|(path, text)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    Tree {
        sources,
        packages: Vec::new(),
    }
}
