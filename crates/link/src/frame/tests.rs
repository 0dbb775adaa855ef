use basalt_model::{BoardName, JobId, LeaseId, PowerState, UtcMicros};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::message::{
    ConsoleFact, Down, LabText, ProtocolRange, RefusalCode, RunCursor, Standing, StopMode, Up,
};

fn run() -> impl Strategy<Value = RunId> {
    any::<u128>().prop_map(|number| RunId::from_uuid(Uuid::from_u128(number)))
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,40}|[\\n\\x00-\\x1f\"]{0,8}"
}

fn up() -> impl Strategy<Value = Up> {
    prop_oneof![
        (run(), any::<u128>(), any::<i64>(), any::<u64>(), text()).prop_map(
            |(run, lease, job, last_seq, board)| Up::Hello {
                protocol: ProtocolRange::OURS,
                build: board.clone(),
                dispatcher: basalt_model::DispatcherName::new("main"),
                boot_id: basalt_model::BootId("boot".into()),
                revision: (job > 0).then_some(job),
                epochs: Vec::new(),
                runs: vec![Standing {
                    run,
                    lease: LeaseId::from_uuid(Uuid::from_u128(lease)),
                    job: JobId(job),
                    board: BoardName::new(board),
                    epoch: basalt_model::Epoch(last_seq),
                    last_seq,
                    finished: last_seq % 2 == 0,
                }],
            }
        ),
        run().prop_map(|run| Up::Accepted { run }),
        (run(), text()).prop_map(|(run, message)| Up::Refused {
            run,
            code: RefusalCode::BoardHeld,
            message
        }),
        any::<u64>().prop_map(|number| Up::Heartbeat { number }),
        (text(), any::<i64>()).prop_map(|(reason, since)| Up::BoardFact {
            board: BoardName::new("board"),
            power: PowerState::Unknown,
            power_since: UtcMicros(since),
            console: ConsoleFact {
                open: false,
                reason: Some(reason)
            },
        }),
        Just(Up::Stopping),
    ]
}

fn events() -> impl Strategy<Value = Events> {
    (run(), 1..1_000_000u64, vec(vec(32..127u8, 0..1500), 0..50)).prop_map(
        |(run, from_seq, texts)| Events::new(run, from_seq, texts.iter().map(Vec::as_slice)),
    )
}

fn log() -> impl Strategy<Value = LogBatch> {
    (
        run(),
        1..1_000_000u64,
        any::<u32>(),
        vec(any::<u8>(), 0..140_000),
        any::<bool>(),
    )
        .prop_map(|(run, from_line, count, batch, with_cursor)| LogBatch {
            run,
            from_line,
            count,
            cursor: with_cursor.then(|| serde_json::json!({"line": count, "at": "\n"})),
            batch: batch.into(),
        })
}

