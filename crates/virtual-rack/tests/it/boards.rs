//! The dialogue of simulated boards, from power to shell.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{
    support::{Console, Rack, VERSION, processes_with, until},
    tftp_server::TftpServer,
};

fn one_board(tftp: &TftpServer, more: &str) -> Rack {
    Rack::start(&format!(
        "[[board]]\nkind = 'simulated'\nname = 'b'\ntcp = '127.0.0.1:0'\ntftp_port = {}\ncpus = 2\n{more}\n",
        tftp.address.port()
    ))
}

#[test]
fn a_board_boots_what_it_fetched_over_tftp_into_a_real_shell() {
    let tftp = TftpServer::start();
    let rack = one_board(&tftp, "address = '127.77.0.10'");
    let mut console = Console::attach(&rack, "b");
    rack.power("b", true);
    console.expect("U-Boot 2023.01");
    console.reach_prompt();
    assert!(
        console
            .uboot("frobnicate")
            .contains("Unknown command 'frobnicate' - try 'help'")
    );
    console.uboot("setenv tftpwindowsize 4; setenv greeting hello");
    assert_eq!(console.uboot("printenv greeting"), "greeting=hello\r\n");
    console.uboot("setenv serverip 127.0.0.1");
    let loaded = console.uboot("tftpboot 0x40400000 Image");
    let size = tftp.get("Image").unwrap().len();
    assert!(loaded.contains("Filename 'Image'."), "{loaded}");
    assert!(
        loaded.contains(&format!("Bytes transferred = {size} ({size:x} hex)")),
        "{loaded}"
    );
    let asked = &tftp.asked()[0];
    assert_eq!(asked.file, "Image");
    assert_eq!(asked.client.ip().to_string(), "127.77.0.10");
    assert_eq!(asked.options["blksize"], "1468");
    assert_eq!(asked.options["windowsize"], "4");
    assert!(
        console
            .uboot("tftpboot 0x40400000 gone")
            .contains("TFTP error: 'File not found' (1)")
    );
    console.uboot("tftpboot 0x40400000 Image");
    console.uboot("tftpboot 0x46000000 ramdisk.cpio.gz");
    console.uboot("setenv bootargs console=ttyAMA0 marker=yes");
    console.type_text("booti 0x40400000 0x46000000:${filesize} ${fdtcontroladdr}\r");
    console.expect("Starting kernel ...");
    console.expect(VERSION);
    console.expect("Kernel command line: console=ttyAMA0 marker=yes");
    console.expect("/ # ");
    console.shell("stty cols 500");
    assert_eq!(console.shell("cat /hello.txt"), "from the ramdisk");
    assert_eq!(console.shell("uname -r"), "6.1.0-56-rt-arm64");
    assert_eq!(
        console.shell("uname -v"),
        "#1 SMP PREEMPT_RT Debian 6.1.192-2 (2026-11-01)"
    );
    assert_eq!(
        console.shell("uname -a | cut -d' ' -f1-3"),
        "Linux b 6.1.0-56-rt-arm64"
    );
    assert_eq!(console.shell("cat /proc/version"), VERSION);
    assert_eq!(
        console.shell("cat /proc/cmdline"),
        "console=ttyAMA0 marker=yes"
    );
    assert_eq!(console.shell("cat /sys/kernel/realtime; nproc"), "1\n2");
    assert_eq!(
        console.shell("echo x >/dev/null; head -c 4 /dev/zero | wc -c"),
        "4"
    );
    assert_eq!(console.shell("sh -c 'uname -r'"), "6.1.0-56-rt-arm64");
    assert_eq!(rack.counter("b", "boots"), 1);
    assert_eq!(rack.counter("b", "tftp_fetches"), 4);
}

#[test]
fn a_file_goes_from_the_board_to_the_host_over_tftp() {
    let tftp = TftpServer::start();
    let rack = one_board(&tftp, "");
    let mut console = Console::attach(&rack, "b");
    rack.power("b", true);
    console.reach_prompt();
    console.boot(tftp.address);
    console.shell("seq 1 2000 >/tmp/numbers");
    let port = tftp.address.port();
    console.shell(&format!(
        "tftp -p -l /tmp/numbers -r up/numbers 127.0.0.1 {port}"
    ));
    let sum = console.shell("sha256sum </tmp/numbers | cut -d' ' -f1");
    let expected: String = (1..=2000).map(|number| format!("{number}\n")).collect();
    assert_eq!(tftp.get("up/numbers").unwrap(), expected.as_bytes());
    assert_eq!(sum.len(), 64);
}

