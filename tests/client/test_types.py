"""Type checkers see through ``@step`` and ``@workflow``."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytest.importorskip("mypy")

GOOD = """
from weft import Run, current, get_run, limit, mutex, step, workflow

@step
def load(month: int) -> list[int]:
    return [month]

@step(retries=2, memory="1GiB")
def total(rows: list[list[int]], *, scale: float = 1.0) -> float:
    return sum(map(sum, rows)) * scale

@step
async def fetch(name: str) -> bytes:
    return name.encode()

@step(timeout="5s")
async def slow(name: str) -> int:
    return len(name)

size = step(len)

@workflow
def sums(months: list[int], scale: float = 1.0) -> float:
    with limit("pool", slots=1), mutex("table"):
        return total([load(m) for m in months], scale=scale)

@workflow
def fetches(name: str) -> bytes:
    return fetch(name)

loaded: list[int] = load(1)
raw: bytes = fetch("a")
count: int = slow.options(retries=1)("a")
value: float = sums([1])
run: Run[float] = sums.options(tags={"a": "b"}).run([1], scale=2.0)
result: float = sums.start([1]).wait().result()
answer: bytes = fetches.run("a").result()
key: str = current().key
again: Run[float] = run.resume()
"""
BAD = {
    'load("1")': 'incompatible type "str"; expected "int"',
    "load()": "Missing positional argument",
    "load(1, 2)": "Too many arguments",
    "total([[1]], scal=2.0)": "Unexpected keyword argument",
    "text0: str = load(1)": 'expression has type "list[int]"',
    "text1: str = fetch('a')": 'expression has type "bytes"',
    "number: str = slow('a')": 'expression has type "int"',
    "sums.run('x')": 'incompatible type "str"; expected "list[int]"',
    "sums.run([1], profile='x')": "Unexpected keyword argument",
    "sums.start()": "Missing positional argument",
    "text2: str = sums.run([1]).result()": 'expression has type "float"',
    "load.options(retries=1)('x')": 'incompatible type "str"; expected "int"',
}


@pytest.mark.slow
def test_mypy_sees_steps_and_workflows_as_their_functions(tmp_path):
    bad = list(BAD)
    (tmp_path / "flow.py").write_text(GOOD + "\n".join(bad) + "\n")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-incremental",
        "--cache-dir",
        str(tmp_path / "cache"),
    ]
    done = subprocess.run([*command, "flow.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    found: dict[int, str] = {}
    for line in done.stdout.splitlines():
        if match := re.match(r"flow\.py:(\d+): error: (.*)", line):
            found[int(match[1])] = found.get(int(match[1]), "") + match[2]
    first = len(GOOD.splitlines()) + 1
    assert [line for line in found if line < first] == [], done.stdout
    for place, text in enumerate(bad):
        assert BAD[text] in found.get(first + place, ""), f"{text}\n{done.stdout}"
