//! How a board's latencies change from run to run.

use askama::Template;
use basalt_model::{JobId, UtcMicros, Verdict};

use super::{SIDE, Tick, linear_ticks, percent};
use crate::latency::Point;
use crate::text;
use crate::words;

/// One run in the drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The job it links to.
    pub job: JobId,
    /// Percent from the left.
    pub x: f64,
    /// Percent from the top, of the largest latency.
    pub max_y: f64,
    /// Percent from the top, of the 99.99th percentile.
    pub p99_99_y: Option<f64>,
    /// Which of the eight colours: one a kernel.
    pub colour: usize,
    /// The sample is above its limit.
    pub above: bool,
    /// The measurement proves nothing.
    pub invalid: bool,
    /// What is known of it, in a sentence.
    pub label: String,
}

/// A stretch of runs on one kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Where it begins, percent from the left.
    pub from: f64,
    /// How wide it is, percent.
    pub width: f64,
    /// Which of the eight colours.
    pub colour: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Its name has room above it.
    pub named: bool,
}

/// A drawn trend.
#[derive(Clone, Debug, PartialEq, Template)]
#[template(path = "plot/trend.html")]
pub struct Trend {
    /// What is drawn, in a sentence.
    pub summary: String,
    /// The runs, oldest first.
    pub marks: Vec<Mark>,
    /// The kernels, along the runs.
    pub stretches: Vec<Stretch>,
    /// The line through the largest latencies.
    pub max_path: String,
    /// The line through the 99.99th percentiles.
    pub p99_99_path: String,
    /// The limit: a stepped line, since it may have changed.
    pub limit_path: String,
    /// The last limit: percent from the top, and its label.
    pub limit: Option<Tick>,
    /// Some runs along the axis, with their days.
    pub across: Vec<Tick>,
    /// The latency axis.
    pub up: Vec<Tick>,
}

impl Trend {
    /// Draws points, oldest first; `None` without any.
    pub fn of(points: &[Point]) -> Option<Self> {
        if points.is_empty() {
            return None;
        }
        let highest = points
            .iter()
            .map(|point| point.max_us.max(point.limit_us.unwrap_or(0)))
            .max()
            .unwrap_or(0);
        let end = (highest as f64 * 1.12).max(10.0);
        let kernels = kernels(points);
        let scale = Scale {
            end,
            runs: points.len(),
        };
        let marks = points
            .iter()
            .enumerate()
            .map(|(index, point)| Mark {
                job: point.job,
                x: percent(scale.x(index)),
                max_y: percent(scale.y(point.max_us)),
                p99_99_y: point.p99_99_us.map(|latency| percent(scale.y(latency))),
                colour: colour_of(&kernels, &point.kernel),
                above: point.limit_us.is_some_and(|limit| point.max_us > limit),
                invalid: point.verdict == Verdict::Invalid,
                label: label(point),
            })
            .collect();
        let last_limit = points.last().and_then(|point| point.limit_us);
        Some(Self {
            summary: summary(points),
            marks,
            stretches: stretches(points, &kernels, &scale),
            max_path: scale.line(points, |point| Some(point.max_us)),
            p99_99_path: scale.line(points, |point| point.p99_99_us),
            limit_path: scale.limits(points),
            limit: last_limit.map(|limit| Tick {
                at: percent(scale.y(limit)),
                label: format!("limit {}", text::micros(limit)),
                minor: false,
            }),
            across: across(points, &scale),
            up: linear_ticks(end, 5.0)
                .into_iter()
                .map(|tick| Tick {
                    at: percent(1.0 - tick / end),
                    label: text::count(tick as u64),
                    minor: false,
                })
                .collect(),
        })
    }
}

/// The kernels in the order in which they first ran.
pub(crate) fn kernels(points: &[Point]) -> Vec<String> {
    let mut kernels: Vec<String> = Vec::new();
    for point in points {
        if !kernels.contains(&point.kernel) {
            kernels.push(point.kernel.clone());
        }
    }
    kernels
}

pub(crate) fn colour_of(kernels: &[String], kernel: &str) -> usize {
    kernels.iter().position(|one| one == kernel).unwrap_or(0) % 8
}

struct Scale {
    end: f64,
    runs: usize,
}

impl Scale {
    /// Each run has a slot of its own; it stands in the slot's middle.
    fn x(&self, index: usize) -> f64 {
        (index as f64 + 0.5) / self.runs as f64
    }

    fn y(&self, latency: u64) -> f64 {
        1.0 - latency as f64 / self.end
    }

