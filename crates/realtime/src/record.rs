//! What is kept of one phase: numbers, evidence and verdict, in one versioned value.

use std::collections::BTreeMap;

use basalt_model::{CaseOutcome, CaseResult, Culprit, Sha256, Verdict};
use serde::{Deserialize, Serialize};

use crate::cyclictest::{Options, ParseError, options};
use crate::environment::{Environment, RtEvidence, RtSource, says_preempt_rt};
use crate::measurement::{Measurement, Thread};
use crate::percentile::{Percentile, Percentiles};
use crate::verdict::{LoadReport, PhaseFacts, verdict};

/// The version of a record on disk.
pub const VERSION: u32 = 1;

/// Everything about one phase. All latencies are in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyRecord {
    /// [`VERSION`].
    pub version: u32,
    /// The phase's name: `idle`.
    pub phase: String,
    /// Its suite: `0_idle`.
    pub suite: String,
    /// `cyclictest`.
    pub measure: String,
    /// The program's version.
    pub tool_version: Option<String>,
    /// The command line that the program reports.
    pub command: Option<String>,
    /// What ran beside it, and how that fared.
    pub loads: Vec<LoadReport>,
    /// The largest latency that passes.
    pub limit_us: Option<u64>,
    /// Where the limit comes from: `job`, `board`, `type`; empty without one.
    pub limit_source: String,
    /// How long it should measure, seconds.
    pub duration_s: f64,
    /// The interval of the first thread.
    pub interval_us: u64,
    /// First latency that the histograms do not hold.
    pub histogram_limit_us: Option<u64>,
    /// The threads; empty where the file is no evidence.
    pub threads: Vec<ThreadRecord>,
    /// All threads together; `None` where there is no sample.
    pub totals: Option<Totals>,
    /// What it holds for.
    pub environment: Environment,
    /// Why the kernel counts as a realtime one.
    pub rt_evidence: RtEvidence,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// Whose fault it is that this is neither `pass` nor `measured`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub culprit: Option<Culprit>,
    /// The run is shorter than asked for.
    pub partial: bool,
    /// The file that all numbers can be derived from again.
    pub raw_file: Option<RawFile>,
}

/// One thread of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadRecord {
    /// What was measured.
    pub measured: Thread,
    /// How many cycles it should have had.
    pub expected_cycles: u64,
    /// Its percentiles.
    pub percentiles: Percentiles,
}

/// All threads together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Cycles of all threads.
    pub samples: u64,
    /// Smallest latency.
    pub min: u64,
    /// Mean of the threads' means, weighted by their cycles; `None` where a thread has none.
    pub avg: Option<f64>,
    /// Largest latency.
    pub max: u64,
    /// Samples that the histograms do not hold.
    pub overflows: u64,
    /// Percentiles of all samples.
    pub percentiles: Percentiles,
}

/// A file as it came from the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawFile {
    /// Its path in the results directory, with `/`.
    pub path: String,
    /// SHA-256 of what arrived.
    pub sha256: Sha256,
    /// Size of what arrived.
    pub bytes: u64,
    /// SHA-256 that the board computed before sending.
    pub board_sha256: Option<Sha256>,
}

/// Which phase a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseIdentity {
    /// The phase's name.
    pub phase: String,
    /// Its suite.
    pub suite: String,
    /// The measurement program.
    pub measure: String,
    /// Where the limit comes from.
    pub limit_source: String,
}

