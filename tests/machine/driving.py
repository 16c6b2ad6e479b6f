"""Drives a machine by hand: no worker, no clock. A test says how each job ends, and when.

State of a ``Driven``: ``out``, the jobs that are out, by task path (glue too); ``seen``, every command so far.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from weft.lang.compiler import compile_workflow
from weft.machine.events import (
    Acquire,
    Begin,
    CancelJobs,
    CancelRequested,
    Command,
    Done,
    Event,
    Finish,
    Granted,
    Release,
    RunJob,
    TimerFired,
    Wait,
)
from weft.machine.interpreter import Machine
from weft.model.jobs import Items, Output, Report
from weft.model.values import Artifact, Failure
from weft.program.nodes import Call, Glue


def artifact(text: str) -> Artifact:
    """Return a stored value that is known by its digest alone."""
    return Artifact(f"b3:{text}", "plain", len(text), text.encode())


def failure(text: str = "no", kind: str = "user", retryable: bool = True) -> Failure:
    return Failure(kind, "ValueError", text, "", artifact(f"error {text}"), retryable)


@dataclass
class Driven:
    """``items``: how many items each loop reads; ``decisions``: what tests and matches answer, by line."""

    machine: Machine
    items: int = 3
    decisions: dict[int, int] = field(default_factory=dict)
    out: dict[str, RunJob] = field(default_factory=dict)
    seen: list[Command] = field(default_factory=list)
    now_ms: int = 0

    @classmethod
    def of(cls, workflow: Any, window: int = 1024, **options: Any) -> Driven:
        program = compile_workflow(workflow).program
        driven = cls(Machine(program, "r", window), **options)
        given = [Output(artifact(p.name), (p.name,)) for p in program.parameters]
        driven.send(Begin(given))
        return driven

    def send(self, event: Event) -> list[Command]:
        """Give the machine an event; answer all glue that comes of it, and keep the calls."""
        commands = self.machine.advance(event)
        self.seen += commands
        for command in commands:
            match command:
                case RunJob():
                    self.out[command.job.task] = command
                case CancelJobs():
                    self.out = {t: c for t, c in self.out.items() if c.job.id not in command.jobs}
        for task in [task for task, command in self.out.items() if not command.job.is_call]:
            if task in self.out and not self.out[task].job.is_call:
                self.end(task)
        return commands

    @property
    def calls(self) -> list[str]:
        """The paths of the step calls that are out now."""
        return sorted(task for task, command in self.out.items() if command.job.is_call)

    def all_of(self, kind: type[Any]) -> list[Any]:
        return [command for command in self.seen if isinstance(command, kind)]

    @property
    def finish(self) -> Finish | None:
        found = self.all_of(Finish)
        assert len(found) <= 1
        return found[0] if found else None

    def end(self, task: str, error: Failure | None = None, jitter: float = 0.5) -> list[Command]:
        """Let a job end well, or with ``error``."""
        job = self.out.pop(task).job
        report = Report(
            job.id, "fail" if error else "ok", failure=error, started_ms=self.now_ms, ended_ms=self.now_ms
        )
        if error is None:
            self._fill(report, task, [entry.node for entry in job.entries])
        return self.send(Done(report, jitter, began_ms=self.now_ms, ended_ms=self.now_ms))

    def _fill(self, report: Report, task: str, nodes: list[int]) -> None:
        for number in nodes:
            node = self.machine.plan.nodes[number]
            if isinstance(node, Call):
                report.outputs = [Output(artifact(task), (node.out,))] if node.out else []
            elif isinstance(node, Glue):
                report.outputs += [Output(artifact(f"{task} {n}"), (n,)) for n in node.code.writes.values()]
                report.decision = self.decisions.get(node.span.line, 0) if node.produces == "arm" else -1
                if node.produces == "items":
                    columns = [[artifact(f"{n} {k}") for k in range(self.items)] for n in node.targets]
                    report.items = Items(node.targets, columns)

    def fire(self) -> Wait:
        """Let the time of the last wait come."""
        wait: Wait = self.all_of(Wait)[-1]
        self.now_ms = wait.at_ms
        self.send(TimerFired(wait.timer, wait.at_ms))
        return wait

    def grant(self) -> None:
        self.send(Granted(self.all_of(Acquire)[-1].request))

    def cancel(self) -> None:
        self.send(CancelRequested(failure("cancelled", "cancelled", False)))

    def finish_all(self) -> Finish:
        """Let every call end well, in order of their names, until the run is over."""
        while self.finish is None:
            self.end(self.calls[0])
        return self.finish

    def held(self) -> int:
        """How many requests for slots are open."""
        return len(self.all_of(Acquire)) - len(self.all_of(Release))
