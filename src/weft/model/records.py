"""What the database holds: runs, tasks, attempts, and the batch in which a driver writes them.

Times are wall clock, milliseconds since 1970. ``bytes`` fields are msgpack that the database does not read.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from copy import copy
from typing import Literal

import msgspec

from weft.digest import digest_parts
from weft.errors import StoredDataError
from weft.model.jobs import Items, Output, Report
from weft.model.journal import AttemptSeal, JournalEntry, MoveSeal, Seal
from weft.model.values import UNREADABLE, Failure, Ref, with_digest, without_digest

Index = tuple[int, ...]
RunState = Literal["queued", "running", "failing", "cancelling", "succeeded", "failed", "cancelled"]
TaskState = Literal[
    "waiting", "running", "retrying", "succeeded", "reused", "failed", "skipped", "not_run", "cancelled"
]

_encoder = msgspec.msgpack.Encoder()
_report_decoder = msgspec.msgpack.Decoder(Report)
_failure_decoder = msgspec.msgpack.Decoder(Failure)
_refs_decoder = msgspec.msgpack.Decoder(dict[str, Ref])


class UnreadableRecord(StoredDataError):
    """A stored record does not decode."""

    code = "unreadable-record"

    def __init__(self, what: str, why: object) -> None:
        super().__init__(
            f"the stored {what} cannot be read: {why}",
            hint="Run `weft verify` on the run; `weft resume` can run the task again in a new run.",
        )


class Owner(msgspec.Struct, frozen=True, array_like=True):
    """The process that drives a run. ``boot`` and ``started_ms`` tell a reused process id from the old one."""

    host: str
    pid: int
    boot: str = ""
    started_ms: int = 0


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be accepted.

    Attributes:
        id: from ``Clock.new_id``; ids sort by time of creation.
        program: digest of the compiled program, whose bytes are handed over beside this.
        module, file: where the workflow was defined.
        params: JSON object for people: names and short texts of the values.
        inputs: msgpack of ``dict[str, Ref]``, what the parameters are bound to at the start.
        code: digest of the pinned code; empty where there is none.
        resumed_from: the ended run whose results this one may take over.
        parent_run, parent_task: the task that called ``.run()``, for a child run.
        notes: JSON array of things the user should know.
    """

    id: str
    workflow: str
    program: str
    created_ms: int
    module: str = ""
    file: str = ""
    params: str = "{}"
    inputs: bytes = b""
    tags: dict[str, str] = {}
    profile: str = ""
    code: str = ""
    resumed_from: str | None = None
    parent_run: str | None = None
    parent_task: str | None = None
    notes: str = "[]"


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it stands in the database; ``NewRun`` explains the fields that never change.

    Attributes:
        fence: counts the claims; a write with an older number is refused.
        owner: who drives the run now; None when nobody does.
        result, failure: set when the run has ended; msgpack of ``Ref`` and of ``Failure``.
        journal_head, journal_count: hash of the last journal entry, and how many there are.
    """

    id: str
    workflow: str
    program: str
    module: str
    file: str
    state: RunState
    params: str
    inputs: bytes
    tags: dict[str, str]
    profile: str
    code: str
    resumed_from: str | None
    parent_run: str | None
    parent_task: str | None
    notes: str
    created_ms: int
    started_ms: int
    ended_ms: int
    owner: Owner | None
    fence: int
    lease_until_ms: int
    cancel_requested_ms: int
    cancel_cause: str
    result: bytes | None
    failure: bytes | None
    journal_head: str
    journal_count: int


class Lease(msgspec.Struct):
    """The right to write to one run, and where its journal stands. ``Runs.commit`` moves it on."""

    run: str
    fence: int
    state: RunState
    journal_head: str
    journal_count: int


class TaskRecord(msgspec.Struct, gc=False):
    """One instance of a node: a task (``kind`` call) or a piece of glue.

    Attributes:
        index: the iteration numbers of the loops around it, outermost first.
        path: what people see, such as ``train[3]`` or ``line 27``.
        attempt: how many attempts have started.
        key: what decides reuse; None where nothing may be reused.
        source: the run whose result was taken over, for a reused one.
        reason: why it was skipped, not run or reused.
        inputs: what ``refs_to_bytes`` made of the arguments.
        outcome: what ``report_to_bytes`` made of the attempt that counted; empty before there is one.
    """

    run: str
    node: int
    index: Index
    path: str
    kind: str
    state: TaskState
    attempt: int = 0
    key: str | None = None
    started_ms: int = 0
    ended_ms: int = 0
    cpu_ms: int = 0
    memory_bytes: int = 0
    executor: str = ""
    worker: str = ""
    source: str | None = None
    reason: str = ""
    inputs: bytes = b""
    outcome: bytes = b""

    @property
    def index_bytes(self) -> bytes:
        """The index as bytes that sort in program order."""
        return index_to_bytes(self.index)

    def report(self) -> Report | None:
        """Return the outcome, or None while there is none.

        Raises:
            UnreadableRecord: the stored bytes are no report.
        """
        if not self.outcome:
            return None
        report = report_from_bytes(self.outcome, f"outcome of {self.path}")
        report.started_ms, report.ended_ms = self.started_ms, self.ended_ms
        report.cpu_ms, report.memory_bytes_max = self.cpu_ms, self.memory_bytes
        return report


class AttemptRecord(msgspec.Struct, gc=False):
    """An attempt that did not count: it failed and was retried, was lost, or was cut off."""

    run: str
    node: int
    index: Index
    attempt: int
    state: str
    started_ms: int = 0
    ended_ms: int = 0
    executor: str = ""
    worker: str = ""
    log: str = ""
    failure: bytes = b""

    @property
    def index_bytes(self) -> bytes:
        """The index as bytes that sort in program order."""
        return index_to_bytes(self.index)


class Reference(msgspec.Struct, frozen=True, gc=False):
    """A blob that a run needs; what no run refers to may be swept."""

    digest: str
    codec: str
    size_bytes: int


class RunMove(msgspec.Struct, frozen=True):
    """A change of a run's state. ``result`` or ``failure`` goes with the moves that end it."""

    state: RunState
    at_ms: int
    result: bytes | None = None
    failure: bytes | None = None


