//! `basalt plan`.

use std::time::Duration;

use basalt_plan::Plan;
use basalt_plan::plan::{Block, BlockKind, Phase};
use basalt_yaml::format_duration;

use crate::arguments::PlanArguments;
use crate::exit::Exit;
use crate::laboratory::{self, Reading};
use crate::terminal::{Ink, Terminal, one_line};

/// Shows what a job would do on a board.
pub fn perform(arguments: &PlanArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let mut reading = Reading::default();
    let lab = reading.lab(&arguments.lab.lab)?;
    let job = reading.job(&arguments.job)?;
    let mut plan = None;
    if let (Some(lab), Some(job)) = (&lab, &job) {
        let board = laboratory::board(lab, &arguments.board)?;
        plan = reading.plan(job, lab, board);
    }
    if !reading.diagnostics.is_empty() {
        terminal.note_raw(&reading.render(terminal.error_color));
    }
    let Some(plan) = plan else {
        terminal.note_raw(&format!("{}\n", reading.count()));
        return Ok(Exit::NO);
    };
    match arguments.json {
        true => terminal.line(&serde_json::to_string_pretty(&plan)?),
        false => terminal.write(&tree(&plan, &terminal)),
    }
    Ok(Exit::DONE)
}

fn tree(plan: &Plan, terminal: &Terminal) -> String {
    let board = &plan.board;
    let mut text = format!(
        "{} on {} ({}), at most {}\n",
        terminal.paint(Ink::Strong, &one_line(&plan.job_name)),
        terminal.paint(Ink::Strong, board.name.as_str()),
        board.device_type,
        format_duration(plan.job_timeout)
    );
    for block in &plan.blocks {
        let attempts = match block.attempts {
            1 => String::new(),
            attempts => format!(", up to {attempts} attempts"),
        };
        text.push_str(&format!(
            "\n{} {}{}\n",
            terminal.paint(Ink::Accent, &block.level),
            terminal.paint(Ink::Strong, &block.name),
            terminal.paint(
                Ink::Faint,
                &format!("  at most {}{attempts}", format_duration(block.timeout))
            ),
        ));
        for line in details(block) {
            text.push_str(&format!("    {}\n", one_line(&line)));
        }
        for (name, limit) in shorter(block) {
            let line = format!("{name} within {}", format_duration(limit));
            text.push_str(&format!("    {}\n", terminal.paint(Ink::Faint, &line)));
        }
    }
    let last = plan.blocks.len() + 1;
    text.push_str(&format!(
        "\n{} {}{}\n    switch relay {} outlet {} off and read it back\n",
        terminal.paint(Ink::Accent, &last.to_string()),
        terminal.paint(Ink::Strong, "finalize"),
        terminal.paint(
            Ink::Faint,
            &format!("  at most {}", format_duration(plan.finalize_timeout))
        ),
        board.power.relay,
        board.power.outlet,
    ));
    text
}

/// Actions that have less time than their block.
fn shorter(block: &Block) -> impl Iterator<Item = (&str, Duration)> {
    block
        .timeouts
        .iter()
        .filter(|(_, limit)| *limit < block.timeout)
        .map(|(name, limit)| (name.as_str(), *limit))
}

fn details(block: &Block) -> Vec<String> {
    match &block.kind {
        BlockKind::Deploy(deploy) => deploy
            .downloads
            .iter()
            .map(|download| {
                let url = basalt_artifacts::public_url(&download.url);
                let packed = download
                    .compression
                    .as_deref()
                    .map_or(String::new(), |kind| format!(" ({kind})"));
                format!("{:<10} {url}{packed}", download.label)
            })
            .collect(),
        BlockKind::Boot(boot) => {
            let typed = boot.commands.iter().map(|command| format!("=> {command}"));
            let prompts = boot.prompts.join(" | ");
            typed.chain([format!("until {prompts}")]).collect()
        }
        BlockKind::Test(stage) => stage
            .definitions
            .iter()
            .map(|definition| format!("{}  {} steps", definition.suite, definition.steps.len()))
            .collect(),
        BlockKind::Realtime(realtime) => realtime.phases.iter().map(phase).collect(),
    }
}

fn phase(phase: &Phase) -> String {
    let loads: Vec<&str> = phase.loads.iter().map(|(name, _)| name.as_str()).collect();
    let load = match loads.is_empty() {
        true => "idle".to_owned(),
        false => format!("under {}", loads.join(", ")),
    };
    let limit = match phase.limit_us {
        Some(limit) => format!("limit {limit} µs ({})", phase.limit_source),
        None => "no limit".to_owned(),
    };
    format!(
        "{}  {} for {}, {load}, {limit}: {}",
        phase.suite,
        phase.measure,
        format_duration(phase.duration),
        phase.command.join(" ")
    )
}
