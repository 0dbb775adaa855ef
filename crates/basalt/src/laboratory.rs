//! Files of labs and jobs: read from disk, handed to the pure readers, their mistakes shown.

use std::path::{Path, PathBuf};

use anyhow::Context;
use basalt_console::KeptConsole;
use basalt_job::JobDefinition;
use basalt_lab::profile::BoardProfile;
use basalt_lab::{FileKind, Lab, LabFile};
use basalt_model::Sha256;
use basalt_plan::Plan;
use basalt_yaml::{Diagnostics, Source};
use sha2::Digest;

use crate::exit::refused;
use crate::terminal::Terminal;

/// No job and no file of a lab is larger; what is, is another kind of file.
const LARGEST_FILE: u64 = basalt_yaml::MAX_BYTES as u64 + 1;

/// Where LAVA's packages put device types.
const LAVA_TYPES: &str = "/usr/share/lava-server/device-types";

/// Texts that were read, and what is wrong in them.
#[derive(Debug, Default)]
pub struct Reading {
    /// Every text by the name that diagnostics call it by.
    pub sources: Vec<Source>,
    /// What is wrong.
    pub diagnostics: Diagnostics,
}

/// A job's file.
#[derive(Debug)]
pub struct Job {
    /// The text as it is.
    pub text: String,
    /// SHA-256 of the text.
    pub sha256: Sha256,
    /// What it says.
    pub definition: JobDefinition,
}

impl Reading {
    /// Reads a lab's directory. `None` if its files have mistakes.
    ///
    /// # Errors
    /// The directory or a file in it cannot be read.
    pub fn lab(&mut self, directory: &Path) -> anyhow::Result<Option<Lab>> {
        let (files, passed_over) = lab_files(directory)?;
        let builtin = basalt_lab::builtin::types();
        self.sources
            .extend(files.iter().chain(&builtin).map(|file| Source {
                name: file.path.clone(),
                text: file.text.clone(),
            }));
        for PassedOver { path, meant } in passed_over {
            self.diagnostics.enter_file(&path);
            let place = self.diagnostics.whole_file();
            self.diagnostics
                .warning(place, "this is not read")
                .with_hint(format!("name it `{meant}` if it is part of the lab"));
        }
        Ok(basalt_lab::read(&files, &builtin, &mut self.diagnostics))
    }

    /// Reads a job's file. `None` if it has mistakes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn job(&mut self, path: &Path) -> anyhow::Result<Option<Job>> {
        self.job_with(path, &basalt_job::Options::default())
    }

    /// The same in another reading.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn job_with(
        &mut self,
        path: &Path,
        options: &basalt_job::Options,
    ) -> anyhow::Result<Option<Job>> {
        let text = read_text(path)?;
        let name = path.display().to_string();
        self.sources.push(Source {
            name: name.clone(),
            text: text.clone(),
        });
        let definition = basalt_job::read_with(&name, &text, options, &mut self.diagnostics);
        Ok(definition.map(|definition| Job {
            sha256: Sha256(sha2::Sha256::digest(text.as_bytes()).into()),
            text,
            definition,
        }))
    }

    /// Plans a job against a board; `None` if it cannot run there.
    pub fn plan(&mut self, job: &Job, lab: &Lab, board: &BoardProfile) -> Option<Plan> {
        basalt_plan::plan(
            &job.definition,
            job.sha256,
            board,
            lab.relay_of(board),
            lab.dispatcher_of(board),
            &mut self.diagnostics,
        )
    }

    /// Everything that is wrong, for a terminal.
    pub fn render(&self, color: bool) -> String {
        self.diagnostics.render(&self.sources, color)
    }

    /// Shows what is wrong on standard error, warnings too; an error if anything is refused.
    pub fn settle(&self, terminal: &Terminal) -> anyhow::Result<()> {
        if !self.diagnostics.is_empty() {
            terminal.note_raw(&self.render(terminal.error_color));
        }
        if self.diagnostics.has_errors() {
            return Err(refused(format!("{}; nothing was touched", self.count())));
        }
        Ok(())
    }

    /// `5 errors and 1 warning`.
    pub fn count(&self) -> String {
        let errors = self.diagnostics.error_count();
        let warnings = self.diagnostics.len() - errors.min(self.diagnostics.len());
        let noun = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            _ => format!("{count} {word}s"),
        };
        match (errors, warnings) {
            (0, 0) => "no mistakes".into(),
            (0, warnings) => noun(warnings, "warning"),
            (errors, 0) => noun(errors, "error"),
            (errors, warnings) => {
                format!(
                    "{} and {}",
                    noun(errors, "error"),
                    noun(warnings, "warning")
                )
            }
        }
    }
}

