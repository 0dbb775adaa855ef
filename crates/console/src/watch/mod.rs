//! What a kernel says about itself on its console, from power-up to power-off.
//!
//! Fed with every byte, it gives reports with their whole text, and the banners of boot loaders
//! and kernels, by which the caller knows whether a board has started again. It keeps no time: a
//! report whose end does not come (a board that dies in its panic) is [`KernelWatch::pending`]
//! until the caller takes it with [`KernelWatch::flush`].
//!
//! What is not done here: judging. Whether a banner means an unexpected reboot depends on what
//! the run was doing; `dmesg` in a shell prints a kernel's banner too.

mod lines;

use basalt_model::{KernelReport, UtcMicros};

use crate::escape::Stripper;
use lines::{Class, Extent, classify};

/// The longest text of a report.
const MAX_REPORT: usize = 64 * 1024;
/// The longest line; longer ones are cut into several.
const MAX_LINE: usize = 4096;
/// Lines that a report without a fixed end may take before its stack trace.
const MAX_DETAILS: usize = 100;

/// Something that a board said about its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The kernel complained.
    Report(KernelReport),
    /// A line in which a kernel names itself.
    KernelStart {
        /// The stream offset of the line's start.
        offset: u64,
        /// When the host read its first byte.
        read_at: UtcMicros,
        /// From `Linux version` to the end of the line.
        line: String,
        /// Since the kernel's banner before, a boot loader has named itself or handed over. False
        /// for a banner that a program prints again.
        after_loader: bool,
    },
    /// A line in which a boot loader names itself: the board was reset.
    LoaderBanner {
        /// The stream offset of the line's start.
        offset: u64,
        /// When the host read its first byte.
        read_at: UtcMicros,
        /// From the loader's name to the end of the line.
        line: String,
    },
}

/// A report that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its kind, as far as it is known.
    pub kind: &'static str,
    /// The board cannot go on after it.
    pub fatal: bool,
    /// The stream offset of its first line.
    pub offset: u64,
    /// When the host read its first byte.
    pub read_at: UtcMicros,
}

/// Watches one console. What it gives does not depend on how the stream is cut.
#[derive(Clone, Debug, Default)]
pub struct KernelWatch {
    stripper: Stripper,
    /// The stream offset of the next byte; nothing before the first.
    next: Option<u64>,
    line: Line,
    report: Option<Report>,
    after_loader: bool,
}

/// The line that has not ended.
#[derive(Clone, Debug, Default)]
struct Line {
    offset: u64,
    read_at: UtcMicros,
    bytes: Vec<u8>,
    begun: bool,
    /// What stood before in this line was handled already.
    continued: bool,
}

/// The report that has not ended.
#[derive(Clone, Debug)]
struct Report {
    kind: &'static str,
    extent: Extent,
    offset: u64,
    read_at: UtcMicros,
    text: String,
    stamped: bool,
    in_trace: bool,
    lines: usize,
}

impl KernelWatch {
    /// A watch over a console that has said nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the bytes at a stream offset, read at `utc`. Where the offset is not the one after the
    /// bytes before, the line in between is taken as ended.
    pub fn feed(&mut self, offset: u64, utc: UtcMicros, bytes: &[u8]) -> Vec<WatchEvent> {
        let mut events = Vec::new();
        if self.next.is_some_and(|next| next != offset) {
            self.end_partial_line(&mut events);
        }
        if self.next != Some(offset) {
            self.line.offset = offset;
        }
        self.next = Some(offset + bytes.len() as u64);
        let mut stripper = std::mem::take(&mut self.stripper);
        stripper.feed(bytes, offset, &mut |text, at| {
            self.take(text, at, utc, &mut events);
        });
        self.stripper = stripper;
        events
    }

    /// The report that has begun and not ended.
    pub fn pending(&self) -> Option<Pending> {
        self.report.as_ref().map(|report| Pending {
            kind: lines::kind_of(report.kind, &report.text),
            fatal: report.is_fatal(),
            offset: report.offset,
            read_at: report.read_at,
        })
    }

    /// Ends what has begun: the board was switched off, or nothing has come for long enough.
    pub fn flush(&mut self) -> Vec<WatchEvent> {
        let mut events = Vec::new();
        self.end_partial_line(&mut events);
        self.close(&mut events);
        events
    }

    fn take(&mut self, text: &[u8], at: u64, utc: UtcMicros, events: &mut Vec<WatchEvent>) {
        for (index, byte) in text.iter().enumerate() {
            if !self.line.begun {
                self.line.begun = true;
                self.line.read_at = utc;
            }
            if *byte != b'\n' {
                self.line.bytes.push(*byte);
            }
            let ended = *byte == b'\n';
            if ended || self.line.bytes.len() >= MAX_LINE {
                self.end_line(at + index as u64 + 1, !ended, events);
            }
        }
    }

