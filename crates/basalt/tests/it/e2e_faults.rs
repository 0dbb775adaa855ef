//! Everything that goes wrong ends long before the job's time is over, with one sentence that says
//! whose fault it was, what was awaited and what the board said last, and with the board off as far
//! as anybody can tell.

use std::sync::Mutex;

use crate::e2e_harness::{Board, Finished, Job, Results, Site, phase};

/// One thing that goes wrong, and what must come of it.
struct Fault {
    /// The board that it happens to; each has its own.
    name: &'static str,
    /// Knobs of the board, as JSON.
    knobs: &'static str,
    /// Changes the usual job.
    job: fn(Job) -> Job,
    /// The exit code.
    code: i32,
    /// Culprit and code of the failure; both empty where a measurement is invalid instead.
    blame: (&'static str, &'static str),
    /// What the relay says at the end.
    power: &'static str,
    /// The board goes on talking while the run ends, so that its last line is never the same.
    talks_on: bool,
    /// The board truly has power at the end.
    stays_on: bool,
}

impl Fault {
    const fn new(name: &'static str, blame: (&'static str, &'static str)) -> Self {
        Self {
            name,
            knobs: "{}",
            job: |job| job,
            code: 3,
            blame,
            power: "off",
            talks_on: false,
            stays_on: false,
        }
    }

    /// The job does its work, and then the board cannot be switched off.
    const fn stays_on(mut self, code: i32, power: &'static str) -> Self {
        self.code = code;
        self.power = power;
        self.stays_on = true;
        self
    }

    const fn talks_on(mut self) -> Self {
        self.talks_on = true;
        self
    }

    const fn knobs(mut self, knobs: &'static str) -> Self {
        self.knobs = knobs;
        self
    }

    const fn job(mut self, job: fn(Job) -> Job) -> Self {
        self.job = job;
        self
    }

    const fn power(mut self, power: &'static str) -> Self {
        self.power = power;
        self
    }

    /// The job ends, and its measurement proves nothing.
    const fn invalid(name: &'static str) -> Self {
        let mut fault = Self::new(name, ("", ""));
        fault.code = 2;
        fault
    }
}

const SILENT: (&str, &str) = ("infrastructure", "board-silent");
const LOADER: (&str, &str) = ("infrastructure", "boot-loader-timeout");
const HANG: (&str, &str) = ("kernel", "kernel-hang");
const PANIC: (&str, &str) = ("kernel", "kernel-panic");
const ANOTHER: (&str, &str) = ("infrastructure", "another-kernel");

/// What never comes is not waited for as long as a healthy board is.
fn silent_soon(job: Job) -> Job {
    job.timeout_line("actions: {bootloader-interrupt: {seconds: 6}}")
}