/// A lab that is right, and its files, for whoever hands them on. What is not the lab's own (the
/// types that come with the program) is not among them.
pub fn open_with_files(
    directory: &Path,
    terminal: &Terminal,
) -> anyhow::Result<(Lab, Vec<LabFile>)> {
    let mut reading = Reading::default();
    let lab = reading.lab(directory)?;
    reading.settle(terminal)?;
    let lab = lab.context("the lab has no mistakes and cannot be read")?;
    let names: Vec<String> = lab_files(directory)?
        .0
        .into_iter()
        .map(|file| file.path)
        .collect();
    // The texts that were found right, whatever the files say by now.
    let files = reading.sources.into_iter().filter_map(|source| {
        names.contains(&source.name).then_some(LabFile {
            path: source.name,
            text: source.text,
        })
    });
    Ok((lab, files.collect()))
}

/// Reads a lab for a verb that needs it right: mistakes are shown, and are an error.
pub fn open(directory: &Path, terminal: &Terminal) -> anyhow::Result<Lab> {
    let mut reading = Reading::default();
    let lab = reading.lab(directory)?;
    reading.settle(terminal)?;
    // Without errors there is a lab; whoever breaks that promise is told so.
    lab.context("the lab has no mistakes and cannot be read")
}

/// The board of this name, or which ones there are.
pub fn board<'l>(lab: &'l Lab, name: &str) -> anyhow::Result<&'l BoardProfile> {
    if let Some(board) = lab.boards.iter().find(|board| board.name.as_str() == name) {
        return Ok(board);
    }
    let names: Vec<&str> = lab.boards.iter().map(|board| board.name.as_str()).collect();
    let hint = match basalt_yaml::closest(name, names.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None if names.is_empty() => "it has none".to_owned(),
        None => format!("it has {}", names.join(", ")),
    };
    Err(refused(format!(
        "the lab `{}` has no board `{name}`; {hint}",
        lab.name
    )))
}

/// A board's console as the keeper knows it.
pub fn kept_console(board: &BoardProfile) -> KeptConsole {
    KeptConsole {
        name: board.name.to_string(),
        source: board.console.source.clone(),
    }
}

/// Something in a lab's directory that is not read and was probably meant to be.
struct PassedOver {
    /// Where it is, below the lab's directory.
    path: String,
    /// Where it would be read.
    meant: String,
}

/// The texts of a lab's files, as a server keeps them.
pub fn texts(directory: &Path) -> anyhow::Result<Vec<LabFile>> {
    Ok(lab_files(directory)?.0)
}

/// The lab's files, and what lies beside them.
fn lab_files(directory: &Path) -> anyhow::Result<(Vec<LabFile>, Vec<PassedOver>)> {
    if !directory.is_dir() {
        return Err(refused(format!(
            "{} is not a directory",
            directory.display()
        )));
    }
    let mut files = Vec::new();
    let mut passed_over = Vec::new();
    let directories = FileKind::DIRECTORIES.map(|(name, _)| name);
    for (name, path) in entries(directory)? {
        if name == FileKind::LAB {
            files.push(LabFile {
                text: read_text(&path)?,
                path: name,
            });
        } else if name == "lab.yml" {
            passed_over.push(PassedOver {
                path: name,
                meant: FileKind::LAB.to_owned(),
            });
        } else if directories.contains(&name.as_str()) {
            for (file, path) in entries(&path)? {
                let below = format!("{name}/{file}");
                if FileKind::of(&below).is_some() {
                    files.push(LabFile {
                        text: read_text(&path)?,
                        path: below,
                    });
                } else if let Some(stem) = below.strip_suffix(".yml") {
                    let meant = format!("{stem}.yaml");
                    passed_over.push(PassedOver { path: below, meant });
                }
            }
        } else if path.is_dir() {
            let alike = name.replace('_', "-");
            if let Some(meant) = basalt_yaml::closest(&alike, directories) {
                passed_over.push(PassedOver {
                    path: format!("{name}/"),
                    meant: format!("{meant}/"),
                });
            }
        }
    }
    files.extend(lava_files(directory, &files)?);
    Ok((files, passed_over))
}

