//! Walks over a job's blocks and makes the plan.

use std::time::Duration;

use basalt_job::JobDefinition;
use basalt_job::definition::{Action, ActionKind, DeployTftp, Other, TestDefinition};
use basalt_lab::profile::{BoardProfile, DispatcherProfile, Relay};
use basalt_model::Sha256;
use basalt_yaml::{Diagnostic, Diagnostics, Span};

use crate::context::Overrides;
use crate::plan::{Block, BlockKind, Definition, Plan, Realtime, TestStage, VERSION, action};
use crate::timeouts::{self, BlockTimeouts};
use crate::{boot, checks, context, deploy, measurement};

/// LAVA sleeps a second between attempts unless the job says otherwise.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Plans a job against a board. The same arguments give the same plan.
///
/// `relay` is the one that `board.power` names. `None`, and diagnostics at their places in the
/// job, if the job cannot run on this board; the diagnostics hold all reasons, not the first only.
pub fn plan(
    job: &JobDefinition,
    job_sha256: Sha256,
    board: &BoardProfile,
    relay: &Relay,
    dispatcher: &DispatcherProfile,
    diagnostics: &mut Diagnostics,
) -> Option<Plan> {
    let mut problems = Problems {
        diagnostics,
        errors: false,
    };
    for refusal in &job.refusals {
        let problem = problems.error(refusal.span, refusal.message.clone());
        problem.hint.clone_from(&refusal.hint);
    }
    checks::board(job, board, &mut problems);
    let mut board = board.clone();
    let overrides = context::apply(job, &mut board, &mut problems);
    let mut builder = Builder {
        job,
        board: &board,
        dispatcher,
        overrides,
        blocks: Vec::new(),
        deployed: None,
        booted: None,
        unknown_deploy: false,
        stages: 0,
        suites: 0,
    };
    for action in &job.actions {
        builder.block(action, &mut problems);
    }
    let blocks = builder.blocks;
    if problems.errors {
        return None;
    }
    let finalize_timeout = timeouts::finalize(&job.timeouts, &board.timeouts);
    Some(Plan {
        version: VERSION,
        job_name: job.job_name.clone(),
        job_sha256,
        board,
        relay: relay.clone(),
        dispatcher: dispatcher.clone(),
        job_timeout: job.timeouts.job.duration,
        finalize_timeout,
        environment: job.environment.clone(),
        metadata: job.metadata.clone(),
        blocks,
    })
}

/// Collects what is wrong.
pub(crate) struct Problems<'a> {
    diagnostics: &'a mut Diagnostics,
    errors: bool,
}

impl Problems<'_> {
    pub(crate) fn error(&mut self, span: Span, message: impl Into<String>) -> &mut Diagnostic {
        self.errors = true;
        self.diagnostics.error(span, message)
    }

    pub(crate) fn warning(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.warning(span, message);
    }
}

/// What the last deploy left for a boot.
#[derive(Clone, Copy)]
pub(crate) struct Deployed<'a> {
    pub what: &'a DeployTftp,
    /// Index of its block.
    pub block: usize,
}

/// What the last boot left for a test.
#[derive(Clone, Copy)]
struct Booted {
    /// The helpers and tests are on the board.
    overlay: bool,
}

struct Builder<'a> {
    job: &'a JobDefinition,
    board: &'a BoardProfile,
    dispatcher: &'a DispatcherProfile,
    overrides: Overrides,
    blocks: Vec<Block>,
    deployed: Option<Deployed<'a>>,
    /// Forgotten at the next deploy: what was deployed has to be booted before it is tested.
    booted: Option<Booted>,
    /// Something was deployed that cannot be run.
    unknown_deploy: bool,
    stages: usize,
    suites: usize,
}

impl<'a> Builder<'a> {
    fn block(&mut self, action: &'a Action, problems: &mut Problems<'_>) {
        let planned = match &action.kind {
            // The job's refusals have named it; what comes after may still be looked at.
            ActionKind::Other(other) => {
                self.passed_over(other);
                return;
            }
            ActionKind::DeployTftp(what) => {
                let planned = deploy::plan(what, problems);
                self.deployed = Some(Deployed {
                    what,
                    block: self.blocks.len(),
                });
                self.booted = None;
                BlockKind::Deploy(planned)
            }
            ActionKind::BootUBoot(what) => {
                self.booted = Some(Booted { overlay: true });
                let Some(deployed) = self.deployed else {
                    if self.unknown_deploy {
                        return;
                    }
                    problems
                        .error(action.span, "nothing is deployed before this boot")
                        .with_hint("put a `deploy` block before it");
                    return;
                };
                let planned = boot::plan(
                    what,
                    action.span,
                    deployed.what,
                    self.board,
                    self.dispatcher,
                    problems,
                );
                let Some(planned) = planned else { return };
                let overlay = self.install_overlay(deployed, planned.nfs);
                self.booted = Some(Booted { overlay });
                BlockKind::Boot(planned)
            }
            ActionKind::TestDefinitions(definitions) => {
                self.check_test(action.span, problems);
                BlockKind::Test(TestStage {
                    stage: self.next_stage(),
                    definitions: definitions.iter().map(|it| self.definition(it)).collect(),
                })
            }
            ActionKind::TestRealtime(phases) => {
                self.check_test(action.span, problems);
                let phases = phases
                    .iter()
                    .map(|phase| {
                        let suite = self.next_suite(&phase.name);
                        measurement::phase(phase, suite, self.board, action.span, problems)
                    })
                    .collect();
                BlockKind::Realtime(Realtime {
                    stage: self.next_stage(),
                    phases,
                })
            }
        };
        let block = self.timed(action, planned);
        checks::deadlines(action.span, &block, self.board, problems);
        self.blocks.push(block);
    }

