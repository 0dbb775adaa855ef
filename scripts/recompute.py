#!/usr/bin/env python3
"""recompute.py RESULTS_DIR [RACK_LOG BOARD [whole]]: checks a run without using any of Basalt's code.
Recomputes results.json's table from the raw files, compares their SHA-256 with what the board wrote and, given
the rack's log, the console: the run's bytes must stand in the rack's, whole except exactly at recorded gaps; with
`whole` they must be all that the rack ever sent. Exit 0: all agree; 1: says what differs."""
import base64, hashlib, itertools, json, math, pathlib, re, sys

def check(good, text):
    good or sys.exit(f"DIFFERS: {text}")

def percentile(bins, overflows, floor, share):
    rank, order = -(-(sum(bins.values()) + overflows) * share // 10000), sorted(bins)
    seen = zip(order, itertools.accumulate(bins[latency] for latency in order))
    return next(({"exact": latency} for latency, count in seen if count >= rank), {"at_least": floor})

def table(raw):  # The command line is not escaped and an average may be -nan: neither is JSON.
    command = re.search(r'"cmdline:": "(.*)"', raw)[1]
    file = json.loads(re.sub(r'"avg": -?(nan|inf)', '"avg": 0', raw.replace(command, "", 1)))
    unit, up = 1000 if file["resolution_in_ns"] else 1, lambda value: -(-value // unit)  # ns: rounded up.
    threads = [thread for thread in file["thread"].values() if thread["cycles"]]
    bins, samples = {}, sum(thread["cycles"] for thread in threads)
    for latency, count in (item for thread in threads for item in thread["histogram"].items()):
        bins[up(int(latency))] = bins.get(up(int(latency)), 0) + count
    size = re.search(r"\s(?:-\w*[hH] ?|--histo\w+[= ])(\d+)", command)
    floor = up(int(size[1])) if size else max(bins, default=-1) + 1
    overflows = samples - sum(bins.values()) if bins or size else 0
    return samples and {
        "samples": samples, "min": up(min(thread["min"] for thread in threads)),
        "avg": sum(thread["avg"] * thread["cycles"] for thread in threads) / samples / unit,
        "max": up(max(thread["max"] for thread in threads)), "overflows": overflows,
        "percentiles": {name: percentile(bins, overflows, floor, share) if bins or size else None
            for name, share in (("p50", 5000), ("p99", 9900), ("p99.9", 9990), ("p99.99", 9999))}} or None

directory = pathlib.Path(sys.argv[1])
results = json.loads((directory / "results.json").read_text())
for file in results["raw_files"]:
    digest = hashlib.sha256((directory / file["path"]).read_bytes()).hexdigest()
    check(digest == file["sha256"] == file["board_sha256"], f"SHA-256 of {file['path']} is {digest}")
for name, theirs, raw in ((one["suite"], one["totals"], one["raw_file"]) for one in results["phases"]):
    check(not raw or raw["path"] in [file["path"] for file in results["raw_files"]], f"{name}: raw file not listed")
    try:
        mine = raw and table((directory / raw["path"]).read_text(errors="replace"))
    except (ValueError, TypeError, KeyError):
        mine = None  # A broken file has no numbers, in results.json neither.
    close = mine and theirs and math.isclose(mine["avg"], theirs["avg"]) and {**mine, "avg": theirs["avg"]} == theirs
    check(close or mine == theirs, f"{name}: recomputed {mine}, results.json says {theirs}")
    print(name, json.dumps(mine))
print(f"{len(results['phases'])} phases and {len(results['raw_files'])} raw files agree")
if len(sys.argv) > 3:
    log = (json.loads(line) for line in open(sys.argv[2]) if line.endswith("\n"))  # Others go on: the last may be cut.
    sent = b"".join(base64.b64decode(e["b64"]) for e in log if e.get("ev") == "tx" and e["board"] == sys.argv[3])
    console, at, lost = (directory / results["console"]["file"]).read_bytes(), 0, []
    cuts = [0, *(gap["offset"] for gap in results["console"]["gaps"]), len(console)]
    for piece in (console[start:end] for start, end in zip(cuts, cuts[1:])):
        found = sent.find(piece, at)
        check(found >= 0, f"{len(piece)} bytes of the console were not sent after byte {at}: {piece[:60]!r}")
        lost, at = lost + [found - at], found + len(piece)
    whole = not lost[0] and (sent.endswith(piece) if len(lost) > 1 else at == len(sent))
    check(whole or "whole" not in sys.argv, f"the rack sent {lost[0]} bytes before and {len(sent) - at} after")
    print(f"console: {len(console)} bytes agree, {len(lost) - 1} gaps; {lost[0]} sent before, {len(sent) - at} after")
