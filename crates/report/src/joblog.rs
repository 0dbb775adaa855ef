//! A job's log: a pure, versioned fold over the run's events and the console's bytes (decisions D6
//! and D14).
//!
//! [`Fold`] takes what happened in its order and gives numbered [`Line`]s to a [`Lines`]: a
//! [`BatchWriter`], which makes the compact form in which lines travel and are kept, or a vector.
//! Lines of level [`LogLevel::Target`] hold the console's bytes as they are: put together they are
//! the console again, byte for byte. Everything else is a line for people.
//!
//! ```
//! use basalt_model::UtcMicros;
//! use basalt_report::joblog::{Fold, LogLine};
//!
//! let mut fold = Fold::new(100);
//! let mut lines: Vec<LogLine> = Vec::new();
//! fold.console(UtcMicros(1), b"U-Boot 2026.01\r\n=> ", &mut lines);
//! assert_eq!(lines[0].text, b"U-Boot 2026.01\r\n");
//! assert!(fold.cursor().is_none()); // A line is begun.
//! fold.flush(&mut lines);
//! assert_eq!(lines[1].text, b"=> ");
//! assert_eq!(fold.cursor().unwrap().console_offset, 120 - 1);
//! ```
//!
//! Not done here: reading journals and segments, deciding in which order bytes and events came
//! (whoever reads both does, by their times), masking, storing.

mod batch;
mod fold;
mod line;
mod words;

pub use batch::{Batch, BatchError, BatchLines, BatchWriter, decode_batch, encode_batch};
pub use fold::{Cursor, Fold, LONGEST_LINE, UnknownVersion, VERSION};
pub use line::{Line, Lines, LogLevel, LogLine, UnknownLevel};
