use basalt_model::{
    BoardHealth, BoardName, BoardState, DispatcherMode, DispatcherName, DispatcherState, PowerState,
};
use basalt_store::{Applied, Batch, BoardFact, FeedKind, HealthActor, StoreError};

use crate::harness::{Harness, START, at, lab};

pub async fn a_lab_that_is_applied_twice_is_one_revision(harness: Harness) {
    let harness = harness.with_boards(2).await;
    let store = &harness.store;
    let again = store.apply_revision(&lab(2), at(1)).await.unwrap();
    assert!(matches!(again, Applied::Unchanged { revision: 1 }));
    let current = store.current_revision().await.unwrap().unwrap();
    assert_eq!((current.id, current.files), (1, lab(2).files));
    assert_eq!(current.applied, START);
    assert_eq!(store.current_revision_id().await.unwrap().unwrap().0, 1);
    assert!(store.revision(2).await.unwrap().is_none());
    let mut wrong = lab(3);
    wrong.boards[2].device_type = "toaster".into();
    let error = store.apply_revision(&wrong, at(2)).await.unwrap_err();
    assert!(matches!(
        error,
        StoreError::Unknown {
            what: "device type",
            ..
        }
    ));
    assert_eq!(
        store.boards(true).await.unwrap().len(),
        2,
        "nothing of it stays"
    );
}

pub async fn a_board_that_is_removed_is_retired_and_comes_back(harness: Harness) {
    let harness = harness.with_boards(2).await;
    let store = &harness.store;
    let applied = store.apply_revision(&lab(1), at(1)).await.unwrap();
    let Applied::New { revision: 2, feed } = applied else {
        panic!("{applied:?}");
    };
    let told: Vec<_> = feed
        .iter()
        .map(|entry| (entry.kind, entry.board.clone()))
        .collect();
    assert_eq!(
        told,
        [
            (FeedKind::Board, Some(BoardName::new("b2"))),
            (FeedKind::Lab, None)
        ]
    );
    assert_eq!(store.boards(false).await.unwrap().len(), 1);
    assert_eq!(harness.board("b2").await.health, BoardHealth::Retired);
    let actor = HealthActor::Person("ada".into());
    let health = BoardHealth::Good;
    let answer = store
        .set_board_health(&BoardName::new("b2"), health, None, &actor, at(2))
        .await;
    assert!(
        answer.unwrap().is_none(),
        "nobody but the lab brings it back"
    );
    store.apply_revision(&lab(2), at(3)).await.unwrap();
    let back = harness.board("b2").await;
    assert_eq!((back.health, back.health_since), (BoardHealth::Good, at(3)));
}

pub async fn a_renamed_board_keeps_its_history(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let (job, given) = harness.run("one", "b1").await;
    let batch = Batch {
        runs: vec![given.whole()],
        ..Batch::default()
    };
    harness.store.commit(&batch, at(2)).await.unwrap();
    let mut renamed = lab(1);
    renamed.boards[0].was = Some(BoardName::new("b1"));
    renamed.boards[0].name = BoardName::new("rack-7");
    renamed.device_types[0] = ("virt".into(), Some("qemu".into()));
    renamed.boards[0].device_type = "virt".into();
    renamed.files[0].text.push_str("# renamed\n");
    harness.store.apply_revision(&renamed, at(3)).await.unwrap();
    assert_eq!(harness.store.boards(true).await.unwrap().len(), 1);
    let runs = harness
        .store
        .runs_of_board(&BoardName::new("rack-7"), None, 10)
        .await
        .unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].board, BoardName::new("rack-7"));
    let job = harness.job(job).await;
    assert_eq!(job.board, Some(BoardName::new("rack-7")));
    assert_eq!(job.device_type.as_deref(), Some("virt"));
}

pub async fn boards_may_change_their_names(harness: Harness) {
    let harness = harness.with_boards(2).await;
    harness.run("one", "b1").await;
    let mut swapped = lab(2);
    swapped.boards[0].was = Some(BoardName::new("b2"));
    swapped.boards[1].was = Some(BoardName::new("b1"));
    swapped.files[0].text.push_str("# swapped\n");
    harness.store.apply_revision(&swapped, at(3)).await.unwrap();
    assert_eq!(harness.board("b1").await.state, BoardState::Idle);
    assert_eq!(harness.board("b2").await.state, BoardState::Reserved);
}