class Batch(msgspec.Struct):
    """What a driver writes in one transaction.

    Attributes:
        tasks: rows to insert or to move on; each instance at most once.
        entries: journal entries in order; the database numbers and chains them.
        move: a change of the run's state; one that ends the run is written with full sync.
        full_sync: wait for the disk also without such a move, because outsiders will see it.
    """

    tasks: list[TaskRecord] = []
    attempts: list[AttemptRecord] = []
    entries: list[JournalEntry] = []
    references: list[Reference] = []
    move: RunMove | None = None
    full_sync: bool = False


class TaskCount(msgspec.Struct, frozen=True):
    """How many instances of one node are in one state. ``started_ms_min``: 0 where none has started."""

    node: int
    kind: str
    state: TaskState
    count: int
    attempts: int
    started_ms_min: int
    ended_ms_max: int


class TookRecord(msgspec.Struct, frozen=True):
    """What the calls of one node took that ended well: how many, all together, and the longest."""

    node: int
    count: int
    total_ms: int
    longest_ms: int


class RunPage(msgspec.Struct, frozen=True):
    """Some runs, and the cursor for the next page; None: there is no more."""

    runs: list[RunRecord]
    cursor: str | None


class TaskPage(msgspec.Struct, frozen=True):
    """Some tasks, and the cursor for the next page; None: there is no more."""

    tasks: list[TaskRecord]
    cursor: str | None


def index_to_bytes(index: Index) -> bytes:
    """Return four bytes for each iteration number, big-endian, so that bytes sort as the numbers do."""
    return struct.pack(f">{len(index)}I", *index) if index else b""


def index_from_bytes(raw: bytes) -> Index:
    """Return the index that ``index_to_bytes`` packed.

    Raises:
        UnreadableRecord: they are no bytes, or their number is no multiple of four.
    """
    if not raw:
        return ()
    if not isinstance(raw, bytes) or len(raw) % 4:
        raise UnreadableRecord("index of a task", f"{raw!r:.40}")
    return struct.unpack(f">{len(raw) // 4}I", raw)


def report_to_bytes(report: Report) -> bytes:
    """Return the report as msgpack, short, because each task of a large loop has one.

    Left out are the digests of inline values, and what a task's row says anyway: when it ran and what it used.
    """
    stored = copy(report)
    stored.started_ms = stored.ended_ms = stored.cpu_ms = stored.memory_bytes_max = 0
    stored.outputs = [Output(without_digest(each.artifact), each.names, each.solo) for each in report.outputs]
    items = report.items
    if items is not None:
        columns = [list(map(without_digest, column)) for column in items.columns]
        stored.items = Items(items.names, columns, items.failure)
    return _encoder.encode(stored)


