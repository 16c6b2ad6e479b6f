"""What need not run: outcomes recorded in this run before a crash, results of the run it continues, the cache.

Every answer says why, in words that go into the journal.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from weft.machine.events import Instance, RunJob
from weft.model.jobs import Report
from weft.model.records import TaskRecord
from weft.model.values import Artifact
from weft.store.artifacts import ArtifactStore
from weft.store.tasks import Tasks


def names_task(name: str, path: str) -> bool:
    """Return whether ``name`` means the task at ``path``: itself, its loop, its step, or a group that it is in."""
    plain = without_indexes(path)
    step = plain.rpartition("/")[2]
    inside = path.startswith((f"{name}/", f"{name}[")) or plain.startswith(f"{name}/")
    return inside or name in (path, plain, step, step.partition(".")[0])


def without_indexes(path: str) -> str:
    """Return the path of a task's step: ``outer/train`` for ``outer[2]/train[5]``."""
    return _INDEXES.sub("", path)


_INDEXES = re.compile(r"\[[^]]*]")


class Found(msgspec.Struct):
    """A report that stands for a job. ``recorded``: by this run itself; else taken over from ``source``."""

    report: Report
    recorded: bool
    source: str = ""
    reason: str = ""


class Missed(msgspec.Struct, frozen=True, array_like=True):
    """A job must run: nothing stands for it.

    ``kind``: ``glue`` is never taken over; ``begun``: before a crash; ``retried``: after a failed
    attempt, if the driver of the first one has died; ``asked`` for again; ``unasked``: no result was
    looked for; ``missed``: one was, and ``reason`` says why it is not there.
    """

    kind: Literal["glue", "begun", "retried", "asked", "unasked", "missed"]
    reason: str = ""


_GLUE = Missed("glue")
_BEGUN = Missed("begun")
_RETRIED = Missed("retried")
_REFRESHED = Missed("asked")
_UNASKED = Missed("unasked")


class Reuse(msgspec.Struct):
    """Where to look before a job runs.

    Attributes:
        recorded: what this run has on record, by instance.
        continued: the ended run that this one continues, or "".
        refresh: names of steps, or paths of tasks, that run again in any case.
        cache: reuse across runs for every step (True), for none (False), or as each step says (None).
    """

    tasks: Tasks
    store: ArtifactStore
    recorded: dict[Instance, TaskRecord] = {}
    continued: str = ""
    refresh: frozenset[str] = frozenset()
    cache: bool | None = None

    def find(self, command: RunJob, now_ms: int, out: str | None) -> Found | Missed:
        """Return what stands for ``command``, or why it must run."""
        known = self.recorded.pop(command.instance, None)
        if known is not None:
            report = known.report()
            if report is not None:
                report.id = command.job.id
                return Found(report, recorded=True)
        if not command.key:
            return _GLUE
        if command.job.attempt > 1:
            # It goes on running: it is on record as that.
            return _BEGUN if known is not None and known.state == "running" else _RETRIED
        if self.refresh and self._is_refreshed(command.job.task):
            return _REFRESHED
        missed: list[str] = []
        if self.continued:
            record = self.tasks.find_in_run(self.continued, command.key)
            found = self._usable(record, command, out)
            if found is not None:
                found.reason = (
                    f"the same code and {_inputs(command)} as {found.reason} of run {self.continued}"
                )
                return found
            missed.append(
                _why_not(record, f"run {self.continued} has no result of this code and {_these(command)}")
            )
        return self._cached(command, now_ms, out, missed)

    def _cached(self, command: RunJob, now_ms: int, out: str | None, missed: list[str]) -> Found | Missed:
        allowed = command.cache if self.cache is None else (command.cache or self.cache)
        if allowed is False or self.cache is False:
            return Missed("missed", missed[0]) if missed else _UNASKED
        not_before = 0 if allowed is True else now_ms - int(allowed)
        record = self.tasks.find_cached(command.key, not_before_ms=not_before)
        found = self._usable(record, command, out)
        if found is not None:
            found.reason = (
                f"cached: the same code and {_inputs(command)} as {found.reason} of run {found.source}"
            )
            return found
        older = self.tasks.find_cached(command.key) if record is None and not_before else None
        why = f"the cached result of run {older.run} is older than the step allows" if older else ""
        missed.append(why or _why_not(record, f"the cache has no result of this code and {_these(command)}"))
        return Missed("missed", "; ".join(missed))

    def _is_refreshed(self, task: str) -> bool:
        return any(names_task(name, task) for name in self.refresh)

    def _usable(self, record: TaskRecord | None, command: RunJob, out: str | None) -> Found | None:
        """A hit counts only while all its artifacts are there."""
        report = record.report() if record is not None else None
        if record is None or report is None or report.outcome != "ok":
            return None
        if not all(self._holds(output.artifact) for output in report.outputs):
            return None
        outputs = [msgspec.structs.replace(output, names=(out,)) for output in report.outputs] if out else []
        report = msgspec.structs.replace(report, id=command.job.id, outputs=outputs)
        return Found(report, recorded=False, source=record.source or record.run, reason=record.path)

    def _holds(self, artifact: Artifact) -> bool:
        # Kept before it is looked at: a sweep spares from then on what it finds.
        return self.store.keep(artifact) and self.store.is_whole(artifact)


def _inputs(command: RunJob) -> str:
    return "cache key" if command.has_given_key else "inputs"


def _these(command: RunJob) -> str:
    return "this cache key" if command.has_given_key else "these inputs"


def _why_not(record: TaskRecord | None, nothing: str) -> str:
    """Return why a looked-up result is not used: there is none, or what it refers to is not there."""
    return (
        nothing if record is None else f"the result of {record.path} of run {record.run} is gone or damaged"
    )
