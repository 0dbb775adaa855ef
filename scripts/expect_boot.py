#!/usr/bin/env python3
"""expect_boot.py RECIPE: boots a board as a lab's small expect script does, without any of Basalt's code.

RECIPE is JSON: {"on": URL, "off": URL, "console": [host, port], "limit": seconds,
"steps": [{"name": "…", "expect": "regular expression", "type": "text"}, …]}.
Opens the raw TCP console, asks the relay for power, then takes the steps one after the other: waits for the
expression behind what was found before, types the text. Prints {"name": seconds since just before power-on, …}
for the steps that have a name. Switches the board off in any case. Exit 0: every step came; 1: says which did not."""
import json, re, socket, sys, time, urllib.request


def switch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        answer.read()


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        recipe = json.load(file)
    reached, said, awaited = {}, b"", "the relay"
    with socket.create_connection(recipe["console"], timeout=10) as console:
        console.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            started = time.monotonic()
            switch(recipe["on"])
            for step in recipe["steps"]:
                awaited = step["expect"]
                expression = re.compile(awaited.encode())
                while not (found := expression.search(said)):
                    left = started + recipe["limit"] - time.monotonic()
                    if left <= 0:
                        raise TimeoutError("the time is over")
                    console.settimeout(left)
                    data = console.recv(65536)
                    if not data:
                        raise ConnectionError("the console was closed")
                    said += data
                said = said[found.end():]
                if step.get("name"):
                    reached[step["name"]] = time.monotonic() - started
                console.sendall(step.get("type", "").encode())
        except OSError as error:
            last = said[-400:].decode(errors="replace")
            sys.exit(f"waited for {awaited!r}: {error}; the board said last:\n{last}")
        finally:
            switch(recipe["off"])
    json.dump(reached, sys.stdout)


main()
