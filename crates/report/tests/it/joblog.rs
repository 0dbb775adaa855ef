//! A job's log: nothing of the console is lost or changed, and a restart makes no difference.

use std::path::Path;

use basalt_model::event::Level;
use basalt_model::{
    BootId, BootNanos, CaseOutcome, CaseResult, Epoch, Event, EventBody, Stamp, UtcMicros,
};
use basalt_report::joblog::{
    Batch, BatchError, BatchWriter, Cursor, Fold, LONGEST_LINE, LogLevel, LogLine, decode_batch,
    encode_batch,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// What comes to a fold.
#[derive(Clone, Debug)]
enum Step {
    Console(Vec<u8>),
    Event(EventBody),
    Gap,
    Flush,
}

/// Bytes as boards print them, and as they should not: text, NULs, halves of characters, long runs
/// without a newline.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[a-z =>\r\n]{0,80}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..20),
        1 => Just(vec![0; 3]),
        1 => Just("ä🦀".as_bytes().to_vec()),
        1 => Just(vec![0xf0, 0x9f]),
        1 => (any::<u8>(), 1..3 * LONGEST_LINE).prop_map(|(byte, count)| vec![byte; count]),
        1 => (1..2 * LONGEST_LINE).prop_map(|count| "ü".repeat(count).into_bytes()),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn body() -> impl Strategy<Value = EventBody> {
    prop_oneof![
        ".{0,40}".prop_map(|message| EventBody::Log {
            level: Level::Info,
            message,
        }),
        Just(EventBody::Log {
            level: Level::Error,
            message: "x".repeat(10_000),
        }),
        Just(EventBody::Console {
            span: basalt_model::event::ConsoleSpan { from: 0, to: 1 },
        }),
        Just(EventBody::Input {
            text: "ls\n\u{3}".into(),
        }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => bytes().prop_map(Step::Console),
        3 => body().prop_map(Step::Event),
        1 => Just(Step::Gap),
        1 => Just(Step::Flush),
    ];
    vec(step, 0..12)
}

fn event(seq: u64, body: EventBody) -> Event {
    Event {
        run: "0193a1b2-7c00-7000-8000-000000000001".parse().unwrap(),
        seq,
        stamp: Stamp {
            utc: UtcMicros(1_000_000 + seq as i64),
            boot: BootNanos(5_000_000_000),
        },
        boot_id: BootId("b".into()),
        body,
    }
}

/// Feeds step number `index` to a fold.
fn feed(fold: &mut Fold, index: usize, step: &Step, lines: &mut Vec<LogLine>) {
    let utc = UtcMicros(index as i64 * 1000);
    match step {
        Step::Console(bytes) => fold.console(utc, bytes, lines),
        Step::Event(body) => {
            let seq = fold.next_event();
            fold.event(&event(seq, body.clone()), lines);
        }
        Step::Gap => fold.gap(utc, "the keeper was killed", lines),
        Step::Flush => fold.flush(lines),
    }
}

fn target(lines: &[LogLine]) -> Vec<u8> {
    let target = lines.iter().filter(|line| line.level == LogLevel::Target);
    target.flat_map(|line| line.text.clone()).collect()
}

proptest! {
    #[test]
    fn the_target_lines_together_are_the_console_byte_for_byte(steps in steps()) {
        let mut fold = Fold::new(7);
        let mut lines = Vec::new();
        let mut said = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            feed(&mut fold, index, step, &mut lines);
            if let Step::Console(bytes) = step {
                said.extend_from_slice(bytes);
            }
        }
        prop_assert_eq!(fold.console_offset(), 7 + said.len() as u64);
        fold.flush(&mut lines);
        prop_assert!(target(&lines) == said);
        for (line, number) in lines.iter().zip(1..) {
            prop_assert_eq!(line.number, number);
            prop_assert!(line.text.len() <= LONGEST_LINE);
            prop_assert!(!line.text.is_empty() || line.level != LogLevel::Target);
            let newlines = line.text.iter().filter(|byte| **byte == b'\n').count();
            let inside = line.text.iter().rev().skip(1).filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(inside, 0);
            if line.level != LogLevel::Target {
                prop_assert_eq!(newlines, 0);
                let text = std::str::from_utf8(&line.text).unwrap();
                prop_assert!(!text.chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn lines_do_not_depend_on_how_the_bytes_come_in_pieces(
        said in bytes(),
        cuts in vec(1_usize..2000, 0..12),
    ) {
        let mut whole = Vec::new();
        let mut fold = Fold::new(0);
        fold.console(UtcMicros(1), &said, &mut whole);
        fold.flush(&mut whole);

        let mut pieces = Vec::new();
        let mut fold = Fold::new(0);
        let mut rest = said.as_slice();
        for cut in cuts {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            fold.console(UtcMicros(1), piece, &mut pieces);
            rest = more;
        }
        fold.console(UtcMicros(1), rest, &mut pieces);
        fold.flush(&mut pieces);
        prop_assert!(pieces == whole);
    }

    #[test]
    fn a_fold_that_goes_on_from_a_cursor_makes_the_same_lines(steps in steps()) {
        let mut fold = Fold::new(0);
        let mut lines = Vec::new();
        let mut cursors = vec![(0, fold.cursor(), 0)];
        for (index, step) in steps.iter().enumerate() {
            feed(&mut fold, index, step, &mut lines);
            cursors.push((index + 1, fold.cursor(), lines.len()));
        }
        for (from, cursor, before) in cursors {
            let Some(cursor) = cursor else { continue };
            let json = serde_json::to_string(&cursor).unwrap();
            let cursor: Cursor = serde_json::from_str(&json).unwrap();
            let mut again = Fold::resume(cursor).unwrap();
            let mut after = Vec::new();
            for (index, step) in steps.iter().enumerate().skip(from) {
                feed(&mut again, index, step, &mut after);
            }
            prop_assert!(after == lines[before..]);
            prop_assert_eq!(again.cursor(), fold.cursor());
        }
    }

    #[test]
    fn a_batch_gives_back_its_lines(
        lines in vec((any::<u64>(), any::<i64>(), 0..9_usize, vec(any::<u8>(), 0..300)), 0..20),
    ) {
        let lines: Vec<LogLine> = lines
            .into_iter()
            .map(|(number, utc, level, text)| LogLine {
                number,
                utc: UtcMicros(utc),
                level: LogLevel::ALL[level],
                text,
            })
            .collect();
        let bytes = encode_batch(&lines);
        let batch = Batch::read(&bytes).unwrap();
        prop_assert_eq!(batch.count(), lines.len() as u64);
        prop_assert_eq!(batch.first_number(), lines.first().map_or(0, |line| line.number));
        prop_assert_eq!(batch.last_number(), lines.last().map_or(0, |line| line.number));
        prop_assert!(decode_batch(&bytes).unwrap() == lines);
    }

    #[test]
    fn a_broken_batch_is_an_error_or_other_lines_and_nothing_worse(
        bytes in vec(any::<u8>(), 0..200),
        cut in 0_usize..100,
    ) {
        let mut versioned = vec![1];
        versioned.extend(&bytes);
        if let Ok(lines) = decode_batch(&versioned) {
            prop_assert!(lines.len() <= bytes.len());
        }
        let line = LogLine {
            number: 5,
            utc: UtcMicros(1_763_900_000_000_000),
            level: LogLevel::Target,
            text: vec![b'x'; 100],
        };
        let good = encode_batch(&[line]);
        let torn = &good[..good.len() - 1 - cut];
        prop_assert_eq!(decode_batch(torn), Err(BatchError::Line { index: 0 }));
    }
}

#[test]
fn a_batch_of_a_later_release_is_refused_by_its_number() {
    assert_eq!(decode_batch(&[]), Err(BatchError::Empty));
    assert_eq!(decode_batch(&[2, 0]), Err(BatchError::Version(2)));
    let cursor = Cursor {
        version: 9,
        event_seq: 1,
        console_offset: 0,
        line: 1,
    };
    let error = Fold::resume(cursor).unwrap_err();
    assert_eq!(
        error.to_string(),
        "job log of version 9; this build makes version 1"
    );
}

/// The form is on disk and on the wire of two releases.
#[test]
fn the_bytes_of_a_batch_are_these() {
    let mut writer = BatchWriter::new();
    let mut fold = Fold::new(0);
    fold.console(UtcMicros(64), b"a\n\0b\n", &mut writer);
    assert_eq!(
        writer.bytes(),
        b"\x01\x00\x00\x80\x01\x02a\n\x00\x00\x00\x03\0b\n"
    );
    assert_eq!((writer.count(), writer.last_number()), (2, 2));
    assert_eq!(writer.take().len(), 15);
    assert_eq!((writer.count(), writer.bytes()), (0, b"\x01".as_slice()));
}

#[test]
fn an_event_without_a_line_does_not_end_the_boards_and_an_old_one_is_passed_over() {
    let mut fold = Fold::new(0);
    let mut lines = Vec::new();
    let span = basalt_model::event::ConsoleSpan { from: 0, to: 3 };
    let log = || EventBody::Log {
        level: Level::Info,
        message: "m".into(),
    };
    fold.console(UtcMicros(1), b"log", &mut lines);
    fold.event(&event(1, EventBody::Console { span }), &mut lines);
    assert_eq!((lines.len(), fold.cursor()), (0, None));
    fold.event(&event(2, log()), &mut lines);
    fold.event(&event(2, log()), &mut lines);
    fold.console(UtcMicros(2), b"in: ", &mut lines);
    fold.flush(&mut lines);
    let texts: Vec<_> = lines
        .iter()
        .map(|line| (line.level.as_str(), String::from_utf8_lossy(&line.text)))
        .collect();
    assert_eq!(
        texts,
        [
            ("target", "log".into()),
            ("info", "m".into()),
            ("target", "in: ".into())
        ]
    );
}

#[test]
fn another_lease_moves_the_log_past_what_was_said_to_others() {
    let mut fold = Fold::new(0);
    let mut lines = Vec::new();
    let lease = |from| EventBody::LeaseGranted {
        epoch: Epoch(1),
        console_from: from,
    };
    fold.event(&event(1, lease(100)), &mut lines);
    assert_eq!(fold.console_offset(), 100);
    fold.console(UtcMicros(1), b"abc\n", &mut lines);
    fold.event(&event(2, lease(500)), &mut lines);
    assert_eq!(fold.console_offset(), 500);
}

/// A run of the first release, as whoever reads its log sees it. Lines are never made otherwise
/// under the same version: logs are begun by one build and gone on with by another.
#[test]
fn a_recorded_run_reads_like_this() {
    let journal = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../runner/tests/it/data/0.1.0-realtime.journal");
    let mut fold = Fold::new(0);
    let mut lines: Vec<LogLine> = Vec::new();
    for event in basalt_journal::read(&journal).unwrap() {
        fold.event(&event, &mut lines);
    }
    let text: Vec<String> = lines
        .iter()
        .map(|line| format!("{:7} {}", line.level, String::from_utf8_lossy(&line.text)))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn what_goes_wrong_is_said_with_whose_fault_it_was() {
    use basalt_model::event::{ActionEnd, PowerRequest};
    use basalt_model::{Failure, KernelReport, Outcome, Part, PowerState};
    let mut failure = Failure::infrastructure(Part::Board, "boot-timeout", "no prompt within 30 s");
    failure.awaited = Some("\"=> \"".into());
    failure.last_lines = vec!["DRAM: \u{1b}[2J".into()];
    let failed = |level: &str| EventBody::ActionFinished {
        level: level.into(),
        name: "bootloader-commands".into(),
        attempt: 2,
        end: ActionEnd::Failed,
        duration_ms: 30_200,
        failure: Some(Box::new(failure.clone())),
    };
    let bodies = [
        EventBody::ActionStarted {
            level: "2.1".into(),
            name: "bootloader-commands".into(),
            attempt: 2,
            deadline: BootNanos(35_000_000_000),
        },
        failed("2.1"),
        failed("2"),
        EventBody::PowerOutcome {
            request: PowerRequest::Off,
            state: PowerState::Unknown,
            error: Some("the relay answered 500".into()),
        },
        EventBody::Kernel {
            report: KernelReport {
                kind: "panic".into(),
                text: "Kernel panic - not syncing\nmore".into(),
                offset: 0,
                read_at: UtcMicros(0),
                fatal: true,
            },
            level: "2".into(),
        },
        EventBody::Resumed {
            downtime_ms: Some(1500),
            decision: "reattach".into(),
        },
        EventBody::Result {
            result: CaseResult {
                suite: "0_smoke".into(),
                case: "boot".into(),
                result: CaseOutcome::Fail,
                measurement: Some(12.5),
                units: Some("s".into()),
                set: None,
                attempt: 1,
                detail: Some("too\nslow".into()),
                reference: None,
            },
        },
        EventBody::Input {
            text: "setenv a\u{3}\n".into(),
        },
        EventBody::Input { text: "\n".into() },
        EventBody::Finished {
            outcome: Outcome::Incomplete,
            failure: Some(Box::new(failure.clone())),
            power: PowerState::Off,
        },
    ];
    let mut fold = Fold::new(0);
    let mut lines: Vec<LogLine> = Vec::new();
    for (body, seq) in bodies.into_iter().zip(1..) {
        fold.event(&event(seq, body), &mut lines);
    }
    let text: Vec<String> = lines
        .iter()
        .map(|line| format!("{:7} {}", line.level, String::from_utf8_lossy(&line.text)))
        .collect();
    insta::assert_snapshot!(text.join("\n"), @r#"
    debug   start: 2.1 bootloader-commands (attempt 2), at most 30.0 s
    error   end: 2.1 bootloader-commands (attempt 2), failed after 30.2 s: infrastructure (board): no prompt within 30 s; awaited "=> "; the board said last: "DRAM: \u{1b}[2J"
    error   end: 2 bootloader-commands (attempt 2), failed after 30.2 s: no prompt within 30 s
    error   power off failed: the relay answered 500; read back: unknown
    error   kernel panic: Kernel panic - not syncing
    warning resumed after 1.5 s: the board may still be as it was left
    results fail: 0_smoke boot = 12.5 s (too slow)
    input   setenv a\u{3}
    input   "\n"
    error   finished: incomplete; power: off; infrastructure (board): no prompt within 30 s; awaited "=> "; the board said last: "DRAM: \u{1b}[2J"
    "#);
}
