"""How long Jinja2 and PyYAML take for what a LAVA server does with a dictionary: render it, load it.

Takes a directory with `devices/` and `device-types/`; prints the seconds of each board as JSON, with
templates compiled already. The other side is crates/lab/examples/lava_profiles.rs.
"""
import json
import os
import sys
import time

import yaml
from jinja2 import FileSystemLoader
from jinja2.sandbox import SandboxedEnvironment

directory = sys.argv[1]
loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
environment = SandboxedEnvironment(
    loader=FileSystemLoader([f"{directory}/devices", f"{directory}/device-types"]),
    trim_blocks=True,
    cache_size=-1,
    auto_reload=False,
)
environment.filters["yaml_quote"] = str
environment.filters["shlex_quote"] = str
environment.filters["qemu_guest_fs_interface"] = lambda arch, named: named or "virtio"
names = sorted(os.listdir(f"{directory}/devices"))
seconds = []
for warm in (False, True):
    for name in names:
        started = time.perf_counter()
        yaml.load(environment.get_template(name).render(), Loader=loader)
        if warm:
            seconds.append(time.perf_counter() - started)
print(json.dumps({"seconds": seconds}))
