"""Compares Basalt's templates with Jinja2 on LAVA's device types: as they are, with variables, and broken.

Arguments: the directory of device types, Basalt's program (the example `batch` of crates/jinja), a
seed, and how many requests to draw. Every type is rendered once as it is. Prints the first
differences and, last, a JSON object with the counts.
"""
import json
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile

import jinja2
import yaml
from jinja2.sandbox import SandboxedEnvironment

types, program, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
draw = random.Random(seed)
names = sorted(name for name in os.listdir(types) if name.endswith(".jinja2"))
texts = {name: open(f"{types}/{name}", encoding="utf-8").read() for name in names}
variables = sorted(
    {found for text in texts.values() for found in re.findall(r"\b([a-z]\w+) *\| *default", text)}
)
VALUES = [
    "x", "telnet localhost 7001", 1, 0, -1, 2.5, True, False, None, "", [], ["a", "b"], {"k": "v"},
    "a'b", "ü", "console=ttyS1,9600n8", ["x y", ["z"]], {"a": [1, None]}, "0x40008000", 10**12,
    "{{ x }}", "- a\n- b",
]
PIECES = list("|'\"()[]{}-+~.,%=!\\0é\n\t") + [
    "{%", "%}", "{{", "}}", "{#", "#}", "==", " not ", " if ", " and ",
]
WORDS = ["x", "default", "join", "upper", "none", "True", "1", "'s'", "if", "nope", "replace", "int", "[]", "{}"]


def mutate(text):
    kind, lines = draw.randrange(12), text.split("\n")
    place = draw.randrange(len(text) + 1)
    line = draw.randrange(len(lines))
    if kind == 0:
        return text[:place] + text[place + 1 :]
    if kind == 1:
        return "\n".join(lines[:line] + lines[line + 1 :])
    if kind == 2:
        return "\n".join(lines[: line + 1] + lines[line:])
    if kind == 3:
        return text[:place]
    if kind == 4:
        return text[:place] + draw.choice(PIECES) + text[place:]
    tags = list(re.finditer(r"\{[%{].*?[%}]\}", text, re.S))
    if not tags:
        return text
    tag = draw.choice(tags)
    before, old, after = text[: tag.start()], tag.group(), text[tag.end() :]
    if kind == 5:
        new = ""
    elif kind == 6:
        new = old.replace("{%", "{%-").replace("{{", "{{-")
    elif kind == 7:
        new = old.replace("%}", "-%}").replace("}}", "-}}")
    elif kind == 8:
        words = list(re.finditer(r"\w+", old))
        word = draw.choice(words) if words else None
        new = old[: word.start()] + draw.choice(WORDS) + old[word.end() :] if word else old
    elif kind == 9:
        at = draw.randrange(len(old))
        new = old[:at] + old[at + 1 :]
    elif kind == 10:
        new = draw.choice(tags).group()
    else:
        new = old.replace("default", draw.choice(["d", "defualt"]))
    return before + new + after


def yaml_quote(value):
    return yaml.safe_dump(value, default_flow_style=True, default_style='"', width=sys.maxsize).strip()


def guest(arch, guestfs_interface):
    return guestfs_interface or ("ide" if arch in ("x86_64", "amd64", "i386") else "virtio")


def environment_of(directories):
    made = SandboxedEnvironment(loader=jinja2.FileSystemLoader(directories), trim_blocks=True)
    made.filters.update(
        yaml_quote=yaml_quote, shlex_quote=shlex.quote, qemu_guest_fs_interface=guest
    )
    return made


plain = environment_of([types])


def expected(request):
    directories = request["directories"]
    environment = plain if len(directories) == 1 else environment_of(directories)
    try:
        return environment.get_template(request["name"]).render(**request["context"])
    except Exception:  # Whatever it is, LAVA refuses the template for it.
        return None


with tempfile.TemporaryDirectory() as scratch:
    requests = [{"directories": [types], "name": name, "context": {}} for name in names]
    for number in range(count):
        name = draw.choice(names)
        chosen = draw.sample(variables, draw.randrange(12)) if draw.random() < 0.8 else []
        request = {
            "directories": [types],
            "name": name,
            "context": {variable: draw.choice(VALUES) for variable in chosen},
        }
        if draw.random() < 0.75:
            parent = re.search(r"extends ['\"]([^'\"]+)", texts[name])
            target = parent.group(1) if parent and draw.random() < 0.4 else name
            text = texts.get(target, "")
            for _ in range(draw.randrange(1, 3)):
                text = mutate(text)
            os.mkdir(f"{scratch}/{number}")
            with open(f"{scratch}/{number}/{target}", "w", encoding="utf-8") as file:
                file.write(text)
            request["directories"].insert(0, f"{scratch}/{number}")
        requests.append(request)
    answers = subprocess.run(
        [program],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.rstrip("\n").split("\n")
    result = {"requests": len(requests), "refused": 0, "differ": 0}
    for request, answer in zip(requests, map(json.loads, answers), strict=True):
        wanted = expected(request)
        result["refused"] += wanted is None
        if wanted != answer.get("text") and " at 0x" not in (wanted or ""):
            result["differ"] += 1
            if result["differ"] <= 5:
                print(request["name"], request["context"], answer.get("error", "another text"))
print(json.dumps(result))
