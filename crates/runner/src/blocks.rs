//! The blocks of a run in the order of its plan: attempts, interruptions, and the way back to a board
//! that an earlier start of the runner left behind (decision D8).

use std::time::Duration;

use basalt_clock::since;
use basalt_model::event::{ActionEnd, Level};
use basalt_model::{Culprit, EventBody, Failure, Part, PowerState};
use basalt_plan::plan::{Block, BlockKind, action};
use tokio::time::Instant;

use crate::ending::is_ending;
use crate::roots::Roots;
use crate::run::{Place, Run, broken};
use crate::session::{Interruption, UNSEEN};
use crate::state::is_interruption;

/// How long a shell that was left behind may take to answer after the runner came back.
const REATTACH: Duration = Duration::from_secs(30);

/// The same for a board whose root file system was away with the runner: Linux tries to connect
/// again after 3 s, then after twice as long each time (net/sunrpc/xprtsock.c).
const REATTACH_NFS: Duration = Duration::from_secs(60);

/// How often a block is done again because its console was interrupted.
const INTERRUPTIONS: usize = 5;

/// What a failure is where bytes of the console were lost before it: what was awaited was perhaps
/// among them.
fn unseen(mut failure: Failure) -> Failure {
    if may_be_unseen(&failure) {
        failure.message = format!(
            "bytes of the console were lost or came late, perhaps what was awaited among them ({})",
            failure.message
        );
        failure.code = UNSEEN.to_owned();
        failure.culprit = Culprit::Infrastructure;
        failure.part = Some(Part::Console);
    }
    failure
}

/// Whether a failure is that something did not come.
fn may_be_unseen(failure: &Failure) -> bool {
    // A boot loader whose question was lost goes on by itself, to whatever kernel it finds.
    let perhaps = ["kernel-hang", "board-silent", "another-kernel"];
    perhaps.contains(&failure.code.as_str()) || failure.code.ends_with("timeout")
}

/// Whether a block has something that runs on the board.
fn has_payload(block: &Block) -> bool {
    matches!(block.kind, BlockKind::Test(_) | BlockKind::Realtime(_))
}

/// Whether another attempt can help.
fn worth_retrying(failure: &Failure) -> bool {
    let never = [Culprit::Canceled, Culprit::Configuration, Culprit::Bug];
    !never.contains(&failure.culprit) && !is_ending(failure)
}

impl Run {
    /// Performs what is left to do.
    pub(crate) async fn blocks(&mut self) -> Result<(), Failure> {
        for index in 0..self.plan.blocks.len() {
            if self.session.ending.is_asked() {
                return Err(self.session.ending.failure());
            }
            self.block(index).await?;
        }
        Ok(())
    }

    async fn block(&mut self, index: usize) -> Result<(), Failure> {
        let block = self.plan.blocks[index].clone();
        let state = self.session.recorder.state();
        if state.block_done(&block.level) {
            if matches!(block.kind, BlockKind::Deploy(_)) {
                self.closed_roots = Some(index);
            }
            return Ok(());
        }
        let before = state.blocks.get(&block.level).cloned().unwrap_or_default();
        if before.ended.is_some() {
            // The board is as a failed attempt left it.
            self.may_reattach = false;
            if let Some(failure) = self.exhausted(&block) {
                return self.give_up(&block, failure);
            }
        }
        let started = match &before.started {
            Some((stamp, boot)) if boot == self.session.clock.boot_id() => {
                since(stamp.boot, self.session.clock.now().boot)
            }
            _ => Duration::ZERO,
        };
        let deadline = self
            .job_deadline
            .min(Instant::now() + block.timeout.saturating_sub(started));
        self.serve_again().await?;
        let mut attempt = before.attempt;
        let interrupted = before.attempt > 0 && before.ended.is_none();
        if !(interrupted && self.go_on(&block, attempt).await?) {
            attempt += 1;
        }
        loop {
            let failure = match self.attempt(index, &block, attempt, deadline).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            self.board_ready = false;
            let time_left = deadline.saturating_duration_since(Instant::now());
            let blind = is_interruption(&failure);
            let interruptions = self.session.recorder.state().interruptions(&block.level);
            if blind && interruptions <= INTERRUPTIONS && !time_left.is_zero() {
                self.log_warning(format!(
                    "{} was interrupted ({}); it is done again",
                    block.name,
                    failure.sentence()
                ))?;
                self.may_reattach = true;
                if !self.go_on(&block, attempt).await? {
                    attempt += 1;
                }
                continue;
            }
            let failed = self.session.recorder.state().failures(&block.level).len();
            if blind || self.exhausted(&block).is_some() || time_left.is_zero() {
                return self.give_up(&block, failure);
            }
            self.log_warning(format!(
                "{} failed (attempt {attempt}, {failed} of {} failures): {}; trying again",
                block.name,
                block.attempts,
                failure.sentence()
            ))?;
            self.may_reattach = false;
            self.pause(block.retry_interval.min(time_left)).await?;
            attempt += 1;
        }
    }

