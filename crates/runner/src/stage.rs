//! A stage of test definitions: run detached, results folded from signals, `expected` applied.

use std::time::Duration;

use basalt_model::{CaseOutcome, CaseResult, Culprit, EventBody, Failure};
use basalt_plan::plan::{Block, TestStage, action};
use tokio::time::Instant;

use crate::overlay::quote;
use crate::payload::Payload;
use crate::run::{Place, Run};

impl Run {
    /// One attempt of a test block with definitions.
    pub(crate) async fn test_stage(
        &mut self,
        block: &Block,
        stage: &TestStage,
        attempt: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let here = Place {
            level: format!("{}.1", block.level),
            name: action::TEST_SHELL.into(),
            attempt,
            deadline: deadline.min(Instant::now() + block.timeout_of(action::TEST_SHELL)),
        };
        self.action(here, async |run, deadline| {
            run.run_stage(block, stage, attempt, deadline).await
        })
        .await
    }

    /// Where an attempt of a stage keeps its state on the board.
    pub(crate) fn stage_directory(&self, stage: &TestStage, attempt: u32) -> String {
        format!("{}/{}/run-{attempt}", self.overlay_root(), stage.stage)
    }

    async fn run_stage(
        &mut self,
        block: &Block,
        stage: &TestStage,
        attempt: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let directory = format!("{}/{}", self.overlay_root(), stage.stage);
        let runner = format!("{}/bin/lava-test-runner", self.overlay_root());
        // Copied within the payload, so that it happens exactly as often as the payload runs.
        let script = format!(
            "cp {directory}/definitions.conf {directory}/lava-test-runner.conf && exec {runner} {directory}"
        );
        let payload = Payload {
            level: block.level.clone(),
            name: format!("test stage {}", stage.stage),
            attempt,
            directory: self.stage_directory(stage, attempt),
            command: format!("sh -c {}", quote(&script)),
            silence: Duration::ZERO,
        };
        let ended = self.run_payload(&payload, deadline).await;
        self.close_suites(block, stage, attempt, ended.as_ref().err())?;
        ended?;
        let raised = self.session.recorder.state().raised.clone();
        if let Some((.., why)) = raised
            .iter()
            .find(|(level, tried, _)| *level == block.level && *tried == attempt)
        {
            return Err(Failure::new(
                Culprit::Test,
                "test-raise",
                format!("the test asked to end the job: {why}"),
            ));
        }
        Ok(())
    }

    /// One case in suite `lava` for every definition, and what `expected` says (facts: LAVA's
    /// ENDRUN and `expected`).
    fn close_suites(
        &mut self,
        block: &Block,
        stage: &TestStage,
        attempt: u32,
        failure: Option<&Failure>,
    ) -> Result<(), Failure> {
        let state = self.session.recorder.state();
        let fold = state.stages.get(&(block.level.clone(), attempt));
        let ended: Vec<String> = fold.map(|fold| fold.ended().to_vec()).unwrap_or_default();
        let install_failed = fold.is_some_and(|fold| fold.install_failed());
        let mut cases = Vec::new();
        for definition in &stage.definitions {
            let whole = ended.contains(&definition.suite);
            let detail = match (whole, failure) {
                (true, _) => None,
                (false, Some(failure)) => Some(failure.message.clone()),
                (false, None) if install_failed => Some("an install step failed".to_owned()),
                (false, None) => Some("unfinished test run: a step failed".to_owned()),
            };
            cases.push(CaseResult {
                suite: "lava".into(),
                case: definition.suite.clone(),
                result: if whole {
                    CaseOutcome::Pass
                } else {
                    CaseOutcome::Fail
                },
                measurement: None,
                units: None,
                set: None,
                attempt,
                detail,
                reference: None,
            });
            if definition.expected.is_empty() {
                continue;
            }
            let came: Vec<&str> = state
                .results
                .iter()
                .filter(|result| result.suite == definition.suite && result.attempt == attempt)
                .map(|result| result.case.as_str())
                .collect();
            let missing = definition
                .expected
                .iter()
                .filter(|case| !came.contains(&case.as_str()))
                .map(|case| (case.as_str(), "missing from the expected cases"));
            let unexpected = came
                .iter()
                .filter(|case| !definition.expected.iter().any(|known| known == *case))
                .map(|case| (*case, "not among the expected cases"));
            for (case, why) in missing.chain(unexpected) {
                cases.push(CaseResult {
                    suite: definition.suite.clone(),
                    case: case.to_owned(),
                    result: CaseOutcome::Fail,
                    measurement: None,
                    units: None,
                    set: None,
                    attempt,
                    detail: Some(why.into()),
                    reference: None,
                });
            }
        }
        for result in cases {
            let known = self.session.recorder.state().results.contains(&result);
            if !known {
                self.journal(EventBody::Result { result })?;
            }
        }
        Ok(())
    }
}
