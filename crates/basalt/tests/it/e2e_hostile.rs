//! A board, a job and its test cases that print what acts on terminals: nothing of it reaches the
//! terminal of whoever looks at them through a served lab, and the exact bytes are there for
//! whoever writes them into a file.

use std::process::Command;

use tokio::io::AsyncReadExt;

use crate::e2e_harness::served::config;
use crate::e2e_harness::{BOUND, Board, Running, Served, Site, definition, http};

/// What the board prints, by the shell's `printf`, each with a word that must stay readable.
const PRINTED: [(&str, &str); 8] = [
    (r"\033]52;c;ZXZpbA==\007clipped", "clipped"),
    (r"\033]0;owned\033\\titled", "titled"),
    (
        r"<script>alert(1)</script><img src=x onerror=alert(2)>",
        "<script>alert(1)</script>",
    ),
    (r"\377\376\300\200 unreadable", "unreadable"),
    (r"\302\233[31m eighth \233[31m bit \302\235x", "eighth"),
    (r"\342\200\256turned\342\200\254", "turned"),
    (
        r"\033[2J\033[3J\033c\033[?1049h\033[6n\033P+q544e\033\\cleared",
        "cleared",
    ),
    (r"over\rwritten\010\010\016\005", "over"),
];

/// The same bytes as the board's console has them, of those that a terminal must not get.
const RAW: [&[u8]; 3] = [
    b"\x1b]52;c;ZXZpbA==\x07clipped",
    b"\xff\xfe\xc0\x80 unreadable",
    b"\x1b[2J\x1b[3J\x1bc\x1b[?1049h\x1b[6n\x1bP+q544e\x1b\\cleared",
];

fn job(site: &Site) -> String {
    let mut steps: Vec<String> = PRINTED
        .iter()
        .map(|(text, _)| format!(r"printf '{text}\n'"))
        .collect();
    steps.push("head -c 20000 /dev/zero | tr '\\0' x; echo long".into());
    steps.push(
        r#"lava-test-case "$(printf 'evil\033]0;x\007\342\200\256case')" --result fail"#.into(),
    );
    steps.push("lava-test-case '<b/onclick=x' --result fail".into());
    let steps: Vec<&str> = steps.iter().map(String::as_str).collect();
    site.job(r#""named \e]0;evil\a\x9b31m\u202e <i>so</i>""#)
        .definitions(&[definition("hostile", &steps, &[], &[])])
        .text()
}

/// What a verb writes to a terminal of 80 columns, and its exit code.
fn on_terminal(mut plain: Command) -> (Vec<u8>, i32) {
    plain.env_remove("NO_COLOR").env("TERM", "xterm");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let seen = async {
        let (mut terminal, line) = pty_process::open().unwrap();
        terminal.resize(pty_process::Size::new(25, 80)).unwrap();
        let mut command = pty_process::Command::new(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            command = match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command.spawn(line).unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        // A terminal whose last program has gone answers with an error.
        while let Ok(count) = terminal.read(&mut buffer).await {
            if count == 0 {
                break;
            }
            seen.extend_from_slice(&buffer[..count]);
        }
        (seen, child.wait().await.unwrap().code().unwrap())
    };
    let bounded = async { tokio::time::timeout(BOUND, seen).await };
    runtime.block_on(bounded).expect("the verb ends")
}

/// Sequences that only colour or move: `console` lets what a board uses to move the cursor pass.
fn is_harmless(sequence: &str, console: bool) -> bool {
    let Some(rest) = sequence.strip_prefix('[') else {
        return console && matches!(sequence, "7" | "8");
    };
    let (parameters, end) = rest.split_at(rest.len() - 1);
    let plain = parameters
        .chars()
        .all(|one| one.is_ascii_digit() || one == ';' || one == ':');
    match end {
        "m" => plain,
        "h" | "l" => console && matches!(parameters, "?1" | "?7" | "?25"),
        _ => console && plain && "ABCDEFGHJKLMPSTX`adefrsu".contains(end),
    }
}

/// Everything in what was written that would act on a terminal, or lie on it.
fn harm(bytes: &[u8], console: bool) -> Vec<String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return vec!["not UTF-8".into()];
    };
    let mut harm = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(one) = rest.next() {
        match one {
            '\n' | '\r' | '\t' => {}
            '\x07' | '\x08' if console => {}
            '\x1b' => {
                let mut sequence = String::new();
                for next in rest.by_ref() {
                    sequence.push(next);
                    if sequence.len() > 1 && ('\x40'..='\x7e').contains(&next)
                        || next != '[' && sequence.len() == 1
                    {
                        break;
                    }
                }
                if !is_harmless(&sequence, console) {
                    harm.push(format!("ESC {sequence:?}"));
                }
            }
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                harm.push(format!("{one:?}"));
            }
            _ if one.is_control() => harm.push(format!("{one:?}")),
            _ => {}
        }
    }
    harm
}