#[test]
fn cutting_the_power_ends_everything_that_ran_on_the_board() {
    let tftp = TftpServer::start();
    let rack = one_board(&tftp, "");
    let mut console = Console::attach(&rack, "b");
    rack.power("b", true);
    console.reach_prompt();
    console.boot(tftp.address);
    console.shell("(setsid sh -c 'while :; do sleep 1; done' </dev/null >/dev/null 2>&1 &)");
    let roots = rack.dir.path().join("run/roots");
    assert!(!processes_with(&roots).is_empty());
    rack.power("b", false);
    until("all processes of the board to end", || {
        processes_with(&roots).is_empty().then_some(())
    });
    until("its root to be removed", || {
        std::fs::read_dir(&roots)
            .unwrap()
            .next()
            .is_none()
            .then_some(())
    });
    rack.power("b", true);
    console.expect("U-Boot 2023.01");
}

#[test]
fn the_rack_takes_its_boards_with_it_even_when_it_is_killed() {
    let tftp = TftpServer::start();
    for signal in ["-TERM", "-KILL"] {
        let mut rack = one_board(&tftp, "");
        let mut console = Console::attach(&rack, "b");
        rack.power("b", true);
        console.reach_prompt();
        console.boot(tftp.address);
        console.shell("(setsid sleep 1000 </dev/null >/dev/null 2>&1 &)");
        let roots = rack.dir.path().join("run/roots");
        assert!(!processes_with(&roots).is_empty());
        rack.end(signal);
        until("all processes of the board to end", || {
            processes_with(&roots).is_empty().then_some(())
        });
    }
}

#[test]
fn reboot_and_reset_lead_back_to_the_boot_loader() {
    let tftp = TftpServer::start();
    let rack = one_board(&tftp, "");
    let mut console = Console::attach(&rack, "b");
    rack.power("b", true);
    console.reach_prompt();
    console.boot(tftp.address);
    console.type_text("reboot -f\n");
    console.expect("reboot: Restarting system");
    console.reach_prompt();
    console.type_text("reset\r");
    console.expect("U-Boot 2023.01");
    until("the third boot", || {
        (rack.counter("b", "boots") == 3).then_some(())
    });
}

#[test]
fn without_interruption_a_board_boots_from_its_disk_or_comes_to_its_prompt() {
    let tftp = TftpServer::start();
    let rack = one_board(
        &tftp,
        "countdown_ms = 10\ndisk_kernel = 'Linux version 5.10.0-disk (f) #7 SMP PREEMPT'\nlogin = 'root'",
    );
    let mut console = Console::attach(&rack, "b");
    rack.power("b", true);
    console.expect("Linux version 5.10.0-disk");
    console.expect("b login: ");
    console.type_text("root\n");
    console.expect("/ # ");
    assert!(
        console
            .shell("uname -rv")
            .ends_with("5.10.0-disk #7 SMP PREEMPT")
    );
    let other = one_board(&tftp, "countdown_ms = 10");
    let mut console = Console::attach(&other, "b");
    other.power("b", true);
    console.expect("No bootable device found");
    console.expect("=> ");
}

#[test]
fn a_hundred_boards_boot_in_one_process() {
    let tftp = TftpServer::start();
    let port = tftp.address.port();
    let config: String = (0..100)
        .map(|number| {
            format!("[[board]]\nkind = 'simulated'\nname = 'b{number}'\ntcp = '127.0.0.1:0'\ntftp_port = {port}\nbootdelay = 60\n")
        })
        .collect();
    let rack = Rack::start(&config);
    for number in 0..100 {
        rack.power(&format!("b{number}"), true);
    }
    // Ten at a time: a wait has a bound, however many of them a host can boot at once.
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= 100 {
                        return;
                    }
                    let name = format!("b{number}");
                    let mut console = Console::attach(&rack, &name);
                    // In the countdown or at the prompt behind it; what it said so far has gone to nobody.
                    console.type_text("\r");
                    console.expect("=> ");
                    console.boot(tftp.address);
                    assert_eq!(console.shell("hostname"), name);
                }
            });
        }
    });
    for number in 0..100 {
        let board = rack.http("GET", &format!("/boards/b{number}"), "");
        assert_eq!(board["power"], true);
        assert_eq!(
            (&board["counters"]["boots"], &board["counters"]["shells"]),
            (&1.into(), &1.into())
        );
    }
}
