"""What the journal of a run says of one task: of its instance, and of what stands around it in the program.

The journal is read once, from its beginning to its end, and only what concerns the task is kept: so for a run of a
million tasks it takes time, and no memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from weft.driver.reuse import Missed
from weft.machine.events import Instance
from weft.model.journal import SEALING, JournalEntry, MoveSeal, Seal
from weft.model.values import UNREADABLE
from weft.store.journal import BrokenJournal

_seal = msgspec.msgpack.Decoder(Seal).decode
_move = msgspec.msgpack.Decoder(MoveSeal).decode
_instances = msgspec.msgpack.Decoder(list[Instance]).decode
_number = msgspec.msgpack.Decoder(tuple[int, tuple[int, ...], int]).decode
_SPANS = frozenset({"task.queued", "task.started", "limit.asked", "limit.granted"})
_NUMBERS = frozenset({"branch.decided", "loop.opened"})


class Evidence:
    """What is on record about a run as a whole, and about what lies in the turns ``index`` of its loops.

    State:
        of_run: kind → the entries about the run itself, in order.
        sealed: instance → the entry that vouches for its row; also of the instances ``wanted``, wherever they are.
        first_sealed: node → the first entry that vouches for one of its instances.
        numbers: instance of a branch, ``try`` or loop → its entry, and the arm taken or the count of items. Those
            of the turns before are there too: one of them may have left the loop.
        spans: (kind, instance) → the last entry of that kind about it.
        retried: path → the entries about its failed attempts.
        count: how many entries there are; ``has_gap``: one between them is missing.
    """

    def __init__(
        self,
        entries: Iterable[JournalEntry],
        run: str,
        index: tuple[int, ...] = (),
        wanted: Collection[Instance] = (),
    ) -> None:
        self._index = index
        self._wanted = wanted
        self.first_sealed: dict[int, JournalEntry] = {}
        self.of_run: dict[str, list[JournalEntry]] = {}
        self.sealed: dict[Instance, JournalEntry] = {}
        self.numbers: dict[Instance, tuple[JournalEntry, int]] = {}
        self.spans: dict[tuple[str, Instance], JournalEntry] = {}
        self.retried: dict[str, list[JournalEntry]] = {}
        self.count = 0
        self.has_gap = False
        for entry in entries:
            self.count += 1
            self.has_gap |= entry.seq != self.count
            try:
                self._take(entry)
            except UNREADABLE as error:
                raise BrokenJournal(run, entry.seq, f"is unreadable: {error}") from error

    def _take(self, entry: JournalEntry) -> None:
        if entry.kind.startswith("run."):
            self.of_run.setdefault(entry.kind, []).append(entry)
        elif entry.kind == "task.retried":
            self.retried.setdefault(entry.subject, []).append(entry)
        elif entry.kind in SEALING and entry.body:
            for node, index in _seal(entry.body).rows:
                self.first_sealed.setdefault(node, entry)
                if self._is_near(index) or Instance(node, index) in self._wanted:
                    self.sealed[Instance(node, index)] = entry
        elif entry.kind in _SPANS:
            for row in _instances(entry.body):
                if self._is_near(row.index):
                    self.spans[entry.kind, row] = entry
        elif entry.kind in _NUMBERS:
            node, index, number = _number(entry.body)
            if self._is_near(index) or self._is_before(index):
                self.numbers[Instance(node, index)] = entry, number

    def _is_near(self, index: tuple[int, ...]) -> bool:
        return index == self._index[: len(index)]

    def _is_before(self, index: tuple[int, ...]) -> bool:
        return index[:-1] == self._index[: len(index) - 1] and index < self._index[: len(index)]

    def last(self, kind: str) -> JournalEntry | None:
        """Return the last entry of a kind that is about the run itself."""
        found = self.of_run.get(kind)
        return found[-1] if found else None

    def move(self, state: str) -> JournalEntry | None:
        """Return the entry of the run's move to ``failing`` or ``cancelling``; it moves to each at most once."""
        found = (entry for entry in self.of_run.get("run.moved", ()) if entry.body)
        return next((entry for entry in found if _move(entry.body).state == state), None)

    def span(self, kind: str, instance: Instance) -> JournalEntry | None:
        """Return the last entry of a kind about an instance."""
        return self.spans.get((kind, instance))


def missed_of(run: str, entry: JournalEntry) -> Missed | None:
    """Return why the tasks that an entry is about ran, if it says so.

    Raises:
        BrokenJournal: it says something else.
    """
    detail = _seal(entry.body).detail
    try:
        return msgspec.msgpack.decode(detail, type=Missed) if detail else None
    except UNREADABLE as error:
        raise BrokenJournal(run, entry.seq, f"is unreadable: {error}") from error
