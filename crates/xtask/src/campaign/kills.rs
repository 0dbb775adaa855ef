//! Cases that kill: tests of `basalt` that draw everything from the seed that they are given.

use anyhow::Result;

use super::Case;
use crate::suite;
use crate::tally::Counts;

/// Where the tests of whole labs are.
const LAB: &str = "e2e_matrix::every_job_is_finished_once_whatever_is_killed_over_";
const DATABASES: [&str; 2] = ["sqlite", "postgresql"];

/// `basalt run` and its keeper.
pub(super) fn run(case: &Case) -> Result<(bool, String)> {
    draw(case, "e2e_kill::drawn", &[])
}

/// A whole lab, at length. Every other case is over the other database.
pub(super) fn lab(case: &Case) -> Result<(bool, String)> {
    let database = DATABASES[(case.number as usize + 1) % DATABASES.len()];
    let test = format!("{LAB}{database}");
    draw(case, &test, &[("BASALT_CAMPAIGN_SCALE", "long")])
}

/// A small lab over each database.
pub(super) fn small_lab(case: &Case) -> Result<(bool, String)> {
    draw(case, LAB, &[])
}

/// Runs the tests of this name over the case's seed. None of that name is a failure: nothing was
/// shown.
fn draw(case: &Case, test: &str, variables: &[(&str, &str)]) -> Result<(bool, String)> {
    let seed = case.seed.to_string();
    let variables: Vec<_> = [("BASALT_CAMPAIGN_SEED", seed.as_str())]
        .into_iter()
        .chain(variables.iter().copied())
        .collect();
    let mut command = suite::cargo();
    command
        .args(["test", "--package", "basalt", "--test", "it", "--", test])
        // One after the other: each keeps the host busy.
        .args(["--nocapture", "--test-threads", "1"])
        .envs(variables.iter().copied());
    let counts = suite::counted(&mut command)?;
    let words: Vec<String> = variables
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    Ok(verdict(counts, test, &words.join(" ")))
}

fn verdict(counts: Counts, test: &str, variables: &str) -> (bool, String) {
    let passed = counts.passed > 0 && counts.failed == 0;
    let detail = match passed {
        true => String::new(),
        false => format!(
            "{} passed, {} failed; again: {variables} cargo test -p basalt --test it {test} -- \
             --nocapture",
            counts.passed, counts.failed
        ),
    };
    (passed, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_does_not_exist_shows_nothing() {
        let (passed, detail) = verdict(Counts::default(), "e2e", "SEED=7");
        assert!(!passed);
        assert!(
            detail.contains("SEED=7 cargo test -p basalt --test it e2e"),
            "{detail}"
        );
        assert!(verdict(Counts::one(true), "e2e", "SEED=7").0);
        assert!(!verdict(Counts::one(false), "e2e", "SEED=7").0);
    }
}
