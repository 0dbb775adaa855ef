//! Runs that nobody disturbs: what is stored, what it costs, what others see.

use basalt_api::{LogRange, StepState};
use basalt_link::{Down, RefusalCode, Up};
use basalt_model::{
    BoardName, BoardState, Failure, JobState, LeaseState, Outcome, Part, PowerState, RunId,
};
use futures::StreamExt;

use super::site::{Process, admin};
use super::{Disk, Script, Site, wait_for};

/// A whole job, each of its messages once; how many transactions it took.
async fn cost(server: &Process, script: &mut Script, disk: &mut Disk, lines: usize) -> u64 {
    let before = server.app.store.transactions();
    let job = server.submit().await;
    let run = script.take(disk).await;
    let on_disk = disk.runs.get_mut(&run).unwrap();
    for number in 0..lines {
        on_disk.line(format!("chatter {number}\r\n").as_bytes());
    }
    on_disk.perform();
    let events = on_disk.events_after(0, 6);
    for events in events {
        script.sender.events(events).await.unwrap();
    }
    for log in on_disk.lines_after(0, 100_000) {
        script.sender.log(log).await.unwrap();
    }
    let (events, lines) = (on_disk.events.len() as u64, on_disk.lines.len() as u64);
    script
        .hear_until("all acknowledgements", |down| {
            matches!(down, Down::Ack { events_seq, log_line, .. }
                if *events_seq == events && *log_line == lines)
            .then_some(())
        })
        .await;
    script.put(run, "raw/0_three.json", b"{}").await;
    script.say_ended(disk, run).await;
    let spent = server.app.store.transactions() - before;
    let job = server.job(job).await;
    assert_eq!(job.outcome, Some(Outcome::Pass));
    spent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_job_takes_at_most_ten_transactions_and_none_a_line() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    // The server's own tasks write something every ten seconds; the cheapest of some jobs met none.
    let (mut small, mut chatty) = (u64::MAX, u64::MAX);
    for _ in 0..4 {
        small = small.min(cost(&server, &mut script, &mut disk, 0).await);
        chatty = chatty.min(cost(&server, &mut script, &mut disk, 5_000).await);
    }
    assert!(small <= 10, "{small} transactions");
    assert!(
        chatty <= small + 1,
        "{chatty} with 5 000 lines more, {small} without"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_shown_as_it_goes_and_as_it_went() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let run = script.take(&mut disk).await;
    let board = disk.runs[&run].assignment.board.clone();
    disk.runs.get_mut(&run).unwrap().begin();
    script.send_all(&disk, run).await;
    let running = server.job(job).await;
    assert_eq!(running.state, JobState::Running);
    assert_eq!(running.board.as_ref(), Some(&board));
    let seen = server.app.board(&admin(), &board).await.unwrap();
    assert_eq!(seen.state, BoardState::Running);
    assert_eq!(seen.held_by.map(|held| held.job), Some(job));
    let view = server.app.run(&admin(), run).await.unwrap();
    assert_eq!(view.steps.len(), 1);
    assert_eq!(view.steps[0].state, StepState::Running);
    let why = server.app.why(&admin(), job).await.unwrap();
    assert_eq!(why.sentence, format!("job {job} runs on {board}."));

    let mut follower = server.app.follow_run(&admin(), run).unwrap();
    disk.runs.get_mut(&run).unwrap().end(Outcome::Pass, None);
    script.send_all(&disk, run).await;
    follower.changed().await.unwrap();
    // The board is free before everything of the run has arrived.
    let seen = server.app.board(&admin(), &board).await.unwrap();
    assert_eq!(
        (seen.state, seen.power),
        (BoardState::Idle, PowerState::Off)
    );
    assert_eq!(server.job(job).await.state, JobState::Running);
    script
        .put(run, "raw/0 three.json", b"a file's content")
        .await;
    script.say_ended(&mut disk, run).await;

    let job = server.job(job).await;
    assert_eq!(
        (job.state, job.outcome),
        (JobState::Finished, Some(Outcome::Pass))
    );
    assert_eq!(job.runs.len(), 1);
    assert_eq!(job.runs[0].lease_state, LeaseState::Ended);
    let view = server.app.run(&admin(), run).await.unwrap();
    assert_eq!(view.steps[0].state, StepState::Done);
    let results = server.app.results(&admin(), run).await.unwrap();
    assert_eq!((results.counts.pass, results.cases.len()), (1, 1));
    let junit = server.app.junit(&admin(), run).await.unwrap();
    assert!(junit.contains("first"), "{junit}");
    let opened = server
        .app
        .run_file(&admin(), run, "raw/0 three.json")
        .await
        .unwrap();
    let content: Vec<_> = opened.stream.collect().await;
    assert_eq!(content[0].as_ref().unwrap().as_ref(), b"a file's content");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_read_in_pieces_by_level_and_text_and_its_bytes_are_the_boards() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    server.submit().await;
    let run = script.take(&mut disk).await;
    let hostile = b"\x1b]52;c;aGk=\x07 <b>\xff\r\n";
    let on_disk = disk.runs.get_mut(&run).unwrap();
    for number in 0..100 {
        on_disk.line(format!("line {number}\r\n").as_bytes());
    }
    on_disk.line(hostile);
    let said: Vec<u8> = on_disk
        .lines
        .iter()
        .flat_map(|line| line.text.clone())
        .collect();
    script.send_all(&disk, run).await;

    let page = async |range: LogRange, most: usize| {
        server.app.log(&admin(), run, &range, most).await.unwrap()
    };
    let first = page(LogRange::default(), 10).await;
    assert_eq!(first.lines.len(), 10);
    assert_eq!(
        (first.next, first.last_line, first.ended),
        (Some(11), 101, false)
    );
    let rest = LogRange {
        from: first.next,
        to: Some(15),
        ..LogRange::default()
    };
    let rest = page(rest, 1_000).await;
    let numbers: Vec<u64> = rest.lines.iter().map(|line| line.number).collect();
    assert_eq!(numbers, [11, 12, 13, 14, 15]);
    assert_eq!(rest.next, None);
    let found = LogRange {
        text: Some("LINE 77".into()),
        ..LogRange::default()
    };
    let found = page(found, 1_000).await;
    assert_eq!(found.lines.len(), 1);
    assert_eq!(found.lines[0].number, 78);

    let stream = server.app.console(&admin(), run).await.unwrap();
    let pieces: Vec<_> = Box::pin(stream).collect().await;
    let bytes: Vec<u8> = pieces
        .into_iter()
        .flat_map(|piece| piece.unwrap().to_vec())
        .collect();
    assert_eq!(bytes, said);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_its_host_holds_costs_the_job_nothing_and_is_tried_again() {
    a_refusal_costs_nothing(RefusalCode::BoardHeld, "held by `basalt run` of alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assignment_that_crosses_the_word_of_a_full_disk_costs_the_job_nothing() {
    a_refusal_costs_nothing(RefusalCode::Closed, "0 MiB are free on its disk").await;
}

async fn a_refusal_costs_nothing(code: RefusalCode, message: &str) {
    let site = Site::new();
    let server = site.start().await;
    server.maintain("board-2", true).await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let mut runs: Vec<RunId> = Vec::new();
    // More often than a job may have runs that the lab ends.
    for _ in 0..6 {
        let run = script.hear_assign().await.run;
        runs.push(run);
        script
            .say(Up::Refused {
                run,
                code,
                message: message.into(),
            })
            .await;
        wait_for("the job in the queue", async || {
            let state = server.job(job).await.state;
            state.is_queued().then_some(())
        })
        .await;
    }
    let why = server.app.why(&admin(), job).await.unwrap();
    assert!(why.sentence.contains(message), "{}", why.sentence);
    runs.sort();
    runs.dedup();
    assert_eq!(runs.len(), 6);
    // Nor has the job had its attempts when a run of it is ended by the lab.
    let run = script.take(&mut disk).await;
    let on_disk = disk.runs.get_mut(&run).unwrap();
    on_disk.begin();
    let away = Failure::infrastructure(Part::Host, "server-away", "nobody answered for too long");
    on_disk.end(Outcome::Incomplete, Some(away));
    script.send_all(&disk, run).await;
    script.say_ended(&mut disk, run).await;
    script.perform_one(&mut disk).await;
    let job = server
        .job_that(job, |job| job.state == JobState::Finished)
        .await;
    assert_eq!(job.outcome, Some(Outcome::Pass));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_to_the_dispatcher_of_its_board() {
    let site = Site::new();
    let server = site.start().await;
    let far = basalt_model::DispatcherName::new("rack-2");
    let token = server.app.add_dispatcher(&admin(), &far).await.unwrap();
    let mut disk = Disk::default();
    let mut script = Script::connect_as(&site, "rack-2", &token.token, &mut disk).await;
    let text = super::site::JOB.replace("priority: medium", "priority: medium\ntags: [far]");
    let job = server.submit_text(&text).await;
    let run = script.perform_one(&mut disk).await;
    let job = server.job(job).await;
    assert_eq!((job.run, job.outcome), (Some(run), Some(Outcome::Pass)));
    assert_eq!(job.board, Some(BoardName::new("board-3")));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_is_never_given_to_two_jobs_whoever_is_canceled_meanwhile() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let mut jobs = Vec::new();
    for _ in 0..12 {
        jobs.push(server.submit().await);
    }
    let app = server.app.clone();
    let canceled = jobs.split_off(8);
    let canceling = tokio::spawn(async move {
        for job in canceled {
            app.cancel(&admin(), job, None).await.unwrap();
        }
    });
    let mut performed = 0;
    while performed < jobs.len() {
        let assignment = script.hear_assign().await;
        // Two boards: what is not finished yet holds another one.
        disk.take(&assignment);
        let run = assignment.run;
        script.say(Up::Accepted { run }).await;
        disk.runs.get_mut(&run).unwrap().perform();
        script.send_all(&disk, run).await;
        script.say_ended(&mut disk, run).await;
        performed += usize::from(jobs.contains(&assignment.job));
    }
    canceling.await.unwrap();
    for job in jobs {
        let job = server
            .job_that(job, |job| job.state == JobState::Finished)
            .await;
        assert_eq!((job.runs.len(), job.outcome), (1, Some(Outcome::Pass)));
    }
    server.stop().await;
}
