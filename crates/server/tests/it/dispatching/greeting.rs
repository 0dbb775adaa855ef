//! Who is welcome, and what he is told first.

use basalt_link::{Down, Pace, ProtocolRange, Up};
use basalt_model::{BoardHealth, BoardName, DispatcherName, DispatcherState};

use super::script::{dialer, hello};
use super::site::{admin, lab_files};
use super::{Disk, Script, Site, wait_for};

/// What the server says to a hello that it does not like.
async fn refused(site: &Site, token: &str, hello: Up) -> (String, String) {
    let (sender, mut receiver) = dialer(site, token).link(Pace::default()).await.unwrap();
    sender.send(hello).await.unwrap();
    match receiver.next().await.unwrap() {
        Some(Down::Refuse { code, message }) => (code, message),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_other_protocols_are_turned_away_by_name() {
    let site = Site::new();
    let server = site.start().await;
    let wrong = dialer(&site, "basalt_wrong").link(Pace::default()).await;
    assert!(wrong.unwrap_err().to_string().contains("token"));
    let disk = Disk::default();
    let main = DispatcherName::new("main");
    let far = hello(&DispatcherName::new("rack-2"), &disk);
    let (code, message) = refused(&site, &site.token(), far).await;
    assert_eq!(code, "unknown-dispatcher");
    assert!(message.contains("rack-2"), "{message}");
    let Up::Hello {
        build,
        boot_id,
        epochs,
        runs,
        ..
    } = hello(&main, &disk)
    else {
        unreachable!()
    };
    let future = Up::Hello {
        protocol: ProtocolRange { min: 900, max: 901 },
        build,
        dispatcher: main,
        boot_id,
        revision: None,
        epochs,
        runs,
    };
    let (code, _) = refused(&site, &site.token(), future).await;
    assert_eq!(code, "protocol");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_token_opens_no_link() {
    let site = Site::new();
    let server = site.start().await;
    let bytes = std::fs::read(site.state().join("client-token.json")).unwrap();
    let token: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let token = token["token"].as_str().unwrap();
    assert!(dialer(&site, token).link(Pace::default()).await.is_err());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_gets_the_lab_unless_it_has_it() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let revision = script
        .hear_until("the lab", |down| match down {
            Down::Lab {
                revision, files, ..
            } => {
                assert_eq!(files.len(), lab_files().len());
                Some(*revision)
            }
            _ => None,
        })
        .await;
    assert_eq!(revision, script.welcome.revision);
    script
        .say(Up::Applied {
            revision,
            problems: vec!["no port 69".into()],
        })
        .await;
    wait_for("the dispatcher's word", async || {
        let all = server.app.dispatchers(&admin()).await.unwrap();
        let main = all.into_iter().find(|one| one.embedded)?;
        (main.problems == ["no port 69"] && main.revision == Some(revision)).then_some(())
    })
    .await;
    drop(script);
    disk.revision = Some(revision);
    let mut script = Script::connect(&site, &mut disk).await;
    script.say(Up::Heartbeat { number: 1 }).await;
    script
        .hear_until("the acknowledgement", |down| match down {
            Down::HeartbeatAck { number: 1 } => Some(()),
            Down::Lab { .. } => panic!("the lab came again"),
            _ => None,
        })
        .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_connection_replaces_the_one_before() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut old = Script::connect(&site, &mut disk).await;
    let job = server.submit().await;
    let run = old.take(&mut disk).await;
    let mut new = Script::connect(&site, &mut disk).await;
    old.ended().await;
    assert_eq!(new.welcome.runs.len(), 1);
    disk.runs.get_mut(&run).unwrap().perform();
    new.send_all(&disk, run).await;
    new.say_ended(&mut disk, run).await;
    assert_eq!(server.job(job).await.runs.len(), 1);
    let standing = server.app.registry.standing(&DispatcherName::new("main"));
    assert!(standing.connected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_whose_token_is_replaced_hears_so_and_loses_its_link() {
    let site = Site::new();
    let server = site.start().await;
    let far = DispatcherName::new("rack-2");
    let make = async || server.app.add_dispatcher(&admin(), &far).await.unwrap();
    let token = make().await.token;
    let mut disk = Disk::default();
    let mut script = Script::connect_as(&site, "rack-2", &token, &mut disk).await;
    let newer = make().await.token;
    let said = script
        .hear_until("the reason", |down| match down {
            Down::Refuse { code, message } => Some((code.clone(), message.clone())),
            _ => None,
        })
        .await;
    assert_eq!(said.0, "token-ended");
    assert!(said.1.contains("basalt dispatchers add"), "{}", said.1);
    // Who does not go is ended.
    script.ended().await;
    let again = dialer(&site, &token).link(Pace::default()).await;
    assert!(again.unwrap_err().to_string().contains("token"));
    Script::connect_as(&site, "rack-2", &newer, &mut disk).await;

    // The one beside the server has a token that nobody else makes.
    let main = DispatcherName::new("main");
    let refused = server.app.add_dispatcher(&admin(), &main).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("beside this server")
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_dispatchers_run_cannot_be_spoken_for() {
    let site = Site::new();
    let server = site.start().await;
    let far = DispatcherName::new("rack-2");
    let token = server.app.add_dispatcher(&admin(), &far).await.unwrap();
    let (mut disk, mut other_disk) = (Disk::default(), Disk::default());
    let mut main = Script::connect(&site, &mut disk).await;
    let mut other = Script::connect_as(&site, "rack-2", &token.token, &mut other_disk).await;
    server.maintain("board-3", true).await;
    server.submit().await;
    let run = main.take(&mut disk).await;
    let forged = disk.runs[&run].events_after(0, 10).remove(0);
    other.sender.events(forged).await.unwrap();
    other.ended().await;
    let put = other.dialer.files();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    std::fs::write(&path, b"forged").unwrap();
    let file = basalt_link::PutFile {
        run,
        name: "raw/x.json".into(),
        path,
    };
    assert!(
        put.put(&file)
            .await
            .unwrap_err()
            .to_string()
            .contains("403")
    );
    assert_eq!(server.stored_events(run).await, Vec::<u64>::new());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_that_broke_off_is_gone_on_with_and_a_wrong_one_is_refused() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    server.submit().await;
    let run = script.take(&mut disk).await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|byte| byte as u8).collect();
    let sent = script.put(run, "raw/large.bin", &content).await;
    assert_eq!(sent, content.len() as u64);
    // It is there: nothing of it goes over again.
    assert_eq!(script.put(run, "raw/large.bin", &content).await, 0);
    let files = server.app.run_files(&admin(), run).await.unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].bytes, content.len() as u64);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_about_boards_are_shown_and_offline_is_said() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let script = Script::connect(&site, &mut disk).await;
    let board = BoardName::new("board-1");
    script
        .say(Up::BoardFact {
            board: board.clone(),
            power: basalt_model::PowerState::Off,
            power_since: basalt_model::UtcMicros(5),
            console: basalt_link::message::ConsoleFact {
                open: false,
                reason: Some("no such port".into()),
            },
        })
        .await;
    let seen = wait_for("the board's fact", async || {
        let seen = server.app.board(&admin(), &board).await.unwrap();
        (seen.console.open == Some(false)).then_some(seen)
    })
    .await;
    assert_eq!(seen.console.reason.as_deref(), Some("no such port"));
    assert_eq!(seen.power, basalt_model::PowerState::Off);
    assert_eq!(seen.dispatcher_state, DispatcherState::Online);
    drop(script);
    wait_for("the dispatcher to be offline", async || {
        let seen = server.app.board(&admin(), &board).await.unwrap();
        (seen.dispatcher_state == DispatcherState::Offline).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_that_is_applied_goes_to_dispatchers_and_its_new_boards_wait_for_a_person() {
    let site = Site::new();
    let server = site.start().await;
    let mut disk = Disk::default();
    let mut script = Script::connect(&site, &mut disk).await;
    let mut files = lab_files();
    let mut new = files
        .iter()
        .find(|file| file.path == "boards/board-2.yaml")
        .unwrap()
        .clone();
    new.path = "boards/board-4.yaml".into();
    new.text = new
        .text
        .replace("board-2", "board-4")
        .replace("outlet: 2", "outlet: 4")
        .replace("7002", "7004")
        .replace("00:02", "00:04")
        .replace("127.0.0.22", "127.0.0.24");
    files.push(new);
    let applied = server.apply(files).await;
    assert_eq!(applied.revision, script.welcome.revision + 1);
    assert!(
        applied
            .changes
            .iter()
            .any(|change| change.name == "board-4")
    );
    script
        .hear_until("the new lab", |down| {
            matches!(down, Down::Lab { revision, .. } if *revision == applied.revision)
                .then_some(())
        })
        .await;
    let health = async |name: &str| {
        let board = BoardName::new(name);
        server.app.board(&admin(), &board).await.unwrap().health
    };
    assert_eq!(health("board-4").await, BoardHealth::Maintenance);
    assert_eq!(health("board-2").await, BoardHealth::Unknown);
    server.stop().await;
}
