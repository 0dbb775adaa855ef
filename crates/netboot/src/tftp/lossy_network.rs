//! Both state machines against reference clients over a network that loses, repeats and reorders, in simulated time.
//!
//! Each case is a seed; a failure prints it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::negotiate::Terms;
use super::receive::{ReceiveStep, Receiving};
use super::send::{SendStep, Sending};

const TIMEOUT: Duration = Duration::from_secs(1);
/// No simulated transfer may take longer.
const LONGEST: Duration = Duration::from_secs(600);

#[derive(Debug, Clone)]
enum Message {
    Options,
    Block(u16, Vec<u8>),
    Ack(u16),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Side {
    Server,
    Client,
}

/// Numbers from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.roll(100) < chance
    }
}

/// Chances in percent.
#[derive(Debug, Clone, Copy)]
struct Weather {
    loss: u64,
    repetition: u64,
    reordering: u64,
}

struct Network {
    dice: Dice,
    weather: Weather,
    now: Duration,
    /// In flight, by arrival; the number keeps order among equals.
    flying: BTreeMap<(Duration, u64), (Side, Message)>,
    sent: u64,
}

impl Network {
    fn new(seed: u64, weather: Weather) -> Self {
        Self {
            dice: Dice(seed),
            weather,
            now: Duration::ZERO,
            flying: BTreeMap::new(),
            sent: 0,
        }
    }

    fn send(&mut self, to: Side, message: &Message) {
        let copies = if self.dice.percent(self.weather.loss) {
            0
        } else {
            1 + u64::from(self.dice.percent(self.weather.repetition))
        };
        for _ in 0..copies {
            self.sent += 1;
            let delay = if self.dice.percent(self.weather.reordering) {
                200 + self.dice.roll(40_000)
            } else {
                200
            };
            self.flying.insert(
                (self.now + Duration::from_micros(delay), self.sent),
                (to, message.clone()),
            );
        }
    }

    /// The next arrival before `deadline`; time moves there or to the deadline.
    fn next(&mut self, deadline: Duration) -> Option<(Side, Message)> {
        let due = self
            .flying
            .first_entry()
            .filter(|entry| entry.key().0 <= deadline);
        match due {
            Some(entry) => {
                self.now = self.now.max(entry.key().0);
                Some(entry.remove())
            }
            None => {
                self.now = self.now.max(deadline);
                None
            }
        }
    }
}

fn terms(block_size: usize, window: u64, options: bool) -> Terms {
    let answer = if options {
        vec![("blksize", block_size as u64)]
    } else {
        Vec::new()
    };
    Terms {
        block_size,
        window,
        timeout: TIMEOUT,
        answer,
        announced_size: None,
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| (index * 31 + index / 255) as u8)
        .collect()
}

/// A client that reads, straight from RFC 1350 and 7440.
struct Reader {
    terms: Terms,
    file: Vec<u8>,
    blocks: u64,
    since_ack: u64,
    options_seen: bool,
    complete: bool,
    deadline: Duration,
}

impl Reader {
    fn hear(&mut self, message: Message, network: &mut Network) {
        match message {
            Message::Options => {
                self.options_seen = true;
                self.acknowledge(network);
            }
            Message::Block(wire, payload) if wire == (self.blocks + 1) as u16 && !self.complete => {
                self.options_seen = true;
                self.blocks += 1;
                self.since_ack += 1;
                self.complete = payload.len() < self.terms.block_size;
                self.file.extend_from_slice(&payload);
                self.deadline = network.now + TIMEOUT;
                if self.complete || self.since_ack == self.terms.window {
                    self.acknowledge(network);
                }
            }
            // Out of order: say what the last good one was, every time.
            Message::Block(..) => self.acknowledge(network),
            Message::Ack(_) => panic!("a reader got an acknowledgement"),
        }
    }

    fn acknowledge(&mut self, network: &mut Network) {
        self.since_ack = 0;
        self.deadline = network.now + TIMEOUT;
        network.send(Side::Server, &Message::Ack(self.blocks as u16));
    }
}

struct Outcome {
    file: Vec<u8>,
    complete: bool,
    server_finished: bool,
    blocks_sent: u64,
    retransmits: u64,
}

fn download(seed: u64, weather: Weather, terms: &Terms, file: &[u8]) -> Outcome {
    let mut network = Network::new(seed, weather);
    let mut machine = Sending::new(terms, file.len() as u64);
    let mut client = Reader {
        terms: terms.clone(),
        file: Vec::new(),
        blocks: 0,
        since_ack: 0,
        options_seen: terms.answer.is_empty(),
        complete: false,
        deadline: TIMEOUT,
    };
    let mut blocks_sent = 0;
    let server_finished = loop {
        assert!(network.now < LONGEST, "seed {seed}: no end");
        match machine.step(network.now) {
            SendStep::Options => network.send(Side::Client, &Message::Options),
            SendStep::Block(number) => {
                blocks_sent += 1;
                let start = (number as usize - 1) * terms.block_size;
                let payload = file[start..file.len().min(start + terms.block_size)].to_vec();
                network.send(Side::Client, &Message::Block(number as u16, payload));
            }
            SendStep::Finished => break true,
            SendStep::Failed(_) => break false,
            SendStep::Wait(deadline) => match network.next(deadline.min(client.deadline)) {
                Some((Side::Server, Message::Ack(wire))) => machine.acknowledge(wire, network.now),
                Some((Side::Server, other)) => panic!("{other:?} to a sender"),
                Some((Side::Client, message)) => client.hear(message, &mut network),
                None if network.now < client.deadline => {}
                None if !client.options_seen => {
                    machine.repeat_first_answer();
                    client.deadline += TIMEOUT;
                }
                None if client.complete => client.deadline = LONGEST,
                None => client.acknowledge(&mut network),
            },
        }
    };
    Outcome {
        file: client.file,
        complete: client.complete,
        server_finished,
        blocks_sent,
        retransmits: machine.retransmits(),
    }
}

