use super::*;
use proptest::prelude::*;

fn watch(text: &str) -> Vec<WatchEvent> {
    let mut watch = KernelWatch::new();
    let mut events = watch.feed(0, UtcMicros(7), text.as_bytes());
    events.extend(watch.flush());
    events
}

fn reports(text: &str) -> Vec<(String, String, bool)> {
    watch(text)
        .into_iter()
        .filter_map(|event| match event {
            WatchEvent::Report(report) => Some((report.kind, report.text, report.fatal)),
            _ => None,
        })
        .collect()
}

fn kinds(text: &str) -> Vec<String> {
    reports(text).into_iter().map(|report| report.0).collect()
}

const BOOT: &str = "\r\n\r\nU-Boot 2023.01+dfsg-2+deb12u1 (Feb 03 2025 - 10:00:00 +0000)\r\n\
    \r\nDRAM:  256 MiB\r\nStarting kernel ...\r\n\r\n\
    [    0.000000] Booting Linux on physical CPU 0x0000000000 [0x411fd070]\r\n\
    [    0.000000] Linux version 6.1.0-rt (a@b) #1 SMP PREEMPT_RT (2025-01-01)\r\n";

const OOPS: &str = "[   12.000001] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000\r\n\
    [   12.000002] Mem abort info:\r\n\
    [   12.000003] Internal error: Oops: 0000000096000045 [#1] PREEMPT_RT SMP\r\n\
    [   12.000004] CPU: 0 PID: 1 Comm: sh Not tainted 6.1.0\r\n\
    lava-test output between\r\n\
    [   12.000005] Call trace:\r\n\
    [   12.000006]  sysrq_handle_crash+0x20/0x30\r\n\
    [   12.000007] ---[ end trace 0000000000000000 ]---\r\n";

const PANIC: &str = "[   12.000008] Kernel panic - not syncing: sysrq triggered crash\r\n\
    [   12.000009] CPU: 0 PID: 1 Comm: sh\r\n\
    [   12.000010] Kernel Offset: disabled\r\n\
    [   12.000011] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\r\n";

#[test]
fn a_boot_shows_its_loader_and_its_kernel() {
    let events = watch(BOOT);
    assert!(
        matches!(&events[0], WatchEvent::LoaderBanner { offset: 4, line, .. }
            if line.starts_with("U-Boot 2023.01+dfsg")),
        "{events:?}"
    );
    assert!(
        matches!(&events[1], WatchEvent::KernelStart { line, after_loader: true, .. }
            if line == "Linux version 6.1.0-rt (a@b) #1 SMP PREEMPT_RT (2025-01-01)"),
        "{events:?}"
    );
    assert_eq!(events.len(), 2);
}

#[test]
fn a_banner_that_a_program_prints_again_follows_no_loader() {
    let text = format!("{BOOT}# cat /proc/version\r\nLinux version 6.1.0-rt (a@b) #1\r\n");
    let events = watch(&text);
    assert!(matches!(
        events[2],
        WatchEvent::KernelStart {
            after_loader: false,
            ..
        }
    ));
}

#[test]
fn an_oops_and_the_panic_after_it_are_two_whole_reports() {
    let text = format!("# echo c > /proc/sysrq-trigger\r\n{OOPS}{PANIC}");
    let found = reports(&text);
    let kinds: Vec<_> = found.iter().map(|report| (&*report.0, report.2)).collect();
    assert_eq!(kinds, [("oops", false), ("panic", true)]);
    let whole = |text: &str| text.replace('\r', "").trim_end().to_owned();
    assert_eq!(found[0].1, whole(OOPS));
    assert_eq!(found[1].1, whole(PANIC));
}

#[test]
fn offsets_are_those_of_the_first_lines_start_in_the_raw_stream() {
    let before = "\x1b[1mx\x1b[0m\r\r\n\x1b[2K";
    let text = format!("{before}[    1.000000] sched: RT throttling activated\n");
    let mut watch = KernelWatch::new();
    let events = watch.feed(1000, UtcMicros(3), text.as_bytes());
    let line_start = 1000 + before.len() as u64 - "\x1b[2K".len() as u64;
    assert!(
        matches!(&events[..], [WatchEvent::Report(report)]
            if report.kind == "rt_throttling" && report.offset == line_start
                && report.read_at == UtcMicros(3)),
        "{events:?} {line_start}"
    );
}

