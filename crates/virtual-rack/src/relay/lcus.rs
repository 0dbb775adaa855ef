//! A serial relay of the LCUS family on a PTY: frames of four bytes `A0 channel state sum`, 9600 baud, no answer.
//!
//! `state` 01 is on, 00 off; `sum` is the sum of the three before, modulo 256. A frame with a wrong sum or an unknown channel is
//! ignored, as the real board does; the search for the next `A0` begins at its second byte. There is no read-back.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::json;

use super::Contacts;
use crate::{
    log::{RackLog, b64},
    port::pty::{Pty, PtyEvent, PtyServer},
};

/// First byte of a frame.
const START: u8 = 0xa0;

/// Makes the PTY and serves it as long as it is held.
pub fn start(
    link: &Path,
    contacts: Arc<Contacts>,
    name: &str,
    log: Arc<RackLog>,
    ptys: &PtyServer,
) -> io::Result<Arc<Pty>> {
    let decoder = Mutex::new(Decoder::default());
    let name = name.to_owned();
    Pty::open(
        link,
        ptys,
        Box::new(move |event| match event {
            PtyEvent::Input(bytes) => {
                log.event("relay-rx", json!({"relay": name, "b64": b64(bytes)}));
                let mut decoder = decoder.lock().expect("nothing panics while it decodes");
                for (channel, on) in decoder.feed(bytes) {
                    if (1..=contacts.count()).contains(&channel) {
                        contacts.switch(channel - 1, on);
                    }
                }
            }
            PtyEvent::Failed(error) => {
                log.event(
                    "error",
                    json!({"relay": name, "what": format!("PTY: {error}")}),
                );
            }
            PtyEvent::Opened | PtyEvent::Closed(_) => {}
        }),
    )
}

#[derive(Default)]
struct Decoder {
    pending: Vec<u8>,
}

impl Decoder {
    /// Complete frames: channel and state.
    fn feed(&mut self, bytes: &[u8]) -> Vec<(usize, bool)> {
        self.pending.extend_from_slice(bytes);
        let mut frames = Vec::new();
        loop {
            let start = self.pending.iter().position(|&byte| byte == START);
            self.pending.drain(..start.unwrap_or(self.pending.len()));
            let Some(&[_, channel, state, sum]) = self.pending.first_chunk() else {
                return frames;
            };
            let right = START.wrapping_add(channel).wrapping_add(state) == sum && state <= 1;
            if right {
                frames.push((usize::from(channel), state == 1));
            }
            self.pending.drain(..if right { 4 } else { 1 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Decoder;

    #[test]
    fn frames_are_found_in_pieces_and_behind_rubbish() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(&[0x00, 0xa0, 0x01]), []);
        assert_eq!(
            decoder.feed(&[0x01, 0xa2, 0xa0, 0x02, 0x00, 0xa2]),
            [(1, true), (2, false)]
        );
    }

    #[test]
    fn a_wrong_sum_is_ignored_and_the_next_frame_is_found() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(&[0xa0, 0x01, 0x01, 0xa3]), []);
        assert_eq!(decoder.feed(&[0xa0, 0x01, 0x00, 0xa1]), [(1, false)]);
    }
}