    /// What cannot be run counts as done well, so that it is not blamed a second time for what is
    /// missing after it.
    fn passed_over(&mut self, other: &Other) {
        match other.action {
            "deploy" => self.unknown_deploy = true,
            "boot" => self.booted = Some(Booted { overlay: true }),
            _ => {}
        }
    }

    /// Marks in the deploy block where a boot wants the overlay; says whether it gets one.
    fn install_overlay(&mut self, deployed: Deployed<'_>, nfs: bool) -> bool {
        let install = if nfs {
            deployed
                .what
                .nfsrootfs
                .as_ref()
                .map(|root| root.install_overlay)
        } else {
            deployed
                .what
                .ramdisk
                .as_ref()
                .map(|disk| disk.install_overlay)
        };
        let install = install.unwrap_or(false);
        // A deploy with mistakes has no block; there will be no plan either.
        if let Some(BlockKind::Deploy(deploy)) = self
            .blocks
            .get_mut(deployed.block)
            .map(|block| &mut block.kind)
        {
            let flag = if nfs {
                &mut deploy.overlay_in_nfsroot
            } else {
                &mut deploy.overlay_in_ramdisk
            };
            *flag |= install;
        }
        install
    }

    fn check_test(&self, span: Span, problems: &mut Problems<'_>) {
        let (message, hint) = match (self.booted, self.deployed) {
            (Some(booted), _) if booted.overlay => return,
            (Some(_), _) => (
                "this test needs Basalt's files on the board, but nothing brings them there",
                "the ramdisk or NFS root that is booted must be deployed without \
                 `install_overlay: false`",
            ),
            (None, None) => (
                "nothing is booted before this test",
                "put a `deploy` and a `boot` block before it",
            ),
            (None, Some(_)) => (
                "what was deployed is not booted before this test",
                "put a `boot` block before it",
            ),
        };
        problems.error(span, message).with_hint(hint);
    }

    fn next_stage(&mut self) -> usize {
        self.stages += 1;
        self.stages - 1
    }

    /// LAVA counts definitions from 0 over the whole job.
    fn next_suite(&mut self, name: &str) -> String {
        self.suites += 1;
        format!("{}_{name}", self.suites - 1)
    }

    fn definition(&mut self, definition: &TestDefinition) -> Definition {
        Definition {
            suite: self.next_suite(&definition.name),
            name: definition.name.clone(),
            path: definition.path.clone(),
            parameters: definition.parameters.clone(),
            install_steps: definition.inline.install_steps.clone(),
            steps: definition.inline.steps.clone(),
            expected: definition.inline.expected.clone(),
            kmsg: definition.kmsg,
            source: definition.inline.source.clone(),
        }
    }

    fn timed(&self, action: &Action, kind: BlockKind) -> Block {
        let (name, actions) = names(&kind);
        let default_attempts = match kind {
            BlockKind::Boot(_) => self.overrides.boot_retry.or(self.overrides.failure_retry),
            _ => self.overrides.failure_retry,
        };
        let attempts = action
            .failure_retry
            .or(default_attempts)
            .unwrap_or(1)
            .max(1);
        let resolved = timeouts::resolve(
            &self.job.timeouts,
            &self.board.timeouts,
            &BlockTimeouts {
                name,
                timeout: action.timeout,
                timeouts: &action.timeouts,
                attempts,
                actions,
            },
        );
        Block {
            level: (self.blocks.len() + 1).to_string(),
            name: name.to_owned(),
            timeout: resolved.total,
            skip_on_timeout: resolved.skip,
            attempts,
            retry_interval: action.failure_retry_interval.unwrap_or(RETRY_INTERVAL),
            timeouts: resolved.actions,
            connection_timeout: resolved.connection,
            kind,
        }
    }
}

/// A block's name and the actions that the runner performs in it, in order.
fn names(kind: &BlockKind) -> (&'static str, &'static [&'static str]) {
    match kind {
        BlockKind::Deploy(_) => (
            action::TFTP_DEPLOY,
            &[
                action::HTTP_DOWNLOAD,
                action::FILE_DOWNLOAD,
                action::OVERLAY,
                action::PREPARE_TFTP,
            ],
        ),
        BlockKind::Boot(_) => (
            action::UBOOT,
            &[
                action::RESET,
                action::INTERRUPT,
                action::COMMANDS,
                action::AUTO_LOGIN,
                action::LOGIN,
                action::EXPECT_SHELL,
                action::ENVIRONMENT,
            ],
        ),
        BlockKind::Test(_) => (action::TEST_RETRY, &[action::TEST_SHELL]),
        BlockKind::Realtime(_) => (action::REALTIME, &[action::PHASE, action::TRANSFER]),
    }
}
