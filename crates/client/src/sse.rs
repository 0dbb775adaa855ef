//! Server-sent events (WHATWG HTML, section 9.2) out of a stream of bytes.

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ServerEvent {
    /// Its type; `message` where the server names none.
    pub event: String,
    /// The last id that the server gave, this event's or an earlier one's.
    pub id: Option<String>,
    /// Its data; lines joined by `\n`.
    pub data: String,
}

/// The longest line that is taken. A log line of 4 KiB as JSON is far below it.
const LONGEST_LINE: usize = 1024 * 1024;

/// The server sent a line that nobody would send.
#[derive(Debug, thiserror::Error)]
#[error("the server sent a line of more than {LONGEST_LINE} bytes")]
pub struct LineTooLong;

/// Takes bytes as they come, gives events as they are complete.
#[derive(Debug, Default)]
pub struct Parser {
    pending: Vec<u8>,
    event: String,
    data: String,
    has_data: bool,
    id: Option<String>,
    complete_id: Option<String>,
}

impl Parser {
    /// Takes more bytes; the events that became complete are appended.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<ServerEvent>) -> Result<(), LineTooLong> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(part);
            if self.pending.len() > LONGEST_LINE {
                return Err(LineTooLong);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.pending);
                self.line(&line, events);
            }
        }
        Ok(())
    }

    /// The id of the last block that came whole, with or without data: where to go on after a cut.
    /// A block without data only says where the stream stands.
    pub fn complete_id(&self) -> Option<&String> {
        self.complete_id.as_ref()
    }

    fn line(&mut self, line: &[u8], events: &mut Vec<ServerEvent>) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\n').trim_end_matches('\r');
        if line.is_empty() {
            self.complete_id.clone_from(&self.id);
            if self.has_data {
                let event = std::mem::take(&mut self.event);
                events.push(ServerEvent {
                    event: if event.is_empty() {
                        "message".into()
                    } else {
                        event
                    },
                    id: self.id.clone(),
                    data: std::mem::take(&mut self.data),
                });
            }
            self.event.clear();
            self.data.clear();
            self.has_data = false;
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            "id" => self.id = Some(value.to_owned()),
            // Comments keep the connection alive; `retry` is our own decision.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(chunks: &[&str]) -> Vec<ServerEvent> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for chunk in chunks {
            parser.feed(chunk.as_bytes(), &mut events).unwrap();
        }
        events
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let text =
            ": hello\n\nid: 7\nevent: line\ndata: a\ndata: b\n\nid: 8\r\ndata:c\r\n\r\ndata: cut";
        let whole = parsed(&[text]);
        assert_eq!(whole.len(), 2);
        assert_eq!(whole[0].data, "a\nb");
        assert_eq!(
            (whole[0].event.as_str(), whole[0].id.as_deref()),
            ("line", Some("7"))
        );
        assert_eq!(
            (whole[1].event.as_str(), whole[1].data.as_str()),
            ("message", "c")
        );
        for cut in 0..text.len() {
            assert_eq!(parsed(&[&text[..cut], &text[cut..]]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn an_id_counts_once_its_block_is_whole_even_without_data() {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        parser.feed(b"id: 7\n\nid: 8\n", &mut events).unwrap();
        assert_eq!(parser.complete_id().map(String::as_str), Some("7"));
        parser.feed(b"data: x\n\n", &mut events).unwrap();
        assert_eq!(parser.complete_id().map(String::as_str), Some("8"));
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        let chunk = vec![b'x'; 64 * 1024];
        let refused = (0..32).any(|_| parser.feed(&chunk, &mut events).is_err());
        assert!(refused);
    }
}
