"""Fix and continue, by generation: a resume with edited code ends as a full run of the edited code.

``WEFT_EDITS_PROGRAMS`` and ``WEFT_LAW_SEED`` make it a longer run, or another one.
"""

from __future__ import annotations

import importlib
import linecache
import os
import random
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from weft.client.door import open_home
from weft.lang.refusals import CompileErrors

from .compare import Outcome, outcome_difference, outcome_of
from .edits import ONLY_LOOKS, edited, makes_functions, outlined
from .generator import program_from_seed
from .pools import write_settings

COUNT = int(os.environ.get("WEFT_EDITS_PROGRAMS", "30"))
QUICK = 6
FIRST = int(os.environ.get("WEFT_LAW_SEED", "0"))
REUSED_PERCENT_MIN = 25
RUN_AND_PLACE = ("in run ", "it was raised there:")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs, with a home of its own; what was imported from it is forgotten."""
    monkeypatch.setenv("WEFT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write_settings(tmp_path)
    return tmp_path


def load(folder: Path, name: str, text: str) -> ModuleType:
    """Write a module and import it as a new process would."""
    folder.joinpath(f"{name}.py").write_text(text)
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    linecache.checkcache()
    return importlib.import_module(name)


def ended(run: Any) -> Outcome:
    """Return how a run ended, without the notes that name the run and the lines, which an edit moves."""
    outcome = outcome_of(run.wait().result)
    if outcome.error is not None:
        notes = getattr(outcome.error, "__notes__", [])
        notes[:] = [note for note in notes if not note.startswith(RUN_AND_PLACE)]
    return outcome


def test_a_resume_with_edited_code_ends_as_a_full_run_of_it(folder: Path) -> None:
    assert _seen_in(folder, range(FIRST, FIRST + QUICK))["checked"] > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_resumes_with_edited_code_end_as_full_runs_and_take_much_over(folder: Path) -> None:
    seen = _seen_in(folder, range(FIRST, FIRST + COUNT))
    # The test means something: much is taken over, and many edits change the outcome.
    assert seen["checked"] > COUNT * 0.8, seen
    assert seen["reused"] * 100 > REUSED_PERCENT_MIN * seen["tasks"], seen
    assert seen["other outcome"] >= COUNT // 6, seen
    assert seen["plans"] > COUNT // 6, seen


def _seen_in(folder: Path, seeds: range) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in seeds:
        name = f"edited_{seed}"
        try:
            _check(folder, name, seed, seen)
        finally:
            sys.modules.pop(name, None)
    return seen


def _check(folder: Path, name: str, seed: int, seen: Counter[str]) -> None:
    choice = random.Random(f"edits-{seed}")
    text = outlined(program_from_seed(seed).text, choice)
    changed, kinds = edited(text, choice)
    before = load(folder, name, text)
    arguments = before.inputs()[seed % 2]
    try:
        old = before.main.options(executor="inline").start(*arguments)
        first = ended(old)
        after = load(folder, name, changed)
        home = open_home()
        plan = home.plan_resume(home.get_run(old.id))
        resumed = home.resume(home.get_run(old.id))
        found = ended(resumed)
        full = ended(after.main.options(executor="inline", cache=False).start(*after.inputs()[seed % 2]))
    except CompileErrors as error:
        seen["refused"] += 1
        seen[error.errors[0].code] += 1
        return
    where = f"seed {seed}, {kinds}"
    assert not outcome_difference(full, found), f"{where}: in full {full}, resumed {found}"
    states = Counter(task.state for task in resumed.tasks())
    is_plain = not makes_functions(text)
    if is_plain and ONLY_LOOKS.issuperset(kinds):
        assert plan.changes == [], where
        assert set(states) <= {"reused", "failed"}, where
        assert not outcome_difference(first, found), f"{where}: at first {first}, resumed {found}"
    if is_plain:
        _check_plan(plan, resumed, where)
        seen["plans"] += 1
    seen["checked"] += 1
    seen["tasks"] += states.total()
    seen["reused"] += states["reused"]
    seen["other outcome"] += bool(outcome_difference(first, found))


def _check_plan(plan: Any, resumed: Any, where: str) -> None:
    """What the plan says is reused is not run; what failed before is no promise."""
    promised = {step.step for step in plan.steps if step.verdict == "reused"}
    ran = {task.path.partition("[")[0] for task in resumed.tasks() if task.state == "succeeded"}
    assert not promised & ran, f"{where}: {promised & ran} was to be reused"