#[test]
fn downloads_arrive_whole_over_a_bad_network() {
    for seed in 0..400 {
        let mut dice = Dice(seed ^ 0xabcd);
        let weather = Weather {
            loss: dice.roll(6),
            repetition: dice.roll(20),
            reordering: dice.roll(20),
        };
        let terms = terms(
            8 + dice.roll(60) as usize,
            [1, 2, 3, 16, 64][dice.roll(5) as usize],
            dice.percent(50),
        );
        let file = content(dice.roll(9000) as usize);
        let outcome = download(seed, weather, &terms, &file);
        assert!(
            outcome.complete && outcome.file == file,
            "seed {seed}: {weather:?} {terms:?} {} bytes",
            file.len()
        );
        assert!(
            outcome.server_finished,
            "seed {seed}: the server did not notice the end"
        );
    }
}

#[test]
fn a_hopeless_network_never_makes_a_false_success() {
    let mut failures = 0;
    for seed in 0..300 {
        let weather = Weather {
            loss: 60,
            repetition: 10,
            reordering: 30,
        };
        let file = content(2000);
        let outcome = download(
            seed,
            weather,
            &terms(16, 1 + seed % 8, seed % 2 == 0),
            &file,
        );
        assert!(
            !outcome.complete || outcome.file == file,
            "seed {seed}: wrong content"
        );
        assert!(
            !outcome.server_finished || outcome.complete,
            "seed {seed}: finished without the client"
        );
        failures += u64::from(!outcome.server_finished);
    }
    assert!(
        failures > 100,
        "only {failures} of 300 were given up: the network was not hopeless"
    );
}

#[test]
fn repeated_packets_do_not_multiply_in_lock_step() {
    for seed in 0..50 {
        let weather = Weather {
            loss: 0,
            repetition: 50,
            reordering: 0,
        };
        let file = content(5000);
        let outcome = download(seed, weather, &terms(16, 1, true), &file);
        assert_eq!(outcome.file, file);
        assert_eq!(
            (outcome.blocks_sent, outcome.retransmits),
            (5000 / 16 + 1, 0),
            "seed {seed}"
        );
    }
}

#[test]
fn repeated_packets_do_not_feed_on_themselves_in_a_window() {
    for seed in 0..50 {
        let weather = Weather {
            loss: 0,
            repetition: 30,
            reordering: 0,
        };
        let file = content(16 * 1000);
        let outcome = download(seed, weather, &terms(16, 16, true), &file);
        assert_eq!(outcome.file, file);
        assert!(
            outcome.blocks_sent < 4 * 1000,
            "seed {seed}: {} blocks for 1001",
            outcome.blocks_sent
        );
    }
}

#[test]
fn a_lost_block_in_a_window_is_repaired_without_waiting_for_the_time_out() {
    let terms = terms(8, 4, false);
    let mut machine = Sending::new(&terms, 100);
    let now = Duration::from_millis(1);
    for number in 1..=4 {
        assert_eq!(machine.step(now), SendStep::Block(number));
    }
    // The second block was lost: the client acknowledges the first on hearing the third, and again on the fourth.
    machine.acknowledge(1, now);
    assert_eq!(machine.step(now), SendStep::Block(2));
    machine.acknowledge(1, now);
    machine.acknowledge(1, now);
    let steps: Vec<_> = (0..3).map(|_| machine.step(now)).collect();
    let expected = [SendStep::Block(3), SendStep::Block(4), SendStep::Block(5)];
    assert_eq!(
        steps, expected,
        "one step back, not one for each repetition"
    );
    // If block 2 was lost again, the repetitions are heeded soon, but once what was on its way has arrived.
    let SendStep::Wait(soon) = machine.step(now) else {
        panic!("more than the window was sent")
    };
    assert!(soon < Duration::from_millis(50), "{soon:?}");
    assert_eq!(machine.step(soon), SendStep::Block(2));
}

#[test]
fn block_numbers_wrap_and_the_end_may_fall_anywhere() {
    for (window, extra) in [(1, 0), (1, 5), (64, 0), (64, 7), (7, 3)] {
        let file = content(8 * 70_000 + extra);
        let weather = Weather {
            loss: 0,
            repetition: 0,
            reordering: 0,
        };
        let outcome = download(1, weather, &terms(8, window, true), &file);
        assert!(
            outcome.file == file && outcome.server_finished,
            "window {window}, {extra} bytes more"
        );
        assert_eq!(outcome.retransmits, 0);
    }
}

