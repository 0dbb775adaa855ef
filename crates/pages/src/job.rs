//! `/jobs/{id}`: one job with one of its runs.

use askama::Template;
use basalt_model::event::ActionEnd;
use basalt_model::{
    BoardName, CaseOutcome, CaseResult, Culprit, Failure, Health, JobId, JobState, KernelReport,
    Outcome, RunId, UserName, UtcMicros,
};
use basalt_realtime::LatencyRecord;

use crate::Chrome;
use crate::console;
use crate::overview::Candidate;
use crate::plot::Histogram;
use crate::tag::{Badge, Html, Tone};
use crate::text;
use crate::words;

/// One run in the list of a job's runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub run: RunId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// On which board.
    pub board: BoardName,
    /// When it began.
    pub started: Option<UtcMicros>,
    /// When it ended.
    pub finished: Option<UtcMicros>,
    /// What it came to; `None` while it runs, or where it was lost.
    pub outcome: Option<Outcome>,
    /// Why its job went back to the queue, or how it ended.
    pub note: Option<String>,
}

impl RunRow {
    fn badge(&self) -> Badge {
        match (self.outcome, self.finished) {
            (Some(outcome), _) => words::outcome(outcome),
            (None, Some(_)) => Badge::new(Tone::Odd, "again", "put back"),
            (None, None) if self.started.is_some() => Badge::new(Tone::Busy, "running", "running"),
            (None, None) => Badge::new(Tone::Busy, "scheduled", "scheduled"),
        }
    }
}

/// How an action stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It did what it was for.
    Done,
    /// It failed.
    Failed,
    /// It goes on.
    Running,
    /// Nobody saw its end.
    Interrupted,
}

impl StepState {
    /// From how an action ended; one without an end goes on as long as its run does.
    pub fn of(end: Option<ActionEnd>, run_goes_on: bool) -> Self {
        match (end, run_goes_on) {
            (Some(ActionEnd::Done), _) => Self::Done,
            (Some(ActionEnd::Failed), _) => Self::Failed,
            (None, true) => Self::Running,
            (None, false) => Self::Interrupted,
        }
    }
}

/// One attempt of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its place in the plan: `2.1`.
    pub level: String,
    /// Its name.
    pub name: String,
    /// Which attempt of its block, from 1.
    pub attempt: u32,
    /// How it stands.
    pub state: StepState,
    /// When it began.
    pub started: Option<UtcMicros>,
    /// How long it took.
    pub duration_ms: Option<u64>,
    /// Why it failed, in a sentence.
    pub failure: Option<String>,
}

impl Step {
    fn badge(&self) -> Badge {
        match self.state {
            StepState::Done => Badge::new(Tone::Good, "pass", "done"),
            StepState::Failed => Badge::new(Tone::Bad, "fail", "failed"),
            StepState::Running => Badge::new(Tone::Busy, "running", "running"),
            StepState::Interrupted => Badge::new(Tone::Odd, "incomplete", "interrupted"),
        }
    }

    /// How deep it lies: 0 for a block.
    fn depth(&self) -> usize {
        self.level.matches('.').count().min(3)
    }
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its number, from 1.
    pub number: u64,
    /// When it was read or written.
    pub at: UtcMicros,
    /// Its level's word: `target`, `info`, ….
    pub level: String,
    /// What it says, byte for byte.
    pub bytes: Vec<u8>,
}

impl LogLine {
    fn html(&self) -> Html<String> {
        console::html(&self.bytes)
    }

    fn clock(&self) -> String {
        text::clock_time(self.at)
    }
}

/// The results of one suite.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// Its cases that count, in order.
    pub cases: Vec<CaseResult>,
}

impl Suite {
    fn number_of(&self, result: CaseOutcome) -> u64 {
        self.cases
            .iter()
            .filter(|case| case.result == result)
            .count() as u64
    }

    fn passed(&self) -> u64 {
        self.number_of(CaseOutcome::Pass)
    }

    fn failed(&self) -> u64 {
        self.number_of(CaseOutcome::Fail)
    }

    fn unsure(&self) -> u64 {
        self.number_of(CaseOutcome::Unknown)
    }

    fn skipped(&self) -> u64 {
        self.number_of(CaseOutcome::Skip)
    }

    /// Suites in which something is wrong are open from the start, and short ones.
    fn is_open(&self) -> bool {
        self.failed() + self.unsure() > 0 || !self.is_long()
    }

    fn is_long(&self) -> bool {
        self.cases.len() > 12
    }

    /// What is shown first: of a long suite only what did not pass.
    fn notable(&self) -> Vec<&CaseResult> {
        let is_notable = |case: &&CaseResult| !self.is_long() || case.result != CaseOutcome::Pass;
        self.cases.iter().filter(is_notable).collect()
    }

