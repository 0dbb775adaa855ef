//! What was measured: kernel, evidence, clock.

use basalt_realtime::LatencyRecord;

use crate::histogram::timebase;
use crate::style::{Ink, Style, tame};

/// The kernel line of the image and of the board, the evidence for realtime and the timebase, one
/// a line.
pub fn identity(record: &LatencyRecord, style: Style) -> String {
    let environment = &record.environment;
    let or_unknown = |text: &Option<String>| text.as_deref().map_or("unknown".into(), tame);
    let evidence = record.rt_evidence.to_string();
    let ink = if record.rt_evidence.is_realtime() {
        Ink::Good
    } else {
        Ink::Odd
    };
    let mut text = String::new();
    for (label, value, ink) in [
        (
            "image",
            or_unknown(&environment.image_linux_version),
            Ink::Plain,
        ),
        ("board", or_unknown(&environment.banner), Ink::Plain),
        ("realtime evidence", evidence, ink),
        ("timebase", timebase(record), Ink::Plain),
    ] {
        let label = style.paint(Ink::Faint, &format!("{label:>18}"));
        text.push_str(&format!("{label}  {}\n", style.paint(ink, &value)));
    }
    text
}