pub async fn a_held_board_is_not_taken_away(harness: Harness) {
    let harness = harness.with_boards(2).await;
    harness.run("one", "b2").await;
    let removed = harness.store.apply_revision(&lab(1), at(3)).await.unwrap();
    assert!(matches!(removed, Applied::BoardHeld { board } if board.as_str() == "b2"));
    let mut moved = lab(2);
    moved.dispatchers.push((DispatcherName::new("other"), None));
    moved.boards[1].dispatcher = DispatcherName::new("other");
    moved.files[0].text.push_str("# moved\n");
    let moved = harness.store.apply_revision(&moved, at(3)).await.unwrap();
    assert!(matches!(moved, Applied::BoardHeld { board } if board.as_str() == "b2"));
    assert_eq!(harness.store.dispatchers().await.unwrap().len(), 1);
    assert_eq!(
        harness
            .store
            .current_revision_id()
            .await
            .unwrap()
            .unwrap()
            .0,
        1
    );
}

pub async fn a_job_never_overwrites_maintenance(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let board = BoardName::new("b1");
    let ada = HealthActor::Person("ada".into());
    let (bad, broken) = (BoardHealth::Bad, Some("relay is dead"));
    let set = store.set_board_health(&board, bad, broken, &HealthActor::Lab, at(1));
    assert!(set.await.unwrap().is_some());
    let again = store.set_board_health(&board, bad, broken, &HealthActor::Lab, at(2));
    assert!(again.await.unwrap().is_none(), "nothing changed");
    let maintenance = BoardHealth::Maintenance;
    let set = store.set_board_health(&board, maintenance, Some("new relay"), &ada, at(3));
    let feed = set.await.unwrap().unwrap();
    assert_eq!(feed[0].board, Some(board.clone()));
    let refused = store.set_board_health(&board, bad, broken, &HealthActor::Lab, at(4));
    assert!(refused.await.unwrap().is_none());
    let now = harness.board("b1").await;
    assert_eq!((now.health, now.health_since), (maintenance, at(3)));
    assert_eq!(now.health_set_by.as_deref(), Some("ada"));
    assert_eq!(now.health_reason.as_deref(), Some("new relay"));
    let acts = store.audit(None, 10).await.unwrap();
    let acts: Vec<_> = acts
        .iter()
        .map(|act| (act.actor.as_str(), act.action.as_str()))
        .collect();
    assert_eq!(
        acts,
        [
            ("ada", "board.health"),
            ("lab", "board.health"),
            ("ada", "lab.apply")
        ]
    );
}

pub async fn dispatchers_come_and_go(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let main = DispatcherName::new("main");
    let online = DispatcherState::Online;
    let feed = store
        .set_dispatcher_state(&main, online, Some("0.1.0"), at(1))
        .await
        .unwrap();
    assert_eq!(feed.len(), 1);
    let feed = store
        .set_dispatcher_state(&main, online, None, at(2))
        .await
        .unwrap();
    assert_eq!(feed, []);
    store
        .dispatchers_seen(&[(main.clone(), at(9))])
        .await
        .unwrap();
    store
        .dispatchers_seen(&[(main.clone(), at(8))])
        .await
        .unwrap();
    let maintenance = DispatcherMode::Maintenance;
    store
        .set_dispatcher_mode(&main, maintenance, Some("moving"), "ada", at(10))
        .await
        .unwrap();
    let known = &store.dispatchers().await.unwrap()[0];
    assert_eq!((known.state, known.state_since), (online, at(1)));
    assert_eq!((known.mode, known.mode_since), (maintenance, at(10)));
    assert_eq!(known.last_seen, Some(at(9)));
    assert_eq!(known.build.as_deref(), Some("0.1.0"));
    let stranger = DispatcherName::new("stranger");
    let error = store
        .set_dispatcher_state(&stranger, online, None, at(11))
        .await;
    assert!(matches!(
        error,
        Err(StoreError::Unknown {
            what: "dispatcher",
            ..
        })
    ));
}

pub async fn facts_are_taken_from_the_owner_only(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let fact = BoardFact {
        board: BoardName::new("b1"),
        dispatcher: DispatcherName::new("main"),
        power: Some((PowerState::On, at(1))),
        console: Some((Ok(()), at(2))),
    };
    let batch = |facts| Batch {
        facts,
        ..Batch::default()
    };
    let report = harness
        .store
        .commit(&batch(vec![fact.clone()]), at(3))
        .await
        .unwrap();
    assert_eq!(report.feed.len(), 2);
    let report = harness
        .store
        .commit(&batch(vec![fact.clone()]), at(4))
        .await
        .unwrap();
    assert_eq!(report.feed, [], "no news");
    let foreign = BoardFact {
        dispatcher: DispatcherName::new("other"),
        power: Some((PowerState::Off, at(5))),
        ..fact
    };
    harness
        .store
        .commit(&batch(vec![foreign]), at(6))
        .await
        .unwrap();
    let board = harness.board("b1").await;
    assert_eq!((board.power, board.power_since), (PowerState::On, at(1)));
    assert_eq!((board.console_open, board.console_since), (true, at(2)));
}
