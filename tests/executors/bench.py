"""Runs jobs on an executor and waits for what they report."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import msgspec

from weft.executors.launch import PINNED_SEED, take
from weft.executors.port import Ended, Event, Executor, Notice
from weft.model.context import RunContext
from weft.model.jobs import Entry, Job, Limits, Report
from weft.model.values import Artifact
from weft.worker.logs import LogLine, log_path, read_log

HERE = str(Path(__file__).parent)
# A guard against a hang, not a measure of speed: the machine may have other work.
WAIT_S = 90.0


class Bench:
    """One run on one executor."""

    def __init__(self, executor: Executor, folder: Path, **options) -> None:
        self.executor = executor
        self.folder = folder
        self.run = options.pop("run", "run1")
        settings = {
            "sys_path": (HERE,),
            "evaluator": "toy_steps:Evaluator",
            "cwd": str(folder),
            "log_folder": str(folder / "logs"),
            "work_folder": str(folder / "work"),
            "checkpoint_folder": str(folder / "checkpoints"),
            "preload": ("toy_steps",),
            "grace_ms": 300,
        }
        self.context = RunContext(run=self.run, **(settings | options))
        self.reports: dict[int, Report] = {}
        self.events: list[Event] = []
        self._next = 0
        executor.start(self.context)

    def job(
        self, name: str, *arguments, node=1, limits=None, is_call=True, attempt=1, task="", key=""
    ) -> Job:
        self._next += 1
        raw = msgspec.msgpack.encode([name, *arguments])
        return Job(
            self._next,
            self.run,
            task or f"{name}[{self._next}]",
            attempt,
            key or f"key-{self._next}",
            [Artifact("b3:0", "msgpack", len(raw), raw)],
            [Entry(node, (), {})],
            limits or Limits(),
            is_call,
        )

    def send(self, name: str, *arguments, **options) -> int:
        job = self.job(name, *arguments, **options)
        self.executor.submit([job])
        return job.id

    def call(self, name: str, *arguments, **options) -> Report:
        return self.wait(self.send(name, *arguments, **options))

    def wait(self, job: int) -> Report:
        return self.wait_all([job])[0]

    def wait_all(self, jobs) -> list[Report]:
        until = time.monotonic() + WAIT_S
        while not all(job in self.reports for job in jobs):
            left = until - time.monotonic()
            assert left > 0, f"no report in time; have {len(self.reports)}, events {self.events[-5:]}"
            self.poll(left)
        return [self.reports[job] for job in jobs]

    def poll(self, seconds: float) -> list[Event]:
        events = self.executor.poll(seconds)
        self.events += events
        for event in events:
            if isinstance(event, Ended):
                assert event.report.id not in self.reports, "a job ended twice"
                self.reports[event.report.id] = event.report
        return events

    def log(self, task: str, attempt: int = 1) -> list[LogLine]:
        return list(read_log(log_path(self.context.log_folder, task, attempt)))

    def notices(self) -> list[Notice]:
        return [event for event in self.events if isinstance(event, Notice)]


def value(report: Report):
    assert report.outcome == "ok", report.failure
    return msgspec.msgpack.decode(report.outputs[0].artifact.inline)


def wait_for(path: Path) -> str:
    until = time.monotonic() + WAIT_S
    while not path.exists():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.002)
    return path.read_text()


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def start_mother() -> None:
    """Have the process that nurseries fork from, and no other, whatever earlier tests left."""
    environment = {**os.environ, "PYTHONHASHSEED": PINNED_SEED}
    while True:
        pid, control = take((), environment)
        end_nursery(pid, control)
        # Else it was the spare one, or one in place of a mother that was killed.
        if pid == 0:
            return


def end_nursery(pid: int, control: socket.socket) -> None:
    """End a nursery that nobody uses, and wait until it is gone."""
    control.settimeout(WAIT_S)
    control.shutdown(socket.SHUT_WR)
    assert control.recv(1) == b""
    control.close()
    if pid:
        os.waitpid(pid, 0)


def assert_none_left(before: set[int]) -> None:
    """Check that all is gone that was not there before; the nursery itself may be in its last instant."""
    until = time.monotonic() + WAIT_S / 3
    while left := descendants() - before:
        assert time.monotonic() < until, f"processes outlived their executor: {left}"
        time.sleep(0.001)


def descendants() -> set[int]:
    found = {os.getpid()}
    while True:
        more = set()
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat") as file:
                        parts = file.read().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(parts[1]) in found and parts[0] != "Z":
                    more.add(int(name))
        if more <= found:
            return found - {os.getpid()}
        found |= more
