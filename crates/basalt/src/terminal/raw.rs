//! A terminal that passes every key, put back as it was on every way out.

use std::io::{self, Write};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::filter::Filter;

/// Standard input in raw mode until this is dropped.
pub struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Enters raw mode.
    pub fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // What the board switched on is taken back while the terminal is still raw.
        let mut output = io::stdout().lock();
        let _ = output.write_all(Filter::undo());
        let _ = output.flush();
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
