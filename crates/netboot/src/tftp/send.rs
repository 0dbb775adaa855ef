//! The sending side of one transfer, without I/O: packets and time go in, steps come out.
//!
//! Blocks are counted from 1 in 64 bits here; on the wire their number has 16 bits and wraps from 65535 to 0, as every
//! client in the field expects.

use std::time::Duration;

use super::event::TransferFailure;
use super::negotiate::Terms;

/// How often one thing is sent again before the client is given up.
pub(crate) const MOST_RETRIES: u32 = 5;
/// Least time between two times of going back. Clients acknowledge blocks that were repeated or come after a gap, some of
/// them each one; what was on its way when we went back must not make us go back again, or the traffic feeds on itself
/// (the "Sorcerer's Apprentice" of RFC 1123 section 4.2.3.1, in windows).
const GO_BACK_PAUSE: Duration = Duration::from_millis(20);

/// What the driver has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SendStep {
    /// Send the option acknowledgement.
    Options,
    /// Send the block of this number.
    Block(u64),
    /// Wait for a packet until this time.
    Wait(Duration),
    /// Everything is acknowledged.
    Finished,
    /// It is over.
    Failed(TransferFailure),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    OptionsDue,
    OptionsSent,
    Data,
}

/// State of a download. All times are since its start.
#[derive(Debug)]
pub(crate) struct Sending {
    block_size: u64,
    size: u64,
    window: u64,
    timeout: Duration,
    phase: Phase,
    /// Number of the last block; it is shorter than the others, or empty.
    last: u64,
    acknowledged: u64,
    /// The block to send next.
    next: u64,
    /// The highest block ever sent.
    highest: u64,
    /// When an acknowledgement inside the window last made us go back.
    went_back: Option<Duration>,
    /// When to go back because of one that came too soon after that.
    go_back_at: Option<Duration>,
    deadline: Duration,
    retries: u32,
    retransmits: u64,
    end: Option<Result<(), TransferFailure>>,
}

impl Sending {
    /// Starts sending a file of `size` bytes.
    pub fn new(terms: &Terms, size: u64) -> Self {
        let block_size = terms.block_size as u64;
        Self {
            block_size,
            size,
            window: terms.window,
            timeout: terms.timeout,
            phase: if terms.answer.is_empty() {
                Phase::Data
            } else {
                Phase::OptionsDue
            },
            last: size / block_size + 1,
            acknowledged: 0,
            next: 1,
            highest: 0,
            went_back: None,
            go_back_at: None,
            deadline: terms.timeout,
            retries: 0,
            retransmits: 0,
            end: None,
        }
    }

    /// The next step at time `now`.
    pub fn step(&mut self, now: Duration) -> SendStep {
        match &self.end {
            Some(Ok(())) => return SendStep::Finished,
            Some(Err(failure)) => return SendStep::Failed(failure.clone()),
            None => {}
        }
        if self.phase == Phase::OptionsDue {
            self.phase = Phase::OptionsSent;
            self.deadline = now + self.timeout;
            return SendStep::Options;
        }
        if self.go_back_at.is_some_and(|due| now >= due) {
            self.go_back(now);
        }
        if !self.window_is_open() && now >= self.deadline {
            if self.retries == MOST_RETRIES {
                return self.fail(TransferFailure::TimedOut {
                    retries: self.retries,
                    awaited: self.awaited(),
                });
            }
            self.retries += 1;
            if self.phase == Phase::OptionsSent {
                self.retransmits += 1;
                self.deadline = now + self.timeout;
                return SendStep::Options;
            }
            self.go_back(now);
        }
        if !self.window_is_open() {
            return SendStep::Wait(
                self.go_back_at
                    .map_or(self.deadline, |due| due.min(self.deadline)),
            );
        }
        let block = self.next;
        self.next += 1;
        if block <= self.highest {
            self.retransmits += 1;
        }
        self.highest = self.highest.max(block);
        self.deadline = now + self.timeout;
        SendStep::Block(block)
    }

    /// An acknowledgement came.
    pub fn acknowledge(&mut self, wire: u16, now: Duration) {
        if self.end.is_some() {
            return;
        }
        match self.phase {
            Phase::OptionsDue => return,
            Phase::OptionsSent => {
                if wire == 0 {
                    self.phase = Phase::Data;
                    self.retries = 0;
                }
                return;
            }
            Phase::Data => {}
        }
        let advance = u64::from(wire.wrapping_sub(self.acknowledged as u16));
        if advance == 0 {
            // With a window the receiver says so that the first block of it was lost; in lock-step it says nothing new.
            if self.window > 1 {
                self.suspect_gap(now);
            }
            return;
        }
        // Anything else is an old acknowledgement, or one of a block that was never sent.
        if advance > self.highest - self.acknowledged {
            return;
        }
        self.acknowledged += advance;
        self.next = self.next.max(self.acknowledged + 1);
        self.retries = 0;
        self.deadline = now + self.timeout;
        self.suspect_gap(now);
        if self.acknowledged == self.last {
            self.end = Some(Ok(()));
        }
    }

    /// The client acknowledged less than was sent, which says that the block behind is missing (RFC 7440 section 4).
    fn suspect_gap(&mut self, now: Duration) {
        if self.next == self.acknowledged + 1 {
            self.go_back_at = None;
            return;
        }
        let earliest = self.went_back.map_or(now, |last| last + GO_BACK_PAUSE);
        if now >= earliest {
            self.go_back(now);
        } else {
            self.go_back_at = Some(earliest);
        }
    }

    fn go_back(&mut self, now: Duration) {
        self.next = self.acknowledged + 1;
        self.went_back = Some(now);
        self.go_back_at = None;
    }

    /// The client repeated its request, so the first answer was lost: say it again.
    pub fn repeat_first_answer(&mut self) {
        match self.phase {
            Phase::OptionsDue => {}
            Phase::OptionsSent => {
                self.phase = Phase::OptionsDue;
                self.retransmits += 1;
            }
            Phase::Data if self.acknowledged == 0 => self.next = 1,
            Phase::Data => {}
        }
    }

    /// Ends the transfer.
    pub fn fail(&mut self, failure: TransferFailure) -> SendStep {
        let end = self.end.get_or_insert(Err(failure));
        match end {
            Ok(()) => SendStep::Finished,
            Err(failure) => SendStep::Failed(failure.clone()),
        }
    }

    /// Number of the last acknowledged block.
    pub fn acknowledged_blocks(&self) -> u64 {
        self.acknowledged
    }

    /// Bytes that the client has acknowledged.
    pub fn acknowledged_bytes(&self) -> u64 {
        (self.acknowledged * self.block_size).min(self.size)
    }

    /// Packets that were sent again.
    pub fn retransmits(&self) -> u64 {
        self.retransmits
    }

    fn window_is_open(&self) -> bool {
        self.phase == Phase::Data && self.next <= self.last.min(self.acknowledged + self.window)
    }

    fn awaited(&self) -> String {
        match self.phase {
            Phase::Data => format!(
                "the acknowledgement of block {} of {}",
                self.last.min(self.acknowledged + self.window),
                self.last
            ),
            Phase::OptionsDue | Phase::OptionsSent => {
                "the acknowledgement of the options".to_owned()
            }
        }
    }
}
