#!/usr/bin/env python3
"""measure.py FILE LIMIT COMMAND…: runs a command and writes to FILE what it cost the host, as JSON:
{"wall_s", "user_s", "system_s": seconds; "peak_kib": most resident memory; "written_bytes": to file systems, in
whole pages as the kernel accounts them}. Counts the command itself, not what it leaves running behind it.
Peak memory is VmHWM, looked at every 5 ms: rusage's would not fall below that of the interpreter that forked.
After LIMIT seconds the command is killed. Exits as the command does."""
import json, os, select, signal, sys, time

LOOK_EVERY = 0.005
RUSAGE_BLOCK = 512  # ru_oublock counts in these (Linux, kernel/sys.c and task_io_get_oublock).


def peak_kib(pid, known):
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
            return next((int(line.split()[1]) for line in status if line.startswith("VmHWM:")), known)
    except OSError:
        return known


def main():
    file, limit, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    started = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ)
    # Whoever ends this ends the command.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    process, peak = os.pidfd_open(pid), 0
    while not select.select([process], [], [], LOOK_EVERY)[0]:
        peak = peak_kib(pid, peak)
        if time.monotonic() - started > limit:
            os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    cost = {
        "wall_s": time.monotonic() - started,
        "user_s": usage.ru_utime,
        "system_s": usage.ru_stime,
        "peak_kib": peak,
        "written_bytes": usage.ru_oublock * RUSAGE_BLOCK,
    }
    with open(file, "w", encoding="utf-8") as out:
        json.dump(cost, out)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


main()