#[test]
fn a_panic_that_reboots_ends_with_its_announcement_and_one_that_hangs_is_pending() {
    let start = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n";
    let found = reports(&format!(
        "{start}CPU: 0\nRebooting in 10 seconds..\nnoise\n"
    ));
    assert_eq!(found.len(), 1);
    assert!(found[0].1.ends_with("Rebooting in 10 seconds.."));

    let mut watch = KernelWatch::new();
    assert_eq!(watch.feed(0, UtcMicros(1), start.as_bytes()), []);
    let pending = watch.pending().unwrap();
    assert_eq!((pending.kind, pending.fatal), ("panic", true));
    assert_eq!(watch.flush().len(), 1);
    assert_eq!(watch.pending(), None);

    let reset = format!("{start}CPU: 0\n\nU-Boot SPL 2024.01 (x)\n");
    let events = super::KernelWatch::new().feed(0, UtcMicros(0), reset.as_bytes());
    assert!(matches!(
        events[..],
        [WatchEvent::Report(_), WatchEvent::LoaderBanner { .. }]
    ));
}

#[test]
fn a_panic_in_the_middle_of_a_line_is_seen() {
    let text =
        "lava-test: # T: 0 ( 512) P:99[   99.123456][    C0] Kernel panic - not syncing: x\r\n";
    assert_eq!(kinds(text), ["panic"]);
}

#[test]
fn a_warning_is_whole_from_the_cut_to_the_end_of_its_trace() {
    let text = "[ 3.000000] ------------[ cut here ]------------\n\
        [    3.000001] ------------[ cut here ]------------\n\
        [    3.000002] WARNING: CPU: 0 PID: 1 at kernel/x.c:12 f+0x10/0x20\n\
        [    3.000003] Call trace:\n[    3.000004]  f+0x10/0x20\n\
        [    3.000005] ---[ end trace 0000000000000000 ]---\n\
        [    3.000006] usb 1-1: new device\n";
    let found = reports(text);
    let last = found.last().unwrap();
    assert_eq!(last.0, "warning");
    assert!(last.1.starts_with("[    3.000001] ---"), "{}", last.1);
    assert!(last.1.ends_with("---[ end trace 0000000000000000 ]---"));
}

#[test]
fn a_kernel_bug_is_a_bug() {
    let text = "------------[ cut here ]------------\nkernel BUG at mm/slub.c:321!\n\
        Internal error: Oops - BUG: 0 [#1] PREEMPT_RT SMP\n---[ end trace 0 ]---\n";
    assert_eq!(kinds(text), ["bug"]);
}

#[test]
fn reports_without_an_end_stop_where_the_kernel_talks_of_something_else() {
    let text = "[    5.000000] BUG: sleeping function called from invalid context at x.c:1\r\n\
        [    5.000001] in_atomic(): 1, irqs_disabled(): 128\r\n\
        [    5.000002] CPU: 0 PID: 9 Comm: x\r\n\
        [    5.000003] Call trace:\r\n\
        [    5.000004]  dump_backtrace+0x0/0x1a0\r\n\
        [    5.000005]  ___might_sleep+0x1/0x2\r\n\
        [    5.000006] eth0: link up\r\n";
    let found = reports(text);
    assert_eq!(found[0].0, "bug");
    assert!(
        found[0].1.ends_with("___might_sleep+0x1/0x2"),
        "{}",
        found[0].1
    );
}

