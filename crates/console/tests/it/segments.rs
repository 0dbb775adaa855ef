//! The files alone.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use basalt_console::layout::console_dir;
use basalt_console::segment::{
    Body, ChunkBody, DEFAULT_SEGMENT_BYTES, GapRecord, InputRecord, Record, SegmentReader,
    SegmentWriter, SourceRecord, end_offset, export,
};
use basalt_model::{BootNanos, Stamp, UtcMicros};
use proptest::prelude::*;

use crate::board::{bytes_of, everything, gaps_of};

fn stamp(utc: i64) -> Stamp {
    Stamp {
        utc: UtcMicros(utc),
        boot: BootNanos(utc as u64 * 1000),
    }
}

fn writer(state_dir: &Path, limit: u64) -> SegmentWriter {
    SegmentWriter::open(&console_dir(state_dir, "a"), limit)
        .unwrap()
        .0
}

fn only_segment(state_dir: &Path) -> PathBuf {
    console_dir(state_dir, "a").join("00000000000000000000.seg")
}

fn input(utc: i64) -> Record {
    Record {
        stamp: stamp(utc),
        body: Body::Input(InputRecord {
            writer: "run 7".into(),
            bytes: (&[0u8, 255, b'\n'][..]).into(),
        }),
    }
}

#[test]
fn a_tail_torn_at_any_byte_of_the_last_record_is_cut_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = only_segment(dir.path());
    let mut first = writer(dir.path(), DEFAULT_SEGMENT_BYTES);
    first.append_data(stamp(1), b"whole \x00\xff").unwrap();
    first.append(&input(2)).unwrap();
    let kept = std::fs::metadata(&path).unwrap().len();
    first.append_data(stamp(3), b"torn record").unwrap();
    drop(first);
    let bytes = std::fs::read(&path).unwrap();
    let before = everything(dir.path(), "a")[..2].to_vec();

    for length in kept..bytes.len() as u64 {
        std::fs::write(&path, &bytes[..length as usize]).unwrap();
        assert_eq!(everything(dir.path(), "a"), before, "cut at {length}");
        let (mut writer, recovered) =
            SegmentWriter::open(&console_dir(dir.path(), "a"), DEFAULT_SEGMENT_BYTES).unwrap();
        assert_eq!(recovered.cut, length - kept);
        assert_eq!(recovered.last, Some(stamp(2)));
        assert_eq!(writer.end(), 8);
        writer.append_data(stamp(4), b"next").unwrap();
        assert_eq!(
            bytes_of(&everything(dir.path(), "a")),
            b"whole \x00\xffnext"
        );
    }
}

#[test]
fn any_flipped_bit_in_the_last_record_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = only_segment(dir.path());
    let mut first = writer(dir.path(), DEFAULT_SEGMENT_BYTES);
    first.append_data(stamp(1), b"good").unwrap();
    let kept = std::fs::metadata(&path).unwrap().len() as usize;
    first.append_data(stamp(2), b"bad").unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for at in kept..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).unwrap();
        assert_eq!(bytes_of(&everything(dir.path(), "a")), b"good", "byte {at}");
    }
}

#[test]
fn a_segment_cut_in_its_header_begins_again_and_the_time_before_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = writer(dir.path(), 100);
    first.append_data(stamp(1), &[b'x'; 90]).unwrap();
    first.append_data(stamp(2), b"y").unwrap();
    drop(first);
    let second = console_dir(dir.path(), "a").join("00000000000000000090.seg");
    for length in 0..16 {
        std::fs::write(&second, vec![b'B'; length]).unwrap();
        let (writer, recovered) = SegmentWriter::open(&console_dir(dir.path(), "a"), 100).unwrap();
        assert_eq!((writer.end(), recovered.last), (90, Some(stamp(1))));
        assert_eq!(end_offset(dir.path(), "a").unwrap(), 90);
    }
}

