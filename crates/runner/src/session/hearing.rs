//! What is noticed on the side while an action waits: kernel reports and banners, signals of
//! payloads, gaps, and what the boot servers did.

use basalt_console::watch::WatchEvent;
use basalt_model::EventBody;
use basalt_model::event::Level;
use basalt_netboot::tftp::{TransferEvent, TransferEventKind};
use tokio::time::Instant;

use super::{Interruption, Listening, REPORT_QUIET, RefusedFile, Session, Stage};
use crate::inbox;
use crate::signals::{Heard, Seen};

impl Session {
    /// Listens to the signals of one payload, or to none. What waits for a signal before it stays
    /// where the payload is the one that is listened to already.
    pub fn listen(&mut self, listening: Option<Listening>) {
        if listening.is_some() && self.listening == listening {
            return;
        }
        self.listening = listening;
        let seen = self.seen().cloned();
        self.inbox.begin(seen.as_ref());
    }

    /// The numbers of the payload's signals that are on record.
    fn seen(&self) -> Option<&Seen> {
        let listening = self.listening.as_ref()?;
        self.recorder.state().signals.get(&listening.key())
    }

    pub(super) fn take_served(&mut self, event: TransferEvent) -> Result<(), Interruption> {
        match event.kind {
            TransferEventKind::Started { .. } => {}
            TransferEventKind::Finished {
                bytes,
                duration,
                retransmits,
            } => self.recorder.record(EventBody::Served {
                protocol: "tftp".into(),
                name: event.file,
                bytes,
                duration_ms: duration.as_millis() as u64,
                retransmits,
            })?,
            TransferEventKind::Failed { bytes, reason, .. } => self.recorder.log(
                Level::Warning,
                format!(
                    "TFTP transfer of {} ended after {bytes} bytes: {reason}",
                    event.file
                ),
            )?,
            TransferEventKind::Refused { reason } => {
                self.recorder.log(
                    Level::Warning,
                    format!("TFTP request for {} refused: {reason}", event.file),
                )?;
                self.refused_file = Some(RefusedFile {
                    name: event.file,
                    client: *event.client.ip(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn take_console(
        &mut self,
        event: basalt_console::Event,
    ) -> Result<(), Interruption> {
        match event {
            basalt_console::Event::Data {
                offset,
                stamp,
                bytes,
            } => self.take_bytes(offset, stamp.utc, &bytes),
            basalt_console::Event::Gap { offset, reason, .. } => {
                self.signals.cut();
                let known = &self.recorder.state().gaps;
                if !known
                    .iter()
                    .any(|(at, why)| *at == offset && *why == reason)
                {
                    self.gaps += 1;
                    self.recorder
                        .record(EventBody::ConsoleGap { offset, reason })?;
                }
                Ok(())
            }
            basalt_console::Event::Input { .. } => Ok(()),
            basalt_console::Event::SourceDown { reason, .. } => {
                if self.source_down.is_none() {
                    self.recorder
                        .log(Level::Warning, format!("the console is gone: {reason}"))?;
                    self.source_down = Some((Instant::now(), reason));
                }
                Ok(())
            }
            basalt_console::Event::SourceUp { .. } => {
                if self.source_down.take().is_some() {
                    self.recorder
                        .log(Level::Info, "the console is back".to_owned())?;
                }
                Ok(())
            }
            basalt_console::Event::KeeperLost => {
                self.recorder.log(
                    Level::Warning,
                    "the console keeper is gone; it is being started again",
                )?;
                Ok(())
            }
            basalt_console::Event::KeeperBack => {
                self.recorder
                    .log(Level::Info, "the console keeper is back".to_owned())?;
                Ok(())
            }
            basalt_console::Event::Timeout => {
                self.silent = true;
                if self.last_data.elapsed() >= REPORT_QUIET {
                    self.flush_watch()?;
                }
                Ok(())
            }
        }
    }

    fn take_bytes(
        &mut self,
        offset: u64,
        utc: basalt_model::UtcMicros,
        bytes: &[u8],
    ) -> Result<(), Interruption> {
        self.heard_anything = true;
        self.last_data = Instant::now();
        let end = offset + bytes.len() as u64;
        self.recorder.watcher().console(end, bytes);
        self.expect.feed(bytes);
        for (end, heard) in self.signals.feed(bytes) {
            self.take_heard(end, heard)?;
        }
        let seen = self.watch.feed(offset, utc, bytes);
        self.take_watched(seen)
    }

    pub(super) fn flush_watch(&mut self) -> Result<(), Interruption> {
        let seen = self.watch.flush();
        self.take_watched(seen)
    }

    fn take_watched(&mut self, seen: Vec<WatchEvent>) -> Result<(), Interruption> {
        let mut ends = None;
        for event in seen {
            match event {
                WatchEvent::Report(report) => {
                    let known = &self.recorder.state().kernel;
                    if known.iter().any(|old| old.offset == report.offset) {
                        continue;
                    }
                    let level = self.listening.as_ref().map_or_else(
                        || {
                            let open = self.recorder.state().open.last();
                            open.map_or_else(String::new, |open| open.level.clone())
                        },
                        |listening| listening.level.clone(),
                    );
                    self.recorder.record(EventBody::Kernel {
                        report: report.clone(),
                        level,
                    })?;
                    if report.fatal {
                        ends.get_or_insert(Interruption::Kernel(Box::new(report)));
                    }
                }
                WatchEvent::KernelStart {
                    line, after_loader, ..
                } => {
                    // `dmesg` in a test prints the same line; a boot has a boot loader before it.
                    if self.stage == Stage::Shell && !after_loader {
                        continue;
                    }
                    if self.kernel_seen || self.stage == Stage::Shell {
                        ends.get_or_insert(Interruption::Reset(line.clone()));
                    }
                    self.kernel_seen = true;
                    self.recorder.record(EventBody::KernelBanner { line })?;
                }
                WatchEvent::LoaderBanner { line, .. } => {
                    self.recorder
                        .record(EventBody::LoaderBanner { line: line.clone() })?;
                    if self.kernel_seen || self.stage != Stage::Loader {
                        ends.get_or_insert(Interruption::Reset(line));
                    }
                }
            }
        }
        match ends {
            None => Ok(()),
            Some(end) if self.stage == Stage::Loader => {
                self.early_end.get_or_insert(end);
                Ok(())
            }
            Some(end) => Err(end),
        }
    }

    fn take_heard(&mut self, end: u64, heard: Heard) -> Result<(), Interruption> {
        let signal = match heard {
            Heard::Signal(signal) => signal,
            // A numbered one is read from the spool later; its number is missing until then.
            Heard::Damaged { .. } => {
                self.inbox.take_torn();
                return Ok(());
            }
        };
        if signal.name == "BASALT_FILE" {
            if let Some(number) = signal.number {
                self.file_lines.push_back((number, signal.text));
            }
            return Ok(());
        }
        let Some(listening) = &self.listening else {
            return Ok(());
        };
        // The payload before says its last word thrice, and may be slow about it.
        if signal.name == "BASALT_STAGE"
            && signal.text.strip_prefix("END ") != Some(&listening.directory)
        {
            return Ok(());
        }
        let number = signal.number.unwrap_or(0);
        // The console is read again from before the moment at which a runner was killed.
        if number == 0 && end <= self.recorder.state().printed_to(&listening.key()) {
            return Ok(());
        }
        let text = if signal.text.is_empty() {
            signal.name
        } else {
            format!("{} {}", signal.name, signal.text)
        };
        self.inbox.take(inbox::Heard {
            number,
            text,
            offset: end,
        });
        self.release_signals(false)
    }

    /// Records held back signals in the order of their numbers, as far as none is missing; all of
    /// them where nothing better will come.
    pub fn release_signals(&mut self, all: bool) -> Result<(), Interruption> {
        let seen = self.seen().cloned();
        for heard in self.inbox.release(seen.as_ref(), all) {
            self.record_signal(heard.number, heard.text, heard.offset)?;
        }
        Ok(())
    }

    /// Numbers that are known to be missing: below one that was heard.
    pub fn missing_signals(&self) -> Vec<u64> {
        self.inbox.missing(self.seen())
    }

    /// Whether a held back or recorded signal of the payload begins with `start`.
    pub fn heard_signal(&self, start: &str) -> bool {
        let Some(listening) = &self.listening else {
            return false;
        };
        let recorded = self.recorder.state().progress.get(&listening.key());
        self.inbox.holds(start)
            || recorded.is_some_and(|texts| texts.iter().any(|text| text.starts_with(start)))
    }

    fn record_signal(
        &mut self,
        number: u64,
        text: String,
        offset: u64,
    ) -> Result<(), Interruption> {
        let Some(listening) = self.listening.clone() else {
            return Ok(());
        };
        let complaints = self.recorder.state().complaints.len();
        self.recorder.record(EventBody::Signal {
            number,
            text,
            offset,
            level: listening.level,
            attempt: listening.attempt,
            from_spool: listening.from_spool,
        })?;
        let new: Vec<String> = self.recorder.state().complaints[complaints..].to_vec();
        for complaint in new {
            self.recorder.log(Level::Error, complaint)?;
        }
        Ok(())
    }

    /// What comes now is (or is not any more) read from the spool.
    pub fn listening_to_spool(&mut self, from_spool: bool) {
        if let Some(listening) = &mut self.listening {
            listening.from_spool = from_spool;
        }
    }

    /// Takes the boot servers' news that has come already.
    pub fn hear_servers(&mut self) -> Result<(), Interruption> {
        while let Some(event) = self
            .served
            .as_mut()
            .and_then(|served| served.try_recv().ok())
        {
            self.take_served(event)?;
        }
        Ok(())
    }
}
