//! What a test's signals mean: a pure fold from signals to results (facts: LAVA 2026.07, "strings
//! parsed from the console").
//!
//! Results of tests are never stored beside the signals they come from; they are this fold over the
//! journal, so that a kill between the two can neither lose nor double one.

use basalt_model::{CaseOutcome, CaseResult};

use crate::signals::words;

/// What one signal brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A result.
    Result(CaseResult),
    /// The definition asks to end the job.
    Raise(String),
    /// The signal makes no sense; it is said, not swallowed.
    Complaint(String),
}

/// The fold over the signals of one stage in one attempt.
#[derive(Clone, Debug)]
pub struct StageFold {
    attempt: u32,
    suite: Option<String>,
    set: Option<String>,
    /// Suites that were begun and have not ended, and those that have.
    open: Vec<String>,
    ended: Vec<String>,
    install_failed: bool,
}

impl StageFold {
    /// Before the first signal.
    pub fn new(attempt: u32) -> Self {
        Self {
            attempt,
            suite: None,
            set: None,
            open: Vec::new(),
            ended: Vec::new(),
            install_failed: false,
        }
    }

    /// Suites whose run ended as it should.
    pub fn ended(&self) -> &[String] {
        &self.ended
    }

    /// Whether an install step failed.
    pub fn install_failed(&self) -> bool {
        self.install_failed
    }

    /// Takes one signal: its name, a blank, its text.
    pub fn apply(&mut self, signal: &str) -> Vec<Effect> {
        let (name, text) = signal.split_once(' ').unwrap_or((signal, ""));
        match name {
            "LAVA_TEST_RUNNER" if text == "INSTALL_FAIL" => {
                self.install_failed = true;
                vec![Effect::Complaint("an install step failed".into())]
            }
            "LAVA_SIGNAL_STARTRUN" => match text.split_whitespace().next() {
                Some(suite) => {
                    self.suite = Some(suite.to_owned());
                    self.set = None;
                    self.open.push(suite.to_owned());
                    Vec::new()
                }
                None => vec![Effect::Raise(
                    "invalid signal STARTRUN without a name".into(),
                )],
            },
            "LAVA_SIGNAL_ENDRUN" => {
                let suite = text
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                self.open.retain(|open| open != &suite);
                self.ended.push(suite);
                self.set = None;
                Vec::new()
            }
            "LAVA_SIGNAL_TESTCASE" => self.test_case(text),
            "LAVA_SIGNAL_TESTSET" => {
                let mut text = text.split_whitespace();
                match (text.next(), text.next()) {
                    (Some("START"), Some(set)) => self.set = Some(set.to_owned()),
                    (Some("STOP"), None) => self.set = None,
                    _ => return vec![complaint(signal)],
                }
                Vec::new()
            }
            "LAVA_SIGNAL_TESTREFERENCE" => self.test_reference(text),
            "LAVA_SIGNAL_TESTRAISE" => vec![Effect::Raise(text.to_owned())],
            _ => Vec::new(),
        }
    }

    fn test_case(&mut self, text: &str) -> Vec<Effect> {
        let (mut case, mut result, mut units, mut measurement) = (None, None, None, None);
        for (key, value) in words(text) {
            match key.to_ascii_uppercase().as_str() {
                "TEST_CASE_ID" => case = Some(value),
                "RESULT" => result = Some(value),
                "UNITS" => units = Some(value),
                "MEASUREMENT" => measurement = Some(value),
                _ => {}
            }
        }
        let (Some(case), Some(result)) = (case, result) else {
            return vec![complaint(text)];
        };
        let Some(suite) = self.suite.clone() else {
            return vec![Effect::Raise(format!(
                "test case {case} before any definition was begun"
            ))];
        };
        let measurement = match measurement.map(str::parse::<f64>) {
            None => None,
            Some(Ok(number)) if number.is_finite() => Some(number),
            Some(_) => {
                return vec![Effect::Raise(format!(
                    "the measurement of test case {case} is not a number"
                ))];
            }
        };
        let mut effects = Vec::new();
        let outcome = outcome(result).unwrap_or_else(|| {
            effects.push(Effect::Complaint(format!(
                "test case {case} has the result {result:?}, which is none of pass, fail, skip, \
                 unknown; it counts as unknown"
            )));
            CaseOutcome::Unknown
        });
        effects.push(Effect::Result(CaseResult {
            suite,
            case: case.to_owned(),
            result: outcome,
            measurement,
            // A unit without a number says nothing; LAVA drops it too.
            units: units.filter(|_| measurement.is_some()).map(str::to_owned),
            set: self.set.clone(),
            attempt: self.attempt,
            detail: None,
            reference: None,
        }));
        effects
    }

