use std::time::Duration;

use basalt_model::{
    BoardHealth, BoardName, BoardState, DispatcherMode, DispatcherName, Epoch, JobState, LeaseState,
};
use basalt_store::{Batch, Granted, HealthActor, NoLonger, StoreError};

use crate::harness::{Harness, at};

pub async fn a_board_goes_to_one_of_many_jobs(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let mut requests = Vec::new();
    for number in 0..8 {
        let job = harness.submit(&format!("job {number}")).await;
        requests.push(harness.request(job, "b1"));
    }
    let mut racers = Vec::new();
    for request in requests.clone() {
        let store = harness.store.clone();
        racers.push(tokio::spawn(
            async move { store.grant(&request, at(1)).await },
        ));
    }
    let mut winners = Vec::new();
    for (racer, request) in racers.into_iter().zip(&requests) {
        match racer.await.unwrap().unwrap() {
            Granted::Yes { epoch, attempt, .. } => winners.push((request.run, epoch, attempt)),
            Granted::NoLonger(reason) => assert_eq!(reason, NoLonger::BoardNotFree),
        }
    }
    assert_eq!(winners.len(), 1);
    let (run, epoch, attempt) = winners[0];
    assert_eq!((epoch, attempt), (Epoch(1), 1));
    let board = harness.board("b1").await;
    assert_eq!((board.state, board.run), (BoardState::Reserved, Some(run)));
    assert_eq!(harness.store.queued_jobs().await.unwrap().len(), 7);
    let open = harness.store.open_runs().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].lease_state, LeaseState::Granted);
}

pub async fn a_grant_is_made_once_however_often_it_is_asked_for(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let job = harness.submit("one").await;
    let request = harness.request(job, "b1");
    for count in [2, 0, 0] {
        let answer = harness.store.grant(&request, at(1)).await.unwrap();
        let Granted::Yes {
            epoch,
            attempt,
            feed,
        } = answer
        else {
            panic!("{answer:?}");
        };
        assert_eq!((epoch, attempt, feed.len()), (Epoch(1), 1, count));
    }
    let given = harness.store.run(request.run).await.unwrap().unwrap();
    assert_eq!((given.epoch, given.lease), (Epoch(1), request.lease));
}

pub async fn each_guard_says_no(harness: Harness) {
    let harness = harness.with_boards(2).await;
    let store = &harness.store;
    let no = |answer: Result<Granted, StoreError>| match answer.unwrap() {
        Granted::NoLonger(reason) => reason,
        Granted::Yes { .. } => panic!("it must not be granted"),
    };
    let job = harness.submit("one").await;

    let mut request = harness.request(job, "b1");
    request.dispatcher = DispatcherName::new("other");
    assert_eq!(
        no(store.grant(&request, at(1)).await),
        NoLonger::DispatcherNotActive
    );
    let main = DispatcherName::new("main");
    for (mode, expected) in [
        (
            DispatcherMode::Maintenance,
            Some(NoLonger::DispatcherNotActive),
        ),
        (DispatcherMode::Active, None),
    ] {
        store
            .set_dispatcher_mode(&main, mode, None, "ada", at(1))
            .await
            .unwrap();
        if let Some(expected) = expected {
            let answer = store.grant(&harness.request(job, "b1"), at(1)).await;
            assert_eq!(no(answer), expected);
        }
    }

    let board = BoardName::new("b1");
    let ada = HealthActor::Person("ada".into());
    for health in [
        BoardHealth::Maintenance,
        BoardHealth::Bad,
        BoardHealth::Looping,
    ] {
        store
            .set_board_health(&board, health, None, &ada, at(2))
            .await
            .unwrap();
        let answer = store.grant(&harness.request(job, "b1"), at(2)).await;
        assert_eq!(no(answer), NoLonger::BoardNotFree, "{health}");
    }
    let good = BoardHealth::Good;
    store
        .set_board_health(&board, good, None, &ada, at(3))
        .await
        .unwrap();

    // Nothing of a refused grant stays: the epoch is the first.
    let given = harness.grant(job, "b1").await;
    assert_eq!((given.epoch, given.attempt), (Epoch(1), 1));
    let answer = store.grant(&harness.request(job, "b2"), at(4)).await;
    assert_eq!(no(answer), NoLonger::JobNotQueued);

    let other = harness.submit("two").await;
    let hour = Duration::from_secs(3600);
    store.acquire_lead("test", hour, at(5)).await.unwrap();
    let answer = store.grant(&harness.request(other, "b2"), at(6)).await;
    assert_eq!(no(answer), NoLonger::NotLeader);
    assert_eq!(harness.job(other).await.state, JobState::Scheduling);

    // A run that ended leaves the board with a higher epoch.
    let batch = Batch {
        runs: vec![given.whole()],
        ..Batch::default()
    };
    store.commit(&batch, at(7)).await.unwrap();
    assert_eq!(harness.board("b1").await.epoch, Epoch(1));
    let error = store.grant(&harness.request(other, "b9"), at(8)).await;
    assert!(error.is_ok(), "who does not lead learns nothing of boards");
}
