"""What a loop runs over must stay as it is; a change that the text does not show is found as it happens."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from weft.lang.compiler import compile_workflow
from weft.program.serial import program_to_json

from ..law.harness import durable
from ..law.loading import module_from

HEAD = """
from weft import step, workflow

@step
def inc(n):
    return n + 1

class Box:
    def __init__(self, items):
        self.items = items

    def grow(self):
        self.items.append(1)

def grow(table):
    table["k"].append(1)

@workflow
def main(n):
"""
CHANGES = {
    "another name": "d = {'k': [n]}; ys = d['k']\nfor x in d['k']:\n    ys.append(inc(x))\nreturn d",
    "one of two": "xs = [n]; ys = xs if n else []\nfor x in ys:\n    xs.append(inc(x))\nreturn xs",
    "an attribute": "xs = [n]; box = Box(xs)\nfor x in box.items:\n    xs.append(inc(x))\nreturn xs",
    "a walrus": "d = {'k': [n]}\nfor x in (ys := d['k']):\n    ys.append(inc(x))\nreturn d",
    "an alternative": "d = {'k': [n]}\nfor x in d['k'] or [2]:\n    y = inc(x)\n    d['k'].append(y)\nreturn d",
    "a helper": "d = {'k': [n]}\nfor x in d['k']:\n    y = inc(x)\n    grow(d)\nreturn d, y",
    "an item ahead": "d = {'k': [n, n]}\nfor x in d['k']:\n    d['k'][1] = inc(x)\nreturn d",
    "an inner loop": "d = {'k': [n]}\nys = d['k']\nfor x in d['k']:\n"
    "    for _ in range(2):\n        ys.append(inc(x))\nreturn d",
    "a comprehension": "d = {'k': [n]}\nys = d['k']\nreturn [ys.append(inc(x)) for x in d['k']]",
}
STAYS = {
    "an item behind": "d = {'k': [n, n]}\nfor x in d['k']:\n    d['k'][0] = inc(x)\nreturn d",
    "another item": "d = {'k': [n], 'l': []}\nfor x in d['k']:\n    d['l'].append(inc(x))\nreturn d",
    "another object": "d = {'k': [n, 2]}\nfor x in d['k']:\n    d['k'] = [inc(x)]\nreturn d",
    "a copy": "d = {'k': [n]}; ys = d['k']\nfor x in d['k'][:]:\n    ys.append(inc(x))\nreturn d",
    "an iterator": "d = {'k': [n]}\nfor x in iter([1, 2]):\n    d['k'].append(inc(x))\nreturn d",
}


def ended(text: str) -> tuple[Any, Any]:
    whole = HEAD + "".join(f"    {line}\n" for line in text.split("\n"))
    with tempfile.TemporaryDirectory() as folder, module_from(whole, Path(folder)) as module:
        return module.main.function(1) if text in STAYS.values() else None, durable(module.main, (1,))


@pytest.mark.parametrize("text", CHANGES.values(), ids=CHANGES)
def test_a_change_of_what_a_loop_runs_over_is_found_as_it_happens(text: str) -> None:
    _, found = ended(text)
    code = getattr(found.error, "code", repr(found.error))
    assert code in ("changes-what-it-iterates", "hidden-change")
    assert "runs over" in str(found.error)
    assert found.error.hint


@pytest.mark.parametrize("text", STAYS.values(), ids=STAYS)
def test_a_change_that_the_loop_does_not_see_is_none(text: str) -> None:
    plain, found = ended(text)
    assert (found.value, found.error) == (plain, None)


@pytest.mark.parametrize(
    "text",
    [
        "for e in range(2):\n    xs = [inc(x) for x in xs]",
        "for e in range(2):\n    out = []\n    for x in xs:\n        out.append(inc(x))\n    xs = out",
    ],
)
def test_collecting_anew_in_each_round_is_not_watched(text: str) -> None:
    body = "xs = [n]\n" + text + "\nreturn xs"
    whole = HEAD + "".join(f"    {line}\n" for line in body.split("\n"))
    with tempfile.TemporaryDirectory() as folder, module_from(whole, Path(folder)) as module:
        assert b"check_items" not in program_to_json(compile_workflow(module.main).program)
