//! How long a LAVA dictionary takes to become a profile: the side of Basalt in `cargo xtask bench`.
//!
//! Takes a directory with `devices/` and `device-types/` and prints, as JSON, the seconds of each
//! board with templates compiled: `new` for a context that is rendered (the host's commands beside
//! it without context, so twice), `known` for one that was seen before.

use std::path::Path;
use std::time::Instant;

use basalt_lab::lava::Library;
use basalt_lab::{FileKind, LabFile};
use basalt_yaml::Diagnostics;
use serde_json::{Map, Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("name a directory")?;
    let mut files = Vec::new();
    for (name, _) in FileKind::LAVA_DIRECTORIES {
        for entry in std::fs::read_dir(Path::new(&directory).join(name))? {
            let path = entry?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            files.push(LabFile {
                path: format!("{}/{name}/{file}", FileKind::LAVA),
                text: std::fs::read_to_string(&path)?,
            });
        }
    }
    let library = Library::new(&files);
    let boards: Vec<String> = library.boards().map(str::to_owned).collect();
    let context = Map::new();
    // Compiles the templates.
    profiles(&library, &boards, &context)?;
    let mut other = context.clone();
    other.insert("not_a_variable".to_owned(), json!(1));
    // A context that nobody had before is rendered; one that is known is not.
    let new = profiles(&library, &boards, &other)?;
    let known = profiles(&library, &boards, &other)?;
    println!("{}", json!({ "new": new, "known": known }));
    Ok(())
}

type Failure = Box<dyn std::error::Error>;

/// The seconds of each board.
fn profiles(
    library: &Library,
    boards: &[String],
    context: &Map<String, Value>,
) -> Result<Vec<f64>, Failure> {
    let mut seconds = Vec::new();
    for board in boards {
        let started = Instant::now();
        let mut diagnostics = Diagnostics::new();
        if library.profile(board, context, &mut diagnostics).is_none() {
            let why = diagnostics.iter().next().map(|one| one.message.clone());
            return Err(format!("{board}: {}", why.unwrap_or_default()).into());
        }
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(seconds)
}