    fn line(&self, points: &[Point], latency: impl Fn(&Point) -> Option<u64>) -> String {
        let mut path = String::new();
        let mut open = false;
        for (index, point) in points.iter().enumerate() {
            let Some(latency) = latency(point) else {
                open = false;
                continue;
            };
            let command = if open { 'L' } else { 'M' };
            path.push_str(&format!(
                "{command}{:.1},{:.1}",
                self.x(index) * SIDE,
                self.y(latency) * SIDE
            ));
            open = true;
        }
        path
    }

    fn limits(&self, points: &[Point]) -> String {
        let mut path = String::new();
        for (index, point) in points.iter().enumerate() {
            let Some(limit) = point.limit_us else {
                continue;
            };
            let slot = |edge: usize| edge as f64 / self.runs as f64 * SIDE;
            path.push_str(&format!(
                "M{:.1},{:.1}H{:.1}",
                slot(index),
                self.y(limit) * SIDE,
                slot(index + 1)
            ));
        }
        path
    }
}

fn stretches(points: &[Point], kernels: &[String], scale: &Scale) -> Vec<Stretch> {
    let mut stretches: Vec<(usize, usize, String)> = Vec::new();
    for (index, point) in points.iter().enumerate() {
        match stretches.last_mut() {
            Some((_, end, kernel)) if *kernel == point.kernel => *end = index + 1,
            _ => stretches.push((index, index + 1, point.kernel.clone())),
        }
    }
    stretches
        .into_iter()
        .map(|(from, end, kernel)| {
            let width = (end - from) as f64 / scale.runs as f64;
            Stretch {
                from: percent(from as f64 / scale.runs as f64),
                width: percent(width),
                colour: colour_of(kernels, &kernel),
                named: width > 0.18,
                kernel,
            }
        })
        .collect()
}

fn across(points: &[Point], scale: &Scale) -> Vec<Tick> {
    let step = points.len().div_ceil(6);
    (0..points.len())
        .step_by(step)
        .enumerate()
        .map(|(count, index)| Tick {
            at: percent(scale.x(index)),
            label: text::short_date(points[index].at),
            minor: count % 2 == 1,
        })
        .collect()
}

fn label(point: &Point) -> String {
    let p99_99 = match point.p99_99_us {
        Some(latency) => format!(", p99.99 {}", text::micros(latency)),
        None => String::new(),
    };
    format!(
        "Job {}: max {}{p99_99}, {}, {}, {}",
        point.job,
        text::micros(point.max_us),
        words::verdict(point.verdict).word,
        point.kernel,
        text::absolute(point.at),
    )
}

fn summary(points: &[Point]) -> String {
    let worst = points.iter().map(|point| point.max_us).max().unwrap_or(0);
    let newest: Option<UtcMicros> = points.last().map(|point| point.at);
    format!(
        "Largest latency and 99.99th percentile of {}, the newest of {}; the worst is {}.",
        text::counted(points.len() as u64, "run", "runs"),
        newest.map(text::absolute).unwrap_or_default(),
        text::micros(worst),
    )
}

#[cfg(test)]
mod tests {
    use basalt_model::RunId;

    use super::*;

    fn point(job: i64, kernel: &str, max_us: u64) -> Point {
        Point {
            job: JobId(job),
            run: RunId::from_uuid(uuid::Uuid::nil()),
            at: UtcMicros(job * 1_000_000),
            kernel: kernel.into(),
            verdict: Verdict::Pass,
            max_us,
            p99_99_us: (max_us > 10).then_some(max_us - 5),
            limit_us: Some(100),
            samples: 1,
            conditions: String::new(),
        }
    }

    #[test]
    fn runs_on_one_kernel_are_one_stretch() {
        let points = [
            point(1, "a", 40),
            point(2, "a", 41),
            point(3, "b", 5),
            point(4, "a", 120),
        ];
        let trend = Trend::of(&points).unwrap();
        let stretches: Vec<_> = trend
            .stretches
            .iter()
            .map(|one| (one.from, one.width, one.colour))
            .collect();
        assert_eq!(
            stretches,
            [(0.0, 50.0, 0), (50.0, 25.0, 1), (75.0, 25.0, 0)]
        );
        assert_eq!(trend.marks.iter().filter(|mark| mark.above).count(), 1);
        // A run without percentile interrupts the line.
        assert_eq!(trend.p99_99_path.matches('M').count(), 2);
        assert!(Trend::of(&[]).is_none());
    }
}
