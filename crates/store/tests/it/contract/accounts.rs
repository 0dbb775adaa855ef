use std::time::Duration;

use basalt_model::{Role, UserName};
use basalt_store::{NewToken, NewTokenOwner, StoreError, TokenKind, TokenOwner, UserId};

use crate::harness::{Harness, START, at, digest};

pub async fn the_first_administrator_is_the_only_one(harness: Harness) {
    let store = &harness.store;
    let ada = UserName::new("ada");
    let made = store.create_first_administrator(&ada, START).await.unwrap();
    assert_eq!(made.map(|user| user.role), Some(Role::Administrator));
    let bob = UserName::new("bob");
    let again = store.create_first_administrator(&bob, START).await.unwrap();
    assert_eq!(again, None);
    let bob = store.create_user(&bob, Role::User, START).await.unwrap();
    assert!(bob.is_some());
    let twin = store.create_user(&ada, Role::User, START).await.unwrap();
    assert_eq!(twin, None);
    let names: Vec<_> = store.users().await.unwrap();
    assert_eq!(names.len(), 2);
    assert_eq!(store.user(&ada).await.unwrap().unwrap(), names[0]);
}

pub async fn a_token_is_valid_until_it_is_revoked_or_void(harness: Harness) {
    let harness = harness.with_boards(1).await;
    let store = &harness.store;
    let ada = UserName::new("ada");
    let ada = store.create_user(&ada, Role::User, START).await.unwrap();
    let ada = ada.unwrap();
    let mut token = NewToken {
        kind: TokenKind::Api,
        label: "laptop".into(),
        owner: NewTokenOwner::User(ada.id),
        hash: digest("one"),
        expires: Some(at(100)),
    };
    let one = store.create_token(&token, START).await.unwrap();
    token.kind = TokenKind::Dispatcher;
    token.owner = NewTokenOwner::Dispatcher(basalt_model::DispatcherName::new("main"));
    token.hash = digest("two");
    token.expires = None;
    let two = store.create_token(&token, START).await.unwrap();

    let found = store.token_by_hash(digest("one"), at(99)).await.unwrap();
    let found = found.unwrap();
    assert_eq!((found.id, found.kind), (one, TokenKind::Api));
    assert_eq!(found.owner, TokenOwner::User(ada.clone()));
    assert_eq!(found.last_used, Some(at(99)));
    let late = store.token_by_hash(digest("one"), at(100)).await.unwrap();
    assert_eq!(late, None, "void");

    // Its use is noted once a minute, not each time.
    let used = |token: basalt_store::Token| token.last_used;
    let first = store.token_by_hash(digest("two"), at(0)).await.unwrap();
    let before = store.transactions();
    let soon = store.token_by_hash(digest("two"), at(59)).await.unwrap();
    assert_eq!(store.transactions(), before);
    let later = store.token_by_hash(digest("two"), at(61)).await.unwrap();
    assert_eq!(first.and_then(used), Some(at(0)));
    assert_eq!(soon.and_then(used), Some(at(0)));
    assert_eq!(later.and_then(used), Some(at(61)));

    assert!(store.revoke_token(two, at(70)).await.unwrap());
    assert!(!store.revoke_token(two, at(71)).await.unwrap());
    let gone = store.token_by_hash(digest("two"), at(72)).await.unwrap();
    assert_eq!(gone, None, "revoked");
    let all = store.tokens(None).await.unwrap();
    assert_eq!(
        all.iter().map(|token| token.id).collect::<Vec<_>>(),
        [two, one]
    );
    assert_eq!(store.tokens(Some(ada.id)).await.unwrap().len(), 1);
    token.owner = NewTokenOwner::User(UserId(4711));
    let error = store.create_token(&token, START).await.unwrap_err();
    assert!(matches!(error, StoreError::Unknown { what: "user", .. }));
}

pub async fn of_many_who_redeem_a_login_link_one_gets_in(harness: Harness) {
    let store = &harness.store;
    let ada = UserName::new("ada");
    let ada = store.create_first_administrator(&ada, START).await.unwrap();
    let ada = ada.unwrap();
    let link = digest("link");
    store
        .create_login_link(ada.id, link, at(60), START)
        .await
        .unwrap();
    let mut racers = Vec::new();
    for number in 0..8 {
        let store = store.clone();
        racers.push(tokio::spawn(async move {
            let session = digest(&format!("session {number}"));
            store
                .redeem_login_link(link, session, at(1000), at(1))
                .await
                .unwrap()
        }));
    }
    let mut winners = 0;
    for racer in racers {
        winners += usize::from(racer.await.unwrap().is_some());
    }
    assert_eq!(winners, 1);
    let sessions = store.tokens(Some(ada.id)).await.unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].kind, TokenKind::Session);

    let late = digest("late");
    store
        .create_login_link(ada.id, late, at(60), START)
        .await
        .unwrap();
    let answer = store
        .redeem_login_link(late, digest("s"), at(1000), at(60))
        .await;
    assert_eq!(answer.unwrap(), None);
}

pub async fn acts_are_kept_in_their_order(harness: Harness) {
    let store = &harness.store;
    for number in 0..5 {
        store
            .note("ada", "test.act", &number.to_string(), "{}", at(number))
            .await
            .unwrap();
    }
    let newest = store.audit(None, 2).await.unwrap();
    let rest = store.audit(Some(newest[1].id), 10).await.unwrap();
    let targets: Vec<_> = newest
        .iter()
        .chain(&rest)
        .map(|act| act.target.as_str())
        .collect();
    assert_eq!(targets, ["4", "3", "2", "1", "0"]);
}

pub async fn one_leads_until_his_time_is_over(harness: Harness) {
    let store = &harness.store;
    let hour = Duration::from_secs(3600);
    // The harness leads until then.
    let early = store.acquire_lead("second", hour, at(3599)).await.unwrap();
    assert_eq!(early, None);
    let second = store.acquire_lead("second", hour, at(3600)).await.unwrap();
    let second = second.unwrap();
    let leader = store.leader().await.unwrap().unwrap();
    assert_eq!((leader.holder.as_str(), leader.term), ("second", second));
    let first = basalt_store::LeaderTerm(second.0 - 1);
    assert!(!store.renew_lead(first, hour, at(3601)).await.unwrap());
    assert!(store.renew_lead(second, hour, at(3601)).await.unwrap());
    // The same name in a new process is a new reign.
    let again = store.acquire_lead("second", hour, at(3602)).await.unwrap();
    assert!(again.unwrap() > second);
    store.release_lead(again.unwrap(), at(3603)).await.unwrap();
    let third = store.acquire_lead("third", hour, at(3603)).await.unwrap();
    assert!(third.is_some());
}
