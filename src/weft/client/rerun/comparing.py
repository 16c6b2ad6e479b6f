"""Two runs side by side: parameters, code, inputs, results, times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from weft.client.home import Home
from weft.client.rerun.differences import Change, call_changes, reached
from weft.client.rerun.past import Past, step_of
from weft.client.run import Run
from weft.client.starting import short_text
from weft.driver.reuse import without_indexes
from weft.machine.plan import Plan
from weft.model.records import TaskRecord, refs_from_bytes
from weft.model.values import Ref
from weft.program.nodes import Call, Program

DIGEST_SHOWN = 3 + 12
Sameness = Literal["same", "different", "only one has it", "neither has it"]


class Side(msgspec.Struct, kw_only=True):
    """One of the two runs.

    Attributes:
        took_ms: None while it has not ended.
        code: the digest of its pinned code, or "". ``commit``: that it stood on, or "".
        result: what it returned as a short text, or its hash where it is large; or the failure in words.
    """

    run: str
    workflow: str
    state: str
    started_ms: int
    took_ms: int | None
    commit: str
    code: str
    python: str
    profile: str
    result: str


class Pair(msgspec.Struct):
    """Something of both runs, as short texts; None where a run does not have it."""

    name: str
    left: str | None
    right: str | None
    same: bool


class StepPair(msgspec.Struct):
    """One step in both runs.

    Attributes:
        left_tasks, right_tasks: how many tasks it has. ``left_ms``, ``right_ms``: what those took together that
            ended well; of a reused one it is what it took where it ran.
        right_reused, left_reused: how many were taken over from another run.
        inputs, results: whether tasks of the same path had equal inputs, and gave equal results, by content.
        different: paths of tasks with other results, the first ten.
        code: what differs in its code or its call, in words; empty where nothing does.
    """

    step: str
    left_tasks: int = 0
    right_tasks: int = 0
    left_ms: int = 0
    right_ms: int = 0
    left_reused: int = 0
    right_reused: int = 0
    inputs: Sameness = "neither has it"
    results: Sameness = "neither has it"
    different: list[str] = []
    code: list[str] = []


class Comparison(msgspec.Struct):
    """Two runs side by side. ``changes``: what differs in their code, with the steps that it is reached through."""

    left: Side
    right: Side
    same_result: bool
    parameters: list[Pair]
    changes: list[str]
    steps: list[StepPair]


def compare_runs(home: Home, left: Run[Any], right: Run[Any]) -> Comparison:
    """Return two runs side by side."""
    programs = home.program(left.record), home.program(right.record)
    past = Past(programs[0], (), (), (), succeeded=True)
    code = _code_changes(past, programs[1])
    steps = _steps(home, left.id, right.id)
    for step, changes in code.items():
        steps.setdefault(step, StepPair(step)).code = [change.text for change in changes]
    order = {step: place for place, step in enumerate([*past.calls, *_calls(programs[1])])}
    return Comparison(
        left=_side(left, programs[0]),
        right=_side(right, programs[1]),
        same_result=result_digest(left) == result_digest(right),
        parameters=_parameters(home, left, right),
        changes=reached((step, change) for step, changes in code.items() for change in changes),
        steps=sorted(steps.values(), key=lambda pair: order.get(pair.step, len(order))),
    )


def _calls(program: Program) -> dict[str, Call]:
    plan = Plan(program)
    return {step_of(plan, node.id): node for node in plan.nodes.values() if isinstance(node, Call)}


def _code_changes(past: Past, program: Program) -> dict[str, list[Change]]:
    found: dict[str, list[Change]] = {}
    for step, call in _calls(program).items():
        was = past.calls.get(step)
        changes = [Change("new", step)] if was is None else call_changes(past.program, was, program, call)
        if changes:
            found[step] = changes
    return found


def _side(run: Run[Any], program: Program) -> Side:
    record = run.record
    pin = run._home.launch(record).pin
    took = record.ended_ms - record.started_ms if record.ended_ms and record.started_ms else None
    return Side(
        run=run.id,
        workflow=run.workflow,
        state=run.state,
        started_ms=record.started_ms,
        took_ms=took,
        commit=(pin.commit or "") if pin else "",
        code=record.code,
        python=program.python,
        profile=record.profile,
        result=_result_text(run),
    )


def result_digest(run: Run[Any]) -> str:
    """Return what stands for a run's outcome: the hash of its result, or its failure in words."""
    failure = run.failure
    if failure is not None:
        return f"{failure.type}: {failure.message}"
    if not run.record.result:
        return ""
    ref = msgspec.msgpack.decode(run.record.result, type=Ref)
    return "/".join([ref.artifact.digest, *map(str, ref.path)])


