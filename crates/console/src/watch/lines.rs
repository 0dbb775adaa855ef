//! What one line of a kernel or boot loader is, by its text.
//!
//! Texts are those of Linux 4.x to 6.x (`kernel/panic.c`, `kernel/rcu/tree_stall.h`,
//! `kernel/watchdog.c`, `kernel/hung_task.c`, `mm/kasan/report.c`, the architectures' traps) and
//! include LAVA 2026.07's table of kernel messages. A text counts where printk would put it: at
//! the start of a line or after a time stamp anywhere in one. Words that others print too
//! (`WARNING:`, `BUG:`) need a time stamp or the rest of the kernel's wording.

use std::sync::LazyLock;

use regex::Regex;

/// How far a report goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// This line.
    Line,
    /// Up to and with `---[ end trace … ]---`.
    Trace,
    /// Up to and with a line of `=`.
    Rule,
    /// Lockdep's free text, up to the end of its stack trace.
    Lockdep,
    /// Lines that look like details, and a stack trace.
    Details,
    /// Up to and with `---[ end Kernel panic` or the announcement of the reboot.
    Panic,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A report begins.
    Begins(&'static str, Extent),
    /// A kernel names itself; the place of `Linux version`.
    Kernel(usize),
    /// A boot loader names itself; the place of its name.
    Loader(usize),
    /// A boot loader hands over.
    Handover,
    /// Anything else.
    Other,
}

struct Rule {
    kind: &'static str,
    extent: Extent,
    /// Holds after a time stamp.
    stamped: Regex,
    /// Holds without one; nothing if `stamped` does.
    bare: Option<Regex>,
}

fn regex(pattern: &str) -> Regex {
    match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => unreachable!("a built-in pattern is a regular expression: {error}"),
    }
}

fn rule(kind: &'static str, extent: Extent, pattern: &str) -> Rule {
    Rule {
        kind,
        extent,
        stamped: regex(pattern),
        bare: None,
    }
}

fn rule_with_bare(kind: &'static str, extent: Extent, pattern: &str, bare: &str) -> Rule {
    Rule {
        bare: Some(regex(bare)),
        ..rule(kind, extent, pattern)
    }
}

/// In the order in which they are tried.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    vec![
        rule(
            "panic",
            Extent::Panic,
            r"^(?:Kernel panic - not syncing|---\[ end Kernel panic)",
        ),
        rule("unknown", Extent::Trace, r"^-+\[ cut here \]-+"),
        rule("kasan", Extent::Rule, r"^BUG: KASAN: "),
        rule("kfence", Extent::Rule, r"^BUG: KFENCE: "),
        rule("kcsan", Extent::Rule, r"^BUG: KCSAN: "),
        rule("kmsan", Extent::Rule, r"^BUG: KMSAN: "),
        rule(
            "soft_lockup",
            Extent::Details,
            r"^(?:watchdog: )?BUG: soft lockup - CPU#\d",
        ),
        rule(
            "hard_lockup",
            Extent::Details,
            r"^(?:NMI )?[Ww]atchdog: (?:Watchdog detected hard LOCKUP|CPU \d+ .*hard LOCKUP|.*hard LOCKUP on cpu)",
        ),
        rule(
            "rcu_stall",
            Extent::Details,
            r"^(?:rcu: )?INFO: rcu\w* (?:detected (?:expedited )?stalls|self-detected stall)",
        ),
        rule(
            "hung_task",
            Extent::Details,
            r"^INFO: task .+:\d+ (?:is )?blocked (?:\S+ ){0,5}?for more than \d+ seconds",
        ),
        rule_with_bare(
            "oops",
            Extent::Trace,
            r"^(?:Unable to handle kernel |BUG: (?:unable to handle |kernel NULL pointer )|Internal error: |Oops(?: -|:)|general protection fault|invalid opcode: |kernel BUG at )",
            r"^(?:Unable to handle kernel .*address|BUG: (?:unable to handle (?:kernel|page fault)|kernel NULL pointer dereference)|(?:Internal error|Oops|invalid opcode): .*\[#\d+\]|general protection fault.*\[#\d+\]|kernel BUG at \S+:\d+!)",
        ),
        rule(
            "warning",
            Extent::Lockdep,
            r"^WARNING: (?:possible (?:circular|recursive|irq lock|deadlock)|suspicious RCU usage|inconsistent lock state|bad unlock balance|\S+-safe -> \S+-unsafe)",
        ),
        rule_with_bare(
            "bug",
            Extent::Details,
            r"^BUG: ",
            r"^BUG: (?:scheduling while atomic|sleeping function called from invalid context|workqueue lockup|spinlock |Bad page |Bad rss|using \w+\(\) in preemptible|Invalid wait context)",
        ),
        rule_with_bare(
            "warning",
            Extent::Details,
            r"^WARNING: ",
            r"^WARNING: (?:CPU: \d+ PID: \d+ at |at \S+:\d+ |\S+\.[ch]:\d+ at )",
        ),
        rule_with_bare(
            "fault",
            Extent::Line,
            r"^Unhandled fault",
            r"^Unhandled fault: .*at 0x",
        ),
        rule(
            "rt_throttling",
            Extent::Line,
            r"^(?:\[sched_delayed\] )?sched: (?:RT|DL) (?:throttling activated|replenish lagged)",
        ),
        rule(
            "oom",
            Extent::Line,
            r"^(?:Out of memory|Memory cgroup out of memory): Kill",
        ),
    ]
});

