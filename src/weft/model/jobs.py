"""What a driver sends to an executor, and what comes back.

A job is one or more entries: nodes of the program that a worker evaluates in order over one set of
live Python objects. A call is a job of one entry; deferred glue of a loop is one job of many.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from weft.model.values import Artifact, Failure, Path

Binding = tuple[int, Path]
Outcome = Literal["ok", "return", "break", "continue", "fail"]


class Entry(msgspec.Struct, array_like=True, gc=False):
    """One node to evaluate. ``bindings`` maps a name of the environment to (slot, path in its value)."""

    node: int
    index: tuple[int, ...]
    bindings: dict[str, Binding]
    unbound: tuple[str, ...] = ()


class Limits(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What one attempt may use. None: no limit. ``cpu`` in cores, ``gpu`` in devices."""

    timeout_ms: int | None = None
    memory_bytes: int | None = None
    cpu: float = 1.0
    gpu: int = 0


class Job(msgspec.Struct, array_like=True, gc=False):
    """One attempt at one task, or one evaluation of glue.

    Attributes:
        id: unique in its run and in this driver's life.
        task: the path that people see, such as ``train[3]``.
        slots: the artifacts that the bindings point into, each loaded at most once.
        key: the idempotency key, the same for all attempts.
    """

    id: int
    run: str
    task: str
    attempt: int
    key: str
    slots: list[Artifact]
    entries: list[Entry]
    limits: Limits = Limits()
    is_call: bool = True


class Output(msgspec.Struct, array_like=True, gc=False):
    """Names that one artifact holds. ``solo``: the artifact is the value of the only name itself;
    otherwise it decodes to a dict from name to value, because the names may share an object."""

    artifact: Artifact
    names: tuple[str, ...]
    solo: bool = True


class Items(msgspec.Struct, array_like=True, gc=False):
    """What a loop runs over: one column of artifacts for each target name, and how reading ended.

    ``failure`` is the exception with which the iterable ended after its last item, if it did.
    """

    names: tuple[str, ...]
    columns: list[list[Artifact]]
    failure: Failure | None = None

    def count(self) -> int:
        return len(self.columns[0]) if self.columns else 0


class Report(msgspec.Struct, array_like=True, gc=False):
    """How a job ended.

    Attributes:
        decision: the arm that a branch's test, or the handler that an exception, chose.
        unbound: names that are unbound now (``del``, or never reached).
        failed_entry: which entry failed or left early; entries before it took effect.
        started_ms, ended_ms: wall clock, milliseconds since 1970.
        cpu_ms, memory_bytes_max: what the attempt used, where it is known.
        notes: things the user should know (an argument changed in place, a step without a task).
    """

    id: int
    outcome: Outcome
    decision: int = -1
    outputs: list[Output] = []
    unbound: tuple[str, ...] = ()
    items: Items | None = None
    failure: Failure | None = None
    failed_entry: int = -1
    started_ms: int = 0
    ended_ms: int = 0
    cpu_ms: int = 0
    memory_bytes_max: int = 0
    log_bytes: int = 0
    notes: tuple[str, ...] = ()

    def artifacts(self) -> Iterator[Artifact]:
        """Yield every artifact that the report names, and so a run that has it on record needs."""
        yield from (output.artifact for output in self.outputs)
        failures = (self.failure, self.items.failure if self.items is not None else None)
        for failure in failures:
            if failure is not None and failure.exception is not None:
                yield failure.exception
        for column in self.items.columns if self.items is not None else ():
            yield from column
