"""``weft check --law``: the plain call against the durable run, on real files, in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from weft.client.outcomes import difference

FLOW = """
import os
from pathlib import Path
from weft import step, workflow

SEEN = []

def note_call():
    SEEN.append(1)
    return len(SEEN)

class Odd(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a}{b}")

@step
def load(month: int) -> list[int]:
    print("loading", month)
    return [month] * 3

@step
def grow(rows):
    rows.append(1)
    return 0

@step
def fail(n):
    raise Odd(n, "x")

@workflow
def good(months: list[int]):
    return {"rows": [load(m) for m in months], "set": {"a", "b"}, "calls": note_call()}

@workflow
def leans(n: int):
    rows = load(n)
    grown = grow(rows)
    return {"deep": [{"rows": rows, "n": grown}]}

@workflow
def fails(n: int = 1):
    return fail(n)

@workflow
def dies(n: int = 1):
    os._exit(7)

@workflow
def gives_a_generator(n: int = 1):
    return (k for k in range(n))

@workflow
def refused(n: int = 1):
    while n:
        n = load(n)
"""


@pytest.fixture
def check(tmp_path: Path):
    (tmp_path / "flow.py").write_text(FLOW)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "weft.cli.main", "check", *words]
        environment = {**os.environ, "WEFT_HOME": str(tmp_path / "home")}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return run


def test_a_workflow_that_keeps_the_law_is_equal_and_0(check) -> None:
    ended = check("--law", "flow.py:good", "months=1,2")
    assert ended.returncode == 0, ended.stderr
    assert "both end with {'calls': 1, 'rows': [[1, 1, 1], [2, 2, 2]]" in ended.stdout
    assert "loading" not in ended.stdout


def test_a_step_that_changes_its_argument_is_found_with_its_place_and_1(check) -> None:
    ended = check("--law", "flow.py:leans", "n=1", "--json")
    assert ended.returncode == 1, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["equal"], found["where"]) == (False, "value['deep'][0]['rows']")
    assert found["plain"] != found["durable"]
    assert found["run"]


def test_an_exception_with_an_init_of_its_own_is_equal(check) -> None:
    ended = check("--law", "flow.py:fails", "--json")
    assert json.loads(ended.stdout)["plain"] == {"error": "Odd", "message": "Odd('1x')"}
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--law", "flow.py:dies"), "ended with exit code 7"),
        (("--law", "flow.py:gives_a_generator"), "cannot be pickled"),
        (("--law", "flow.py:refused"), "`while` around a step call"),
        (("--law", "flow.py:good"), "needs the parameter 'months'"),
        (("--law", "flow.py"), "has several workflows"),
        (("flow.py:good", "months=1"), "a check runs nothing"),
    ],
)
def test_what_cannot_be_compared_is_an_error_and_2(check, words, message) -> None:
    ended = check(*words)
    assert (ended.returncode, message in ended.stderr) == (2, True), ended.stderr


def test_values_without_a_truth_are_compared_by_their_bytes() -> None:
    class Vague:
        __slots__ = ()

        def __eq__(self, other):
            raise ValueError("no truth")

        __hash__ = None

        def __reduce__(self):
            return str, ("vague",)

    assert difference(Vague(), Vague()) is None