/// A time stamp of printk, with the caller where CONFIG_PRINTK_CALLER adds it.
static STAMP: LazyLock<Regex> = LazyLock::new(|| regex(r"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? ?"));

/// Words of which at least one stands in every line that matters.
static WORDS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"Kernel panic|cut here|BUG|LOCKUP|INFO: |Unable to handle|Internal error|Oops|protection fault|invalid opcode|WARNING: |Unhandled fault|throttling|replenish|ut of memory|Linux version|U-Boot |barebox |Starting kernel|EFI stub: ",
    )
});

/// A boot loader's banner. Line noise of the power switch may stand before it, text may not.
static LOADER: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?:^|[^ -~])(?P<banner>(?:U-Boot (?:SPL |TPL |VPL )?|barebox )20\d\d[.-])")
});

static HANDOVER: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^(?:Starting kernel \.\.\.|EFI stub: Booting Linux)"));

static KERNEL: LazyLock<Regex> = LazyLock::new(|| regex(r"^Linux version \d"));

/// Whether a line carries a time stamp of printk.
pub(super) fn is_stamped(line: &str) -> bool {
    STAMP.is_match(line)
}

/// The kernel's message in a line: what stands after the last time stamp, or all of it.
pub(super) fn message(line: &str) -> &str {
    let start = STAMP.find_iter(line).last().map_or(0, |stamp| stamp.end());
    &line[start..]
}

/// What a line is. `whole`: it is no rest of a line that was cut. A rest can still be the first
/// that a board says after a reset, so banners count in it.
pub(super) fn classify(line: &str, whole: bool) -> Class {
    if !WORDS.is_match(line) {
        return Class::Other;
    }
    if let Some(banner) = LOADER
        .captures(line)
        .and_then(|captures| captures.name("banner"))
    {
        return Class::Loader(banner.start());
    }
    let stamps = STAMP.find_iter(line).map(|stamp| (stamp.end(), true));
    for (start, stamped) in std::iter::once((0, false)).chain(stamps) {
        let message = &line[start..];
        if KERNEL.is_match(message) {
            return Class::Kernel(start);
        }
        if HANDOVER.is_match(message) {
            return Class::Handover;
        }
        if !whole && !stamped {
            continue;
        }
        let rule = RULES.iter().find(|rule| match (&rule.bare, stamped) {
            (Some(bare), false) => bare.is_match(message),
            _ => rule.stamped.is_match(message),
        });
        if let Some(rule) = rule {
            return Class::Begins(rule.kind, rule.extent);
        }
    }
    Class::Other
}

static END_TRACE: LazyLock<Regex> = LazyLock::new(|| regex(r"-+\[ end trace \w* ?\]-+"));
static END_RULE: LazyLock<Regex> = LazyLock::new(|| regex(r"={20,}"));
static END_PANIC: LazyLock<Regex> =
    LazyLock::new(|| regex(r"---\[ end Kernel panic|Rebooting in \d+ seconds"));
static CALL_TRACE: LazyLock<Regex> = LazyLock::new(|| regex(r"^[Cc]all [Tt]race"));
/// What stands before and in stack traces.
static DETAIL: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"^(?:\s|$|CPU: |CPU#|Modules linked in|Hardware name|Tainted|[Cc]all [Tt]race|in_atomic|preempt_count|RCU nest depth|INFO: lockdep|INFO: Slab|\d+ locks? held|no locks held|irq event stamp|hardirqs|softirqs|Preemption disabled|task:|"echo 0|Workqueue|Stopper|Kernel panic - |pstate|pc :|lr :|sp :|pc is |lr is |PC is |LR is |psr|x\d|r\d|RIP|RSP|R[A-Z0-9]{2}|FS:|CS:|CR\d|DR\d|Code|Stack|Exception|rcu: |Sending NMI|NMI backtrace|Task dump|Mem abort|Kernel Offset|Dumping ftrace|page:|flags:|raw:|page dumped|Showing busy|Showing backtraces|pending|pool )"#,
    )
});
/// What stands in stack traces.
static FRAME: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^(?:\s|[Cc]all [Tt]race|</?[A-Z]+>|Code: |R[A-Z0-9]{2}: |\[<[0-9a-f]+>\])")
});

/// Whether a line is the last of a report.
pub(super) fn ends(extent: Extent, line: &str) -> bool {
    match extent {
        Extent::Line => true,
        Extent::Trace => END_TRACE.is_match(line),
        Extent::Rule => END_RULE.is_match(line),
        Extent::Panic => END_PANIC.is_match(line),
        Extent::Lockdep | Extent::Details => false,
    }
}

/// Whether a message begins a stack trace.
pub(super) fn begins_trace(message: &str) -> bool {
    CALL_TRACE.is_match(message)
}

/// Whether a message can stand in a stack trace.
pub(super) fn is_frame(message: &str) -> bool {
    FRAME.is_match(message)
}

/// Whether a message is a detail of the report before it.
pub(super) fn is_detail(message: &str) -> bool {
    DETAIL.is_match(message)
}

/// The kind of a report that began with `cut here`, or was taken for an oops, by its whole text.
pub(super) fn kind_of(kind: &'static str, text: &str) -> &'static str {
    if kind != "unknown" && kind != "oops" {
        return kind;
    }
    if text.contains("kernel BUG at") {
        "bug"
    } else if text.contains("Oops") || kind == "oops" {
        "oops"
    } else if text.contains("UBSAN:") {
        "ubsan"
    } else if text.contains("BUG:") {
        "bug"
    } else if text.contains("WARNING:") {
        "warning"
    } else {
        "unknown"
    }
}