fn message() -> impl Strategy<Value = Message<Up>> {
    prop_oneof![
        up().prop_map(Message::Control),
        events().prop_map(Message::Events),
        log().prop_map(Message::Log),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn messages_survive_the_wire_also_where_kinds_interleave(
        streams in vec(prop_oneof![events().prop_map(Message::Events), log().prop_map(Message::Log)], 1..4),
        control in vec(up(), 0..8),
    ) {
        let mut decoder = Decoder::<Up>::default();
        let mut heard = Vec::new();
        let mut control = control.into_iter();
        let mut said_control = Vec::new();
        for stream in &streams {
            for frame in encode(stream).unwrap() {
                prop_assert!(frame.len() <= LARGEST_FRAME);
                // A control message between any two pieces of a stream.
                if let Some(up) = control.next() {
                    let up = Message::Control(up);
                    for frame in encode(&up).unwrap() {
                        heard.extend(decoder.push(frame).unwrap());
                    }
                    said_control.push(up);
                }
                heard.extend(decoder.push(frame).unwrap());
            }
        }
        prop_assert!(!decoder.is_in_a_message());
        let (heard_control, heard_streams): (Vec<_>, Vec<_>) =
            heard.into_iter().partition(|message| matches!(message, Message::Control(_)));
        prop_assert_eq!(heard_control, said_control);
        prop_assert_eq!(heard_streams, streams);
    }

    #[test]
    fn no_bytes_bring_the_decoder_down(frames in vec(vec(any::<u8>(), 0..300), 1..6)) {
        let mut decoder = Decoder::<Down>::default();
        for frame in frames {
            let _ = decoder.push(frame.into());
        }
    }

    #[test]
    fn a_message_with_bytes_changed_is_an_error_or_a_message(
        message in message(),
        places in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut decoder = Decoder::<Up>::default();
        for frame in encode(&message).unwrap() {
            let mut frame = frame.to_vec();
            for (place, byte) in &places {
                let place = place.index(frame.len());
                frame[place] = *byte;
            }
            if let Ok(Some(Message::Events(events))) = decoder.push(frame.into()) {
                prop_assert_eq!(events.iter().count(), events.count as usize);
            }
        }
    }
}

fn control(json: &str) -> Bytes {
    let mut frame = vec![CONTROL];
    frame.extend_from_slice(json.as_bytes());
    frame.into()
}

#[test]
fn what_only_a_later_release_knows_is_passed_over() {
    let mut decoder = Decoder::<Down>::default();
    let later = control(r#"{"kind":"dance","steps":[1,2],"with":{"a":1}}"#);
    assert_eq!(decoder.push(later).unwrap(), None);
    assert_eq!(
        decoder.push(Bytes::from_static(b"\x47anything")).unwrap(),
        None
    );
    let more = control(r#"{"kind":"stop","mode":"drain","because":"of a field of tomorrow"}"#);
    let stop = Down::Stop {
        mode: StopMode::Drain,
    };
    assert_eq!(decoder.push(more).unwrap(), Some(Message::Control(stop)));
    let code: RefusalCode = serde_json::from_str(r#""of-tomorrow""#).unwrap();
    assert_eq!(code, RefusalCode::Other);
}

#[test]
fn what_is_broken_is_an_error_by_its_name() {
    let push = |frame: &[u8]| {
        Decoder::<Up>::default()
            .push(Bytes::copy_from_slice(frame))
            .unwrap_err()
    };
    assert!(matches!(push(b""), DecodeError::Empty));
    assert!(matches!(
        push(&[0; LARGEST_FRAME + 1]),
        DecodeError::FrameTooLong { .. }
    ));
    assert!(matches!(push(b"\0{}"), DecodeError::Json { .. }));
    assert!(matches!(
        push(b"\0{\"kind\":\"accepted\"}"),
        DecodeError::Json { .. }
    ));
    assert!(matches!(push(b"\x01no newline"), DecodeError::Shape(_)));
    let head = br#"{"run":"00000000-0000-0000-0000-000000000000","from_seq":1,"count":2}"#;
    let one = [b"\x01".as_slice(), head, b"\n{}\n"].concat();
    assert_eq!(
        push(&one).to_string(),
        "there are not as many events as their header says"
    );
}

#[test]
fn a_message_in_too_many_pieces_is_refused_before_it_fills_memory() {
    let mut decoder = Decoder::<Up>::default();
    let mut piece = vec![0; LARGEST_FRAME];
    piece[0] = LOG | GOES_ON;
    let piece = Bytes::from(piece);
    let pieces = (0..).take_while(|_| decoder.push(piece.clone()).is_ok());
    assert_eq!(pieces.count(), LARGEST_MESSAGE / (LARGEST_FRAME - 1));
}

#[test]
fn a_lab_of_many_files_goes_over_in_small_frames() {
    let lab = Message::Control(Down::Lab {
        revision: 7,
        name: "lab".into(),
        files: (0..400)
            .map(|number| LabText {
                path: format!("boards/board-{number}.yaml"),
                text: "x: \"é\"\n".repeat(200),
            })
            .collect(),
    });
    let mut decoder = Decoder::default();
    let frames = encode(&lab).unwrap();
    assert!(frames.len() > 8);
    let heard: Vec<_> = frames
        .into_iter()
        .filter_map(|frame| decoder.push(frame).unwrap())
        .collect();
    assert_eq!(heard, [lab]);
}

#[test]
fn the_wire_stays_as_it_is() {
    let run = RunId::from_uuid(Uuid::from_u128(1));
    let welcome = Down::Welcome {
        protocol: 1,
        offline_limit_ms: 120_000,
        heartbeat_ms: 2_000,
        window_bytes: 1 << 20,
        revision: 3,
        runs: vec![RunCursor {
            run,
            events_seq: 4,
            log: None,
        }],
        discard: Vec::new(),
    };
    let frames = encode(&Message::Control(welcome)).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&frames[0]),
        "\0{\"kind\":\"welcome\",\"protocol\":1,\"offline_limit_ms\":120000,\"heartbeat_ms\":2000,\
         \"window_bytes\":1048576,\"revision\":3,\"runs\":[{\"run\":\
         \"00000000-0000-0000-0000-000000000001\",\"events_seq\":4,\"log\":null}],\"discard\":[]}"
    );
    let events = Message::<Up>::Events(Events::new(run, 9, [b"{\"a\":1}".as_slice(), b"{}"]));
    assert_eq!(
        String::from_utf8_lossy(&encode(&events).unwrap()[0]),
        "\u{1}{\"run\":\"00000000-0000-0000-0000-000000000001\",\"from_seq\":9,\"count\":2}\n\
         {\"a\":1}\n{}\n"
    );
}