    /// The last failure of a block that is not tried again.
    fn exhausted(&self, block: &Block) -> Option<Failure> {
        let failures = self.session.recorder.state().failures(&block.level);
        let last = *failures.last()?;
        let no_more = failures.len() >= block.attempts as usize || !worth_retrying(last);
        no_more.then(|| last.clone())
    }

    /// Waits, unless the run is ended.
    async fn pause(&self, pause: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = self.session.ending.asked() => Err(self.session.ending.failure()),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    /// A block that failed for good: the end, unless the job says to skip it when its time is over.
    fn give_up(&mut self, block: &Block, failure: Failure) -> Result<(), Failure> {
        if block.skip_on_timeout && failure.code.ends_with("timeout") {
            self.log_warning(format!(
                "{} is skipped, as the job asks: {}",
                block.name,
                failure.sentence()
            ))?;
            return Ok(());
        }
        Err(failure)
    }

    async fn attempt(
        &mut self,
        index: usize,
        block: &Block,
        attempt: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let place = Place {
            level: block.level.clone(),
            name: block.name.clone().into(),
            attempt,
            deadline,
        };
        self.watched(place, async |run, deadline| {
            run.perform(index, block, attempt, deadline).await
        })
        .await
    }

    /// As [`Run::action`]; says of a failure whether it may only be one because bytes of the
    /// console were lost.
    async fn watched(
        &mut self,
        place: Place,
        act: impl AsyncFnOnce(&mut Self, Instant) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let gaps = self.session.gaps();
        let standstills = self.shared.standstills();
        self.action(place, async |run, deadline| {
            let failure = match act(run, deadline).await {
                Err(failure) if may_be_unseen(&failure) => failure,
                result => return result,
            };
            // Time that passed while nobody could look is not the board's.
            run.session.wake_keeper().await;
            let blind = run.session.gaps() != gaps || run.shared.standstills() != standstills;
            Err(match blind {
                true => unseen(failure),
                false => failure,
            })
        })
        .await
    }

    async fn perform(
        &mut self,
        index: usize,
        block: &Block,
        attempt: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        if Instant::now() >= deadline {
            return Err(self.out_of_time(block));
        }
        if has_payload(block) && !self.board_ready && !self.is_measured(block) {
            self.ready_board(index, deadline).await?;
        }
        match &block.kind {
            BlockKind::Deploy(deploy) => self.deploy(block, deploy, attempt, deadline).await,
            BlockKind::Boot(boot) => self.boot(block, boot, attempt, deadline).await,
            BlockKind::Test(stage) => self.test_stage(block, stage, attempt, deadline).await,
            BlockKind::Realtime(realtime) => self.measure(block, realtime, attempt, deadline).await,
        }
    }

    /// Whether nothing is left to be measured in a block of measurements.
    fn is_measured(&self, block: &Block) -> bool {
        let BlockKind::Realtime(realtime) = &block.kind else {
            return false;
        };
        let phases = &self.session.recorder.state().phases;
        (0..realtime.phases.len()).all(|index| phases.contains_key(&(block.level.clone(), index)))
    }

    /// Whose fault it is that a block cannot even begin.
    fn out_of_time(&self, block: &Block) -> Failure {
        if self.session.recorder.state().resumes > 0 {
            return Failure::infrastructure(
                Part::Host,
                "downtime-timeout",
                format!(
                    "the time of {} was over before the run was gone on with",
                    block.name
                ),
            );
        }
        Failure::new(
            Culprit::Job,
            "job-timeout",
            format!("the job's time was over before {} began", block.name),
        )
    }

    /// Whether the interrupted attempt of a block goes on: its payload is on the board, and the
    /// board's shell answers. Everything else is done again.
    async fn go_on(&mut self, block: &Block, attempt: u32) -> Result<bool, Failure> {
        let state = self.session.recorder.state();
        let possible = match &block.kind {
            BlockKind::Realtime(_) => !self.is_measured(block),
            BlockKind::Test(_) => state.is_on_board(&block.level, attempt),
            BlockKind::Deploy(_) | BlockKind::Boot(_) => false,
        };
        Ok(possible && self.reattach(block, attempt).await?)
    }

    /// A shell on the board for a payload: the one that was left behind, else another boot.
    async fn ready_board(&mut self, index: usize, deadline: Instant) -> Result<(), Failure> {
        let block = self.plan.blocks[index].clone();
        if self.may_reattach && self.reattach(&block, 0).await? {
            return Ok(());
        }
        let boot = self.plan.blocks[..index]
            .iter()
            .rfind(|block| matches!(block.kind, BlockKind::Boot(_)))
            .cloned();
        let Some(boot_block) = boot else {
            return Err(Failure::new(
                Culprit::Job,
                "no-boot",
                "a test needs a boot before it",
            ));
        };
        let BlockKind::Boot(boot) = boot_block.kind.clone() else {
            return Ok(());
        };
        let attempt = self
            .session
            .recorder
            .state()
            .blocks
            .get(&boot_block.level)
            .map_or(1, |state| state.attempt + 1);
        self.log_warning("the board is booted again for what is left to do".to_owned())?;
        let place = Place {
            level: boot_block.level.clone(),
            name: action::UBOOT.into(),
            attempt,
            deadline: deadline.min(Instant::now() + boot_block.timeout),
        };
        self.watched(place, async |run, deadline| {
            run.boot(&boot_block, &boot, attempt, deadline).await
        })
        .await
    }

    /// Tries to find the shell again that an earlier start of the runner left behind.
    ///
    /// # Errors
    /// The kernel or the board ended it meanwhile, and says so on the console.
    async fn reattach(&mut self, block: &Block, attempt: u32) -> Result<bool, Failure> {
        if !std::mem::take(&mut self.may_reattach) {
            return Ok(false);
        }
        if self.power_state().await == PowerState::Off {
            return Ok(false);
        }
        self.session.enter(crate::session::Stage::Shell);
        if let BlockKind::Test(stage) = &block.kind
            && attempt > 0
        {
            // Strings that the test printed itself stand nowhere but on the console.
            self.session.listen(Some(crate::session::Listening {
                level: block.level.clone(),
                attempt,
                directory: self.stage_directory(stage, attempt),
                from_spool: false,
            }));
        }
        let over_nfs = |roots: &Roots| roots.nfs_path().is_some();
        let patience = match self.roots.as_ref().is_some_and(over_nfs) {
            true => REATTACH_NFS,
            false => REATTACH,
        };
        let deadline = self.job_deadline;
        let root = self.overlay_root();
        let test = format!("[ -x {root}/bin/basalt-stage ]");
        let answer = match self.session.catch_up().await {
            Ok(()) => self.session.command_anew(&test, patience, deadline).await,
            Err(why) => Err(why),
        };
        if !matches!(answer, Ok((0, _))) {
            // The spool is out of reach; what came is worth more than its order.
            self.session
                .release_signals(true)
                .map_err(|why| self.kernel_failure(&why, "the journal", "the journal fails"))?;
            self.session.listen(None);
        }
        match answer {
            Ok((0, _)) => {
                self.board_ready = true;
                self.session
                    .recorder
                    .log(
                        Level::Info,
                        "the board's shell answers; going on where the run stopped",
                    )
                    .map_err(|error| broken(&error))?;
                Ok(true)
            }
            Ok(_) | Err(Interruption::Timeout) => Ok(false),
            Err(why @ (Interruption::Kernel(_) | Interruption::Reset(_))) => {
                let failure =
                    self.kernel_failure(&why, "the shell that the run left behind", "it is gone");
                self.log_warning(failure.sentence())?;
                // What was going on failed while nobody looked; that is an attempt that failed.
                if attempt > 0 {
                    self.journal(EventBody::ActionFinished {
                        level: block.level.clone(),
                        name: block.name.clone(),
                        attempt,
                        end: ActionEnd::Failed,
                        duration_ms: 0,
                        failure: Some(Box::new(failure.clone())),
                    })?;
                    if let Some(failure) = self.exhausted(block) {
                        return Err(failure);
                    }
                }
                Ok(false)
            }
            Err(why) => Err(self.kernel_failure(&why, "the board's shell", "it does not answer")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_awaited_can_be_among_the_bytes_that_were_lost() {
        let silence = Failure::new(Culprit::Kernel, "kernel-hang", "the kernel printed nothing");
        let blamed = unseen(silence);
        assert!(is_interruption(&blamed));
        assert_eq!(blamed.part, Some(Part::Console));
        let panic = Failure::new(Culprit::Kernel, "kernel-panic", "the kernel reported panic");
        assert_eq!(unseen(panic.clone()), panic);
    }
}
