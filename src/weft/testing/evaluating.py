"""The evaluator of a run under chaos: it watches the first two attempts of a task, and dies after the first."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import msgspec

from weft.model.context import RunContext
from weft.model.jobs import Job, Report
from weft.testing.comparing import Finding, compare
from weft.testing.watching import Footprint, Watch
from weft.worker.evaluate import Evaluator

_NUMBERS = re.compile(r"\[[\d,]*\]")


class Orders(msgspec.Struct, frozen=True):
    """What the workers of a run under chaos do.

    Attributes:
        folder: where they note what they saw.
        home: what lies in it does not count.
        share: of the tasks of a loop, how many lose a worker, between 0 and 1; the first one does in any case.
        seed: decides which. ``until_s``: by ``time.monotonic``; after that no worker dies any more.
    """

    folder: str
    home: str
    share: float
    seed: int
    until_s: float


class Seen(msgspec.Struct, frozen=True):
    """What the second attempt of a task showed."""

    step: str
    task: str
    findings: list[Finding]
    unwatched: list[str]


def step_of(task: str) -> str:
    """Return a task's path without the numbers of iterations."""
    return _NUMBERS.sub("", task)


class ChaosEvaluator(Evaluator):
    """The shipped evaluator, watched, in a worker that loses what it did."""

    def __init__(self, context: RunContext) -> None:
        super().__init__(context)
        self._orders = msgspec.convert(context.code["chaos"], Orders)

    def evaluate(self, job: Job) -> Report:
        """Evaluate a job. After the work of a task's first attempt, and before its report, the process dies."""
        if not job.is_call or not self._is_chosen(job.task):
            return super().evaluate(job)
        note = Path(self._orders.folder, hashlib.blake2b(job.key.encode(), digest_size=16).hexdigest())
        before = self._attempt_before(note)
        if before is not None and note.with_suffix(".seen").exists():
            return super().evaluate(job)
        if before is None and time.monotonic() >= self._orders.until_s:
            return super().evaluate(job)
        with Watch([self.context.cwd or ".", self.context.root or "."], [self._orders.home]) as watch:
            report = super().evaluate(job)
        footprint = watch.footprint(_failure_of(report))
        if before is None:
            _write(note.with_suffix(".first"), footprint)
            os.kill(os.getpid(), signal.SIGKILL)
        assert before is not None
        step = step_of(job.task)
        found = compare(step, job.task, before, footprint)
        _write(
            note.with_suffix(".seen"),
            Seen(step, job.task, found, sorted(before.unwatched | footprint.unwatched)),
        )
        return report

    def _is_chosen(self, task: str) -> bool:
        if not any(int(digit) for digit in re.findall(r"\d+", "".join(_NUMBERS.findall(task)))):
            return True
        drawn = hashlib.blake2b(f"{self._orders.seed} {task}".encode(), digest_size=8).digest()
        return int.from_bytes(drawn) < self._orders.share * 2**64

    def _attempt_before(self, note: Path) -> Footprint | None:
        try:
            return msgspec.msgpack.decode(note.with_suffix(".first").read_bytes(), type=Footprint)
        except FileNotFoundError:
            return None


def _failure_of(report: Report) -> str:
    return f"{report.failure.type}: {report.failure.message}" if report.failure is not None else ""


def _write(path: Path, value: Any) -> None:
    # Renamed last: this process may be killed at any time, and not only by itself.
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.msgpack.encode(value))
    fresh.rename(path)


def read_seen(folder: Path) -> list[Seen]:
    """Return what all second attempts of a run showed, in the order of their tasks."""
    found = [msgspec.msgpack.decode(path.read_bytes(), type=Seen) for path in folder.glob("*.seen")]
    return sorted(found, key=lambda seen: seen.task)


def count_lost(folder: Path) -> int:
    """Return how many workers have died."""
    return sum(1 for _ in folder.glob("*.first"))
