use basalt_model::{BoardName, Health, JobState, Outcome, UserName};
use basalt_store::{Batch, Canceled, JobFilter, Submitted};

use crate::harness::{Harness, START, at, digest, lost, new_job};

pub async fn a_submission_that_is_repeated_is_the_same_job(harness: Harness) {
    let store = &harness.store;
    let job = new_job("one");
    let Submitted::New { job: first, feed } = store.submit(&job, START).await.unwrap() else {
        panic!("it is new");
    };
    assert_eq!(feed.len(), 1);
    let Submitted::Replayed(second) = store.submit(&job, at(5)).await.unwrap() else {
        panic!("it is known");
    };
    assert_eq!(first, second);
    let mut other = job.clone();
    other.request_sha256 = digest("another request");
    let conflict = store.submit(&other, at(6)).await.unwrap();
    assert!(matches!(conflict, Submitted::Conflict { job } if job == first.id));
    // A key is its submitter's own.
    other.submitter = UserName::new("bob");
    let bobs = store.submit(&other, at(7)).await.unwrap();
    assert!(matches!(bobs, Submitted::New { job, .. } if job.id > first.id));
    let text = store.job_definition(first.id).await.unwrap();
    assert_eq!(text.as_deref(), Some("job_name: one\n"));
}

pub async fn many_who_submit_under_one_key_get_one_job(harness: Harness) {
    let job = new_job("one");
    let mut racers = Vec::new();
    for _ in 0..8 {
        let (store, job) = (harness.store.clone(), job.clone());
        racers.push(tokio::spawn(async move { store.submit(&job, START).await }));
    }
    let mut new = 0;
    for racer in racers {
        match racer.await.unwrap().unwrap() {
            Submitted::New { .. } => new += 1,
            Submitted::Replayed(_) => {}
            Submitted::Conflict { .. } => panic!("the requests are the same"),
        }
    }
    assert_eq!(new, 1);
    assert_eq!(harness.store.queued_jobs().await.unwrap().len(), 1);
}

pub async fn a_list_is_paged_without_holes_or_twins(harness: Harness) {
    let mut all = Vec::new();
    for number in 0..7 {
        all.push(harness.submit(&format!("job {number}")).await);
    }
    all.reverse();
    let mut listed = Vec::new();
    let mut before = None;
    let mut pages = 0;
    loop {
        let filter = JobFilter::default();
        let page = harness.store.jobs(&filter, before, 3).await.unwrap();
        listed.extend(page.jobs.iter().map(|job| job.id));
        pages += 1;
        before = page.next;
        if before.is_none() {
            break;
        }
        // A job that comes meanwhile moves nothing.
        harness.submit("meanwhile").await;
    }
    assert_eq!((listed, pages), (all, 3));
}

