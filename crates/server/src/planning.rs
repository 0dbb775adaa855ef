//! Jobs against boards: what is wrong with a job, which boards can run it, and the plan for one.
//!
//! A job is planned once for each distinct kind of board: what makes boards of one kind alike is
//! everything in their files except their own names and addresses. What was found is kept by (job,
//! kind), so that the thousandth submission of the same text costs a look-up.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use basalt_api::Diagnostic;
use basalt_job::JobDefinition;
use basalt_lab::Lab;
use basalt_lab::profile::BoardProfile;
use basalt_model::{BoardName, Sha256};
use basalt_plan::Plan;
use basalt_yaml::{Diagnostics, Severity, Span};
use sha2::Digest;

/// How diagnostics call a job that came without a file's name.
pub const JOB_NAME: &str = "job.yaml";

const JOBS_KEPT: usize = 256;
const KINDS_KEPT: usize = 4096;

/// A job's text that was read.
#[derive(Debug)]
pub struct ReadJob {
    /// SHA-256 of the text.
    pub sha256: Sha256,
    /// What it asks for; `None` if it has mistakes.
    pub definition: Option<JobDefinition>,
    /// What is wrong with it, warnings too.
    pub mistakes: Vec<Diagnostic>,
    diagnostics: Diagnostics,
}

/// Whether a board can run a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The board.
    pub board: BoardName,
    /// Why not, where it cannot: the first reason in words.
    pub unsuitable: Option<String>,
}

/// A job against all boards of a lab.
#[derive(Clone, Debug)]
pub struct Suited {
    /// The boards that the job asks for by type, name and tags, in the order of their names.
    pub candidates: Vec<Candidate>,
    /// What is wrong with the job, everything together. With errors in it, it cannot run in this
    /// lab.
    pub mistakes: Vec<Diagnostic>,
}

impl Suited {
    /// Whether the job can run on any board.
    pub fn is_valid(&self) -> bool {
        !self.mistakes.iter().any(is_error)
    }
}

/// Reads and plans, and keeps what it found.
#[derive(Debug, Default)]
pub struct Planning {
    jobs: Mutex<Recent<Sha256, Arc<ReadJob>>>,
    kinds: Mutex<Recent<(Sha256, Sha256), Arc<Judgement>>>,
}

/// What planning said about one kind of board.
#[derive(Debug)]
struct Judgement {
    /// The board of this kind that was planned for: some messages name it.
    board: BoardName,
    mistakes: Vec<Diagnostic>,
}

impl Judgement {
    /// The same about another board of this kind.
    fn of(&self, board: &BoardName) -> Vec<Diagnostic> {
        let (from, to) = (format!("`{}`", self.board), format!("`{board}`"));
        let mut mistakes = self.mistakes.clone();
        if self.board != *board {
            for mistake in &mut mistakes {
                mistake.message = mistake.message.replace(&from, &to);
            }
        }
        mistakes
    }
}

impl Planning {
    /// Reads a job.
    pub fn read(&self, text: &str) -> Arc<ReadJob> {
        let sha256 = Sha256(sha2::Sha256::digest(text.as_bytes()).into());
        if let Some(known) = lock(&self.jobs).get(&sha256) {
            return known;
        }
        let mut diagnostics = Diagnostics::for_file(JOB_NAME);
        let definition = basalt_job::read(JOB_NAME, text, &mut diagnostics);
        let read = Arc::new(ReadJob {
            sha256,
            definition,
            mistakes: mistakes(&diagnostics),
            diagnostics,
        });
        lock(&self.jobs).put(sha256, read.clone(), JOBS_KEPT);
        read
    }

