//! LCUS-type serial relay cards (CH340 and a small controller; sold as LCUS-1 to LCUS-8).
//!
//! A command is four bytes at 9600 8N1: `A0`, channel from 1, 01 for on or 00 for off, and the
//! sum of the three. Channel 1 on is `A0 01 01 A2`. The card answers nothing.

use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::driver::Fault;

/// The first byte of every command.
const START: u8 = 0xa0;

/// The most channels that a card has.
const LAST_CHANNEL: u32 = 8;

/// A serial relay card.
pub(crate) struct LcusRelay {
    path: PathBuf,
    baud: u32,
}

impl LcusRelay {
    pub(crate) fn new(path: PathBuf, baud: u32) -> Self {
        Self { path, baud }
    }

    pub(crate) fn outlets(&self) -> RangeInclusive<u32> {
        1..=LAST_CHANNEL
    }

    /// Opens the port, writes, waits until the bytes have left, closes. The port is not kept
    /// open: other processes of this host take their turn by the relay's lock.
    pub(crate) async fn switch(
        &mut self,
        outlet: u32,
        on: bool,
        bound: Duration,
    ) -> Result<(), Fault> {
        let channel = u8::try_from(outlet)
            .map_err(|_| Fault::refused(format!("no channel {outlet}"), false))?;
        let (path, baud) = (self.path.clone(), self.baud);
        let deadline = Instant::now() + bound;
        // Opening and draining a port block.
        tokio::task::spawn_blocking(move || write(&path, baud, command(channel, on), deadline))
            .await
            .map_err(|error| Fault::unreachable(error.to_string()))?
    }
}

fn command(channel: u8, on: bool) -> [u8; 4] {
    let state = u8::from(on);
    let sum = START.wrapping_add(channel).wrapping_add(state);
    [START, channel, state, sum]
}

fn write(path: &Path, baud: u32, bytes: [u8; 4], deadline: Instant) -> Result<(), Fault> {
    let failed = |doing: &str, error: &dyn std::fmt::Display| {
        Fault::unreachable(format!("{doing} {}: {error}", path.display()))
    };
    let remaining = deadline.saturating_duration_since(Instant::now());
    let mut port = tokio_serial::new(path.to_string_lossy(), baud)
        .timeout(remaining)
        .preserve_dtr_on_open()
        .open()
        .map_err(|error| failed("opening", &error))?;
    // Whoever asked has given up and may have asked for the opposite since.
    if Instant::now() >= deadline {
        return Err(failed("opening", &"it took too long"));
    }
    port.write_all(&bytes)
        .and_then(|()| port.flush())
        .map_err(|error| failed("writing to", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_is_the_sum_of_the_others() {
        assert_eq!(command(1, true), [0xa0, 0x01, 0x01, 0xa2]);
        assert_eq!(command(1, false), [0xa0, 0x01, 0x00, 0xa1]);
        assert_eq!(command(8, true), [0xa0, 0x08, 0x01, 0xa9]);
        assert_eq!(command(0x60, true), [0xa0, 0x60, 0x01, 0x01]);
    }
}
