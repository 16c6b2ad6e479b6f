"""What goes into the machine and what comes out of it. Data only."""

from __future__ import annotations

import msgspec

from weft.model.jobs import Job, Output, Report
from weft.model.values import Failure, Ref


class Instance(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One node at one turn of the loops around it."""

    node: int
    index: tuple[int, ...] = ()


# -- events: what happened, with the time and the chance that the machine itself does not have ---------


class Tried(msgspec.Struct, array_like=True, gc=False):
    """What an instance has used up of its budgets.

    Attributes:
        attempts: how many have started.
        failed: how many of them failed by the user's code.
        lost: how many lost their worker; ``memory``: how many ran out of memory.
        disk_since_ms: since when it has waited for space; 0: it does not.
    """

    attempts: int = 0
    failed: int = 0
    lost: int = 0
    memory: int = 0
    disk_since_ms: int = 0


class Begin(msgspec.Struct, frozen=True):
    """The run begins, or goes on after its driver died.

    Attributes:
        given: the artifacts of parameters and captured values, with their names.
        tried: what is on record of instances that have not ended.
    """

    given: list[Output]
    tried: dict[Instance, Tried] = {}


class Done(msgspec.Struct, frozen=True, gc=False):
    """A job ended. ``jitter`` in [0, 1) spreads a retry. ``reused``: the run that the result is from.

    ``settled``: it is on record as the outcome of its task, so that no other attempt follows. ``began_ms`` and
    ``ended_ms`` are the driver's own time, which never goes back: workers' clocks need not agree.
    """

    report: Report
    jitter: float = 0.5
    reused: str = ""
    settled: bool = False
    began_ms: int = 0
    ended_ms: int = 0


class TimerFired(msgspec.Struct, frozen=True):
    """The time that a ``Wait`` named has come."""

    timer: int
    now_ms: int


class Granted(msgspec.Struct, frozen=True):
    """The slots that an ``Acquire`` asked for are held."""

    request: int


class CancelRequested(msgspec.Struct, frozen=True):
    """Somebody wants the run to end. ``failure`` carries the exception that the workflow sees."""

    failure: Failure


Event = Begin | Done | TimerFired | Granted | CancelRequested


# -- commands: what the driver shall do --------------------------------------------------------------


class RunJob(msgspec.Struct, gc=False):
    """Have ``job`` executed. ``key`` is the reuse key of a call, empty for glue; ``has_given_key``: a key function's
    answer stands in it for the inputs."""

    job: Job
    instance: Instance
    key: str = ""
    cache: bool | int = False
    has_given_key: bool = False


class Wait(msgspec.Struct, frozen=True):
    """Send ``TimerFired(timer)`` in ``wait_ms``: the back-off before another attempt of ``instance``.

    ``at_ms``, for people: when that is by the clock of the worker that reported the failure.
    """

    timer: int
    at_ms: int
    instance: Instance
    failure: Failure
    attempt: int
    wait_ms: int


class CancelJobs(msgspec.Struct, frozen=True):
    """These jobs are not wanted any more."""

    jobs: tuple[int, ...]


class Acquire(msgspec.Struct, frozen=True):
    """Get ``slots`` of the limit ``name``, then send ``Granted(request)``. ``instance``: who asks."""

    request: int
    name: str
    slots: int
    instance: Instance


class Release(msgspec.Struct, frozen=True):
    """Give back what ``Acquire(request)`` got, or stop waiting for it."""

    request: int


class Failing(msgspec.Struct, frozen=True):
    """A failure that no handler can take is known; what stands before it still ends."""

    instance: Instance
    failure: Failure


class Decided(msgspec.Struct, frozen=True, gc=False):
    """A branch took ``arm``; the others are skipped. Or a handler took an exception."""

    instance: Instance
    arm: int


class LoopCounted(msgspec.Struct, frozen=True, gc=False):
    """A loop knows how many items it runs over."""

    instance: Instance
    count: int


class Finish(msgspec.Struct, frozen=True):
    """The run is over: with ``result`` (None where the workflow returned nothing), or with ``failure``."""

    outcome: str
    result: Ref | None = None
    failure: Failure | None = None


Command = RunJob | Wait | CancelJobs | Acquire | Release | Failing | Decided | LoopCounted | Finish