    /// Holds a job against every board of a lab.
    pub fn suit(&self, job: &ReadJob, lab: &Lab) -> Suited {
        let Some(definition) = &job.definition else {
            return Suited {
                candidates: Vec::new(),
                mistakes: job.mistakes.clone(),
            };
        };
        let mut found = job.mistakes.clone();
        let mut candidates = Vec::new();
        let mut refusals: Vec<Diagnostic> = Vec::new();
        for board in wanted(definition, lab) {
            let of_kind = self.kind(job, definition, lab, board);
            let own = of_kind.of(&board.name);
            let first = own.iter().find(|mistake| is_error(mistake));
            candidates.push(Candidate {
                board: board.name.clone(),
                unsuitable: first.map(|mistake| mistake.message.clone()),
            });
            // One complaint a kind, whatever board it names.
            for mistake in &of_kind.mistakes {
                if !refusals.contains(mistake) && !found.contains(mistake) {
                    refusals.push(mistake.clone());
                }
            }
        }
        let runs_somewhere = candidates.iter().any(|one| one.unsuitable.is_none());
        if candidates.is_empty() {
            found.extend(nobody_wanted(definition, lab, job));
        } else {
            // What one kind of board refuses is no mistake where another runs the job.
            found.extend(
                refusals
                    .into_iter()
                    .filter(|mistake| !(is_error(mistake) && runs_somewhere)),
            );
        }
        Suited {
            candidates,
            mistakes: found,
        }
    }

    fn kind(
        &self,
        job: &ReadJob,
        definition: &JobDefinition,
        lab: &Lab,
        board: &BoardProfile,
    ) -> Arc<Judgement> {
        let key = (job.sha256, kind_of(lab, board));
        if let Some(known) = lock(&self.kinds).get(&key) {
            return known;
        }
        let mut diagnostics = Diagnostics::for_file(JOB_NAME);
        let _ = basalt_plan::plan(
            definition,
            job.sha256,
            board,
            lab.relay_of(board),
            lab.dispatcher_of(board),
            &mut diagnostics,
        );
        let found = Arc::new(Judgement {
            board: board.name.clone(),
            mistakes: mistakes(&diagnostics),
        });
        lock(&self.kinds).put(key, found.clone(), KINDS_KEPT);
        found
    }

    /// Plans a job for one board.
    ///
    /// # Errors
    /// Why it cannot run there: the first reason in words.
    pub fn plan(&self, text: &str, lab: &Lab, board: &BoardName) -> Result<Plan, String> {
        let job = self.read(text);
        let first = |mistakes: &[Diagnostic]| {
            mistakes
                .iter()
                .find(|mistake| is_error(mistake))
                .map_or_else(
                    || "the plan was refused".to_owned(),
                    |one| one.message.clone(),
                )
        };
        let Some(definition) = &job.definition else {
            return Err(first(&job.mistakes));
        };
        let Some(board) = lab.board(board) else {
            return Err(format!("the lab has no board `{board}`"));
        };
        let mut diagnostics = Diagnostics::for_file(JOB_NAME);
        basalt_plan::plan(
            definition,
            job.sha256,
            board,
            lab.relay_of(board),
            lab.dispatcher_of(board),
            &mut diagnostics,
        )
        .ok_or_else(|| first(&mistakes(&diagnostics)))
    }
}

/// The boards that a job asks for by type, name and tags.
fn wanted<'l>(
    job: &'l JobDefinition,
    lab: &'l Lab,
) -> impl Iterator<Item = &'l BoardProfile> + use<'l> {
    lab.boards.iter().filter(|board| {
        job.device_type
            .as_ref()
            .is_none_or(|wanted| wanted.value == board.device_type)
            && job
                .device
                .as_ref()
                .is_none_or(|wanted| wanted.value == board.name.as_str())
            && job.tags.iter().all(|tag| board.tags.contains(tag))
    })
}

