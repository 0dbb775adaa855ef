use std::time::Duration;

use basalt_lab::profile::RelayDriver;
use basalt_model::PowerState;
use basalt_power::PowerError;
use tokio::net::TcpListener;

use crate::wire::{Manner, Tasmota, handle, relay};

async fn set_on(manner: Manner, timeout: Duration) -> (Tasmota, Result<PowerState, PowerError>) {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(manner).await;
    let mut relay = relay(&device.url);
    relay.timeout = timeout;
    let result = handle(&relay, directory.path()).set(1, true).await;
    (device, result)
}

const PATIENT: Duration = Duration::from_secs(5);
/// Long enough for a busy host to have sent the request.
const SHORT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_switch_is_one_request_and_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::Obeys).await;
    let handle = handle(&relay(&device.url), directory.path());
    assert_eq!(handle.set(3, true).await.unwrap(), PowerState::On);
    assert!(device.is_on());
    assert_eq!(handle.read(3).await.unwrap(), PowerState::On);
    assert_eq!(handle.set(3, false).await.unwrap(), PowerState::Off);
    assert!(!device.is_on());
    assert_eq!(
        device.asked(),
        ["Power3%20On", "Power3", "Power3", "Power3%20Off", "Power3"]
    );
}

#[tokio::test]
async fn a_device_with_one_relay_answers_without_a_number() {
    let (device, result) = set_on(Manner::ObeysSingle, PATIENT).await;
    assert_eq!(result.unwrap(), PowerState::On);
    assert!(device.is_on());
}

#[tokio::test]
async fn an_answer_about_another_outlet_is_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::ObeysSingle).await;
    let handle = handle(&relay(&device.url), directory.path());
    let error = handle.set(2, true).await.unwrap_err();
    assert_eq!(error.code(), "relay-refused", "{error}");
}

#[tokio::test]
async fn a_device_that_fails_twice_is_asked_a_third_time() {
    let (device, result) = set_on(Manner::FailsFirst(2), PATIENT).await;
    assert_eq!(result.unwrap(), PowerState::On);
    assert_eq!(device.asked().len(), 4);
}

#[tokio::test]
async fn a_device_that_always_fails_is_quoted() {
    let (device, result) = set_on(Manner::FailsFirst(u32::MAX), PATIENT).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "relay pdu1, outlet 1, asked to switch on: refused: HTTP 500 Internal Server Error: \
         \"out of memory\""
    );
    assert_eq!(device.asked().len(), 3);
}

#[tokio::test]
async fn a_refusal_is_quoted_and_not_repeated() {
    let (device, result) = set_on(Manner::Answers("{\"Command\":\"Unknown\"}"), PATIENT).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "relay pdu1, outlet 1, asked to switch on: refused: it answered \
         \"{\\\"Command\\\":\\\"Unknown\\\"}\""
    );
    assert_eq!(device.asked().len(), 1);
}

#[tokio::test]
async fn a_relay_that_lies_is_found_out_by_reading_back() {
    let (_, result) = set_on(Manner::Lies, PATIENT).await;
    let error = result.unwrap_err();
    assert!(
        matches!(
            error,
            PowerError::StateMismatch {
                asked: PowerState::On,
                said: PowerState::Off,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_contact_that_needs_a_moment_gets_it() {
    let (_, result) = set_on(Manner::SlowContact(2), PATIENT).await;
    assert_eq!(result.unwrap(), PowerState::On);
}

#[tokio::test]
async fn silence_ends_at_the_bound_of_each_exchange() {
    let (device, result) = set_on(Manner::Silent, SHORT).await;
    assert_eq!(
        result.unwrap_err().to_string(),
        "relay pdu1, outlet 1, asked to switch on: no answer within 1s, tried 3 times"
    );
    assert_eq!(device.asked().len(), 3);
}

#[tokio::test]
async fn half_an_answer_is_not_believed() {
    let (_, result) = set_on(Manner::Halves, PATIENT).await;
    let error = result.unwrap_err();
    assert_eq!(error.code(), "relay-refused");
    assert!(
        error.to_string().contains("broke off after 6 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = handle(&relay(&url), directory.path())
        .read(1)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "relay-unreachable");
    assert!(error.to_string().contains("onnection refused"), "{error}");
}

#[tokio::test]
async fn outlets_that_the_model_cannot_have_are_refused_before_asking() {
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::Obeys).await;
    let handle = handle(&relay(&device.url), directory.path());
    for outlet in [0, 33] {
        let error = handle.set(outlet, false).await.unwrap_err();
        assert_eq!(error.code(), "relay-bad-outlet");
        assert!(error.is_configuration());
    }
    assert!(device.asked().is_empty());
}

#[tokio::test]
async fn credentials_reach_the_device_and_no_error() {
    const PASSWORD: &str = "p&ss=wörd";
    let directory = tempfile::tempdir().unwrap();
    let device = Tasmota::start(Manner::Answers("p&ss=wörd is wrong")).await;
    let mut relay = relay(&device.url);
    relay.driver = RelayDriver::Tasmota {
        url: device.url.clone(),
        credentials: Some(("admin".into(), PASSWORD.into())),
    };
    let error = handle(&relay, directory.path()).read(1).await.unwrap_err();
    assert_eq!(
        device.asked(),
        ["Power1&user=admin&password=p%26ss%3Dw%C3%B6rd"]
    );
    assert_eq!(
        error.to_string(),
        "relay pdu1, outlet 1, asked to read: refused: it answered \"[password] is wrong\""
    );

    drop(device);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    relay.driver = RelayDriver::Tasmota {
        url: format!("http://{}", listener.local_addr().unwrap()),
        credentials: Some(("admin".into(), PASSWORD.into())),
    };
    drop(listener);
    let error = handle(&relay, directory.path()).read(1).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("ss%3D"), "{error:?}");
}
