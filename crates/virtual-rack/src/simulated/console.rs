//! The board's side of its serial port: lines out, bytes in, and kernel lines that get in between.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::sync::mpsc;

use crate::{board::Board, knobs::Hold};

/// Control-C.
pub const INTERRUPT: u8 = 3;

/// One power-up's console.
pub struct Console {
    board: Arc<Board>,
    input: mpsc::Receiver<Vec<u8>>,
    typed: VecDeque<u8>,
    lines: u64,
    /// Bytes of the present line.
    column: u64,
    tail: Vec<u8>,
    printks: u64,
    holding: Mutex<Holding>,
}

/// How far the knob `hold` has come since it was set.
#[derive(Default)]
struct Holding {
    knob: Option<Hold>,
    /// The last bytes that were said.
    tail: VecDeque<u8>,
    times: u64,
}

impl Holding {
    /// Behind which of these bytes the board stands still.
    fn place(&mut self, knob: Option<Hold>, bytes: &[u8]) -> Option<usize> {
        if self.knob != knob {
            *self = Holding {
                knob,
                ..Holding::default()
            };
        }
        let knob = self.knob.as_ref()?;
        let text = knob.after.as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            self.tail.push_back(byte);
            if self.tail.len() > text.len() {
                self.tail.pop_front();
            }
            if self.tail.iter().eq(text) {
                self.times += 1;
                if self.times == knob.nth {
                    return Some(at + 1);
                }
            }
        }
        None
    }
}

impl Console {
    pub fn new(board: Arc<Board>, input: mpsc::Receiver<Vec<u8>>) -> Console {
        Console {
            board,
            input,
            typed: VecDeque::new(),
            lines: 0,
            column: 0,
            tail: Vec::new(),
            printks: 0,
            holding: Mutex::default(),
        }
    }

    /// Says these bytes.
    pub async fn send(&self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((place, knob)) = self.hold(rest) {
            let (said, later) = rest.split_at(place);
            self.board.port.send(said).await;
            self.stand_still(&knob).await;
            rest = later;
        }
        self.board.port.send(rest).await;
    }

    /// Behind which of these bytes the board stands still, and for the sake of which knob.
    fn hold(&self, bytes: &[u8]) -> Option<(usize, Hold)> {
        let knob = self.board.knobs.current().hold;
        let mut holding = self.holding.lock().expect("nothing panics while it looks");
        let place = holding.place(knob.clone(), bytes)?;
        Some((place, knob?))
    }

    /// Waits until the knob is cleared or another one is set.
    async fn stand_still(&self, knob: &Hold) {
        let mut changes = self.board.knobs.watch();
        self.board.knobs.count("hold");
        self.board.fired("hold");
        while self.board.knobs.current().hold.as_ref() == Some(knob) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Says a text; line ends become CR LF.
    pub async fn print(&self, text: &str) {
        self.send(text.replace('\n', "\r\n").as_bytes()).await;
    }

    /// Says a line.
    pub async fn line(&self, text: &str) {
        self.print(&format!("{text}\n")).await;
    }

    /// The next bytes that came; waits for ever if none come, also when the port was given to somebody else.
    pub async fn input(&mut self) -> Vec<u8> {
        if !self.typed.is_empty() {
            return self.typed.drain(..).collect();
        }
        match self.input.recv().await {
            Some(bytes) => bytes,
            None => std::future::pending().await,
        }
    }

    /// The next byte that came.
    pub async fn byte(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.typed.pop_front() {
                return byte;
            }
            let bytes = self.input().await;
            self.typed.extend(bytes);
        }
    }

    /// Gives back what was read too far.
    pub fn put_back(&mut self, bytes: Vec<u8>) {
        for byte in bytes.into_iter().rev() {
            self.typed.push_front(byte);
        }
    }

    /// Whether control-C is among what was typed; what came before it is forgotten, as U-Boot's `ctrlc()` does.
    pub fn interrupted(&mut self) -> bool {
        while let Ok(bytes) = self.input.try_recv() {
            self.typed.extend(bytes);
        }
        match self.typed.iter().position(|&byte| byte == INTERRUPT) {
            Some(at) => {
                self.typed.drain(..=at);
                true
            }
            None => false,
        }
    }

    /// Says what the shell said, with kernel lines in between as the knob `printk` asks.
    pub async fn shell_output(&mut self, bytes: &[u8]) {
        let places = self.printk_places(bytes);
        let mut from = 0;
        for (place, text) in places {
            self.send(&bytes[from..place]).await;
            self.print(&text).await;
            from = place;
        }
        self.send(&bytes[from..]).await;
    }

    /// Starts counting lines for the knob `printk` anew.
    pub fn restart_lines(&mut self) {
        self.lines = 0;
        self.column = 0;
        self.tail.clear();
    }

    /// Where kernel lines are put, in order of places.
    fn printk_places(&mut self, bytes: &[u8]) -> Vec<(usize, String)> {
        let mut places = Vec::new();
        let Some(knob) = self.board.knobs.current().printk else {
            self.restart_lines();
            return places;
        };
        let after = knob.after.as_deref().unwrap_or("").as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            self.column += 1;
            if byte == b'\n' {
                self.lines += 1;
                self.column = 0;
            }
            self.tail.push(byte);
            if self.tail.len() > after.len().max(1) {
                self.tail.remove(0);
            }
            let matched = !after.is_empty() && self.tail == after;
            // In the middle: behind the second character of the line.
            let due = self.column == 2
                && !byte.is_ascii_control()
                && knob
                    .every
                    .is_some_and(|every| every > 0 && self.lines % every == every - 1);
            if !(matched || due) {
                continue;
            }
            if self
                .board
                .knobs
                .take("printk", |knobs| &mut knobs.printk, |_| true)
                .is_none()
            {
                break;
            }
            self.board.fired("printk");
            self.printks += 1;
            let text = knob.text.as_deref().unwrap_or("perf: interrupt took too long (3126 > 3125), lowering kernel.perf_event_max_sample_rate to 63750");
            places.push((
                at + 1,
                format!("[{:5}.{:06}] {text}\n", 123 + self.printks, 456_789),
            ));
        }
        places
    }
}