#[test]
fn another_format_or_version_is_not_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    drop(writer(dir.path(), 100));
    let path = only_segment(dir.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 2;
    std::fs::write(&path, &bytes).unwrap();
    let error = SegmentWriter::open(&console_dir(dir.path(), "a"), 100).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        source.to_string(),
        "console segment of version 2; this build reads up to 1"
    );
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn segments_rotate_at_their_size_and_a_reader_follows_while_they_grow() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), 200);
    let mut reader = SegmentReader::open(&console_dir(dir.path(), "a"), 0);
    let mut expected = Vec::new();
    let mut read = Vec::new();
    for index in 0..100u8 {
        let piece = vec![index; usize::from(index) % 40];
        writer.append_data(stamp(1), &piece).unwrap();
        writer.append(&input(2)).unwrap();
        expected.extend_from_slice(&piece);
        if index % 3 == 0 {
            while let Some(chunk) = reader.next_chunk().unwrap() {
                read.push(chunk);
            }
            assert_eq!(reader.offset(), writer.end());
        }
    }
    assert_eq!(bytes_of(&read), expected);
    let files = std::fs::read_dir(console_dir(dir.path(), "a")).unwrap();
    assert!(files.count() > 10);
    assert_eq!(everything(dir.path(), "a"), read);

    // Any place can be the first.
    for from in [0, 1, 100, 777, expected.len() as u64] {
        let mut part = Vec::new();
        let to = (from + 333).min(expected.len() as u64);
        let exported = export(dir.path(), "a", from, to, &mut part).unwrap();
        assert_eq!(part, expected[from as usize..to as usize], "from {from}");
        assert_eq!(exported.bytes, part.len() as u64);
    }
}

#[test]
fn what_was_removed_or_damaged_before_the_newest_segment_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), 150);
    for index in 0..3u8 {
        writer.append_data(stamp(1), &[index; 100]).unwrap();
    }
    let middle = console_dir(dir.path(), "a").join("00000000000000000100.seg");
    let mut bytes = std::fs::read(&middle).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&middle, bytes).unwrap();
    let chunks = everything(dir.path(), "a");
    assert_eq!(
        gaps_of(&chunks),
        [(
            200,
            "100 bytes of the console are damaged or no longer kept".to_owned()
        )]
    );
    assert_eq!(bytes_of(&chunks).len(), 200);

    std::fs::remove_file(only_segment(dir.path())).unwrap();
    assert_eq!(bytes_of(&everything(dir.path(), "a")), [2; 100]);
}

#[test]
fn a_sync_is_counted_and_nothing_is_synced_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = writer(dir.path(), 1000);
    let fsyncs = AtomicU64::new(0);
    writer.take_unsynced().sync(&fsyncs).unwrap();
    assert!(!writer.dirty());
    let before = fsyncs.load(std::sync::atomic::Ordering::Relaxed);
    writer.append_data(stamp(1), b"a").unwrap();
    writer.append_data(stamp(1), b"b").unwrap();
    let synced = writer.take_unsynced();
    assert_eq!(synced.end, 2);
    synced.sync(&fsyncs).unwrap();
    assert_eq!(
        fsyncs.load(std::sync::atomic::Ordering::Relaxed),
        before + 1
    );
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| Body::Data(bytes.into())),
        (".{0,20}", any::<i64>(), any::<i64>()).prop_map(|(reason, from, to)| {
            Body::Gap(GapRecord {
                reason,
                from: UtcMicros(from),
                to: UtcMicros(to),
            })
        }),
        (any::<bool>(), ".{0,20}")
            .prop_map(|(open, reason)| Body::Source(SourceRecord { open, reason })),
        (".{0,20}", proptest::collection::vec(any::<u8>(), 0..50)).prop_map(|(writer, bytes)| {
            Body::Input(InputRecord {
                writer,
                bytes: bytes.into(),
            })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn records_survive_their_files(
        bodies in proptest::collection::vec((body(), any::<i64>()), 1..30),
        limit in 20u64..2000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path(), limit);
        for (body, utc) in &bodies {
            let stamp = Stamp { utc: UtcMicros(*utc), boot: BootNanos(5) };
            writer.append(&Record { stamp, body: body.clone() }).unwrap();
        }
        let read: Vec<(Body, i64)> = everything(dir.path(), "a")
            .into_iter()
            .map(|chunk| {
                let body = match chunk.body {
                    ChunkBody::Data(bytes) => Body::Data(bytes),
                    ChunkBody::Gap(gap) => Body::Gap(gap),
                    ChunkBody::Source(source) => Body::Source(source),
                    ChunkBody::Input(input) => Body::Input(input),
                };
                (body, chunk.stamp.utc.0)
            })
            .collect();
        // Data without bytes says nothing and is not given.
        let expected: Vec<(Body, i64)> = bodies
            .into_iter()
            .filter(|(body, _)| !matches!(body, Body::Data(bytes) if bytes.is_empty()))
            .collect();
        prop_assert_eq!(read, expected);
    }
}