def _result_text(run: Run[Any]) -> str:
    if run.failure is not None or not run.record.result:
        return result_digest(run)
    artifact = msgspec.msgpack.decode(run.record.result, type=Ref).artifact
    return result_digest(run)[:DIGEST_SHOWN] if artifact.inline is None else short_text(run.result())


def _parameters(home: Home, left: Run[Any], right: Run[Any]) -> list[Pair]:
    texts = left.params, right.params
    digests = _given(home, left), _given(home, right)
    names = dict.fromkeys([*texts[0], *texts[1]])
    return [
        Pair(name, texts[0].get(name), texts[1].get(name), digests[0].get(name) == digests[1].get(name))
        for name in names
    ]


def _given(home: Home, run: Run[Any]) -> dict[str, str]:
    outputs = home.launch(run.record).given
    return {name: output.artifact.digest for output in outputs for name in output.names}


# -- tasks ------------------------------------------------------------------------------------------------


class _Task(msgspec.Struct, gc=False):
    """What is compared of a task, by content."""

    inputs: str
    result: str


def _steps(home: Home, left: str, right: str) -> dict[str, StepPair]:
    steps: dict[str, StepPair] = {}
    before: dict[str, _Task] = {}
    for record in calls_of(home, left):
        pair = _step(steps, record)
        pair.left_tasks += 1
        pair.left_ms += _took_ms(record)
        pair.left_reused += record.state == "reused"
        before[record.path] = _Task(inputs_of(record), result_of(record))
    for record in calls_of(home, right):
        pair = _step(steps, record)
        pair.right_tasks += 1
        pair.right_ms += _took_ms(record)
        pair.right_reused += record.state == "reused"
        _compare(pair, before.pop(record.path, None), record)
    for path in before:
        pair = steps[without_indexes(path)]
        pair.inputs, pair.results = _worse(pair.inputs, None), _worse(pair.results, None)
    return steps


def calls_of(home: Home, run: str) -> Iterator[TaskRecord]:
    """Return the step calls that a run has on record, in program order."""
    return (record for record in home.database.tasks.outcomes(run) if record.kind == "call")


def _step(steps: dict[str, StepPair], record: TaskRecord) -> StepPair:
    step = without_indexes(record.path)
    if step not in steps:
        steps[step] = StepPair(step)
    return steps[step]


def _took_ms(record: TaskRecord) -> int:
    return max(0, record.ended_ms - record.started_ms) if record.started_ms and record.ended_ms else 0


def inputs_of(record: TaskRecord) -> str:
    """Return what stands for a task's inputs, by content."""
    refs = refs_from_bytes(record.inputs) if record.inputs else {}
    return " ".join(sorted("/".join([ref.artifact.digest, *map(str, ref.path)]) for ref in refs.values()))


def result_of(record: TaskRecord) -> str:
    """Return what stands for a task's outcome: the hash of its result, or its failure in words."""
    report = record.report()
    if report is None:
        return record.state
    if report.failure is not None:
        return f"{report.failure.type}: {report.failure.message}"
    return " ".join(output.artifact.digest for output in report.outputs)


def _compare(pair: StepPair, was: _Task | None, record: TaskRecord) -> None:
    result = result_of(record)
    pair.inputs = _worse(pair.inputs, None if was is None else was.inputs == inputs_of(record))
    pair.results = _worse(pair.results, None if was is None else was.result == result)
    if was is not None and was.result != result and len(pair.different) < 10:
        pair.different.append(record.path)


def _worse(known: Sameness, same: bool | None) -> Sameness:
    """Return what is to be said of a step after one more task: the same, different, or None: one side lacks it."""
    if known == "different" or same is False:
        return "different"
    if known == "only one has it" or same is None:
        return "only one has it"
    return "same"
