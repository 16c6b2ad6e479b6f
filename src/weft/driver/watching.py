"""Telling a listener what a run does: the driver's facts as the small events of ``model.progress``."""

from __future__ import annotations

from collections import defaultdict

from weft.machine.events import Decided, LoopCounted, RunJob
from weft.machine.plan import Plan
from weft.model.jobs import Report
from weft.model.progress import (
    AnyEvent,
    Listener,
    Notice,
    RunEnded,
    RunMoved,
    RunStarted,
    StepPlanned,
    TaskEnd,
    TaskEnded,
    TaskRetrying,
    TaskStarted,
)
from weft.program.nodes import Block, Branch, Call, Loop
from weft.program.tree import blocks_of


class Watching:
    """Sends events. State: tasks that ended since the last ``flush``, counted by step and state."""

    def __init__(self, listener: Listener | None, plan: Plan) -> None:
        self._listener = listener
        self._plan = plan
        self._ended: dict[tuple[str, TaskEnd], list[tuple[str, str]]] = defaultdict(list)

    def step_path(self, node: int) -> str:
        """Return a task's path without its loop indexes."""
        return "/".join(name for name, _ in self._plan.paths[node])

    def send(self, event: AnyEvent) -> None:
        if self._listener is not None:
            self._listener(event)

    def started(self, run: str, now_ms: int) -> None:
        steps = [self.step_path(node.id) for node in self._plan.nodes.values() if isinstance(node, Call)]
        self.send(
            RunStarted(
                at_ms=now_ms, run=run, workflow=self._plan.program.name, steps=tuple(dict.fromkeys(steps))
            )
        )

    def counted(self, command: LoopCounted, now_ms: int) -> None:
        if self._listener is None:
            return
        loop = self._plan.nodes[command.instance.node]
        assert isinstance(loop, Loop)
        for body in loop.bodies:
            for call in _calls_of_turn(body):
                self.send(StepPlanned(at_ms=now_ms, step=self.step_path(call.id), count=command.count))

    def decided(self, command: Decided) -> None:
        """A branch was decided: what stands in its other arms is skipped."""
        branch = self._plan.nodes[command.instance.node]
        if self._listener is None or not isinstance(branch, Branch):
            return
        for number, arm in enumerate(branch.arms):
            for call in _calls_of_turn(arm) if number != command.arm else ():
                task = self._plan.task_path(call.id, command.instance.index)
                self._ended[self.step_path(call.id), "skipped"].append((task, ""))

    def task_started(self, command: RunJob, now_ms: int) -> None:
        if self._listener is not None and command.job.is_call:
            step = self.step_path(command.instance.node)
            self.send(
                TaskStarted(at_ms=now_ms, step=step, task=command.job.task, attempt=command.job.attempt)
            )

    def task_ended(self, command: RunJob, report: Report, state: TaskEnd) -> None:
        if self._listener is not None and command.job.is_call:
            message = report.failure.text if report.failure else ""
            self._ended[self.step_path(command.instance.node), state].append((command.job.task, message))

    def task_retrying(self, command: RunJob, report: Report, delay_ms: int) -> None:
        if report.failure is not None and command.job.is_call:
            step = self.step_path(command.instance.node)
            message = report.failure.text
            self.send(
                TaskRetrying(
                    at_ms=report.ended_ms,
                    step=step,
                    task=command.job.task,
                    attempt=command.job.attempt,
                    delay_ms=max(0, delay_ms),
                    message=message,
                )
            )

    def flush(self, now_ms: int) -> None:
        """Send what ended since the last time: one event for each step and state."""
        for (step, state), tasks in self._ended.items():
            name = tasks[0][0] if len(tasks) == 1 else f"{tasks[0][0]} … {tasks[-1][0]}"
            message = tasks[-1][1]
            self.send(
                TaskEnded(at_ms=now_ms, step=step, task=name, state=state, count=len(tasks), message=message)
            )
        self._ended.clear()

    def moved(self, state: str, now_ms: int) -> None:
        self.send(RunMoved(at_ms=now_ms, state=state))

    def notice(self, text: str, now_ms: int) -> None:
        self.send(Notice(at_ms=now_ms, message=text))

    def ended(self, run: str, state: str, message: str, now_ms: int) -> None:
        self.flush(now_ms)
        self.send(RunEnded(at_ms=now_ms, run=run, state=state, message=message))


def _calls_of_turn(block: Block) -> list[Call]:
    """Return the calls that one turn of a loop makes, those of loops inside left out."""
    calls: list[Call] = []
    for node in block.nodes:
        if isinstance(node, Call):
            calls.append(node)
        elif not isinstance(node, Loop):
            for inner in blocks_of(node):
                calls += _calls_of_turn(inner)
    return calls