const ON_THE_BOARD: &[Fault] = &[
    Fault::new("hang-power", SILENT)
        .knobs(r#"{"hang": {"stage": "power"}}"#)
        .job(silent_soon),
    Fault::new("hang-uboot", LOADER)
        .knobs(r#"{"hang": {"stage": "uboot"}}"#)
        .job(silent_soon),
    Fault::new("hang-tftp", LOADER)
        .knobs(r#"{"hang": {"stage": "tftp"}}"#)
        .job(|job| job.timeout_line("actions: {bootloader-commands: {seconds: 8}}")),
    Fault::new("hang-kernel", HANG)
        .knobs(r#"{"hang": {"stage": "kernel"}}"#)
        .job(|job| job.timeout_line("actions: {auto-login-action: {seconds: 8}}")),
    Fault::new("hang-login", HANG)
        .knobs(r#"{"hang": {"stage": "login"}}"#)
        .job(|job| job.timeout_line("actions: {auto-login-action: {seconds: 8}}")),
    Fault::new("hang-shell", HANG)
        .knobs(r#"{"hang": {"stage": "shell"}}"#)
        .job(|job| job.timeout_line("actions: {expect-shell-connection: {seconds: 8}}")),
    Fault::new("hang-cyclictest", ("test", "test-timeout"))
        .knobs(r#"{"hang": {"stage": "cyclictest"}}"#)
        .job(|job| job.timeout_line("actions: {realtime-phase: {seconds: 8}}")),
    Fault::new("panic-boot", PANIC).knobs(r#"{"panic": {"stage": "boot"}}"#),
    Fault::new("panic-measuring", PANIC).knobs(r#"{"panic": {"stage": "cyclictest"}}"#),
    Fault::new("panic-reboots", PANIC)
        .knobs(r#"{"panic": {"stage": "cyclictest", "reboot_after_ms": 100}}"#)
        .talks_on(),
    Fault::new("reboot-measuring", ("infrastructure", "unexpected-reset"))
        .knobs(r#"{"reboot_mid_run": {}}"#)
        .talks_on(),
    Fault::new("other-kernel", ANOTHER)
        .knobs(r#"{"other_kernel": {"at": "boot"}}"#)
        .talks_on(),
    Fault::new("disk-kernel", ANOTHER)
        .knobs(r#"{"other_kernel": {"at": "power"}}"#)
        .talks_on(),
    Fault::invalid("load-dies").knobs(r#"{"load_dies": {"after_ms": 50}}"#),
    Fault::invalid("truncated-file").knobs(r#"{"truncate_json": {}}"#),
    Fault::invalid("lost-cycles").knobs(r#"{"lost_cycles": {"share": 0.2}}"#),
];

const AROUND_THE_BOARD: &[Fault] = &[
    Fault::new("tftp-file-missing", ("job", "tftp-file-missing")).job(|job| {
        job.commands(&[
            "setenv serverip {SERVER_IP}",
            "setenv ipaddr {BOARD_IP}",
            "tftpboot {KERNEL_ADDR} Image-of-yesterday",
            "booti {KERNEL_ADDR} - ${fdtcontroladdr}",
        ])
    }),
    Fault::new("no-tftp", ("infrastructure", "tftp-timeout")).knobs(r#"{"no_tftp": {}}"#),
    Fault::new("download-404", ("job", "download-404"))
        .job(|job| job.deploy(|deploy| deploy.kernel = "no-such-kernel".into())),
    Fault::new("download-html", ("job", "download-html"))
        .job(|job| job.deploy(|deploy| deploy.kernel = "html".into())),
    Fault::new(
        "download-truncated",
        ("infrastructure", "download-truncated"),
    )
    .job(|job| job.deploy(|deploy| deploy.kernel = "truncated".into())),
    Fault::new("checksum-wrong", ("job", "checksum-mismatch")).job(|job| {
        job.deploy(|deploy| deploy.kernel_extra = vec![format!("sha256sum: {:?}", "0".repeat(64))])
    }),
    Fault::new("relay-refuses", ("infrastructure", "relay-refused"))
        .knobs(r#"{"relay": {"mode": "refuse"}}"#)
        .power("unknown"),
    Fault::new("relay-refuses-on", ("infrastructure", "relay-refused"))
        .knobs(r#"{"relay": {"mode": "refuse", "only": "on"}}"#),
    Fault::new("relay-lies", SILENT)
        .knobs(r#"{"relay": {"mode": "lie", "only": "on"}}"#)
        .job(silent_soon),
    Fault::new("relay-stuck", ("infrastructure", "relay-state-mismatch"))
        .knobs(r#"{"relay": {"mode": "stuck", "only": "on"}}"#),
    Fault::new("relay-refuses-off", ("", ""))
        .knobs(r#"{"relay": {"mode": "refuse", "only": "off"}}"#)
        .stays_on(0, "unknown"),
    Fault::new("relay-stuck-on", ("", ""))
        .knobs(r#"{"relay": {"mode": "stuck", "only": "off"}}"#)
        .stays_on(0, "on"),
    // A card that cannot be read back takes its orders, and nothing happens.
    Fault::new("card-ignores", SILENT)
        .knobs(r#"{"relay": {"mode": "refuse"}}"#)
        .power("unknown")
        .job(silent_soon),
    Fault::new("console-away", ("infrastructure", "console-gone")).knobs(r#"{"console_gone": {}}"#),
    Fault::new("wrong-login", ("job", "login"))
        .job(|job| job.boot_line("auto_login: {login_prompt: 'login:', username: somebody}")),
];

/// What came of one fault.
struct Row {
    finished: Finished,
    results: Results,
    has_power: bool,
}

/// Lets all of them happen, a few at a time, and gives what came of each in their order.
fn happen(site: &Site, faults: &[Fault]) -> Vec<Row> {
    const AT_ONCE: usize = 6;
    let left: Mutex<Vec<usize>> = Mutex::new((0..faults.len()).rev().collect());
    let rows: Mutex<Vec<Option<Row>>> = Mutex::new(faults.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(index) = left.lock().unwrap().pop() else {
                        return;
                    };
                    let row = one(site, &faults[index]);
                    rows.lock().unwrap()[index] = Some(row);
                }
            });
        }
    });
    let rows = rows.into_inner().unwrap();
    rows.into_iter().map(Option::unwrap).collect()
}

fn one(site: &Site, fault: &Fault) -> Row {
    let board = fault.name;
    site.rack.knobs(board, fault.knobs);
    let job = site
        .job(board)
        .realtime(&[phase("loaded", "limit: 400us, load: [hackbench]")]);
    let finished = site.run(board, &(fault.job)(job));
    Row {
        results: finished.results(),
        has_power: site.rack.has_power(board),
        finished,
    }
}

/// The sentence, with everything that differs from run to run replaced by a word.
fn sentence(site: &Site, fault: &Fault, row: &Row) -> String {
    let said = format!("{}\n{}", row.finished.stdout, row.finished.stderr);
    let failure = &row.results.0["failure"];
    let (begin, holds) = match (failure.is_null(), fault.code) {
        (false, _) => ("✘ incomplete  ", failure["message"].as_str().unwrap()),
        // Its last word, and that is about the board.
        (true, 0) if row.results.power() == "on" => ("board still on", ""),
        (true, 0) => ("board power", row.results.power()),
        (true, _) => {
            let phase = row.results.phase("0_loaded");
            ("? invalid  ", phase["reason"].as_str().unwrap())
        }
    };
    let line = said
        .lines()
        .map(|line| line.trim_start())
        .find(|line| line.starts_with(begin))
        .unwrap_or_else(|| panic!("no sentence of {failure:#} in\n{said}"));
    assert!(line.contains(holds), "{line:?} does not say {holds:?}");
    let mut text = crate::e2e_harness::normalise(site, line);
    if fault.talks_on {
        let at = text.find("the board said last: \"").unwrap();
        text.truncate(at);
        text.push_str("the board said last: …");
    }
    text
}

fn check(faults: &[Fault]) -> String {
    let boards: Vec<Board> = faults
        .iter()
        // Measured latencies decide how long a file is, and where it breaks off.
        .map(|fault| Board::new(fault.name).rack("seed = 7"))
        .map(|board| match board.name() {
            "wrong-login" => board.rack("login = 'root'"),
            "card-ignores" => board.lcus(),
            // So long that the load has died before.
            "load-dies" => board.rack("time_scale = 0.4"),
            _ => board,
        })
        .collect();
    let site = Site::start(&boards);
    for (name, fault) in [("html", "html"), ("truncated", "truncate")] {
        let files = site.path().join("files");
        std::fs::copy(files.join("vmlinuz-rt"), files.join(name)).unwrap();
        site.rack.spoil_file(name, fault);
    }
    let rows = happen(&site, faults);
    let mut sentences = String::new();
    let mut wrong = Vec::new();
    for (fault, row) in faults.iter().zip(&rows) {
        let came = (
            row.finished.code,
            row.results.blame(),
            row.results.power(),
            row.has_power,
        );
        let wanted = (Some(fault.code), fault.blame, fault.power, fault.stays_on);
        if came != wanted {
            wrong.push(format!("{}: {came:?} instead of {wanted:?}", fault.name));
            wrong.push(format!("{}\n{}", row.finished.stdout, row.finished.stderr));
        }
        sentences.push_str(&format!(
            "{}\n  {}\n",
            fault.name,
            sentence(&site, fault, row)
        ));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The board shows its login prompt again right after its refusal: which of the two it said last
    // when the failure was noticed depends on how busy the host is.
    sentences.replace(
        "said last: \"wrong-login login:\"",
        "said last: \"Login incorrect\"",
    )
}

#[test]
fn what_goes_wrong_on_a_board_is_said_in_one_sentence_and_the_board_ends_off() {
    insta::assert_snapshot!(check(ON_THE_BOARD));
}

#[test]
fn what_goes_wrong_around_a_board_is_said_in_one_sentence_and_the_board_ends_off() {
    insta::assert_snapshot!(check(AROUND_THE_BOARD));
}

#[test]
fn a_relay_that_nobody_reaches_is_named_and_the_power_is_unknown() {
    // The whole box is gone, so it has a site of its own.
    let site = Site::start(&[Board::new("sim-1")]);
    site.rack
        .knobs("sim-1", r#"{"relay": {"mode": "refuse-connection"}}"#);
    let finished = site.run("sim-1", &site.job("unreachable"));
    finished.expect_code(3);
    let results = finished.results();
    assert_eq!(results.blame(), ("infrastructure", "relay-unreachable"));
    assert_eq!(results.power(), "unknown");
    let failure = &results.0["failure"];
    assert_eq!(failure["part"], "relay");
    let message = failure["message"].as_str().unwrap();
    assert!(message.contains("relay pdu, outlet 1"), "{message}");
    assert!(!site.rack.has_power("sim-1"));
}

#[test]
fn a_board_whose_file_declares_another_address_is_the_labs_fault_and_not_the_jobs() {
    let declared = std::net::Ipv4Addr::new(127, 9, 8, 7);
    let site = Site::start(&[Board::new("sim-1").uploads().declared(declared)]);
    // The board asks from 127.0.0.1, whatever its file says.
    let finished = site.run("sim-1", &site.job("misplaced"));
    finished.expect_code(3);
    let results = finished.results();
    assert_eq!(results.blame(), ("configuration", "tftp-wrong-address"));
    let message = results.0["failure"]["message"].as_str().unwrap();
    assert!(message.contains("127.0.0.1 asked over TFTP"), "{message}");
    assert!(
        message.contains("sim-1 declares the address 127.9.8.7"),
        "{message}"
    );
    assert!(!site.rack.has_power("sim-1"));
}

#[test]
fn a_warning_of_the_kernel_is_kept_and_ends_nothing() {
    let site = Site::start(&[Board::new("sim-1")]);
    let warning = "WARNING: CPU: 0 PID: 71 at kernel/time/clockevents.c:38 clockevents_program_event+0xd0/0xf0";
    let knob =
        format!(r#"{{"printk": {{"after": "LOADS alive=1>", "text": "{warning}", "times": 1}}}}"#);
    site.rack.knobs("sim-1", &knob);
    let job = site
        .job("warned")
        .realtime(&[phase("idle", "limit: 400us")]);
    let finished = site.run("sim-1", &job);
    finished.expect_code(0);
    let results = finished.results();
    let reports = results.0["kernel_reports"].as_array().unwrap();
    assert_eq!(reports.len(), 1, "{reports:#?}");
    assert_eq!(reports[0]["kind"], "warning");
    assert_eq!(reports[0]["fatal"], false);
    assert!(reports[0]["text"].as_str().unwrap().contains(warning));
}
