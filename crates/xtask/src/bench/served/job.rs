//! Jobs: how long one takes beyond its board's own time, what it costs, how many fit into a minute.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::usage::Cpu;
use super::{Lab, small_job};
use crate::bench::{Options, Row};

/// Jobs, one after the other, before those that count.
const WARM_UP: usize = 20;
/// The same a board.
const WARM_UP_EACH: usize = 2;

/// One job at a time on one board of eight; then a queue for all eight.
pub fn measure(options: &Options) -> Result<Vec<Row>> {
    let lab = Lab::start(options, "serve-8", 8)?;
    lab.perform(&small_job(), WARM_UP)?;
    let mut rows = one_by_one(&lab, options)?;
    rows.extend(many(&lab, 8, 50)?);
    Ok(rows)
}

/// A queue for a hundred boards.
pub fn measure_hundred(options: &Options) -> Result<Vec<Row>> {
    let lab = Lab::start(options, "serve-100", 100)?;
    lab.perform(&small_job(), 100 * WARM_UP_EACH)?;
    many(&lab, 100, 10)
}

fn one_by_one(lab: &Lab, options: &Options) -> Result<Vec<Row>> {
    let mut client = lab.connect()?;
    let mut jobs = lab.listen()?;
    let (mut whole, mut net, mut own) = (Vec::new(), Vec::new(), Vec::new());
    let (mut held, mut held_net, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let before = lab.processes().cpu()?;
    let count = options.runs.max(20);
    for _ in 0..count {
        let mark = lab.mark()?;
        let begun = Instant::now();
        client.submit(&small_job())?;
        let took = (jobs.finished()? - begun).as_secs_f64() * 1e3;
        let powered = mark.powered()?;
        let [powered] = powered.as_slice() else {
            anyhow::bail!("a job switched its board on {} times", powered.len());
        };
        whole.push(took);
        own.push(powered.own_ms());
        net.push(took - powered.own_ms());
        held.push(powered.held_ms());
        held_net.push(powered.held_ms() - powered.own_ms());
        ratios.push(took / powered.own_ms());
    }
    let cost = lab.processes().cpu()?.since(&before);
    let ratio = super::super::median(&ratios);
    let against = "the board's own time";
    let each = |seconds: f64| seconds * 1e3 / f64::from(count);
    Ok(vec![
        Row::median("one job: submit to finished", &whole, "ms").against(against, ratio),
        Row::median("one job: of that the board's own time", &own, "ms"),
        Row::median(
            "one job: submit to finished, less the board's own",
            &net,
            "ms",
        )
        .aimed(150.0),
        Row::median("one job: board held, power-on to off", &held, "ms"),
        Row::median("one job: board held, less the board's own", &held_net, "ms"),
        Row::once("one job: CPU, one job at a time", each(cost.basalt()), "ms").aimed(15.0),
    ])
}

/// `each` jobs a board, all in the queue at once.
fn many(lab: &Lab, boards: usize, each: usize) -> Result<Vec<Row>> {
    let jobs = boards * each;
    let before = lab.processes().cpu()?;
    let (begun, ended) = lab.perform(&small_job(), jobs)?;
    let cost = lab.processes().cpu()?.since(&before);
    let wall = (ended - begun).as_secs_f64();
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    let net = wall - cost.others() / cores;
    ensure!(net > 0.0, "others used {} s of {wall} s", cost.others());
    let a_minute = |wall: f64| jobs as f64 * 60.0 / wall;
    let name = |what: &str| format!("{boards} boards: {what}");
    let cpu = |seconds: f64| seconds * 1e3 / jobs as f64;
    let row = |what: &str, value: f64| Row::once(name(what), value, "ms");
    let mut rows = vec![
        Row::once(
            name("jobs a minute, rack on the same cores"),
            a_minute(wall),
            "",
        ),
        Row::once(
            name("jobs a minute, less others' CPU time"),
            a_minute(net),
            "",
        )
        .at_least(3000.0),
        row("CPU a job", cpu(cost.basalt()))
            .aimed(15.0)
            .against("rack's CPU", cost.basalt() / rack(&cost)),
    ];
    for (process, seconds) in [
        ("server", cost.server),
        ("dispatcher", cost.dispatcher),
        ("keeper", cost.keeper),
    ] {
        rows.push(row(&format!("CPU a job, {process}"), cpu(seconds)));
    }
    rows.push(row("CPU a job, rack and all else", cpu(rack(&cost))));
    Ok(rows)
}

/// What the rack used, and what else ran, but for this program.
fn rack(cost: &Cpu) -> f64 {
    cost.others() - cost.bench
}
