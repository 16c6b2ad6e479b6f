"""Plain helpers: what the compiler finds out about them is never too little."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings

from weft.lang.compiler import compile_workflow
from weft.lang.judging import SourceJudge
from weft.lang.purity import is_harmless
from weft.lang.refusals import CompileErrors
from weft.lang.surroundings import Surroundings
from weft.program.nodes import Glue, Program
from weft.program.tree import all_glue, walk

from ..law.compare import Outcome, outcome_difference, outcome_of
from ..law.harness import durable
from ..law.loading import module_from
from ..law.verdict import compiled_once
from .helper_programs import BLOCKS, HELPER_CALLS, SIMPLE, helper_program, program_of_form


def inputs() -> tuple[list[object], list[object], list[object]]:
    return [[1], [2, [3]], 4], [[5]], [[6]]


def judge(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder, module_from(text, Path(folder)) as module, compiled_once():
        plain = outcome_of(module.main.function, *inputs())
        if isinstance(plain.error, RecursionError):
            return
        for seed in range(2):
            try:
                found = durable(module.main, inputs(), {}, seed)
            except CompileErrors:
                return
            if getattr(found.error, "code", "") == "hidden-change":
                return
            difference = outcome_difference(plain, Outcome(found.value, found.error))
            assert difference is None, difference


RETURNED = ("t0", "a", "[t0, b]", "first(t0)", "{'k': t0}['k']")


FORMS = (*SIMPLE, *BLOCKS, *HELPER_CALLS)


@pytest.mark.parametrize("form", FORMS)
def test_a_helper_of_one_form_is_understood(form: str) -> None:
    judge(program_of_form(form, RETURNED[FORMS.index(form) % len(RETURNED)]))


@pytest.mark.slow
@pytest.mark.parametrize("returned", RETURNED)
def test_a_helper_of_one_form_is_understood_whatever_it_returns(returned: str) -> None:
    for form in FORMS:
        judge(program_of_form(form, returned))


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(helper_program())
def test_a_run_with_generated_helpers_ends_as_the_plain_call(text: str) -> None:
    judge(text)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(helper_program())
def test_many_runs_with_generated_helpers_end_as_the_plain_call(text: str) -> None:
    judge(text)


HEAD = """
import contextlib
import functools
from weft import step, workflow

@step
def inc(n):
    return n + 1

def wrap(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper

CACHE = {}

"""


@contextmanager
def module_of(text: str) -> Iterator[ModuleType]:
    with tempfile.TemporaryDirectory() as folder, module_from(HEAD + text, Path(folder)) as module:
        yield module


def glue_in(program: Program) -> list[Glue]:
    nodes = list(walk(program.body))
    return [
        *(node for node in nodes if isinstance(node, Glue)),
        *(g for node in nodes for g in all_glue(node)),
    ]


UNJUDGED = {
    "generator": "def h(xs):\n    yield xs",
    "closure": "def make():\n    seen = []\n    def h(xs):\n        seen.append(xs)\n    return h\nh = make()",
    "wrapped": "@wrap\ndef h(xs):\n    return len(xs)",
    "cached": "@functools.lru_cache\ndef h(xs):\n    return len(xs)",
    "global name": "def h(xs):\n    global CACHE\n    CACHE = xs",
    "kept in a global": "def h(xs):\n    CACHE['k'] = xs",
    "kept on the module": "import sys\ndef h(xs):\n    sys.modules[__name__].x = xs\n    contextlib.kept = xs",
    "kept in a default": "def h(xs, seen=[]):\n    seen.append(xs)",
    "asynchronous": "async def h(xs):\n    return xs",
    "own scope": "def h(xs):\n    return locals()",
    "evaluated": "def h(xs):\n    exec('xs.append(1)')",
    "class inside": "def h(xs):\n    class K:\n        def m(self):\n            xs.append(1)\n    K().m()",
    "lambda": "h = lambda xs: xs.append(1)",
    "no source": "exec('def h(xs): xs.append(1)')",
    "manager": "@contextlib.contextmanager\ndef h(xs):\n    yield xs",
}


@pytest.mark.parametrize("name", UNJUDGED)
def test_what_cannot_be_judged_may_do_anything(name: str) -> None:
    with module_of(UNJUDGED[name]) as module:
        assert SourceJudge(Surroundings([])).of_callable(module.h) is None


def effects(text: str) -> Any:
    with module_of(text) as module:
        return SourceJudge(Surroundings([module.h])).of_callable(module.h)


@pytest.mark.parametrize(
    "body",
    [
        "return len(xs)",
        "return [x + 1 for x in xs]",
        "ys = list(xs)\n    ys.append(1)\n    return ys",
        "xs = xs.copy()\n    xs['k'] = 1\n    return xs",
        "return sorted(xs, key=lambda x: -x)[0]",
        "return h(xs[1:]) if xs else 0",
    ],
)
def test_a_helper_that_only_reads_changes_nothing(body: str) -> None:
    assert effects(f"def h(xs):\n    {body}\n").changes_nothing


def test_two_helpers_that_call_each_other_are_not_believed() -> None:
    text = "def h(xs):\n    return g(xs)\ndef g(xs):\n    return h(xs) if xs else xs.append(1)\n"
    assert not effects(text).changes_nothing


def test_reading_an_item_may_add_it_where_a_defaultdict_may_be() -> None:
    body = "def h(table):\n    return table['k']\n"
    assert effects(body).changes_nothing
    assert not effects(f"from collections import defaultdict\n{body}").changes_nothing


def test_only_a_class_whose_init_nobody_wrote_is_taken_to_keep_its_arguments() -> None:
    text = "class Cell:\n    def __init__(self, xs):\n        xs.append(1)\n"
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, "<ipython-input-1-abc>", "exec"), names)
    assert not is_harmless(names["Cell"])
    assert is_harmless(dataclass(type("Kept", (), {"__annotations__": {"xs": list}})))
    assert is_harmless(NamedTuple("Pair", [("a", int)]))


def test_a_method_of_the_project_counts_beside_the_known_one() -> None:
    body = "def h(box):\n    return box.get()\n"
    assert effects(body).changes_nothing
    box = "class Box:\n    def get(self):\n        return self.items.pop()\n"
    assert not effects(box + body).changes_nothing


LOOP = """
@workflow
def main(xs, n):
    out = []
    for k in range(n):
        out.append(inc(h(xs)))
    return out, xs
"""


def test_a_helper_that_only_reads_needs_no_check_in_a_loop() -> None:
    with module_of(f"def h(xs):\n    return len(xs)\n{LOOP}") as module:
        program = compile_workflow(module.main).program
    assert not any(glue.checked for glue in glue_in(program))


def test_a_helper_that_changes_its_argument_in_a_loop_runs_as_in_python() -> None:
    with module_of(f"def h(xs):\n    xs.append(len(xs))\n    return xs[-1]\n{LOOP}") as module:
        found = durable(module.main, ([0], 3))
        assert (found.value, found.error) == (([2, 3, 4], [0, 1, 2, 3]), None)


def test_an_edited_helper_is_judged_anew_and_makes_another_program() -> None:
    programs = []
    for body in ("return len(xs)", "xs.append(1)\n    return len(xs)"):
        with module_of(f"def g(xs):\n    {body}\ndef h(xs):\n    return g(xs)\n{LOOP}") as module:
            programs.append(compile_workflow(module.main).program)
    reads, changes = programs
    (before,), (after,) = reads.judged.values(), changes.judged.values()
    assert before != after
    assert reads.body != changes.body
