//! A dispatcher that its server does not answer ends its runs before anybody else can have their
//! boards (decision D2).

use std::time::Duration;

use basalt_clock::since;
use basalt_model::EventBody;

use crate::desk::Desk;
use crate::site::{Dispatcher, Site, until};

const LIMIT: Duration = Duration::from_secs(3);
const HEARTBEAT: Duration = Duration::from_millis(100);

#[test]
fn without_an_answer_for_its_limit_a_dispatcher_ends_its_runs_and_says_when() {
    let site = Site::start(1);
    let desk = Desk::open(&site);
    desk.limits(LIMIT, HEARTBEAT);
    let _dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    site.rack.hold("b0", "Linux version");
    let run = desk.assign(&site, "b0", 1, &site.job(0));
    site.rack.wait_held("b0");
    desk.mute(true);
    let answered = desk.last_answer();
    let told = desk.wait_ended(run);
    assert_eq!(told.failure(), Some("server-away"));
    site.rack.let_go("b0");
    assert!(!site.rack.has_power("b0"), "off before the end was told");
    // Both sides' times, on the one clock of this host: the dispatcher counts from the sending of
    // what was answered last, so it gives up before the server may give its board away.
    let finished = told.finished().unwrap().stamp.boot;
    let error = told.events.iter().find_map(|event| match &event.body {
        EventBody::Log { message, .. } => {
            let (_, rest) = message.split_once("has acknowledged nothing for ")?;
            let (seconds, _) = rest.split_once(" s; the limit is 3 s")?;
            let waited = Duration::from_secs_f64(seconds.parse().unwrap());
            Some((event.stamp.boot, waited))
        }
        _ => None,
    });
    let (said, waited) = error.expect("the time that it waited is on record");
    assert!(waited >= LIMIT, "it gave up after {waited:?}");
    assert!(answered < said && said <= finished);
}

#[test]
fn the_limit_counts_on_while_no_dispatcher_runs() {
    let site = Site::start(1);
    let mut desk = Desk::open(&site);
    desk.limits(LIMIT, HEARTBEAT);
    let dispatcher = Dispatcher::start(&site, &desk.endpoint());
    desk.wait_ready();
    site.rack.hold("b0", "Linux version");
    let run = desk.assign(&site, "b0", 1, &site.job(0));
    site.rack.wait_held("b0");
    let boots = site.rack.counter("b0", "power_on");
    desk.go_away();
    let answered = desk.last_answer();
    dispatcher.kill();
    let clock = basalt_clock::Clock::system();
    until("the limit to be over", || {
        (since(answered, clock.now().boot) > LIMIT + HEARTBEAT).then_some(())
    });
    assert!(
        site.rack.has_power("b0"),
        "nobody was there to switch it off"
    );
    let _next = Dispatcher::start(&site, &desk.endpoint());
    site.wait_off("b0");
    assert_eq!(
        site.rack.counter("b0", "power_on"),
        boots,
        "it was not booted again"
    );
    site.rack.let_go("b0");
    desk.come_back();
    assert_eq!(desk.wait_ended(run).failure(), Some("server-away"));
}
