use std::collections::BTreeSet;
use std::time::Duration;

use basalt_model::{BoardHealth, BoardName, JobState};
use basalt_store::{
    Attempt, Batch, DeliveryState, FeedId, HealthActor, Store, WebhookEvent, WebhookSettings,
};

use crate::harness::{Harness, START, at, new_job};

/// Writers of every kind at once, over connections of their own, while a listener asks all the
/// time: whatever id it has seen, no smaller one may appear later.
pub async fn no_listener_misses_an_entry_while_many_commit(harness: Harness) {
    let harness = harness.with_boards(4).await;
    let mut writers = Vec::new();
    for number in 0..4 {
        // A server of its own: other connections, nothing shared in memory.
        let store = Store::open(&harness.config).await.unwrap();
        writers.push(tokio::spawn(async move {
            let board = BoardName::new(format!("b{}", number + 1));
            let actor = HealthActor::Person("ada".into());
            for round in 0..25 {
                store.submit(&new_job("one"), START).await.unwrap();
                let reason = format!("round {round}");
                store
                    .set_board_health(&board, BoardHealth::Bad, Some(&reason), &actor, START)
                    .await
                    .unwrap();
            }
        }));
    }
    let mut seen = Vec::new();
    let mut last = FeedId(0);
    loop {
        let done = writers.iter().all(|writer| writer.is_finished());
        let entries = harness.store.feed(last, 7).await.unwrap();
        if let Some(entry) = entries.last() {
            last = entry.id;
        } else if done {
            break;
        }
        seen.extend(entries.into_iter().map(|entry| entry.id));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    // 4 boards and the lab when it was applied, then two a round.
    assert_eq!(seen.len(), 5 + 4 * 25 * 2);
    let all = harness.store.feed(FeedId(0), 10_000).await.unwrap();
    let all: Vec<_> = all.into_iter().map(|entry| entry.id).collect();
    assert_eq!(seen, all);
    assert_eq!(harness.store.feed_head().await.unwrap(), last);
}

pub async fn a_trimmed_feed_goes_on_counting(harness: Harness) {
    harness.submit("one").await;
    harness.submit("two").await;
    assert_eq!(harness.store.trim_feed(at(1)).await.unwrap(), 2);
    assert_eq!(harness.store.feed(FeedId(0), 10).await.unwrap(), []);
    harness.submit("three").await;
    let entries = harness.store.feed(FeedId(2), 10).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].id, FeedId(3));
}

fn settings(events: &[WebhookEvent]) -> WebhookSettings {
    WebhookSettings {
        url: "http://127.0.0.1/hook".into(),
        secret: vec![1, 2, 3],
        events: events.to_vec(),
        active: true,
    }
}

pub async fn webhooks_are_told_of_what_they_asked_for(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let all = store
        .create_webhook("ada", &settings(WebhookEvent::ALL), START)
        .await
        .unwrap();
    let ends = settings(&[WebhookEvent::JobFinished]);
    let ends = store.create_webhook("bob", &ends, START).await.unwrap();
    let mut asleep = settings(WebhookEvent::ALL);
    asleep.active = false;
    let quiet = store.create_webhook("bob", &asleep, START).await.unwrap();
    let (job, given) = harness.run("one", "b1").await;
    let batch = Batch {
        runs: vec![given.whole()],
        ..Batch::default()
    };
    store.commit(&batch, at(2)).await.unwrap();
    // Told once, however often the answer was lost.
    store.commit(&batch, at(2)).await.unwrap();
    let told = store.deliveries(all, 10).await.unwrap();
    let events: Vec<_> = told.iter().rev().map(|one| (one.event, one.job)).collect();
    assert_eq!(
        events,
        [
            (WebhookEvent::JobSubmitted, Some(job)),
            (WebhookEvent::JobStarted, Some(job)),
            (WebhookEvent::JobFinished, Some(job)),
        ]
    );
    let told = store.deliveries(ends, 10).await.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].data, r#"{"state":"finished","outcome":"pass"}"#);
    assert_eq!(harness.job(job).await.state, JobState::Finished);
    assert_eq!(store.deliveries(quiet, 10).await.unwrap(), []);
    let known = store.webhook(ends).await.unwrap().unwrap();
    assert_eq!(known.events, [WebhookEvent::JobFinished]);
    assert!(store.update_webhook(ends, &settings(&[])).await.unwrap());
    assert_eq!(store.webhooks().await.unwrap().len(), 3);
    assert!(store.delete_webhook(all).await.unwrap());
    assert!(!store.delete_webhook(all).await.unwrap());
    assert_eq!(store.deliveries(all, 10).await.unwrap(), []);
}

