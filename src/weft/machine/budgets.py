"""How often, and with what, a task may be tried again: the budgets of the user's code and of the infrastructure."""

from __future__ import annotations

from typing import Final

from weft.machine.events import Done, Tried
from weft.model.jobs import Limits
from weft.model.values import INFRASTRUCTURE
from weft.program.nodes import AnyNode, Call, Program, StepSpec

BACKOFF_MS_MAX: Final = 15 * 60 * 1000
LOSS_BACKOFF_MS, LOSS_BACKOFF_MS_MAX = 200, 5000
DISK_BACKOFF_MS, DISK_BACKOFF_MS_MAX = 1000, 8000
_GLUE_LIMITS: Final = Limits(cpu=0.0)


class Budgets:
    """The budgets of a program's nodes. What has been used of them is the caller's to keep, in a ``Tried``.

    Args:
        losses_max: how many failures of the infrastructure each task may have beside its own retries.
        disk_wait_ms: how long a task waits for space on a full disk.
    """

    def __init__(self, program: Program, losses_max: int, disk_wait_ms: int) -> None:
        self._steps = program.steps
        self._limits = [Limits(s.timeout_ms, s.memory_bytes, s.cpu, s.gpu) for s in program.steps]
        self._losses_max = losses_max
        self._disk_wait_ms = disk_wait_ms

    def limits(self, node: AnyNode, tried: Tried) -> Limits:
        """Return what the next attempt may use: more memory after those that ran out of it."""
        if not isinstance(node, Call):
            return _GLUE_LIMITS
        limits = self._limits[node.step]
        spec = self._steps[node.step]
        doublings = min(tried.memory, _doublings(spec)) if tried.memory else 0
        if not doublings:
            return limits
        memory = min((spec.memory_bytes or 0) << doublings, spec.memory_bytes_max or 0)
        return Limits(limits.timeout_ms, memory, limits.cpu, limits.gpu)

    def charge(self, node: AnyNode, tried: Tried, event: Done, first_start_ms: int) -> int | None:
        """Charge a failure; return how long to wait before another attempt, or None if there is none."""
        failure = event.report.failure
        if failure is None or not failure.retryable or failure.kind in ("weft", "cancelled"):
            return None
        if failure.kind == "disk":
            return self._charge_full_disk(tried, event.ended_ms)
        if failure.kind in INFRASTRUCTURE:
            return self._charge_loss(node, tried, failure.kind)
        return self._charge_failure(node, tried, event, first_start_ms)

    def _charge_failure(self, node: AnyNode, tried: Tried, event: Done, first_start_ms: int) -> int | None:
        if not isinstance(node, Call):
            return None
        spec = self._steps[node.step]
        tried.failed += 1
        if tried.failed > spec.retries:
            return None
        wait_ms = round(min(spec.backoff_ms << (tried.failed - 1), BACKOFF_MS_MAX) * (0.5 + event.jitter))
        latest_ms = first_start_ms + (spec.task_timeout_ms or 0)
        if spec.task_timeout_ms is not None and event.ended_ms + wait_ms >= latest_ms:
            return None
        return wait_ms

    def _charge_full_disk(self, tried: Tried, ended_ms: int) -> int | None:
        tried.disk_since_ms = tried.disk_since_ms or ended_ms
        waited_ms = ended_ms - tried.disk_since_ms
        wait_ms = min(max(DISK_BACKOFF_MS, waited_ms), DISK_BACKOFF_MS_MAX)
        return wait_ms if waited_ms < self._disk_wait_ms else None

    def _charge_loss(self, node: AnyNode, tried: Tried, kind: str) -> int | None:
        tried.disk_since_ms = 0
        tried.memory += kind == "memory"
        tried.lost += kind != "memory"
        # An attempt with more memory is a better one, and there are only so many: those do not count.
        better = _doublings(self._steps[node.step]) if isinstance(node, Call) else 0
        losses = tried.lost + max(0, tried.memory - better)
        if losses > self._losses_max:
            return None
        return min(LOSS_BACKOFF_MS << (losses - 1), LOSS_BACKOFF_MS_MAX) if losses else 0


def _doublings(spec: StepSpec) -> int:
    """Return how often a step's memory can grow until it has the most that it may."""
    if not (spec.memory_bytes and spec.memory_bytes_max):
        return 0
    return (-(-spec.memory_bytes_max // spec.memory_bytes) - 1).bit_length()