/// Where `lava:` of a lab's own file leads, if it has one: a directory with `devices/` and, unless
/// LAVA's own are installed here, `device-types/`.
fn lava_directory(directory: &Path, files: &[LabFile]) -> Option<PathBuf> {
    let head = files.iter().find(|file| file.path == FileKind::LAB)?;
    let node = basalt_yaml::parse_own_file(&head.path, &head.text, &mut Diagnostics::new())?;
    let named = node.get(FileKind::LAVA)?.source_text()?.to_owned();
    Some(directory.join(named))
}

/// LAVA's files: every dictionary, and the device types that these need.
fn lava_files(directory: &Path, files: &[LabFile]) -> anyhow::Result<Vec<LabFile>> {
    let Some(place) = lava_directory(directory, files) else {
        return Ok(Vec::new());
    };
    let [(devices, _), (types, _)] = FileKind::LAVA_DIRECTORIES;
    let mut found = Vec::new();
    let mut wanted = Vec::new();
    for (name, path) in entries(&place.join(devices))? {
        let below = format!("{}/{devices}/{name}", FileKind::LAVA);
        if FileKind::of(&below).is_some() {
            let text = read_text(&path)?;
            wanted.extend(basalt_lab::lava::references(&text));
            found.push(LabFile { path: below, text });
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    while let Some(name) = wanted.pop() {
        let below = format!("{}/{types}/{name}", FileKind::LAVA);
        if FileKind::of(&below).is_none() || !seen.insert(name.clone()) {
            continue;
        }
        let places = [
            place.join(types).join(&name),
            Path::new(LAVA_TYPES).join(&name),
        ];
        if let Some(path) = places.iter().find(|path| path.is_file()) {
            let text = read_text(path)?;
            wanted.extend(basalt_lab::lava::references(&text));
            found.push(LabFile { path: below, text });
        }
    }
    Ok(found)
}

/// What is in a directory: names and paths, sorted.
fn entries(directory: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let failed = || format!("cannot read {}", directory.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        found.push((name, entry.path()));
    }
    found.sort();
    Ok(found)
}

/// Reads a text; what is not UTF-8 or far too large is refused by its name.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    use std::io::Read;
    let name = || path.display();
    let file = std::fs::File::open(path)
        .map_err(|error| refused(format!("cannot read {}: {error}", name())))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE)
        .read_to_end(&mut bytes)
        .map_err(|error| refused(format!("cannot read {}: {error}", name())))?;
    let mut diagnostics = Diagnostics::new();
    match basalt_yaml::decode(&bytes, &mut diagnostics) {
        Some(text) => Ok(text.into_owned()),
        None => {
            let why = diagnostics.iter().next().map(|one| match one.span.line {
                0 => one.message.clone(),
                line => format!("line {line}, column {}: {}", one.span.column, one.message),
            });
            let why = why.unwrap_or_default();
            Err(refused(format!("cannot read {}: {why}", name())))
        }
    }
}

/// A path that holds wherever the program is started.
pub fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path)
        .with_context(|| format!("cannot find out where {} is", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_lab_is_read_and_its_devices_are_no_place_for_artifacts() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lab-config/virtual");
        let mut reading = Reading::default();
        let lab = reading.lab(&directory).unwrap().unwrap();
        assert_eq!(reading.count(), "no mistakes");
        assert_eq!(
            basalt_runner::forbidden_hosts(&lab.relays, &lab.boards),
            ["10.77.0.1"]
        );
        let error = board(&lab, "qemu-11").unwrap_err();
        assert!(
            error.to_string().contains("did you mean `qemu-1`?"),
            "{error}"
        );
    }
}
