//! Mistakes in a job and in a lab: all at once, each at its place, before anything is touched.

use crate::e2e_harness::{Board, Site, normalise, phase};

#[test]
fn five_mistakes_in_a_job_and_five_in_a_lab_come_at_once() {
    let site = Site::start(&[Board::new("sim-1"), Board::new("sim-2")]);
    let lab = site.lab("sim-1");
    let edit = |path: &str, from: &str, to: &str| {
        let path = lab.join(path);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?} is not in\n{text}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    edit(
        "boards/sim-1.yaml",
        "type: simulated-test",
        "type: simulated-tset",
    );
    edit("boards/sim-2.yaml", "relay: pdu", "relay: pud");
    edit("boards/sim-2.yaml", "console: {tcp", "console: {tpc");
    edit("relays/card.yaml", "timeout: 2s", "timeout: soon");
    edit("lab.yaml", "address: ", "adress: ");
    let job = site
        .job("mistakes")
        .boot_line("failure_retry: often")
        .realtime(&[
            phase("a", "limit: 400us, load: [hackbenhc]"),
            phase("a", "priority: 100"),
        ])
        .timeout_line("action: {fortnights: 1}")
        .deploy(|deploy| deploy.kernel_extra = vec!["sha256sum: 12ab".into()]);
    let finished = site.begin("sim-1", &job.text(), &[]).wait();
    finished.expect_code(64);
    assert_eq!(finished.stdout, "");
    assert!(!finished.output.exists());
    insta::assert_snapshot!(normalise(&site, &finished.stderr));
}

#[test]
fn a_job_that_this_board_cannot_run_is_refused_before_anything_is_touched() {
    let site = Site::start(&[Board::new("sim-1")]);
    let job = site
        .job("nowhere")
        .commands(&["tftpboot {KERNEL_ADR} {KERNEL}"]);
    let finished = site.begin("sim-1", &job.text(), &[]).wait();
    finished.expect_code(64);
    assert!(!finished.output.exists());
    assert_eq!(site.rack.counter("sim-1", "power_on"), 0);
    let job = site.path().join("job.yaml");
    std::fs::write(&job, site.job("no such board").text()).unwrap();
    let lab = site.lab("sim-1");
    let finished = site.perform(&[
        "run",
        job.to_str().unwrap(),
        "--lab",
        lab.to_str().unwrap(),
        "--board",
        "sim-7",
    ]);
    finished.expect_code(64);
    assert!(finished.stderr.contains("sim-1"), "{}", finished.stderr);
}
