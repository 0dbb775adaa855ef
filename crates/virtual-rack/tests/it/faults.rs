//! Faults on the way from power to shell.

use crate::{
    support::{Console, Rack, until},
    tftp_server::TftpServer,
};

fn rack(tftp: &TftpServer) -> Rack {
    rack_with(tftp, "")
}

fn rack_with(tftp: &TftpServer, more: &str) -> Rack {
    Rack::start(&format!(
        "[[board]]\nkind = 'simulated'\nname = 'b'\ntcp = '127.0.0.1:0'\ntftp_port = {}\n{more}\n",
        tftp.address.port()
    ))
}

#[test]
fn a_board_hangs_where_it_is_told_until_its_power_is_cut() {
    let tftp = TftpServer::start();
    let rack = rack(&tftp);
    let mut console = Console::attach(&rack, "b");
    let hang = |stage: &str| {
        rack.knobs(
            "b",
            &format!(r#"{{"hang":{{"stage":"{stage}","times":1}}}}"#),
        )
    };
    let hung = |times: u64| {
        until("the hang", || {
            (rack.fired("b", "hang") == times).then_some(())
        })
    };
    hang("uboot");
    rack.power("b", true);
    console.expect("Net:   eth0");
    hung(1);
    rack.power("b", false);
    hang("tftp");
    rack.power("b", true);
    console.reach_prompt();
    console.uboot("setenv serverip 127.0.0.1; setenv ipaddr 127.0.0.1");
    console.type_text("tftpboot 0x40400000 Image\r");
    console.expect("Loading: ");
    hung(2);
    rack.power("b", false);
    hang("kernel");
    rack.power("b", true);
    console.reach_prompt();
    console.uboot("setenv serverip 127.0.0.1; setenv ipaddr 127.0.0.1; tftpboot 0x40400000 Image");
    console.type_text("booti 0x40400000 - ${fdtcontroladdr}\r");
    console.expect("Linux version 6.1.0");
    hung(3);
    rack.power("b", false);
    hang("shell");
    rack.power("b", true);
    console.reach_prompt();
    console.uboot("setenv serverip 127.0.0.1; setenv ipaddr 127.0.0.1; tftpboot 0x40400000 Image");
    console.uboot("tftpboot 0x46000000 ramdisk.cpio.gz");
    console.type_text("booti 0x40400000 0x46000000:${filesize}\r");
    console.expect("/ # ");
    hung(4);
}

#[test]
fn a_board_that_is_held_says_and_does_nothing_until_it_is_let_go() {
    let tftp = TftpServer::start();
    let rack = rack(&tftp);
    let mut console = Console::attach(&rack, "b");
    rack.power("b", true);
    console.reach_prompt();
    // The second time: the first is the echo.
    rack.knobs("b", r#"{"hold":{"after":"half","nth":2}}"#);
    console.type_text("echo half-way; reset\r");
    let held = |times: u64| {
        until("the hold", || {
            (rack.fired("b", "hold") == times).then_some(())
        })
    };
    held(1);
    console.expect("\nhalf");
    let said = || String::from_utf8(rack.logged("b", "tx", "tcp")).unwrap();
    assert!(said().ends_with("\nhalf"), "{}", said());
    assert_eq!(rack.counter("b", "boots"), 1);
    // Another hold lets go of the first.
    rack.knobs("b", r#"{"hold":{"after":"resetting"}}"#);
    held(2);
    assert!(said().ends_with("\nhalf-way\r\nresetting"), "{}", said());
    assert_eq!(rack.counter("b", "boots"), 1);
    rack.knobs("b", r#"{"hold":null}"#);
    console.reach_prompt();
    assert_eq!(rack.counter("b", "boots"), 2);
}

#[test]
fn a_tftp_server_that_does_not_answer_is_given_up_as_u_boot_does() {
    let tftp = TftpServer::start();
    // Given up after eleven of these.
    let rack = rack_with(&tftp, "tftp_timeout_ms = 200");
    let mut console = Console::attach(&rack, "b");
    rack.knobs("b", r#"{"no_tftp":{"times":1}}"#);
    rack.power("b", true);
    console.reach_prompt();
    console.uboot("setenv serverip 127.0.0.1; setenv ipaddr 127.0.0.1");
    let said = console.uboot("tftpboot 0x40400000 Image");
    assert!(said.contains("T T T "), "{said}");
    assert!(
        said.contains("Retry count exceeded; starting again"),
        "{said}"
    );
    assert!(
        console
            .uboot("tftpboot 0x40400000 Image")
            .contains("Bytes transferred")
    );
}

#[test]
fn a_panic_in_boot_is_printed_and_stops_or_reboots() {
    let tftp = TftpServer::start();
    let rack = rack(&tftp);
    let mut console = Console::attach(&rack, "b");
    rack.knobs(
        "b",
        r#"{"panic":{"stage":"boot","reboot_after_ms":10,"times":1}}"#,
    );
    rack.power("b", true);
    console.reach_prompt();
    let boot = |console: &mut Console<std::net::TcpStream>| {
        console
            .uboot("setenv serverip 127.0.0.1; setenv ipaddr 127.0.0.1; tftpboot 0x40400000 Image");
        console.type_text("booti 0x40400000\r");
    };
    boot(&mut console);
    console.expect("Kernel panic - not syncing: Attempted to kill init!");
    console.expect("Rebooting in 1 seconds..");
    console.reach_prompt();
    // Without a ramdisk there is no root either.
    boot(&mut console);
    console.expect("Kernel panic - not syncing: VFS: Unable to mount root fs");
    console.expect("---[ end Kernel panic");
}

#[test]
fn another_kernel_can_be_started_in_place_of_the_fetched_one() {
    let tftp = TftpServer::start();
    let rack = rack(&tftp);
    let mut console = Console::attach(&rack, "b");
    rack.knobs(
        "b",
        r#"{"other_kernel":{"version":"Linux version 4.19.0-old (x) #1 SMP","times":1}}"#,
    );
    rack.power("b", true);
    console.reach_prompt();
    console.boot(tftp.address);
    assert_eq!(console.shell("uname -r"), "4.19.0-old");
    assert!(!console.text().contains("Linux version 6.1.0"));
    assert_eq!(rack.fired("b", "other_kernel"), 1);
}

#[test]
fn kernel_lines_come_in_the_middle_of_others() {
    let tftp = TftpServer::start();
    let rack = rack(&tftp);
    let mut console = Console::attach(&rack, "b");
    rack.power("b", true);
    console.reach_prompt();
    console.boot(tftp.address);
    rack.knobs(
        "b",
        r#"{"printk":{"after":"bef","text":"a printk","times":1}}"#,
    );
    let out = console.shell("echo be''fore");
    assert!(out.starts_with("bef["), "{out}");
    assert!(out.contains("] a printk\nore"), "{out}");
    rack.knobs("b", r#"{"printk":{"every":3,"text":"again","times":5}}"#);
    let out = console.shell("seq 1000 1020");
    assert_eq!(out.matches("again").count(), 5, "{out}");
    assert_eq!(rack.fired("b", "printk"), 6);
}

#[test]
fn a_damaged_ramdisk_ends_in_a_panic() {
    let tftp = TftpServer::start();
    tftp.put("ramdisk.cpio.gz", b"<html>no ramdisk</html>".to_vec());
    let rack = rack(&tftp);
    let mut console = Console::attach(&rack, "b");
    rack.power("b", true);
    console.reach_prompt();
    console.uboot("setenv serverip 127.0.0.1; setenv ipaddr 127.0.0.1; tftpboot 0x40400000 Image");
    console.uboot("tftpboot 0x46000000 ramdisk.cpio.gz");
    console.type_text("booti 0x40400000 0x46000000:${filesize}\r");
    console.expect("Initramfs unpacking failed: invalid magic at start of compressed archive");
    console.expect("Kernel panic - not syncing");
}

#[test]
fn knobs_that_do_not_exist_are_refused() {
    let tftp = TftpServer::start();
    let rack = rack(&tftp);
    let address = rack.http_address();
    let post = |body: &str| {
        crate::support::request(address, "POST", "/boards/b/knobs", body)
            .unwrap()
            .0
    };
    assert_eq!(post(r#"{"frob":{}}"#), 400);
    assert_eq!(post(r#"{"hang":{"stage":"nowhere"}}"#), 400);
    assert_eq!(
        crate::support::request(address, "GET", "/boards/none", "")
            .unwrap()
            .0,
        404
    );
}