    fn end_partial_line(&mut self, events: &mut Vec<WatchEvent>) {
        let mut stripper = std::mem::take(&mut self.stripper);
        let utc = self.line.read_at;
        stripper.flush(&mut |text, at| self.take(text, at, utc, events));
        if self.line.begun {
            self.end_line(self.next.unwrap_or(0), true, events);
        }
    }

    fn end_line(&mut self, next_offset: u64, cut: bool, events: &mut Vec<WatchEvent>) {
        let line = std::mem::replace(
            &mut self.line,
            Line {
                offset: next_offset,
                continued: cut,
                ..Line::default()
            },
        );
        let text = String::from_utf8_lossy(&line.bytes).replace('\r', "");
        let class = classify(&text, !line.continued);
        self.handle(&line, &text, class, events);
        // The buffer is used again.
        self.line.bytes = line.bytes;
        self.line.bytes.clear();
    }

    fn handle(&mut self, line: &Line, text: &str, class: Class, events: &mut Vec<WatchEvent>) {
        match class {
            Class::Loader(start) => {
                self.close(events);
                self.after_loader = true;
                events.push(WatchEvent::LoaderBanner {
                    offset: line.offset,
                    read_at: line.read_at,
                    line: text[start..].trim_end().to_owned(),
                });
            }
            Class::Kernel(start) => {
                self.close(events);
                events.push(WatchEvent::KernelStart {
                    offset: line.offset,
                    read_at: line.read_at,
                    line: text[start..].trim_end().to_owned(),
                    after_loader: std::mem::take(&mut self.after_loader),
                });
            }
            Class::Handover => {
                self.close(events);
                self.after_loader = true;
            }
            Class::Begins(kind, extent) if self.begins_anew(kind, extent) => {
                self.close(events);
                self.report = Some(Report {
                    kind,
                    extent,
                    offset: line.offset,
                    read_at: line.read_at,
                    text: String::new(),
                    stamped: lines::is_stamped(text),
                    in_trace: false,
                    lines: 0,
                });
                self.add(text, events);
            }
            Class::Begins(..) | Class::Other => {
                match self.report.as_mut().map(|report| report.goes_on(text)) {
                    Some(true) => self.add(text, events),
                    Some(false) => self.close(events),
                    None => {}
                }
            }
        }
    }

    /// Whether a line that can begin a report does so inside the one that has begun.
    fn begins_anew(&self, kind: &str, extent: Extent) -> bool {
        let Some(report) = &self.report else {
            return true;
        };
        match report.extent {
            Extent::Panic => false,
            // An oops is told in several lines that could each begin one.
            Extent::Trace | Extent::Rule => {
                kind == "panic" || (extent == Extent::Trace && kind == "unknown")
            }
            Extent::Line | Extent::Lockdep | Extent::Details => true,
        }
    }

    /// Adds a line to the report, and gives the report where the line is its last.
    fn add(&mut self, text: &str, events: &mut Vec<WatchEvent>) {
        let Some(report) = &mut self.report else {
            return;
        };
        if report.text.len() + text.len() + 1 > MAX_REPORT {
            report
                .text
                .push_str("\n(longer; the rest is in the console)");
            self.close(events);
            return;
        }
        if report.lines > 0 {
            report.text.push('\n');
        }
        report.text.push_str(text);
        report.lines += 1;
        if lines::ends(report.extent, text) {
            self.close(events);
        }
    }

    fn close(&mut self, events: &mut Vec<WatchEvent>) {
        if let Some(report) = self.report.take() {
            events.push(WatchEvent::Report(KernelReport {
                kind: lines::kind_of(report.kind, &report.text).to_owned(),
                fatal: report.is_fatal(),
                text: report.text.trim_end().to_owned(),
                offset: report.offset,
                read_at: report.read_at,
            }));
        }
    }
}

impl Report {
    fn is_fatal(&self) -> bool {
        self.extent == Extent::Panic
    }

    /// Whether a line that begins nothing belongs to this report.
    fn goes_on(&mut self, text: &str) -> bool {
        match self.extent {
            Extent::Line => return false,
            Extent::Trace | Extent::Rule | Extent::Panic => return true,
            Extent::Lockdep | Extent::Details => {}
        }
        if self.stamped && !lines::is_stamped(text) {
            // The payload's output between two lines of the kernel; an empty line is nobody's.
            return text.trim().is_empty();
        }
        let message = lines::message(text);
        if lines::begins_trace(message) {
            self.in_trace = true;
            return true;
        }
        if self.in_trace && !lines::is_frame(message) {
            // A stall shows the stacks of several CPUs and threads.
            let more = self.kind == "rcu_stall" && lines::is_detail(message);
            self.in_trace = !more;
            return more;
        }
        if self.in_trace {
            return true;
        }
        let known = self.extent == Extent::Lockdep || lines::is_detail(message);
        known && self.lines < MAX_DETAILS
    }
}

#[cfg(test)]
mod tests;
