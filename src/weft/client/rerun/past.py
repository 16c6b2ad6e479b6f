"""The run that a plan continues: its program, step by step, and what became of its tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from weft.machine.plan import Plan
from weft.model.journal import JournalEntry
from weft.model.records import TaskCount, TookRecord
from weft.program.nodes import Block, Call, Glue, Group, Limit, Loop, Move, Node, Program
from weft.program.tree import blocks_of

_opened = msgspec.msgpack.Decoder(tuple[int, tuple[int, ...], int]).decode


class Past:
    """What is on record, by step: the path of a task without its loop indexes.

    Attributes:
        succeeded: what has no task on record was not wanted; else it was perhaps not reached.
        calls: the call of a step, or the first of several with one path.
        states: how many of its tasks are in which state.
        took: how many of them ended well, and how long they took in all.
        wanted: how many tasks there are to be, where the loop around them was opened.
    """

    def __init__(
        self,
        program: Program,
        counts: Iterable[TaskCount],
        took: Iterable[TookRecord],
        journal: Iterable[JournalEntry],
        *,
        succeeded: bool,
    ) -> None:
        plan = Plan(program)
        self.program = program
        self.succeeded = succeeded
        self.calls: dict[str, Call] = {}
        self._glue: set[object] = set()
        for node in plan.nodes.values():
            if isinstance(node, Call):
                self.calls.setdefault(step_of(plan, node.id), node)
            else:
                self._glue.add(_looks(node))
        self.states: dict[str, dict[str, int]] = {}
        for count in counts:
            if count.kind == "call":
                states = self.states.setdefault(step_of(plan, count.node), {})
                states[count.state] = states.get(count.state, 0) + count.count
        self.took: dict[str, tuple[int, int]] = {}
        for each in took:
            step = step_of(plan, each.node)
            known, total_ms = self.took.get(step, (0, 0))
            self.took[step] = known + each.count, total_ms + each.total_ms
        self.wanted = _wanted(plan, program, journal)

    def has_glue_like(self, node: Node) -> bool:
        """Return whether glue with the same text, that reads and writes the same names, was there."""
        return _looks(node) in self._glue


def step_of(plan: Plan, node: int) -> str:
    """Return the path of a node's tasks without indexes."""
    return "/".join(name for name, _ in plan.paths[node])


def step_paths(program: Program) -> list[str]:
    """Return the paths of a program's step calls, without indexes, in program order."""
    plan = Plan(program)
    return list(
        dict.fromkeys(step_of(plan, node.id) for node in plan.nodes.values() if isinstance(node, Call))
    )


def _looks(node: Node) -> object:
    match node:
        case Glue():
            return node.code.text, tuple(node.code.reads.items()), tuple(node.code.writes.items())
        case Move():
            return node.out, node.value
        case _:
            return None


def _wanted(plan: Plan, program: Program, journal: Iterable[JournalEntry]) -> dict[str, int]:
    """Return how many tasks the loops that were opened are to have, for steps that every turn calls once."""
    counts: dict[int, int] = {}
    for entry in journal:
        if entry.kind == "loop.opened":
            node, _, count = _opened(entry.body)
            counts[node] = counts.get(node, 0) + count
    if not counts:
        return {}
    return {step_of(plan, call): counts[loop] for call, loop in _loops(program.body, None) if loop in counts}


def _loops(block: Block, loop: int | None) -> Iterator[tuple[int, int | None]]:
    """Yield (call, loop) for each call that every turn of the loop comes to; None: it lies in no loop."""
    for node in block.nodes:
        match node:
            case Call():
                yield node.id, loop
            case Loop() if len(node.bodies) == 1:
                yield from _loops(node.bodies[0], node.id)
            case Group() | Limit():
                yield from _loops(node.body, loop)
            case _:
                for inner in blocks_of(node):
                    yield from _loops(inner, None)


def counts_in_words(states: dict[str, int]) -> Sequence[str]:
    """Return what became of the tasks that did not end well: ``3 failed``, ``1 cut off``."""
    return [f"{count} {_ENDS[state]}" for state, count in states.items() if state in _ENDS]


_ENDS = {
    "failed": "failed",
    "cancelled": "cancelled",
    "running": "cut off",
    "retrying": "cut off",
    "waiting": "not started",
}
