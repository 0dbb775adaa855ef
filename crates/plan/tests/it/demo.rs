//! The jobs that the repository ships.

use crate::{good, shipped, virtual_lab};

#[test]
fn the_demo_job_becomes_this_plan() {
    let plan = good(&virtual_lab(), "qemu-1", &shipped("jobs/realtime.yaml"));
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan).unwrap());
}

#[test]
fn the_same_job_and_board_give_the_same_plan_and_it_survives_its_file() {
    let text = || {
        let plan = good(&virtual_lab(), "qemu-1", &shipped("jobs/realtime.yaml"));
        serde_json::to_string(&plan).unwrap()
    };
    let first = text();
    assert_eq!(first, text());
    let read_back: basalt_plan::Plan = serde_json::from_str(&first).unwrap();
    assert_eq!(serde_json::to_string(&read_back).unwrap(), first);
}

#[test]
fn every_shipped_job_can_run_on_both_boards() {
    let lab = virtual_lab();
    for job in ["realtime.yaml", "realtime-stock.yaml", "realtime-nfs.yaml"] {
        for board in ["qemu-1", "qemu-2"] {
            let plan = good(&lab, board, &shipped(&format!("jobs/{job}")));
            assert_eq!(plan.blocks.len(), 3);
        }
    }
}

/// Runs that a former release began are resumed by this one, which compares the plans' texts.
#[test]
fn a_plan_of_0_1_0_is_read_and_written_again_as_it_is() {
    let old = include_str!("data/0.1.0-plan.json").trim_end();
    let plan: basalt_plan::Plan = serde_json::from_str(old).unwrap();
    assert_eq!(plan.dispatcher.name.as_str(), "main");
    assert_eq!(plan.relay.dispatcher.as_str(), "main");
    assert_eq!(serde_json::to_string_pretty(&plan).unwrap(), old);
}
