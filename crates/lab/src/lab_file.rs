//! `lab.yaml`: the lab's name and its default dispatcher.

use basalt_yaml::{Diagnostics, MapReader, Node, Unknown};

use crate::dispatcher::{self, DispatcherFile};
use crate::scalar;

/// The lab's name and dispatcher, each as far as it could be read.
#[derive(Default)]
pub(crate) struct LabHead {
    pub name: Option<String>,
    pub dispatcher: Option<DispatcherFile>,
}

pub(crate) fn read(node: &Node, diagnostics: &mut Diagnostics) -> LabHead {
    let Some(mut reader) = MapReader::new(node, "the lab", diagnostics) else {
        return LabHead::default();
    };
    reader.version(&[1]);
    let name = scalar::lab_name(reader.required("name"));
    let place = reader.key_span("dispatcher");
    let dispatcher = reader
        .required("dispatcher")
        .map("`dispatcher`")
        .and_then(|reader| dispatcher::read_default(reader, place));
    // Whoever opens files has followed it: LAVA's files are among the lab's by now.
    let _ = reader.optional("lava").text();
    reader.finish(Unknown::Error);
    LabHead { name, dispatcher }
}