    fn passing(&self) -> Vec<&CaseResult> {
        let passed = |case: &&CaseResult| self.is_long() && case.result == CaseOutcome::Pass;
        self.cases.iter().filter(passed).collect()
    }

    fn case_badge(&self, case: &CaseResult) -> Badge {
        words::case(case.result)
    }

    fn measured(&self, case: &CaseResult) -> String {
        case.measurement.map(text::number).unwrap_or_default()
    }

    fn units(&self, case: &CaseResult) -> String {
        match case.units.as_deref() {
            Some("us") => "µs".into(),
            Some("count") | None => String::new(),
            Some(other) => other.into(),
        }
    }
}

/// A measurement, as it stands on the page.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Everything about it.
    pub record: LatencyRecord,
    /// Where its raw file can be fetched.
    pub raw_address: Option<String>,
}

impl Phase {
    /// Its id in the page.
    fn id(&self) -> String {
        let name: String = self
            .record
            .suite
            .chars()
            .map(|one| {
                if one.is_ascii_alphanumeric() {
                    one
                } else {
                    '-'
                }
            })
            .collect();
        format!("phase-{name}")
    }

    fn badge(&self) -> Badge {
        words::verdict(self.record.verdict)
    }

    fn tone(&self) -> &'static str {
        self.badge().tone.as_str()
    }

    fn histogram(&self) -> Option<Histogram> {
        Histogram::of(&self.record, self.id())
    }

    fn duration(&self) -> String {
        text::duration_ms((self.record.duration_s * 1000.0) as u64)
    }

    fn max(&self) -> String {
        self.record
            .totals
            .as_ref()
            .map_or_else(|| "–".into(), |totals| text::micros(totals.max))
    }

    fn average(&self) -> String {
        match self.record.totals.as_ref().and_then(|totals| totals.avg) {
            Some(average) => format!("{average:.1} µs"),
            None => "–".into(),
        }
    }

    fn minimum(&self) -> String {
        self.record
            .totals
            .as_ref()
            .map_or_else(|| "–".into(), |totals| text::micros(totals.min))
    }

    fn samples(&self) -> String {
        self.record
            .totals
            .as_ref()
            .map_or_else(|| "–".into(), |totals| text::count(totals.samples))
    }

    fn percentile(&self, which: &str) -> String {
        text::percentile(self.record.totals.as_ref().and_then(|totals| match which {
            "p50" => totals.percentiles.p50,
            "p99" => totals.percentiles.p99,
            "p99.9" => totals.percentiles.p99_9,
            _ => totals.percentiles.p99_99,
        }))
    }

    /// The share of the limit that the largest latency takes, in percent, for the meter.
    fn limit_share(&self) -> Option<u64> {
        let limit = self.record.limit_us.filter(|limit| *limit > 0)?;
        let max = self.record.totals.as_ref()?.max;
        Some((max * 100).div_ceil(limit))
    }

    fn is_above(&self) -> bool {
        self.limit_share().is_some_and(|share| share > 100)
    }

    fn meter(&self) -> u64 {
        self.limit_share().unwrap_or(0).min(100)
    }

    /// What it holds for: name and value.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let environment = &self.record.environment;
        let yes_no = |value: Option<bool>| value.map(|yes| if yes { "y" } else { "n" }.to_owned());
        let rows = [
            ("Kernel", environment.uname_r.clone()),
            ("Version", environment.uname_v.clone()),
            ("Machine", environment.uname_m.clone()),
            ("Realtime", Some(self.record.rt_evidence.to_string())),
            ("CONFIG_PREEMPT_RT", yes_no(environment.preempt_rt_config)),
            ("Command line", environment.cmdline.clone()),
            ("Printed at boot", environment.banner.clone()),
            ("Image", environment.image_sha256.clone()),
            ("Image says", environment.image_linux_version.clone()),
            ("Configuration", environment.config_sha256.clone()),
            ("Firmware", environment.firmware.clone()),
            ("Board", environment.model.clone()),
            ("Serial number", environment.hardware_id.clone()),
            ("Timebase", environment.timebase.clone()),
            ("CPUs", environment.cpus_online.clone()),
            ("Clock source", environment.clocksource.clone()),
            ("Governor", environment.governor.clone()),
            ("Idle states", environment.cpuidle.clone()),
            (
                "sched_rt_runtime",
                environment
                    .sched_rt_runtime_us
                    .map(|runtime| match runtime {
                        -1 => "−1 (no throttling)".into(),
                        runtime => format!("{} µs", text::count(runtime.max(0) as u64)),
                    }),
            ),
            ("Measured with", environment.cyclictest_version.clone()),
            (
                "Command",
                environment
                    .measure_command
                    .clone()
                    .or(self.record.command.clone()),
            ),
            (
                "Load",
                (!environment.load_commands.is_empty())
                    .then(|| environment.load_commands.join("\n")),
            ),
            ("Load's version", environment.hackbench_version.clone()),
        ];
        let known = rows
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        known.filter(|(_, value)| !value.is_empty()).collect()
    }

    /// Keys that this build does not know.
    fn other_environment(&self) -> Vec<(String, String)> {
        let other = &self.record.environment.other;
        other
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn threads(&self) -> Vec<ThreadRow> {
        self.record
            .threads
            .iter()
            .enumerate()
            .map(|(index, thread)| ThreadRow {
                colour: index % 8,
                place: thread.measured.place(),
                cycles: text::count(thread.measured.cycles),
                short: thread.measured.cycles * 100 < thread.expected_cycles * 95,
                min: thread.measured.min.map_or_else(|| "–".into(), text::micros),
                avg: thread
                    .measured
                    .avg
                    .map_or_else(|| "–".into(), |avg| format!("{avg:.1} µs")),
                p99_99: text::percentile(thread.percentiles.p99_99),
                max: thread.measured.max.map_or_else(|| "–".into(), text::micros),
                above: matches!(
                    (thread.measured.max, self.record.limit_us),
                    (Some(max), Some(limit)) if max > limit
                ),
                overflows: thread.measured.overflows,
            })
            .collect()
    }
}

