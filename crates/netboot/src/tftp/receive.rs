//! The receiving side of one transfer, without I/O: packets and time go in, steps come out.

use std::time::Duration;

use super::event::TransferFailure;
use super::negotiate::Terms;
use super::send::MOST_RETRIES;

/// What the driver has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReceiveStep {
    /// Send the option acknowledgement.
    Options,
    /// Acknowledge this block.
    Ack(u16),
    /// Everything came: make the file durable under its name, then call [`Receiving::committed`].
    Commit,
    /// Wait for a packet until this time.
    Wait(Duration),
    /// The file is stored and the client has had time to hear it.
    Finished,
    /// It is over.
    Failed(TransferFailure),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Blocks are awaited.
    Data,
    /// The last block came; the file is not stored yet.
    Committing,
    /// The file is stored. The last acknowledgement may be lost, so we stay to repeat it (RFC 1350 section 6).
    Dallying,
}

/// State of an upload. All times are since its start.
#[derive(Debug)]
pub(crate) struct Receiving {
    terms: Terms,
    phase: Phase,
    /// Blocks received in order.
    received: u64,
    bytes: u64,
    /// The client has sent a block, so it knows our first answer.
    heard: bool,
    /// Blocks since the last acknowledgement.
    unacknowledged: u64,
    answer_due: bool,
    /// A gap or repetition at this position was already answered.
    complained: bool,
    deadline: Duration,
    retries: u32,
    retransmits: u64,
    end: Option<Result<(), TransferFailure>>,
}

impl Receiving {
    /// Starts receiving.
    pub fn new(terms: Terms) -> Self {
        let deadline = terms.timeout;
        Self {
            terms,
            phase: Phase::Data,
            received: 0,
            bytes: 0,
            heard: false,
            unacknowledged: 0,
            answer_due: true,
            complained: false,
            deadline,
            retries: 0,
            retransmits: 0,
            end: None,
        }
    }

    /// The next step at time `now`.
    pub fn step(&mut self, now: Duration) -> ReceiveStep {
        match &self.end {
            Some(Ok(())) => return ReceiveStep::Finished,
            Some(Err(failure)) => return ReceiveStep::Failed(failure.clone()),
            None => {}
        }
        if self.phase == Phase::Committing {
            return ReceiveStep::Commit;
        }
        if !self.answer_due && now >= self.deadline {
            if self.phase == Phase::Dallying {
                self.end = Some(Ok(()));
                return ReceiveStep::Finished;
            }
            if self.retries == MOST_RETRIES {
                let awaited = format!("block {}", self.received + 1);
                return self.fail(TransferFailure::TimedOut {
                    retries: self.retries,
                    awaited,
                });
            }
            self.retries += 1;
            self.retransmits += 1;
            self.complained = false;
            self.answer_due = true;
        }
        if !self.answer_due {
            return ReceiveStep::Wait(self.deadline);
        }
        self.answer_due = false;
        self.unacknowledged = 0;
        if self.phase == Phase::Data {
            self.deadline = now + self.terms.timeout;
        }
        if !self.heard && !self.terms.answer.is_empty() {
            ReceiveStep::Options
        } else {
            ReceiveStep::Ack(self.received as u16)
        }
    }

    /// A block came. Returns whether its payload is the next piece of the file.
    pub fn take_block(&mut self, wire: u16, length: usize, now: Duration) -> bool {
        if self.end.is_some() || self.phase == Phase::Committing {
            return false;
        }
        if length > self.terms.block_size {
            self.fail(TransferFailure::OversizedBlock {
                length,
                block_size: self.terms.block_size,
            });
            return false;
        }
        self.heard = true;
        if self.phase == Phase::Dallying {
            if wire == self.received as u16 {
                self.answer_due = true;
                self.retransmits += 1;
            }
            return false;
        }
        let is_next = wire == (self.received + 1) as u16;
        if !is_next {
            // A repeated block means that our acknowledgement was lost, a later one that a block was. In lock-step every
            // repetition is answered; in a window one answer is enough for all the blocks that follow the gap.
            if self.terms.window == 1 || !self.complained {
                self.complained = true;
                self.answer_due = true;
                self.retransmits += 1;
            }
            return false;
        }
        self.received += 1;
        self.bytes += length as u64;
        self.unacknowledged += 1;
        self.complained = false;
        self.retries = 0;
        self.deadline = now + self.terms.timeout;
        if length < self.terms.block_size {
            self.phase = Phase::Committing;
        } else if self.unacknowledged == self.terms.window {
            self.answer_due = true;
        }
        true
    }

    /// The file is durable under its name: the client may hear it.
    pub fn committed(&mut self, now: Duration) {
        self.phase = Phase::Dallying;
        self.answer_due = true;
        self.complained = false;
        self.deadline = now + self.terms.timeout * 2;
    }

    /// The client repeated its request, so the first answer was lost: say it again.
    pub fn repeat_first_answer(&mut self) {
        if !self.heard && !self.answer_due {
            self.answer_due = true;
            self.retransmits += 1;
        }
    }

    /// Ends the transfer. A file that is stored stays stored.
    pub fn fail(&mut self, failure: TransferFailure) -> ReceiveStep {
        let end = if self.phase == Phase::Dallying {
            Ok(())
        } else {
            Err(failure)
        };
        match self.end.get_or_insert(end) {
            Ok(()) => ReceiveStep::Finished,
            Err(failure) => ReceiveStep::Failed(failure.clone()),
        }
    }

    /// Bytes received in order.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Answers that were sent again.
    pub fn retransmits(&self) -> u64 {
        self.retransmits
    }
}