/// Says which wish no board of the lab fulfils.
fn nobody_wanted(job: &JobDefinition, lab: &Lab, read: &ReadJob) -> Vec<Diagnostic> {
    let span = |wanted: Option<Span>| wanted.unwrap_or_default();
    let mut diagnostics = read.diagnostics.clone();
    let before = diagnostics.len();
    let of_type = |name: &str| lab.boards.iter().any(|board| board.device_type == name);
    if let Some(wanted) = &job.device_type
        && !of_type(&wanted.value)
    {
        let types = lab.boards.iter().map(|board| board.device_type.as_str());
        let hint = alternatives(&wanted.value, types);
        diagnostics
            .error(
                wanted.span,
                format!("the lab has no board of the type `{}`", wanted.value),
            )
            .with_hint(hint);
    } else if let Some(wanted) = &job.device {
        let names = lab.boards.iter().map(|board| board.name.as_str());
        let message = match lab
            .boards
            .iter()
            .find(|one| one.name.as_str() == wanted.value)
        {
            Some(board) => format!(
                "the board `{}` is a `{}` and has the tags {}; the job asks for something else",
                board.name,
                board.device_type,
                quoted(board.tags.iter().map(String::as_str))
            ),
            None => format!("the lab has no board `{}`", wanted.value),
        };
        let hint = alternatives(&wanted.value, names);
        diagnostics.error(wanted.span, message).with_hint(hint);
    } else {
        let tags = quoted(job.tags.iter().map(String::as_str));
        let place = span(job.device_type.as_ref().map(|wanted| wanted.span));
        diagnostics.error(place, format!("the lab has no board with the tags {tags}"));
    }
    mistakes_from(&diagnostics, before)
}

fn alternatives<'t>(wanted: &str, names: impl Iterator<Item = &'t str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    match basalt_yaml::closest(wanted, names.iter().copied()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("it has {}", quoted(names.into_iter())),
    }
}

fn quoted<'t>(words: impl Iterator<Item = &'t str>) -> String {
    let words: Vec<String> = words.map(|word| format!("`{word}`")).collect();
    match words.is_empty() {
        true => "none".to_owned(),
        false => words.join(", "),
    }
}

/// What makes boards of one kind alike for planning. A board's own name counts where a job names
/// one, but then there is one candidate only.
fn kind_of(lab: &Lab, board: &BoardProfile) -> Sha256 {
    let mut kind = board.clone();
    kind.name = BoardName::new("");
    kind.power.relay = basalt_model::RelayName::new("");
    kind.power.outlet = 0;
    kind.console.source = basalt_lab::profile::ConsoleSource::Tcp {
        host: String::new(),
        port: 0,
    };
    if let Some(network) = &mut kind.network {
        network.mac = String::new();
        network.address = std::net::Ipv4Addr::UNSPECIFIED;
        network.gateway = None;
    }
    let mut digest = sha2::Sha256::new();
    for part in [
        serde_json::to_vec(&kind),
        serde_json::to_vec(lab.dispatcher_of(board)),
    ] {
        // Plain data with string keys.
        digest.update(part.unwrap_or_else(|error| unreachable!("a profile is JSON: {error}")));
    }
    Sha256(digest.finalize().into())
}

/// Whether the text is refused for it.
pub fn is_error(diagnostic: &Diagnostic) -> bool {
    diagnostic.severity == basalt_api::Severity::Error
}

/// Diagnostics as plain values, by place.
pub fn mistakes(diagnostics: &Diagnostics) -> Vec<Diagnostic> {
    diagnostics
        .sorted()
        .into_iter()
        .map(|one| mistake(diagnostics, one))
        .collect()
}

fn mistakes_from(diagnostics: &Diagnostics, from: usize) -> Vec<Diagnostic> {
    diagnostics
        .iter()
        .skip(from)
        .map(|one| mistake(diagnostics, one))
        .collect()
}

fn mistake(diagnostics: &Diagnostics, one: &basalt_yaml::Diagnostic) -> Diagnostic {
    Diagnostic {
        file: diagnostics
            .file_name(one.span.source)
            .unwrap_or(JOB_NAME)
            .to_owned(),
        line: one.span.line,
        column: one.span.column,
        severity: match one.severity {
            Severity::Error => basalt_api::Severity::Error,
            Severity::Warning => basalt_api::Severity::Warning,
        },
        message: one.message.clone(),
        hint: one.hint.clone(),
    }
}

