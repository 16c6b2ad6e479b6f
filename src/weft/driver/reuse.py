"""What need not run: outcomes recorded in this run before a crash, results of the run it continues, the cache.

Every answer says why, in words that go into the journal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec

from weft.machine.events import Instance, RunJob
from weft.model.jobs import Report
from weft.model.records import TaskRecord
from weft.store.artifacts import ArtifactStore
from weft.store.tasks import Tasks


def names_task(name: str, path: str) -> bool:
    """Return whether ``name`` means the task at ``path``: itself, its loop, its step, or a group that it is in."""
    plain = _INDEXES.sub("", path)
    step = plain.rpartition("/")[2]
    inside = path.startswith((f"{name}/", f"{name}[")) or plain.startswith(f"{name}/")
    return inside or name in (path, plain, step, step.partition(".")[0])


_INDEXES = re.compile(r"\[[^]]*]")


@dataclass
class Found:
    """A report that stands for a job. ``recorded``: by this run itself; else taken over from ``source``."""

    report: Report
    recorded: bool
    source: str = ""
    reason: str = ""


@dataclass
class Reuse:
    """Where to look before a job runs.

    Attributes:
        recorded: what this run has on record, by instance.
        continued: the ended run that this one continues, or "".
        refresh: names of steps, or paths of tasks, that run again in any case.
        cache: reuse across runs for every step (True), for none (False), or as each step says (None).
    """

    tasks: Tasks
    store: ArtifactStore
    recorded: dict[Instance, TaskRecord] = field(default_factory=dict)
    continued: str = ""
    refresh: frozenset[str] = frozenset()
    cache: bool | None = None

    def find(self, command: RunJob, now_ms: int, out: str | None) -> Found | None:
        """Return what stands for ``command``, or None if it must run."""
        known = self.recorded.pop(command.instance, None)
        if known is not None:
            report = known.report()
            if report is not None:
                report.id = command.job.id
                return Found(report, recorded=True)
        if not command.key or self._is_refreshed(command.job.task):
            return None
        if self.continued:
            found = self._usable(self.tasks.find_in_run(self.continued, command.key), command, out)
            if found is not None:
                found.reason = f"the same code and inputs as {found.reason} of run {self.continued}"
                return found
        return self._cached(command, now_ms, out)

    def _cached(self, command: RunJob, now_ms: int, out: str | None) -> Found | None:
        allowed = command.cache if self.cache is None else (command.cache or self.cache)
        if allowed is False or self.cache is False:
            return None
        not_before = 0 if allowed is True else now_ms - int(allowed)
        found = self._usable(self.tasks.find_cached(command.key, not_before_ms=not_before), command, out)
        if found is not None:
            found.reason = f"cached: the same code and inputs as {found.reason} of run {found.source}"
        return found

    def _is_refreshed(self, task: str) -> bool:
        return any(names_task(name, task) for name in self.refresh)

    def _usable(self, record: TaskRecord | None, command: RunJob, out: str | None) -> Found | None:
        """A hit counts only while all its artifacts are there."""
        report = record.report() if record is not None else None
        if record is None or report is None or report.outcome != "ok":
            return None
        if not all(self.store.exists(output.artifact) for output in report.outputs):
            return None
        outputs = [msgspec.structs.replace(output, names=(out,)) for output in report.outputs] if out else []
        report = msgspec.structs.replace(report, id=command.job.id, outputs=outputs)
        return Found(report, recorded=False, source=record.source or record.run, reason=record.path)