#[test]
fn a_silent_client_is_given_up_after_five_retransmissions() {
    for options in [true, false] {
        let mut machine = Sending::new(&terms(8, 1, options), 100);
        let mut now = Duration::ZERO;
        let mut sent = 0;
        loop {
            match machine.step(now) {
                SendStep::Wait(deadline) => now = deadline,
                SendStep::Options | SendStep::Block(1) => sent += 1,
                SendStep::Failed(_) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((sent, now), (6, TIMEOUT * 6));
    }
}

/// A client that writes, in windows, going back on a repeated acknowledgement only after its time-out.
struct Writer<'a> {
    terms: Terms,
    file: &'a [u8],
    acknowledged: u64,
    begun: bool,
    deadline: Duration,
}

impl Writer<'_> {
    fn last(&self) -> u64 {
        (self.file.len() / self.terms.block_size) as u64 + 1
    }

    fn send_window(&mut self, network: &mut Network) {
        self.deadline = network.now + TIMEOUT;
        for number in self.acknowledged + 1..=self.last().min(self.acknowledged + self.terms.window)
        {
            let start = (number as usize - 1) * self.terms.block_size;
            let payload =
                self.file[start..self.file.len().min(start + self.terms.block_size)].to_vec();
            network.send(Side::Server, &Message::Block(number as u16, payload));
        }
    }

    fn hear(&mut self, message: &Message, network: &mut Network) {
        let advance = match message {
            Message::Options if self.begun => return,
            Message::Options => 0,
            Message::Ack(wire) => u64::from(wire.wrapping_sub(self.acknowledged as u16)),
            Message::Block(..) => panic!("a writer got a block"),
        };
        let begins = !std::mem::replace(&mut self.begun, true);
        if advance <= self.terms.window && (begins || advance > 0) {
            self.acknowledged += advance;
            self.send_window(network);
        }
    }
}

#[test]
fn uploads_arrive_whole_over_a_bad_network() {
    for seed in 0..400 {
        let mut dice = Dice(seed ^ 0x1234);
        let weather = Weather {
            loss: dice.roll(6),
            repetition: dice.roll(20),
            reordering: dice.roll(20),
        };
        let terms = terms(
            8 + dice.roll(60) as usize,
            [1, 2, 3, 16][dice.roll(4) as usize],
            dice.percent(50),
        );
        let file = content(dice.roll(9000) as usize);
        let mut network = Network::new(seed, weather);
        let mut machine = Receiving::new(terms.clone());
        let mut client = Writer {
            terms,
            file: &file,
            acknowledged: 0,
            begun: false,
            deadline: TIMEOUT,
        };
        let mut stored = Vec::new();
        let mut commits = 0;
        loop {
            assert!(network.now < LONGEST, "seed {seed}: no end");
            match machine.step(network.now) {
                ReceiveStep::Options => network.send(Side::Client, &Message::Options),
                ReceiveStep::Ack(block) => network.send(Side::Client, &Message::Ack(block)),
                ReceiveStep::Commit => {
                    commits += 1;
                    machine.committed(network.now);
                }
                ReceiveStep::Finished => break,
                ReceiveStep::Failed(failure) => panic!("seed {seed}: {failure}"),
                ReceiveStep::Wait(deadline) => match network.next(deadline.min(client.deadline)) {
                    Some((Side::Server, Message::Block(wire, payload))) => {
                        if machine.take_block(wire, payload.len(), network.now) {
                            stored.extend_from_slice(&payload);
                        }
                    }
                    Some((Side::Server, other)) => panic!("{other:?} to a receiver"),
                    Some((Side::Client, message)) => client.hear(&message, &mut network),
                    None if network.now < client.deadline => {}
                    None if client.acknowledged == client.last() => client.deadline = LONGEST,
                    None if !client.begun => {
                        machine.repeat_first_answer();
                        client.deadline += TIMEOUT;
                    }
                    None => client.send_window(&mut network),
                },
            }
        }
        assert!(stored == file, "seed {seed}: {weather:?}");
        assert_eq!(
            (commits, machine.bytes()),
            (1, file.len() as u64),
            "seed {seed}"
        );
    }
}

#[test]
fn the_last_acknowledgement_of_an_upload_follows_the_commit_and_is_repeated_on_demand() {
    let mut machine = Receiving::new(terms(8, 1, false));
    let now = Duration::ZERO;
    assert_eq!(machine.step(now), ReceiveStep::Ack(0));
    assert!(machine.take_block(1, 3, now));
    assert_eq!(machine.step(now), ReceiveStep::Commit);
    machine.committed(now);
    assert_eq!(machine.step(now), ReceiveStep::Ack(1));
    assert_eq!(machine.step(now), ReceiveStep::Wait(TIMEOUT * 2));
    assert!(!machine.take_block(1, 3, now));
    assert_eq!(machine.step(now), ReceiveStep::Ack(1));
    assert_eq!(machine.step(TIMEOUT * 2), ReceiveStep::Finished);
}