/// One thread of a measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ThreadRow {
    colour: usize,
    place: String,
    cycles: String,
    short: bool,
    min: String,
    avg: String,
    p99_99: String,
    max: String,
    above: bool,
    overflows: u64,
}

/// A file of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Its path in the run.
    pub path: String,
    /// Where it can be fetched.
    pub address: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256; empty where nobody computed it.
    pub sha256: String,
}

/// The run that is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRun {
    /// The run.
    pub run: RunId,
    /// Its board.
    pub board: BoardName,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// It goes on.
    pub goes_on: bool,
    /// What it came to.
    pub outcome: Option<Outcome>,
    /// Why it did not reach its end.
    pub failure: Option<Failure>,
    /// How often a runner took it up again.
    pub resumed: u32,
    /// Its actions, every attempt, in the order they began.
    pub steps: Vec<Step>,
    /// How many lines its log has.
    pub lines: u64,
    /// The log's last lines.
    pub tail: Vec<LogLine>,
    /// The measurements.
    pub phases: Vec<Phase>,
    /// The results.
    pub suites: Vec<Suite>,
    /// What kernels reported about themselves.
    pub kernel_reports: Vec<KernelReport>,
    /// The files.
    pub files: Vec<FileRow>,
}

/// Why a job waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the queue, from 1.
    pub position: u64,
    /// How many wait.
    pub total: u64,
    /// Why, in a sentence.
    pub reason: String,
    /// The same for each board.
    pub candidates: Vec<Candidate>,
}

/// `/jobs/{id}`.
#[derive(Clone, Debug, Template)]
#[template(path = "job.html")]
pub struct Job {
    /// The frame.
    pub chrome: Chrome,
    /// Its number.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: JobState,
    /// What it came to.
    pub outcome: Option<Outcome>,
    /// LAVA's word for how it ended.
    pub health: Health,
    /// Who submitted it.
    pub submitter: UserName,
    /// When.
    pub submitted: UtcMicros,
    /// When its last run began.
    pub started: Option<UtcMicros>,
    /// When it was over.
    pub finished: Option<UtcMicros>,
    /// Its priority, 0 to 100.
    pub priority: i64,
    /// What it asks for: a device type or a board, tags.
    pub wants: String,
    /// Why it waits.
    pub waiting: Option<Waiting>,
    /// Its runs, newest first.
    pub runs: Vec<RunRow>,
    /// The one that is shown; `None` before the first.
    pub shown: Option<ShownRun>,
    /// Who looks may end it.
    pub may_cancel: bool,
    /// Who looks may submit it again.
    pub may_resubmit: bool,
}

impl Job {
    fn badge(&self) -> Badge {
        words::job(self.state, self.outcome)
    }

    fn is_over(&self) -> bool {
        self.state == JobState::Finished
    }

    fn failure_tone(&self, failure: &&Failure) -> &'static str {
        match failure.culprit {
            Culprit::Kernel | Culprit::Test | Culprit::Bug => "bad",
            Culprit::Canceled => "rest",
            _ => "odd",
        }
    }

    fn culprit(&self, failure: &&Failure) -> String {
        match failure.part {
            Some(part) => format!("{} ({part})", failure.culprit),
            None => failure.culprit.to_string(),
        }
    }

    fn last_lines(&self, failure: &&Failure) -> String {
        failure.last_lines.join("\n")
    }

    fn failed_cases(&self) -> u64 {
        self.shown
            .iter()
            .flat_map(|run| &run.suites)
            .map(Suite::failed)
            .sum()
    }

    fn cases(&self) -> u64 {
        self.shown
            .iter()
            .flat_map(|run| &run.suites)
            .map(|suite| suite.cases.len() as u64)
            .sum()
    }
}
