"""Draws jobs from a seed and asks LAVA's own schemas about them.

Arguments: seed, number of jobs, directories with jobs to begin with. Prints a JSON list a job:
its text, what the strict and the lax reading say of it (null where they take it), and what the
schema says that LAVA's server holds against what is submitted.
"""
import copy
import glob
import json
import os
import random
import sys

import yaml

VALUES = [
    None, True, False, 0, 1, -1, 5, 1.5, 0.5, 100, 101, 10**12, "", "abc", "5", "true", "all",
    "common", "a b", "a\n", "A/B", "http://a/b", [], ["abc"], [""], [1], [None], [{}], {},
    {"abc": "abc"}, {"abc": 1}, {1: 2}, {"url": "http://a/b"}, {"a": {"url": "x"}},
    {"image": "ab"}, {"minutes": 5}, {"minutes": 5, "seconds": 1}, {"hours": 0}, {"skip": True},
    {"minutes": "5"},
]


def schemas():
    """The three verdicts."""
    from lava_common import schemas as common

    try:
        from django.conf import settings

        settings.configure(EXTRA_CONTEXT_VARIABLES=[])
        from lava_scheduler_app.schema import validate_submission
    except ImportError:  # Only a figure is lost.
        validate_submission = None

    def verdict(function, job, **options):
        if function is None:
            return None
        try:
            function(copy.deepcopy(job), **options)
        except Exception as error:  # Whatever it raises, it refuses.
            return "%s: %s" % (type(error).__name__, error)
        return None

    return lambda job: [
        verdict(common.validate, job, strict=True),
        verdict(common.validate, job, strict=False),
        verdict(validate_submission, job),
    ]


def paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from paths(value[key], path + (key,))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, path + (index,))


def at(value, path):
    for key in path:
        value = value[key]
    return value


def words(jobs):
    """Keys and short texts of all jobs: what a slip of the pen is likely to put somewhere."""
    found = set()
    for job in jobs:
        for path in paths(job):
            found.update(key for key in path if isinstance(key, str))
            value = at(job, path)
            if isinstance(value, str) and len(value) < 30:
                found.add(value)
    return sorted(found)


def change(job, draw, vocabulary):
    """One change: something less, more, renamed, moved, or another value."""
    places = list(paths(job))
    path = draw.choice(places)
    if not path:
        return
    parent, key = at(job, path[:-1]), path[-1]
    value = parent[key]
    what = draw.random()
    if what < 0.2:
        del parent[key]
    elif what < 0.5:
        parent[key] = copy.deepcopy(draw.choice(VALUES))
    elif what < 0.6 and isinstance(parent, dict):
        parent[key + "x" if isinstance(key, str) else "x"] = parent.pop(key)
    elif what < 0.85 and isinstance(value, dict):
        value[draw.choice(vocabulary)] = copy.deepcopy(draw.choice(VALUES))
    elif what < 0.9 and isinstance(value, list):
        value.append(copy.deepcopy(draw.choice(VALUES)))
    elif isinstance(value, str):
        parent[key] = draw.choice(vocabulary)
    elif isinstance(value, dict):
        value[draw.choice(vocabulary)] = copy.deepcopy(at(job, draw.choice(places)))


def main():
    draw = random.Random(int(sys.argv[1]))
    count = int(sys.argv[2])
    texts = []
    for directory in sys.argv[3:]:
        for path in sorted(glob.glob(os.path.join(directory, "*.yaml"))):
            with open(path, encoding="utf-8") as file:
                texts.append(file.read())
    jobs = [yaml.safe_load(text) for text in texts]
    vocabulary = words(jobs)
    verdicts = schemas()
    for number in range(count):
        if number < len(jobs):
            text = texts[number]
        else:
            job = copy.deepcopy(draw.choice(jobs))
            actions = job.get("actions")
            if isinstance(actions, list) and len(actions) > 2 and draw.random() < 0.97:
                job["actions"] = [draw.choice(actions)]
            for _ in range(draw.choice([1, 1, 1, 2, 3])):
                change(job, draw, vocabulary)
            text = yaml.safe_dump(job, sort_keys=False)
        print(json.dumps([text] + verdicts(yaml.safe_load(text))), flush=True)


main()