    fn test_reference(&mut self, text: &str) -> Vec<Effect> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let ([case, result, reference], Some(suite)) = (words.as_slice(), &self.suite) else {
            return vec![complaint(text)];
        };
        let Some(result) = outcome(result) else {
            return vec![complaint(text)];
        };
        vec![Effect::Result(CaseResult {
            suite: suite.clone(),
            case: (*case).to_owned(),
            result,
            measurement: None,
            units: None,
            set: self.set.clone(),
            attempt: self.attempt,
            detail: None,
            reference: Some((*reference).to_owned()),
        })]
    }
}

fn outcome(word: &str) -> Option<CaseOutcome> {
    Some(match word {
        "pass" => CaseOutcome::Pass,
        "fail" => CaseOutcome::Fail,
        "skip" => CaseOutcome::Skip,
        "unknown" => CaseOutcome::Unknown,
        _ => return None,
    })
}

fn complaint(signal: &str) -> Effect {
    Effect::Complaint(format!("the signal {signal:?} makes no sense"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(signals: &[&str]) -> Vec<Effect> {
        let mut fold = StageFold::new(1);
        signals
            .iter()
            .flat_map(|signal| fold.apply(signal))
            .collect()
    }

    #[test]
    fn a_case_belongs_to_the_run_and_the_set_that_are_open() {
        let effects = results(&[
            "LAVA_SIGNAL_STARTRUN 0_smoke 1_1.1",
            "LAVA_SIGNAL_TESTSET START first",
            "LAVA_SIGNAL_TESTCASE RESULT=pass test_case_id=a UNITS=us MEASUREMENT=17",
            "LAVA_SIGNAL_TESTSET STOP",
            "LAVA_SIGNAL_TESTCASE TEST_CASE_ID=b RESULT=fail UNITS=us",
        ]);
        let [Effect::Result(a), Effect::Result(b)] = effects.as_slice() else {
            panic!("{effects:?}");
        };
        assert_eq!(
            (a.suite.as_str(), a.set.as_deref()),
            ("0_smoke", Some("first"))
        );
        assert_eq!(
            (a.measurement, a.units.as_deref()),
            (Some(17.0), Some("us"))
        );
        assert_eq!((b.set.as_deref(), b.units.as_deref()), (None, None));
        assert_eq!(b.result, CaseOutcome::Fail);
    }

    #[test]
    fn a_result_word_that_nobody_knows_is_said_and_counts_as_unknown() {
        let effects = results(&[
            "LAVA_SIGNAL_STARTRUN 0_smoke 1_1.1",
            "LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=passed",
        ]);
        assert!(matches!(&effects[0], Effect::Complaint(text) if text.contains("\"passed\"")));
        assert!(matches!(&effects[1], Effect::Result(case) if case.result == CaseOutcome::Unknown));
    }

    #[test]
    fn a_measurement_that_is_no_number_ends_the_job() {
        for number in ["fast", "nan", "inf"] {
            let signal =
                format!("LAVA_SIGNAL_TESTCASE TEST_CASE_ID=a RESULT=pass MEASUREMENT={number}");
            let effects = results(&["LAVA_SIGNAL_STARTRUN 0_smoke 1_1.1", &signal]);
            assert!(matches!(effects.as_slice(), [Effect::Raise(_)]), "{number}");
        }
    }
}
