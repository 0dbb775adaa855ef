"""Records what Jinja2 makes of the templates beside this file: run it again after changing one.

Needs python3-jinja2. LAVA's three filters are stated here as LAVA's programs behave.
"""
import os
import shlex
import sys

import yaml
from jinja2 import FileSystemLoader
from jinja2.sandbox import SandboxedEnvironment

here = os.path.dirname(os.path.abspath(__file__))


def yaml_quote(value):
    return yaml.safe_dump(value, default_flow_style=True, default_style='"', width=sys.maxsize).strip()


def guest(arch, named):
    return named or ("ide" if arch in ("x86_64", "amd64", "i386") else "virtio")


environment = SandboxedEnvironment(
    loader=FileSystemLoader([f"{here}/devices", f"{here}/device-types"]), trim_blocks=True
)
environment.filters["yaml_quote"] = yaml_quote
environment.filters["shlex_quote"] = shlex.quote
environment.filters["qemu_guest_fs_interface"] = guest
target = sys.argv[1] if len(sys.argv) > 1 else f"{here}/golden"
for directory in ("devices", "device-types"):
    for name in sorted(os.listdir(f"{here}/{directory}")):
        text = environment.get_template(name).render()
        with open(f"{target}/{name[:-7]}.yaml", "w", encoding="utf-8") as file:
            file.write(text)
