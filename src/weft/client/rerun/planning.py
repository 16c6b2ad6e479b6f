"""The plan of a resume: per step what is taken over, what runs again and why, and what that will take.

Read from two programs and the counts of the run that is continued; nothing is evaluated, so of what depends on
a result that is only made again it says just that: it runs if that result comes out differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from weft.client.rerun.differences import Change, call_changes, reached
from weft.client.rerun.past import Past, counts_in_words, step_of
from weft.driver.reuse import names_task, without_indexes
from weft.machine.plan import Plan as TaskPlan
from weft.model.states import TASK_FINAL
from weft.program.nodes import (
    AnyNode,
    Block,
    Branch,
    Break,
    Call,
    Capture,
    Continue,
    Glue,
    Group,
    Limit,
    Loop,
    Move,
    Program,
    Return,
    Try,
)

Verdict = Literal["reused", "runs", "depends"]
_TAKEN: Final = ("succeeded", "reused")
_KEPT: Final = tuple(TASK_FINAL)


class StepPlan(msgspec.Struct):
    """What will become of the tasks of one step.

    Attributes:
        step: a task's path without its loop indexes, ``outer/train``.
        tasks: how many the past run has on record; 0: it was not reached.
        runs, may_run: how many of them run, and how many more run only if something of ``depends_on`` comes out
            differently; the others are taken over.
        changes: why it runs. ``reasons``: the same in words.
        was: what became of it in the past run where it did not end well, such as ``1 failed``.
        took_ms: what one of its tasks took in the past run, on average; None: none has ended well.
    """

    step: str
    tasks: int = 0
    runs: int = 0
    may_run: int = 0
    verdict: Verdict = "reused"
    changes: list[Change] = []
    reasons: list[str] = []
    was: list[str] = []
    depends_on: list[str] = []
    took_ms: float | None = None

    @property
    def reused(self) -> int:
        """How many tasks are taken over in any case."""
        return self.tasks - self.runs - self.may_run


class _Value(msgspec.Struct, frozen=True):
    """What is known of a name: why its value may differ (``causes``), for sure where ``certain``; ``steps``: whose
    results it is made of."""

    causes: frozenset[str] = frozenset()
    certain: frozenset[Change] = frozenset()
    steps: frozenset[str] = frozenset()


_SAME: Final = _Value()
_Names = dict[str, _Value]


def _join(values: Iterable[_Value]) -> _Value:
    """Return what is known of something made of ``values``: it may differ, but need not."""
    causes: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    for value in values:
        causes |= value.causes | {f"{change.kind} `{change.name}`" for change in value.certain}
        steps |= value.steps
    return _Value(causes, frozenset(), steps)


def _merge(ways: Sequence[_Names]) -> _Names:
    """Return what is known where ways of the program meet."""
    merged: _Names = {}
    for way in ways:
        for name, value in way.items():
            known = merged.get(name, value)
            merged[name] = known if known == value else _join([known, value])
    return merged


class Planner:
    """Walks the new program beside the old one. State: the steps found so far, and whose results each reads."""

    def __init__(
        self,
        past: Past,
        program: Program,
        parameters: Sequence[Change],
        forced: Sequence[str],
        *,
        goes_on: bool,
    ) -> None:
        self.past = past
        self.program = program
        self.parameters = parameters
        self.forced = forced
        self.goes_on = goes_on
        self.plan = TaskPlan(program)
        self.steps: dict[str, StepPlan] = {}
        self.reads: dict[str, frozenset[str]] = {}
        self.in_sequence: set[str] = set()
        self.changed_helpers = _changed_helpers(past.program, program)
        self.changed_lines: list[int] = []

    def plan_steps(self) -> list[StepPlan]:
        """Return the plan of each step that is to run, or has run, in program order."""
        names = {change.name: _Value(certain=frozenset([change])) for change in self.parameters}
        self._block(self.program.body, names, _SAME, in_loop=False)
        return list(self.steps.values())

    # -- the walk ---------------------------------------------------------------------------------------

    # Each of these returns what decides whether that which stands below is reached: an arm may have left.

    def _block(self, block: Block, names: _Names, control: _Value, in_loop: bool) -> _Value:
        left = _SAME
        for node in block.nodes:
            left = _join([left, self._node(node, names, _join([control, left]), in_loop)])
        return left

    def _node(self, node: AnyNode, names: _Names, control: _Value, in_loop: bool) -> _Value:
        match node:
            case Call():
                self._call(node, names, control, in_loop)
            case Glue():
                self._glue(node, names, control)
            case Move():
                value = names.get(node.value, _SAME)
                names[node.out] = value if self.past.has_glue_like(node) else _join([value, self._own(node)])
            case Branch():
                return self._branch(node, names, control, in_loop)
            case Loop():
                return self._loop(node, names, control)
            case Try():
                return self._try(node, names, control, in_loop)
            case Capture() | Limit():
                return self._block(node.body, names, control, in_loop)
            case Group():
                self._block(node.body, names, control, in_loop)
            case Return() | Break() | Continue():
                return control
        return _SAME

    def _branch(self, node: Branch, names: _Names, control: _Value, in_loop: bool) -> _Value:
        control = _join([control, self._glue(node.test, names, control)])
        ways = [self._way(arm, names, control, in_loop) for arm in node.arms]
        self._meet(names, [names, *(way for way, _ in ways)], control)
        return _join(left for _, left in ways)

    def _way(self, block: Block, names: _Names, control: _Value, in_loop: bool) -> tuple[_Names, _Value]:
        inside = dict(names)
        left = self._block(block, inside, control, in_loop)
        return inside, left

    @staticmethod
    def _meet(names: _Names, ways: Sequence[_Names], control: _Value) -> None:
        before = dict(names)
        for name, value in _merge(ways).items():
            names[name] = value if before.get(name) == value else _join([value, control])

    def _glue(self, node: Glue, names: _Names, control: _Value) -> _Value:
        read = [names.get(name, _SAME) for name in node.code.reads.values()]
        found = _join([*read, self._own(node), control])
        names.update(dict.fromkeys(node.code.writes.values(), found))
        return found

    def _own(self, node: Glue | Move) -> _Value:
        """Return why glue may come out differently although its inputs do not."""
        if not self.past.has_glue_like(node):
            return self._changed_line(node)
        words = set(re.findall(r"\w+", node.code.text)) if isinstance(node, Glue) else set()
        called = [name for name in self.changed_helpers if name.rpartition(".")[2] in words]
        return _Value(frozenset(map(_made, called)))

    def _changed_line(self, node: AnyNode) -> _Value:
        self.changed_lines += [node.span.line] if node.span.line not in self.changed_lines else []
        return _Value(frozenset([f"line {node.span.line}"]))

    def _loop(self, node: Loop, names: _Names, control: _Value) -> _Value:
        for glue in node.prelude:
            self._glue(glue, names, control)
        items = self._glue(node.source, names, control) if node.source is not None else _SAME
        control = _join([control, items])
        before = dict(names)
        left = _SAME
        for _ in range(2):  # what a turn changes, the next one reads
            names.update(dict.fromkeys(node.targets, items))
            for body in node.bodies:
                left = _join([left, self._block(body, names, _join([control, left]), node.sequence)])
        left = _join([left, self._block(node.orelse, names, control, in_loop=False)])
        self._meet(names, [before, dict(names)], control)
        return left

    def _try(self, node: Try, names: _Names, control: _Value, in_loop: bool) -> _Value:
        before = dict(names)
        left = [self._block(node.body, names, control, in_loop)]
        match = self._glue(node.match, names, control) if node.match is not None else _SAME
        failed, caught = _merge([before, names]), _join([control, match])
        ways = [self._way(handler.block, failed, caught, in_loop) for handler in node.handlers]
        ways.append(self._way(node.orelse, names, control, in_loop))
        self._meet(names, [way for way, _ in ways], control)
        left += [way_left for _, way_left in ways]
        left.append(self._block(node.final, names, control, in_loop))
        return _join(left)

    # -- a call -----------------------------------------------------------------------------------------

    def _call(self, node: Call, names: _Names, control: _Value, in_loop: bool) -> None:
        step = step_of(self.plan, node.id)
        read = [names.get(name, _SAME) for name in ([node.key] if node.key else node.code.reads.values())]
        found = _join([*read, control])
        if in_loop:
            self.in_sequence.add(step)
        self.reads[step] = self.reads.get(step, frozenset()) | found.steps - {step}
        changes = self._changes(node, step, frozenset().union(*(value.certain for value in read)))
        was = self.past.calls.get(step)
        if was is not None and [*was.code.reads.values()] != [*node.code.reads.values()]:
            control = _join([control, self._changed_line(node)])
        uncertain = _join([*(msgspec.structs.replace(value, certain=frozenset()) for value in read), control])
        planned = self._planned(step, changes, uncertain.causes - {_made(step)})
        if node.out is not None:
            causes = (
                frozenset([_made(step)]) if planned is not None and self._differs(planned) else frozenset()
            )
            names[node.out] = _Value(causes, frozenset(), frozenset([step]))

    def _differs(self, planned: StepPlan) -> bool:
        """Return whether what was made of this step's results may have to be made again."""
        if self.goes_on:
            return False
        # A failure that the workflow went on from may now be a success.
        mended = self.past.succeeded and planned.runs > 0
        return bool(planned.depends_on or planned.changes or mended or not planned.tasks)

    def _changes(self, node: Call, step: str, parameters: frozenset[Change]) -> list[Change]:
        if self.goes_on:
            return []
        was = self.past.calls.get(step)
        if was is None:
            return [Change("new", step)]
        changes = call_changes(self.past.program, was, self.program, node)
        changes += sorted(parameters, key=lambda change: change.name)
        named = [name for name in self.forced if names_task(without_indexes(name), step)]
        changes += [Change("forced", name) for name in named]
        return changes

    def _planned(self, step: str, changes: list[Change], causes: frozenset[str]) -> StepPlan | None:
        states = self.past.states.get(step, {})
        tasks = max(sum(states.values()), self.past.wanted.get(step, 0))
        is_new = any(change.kind == "new" for change in changes)
        if not tasks and self.past.succeeded and not causes and not is_new:
            return None  # it lies on a way that was not taken, and is not now
        planned = self.steps.setdefault(step, StepPlan(step, tasks))
        planned.changes += [change for change in changes if change not in planned.changes]
        planned.depends_on = sorted({*planned.depends_on, *causes})
        self._judge(planned, states)
        planned.reasons = [change.text for change in planned.changes]
        planned.was = [*counts_in_words(states)]
        if not tasks and not is_new:
            planned.was = ["not run then" if self.past.succeeded else "not reached then"]
        if step in self.past.took:
            count, total_ms = self.past.took[step]
            planned.took_ms = total_ms / count
        return planned

    def _judge(self, planned: StepPlan, states: dict[str, int]) -> None:
        """Count what of a step runs, and say so in one word."""
        kept = _KEPT if self.goes_on else _TAKEN
        open_now = planned.tasks - sum(states.get(state, 0) for state in kept)
        some = sum(1 for name in self.forced if "[" in name) if planned.changes else 0
        whole = any(change.kind != "forced" for change in planned.changes) or (planned.changes and not some)
        planned.runs = planned.tasks if whole else min(planned.tasks, open_now + some)
        planned.may_run = planned.tasks - planned.runs if planned.depends_on else 0
        if planned.runs or planned.changes or not (planned.tasks or self.past.succeeded):
            planned.verdict = "runs"
        else:
            planned.verdict = "depends" if planned.depends_on else "reused"


def _made(step: str) -> str:
    return f"`{step}`"


def _changed_helpers(old: Program, new: Program) -> list[str]:
    """Return the functions called between the steps whose code changed."""
    return [name for name, digest in new.judged.items() if old.judged.get(name, digest) != digest]


def changes_of(
    steps: Sequence[StepPlan], parameters: Sequence[Change], helpers: Sequence[str], lines: Sequence[int]
) -> list[str]:
    """Return what differs, each change once and in words, with the steps that it is reached through."""
    pairs = [(step.step, change) for step in steps for change in step.changes]
    read = {change for _, change in pairs}
    changes = [*reached(pairs), *(change.text for change in parameters if change not in read)]
    changes += [f"function `{name}` changed, which the workflow calls" for name in helpers]
    if lines:
        changes.append(f"the workflow's own text changed ({_line_numbers(lines)})")
    return changes


def _line_numbers(lines: Sequence[int]) -> str:
    """Return ``line 3`` or ``lines 3, 5``."""
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, sorted(lines)))}"