impl LatencyRecord {
    /// Judges a measurement (or the error in its place) and keeps both.
    pub fn new(
        identity: PhaseIdentity,
        measured: Result<&Measurement, &ParseError>,
        facts: &PhaseFacts,
        raw_file: Option<RawFile>,
    ) -> Self {
        let judgement = verdict(measured, facts);
        let measurement = measured.ok();
        let command = measurement.and_then(|one| one.command.clone());
        Self {
            version: VERSION,
            phase: identity.phase,
            suite: identity.suite,
            measure: identity.measure,
            tool_version: measurement.and_then(|one| one.tool_version.clone()),
            command,
            loads: facts.loads.clone(),
            limit_us: facts.limit_us,
            limit_source: identity.limit_source,
            duration_s: facts.duration.as_secs_f64(),
            interval_us: facts.interval_us,
            histogram_limit_us: measurement.and_then(|one| one.histogram_limit),
            threads: measurement
                .map(|one| threads(one, facts))
                .unwrap_or_default(),
            totals: measurement.and_then(totals),
            environment: facts.environment.clone(),
            rt_evidence: evidence(measurement, &facts.environment),
            verdict: judgement.verdict,
            reason: judgement.reason,
            culprit: judgement.culprit,
            partial: judgement.partial,
            raw_file,
        }
    }

    /// Whose fault it is and why: `kernel: 642 us on CPU 0 is above …`; only why where it is
    /// nobody's.
    pub fn sentence(&self) -> String {
        match self.culprit {
            Some(culprit) => format!("{culprit}: {}", self.reason),
            None => self.reason.clone(),
        }
    }

    /// The names of the loads, or `idle`.
    pub fn load_words(&self) -> String {
        match self.loads.is_empty() {
            true => "idle".into(),
            false => {
                let names: Vec<_> = self.loads.iter().map(|load| load.name.as_str()).collect();
                names.join("+")
            }
        }
    }

    /// All threads' samples together, by latency.
    pub fn merged_histogram(&self) -> BTreeMap<u64, u64> {
        let mut merged: BTreeMap<u64, u64> = BTreeMap::new();
        for (latency, count) in self.threads.iter().flat_map(|one| &one.measured.histogram) {
            let sum = merged.entry(*latency).or_default();
            *sum = sum.saturating_add(*count);
        }
        merged
    }

    /// The record as test cases of its suite: the numbers with their units, then `verdict`.
    /// Numbers of an invalid phase are `unknown`; a percentile in the overflow has no number.
    pub fn cases(&self, attempt: u32) -> Vec<CaseResult> {
        let mut cases = CaseWriter {
            record: self,
            attempt,
            cases: Vec::new(),
        };
        for thread in &self.threads {
            let measured = &thread.measured;
            let name = |what: &str| format!("t{}-{what}", measured.id);
            cases.latency(name("min-latency"), measured.min.map(|min| min as f64));
            cases.latency(name("avg-latency"), measured.avg);
            cases.maximum(name("max-latency"), measured.max);
            cases.count(name("cycles"), measured.cycles);
            cases.count(name("overflow"), measured.overflows);
            for (what, percentile) in thread.percentiles.named() {
                cases.percentile(name(what), percentile);
            }
        }
        if let Some(totals) = &self.totals {
            cases.latency("min-latency".into(), Some(totals.min as f64));
            cases.latency("avg-latency".into(), totals.avg);
            cases.maximum("max-latency".into(), Some(totals.max));
            cases.count("samples".into(), totals.samples);
            cases.count("overflow".into(), totals.overflows);
            for (what, percentile) in totals.percentiles.named() {
                cases.percentile(what.into(), percentile);
            }
        }
        cases.verdict();
        cases.cases
    }
}

struct CaseWriter<'a> {
    record: &'a LatencyRecord,
    attempt: u32,
    cases: Vec<CaseResult>,
}