/// The body of an answer.
fn bytes(served: &Served<'_>, path: &str) -> Vec<u8> {
    let headers = format!("Authorization: Bearer {}\r\n", served.token());
    let answer = http::raw(served.address(), "GET", path, &headers, "").unwrap();
    let head = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a head");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{path}");
    let is_chunked = String::from_utf8_lossy(&answer[..head])
        .to_lowercase()
        .contains("transfer-encoding: chunked");
    let mut rest = &answer[head + 4..];
    if !is_chunked {
        return rest.to_vec();
    }
    let mut body = Vec::new();
    loop {
        let end = rest.iter().position(|byte| *byte == b'\r').unwrap();
        let size = std::str::from_utf8(&rest[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

#[test]
fn the_check_of_these_tests_sees_harm() {
    assert!(harm(b"\x1b[1;31mred\x1b[0m \xc3\xbc\r\n", false).is_empty());
    assert!(harm(b"\x1b[2Kx\x08\x1b[?25h\x1b7", true).is_empty());
    let harmful: [&[u8]; 8] = [
        b"\x1b]52;c;x\x07",
        b"\x1bc",
        b"\x1b[2J",
        b"\x1b[?1049h",
        b"\xc2\x9b31m",
        b"\xff",
        b"\x07",
        "\u{202e}".as_bytes(),
    ];
    for bytes in harmful {
        assert!(!harm(bytes, false).is_empty(), "{bytes:?}");
    }
    assert!(!harm(b"\x1b[6n", true).is_empty());
}

#[test]
fn what_a_hostile_board_and_job_print_harms_nobody_who_looks() {
    let site = Site::start(&[Board::new("sim-1")]);
    let served = Served::start(&site, "sim-1", &[]);
    let verb = |arguments: &[&str]| {
        let mut command = site.basalt(arguments);
        command.env("XDG_CONFIG_HOME", config(&site));
        command
    };
    let path = site.path().join("hostile.yaml");
    std::fs::write(&path, job(&site)).unwrap();
    // Live, from before the job runs to its end.
    let (seen, code) = on_terminal(verb(&["submit", path.to_str().unwrap(), "--follow"]));
    let text = String::from_utf8_lossy(&seen).into_owned();
    assert_eq!(code, 1, "{text}");
    assert_eq!(harm(&seen, false), Vec::<String>::new(), "{text}");
    for (_, word) in PRINTED {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }

    for arguments in [
        &["logs", "1"][..],
        &["logs", "1", "--follow"],
        &["logs", "1", "--json"],
        &["logs", "1", "--console"],
        &["logs", "1", "--console", "--follow"],
        &["results", "1"],
        &["results", "1", "--json"],
        &["job", "1"],
        &["job", "1", "--json"],
        &["jobs"],
        &["jobs", "--json"],
        &["boards"],
        &["why", "1"],
        &["wait", "1"],
        &["latency", "1"],
        &["resubmit", "1"],
        &["cancel", "2"],
    ] {
        let (seen, _) = on_terminal(verb(arguments));
        let text = String::from_utf8_lossy(&seen).into_owned();
        let console = arguments.contains(&"--console");
        assert_eq!(
            harm(&seen, console),
            Vec::<String>::new(),
            "{arguments:?}: {text}"
        );
        assert!(!seen.is_empty(), "{arguments:?}");
    }

    // Into a file goes what the board said, byte for byte.
    let kept = verb(&["logs", "1", "--console"]).output().unwrap();
    let console = bytes(&served, "/api/v1/jobs/1/console");
    assert_eq!(kept.stdout, console);
    for raw in RAW {
        let is_there = kept.stdout.windows(raw.len()).any(|window| window == raw);
        assert!(is_there, "{:?}", String::from_utf8_lossy(raw));
    }

    // The pages take none of it for their own, and know no token.
    let token = served.token();
    for page in [
        "/",
        "/jobs",
        "/jobs/1",
        "/boards",
        "/boards/sim-1",
        "/dispatchers",
    ] {
        let html = String::from_utf8_lossy(&bytes(&served, page)).into_owned();
        assert!(html.contains("<title>"), "{page}: {html}");
        for harm in [
            "<script>alert",
            "<img src=x",
            "<i>so</i>",
            "<b/onclick",
            "\u{1b}",
            "\u{202e}",
        ] {
            assert!(!html.contains(harm), "{page} has {harm:?}: {html}");
        }
        assert!(!html.contains(&token), "{page} has the token");
    }
    served.signal("INT");
    served.wait().expect_code(0);
}

/// A reader who has seen enough ends the verb, and nothing is said about it.
#[test]
fn a_log_that_nobody_reads_any_more_is_given_up_in_silence() {
    let site = Site::start(&[Board::new("sim-1")]);
    let served = Served::start(&site, "sim-1", &[]);
    let id = served.submit(&site.job("short").text());
    served.wait_for(id, "finished");
    let verb = format!(
        "'{}' logs {id} --follow | head -n 1; exit \"${{PIPESTATUS[0]}}\"",
        env!("CARGO_BIN_EXE_basalt")
    );
    let mut command = Command::new("bash");
    command
        .args(["-c", &verb])
        .env("XDG_CONFIG_HOME", config(&site));
    let running = Running::start(command, site.path(), "head", site.path().join("head"));
    let ended = running.wait();
    ended.expect_code(0);
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    assert_eq!(ended.stderr, "");
    let refused = http::request(served.address(), "GET", "/api/v1/jobs", "").unwrap();
    assert_eq!(refused.0, 401);
    served.signal("INT");
    served.wait().expect_code(0);
}