pub async fn what_is_old_is_removed_in_small_steps_and_what_waits_is_kept(harness: Harness) {
    let store = &harness.store;
    let hook = settings(&[WebhookEvent::JobSubmitted]);
    let mut hooks = Vec::new();
    for _ in 0..30 {
        hooks.push(store.create_webhook("ada", &hook, START).await.unwrap());
    }
    for _ in 0..40 {
        harness.submit("job").await;
    }
    let hold = Duration::from_secs(30);
    // All but the last hook's are taken, the first one's later than the others'.
    loop {
        let claimed = store.claim_deliveries(100, hold, at(1)).await.unwrap();
        if claimed.is_empty() {
            break;
        }
        for one in claimed.iter().filter(|one| one.webhook != hooks[29]) {
            let when = if one.webhook == hooks[0] {
                at(9)
            } else {
                at(3)
            };
            store
                .mark_delivery(one.id, &Attempt::Taken, when)
                .await
                .unwrap();
        }
    }
    assert_eq!(store.trim_deliveries(at(2)).await.unwrap(), (0, false));
    let before = store.transactions();
    assert_eq!(store.trim_deliveries(at(4)).await.unwrap(), (1000, true));
    assert_eq!(store.trim_deliveries(at(4)).await.unwrap(), (120, false));
    assert_eq!(store.transactions() - before, 2);
    let left = async |hook: usize| store.deliveries(hooks[hook], 100).await.unwrap().len();
    assert_eq!([left(0).await, left(1).await, left(29).await], [40, 0, 40]);

    for number in 0..1100 {
        let (what, when) = (number.to_string(), at(number));
        store.note("ada", "test", &what, "{}", when).await.unwrap();
    }
    let entries = store.audit(None, 5000).await.unwrap();
    let old = entries.iter().filter(|entry| entry.at < at(1050)).count() as u64;
    assert_eq!(store.trim_audit(at(1050)).await.unwrap(), (1000, true));
    assert_eq!(
        store.trim_audit(at(1050)).await.unwrap(),
        (old - 1000, false)
    );
    assert_eq!(store.audit(None, 5000).await.unwrap().len(), 50);
}

pub async fn a_delivery_is_claimed_by_one_and_given_up_in_the_end(harness: Harness) {
    let store = &harness.store;
    let hook = settings(&[WebhookEvent::JobSubmitted]);
    for _ in 0..20 {
        store.create_webhook("ada", &hook, START).await.unwrap();
    }
    harness.submit("job").await;
    assert_eq!(store.next_delivery_due().await.unwrap(), Some(START));
    let hold = Duration::from_secs(30);
    let mut racers = Vec::new();
    for _ in 0..6 {
        let store = store.clone();
        racers.push(tokio::spawn(async move {
            store.claim_deliveries(4, hold, at(1)).await.unwrap()
        }));
    }
    let mut claimed = Vec::new();
    for racer in racers {
        claimed.extend(racer.await.unwrap().into_iter().map(|one| one.id));
    }
    let distinct: BTreeSet<_> = claimed.iter().copied().collect();
    assert_eq!(
        distinct.len(),
        claimed.len(),
        "nobody's claim is another's too"
    );
    claimed.extend(
        store
            .claim_deliveries(100, hold, at(1))
            .await
            .unwrap()
            .into_iter()
            .map(|one| one.id),
    );
    assert_eq!(claimed.len(), 20);
    assert_eq!(store.claim_deliveries(100, hold, at(2)).await.unwrap(), []);

    let (taken, failing) = (claimed[0], claimed[1]);
    store
        .mark_delivery(taken, &Attempt::Taken, at(3))
        .await
        .unwrap();
    let failed = |again| Attempt::Failed {
        error: "connection refused".into(),
        again,
    };
    store
        .mark_delivery(failing, &failed(Some(at(10))), at(3))
        .await
        .unwrap();
    let due = store.claim_deliveries(100, hold, at(10)).await.unwrap();
    let due: Vec<_> = due.iter().map(|one| (one.id, one.attempts)).collect();
    assert_eq!(due, [(failing, 2)]);
    store
        .mark_delivery(failing, &failed(None), at(11))
        .await
        .unwrap();
    // The claimers of the others died.
    let due = store.claim_deliveries(100, hold, at(31)).await.unwrap();
    assert_eq!(due.len(), 18);
    let mut listed = Vec::new();
    for hook in store.webhooks().await.unwrap() {
        listed.extend(store.deliveries(hook.id, 100).await.unwrap());
    }
    let state = |id| listed.iter().find(|one| one.id == id).map(|one| one.state);
    assert_eq!(state(taken), Some(DeliveryState::Sent));
    assert_eq!(state(failing), Some(DeliveryState::Dead));
}

pub async fn a_webhook_is_told_of_one_thing_after_the_other(harness: Harness) {
    let store = &harness.store;
    let hook = settings(&[WebhookEvent::JobSubmitted]);
    let hook = store.create_webhook("ada", &hook, START).await.unwrap();
    for number in 0..3 {
        harness.submit(&format!("job {number}")).await;
    }
    let ids: Vec<_> = store.deliveries(hook, 10).await.unwrap();
    let ids: Vec<_> = ids.iter().rev().map(|one| one.id).collect();
    let hold = Duration::from_secs(30);
    let claim = async |now| {
        let claimed = store.claim_deliveries(100, hold, now).await.unwrap();
        let claimed: Vec<_> = claimed.iter().map(|one| one.id).collect();
        claimed
    };
    assert_eq!(claim(at(1)).await, [ids[0]]);
    // Under way, and then failed: what came later waits with it.
    assert_eq!(claim(at(2)).await, []);
    let failed = Attempt::Failed {
        error: "connection refused".into(),
        again: Some(at(60)),
    };
    store.mark_delivery(ids[0], &failed, at(3)).await.unwrap();
    assert_eq!(store.next_delivery_due().await.unwrap(), Some(at(60)));
    assert_eq!(claim(at(59)).await, []);
    assert_eq!(claim(at(60)).await, [ids[0]]);
    let taken = Attempt::Taken;
    store.mark_delivery(ids[0], &taken, at(61)).await.unwrap();
    assert_eq!(claim(at(61)).await, [ids[1]]);
    // Given up counts as told.
    let dead = Attempt::Failed {
        error: "connection refused".into(),
        again: None,
    };
    store.mark_delivery(ids[1], &dead, at(62)).await.unwrap();
    assert_eq!(claim(at(62)).await, [ids[2]]);
}
