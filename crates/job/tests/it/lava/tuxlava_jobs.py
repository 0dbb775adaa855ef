"""Draws jobs with tuxlava (PyPI): arguments seed, number of jobs, directory for them."""
import os
import random
import re
import sys

from tuxlava.devices import Device
from tuxlava.exceptions import TuxLavaException
from tuxlava.jobs import Job
from tuxlava.tests import Test

HOST = "https://files.example.com/"
FILES = {
    "ap_romfw": "ap", "bios": "bios.bin", "bl1": "bl1", "boot": "boot.img", "dtb": "board.dtb",
    "fip": "fip", "kernel": "Image.gz", "mcp_fw": "mcp", "mcp_romfw": "mcprom",
    "modules": "modules.tar.xz", "ramdisk": "ramdisk.cpio.gz", "rootfs": "rootfs.ext4.xz",
    "scp_fw": "scp", "scp_romfw": "scprom", "uefi": "uefi.bin",
}
SEED, COUNT, DIRECTORY = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def wishes(draw, tests):
    share = draw.choice([0.2, 0.35, 0.6])
    chosen = {key: HOST + name for key, name in FILES.items() if draw.random() < share}
    if draw.random() < 0.9:
        chosen["kernel"] = HOST + FILES["kernel"]
    options = {
        "tests": draw.sample(tests, draw.choice([1, 2])),
        "commands": ["ls", "cat /proc/version"],
        "parameters": {"LOOPS": "3"},
        "secrets": {"token": "x"},
        "prompt": "root@",
        "visibility": "personal",
        "timeouts": {"boot": 10, "deploy": 5},
    }
    chosen.update((key, value) for key, value in options.items() if draw.random() < 0.2)
    return chosen


def made(device, chosen):
    """The job's text; what tuxlava will not have is left out, what it wants is added."""
    for _ in range(6):
        try:
            job = Job(device=device, **chosen)
            job.initialize()
            return job.render()
        except TuxLavaException as error:
            names = [name.replace("-", "_") for name in re.findall(r"--([a-z0-9-]+)", str(error))]
            unwanted = [name for name in names if chosen.pop(name, None) is not None]
            if not unwanted:
                wanted = [name for name in names if name in FILES and name not in chosen]
                chosen.update((name, HOST + FILES[name]) for name in wanted)
                if not wanted:
                    return None
    return None


def main():
    draw = random.Random(SEED)
    devices = sorted(device.name for device in Device.list())
    tests = sorted(Test.list())
    number, failures = 0, {}
    for attempt in range(COUNT * 6):
        device = devices[attempt % len(devices)]
        text = made(device, wishes(draw, tests))
        if text is None:
            # Some want what cannot be drawn, such as a file on this host.
            failures[device] = failures.get(device, 0) + 1
            if failures[device] == 20 and len(devices) > 1:
                devices.remove(device)
            continue
        with open(os.path.join(DIRECTORY, "%04d.yaml" % number), "w", encoding="utf-8") as file:
            file.write(text)
        number += 1
        if number == COUNT:
            return
    sys.exit("tuxlava made %d jobs of %d" % (number, COUNT) if number == 0 else 0)


main()