impl CaseWriter<'_> {
    fn push(&mut self, case: String, result: CaseOutcome, number: Option<(f64, &str)>) {
        self.cases.push(CaseResult {
            suite: self.record.suite.clone(),
            case,
            result,
            measurement: number.map(|(number, _)| number),
            units: number.map(|(_, units)| units.to_owned()),
            set: None,
            attempt: self.attempt,
            detail: None,
            reference: None,
        });
    }

    fn measured(&self) -> CaseOutcome {
        match self.record.verdict {
            Verdict::Invalid => CaseOutcome::Unknown,
            Verdict::Pass | Verdict::Fail | Verdict::Measured => CaseOutcome::Pass,
        }
    }

    fn latency(&mut self, case: String, latency: Option<f64>) {
        if let Some(latency) = latency {
            self.push(case, self.measured(), Some((latency, "us")));
        }
    }

    fn maximum(&mut self, case: String, max: Option<u64>) {
        let Some(max) = max else { return };
        let above = self.record.limit_us.is_some_and(|limit| max > limit);
        let result = match self.measured() {
            CaseOutcome::Pass if above => CaseOutcome::Fail,
            measured => measured,
        };
        self.push(case, result, Some((max as f64, "us")));
    }

    fn count(&mut self, case: String, count: u64) {
        self.push(case, self.measured(), Some((count as f64, "count")));
    }

    fn percentile(&mut self, case: String, percentile: Option<Percentile>) {
        match percentile {
            Some(Percentile::Exact(latency)) => self.latency(case, Some(latency as f64)),
            Some(Percentile::AtLeast(latency)) => {
                self.push(case, self.measured(), None);
                if let Some(last) = self.cases.last_mut() {
                    last.detail = Some(format!("at least {latency} us, above the histogram"));
                }
            }
            None => {}
        }
    }

    fn verdict(&mut self) {
        let result = match self.record.verdict {
            Verdict::Pass | Verdict::Measured => CaseOutcome::Pass,
            Verdict::Fail => CaseOutcome::Fail,
            Verdict::Invalid => CaseOutcome::Unknown,
        };
        self.push("verdict".into(), result, None);
        if let Some(last) = self.cases.last_mut() {
            last.detail = Some(format!("{}: {}", self.record.verdict, self.record.reason));
        }
    }
}

fn evidence(measurement: Option<&Measurement>, environment: &Environment) -> RtEvidence {
    let mut evidence = environment.rt_evidence();
    let by_file = measurement
        .and_then(|one| one.version.as_deref())
        .is_some_and(says_preempt_rt);
    if by_file && !evidence.sources.contains(&RtSource::UnameVersion) {
        evidence.sources.insert(0, RtSource::UnameVersion);
    }
    evidence
}

fn threads(measurement: &Measurement, facts: &PhaseFacts) -> Vec<ThreadRecord> {
    let options = run_options(measurement);
    let floor = measurement.overflow_floor();
    let with_histogram = measurement.has_histogram();
    let record = |thread: &Thread| ThreadRecord {
        measured: thread.clone(),
        expected_cycles: facts.expected_cycles(&options, thread.id),
        percentiles: match with_histogram {
            true => Percentiles::of(&thread.histogram, thread.overflows, floor),
            false => Percentiles::default(),
        },
    };
    measurement.threads.iter().map(record).collect()
}

/// The options a measurement ran with; a text without command line tells only its histogram.
pub(crate) fn run_options(measurement: &Measurement) -> Options {
    match &measurement.command {
        Some(command) => options(command),
        None => Options {
            histogram: measurement.histogram_limit,
            ..Options::default()
        },
    }
}

fn totals(measurement: &Measurement) -> Option<Totals> {
    let threads = || {
        measurement
            .threads
            .iter()
            .filter(|thread| thread.cycles > 0)
    };
    let samples = threads().map(|thread| thread.cycles).sum::<u64>();
    let overflows = threads().map(|thread| thread.overflows).sum();
    let weighted: Option<f64> = threads()
        .map(|thread| thread.avg.map(|avg| avg * thread.cycles as f64))
        .sum();
    Some(Totals {
        samples,
        min: threads().filter_map(|thread| thread.min).min()?,
        avg: weighted.map(|sum| sum / samples as f64),
        max: threads().filter_map(|thread| thread.max).max()?,
        overflows,
        percentiles: match measurement.has_histogram() {
            true => Percentiles::of(
                &measurement.merged_histogram(),
                overflows,
                measurement.overflow_floor(),
            ),
            false => Percentiles::default(),
        },
    })
}
