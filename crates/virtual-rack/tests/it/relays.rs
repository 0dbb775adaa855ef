//! Relays and the file server.

use std::{fs::OpenOptions, io::Write, net::TcpStream};

use crate::support::{Console, Rack, request, until};

const CONFIG: &str = "
[[relay]]
kind = 'tasmota'
name = 'pdu'
listen = '127.0.0.1:0'
outlets = ['a', 'b', '']
[[relay]]
kind = 'tasmota'
name = 'locked'
listen = '127.0.0.1:0'
outlets = ['']
user = 'lab'
password = 's3'
[[relay]]
kind = 'lcus'
name = 'usb'
pty = 'usb-relay'
outlets = ['c']
[[board]]
kind = 'simulated'
name = 'a'
tcp = '127.0.0.1:0'
[[board]]
kind = 'simulated'
name = 'b'
tcp = '127.0.0.1:0'
[[board]]
kind = 'simulated'
name = 'c'
tcp = '127.0.0.1:0'
";

fn command(rack: &Rack, relay: &str, query: &str) -> (u16, String) {
    let (status, body) = request(rack.relay(relay), "GET", &format!("/cm?{query}"), "").unwrap();
    (status, String::from_utf8(body).unwrap())
}

fn powered(rack: &Rack, board: &str) -> bool {
    rack.http("GET", &format!("/boards/{board}"), "")["power"]
        .as_bool()
        .unwrap()
}

#[test]
fn a_tasmota_relay_switches_reads_back_and_says_unknown_as_the_real_one() {
    let rack = Rack::start(CONFIG);
    let mut console = Console::attach(&rack, "b");
    assert_eq!(
        command(&rack, "pdu", "cmnd=Power2"),
        (200, r#"{"POWER2":"OFF"}"#.into())
    );
    assert_eq!(
        command(&rack, "pdu", "cmnd=Power2%20On"),
        (200, r#"{"POWER2":"ON"}"#.into())
    );
    console.expect("U-Boot");
    assert_eq!(
        command(&rack, "pdu", "cmnd=power2"),
        (200, r#"{"POWER2":"ON"}"#.into())
    );
    assert!(powered(&rack, "b") && !powered(&rack, "a"));
    assert_eq!(
        command(&rack, "pdu", "cmnd=Power2%20off").1,
        r#"{"POWER2":"OFF"}"#
    );
    assert!(!powered(&rack, "b"));
    assert_eq!(
        command(&rack, "pdu", "cmnd=Power9%20On").1,
        r#"{"Command":"Unknown"}"#
    );
    assert_eq!(
        command(&rack, "pdu", "cmnd=Frob").1,
        r#"{"Command":"Unknown"}"#
    );
    assert_eq!(command(&rack, "locked", "cmnd=Power1").0, 401);
    assert_eq!(
        command(&rack, "locked", "cmnd=Power1%20On&user=lab&password=s3").1,
        r#"{"POWER1":"ON"}"#
    );
    let switches: Vec<_> = rack
        .log()
        .into_iter()
        .filter(|line| line["ev"] == "switch")
        .collect();
    assert_eq!(switches.len(), 3);
    assert_eq!(
        (&switches[0]["board"], &switches[0]["on"]),
        (&"b".into(), &true.into())
    );
}

#[test]
fn a_serial_relay_obeys_right_frames_and_ignores_wrong_sums() {
    let rack = Rack::start(CONFIG);
    let link = rack.ready["relays"]["usb"]["pty"]
        .as_str()
        .unwrap()
        .to_owned();
    let send = |frame: &[u8]| {
        OpenOptions::new()
            .write(true)
            .open(&link)
            .unwrap()
            .write_all(frame)
            .unwrap();
    };
    send(&[0xa0, 1, 1, 0xa2]);
    until("power on", || powered(&rack, "c").then_some(()));
    send(&[0xa0, 1, 0, 0xff]);
    until("the wrong frame to be seen", || {
        (rack
            .log()
            .iter()
            .filter(|line| line["ev"] == "relay-rx")
            .count()
            == 2)
            .then_some(())
    });
    assert!(powered(&rack, "c"));
    send(&[0xa0, 1, 0, 0xa1]);
    until("power off", || (!powered(&rack, "c")).then_some(()));
}

#[test]
fn relays_refuse_lie_and_stick_on_demand() {
    let rack = Rack::start(CONFIG);
    rack.knobs("a", r#"{"relay":{"mode":"refuse","times":1}}"#);
    assert_eq!(command(&rack, "pdu", "cmnd=Power1").0, 500);
    assert_eq!(command(&rack, "pdu", "cmnd=Power1%20On").0, 500);
    rack.knobs("a", r#"{"relay":{"mode":"lie","only":"on"}}"#);
    assert_eq!(
        command(&rack, "pdu", "cmnd=Power1%20On").1,
        r#"{"POWER1":"ON"}"#
    );
    assert_eq!(command(&rack, "pdu", "cmnd=Power1").1, r#"{"POWER1":"ON"}"#);
    assert!(!powered(&rack, "a"));
    rack.knobs("a", r#"{"relay":{"mode":"stuck"}}"#);
    assert_eq!(
        command(&rack, "pdu", "cmnd=Power1%20Off").1,
        r#"{"POWER1":"ON"}"#
    );
    assert_eq!(rack.fired("a", "relay"), 3);
    rack.knobs("a", r#"{"relay":{"mode":"refuse-connection"}}"#);
    until("the relay to refuse", || {
        TcpStream::connect(rack.relay("pdu")).is_err().then_some(())
    });
    rack.knobs("a", r#"{"relay":null}"#);
    until("the relay to answer", || {
        request(rack.relay("pdu"), "GET", "/cm?cmnd=Power2", "").ok()
    });
}

#[test]
fn the_file_server_serves_and_fails_as_asked() {
    let rack = Rack::start("");
    let body: Vec<u8> = (0..200_000u32).map(|number| number as u8).collect();
    std::fs::write(rack.dir.path().join("files/image"), &body).unwrap();
    let get = |path: &str| request(rack.http_address(), "GET", path, "").unwrap();
    let plant = |fault: &str| rack.http("POST", "/files-knobs", fault);
    assert_eq!(get("/files/image"), (200, body.clone()));
    assert_eq!(get("/files/none").0, 404);
    assert_eq!(get("/files/..%2frack.toml").0, 404);
    plant(r#"{"path":"image","fault":"not-found","times":1}"#);
    assert_eq!(get("/files/image").0, 404);
    plant(r#"{"path":"image","fault":"html","times":1}"#);
    let (status, page) = get("/files/image");
    assert!(status == 200 && page.starts_with(b"<!DOCTYPE html>"));
    plant(r#"{"path":"image","fault":"truncate","times":1}"#);
    let (status, half) = get("/files/image");
    assert!(status == 200 && half == body[..body.len() / 2]);
    plant(r#"{"path":"image","fault":"redirect","times":1}"#);
    assert_eq!(get("/files/image").0, 302);
    assert_eq!(get("/files-redirected/image").1, body);
    plant(r#"{"path":"image","fault":"slow","bytes_per_second":2000000,"times":1}"#);
    assert_eq!(get("/files/image").1, body);
    let counted = rack.http("GET", "/files-knobs", "");
    assert_eq!(counted["fired"]["image"], 5);
    assert_eq!(counted["requests"]["image"], 6);
}
