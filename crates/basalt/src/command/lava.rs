//! `basalt lab lava render`: a device of LAVA's as text, without a lab and without a server.

use std::path::Path;

use anyhow::Context;
use basalt_lab::lava::Templates;
use serde_json::{Map, Value};

use crate::arguments::LavaRenderArguments;
use crate::exit::{Exit, refused};
use crate::laboratory::read_text;
use crate::terminal::Terminal;

/// Renders a dictionary or a device type.
pub fn render(arguments: &LavaRenderArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    for directory in &arguments.types {
        if !directory.is_dir() {
            return Err(refused(format!(
                "{} is not a directory",
                directory.display()
            )));
        }
    }
    let context = match &arguments.context {
        Some(context) => variables(context)?,
        None => Map::new(),
    };
    let directories = arguments.types.clone();
    let templates = Templates::new(move |name| {
        // A name that leads out of the directories is no template's, as in LAVA.
        let plain = !name.split('/').any(|part| matches!(part, "" | "." | ".."));
        let mut places = directories.iter().map(|directory| directory.join(name));
        places
            .find(|place| plain && place.is_file())
            .and_then(|place| read_text(&place).ok())
    });
    let rendered = match (&arguments.dictionary, &arguments.device_type) {
        (Some(file), None) => {
            templates.render_text(&file.display().to_string(), &read_text(file)?, &context)
        }
        (None, Some(name)) => {
            let name = name.strip_suffix(".jinja2").unwrap_or(name);
            templates.render(&format!("{name}.jinja2"), &context)
        }
        _ => {
            return Err(refused(
                "name either a device type or a --dictionary".to_owned(),
            ));
        }
    };
    match rendered {
        Ok(text) => {
            terminal.write(&text);
            Ok(Exit::DONE)
        }
        Err(error) => {
            terminal.note_raw(&format!("error: {error}\n"));
            Ok(Exit::NO)
        }
    }
}

/// A JSON object, written out or in a file.
fn variables(context: &str) -> anyhow::Result<Map<String, Value>> {
    let text = match context.trim_start().starts_with('{') {
        true => context.to_owned(),
        false => read_text(Path::new(context))?,
    };
    serde_json::from_str(&text).context("--context must be a JSON object of variables")
}
