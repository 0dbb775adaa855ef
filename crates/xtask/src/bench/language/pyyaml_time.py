#!/usr/bin/env python3
"""pyyaml_time.py FILE SECONDS LOADER: reads a file of YAML again and again for so long with CSafeLoader or SafeLoader,
and prints JSON: the seconds that each reading took. A file that is refused counts as read."""
import json, sys, time, yaml

path, seconds, loader = sys.argv[1], float(sys.argv[2]), getattr(yaml, sys.argv[3])
with open(path, encoding="utf-8") as file:
    text = file.read()
began, times = time.perf_counter(), []
while not times or time.perf_counter() - began < seconds:
    started = time.perf_counter()
    try:
        yaml.load(text, Loader=loader)
    except yaml.YAMLError:
        pass
    times.append(time.perf_counter() - started)
print(json.dumps({"seconds": times}))
