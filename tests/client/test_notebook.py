"""Workflows typed into IPython cells: steps, classes and exceptions live in ``__main__``, which has no file."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("IPython")

SHELL = """
import json, sys
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in json.loads(Path("cells.json").read_text()):
    done = shell.run_cell(cell, store_history=True)
    if done.error_before_exec or done.error_in_exec:
        sys.exit(1)
"""

CELLS = [
    "from weft import step, workflow\nfrom dataclasses import dataclass\nrate = 2",
    """@dataclass
class Point:
    x: int

class Odd(Exception):
    def __init__(self, point):
        super().__init__("odd")
        self.point = point
""",
    """@step
def move(point):
    if point.x > 100:
        raise Odd(point)
    return Point(point.x * rate)
""",
    """@workflow
def moves(xs):
    try:
        move(Point(1000))
    except Odd as odd:
        first = odd
    moved = [move(Point(x)) for x in xs]
    return first, moved, moved[0].x + rate
""",
]


def notebook(project, *cells: str) -> list[str]:
    """Run cells in a shell of their own process and return the lines that they print, prompts left out."""
    project.write("notebook.py", SHELL)
    project.write("cells.json", json.dumps([*cells]))
    ended = project.python("notebook.py", IPYTHONDIR=str(project.folder / "ipython"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [line for line in ended.stdout.splitlines() if not line.startswith("Out[")]


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_classes_and_exceptions_of_cells_are_identical(project, executor):
    said = notebook(
        project,
        *CELLS,
        f"run = moves.options(executor={executor!r}).run([1, 2])\nfirst, moved, last = run.result()",
        "print(moved == [Point(2), Point(4)], type(moved[0]) is Point, type(first) is Odd, first.point, last)",
        "print([task.path for task in run.tasks()], run.workflow)",
    )
    assert said == [
        "True True True Point(x=1000) 4",
        "['move', 'move.2[0]', 'move.2[1]'] moves",
    ]


def test_an_edited_cell_and_a_changed_global_run_again_and_the_rest_is_reused(project):
    said = notebook(
        project,
        "from weft import step, workflow\nrate = 2\nbox = [1]",
        "@step\ndef scale(x):\n    return x * rate\n",
        "@step\ndef add(x):\n    return x + 1\n",
        "@workflow\ndef both(x):\n    return scale(x), add(x), sum(box)\n",
        "def told(run):\n    print(run.wait().result(), [t.state for t in run.tasks()])\n    return run",
        "run = told(both.run(5))",
        "run = told(run.resume())",
        "rate = 3",
        "run = told(run.resume())",
        "@step\ndef add(x):\n    return x + 2\n",
        "box.append(1)",
        "run = told(run.resume())",
        "@workflow\ndef both(x, y=10):\n    return scale(x), add(y)\n",
        "run = told(run.resume(params={'y': 20}))",
    )
    assert said == [
        "(10, 6, 1) ['succeeded', 'succeeded']",
        "(10, 6, 1) ['reused', 'reused']",
        "(15, 6, 1) ['succeeded', 'reused']",
        "(15, 7, 2) ['reused', 'succeeded']",
        "(15, 22) ['reused', 'succeeded']",
    ]


def test_values_travel_as_they_were_when_the_run_started(project):
    said = notebook(
        project,
        "import time\nfrom weft import step, workflow\nrate = 2",
        "@step\ndef scale(x):\n    time.sleep(0.3)\n    return x * rate\n",
        "@workflow\ndef twice(x):\n    return scale(scale(x))\n",
        "run = twice.start(1)\nrate = 50",
        "print(run.wait().result())",
    )
    assert said == ["4"]


def test_helpers_modules_and_frames_of_cells_travel(project):
    pytest.importorskip("pandas")
    project.write("tools.py", "def half(x):\n    return x / 2\n")
    said = notebook(
        project,
        "import pandas as pd\nimport tools\nfrom math import floor\nfrom weft import step, workflow",
        "frame = pd.DataFrame({'a': [1, 2, 3]})\ndef helper(x):\n    return tools.half(x) + len(frame)",
        "@step\ndef work(x):\n    return floor(helper(x)), frame",
        "@workflow\ndef works(x):\n    n, table = work(x)\n    return n, table.assign(b=n)",
        "n, table = works.run(8).result()\nprint(n, type(table) is pd.DataFrame, list(table['b']))",
        "frame = frame.iloc[:1]",
        "from weft import get_run\nrun = get_run().resume().wait()\nprint(run.result()[0])",
    )
    assert said == ["7 True [7, 7, 7]", "5"]


def test_a_run_of_a_notebook_resumed_elsewhere_says_where_to_do_it(project):
    notebook(project, *CELLS, "run = moves.run([1])")
    ended = project.weft("resume")
    assert ended.returncode == 2
    assert "notebook" in ended.stderr or "is not there now" in ended.stderr
