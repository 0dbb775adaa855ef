//! LAVA's device types and device dictionaries, used as they are (`lava: DIR` in `lab.yaml`).
//!
//! A dictionary is a template that extends a device type; rendered, both together are a device in
//! YAML. From that come the same values that a board's file and its type give: [`crate::read()`]
//! treats both alike, so that outlets, ports and names are checked over both.
//!
//! Host commands are taken from a rendering without a job's context (decision D21). A command of a
//! tool that Basalt can be itself becomes a driver (`tools`), any other is run as it is, without a
//! shell.
//!
//! Not done here: opening files, tags (LAVA keeps them in its database), and devices that have no
//! serial console or no power command: they are refused by name.

mod board;
mod device;
mod tools;
mod words;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use basalt_jinja::{Engine as Templates, RenderError};
use basalt_yaml::Diagnostics;
use serde_json::{Map, Value as Json};

use crate::file::{FileKind, LabFile};
use crate::profile::BoardProfile;

pub(crate) use board::read;

/// The templates of a LAVA lab, each compiled once, when it is first used.
#[derive(Debug)]
pub struct Library {
    engine: Templates,
    dictionaries: BTreeMap<String, LabFile>,
    profiles: Mutex<Profiles>,
}

/// Profiles that have been asked for, by board and context.
type Profiles = HashMap<(String, String), Arc<BoardProfile>>;

/// No more profiles are kept: a lab's boards with some contexts each.
const KEPT: usize = 10_000;

impl Library {
    /// Takes those of `files` that are LAVA's ([`FileKind::LavaType`], [`FileKind::LavaDevice`]).
    pub fn new(files: &[LabFile]) -> Self {
        let mut texts = BTreeMap::new();
        let mut dictionaries = BTreeMap::new();
        for file in files {
            let name = file
                .path
                .rsplit('/')
                .next()
                .unwrap_or(&file.path)
                .to_owned();
            match FileKind::of(&file.path) {
                Some(FileKind::LavaDevice) => {
                    // LAVA looks among the dictionaries first.
                    texts.insert(name.clone(), file.text.clone());
                    let board = name.strip_suffix(".jinja2").unwrap_or(&name).to_owned();
                    dictionaries.insert(board, file.clone());
                }
                Some(FileKind::LavaType) => {
                    texts.entry(name).or_insert_with(|| file.text.clone());
                }
                _ => {}
            }
        }
        let texts = Arc::new(texts);
        Self {
            engine: Templates::new(move |name| texts.get(name).cloned()),
            dictionaries,
            profiles: Mutex::default(),
        }
    }

    /// The names of the boards that have a dictionary, sorted.
    pub fn boards(&self) -> impl Iterator<Item = &str> {
        self.dictionaries.keys().map(String::as_str)
    }

    /// The device of a board in YAML, byte for byte as LAVA renders it with these variables.
    ///
    /// # Errors
    /// As [`basalt_jinja::Engine::render`].
    pub fn render(&self, board: &str, context: &Map<String, Json>) -> Result<String, RenderError> {
        self.engine.render(&format!("{board}.jinja2"), context)
    }

    /// A board's profile as a job with this context sees it: everything but the ways to power and
    /// console, and host commands, may depend on the context (decision D21). `None` where there is
    /// an error; its place is in the dictionary.
    pub fn profile(
        &self,
        board: &str,
        context: &Map<String, Json>,
        diagnostics: &mut Diagnostics,
    ) -> Option<BoardProfile> {
        let key = (board.to_owned(), Json::Object(context.clone()).to_string());
        if let Some(known) = self.profiles().get(&key) {
            return Some(BoardProfile::clone(known));
        }
        let file = board::board(self, board, context, &[], &mut Vec::new(), diagnostics)?;
        let profile = crate::read::profile(file, diagnostics)?;
        let mut profiles = self.profiles();
        if profiles.len() >= KEPT {
            profiles.clear();
        }
        profiles.insert(key, Arc::new(profile.clone()));
        Some(profile)
    }

    fn profiles(&self) -> MutexGuard<'_, Profiles> {
        // What is in it is whole, whoever panicked beside it.
        self.profiles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The dictionary's file.
    fn dictionary(&self, board: &str) -> Option<&LabFile> {
        self.dictionaries.get(board)
    }
}

/// The templates that a template extends, includes or imports by name, in their order.
pub fn references(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for tag in text.split("{%").skip(1) {
        let tag = tag.split("%}").next().unwrap_or_default();
        let tag = tag.trim_start_matches(['-', '+']).trim_start();
        if !["extends", "include", "import", "from"]
            .iter()
            .any(|word| tag.starts_with(word))
        {
            continue;
        }
        let mut parts = tag.split(['\'', '"']);
        while let (Some(_), Some(name)) = (parts.next(), parts.next()) {
            found.push(name.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_named_in_a_template_are_found() {
        let text = "{%- extends 'base.jinja2' %}{% set x = 'include' %}\
                    {% include [\"a.jinja2\", 'b.jinja2'] %}{% from 'm' import x %}";
        assert_eq!(
            references(text),
            ["base.jinja2", "a.jinja2", "b.jinja2", "m"]
        );
    }
}
