//! Snapshots (insta) that no test refers to any more.

use super::{Finding, Tree};

/// Snapshots whose source file is gone, or no longer says their name.
///
/// insta writes `source: PATH` into each snapshot's header and names the file
/// `MODULE__PATH__NAME.snap`, where NAME is the test function (without `test_`, with `-N` from the
/// second on) unless the assertion names it.
pub(super) fn unreferenced(tree: &Tree) -> Vec<Finding> {
    tree.sources
        .iter()
        .filter(|snapshot| snapshot.has_extension(&["snap"]))
        .filter_map(|snapshot| {
            let Some(path) = header(&snapshot.text, "source") else {
                return Some(Finding::new(
                    &snapshot.path,
                    0,
                    "has no `source:` in its header",
                ));
            };
            let Some(source) = tree.sources.iter().find(|source| source.path == path) else {
                return Some(Finding::new(
                    &snapshot.path,
                    0,
                    format!("{path} is gone; delete the snapshot"),
                ));
            };
            let name = name_of(&snapshot.path);
            let message = format!("{path} has no test or assertion `{name}`; delete the snapshot");
            (!source.text.contains(name)).then(|| Finding::new(&snapshot.path, 0, message))
        })
        .collect()
}

fn header<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .skip(1)
        .take_while(|line| *line != "---")
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .map(|value| value.trim().trim_matches('"'))
}

fn name_of(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = file.strip_suffix(".snap").unwrap_or(file);
    let name = name.rsplit("__").next().unwrap_or(name);
    match name.rsplit_once('-') {
        Some((base, number)) if number.parse::<u32>().is_ok() => base,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn a_snapshot_lives_as_long_as_its_test() {
        let snapshot = "---\nsource: crates/a/src/lib.rs\nexpression: x\n---\nsource: body\n";
        let tree = tree(&[
            ("crates/a/src/lib.rs", "//! x\nfn five_mistakes() {}\n"),
            ("crates/a/src/snapshots/a__five_mistakes-2.snap", snapshot),
            ("crates/a/src/snapshots/a__six_mistakes.snap", snapshot),
        ]);
        let findings = unreferenced(&tree);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].message.contains("`six_mistakes`"));
    }
}
