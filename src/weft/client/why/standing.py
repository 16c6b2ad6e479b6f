"""Where the tasks of a run stand: what its program says of them before it runs, beside what is on record.

State: the run's program, indexed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from weft.machine.events import Instance
from weft.machine.plan import Plan
from weft.model.records import RunRecord, TaskCount, TaskRecord
from weft.program.enclosing import Around, enclosing
from weft.program.nodes import AnyNode, Branch, Call, Glue, Loop, Move, Try
from weft.program.tree import blocks_of, walk

if TYPE_CHECKING:
    from weft.client.home import Home

_FAILURES_READ = 50
_INDEX = re.compile(r"\[([0-9,]*)]")


class Standing:
    def __init__(self, home: Home, record: RunRecord) -> None:
        self.home = home
        self.record = record
        self.program = home.program(record)
        self.plan = Plan(self.program)
        self.around = enclosing(self.program)

    def find(self, path: str) -> Instance | None:
        """Return the instance that people call ``path``; the index is too short where it means a whole loop."""
        for row in self.home.database.tasks.named(self.record.id, path, limit=1):
            return Instance(row.node, row.index)
        names = _INDEX.sub("", path)
        index = tuple(int(turn) for turns in _INDEX.findall(path) for turn in turns.split(",") if turn)
        for node, parts in self.plan.paths.items():
            if isinstance(self.plan.nodes[node], Call) and names == "/".join(name for name, _ in parts):
                found = Instance(node, index[: self.depth(node)])
                if path in (names, self.path(found)) and self._is_of_its_turn(found):
                    return found
        return None

    def _is_of_its_turn(self, instance: Instance) -> bool:
        """Return whether the node is that of these turns: an unrolled loop has a body for each."""
        return all(
            around.part == instance.index[around.depth - 1]
            for around in self.around[instance.node]
            if isinstance(around.owner, Loop) and around.owner.source is None
            if around.part < len(around.owner.bodies) and around.depth <= len(instance.index)
        )

    @cached_property
    def failed(self) -> list[TaskRecord]:
        """The first tasks that failed."""
        return self.home.database.tasks.list_tasks(self.record.id, state="failed", limit=_FAILURES_READ).tasks

    @cached_property
    def counts(self) -> list[TaskCount]:
        """How many tasks of each node are in each state."""
        return self.home.database.tasks.counts(self.record.id)

    def row(self, instance: Instance) -> TaskRecord | None:
        """Return what is on record of an instance."""
        return self.home.database.tasks.find(self.record.id, instance.node, instance.index)

    def depth(self, node: int) -> int:
        """Return how many loops a node lies in."""
        return self.plan.paths[node][-1][1]

    def path(self, instance: Instance) -> str:
        """Return the path that people see."""
        return self.plan.task_path(instance.node, instance.index)

    def makers(self, names: Sequence[str], way: tuple[Around, ...]) -> list[Call]:
        """Return the calls whose results ``names`` are made of, as they stand at the end of ``way``."""
        found: dict[int, Call] = {}
        for call in self._makers(names, way, set()):
            found.setdefault(call.id, call)
        return list(found.values())

    def _makers(self, names: Sequence[str], way: tuple[Around, ...], seen: set[object]) -> Iterator[Call]:
        for name in names:
            for number in range(len(way) - 1, -1, -1):
                around = way[number]
                writers = self.plan.block(around.block).writers.get(name, ())
                places = [place for place in writers if place < around.place]
                for place in places:
                    here = (*way[:number], around._replace(place=place))
                    if (name, here[-1].node.id) not in seen:
                        seen.add((name, here[-1].node.id))
                        yield from self._behind(here, seen)
                if places and isinstance(around.block.nodes[places[-1]], Call | Glue | Move):
                    break  # it surely binds the name, so that nothing further out is seen

    def _behind(self, way: tuple[Around, ...], seen: set[object]) -> Iterator[Call]:
        node = way[-1].node
        match node:
            case Call():
                yield node
            case Glue():
                yield from self._makers(tuple(node.code.reads.values()), way, seen)
            case Move():
                yield from self._makers((node.value,), way, seen)
            case _:
                for block in blocks_of(node):
                    yield from (inner for inner in walk(block) if isinstance(inner, Call))
                yield from self._makers(self.reads(node), way, seen)

    def reads(self, node: AnyNode) -> tuple[str, ...]:
        """Return the names that a node must know before it starts."""
        match node:
            case Call() | Glue():
                return tuple(node.code.reads.values())
            case Branch():
                return tuple(node.test.code.reads.values())
            case Loop() if node.source is not None:
                return tuple(node.source.code.reads.values())
            case Try() if node.match is not None:
                return tuple(node.match.code.reads.values())
            case _:
                return ()
