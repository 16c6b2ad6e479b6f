"""Why a task's key is not that of a past one: which of its components changed, from what to what.

Both keys are taken apart from what is on record: the two programs, and the references of the inputs in the two rows.
"""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

from weft.client.rerun.differences import call_changes
from weft.errors import WeftError
from weft.model.records import RunRecord, TaskRecord, refs_from_bytes
from weft.model.values import Ref
from weft.program.labels import plain_name
from weft.program.nodes import Call, Program
from weft.program.tree import walk
from weft.store.codecs.plain import NAME as PLAIN

if TYPE_CHECKING:
    from weft.client.home import Home

_LOOKED_AT = 20
_ENDED_WELL = ("succeeded", "reused")


def key_changes(home: Home, record: RunRecord, task: TaskRecord) -> list[str]:
    """Return what differs between a task and the nearest past one at its place that has a result, a line each.

    The nearest is that of the run that ``record`` continues, or else of the latest run of the workflow before it.
    """
    for past in _past_runs(home, record):
        same = [each for each in home.database.tasks.named(past.id, task.path) if each.state in _ENDED_WELL]
        if same:
            changes = [
                *_code_changes(home, record, task, past, same[0]),
                *_input_changes(home, record, task, same[0]),
            ]
            nothing = f"its code and inputs are those of {task.path} of run {past.id}"
            return [f"{change}, since run {past.id}" for change in changes] or [nothing]
    return [f"no past run has a result of {task.path}"]


def _past_runs(home: Home, record: RunRecord) -> list[RunRecord]:
    """Return the runs to compare with: those that the run continues, or those of its workflow, the latest first."""
    runs = home.database.runs
    if record.resumed_from is not None:
        return [runs.get(past) for past in home.continued_by(record)]
    page = runs.list_runs(workflow=record.workflow, limit=_LOOKED_AT, cursor=record.id)
    return page.runs


def _code_changes(
    home: Home, record: RunRecord, task: TaskRecord, past: RunRecord, was: TaskRecord
) -> list[str]:
    new, old = home.program(record), home.program(past)
    now, before = _call(new, task.node), _call(old, was.node)
    if now is None or before is None:
        return []
    return [change.text for change in call_changes(old, before, new, now)]


def _call(program: Program, node: int) -> Call | None:
    calls = (each for each in walk(program.body) if isinstance(each, Call) and each.id == node)
    return next(calls, None)


def _input_changes(home: Home, record: RunRecord, task: TaskRecord, was: TaskRecord) -> list[str]:
    now, before = _inputs(task), _inputs(was)
    program = home.program(record)
    call = _call(program, task.node)
    if call is not None and call.key in now and call.key in before:
        return _given_key_changes(
            home, program.steps[call.step].key_function, now[call.key], before[call.key]
        )
    made = {node.out: node.path for node in walk(home.program(record).body) if isinstance(node, Call)}
    changes = []
    for name, ref in now.items():
        known = before.get(name)
        if known is None or (known.artifact.digest, known.path) != (ref.artifact.digest, ref.path):
            what = f"the result of {made[name]}" if name in made else f"input `{plain_name(name)}`"
            changes.append(f"{what} changed: {shown_value(home, known)} → {shown_value(home, ref)}")
    return changes


def _given_key_changes(home: Home, function: str, now: Ref, before: Ref) -> list[str]:
    """Return how what a key function gave differs: it stands for all inputs."""
    if now.artifact.digest == before.artifact.digest:
        return []
    new, old = (str(home.store.get(ref.artifact)) for ref in (now, before))
    return [f"key function `{function}` gave {new} instead of {old}"]


def _inputs(task: TaskRecord) -> dict[str, Ref]:
    return refs_from_bytes(task.inputs, f"inputs of {task.path}") if task.inputs else {}


def shown_value(home: Home, ref: Ref | None) -> str:
    """Return a small plain value as text, of any other a piece of its digest: no code of the user's is needed."""
    if ref is None:
        return "nothing"
    digest = ref.artifact.digest.partition(":")[2][:12]
    if ref.artifact.inline is None or ref.artifact.codec != PLAIN:
        return digest
    try:
        value = home.store.get(ref.artifact)
        for part in ref.path:
            value = value[part]
    except (WeftError, LookupError):
        return digest
    return reprlib.repr(value)
