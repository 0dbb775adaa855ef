//! Counting what test runners say.

use std::fmt;
use std::ops::AddAssign;

/// How many checks ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Counts {
    /// One check that passed or failed.
    pub fn one(passed: bool) -> Self {
        Self {
            passed: u64::from(passed),
            failed: u64::from(!passed),
            skipped: 0,
        }
    }

    /// `count` checks that were not made.
    pub fn skipped(count: u64) -> Self {
        Self {
            skipped: count,
            ..Self::default()
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// Adds what one line of a runner's output says; other lines say nothing.
///
/// Known are libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; …` (also of doc tests) and
/// nextest's `Summary [ 0.1s] 3 tests run: 2 passed (1 slow), 1 failed, 1 skipped`, and vitest's
/// `Tests  1 failed | 2 passed | 1 skipped (4)`.
pub fn count_line(counts: &mut Counts, line: &str) {
    let line = line.trim_start();
    let rest = if let Some(rest) = line.strip_prefix("test result: ") {
        // The verdict ends with the first full stop.
        rest.split_once(". ").map_or("", |(_, rest)| rest)
    } else if let Some(rest) = line.strip_prefix("Summary [") {
        rest.split_once("run: ").map_or("", |(_, rest)| rest)
    } else if let Some(rest) = line.strip_prefix("Tests  ") {
        rest
    } else {
        return;
    };
    for part in rest.split([';', ',', '|']) {
        let mut words = part.split_whitespace();
        let (Some(number), Some(word)) = (
            words.next().and_then(|word| word.parse::<u64>().ok()),
            words.next(),
        ) else {
            continue;
        };
        match word {
            "passed" => counts.passed += number,
            // What a runner could not start or had to stop did not pass.
            "failed" | "timed" | "exec" => counts.failed += number,
            "ignored" | "skipped" => counts.skipped += number,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lines: &[&str]) -> Counts {
        let mut counts = Counts::default();
        for line in lines {
            count_line(&mut counts, line);
        }
        counts
    }

    #[test]
    fn libtests_results_add_up_over_binaries() {
        let counts = count(&[
            "running 2 tests",
            "test a::b ... ok",
            "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.1s",
            "test result: FAILED. 1 passed; 2 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        ]);
        assert_eq!(
            counts,
            Counts {
                passed: 3,
                failed: 2,
                skipped: 4
            }
        );
    }

    #[test]
    fn nextests_summary_counts_what_timed_out_as_failed() {
        let line = "     Summary [   1.234s] 10/12 tests run: 6 passed (2 slow, 1 flaky), 3 failed, 1 timed out, 2 skipped";
        assert_eq!(
            count(&[line]),
            Counts {
                passed: 6,
                failed: 4,
                skipped: 2
            }
        );
        let line = "     Summary [   0.012s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(
            count(&[line]),
            Counts {
                passed: 1,
                failed: 0,
                skipped: 0
            }
        );
    }

    #[test]
    fn vitests_summary_is_counted() {
        let counts = count(&[
            " Test Files  1 failed | 1 passed (2)",
            "      Tests  1 failed | 2 passed | 3 skipped (6)",
        ]);
        assert_eq!(
            counts,
            Counts {
                passed: 2,
                failed: 1,
                skipped: 3
            }
        );
    }

    #[test]
    fn a_test_that_prints_numbers_is_not_counted() {
        assert_eq!(
            count(&["5 passed; 3 failed", "result: 5 passed"]),
            Counts::default()
        );
    }
}