/// The values that were put in last.
#[derive(Debug)]
struct Recent<K, V> {
    values: HashMap<K, V>,
    order: VecDeque<K>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self {
            values: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Recent<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.values.get(key).cloned()
    }

    fn put(&mut self, key: K, value: V, most: usize) {
        if self.values.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        while self.order.len() > most {
            if let Some(oldest) = self.order.pop_front() {
                self.values.remove(&oldest);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use basalt_lab::LabFile;

    use super::*;

    const JOB: &str = include_str!("../tests/jobs/ramdisk.yaml");

    fn files() -> Vec<LabFile> {
        [
            ("lab.yaml", include_str!("../tests/lab/lab.yaml")),
            (
                "relays/rack.yaml",
                include_str!("../tests/lab/relays/rack.yaml"),
            ),
            (
                "boards/board-1.yaml",
                include_str!("../tests/lab/boards/board-1.yaml"),
            ),
            (
                "boards/board-2.yaml",
                include_str!("../tests/lab/boards/board-2.yaml"),
            ),
        ]
        .map(|(path, text)| LabFile {
            path: path.into(),
            text: text.into(),
        })
        .to_vec()
    }

    fn lab() -> Lab {
        let mut diagnostics = Diagnostics::new();
        basalt_lab::read(&files(), &basalt_lab::builtin::types(), &mut diagnostics)
            .unwrap_or_else(|| panic!("{:?}", mistakes(&diagnostics)))
    }

    #[test]
    fn a_job_is_held_against_the_boards_that_it_asks_for() {
        let planning = Planning::default();
        let suited = planning.suit(&planning.read(JOB), &lab());
        assert!(suited.is_valid(), "{suited:?}");
        let boards: Vec<_> = suited
            .candidates
            .iter()
            .map(|one| one.board.as_str())
            .collect();
        assert_eq!(boards, ["board-1", "board-2"]);
        assert!(suited.candidates.iter().all(|one| one.unsuitable.is_none()));
        assert_eq!(
            lock(&planning.kinds).values.len(),
            1,
            "they are of one kind"
        );
    }

    #[test]
    fn a_board_that_cannot_run_a_job_is_no_mistake_of_the_job_where_another_can() {
        let mut files = files();
        let board: &mut LabFile = files
            .iter_mut()
            .find(|file| file.path == "boards/board-2.yaml")
            .unwrap();
        let network = board.text.find("network:").unwrap();
        board.text.truncate(network);
        let mut diagnostics = Diagnostics::new();
        let lab = basalt_lab::read(&files, &basalt_lab::builtin::types(), &mut diagnostics);
        let planning = Planning::default();
        let suited = planning.suit(&planning.read(JOB), &lab.unwrap());
        assert!(suited.is_valid(), "{suited:?}");
        let reason = suited.candidates[1].unsuitable.as_deref().unwrap();
        assert!(reason.contains("`board-2`"), "{reason}");
        assert_eq!(suited.candidates[0].unsuitable, None);
    }

    #[test]
    fn a_type_that_the_lab_lacks_is_named_at_its_place() {
        let planning = Planning::default();
        let job = JOB.replace("device_type: simulated", "device_type: simulatd");
        let suited = planning.suit(&planning.read(&job), &lab());
        assert!(!suited.is_valid());
        let mistake = suited.mistakes.iter().find(|one| is_error(one)).unwrap();
        assert_eq!(
            mistake.message,
            "the lab has no board of the type `simulatd`"
        );
        assert_eq!(mistake.hint.as_deref(), Some("did you mean `simulated`?"));
        assert!(mistake.line > 0);
    }

    #[test]
    fn a_plan_is_made_for_the_very_board() {
        let planning = Planning::default();
        let plan = planning
            .plan(JOB, &lab(), &BoardName::new("board-2"))
            .unwrap();
        assert_eq!(plan.board.name.as_str(), "board-2");
    }
}
