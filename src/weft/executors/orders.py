"""What a driver and its nursery say to each other."""

from __future__ import annotations

import msgspec

from weft.model.context import RunContext


class Setup(msgspec.Struct, tag="setup", array_like=True):
    """The first message.

    Attributes:
        fresh: workers start as their own interpreters, and nothing is preloaded.
        environment: all variables of the workers.
        log: the file for what the nursery itself prints.
    """

    context: RunContext
    fresh: bool
    environment: dict[str, str]
    log: str


class Fork(msgspec.Struct, tag="fork", array_like=True, gc=False):
    """Fork a nursery for one run; the control socket that it is to obey travels with this message."""


class Spawn(msgspec.Struct, tag="spawn", array_like=True, gc=False):
    """Start a worker; its end of the link to the driver travels with this message."""

    worker: int


class Watch(msgspec.Struct, tag="watch", array_like=True, gc=False):
    """From now on kill the worker if it and its children use more; None: stop watching."""

    worker: int
    memory_bytes: int | None


class Stop(msgspec.Struct, tag="stop", array_like=True, gc=False):
    """Tell the step that runs in the worker to end."""

    worker: int


class Kill(msgspec.Struct, tag="kill", array_like=True, gc=False):
    """Kill the worker and all that it started."""

    worker: int


class Close(msgspec.Struct, tag="close", array_like=True, gc=False):
    """End when all workers have; kill those that are still there after ``grace_ms``."""

    grace_ms: int


Order = Setup | Fork | Spawn | Watch | Stop | Kill | Close


class Ready(msgspec.Struct, tag="ready", array_like=True, gc=False):
    """Modules are preloaded; workers can be started."""


class Born(msgspec.Struct, tag="born", array_like=True, gc=False):
    """A worker was started; ``pid`` is its process and its session."""

    worker: int
    pid: int


class Unforkable(msgspec.Struct, tag="unforkable", array_like=True, gc=False):
    """Importing ``module`` left ``what`` in the process, so it must not be forked; it ends now."""

    module: str
    what: str


class Exited(msgspec.Struct, tag="exited", array_like=True, gc=False):
    """A worker and all that it started are gone, and its output is in the log files.

    Attributes:
        status: as ``os.waitpid`` returns it.
        peak_bytes: most memory in use; with its children if it was watched.
        over_limit: it was killed because it used more than it was allowed.
        kernel_oom: the kernel killed a process for memory about then.
    """

    worker: int
    status: int
    peak_bytes: int
    over_limit: bool
    kernel_oom: bool


Word = Ready | Born | Unforkable | Exited