#[test]
fn stalls_lockups_and_sanitizers_have_their_names() {
    for (text, kind) in [
        (
            "[   60.000000] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n[   60.000001] rcu: \t0-...!: (1 GPs behind)\n",
            "rcu_stall",
        ),
        (
            "[   60.000000] rcu: INFO: rcu_preempt self-detected stall on CPU\n",
            "rcu_stall",
        ),
        (
            "[   60.000000] INFO: rcu_sched self-detected stall on CPU { 0}\n",
            "rcu_stall",
        ),
        (
            "[   60.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [x:1]\n",
            "soft_lockup",
        ),
        (
            "[   60.000000] watchdog: Watchdog detected hard LOCKUP on cpu 0\n",
            "hard_lockup",
        ),
        (
            "[   60.000000] NMI watchdog: Watchdog detected hard LOCKUP on cpu 1\n",
            "hard_lockup",
        ),
        (
            "[  120.000000] INFO: task kworker/0:1:12 blocked for more than 120 seconds.\n",
            "hung_task",
        ),
        (
            "==================================================================\nBUG: KASAN: slab-out-of-bounds in f+0x1/0x2\nRead of size 4\n==================================================================\n",
            "kasan",
        ),
        (
            "BUG: KFENCE: use-after-free read in f\n==================================================================\n",
            "kfence",
        ),
        (
            "[    1.000000] Unhandled fault: alignment exception (0x001) at 0xb6f\n",
            "fault",
        ),
        (
            "BUG: scheduling while atomic: swapper/0/0/0x00000002\n",
            "bug",
        ),
        (
            "[    1.000000] WARNING: possible circular locking dependency detected\n[    1.000001] 6.1 Not tainted\n",
            "warning",
        ),
        (
            "[    1.000000] Out of memory: Killed process 12 (x)\n",
            "oom",
        ),
    ] {
        assert_eq!(kinds(text), [kind], "{text}");
    }
}

#[test]
fn what_programs_and_loaders_print_is_no_report() {
    for text in [
        "WARNING: Caches not enabled\n",
        "*** Warning - bad CRC, using default environment\n",
        "BUG: my test found one\n",
        "WARNING: cyclictest was started with -b\n",
        "# dmesg | grep 'Kernel panic - not syncing'\n",
        "# grep -c 'BUG: scheduling while atomic' log\n",
        "ver=U-Boot 2023.01 (x)\n",
        "checking \"Linux version 6\"\n",
        "Oops: no such file\n",
    ] {
        assert_eq!(watch(text), [], "{text}");
    }
}

#[test]
fn the_rest_of_a_line_that_was_flushed_begins_no_report_but_shows_a_banner() {
    let mut watch = KernelWatch::new();
    watch.feed(0, UtcMicros(1), b"# echo ");
    assert_eq!(watch.flush(), []);
    let rest = b"Kernel panic - not syncing\r\n# ";
    assert_eq!(watch.feed(7, UtcMicros(1), rest), []);
    assert_eq!(watch.flush(), []);
    let reset = b"U-Boot 2024.01 (x)\r\n";
    let events = watch.feed(7 + rest.len() as u64, UtcMicros(1), reset);
    assert!(matches!(events[..], [WatchEvent::LoaderBanner { .. }]));
}

#[test]
fn a_report_is_bounded() {
    let mut text = String::from("[    1.000000] ------------[ cut here ]------------\n");
    for index in 0..5000 {
        text.push_str(&format!(
            "[    1.000001] line {index} of something endless\n"
        ));
    }
    let found = reports(&text);
    assert_eq!(found.len(), 1);
    assert!(found[0].1.len() <= MAX_REPORT + 100);
    assert!(found[0].1.ends_with("(longer; the rest is in the console)"));
}

proptest! {
    #[test]
    fn what_is_seen_does_not_depend_on_how_the_stream_is_cut(
        parts in proptest::collection::vec(0usize..9, 1..12),
        noise in proptest::collection::vec(any::<u8>(), 0..40),
        cuts in proptest::collection::vec(0usize..4000, 0..20),
    ) {
        let known = [
            BOOT, OOPS, PANIC, "\r\r\n", "x\x1b[31my", "[    1.000000] WARNING: odd\n",
            "[    2.000000] rcu: INFO: rcu_preempt self-detected stall on CPU\r\n", "plain\n",
        ];
        let stream: Vec<u8> = parts
            .iter()
            .flat_map(|part| known.get(*part).map_or(&*noise, |text| text.as_bytes()))
            .copied()
            .collect();
        let mut whole = KernelWatch::new();
        let mut expected = whole.feed(50, UtcMicros(1), &stream);
        expected.extend(whole.flush());

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        let mut cut_up = KernelWatch::new();
        let mut seen = Vec::new();
        let mut from = 0;
        for to in cuts {
            seen.extend(cut_up.feed(50 + from as u64, UtcMicros(1), &stream[from..to]));
            from = to;
        }
        seen.extend(cut_up.flush());
        prop_assert_eq!(seen, expected);
    }
}