def report_from_bytes(raw: bytes, what: str = "report") -> Report:
    """Return the report that ``report_to_bytes`` wrote, without times and use; ``what`` names it in the error.

    Raises:
        UnreadableRecord: the bytes are no report.
    """
    try:
        report = _report_decoder.decode(raw)
    except UNREADABLE as error:
        raise UnreadableRecord(what, error) from error
    for output in report.outputs:
        output.artifact = with_digest(output.artifact)
    if report.items is not None:
        report.items.columns = [list(map(with_digest, column)) for column in report.items.columns]
    return report


def failure_to_bytes(failure: Failure) -> bytes:
    """Return the failure as msgpack."""
    return _encoder.encode(failure)


def failure_from_bytes(raw: bytes, what: str = "failure") -> Failure:
    """Return the failure that ``failure_to_bytes`` wrote; ``what`` names it in the error.

    Raises:
        UnreadableRecord: the bytes are no failure.
    """
    try:
        return _failure_decoder.decode(raw)
    except UNREADABLE as error:
        raise UnreadableRecord(what, error) from error


def refs_to_bytes(refs: dict[str, Ref]) -> bytes:
    """Return named references as msgpack, without the digests of inline values."""
    return _encoder.encode(
        {name: Ref(without_digest(ref.artifact), ref.origin, ref.path) for name, ref in refs.items()}
    )


def refs_from_bytes(raw: bytes, what: str = "references") -> dict[str, Ref]:
    """Return the references that ``refs_to_bytes`` wrote; ``what`` names them in the error.

    Raises:
        UnreadableRecord: the bytes are no references.
    """
    try:
        refs = _refs_decoder.decode(raw)
    except UNREADABLE as error:
        raise UnreadableRecord(what, error) from error
    return {name: Ref(with_digest(ref.artifact), ref.origin, ref.path) for name, ref in refs.items()}


def seal_digest(tasks: Sequence[TaskRecord]) -> str:
    """Return the digest of ended rows, every field included."""
    parts: list[bytes] = []
    for task in tasks:
        parts += (_encoder.encode(_sealed_fields(task)), task.inputs, task.outcome)
    return digest_parts("task-rows", parts)


def _sealed_fields(task: TaskRecord) -> tuple[object, ...]:
    # Spelled out, not `astuple`: a field that is added later must not change the digest of an old row.
    return (
        *(task.run, task.node, task.index, task.path, task.kind, task.state, task.attempt, task.key),
        *(task.started_ms, task.ended_ms, task.cpu_ms, task.memory_bytes),
        *(task.executor, task.worker, task.source, task.reason),
    )


def seal(tasks: Sequence[TaskRecord], detail: bytes = b"") -> bytes:
    """Return the body of a journal entry that vouches for ``tasks``, rows in a final state."""
    rows = [(task.node, task.index) for task in tasks]
    return _encoder.encode(Seal(rows, seal_digest(tasks), detail))


def seal_attempt(attempt: AttemptRecord, again_ms: int) -> bytes:
    """Return the body of a journal entry about an attempt that failed; the next is due at ``again_ms``."""
    place = (attempt.node, attempt.index, attempt.attempt)
    return _encoder.encode(AttemptSeal(*place, attempt_digest(attempt), again_ms))


def attempt_digest(attempt: AttemptRecord) -> str:
    """Return the digest of an attempt's row, every field included."""
    fields = (
        *(attempt.run, attempt.node, attempt.index, attempt.attempt, attempt.state),
        *(attempt.started_ms, attempt.ended_ms, attempt.executor, attempt.worker, attempt.log),
    )
    return digest_parts("attempt-row", (_encoder.encode(fields), attempt.failure))


def seal_move(move: RunMove) -> bytes:
    """Return the body of a journal entry about a run's change of state: all that its row takes from it."""
    return _encoder.encode(MoveSeal(move.state, move.result, move.failure))


def seal_run(run: NewRun | RunRecord) -> bytes:
    """Return the body of the journal entry that a run begins with: a digest of what never changes of its row."""
    fields = [getattr(run, name) for name in _ACCEPTED]
    return digest_parts(
        "run-row", (_encoder.encode([*fields, sorted(run.tags.items())]), run.inputs)
    ).encode()


_ACCEPTED = (
    *("id", "workflow", "program", "module", "file", "params", "profile", "code"),
    *("resumed_from", "parent_run", "parent_task", "notes", "created_ms"),
)
