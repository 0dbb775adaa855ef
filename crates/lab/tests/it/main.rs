//! Whole labs, read from texts.

mod differences;
mod dispatchers;
mod inheritance;
mod lava;
mod mistakes;
mod shipped;

use basalt_lab::{Lab, LabFile, builtin, read};
use basalt_yaml::{Diagnostics, Source};

/// A lab of one relay and no board, to be added to.
const LAB: &str = "\
version: 1
name: test
dispatcher: {address: 10.77.0.1}
";
const RELAY: &str = "\
version: 1
name: rack
driver: tasmota
url: http://10.77.0.1:8081
";

fn file(path: &str, text: &str) -> LabFile {
    LabFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

/// A good board of the simulated type, number 1 to 9.
fn board(number: u8) -> String {
    format!(
        "\
version: 1
name: sim-{number}
type: simulated
power: {{relay: rack, outlet: {number}}}
console: {{tcp: 10.77.0.1:700{number}}}
network: {{mac: 52:54:00:77:00:0{number}, address: 10.77.0.1{number}/24}}
"
    )
}

fn read_with_builtin(files: &[LabFile]) -> (Option<Lab>, String) {
    let builtin = builtin::types();
    let mut diagnostics = Diagnostics::new();
    let lab = read(files, &builtin, &mut diagnostics);
    let sources: Vec<Source> = files
        .iter()
        .chain(&builtin)
        .map(|file| Source {
            name: file.path.clone(),
            text: file.text.clone(),
        })
        .collect();
    (lab, diagnostics.render(&sources, false))
}

/// The lab, which must have no mistakes.
fn good(files: &[LabFile]) -> Lab {
    let (lab, rendered) = read_with_builtin(files);
    assert_eq!(rendered, "");
    lab.unwrap()
}

/// `FILE:LINE:COLUMN: message (hint)` of each diagnostic of a lab that must be refused.
fn refused(files: &[LabFile]) -> Vec<String> {
    let mut diagnostics = Diagnostics::new();
    let lab = read(files, &builtin::types(), &mut diagnostics);
    assert_eq!(lab, None);
    lines(&diagnostics)
}

fn lines(diagnostics: &Diagnostics) -> Vec<String> {
    diagnostics
        .sorted()
        .into_iter()
        .map(|diagnostic| {
            let file = diagnostics.file_name(diagnostic.span.source).unwrap();
            let (line, column) = (diagnostic.span.line, diagnostic.span.column);
            let hint = diagnostic.hint.as_deref().unwrap_or("-");
            format!("{file}:{line}:{column}: {} ({hint})", diagnostic.message)
        })
        .collect()
}
