"""Journal entries: what happened in a run, why, and the hash that chains them.

An entry is immutable. Its hash covers the run, the hash before it, and every field, so that a changed,
moved, inserted or missing entry breaks the chain. An entry may cover many instances: its ``subject`` is
then a range such as ``train[0..9999]``. Entries that end tasks *seal* their rows: the body holds a digest
of the rows, which ``weft verify`` computes again.
"""

from __future__ import annotations

from typing import Final

import msgspec

from weft.digest import digest_parts

KINDS: Final = (
    "run.accepted",
    "run.claimed",
    "run.moved",
    "run.cancel-requested",
    "run.ended",
    "task.queued",
    "task.started",
    "task.ended",
    "task.retried",
    "task.reused",
    "task.skipped",
    "task.not-run",
    "task.cancelled",
    "task.lost",
    "branch.decided",
    "loop.opened",
    "loop.closed",
    "limit.asked",
    "limit.granted",
    "note",
)

SEALING: Final = frozenset({"task.ended", "task.reused", "task.skipped", "task.not-run", "task.cancelled"})
"""The kinds whose body, where there is one, is a ``Seal``."""

CHAIN_START: Final = ""
"""The hash before the first entry."""

_encoder = msgspec.msgpack.Encoder()


class JournalEntry(msgspec.Struct, gc=False):
    """One entry.

    Attributes:
        at_ms: wall clock when it happened, milliseconds since 1970.
        kind: one of ``KINDS``.
        subject: what it is about: a task path, a range of them, or empty for the run itself.
        cause: why: the event, the rule, or the reuse decision, in words.
        body: msgpack; its shape belongs to the kind.
        seq: position in the run, from 1. The database numbers entries as it commits them.
    """

    at_ms: int
    kind: str
    subject: str = ""
    cause: str = ""
    body: bytes = b""
    seq: int = 0


class Seal(msgspec.Struct, array_like=True, gc=False):
    """Which rows an entry vouches for.

    Attributes:
        rows: (node, index) of each.
        digest: over all of them, in this order.
        detail: msgpack of whatever else there is to say, such as the hashes that a reuse decision compared.
    """

    rows: list[tuple[int, tuple[int, ...]]]
    digest: str
    detail: bytes = b""


class AttemptSeal(msgspec.Struct, array_like=True, gc=False):
    """Which row of an attempt that failed an entry ``task.retried`` vouches for, and when the next one is due."""

    node: int
    index: tuple[int, ...]
    attempt: int
    digest: str
    again_ms: int


class MoveSeal(msgspec.Struct, array_like=True, gc=False):
    """What a run's row takes from an entry ``run.moved`` or ``run.ended``."""

    state: str
    result: bytes | None = None
    failure: bytes | None = None


def chain(run: str, before: str, entry: JournalEntry) -> str:
    """Return the hash of ``entry`` in ``run``, after the entry whose hash is ``before``."""
    # One msgpack array is as unambiguous as a sequence of parts, and takes half the time.
    fields = (run, before, entry.seq, entry.at_ms, entry.kind, entry.subject, entry.cause, entry.body)
    return digest_parts("journal-entry", (_encoder.encode(fields),))