pub async fn a_list_is_filtered_by_each_field(harness: Harness) {
    let harness = harness.with_boards(2).await;
    let store = &harness.store;
    let (one, given) = harness.run("boot_100%", "b1").await;
    let batch = Batch {
        runs: vec![given.whole()],
        ..Batch::default()
    };
    store.commit(&batch, at(2)).await.unwrap();
    let (two, _) = harness.run("boot-100", "b2").await;
    let mut bobs = new_job("Latency");
    bobs.submitter = UserName::new("bob");
    bobs.wants.device_type = None;
    let Submitted::New { job: three, .. } = store.submit(&bobs, START).await.unwrap() else {
        panic!("it is new");
    };
    let three = three.id;
    let empty = JobFilter::default();
    let text = |text: &str| JobFilter {
        text: Some(text.into()),
        ..JobFilter::default()
    };
    let cases = [
        (empty.clone(), vec![three, two, one]),
        (
            JobFilter {
                states: vec![JobState::Finished],
                ..empty.clone()
            },
            vec![one],
        ),
        (
            JobFilter {
                states: vec![JobState::Scheduled, JobState::Scheduling],
                ..empty.clone()
            },
            vec![three, two],
        ),
        (
            JobFilter {
                outcomes: vec![Outcome::Pass],
                ..empty.clone()
            },
            vec![one],
        ),
        (
            JobFilter {
                outcomes: vec![Outcome::Fail],
                ..empty.clone()
            },
            vec![],
        ),
        (
            JobFilter {
                board: Some(BoardName::new("b2")),
                ..empty.clone()
            },
            vec![two],
        ),
        (
            JobFilter {
                device_type: Some("qemu".into()),
                ..empty.clone()
            },
            vec![two, one],
        ),
        (
            JobFilter {
                submitter: Some(UserName::new("bob")),
                ..empty.clone()
            },
            vec![three],
        ),
        (text("100"), vec![two, one]),
        (text("_100%"), vec![one]),
        (text("laTENCY"), vec![three]),
        (
            JobFilter {
                submitter: Some(UserName::new("ada")),
                ..text("100%")
            },
            vec![one],
        ),
    ];
    for (filter, expected) in cases {
        let page = store.jobs(&filter, None, 10).await.unwrap();
        let ids: Vec<_> = page.jobs.iter().map(|job| job.id).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
    // A number is looked for among the numbers of jobs as well.
    let page = store
        .jobs(&text(&three.to_string()), None, 10)
        .await
        .unwrap();
    assert_eq!(page.jobs[0].id, three);
    let counts = store.job_counts().await.unwrap();
    let counted: u64 = counts.iter().map(|(_, count)| count).sum();
    assert_eq!(counted, 3);
    assert!(counts.contains(&(JobState::Finished, 1)));
    assert!(counts.contains(&(JobState::Running, 0)));
}

pub async fn a_waiting_job_is_canceled_at_once(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let waiting = harness.submit("waits").await;
    let canceled = store
        .request_cancel(waiting, "ada", "enough", at(1))
        .await
        .unwrap();
    assert!(matches!(canceled, Canceled::Finished(feed) if feed.len() == 1));
    let job = harness.job(waiting).await;
    assert_eq!(
        (job.state, job.outcome),
        (JobState::Finished, Some(Outcome::Canceled))
    );
    assert_eq!((job.health, job.finished), (Health::Canceled, Some(at(1))));
    assert_eq!(job.canceled_by.as_deref(), Some("ada"));
    let again = store
        .request_cancel(waiting, "bob", "too", at(2))
        .await
        .unwrap();
    assert!(matches!(again, Canceled::Already));
    let nothing = store
        .request_cancel(basalt_model::JobId(4711), "bob", "", at(2))
        .await;
    assert!(matches!(nothing.unwrap(), Canceled::Unknown));

    let (running, given) = harness.run("runs", "b1").await;
    for count in [1, 0] {
        let ending = store
            .request_cancel(running, "ada", "enough", at(3))
            .await
            .unwrap();
        let Canceled::Ending {
            run,
            board,
            epoch,
            feed,
        } = ending
        else {
            panic!("{ending:?}");
        };
        assert_eq!((run, epoch, feed.len()), (given.run, given.epoch, count));
        assert_eq!(board, BoardName::new("b1"));
    }
    assert_eq!(harness.job(running).await.state, JobState::Canceling);
}

pub async fn a_job_without_a_board_ends_only_while_it_waits(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let waiting = harness.submit("no board for it").await;
    assert!(
        store
            .finish_queued(waiting, &lost(), at(1))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(
        harness.job(waiting).await.outcome,
        Some(Outcome::Incomplete)
    );
    assert!(
        store
            .finish_queued(waiting, &lost(), at(1))
            .await
            .unwrap()
            .is_none()
    );
    let (running, _) = harness.run("runs", "b1").await;
    assert!(
        store
            .finish_queued(running, &lost(), at(1))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(harness.job(running).await.state, JobState::Scheduled);
}
