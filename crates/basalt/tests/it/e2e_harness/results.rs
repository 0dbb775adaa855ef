//! A run's results.json, as a reader that knows only the document sees it.

use serde_json::Value;

/// The document.
#[derive(Clone, Debug)]
pub struct Results(pub Value);

impl Results {
    /// `pass`, `fail`, ….
    pub fn outcome(&self) -> &str {
        self.0["outcome"].as_str().unwrap()
    }

    /// What the relay said at the end.
    pub fn power(&self) -> &str {
        self.0["power"].as_str().unwrap()
    }

    /// The culprit and the code of the failure; empty without one.
    pub fn blame(&self) -> (&str, &str) {
        let failure = &self.0["failure"];
        let word = |key: &str| failure[key].as_str().unwrap_or("");
        (word("culprit"), word("code"))
    }

    /// The phase of this suite.
    pub fn phase(&self, suite: &str) -> &Value {
        let phases = self.0["phases"].as_array().unwrap();
        phases
            .iter()
            .find(|phase| phase["suite"] == suite)
            .unwrap_or_else(|| panic!("no phase {suite} in {phases:#?}"))
    }

    /// The cases of one suite, in order.
    pub fn cases(&self, suite: &str) -> Vec<&Value> {
        let cases = self.0["cases"].as_array().unwrap();
        cases.iter().filter(|case| case["suite"] == suite).collect()
    }

    /// `CASE=RESULT` of each case of one suite, in order.
    pub fn words(&self, suite: &str) -> Vec<String> {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        self.cases(suite)
            .iter()
            .map(|case| format!("{}={}", word(&case["case"]), word(&case["result"])))
            .collect()
    }
}
