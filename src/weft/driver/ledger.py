"""What a driver has to write: rows and journal entries of what just happened, gathered into one batch.

State: the batch in the making, which is empty after each ``take``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec

from weft.driver.reuse import Found, Missed
from weft.machine.events import Acquire, Decided, Instance, LoopCounted, RunJob, Wait
from weft.machine.plan import Plan
from weft.model.jobs import Job, Report
from weft.model.journal import JournalEntry
from weft.model.records import (
    AttemptRecord,
    Batch,
    Reference,
    RunMove,
    TaskRecord,
    TaskState,
    failure_to_bytes,
    refs_to_bytes,
    report_to_bytes,
    seal,
    seal_attempt,
    seal_move,
)
from weft.model.states import RUN_FINAL, TASK_FINAL
from weft.model.values import Artifact, Ref

_REFERENCED_MAX: Final = 10_000
_NOTHING: Final = Report(0, "ok")
_LEFT = "the run ended without it"
_encode = msgspec.msgpack.Encoder().encode


class Ledger:
    """Gathers the writes of one run."""

    def __init__(self, run: str, plan: Plan, executor: str) -> None:
        self._run = run
        self._plan = plan
        self._executor = executor
        self._batch = Batch()
        self._ended: dict[tuple[str, str, Missed | None], list[TaskRecord]] = defaultdict(list)
        self._spans: dict[tuple[str, str], list[tuple[str, Instance]]] = defaultdict(list)
        self._referenced: set[str] = set()

    def take(self, now_ms: int, move: RunMove | None = None, cause: str = "") -> Batch | None:
        """Return the batch, or None if there is nothing to write, and begin a new one."""
        for (kind, why, missed), records in self._ended.items():
            body = seal(records, b"" if missed is None else _encode(missed))
            paths = [record.path for record in records]
            self._batch.entries.append(JournalEntry(now_ms, kind, _range(paths), why, body))
        for (kind, why), spanned in self._spans.items():
            body = _encode([instance for _, instance in spanned])
            paths = [path for path, _ in spanned]
            self._batch.entries.append(JournalEntry(now_ms, kind, _range(paths), why, body))
        if move is not None:
            kind = "run.ended" if move.state in RUN_FINAL else "run.moved"
            self._batch.entries.append(JournalEntry(now_ms, kind, "", cause or move.state, seal_move(move)))
            self._batch.move = move
        batch, self._batch = self._batch, Batch()
        self._ended.clear()
        self._spans.clear()
        if not (batch.tasks or batch.attempts or batch.entries or batch.references or batch.move):
            return None
        return batch

    def running(self, command: RunJob, started_ms: int, worker: str) -> None:
        """A job has been running for a while: let others see it."""
        record = self._record(command, "running")
        record.started_ms, record.worker = started_ms, worker
        self._spans["task.started", "it runs"].append((record.path, command.instance))

    def queued(self, command: RunJob) -> None:
        """A job has been with the executor for a while, and nothing has taken it up."""
        self._spans["task.queued", "no worker has taken it up"].append((command.job.task, command.instance))

    def asked(self, command: Acquire) -> None:
        """Slots were asked for, and are not to be had at once."""
        self._span_of_limit("limit.asked", command)

    def granted(self, command: Acquire) -> None:
        """Slots that had to be waited for are held."""
        self._span_of_limit("limit.granted", command)

    def _span_of_limit(self, kind: str, command: Acquire) -> None:
        instance = command.instance
        path = self._plan.task_path(instance.node, instance.index)
        self._spans[kind, f"limit {command.name}, slots {command.slots}"].append((path, instance))

    def ended(self, command: RunJob, report: Report, state: TaskState, worker: str, missed: Missed) -> None:
        """A job ended for good. ``missed``: why it ran, rather than to take over a result."""
        kind = report.failure.kind if report.failure else ""
        record = self._end(command, state, report, worker)
        why = f"attempt {record.attempt} ended: {report.outcome}" + (f", {kind}" if kind else "")
        ended = "task.cancelled" if state == "cancelled" else "task.ended"
        self._ended[ended, why, missed].append(record)

    def left(self, recorded: Iterable[TaskRecord], now_ms: int) -> None:
        """Tasks that are on record, or were to be, as on their way, and that the run ends without."""
        last = {(record.node, record.index): record for record in self._batch.tasks}
        for record in recorded:
            if last.setdefault((record.node, record.index), record) is record:
                self._batch.tasks.append(record)
        for record in last.values():
            if record.state not in TASK_FINAL:
                record.state, record.ended_ms, record.reason = "cancelled", now_ms, _LEFT
                self._ended["task.cancelled", _LEFT, None].append(record)

    def reused(self, command: RunJob, found: Found) -> None:
        """A result was taken over."""
        record = self._end(command, "reused", found.report, "")
        record.source, record.reason = found.source, found.reason
        self._ended["task.reused", found.reason, None].append(record)

    def retried(self, command: RunJob, report: Report, wait: Wait, worker: str, log: str) -> None:
        """An attempt failed and there will be another."""
        failure = failure_to_bytes(wait.failure)
        instance = command.instance
        attempt = AttemptRecord(
            self._run,
            instance.node,
            instance.index,
            wait.attempt,
            "failed",
            report.started_ms,
            report.ended_ms,
            self._executor,
            worker,
            log,
            failure,
        )
        self._batch.attempts.append(attempt)
        if wait.failure.exception is not None:
            self.refer(wait.failure.exception)
        record = self._record(command, "retrying")
        record.attempt, record.started_ms = wait.attempt, report.started_ms
        cause = f"attempt {wait.attempt} failed: {wait.failure.type}: {wait.failure.message}"
        body = seal_attempt(attempt, wait.at_ms)
        self._batch.entries.append(
            JournalEntry(report.ended_ms, "task.retried", command.job.task, cause, body)
        )

    def decided(self, command: Decided, now_ms: int) -> None:
        """A branch was decided: which arm, so which others are skipped."""
        instance = command.instance
        path = self._plan.task_path(instance.node, instance.index)
        node = self._plan.nodes[instance.node]
        labels = getattr(node, "labels", ()) or tuple(
            handler.label for handler in getattr(node, "handlers", ())
        )
        label = labels[command.arm] if 0 <= command.arm < len(labels) else "none"
        body = _encode([instance.node, instance.index, command.arm])
        self._batch.entries.append(JournalEntry(now_ms, "branch.decided", path, label, body))

    def counted(self, command: LoopCounted, now_ms: int) -> None:
        """A loop was opened."""
        instance = command.instance
        path = self._plan.task_path(instance.node, instance.index)
        body = _encode([instance.node, instance.index, command.count])
        self._batch.entries.append(JournalEntry(now_ms, "loop.opened", path, f"{command.count} items", body))

    def noted(self, subject: str, text: str, now_ms: int) -> None:
        """Something the user should know."""
        self._batch.entries.append(JournalEntry(now_ms, "note", subject, text))

    def _record(
        self,
        command: RunJob,
        state: TaskState,
        report: Report = _NOTHING,
        worker: str = "",
        outcome: bytes = b"",
    ) -> TaskRecord:
        job, instance = command.job, command.instance
        record = TaskRecord(
            self._run,
            instance.node,
            instance.index,
            job.task,
            "call" if job.is_call else "glue",
            state,
            job.attempt,
            command.key or None,
            report.started_ms,
            report.ended_ms,
            report.cpu_ms,
            report.memory_bytes_max,
            self._executor,
            worker,
            None,
            "",
            _inputs(job) if job.is_call else b"",
            outcome,
        )
        self._batch.tasks.append(record)
        return record

    def _end(self, command: RunJob, state: TaskState, report: Report, worker: str) -> TaskRecord:
        for artifact in report.artifacts():
            self.refer(artifact)
        return self._record(command, state, report, worker, report_to_bytes(report))

    def refer(self, artifact: Artifact) -> None:
        """Note that the run needs a blob."""
        if artifact.inline is None and artifact.digest not in self._referenced:
            if len(self._referenced) == _REFERENCED_MAX:
                self._referenced.clear()  # to refer to a blob again changes nothing
            self._referenced.add(artifact.digest)
            self._batch.references.append(Reference(artifact.digest, artifact.codec, artifact.size_bytes))


def _inputs(job: Job) -> bytes:
    slots = job.slots
    return refs_to_bytes(
        {name: Ref(slots[slot], slot, path) for name, (slot, path) in job.entries[0].bindings.items()}
    )


def _range(paths: list[str]) -> str:
    """Return the paths that an entry covers: one, or the first and the last of many."""
    return paths[0] if len(paths) == 1 else f"{paths[0]} … {paths[-1]} ({len(paths)})"
